package gateway

import (
	"cmp"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/sallyport-sip/sallyport/internal/trust"
	"github.com/sallyport-sip/sallyport/sip/transport"
	"github.com/sallyport-sip/sallyport/sip/ua"
)

// Failing is a live connection that the configuration in force would refuse. It
// serves the calls that it has, and nothing else.
type Failing struct {
	Conn    *transport.Conn
	Code    trust.Code // empty: it is not the certificate
	Why     string
	Remedy  string   // empty: there is nothing to say
	Calls   []uint64 // the numbers of those on it
	Evicted bool     // it is being closed now, and its calls are being ended
}

// failures are why connections are retired, by their IDs. A review makes another
// map; it is never changed.
type failures map[uint64]error

// Failing returns the connections that the configuration in force refuses, the
// oldest first.
func (g *Gateway) Failing() []Failing {
	var list []Failing
	if len(g.failures()) == 0 {
		return nil
	}
	for c := range g.Conns() {
		if why := g.Failure(c); why != nil && c.Alive() {
			list = append(list, failing(c, why))
		}
	}
	if len(list) == 0 {
		return nil
	}
	slices.SortFunc(list, func(a, b Failing) int { return cmp.Compare(a.Conn.ID(), b.Conn.ID()) })
	for _, call := range g.CallInfo() {
		for i := range list {
			if id := list[i].Conn.ID(); id == call.In.Connection || id == call.Out.Connection {
				list[i].Calls = append(list[i].Calls, call.Number)
			}
		}
	}
	return list
}

func (g *Gateway) failures() failures {
	if f := g.judged.Load(); f != nil {
		return *f
	}
	return nil
}

func failing(c *transport.Conn, why error) Failing {
	f := Failing{Conn: c, Why: why.Error()}
	if r, ok := errors.AsType[*trust.Refusal](why); ok {
		f.Code, f.Remedy = r.Code, r.Remedy
	}
	return f
}

// Failure says why a connection is refused by the configuration in force, nil
// when it is not.
func (g *Gateway) Failure(c *transport.Conn) error {
	if !c.Retired() {
		return nil
	}
	return g.failures()[c.ID()]
}

var errEvicted = errors.New("evicted: the configuration refuses it, and an operator does not let it wait for its calls")

// evictEvery is how often is looked whether the calls of an evicted connection
// have said goodbye, for as long as farewell at most.
const evictEvery = 50 * time.Millisecond

// evict ends the calls on connections that the configuration refuses, with BYE to
// both sides, and closes the connections as soon as the BYEs are answered, or after
// farewell. Subscriptions on them find no connection any more, and end by their
// time.
func (g *Gateway) evict(list []Failing) {
	if len(list) == 0 {
		return
	}
	gone := make(map[*transport.Conn]bool)
	for i := range list {
		f := &list[i]
		f.Evicted, gone[f.Conn] = true, true
		g.log.Warn("connection evicted", "connection", f.Conn.ID(), "peer", f.Conn.Identity().Peer, "cause", f.Why, "calls", len(f.Calls))
	}
	g.inTurns(func(s *ua.Shard) (more bool) { return g.engine.Evict(s, gone, endAtOnce) })
	g.work.Go(func() {
		tick := time.NewTicker(evictEvery)
		defer tick.Stop()
		for limit := time.After(farewell); g.parting(gone); {
			select {
			case <-tick.C:
				continue
			case <-limit:
			case <-g.stopping.Done():
			}
			break
		}
		for c := range gone {
			c.Close(errEvicted)
		}
	})
}

// parting says whether a BYE on one of the connections has no answer yet.
func (g *Gateway) parting(conns map[*transport.Conn]bool) (yes bool) {
	for i := range g.server.NumShards() {
		g.server.Do(i, func(s *ua.Shard) { yes = yes || g.engine.Parting(s, conns) })
	}
	return yes
}

// inTurns has all shards do something a little at a time, so that peers can keep
// up, until there is no more of it.
func (g *Gateway) inTurns(some func(*ua.Shard) (more bool)) {
	var shards sync.WaitGroup
	for i := range g.server.NumShards() {
		shards.Go(func() {
			for more := true; more; {
				more = false // when the server has ended
				if g.server.Do(i, func(s *ua.Shard) { more = some(s) }); more {
					time.Sleep(endEvery)
				}
			}
		})
	}
	shards.Wait()
}
