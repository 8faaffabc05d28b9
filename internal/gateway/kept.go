package gateway

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/sallyport-sip/sallyport/internal/config"
	"github.com/sallyport-sip/sallyport/internal/peer"
	"github.com/sallyport-sip/sallyport/sip/transport"
	"github.com/sallyport-sip/sallyport/sip/ua"
)

const (
	// dialsAtOnce is how many kept connections are dialled at the same time: when
	// all are lost together, all come back in turns.
	dialsAtOnce = 10
	// stable is how long a connection has to last for the next failure to count as
	// the first.
	stable = 2 * time.Minute
	// patience is how long a kept connection may be away before a person is told.
	patience = 3 * time.Minute
)

// upkeeps hold up the connections of those peers that are to be connected always,
// and send datagrams to those on UDP that are to be reminded of us. Each has a
// goroutine of Gateway.work.
type upkeeps struct {
	slots chan struct{} // of dials

	mu  sync.Mutex
	all map[string]*upkeep // by peer; guarded by mu
}

// upkeep is that of one peer.
type upkeep struct {
	peer string
	wake chan struct{} // something has changed: a connection ended, or the configuration did

	kept Kept            // guarded by upkeeps.mu
	conn *transport.Conn // that is up, or was last; guarded by upkeeps.mu
}

// keepUp starts the upkeeps that the configuration in force wants and lets the
// others see for themselves that they are done. The caller holds reloading.
func (g *Gateway) keepUp() {
	g.upkeeps.mu.Lock()
	defer g.upkeeps.mu.Unlock()
	for _, k := range g.upkeeps.all {
		k.nudge()
	}
	for _, p := range g.Peers() {
		if g.upkeeps.all[p.Name] == nil && wantsUpkeep(p) {
			k := &upkeep{peer: p.Name, wake: make(chan struct{}, 1)}
			g.upkeeps.all[p.Name] = k
			g.work.Go(func() { g.keepOne(k) })
		}
	}
}

func wantsUpkeep(p *peer.Peer) bool {
	if p.Transport == transport.UDP {
		return p.Connection.UDPKeepAlive.Duration > 0
	}
	return p.Connection.Connect == config.ConnectAlways
}

// lost tells the upkeep of a peer that a connection has ended, and why.
func (g *Gateway) lost(peer string, c *transport.Conn, why string) {
	g.upkeeps.mu.Lock()
	defer g.upkeeps.mu.Unlock()
	if k := g.upkeeps.all[peer]; k != nil {
		if k.conn == c {
			k.kept.Cause = why
		}
		k.nudge()
	}
}

func (k *upkeep) nudge() {
	select {
	case k.wake <- struct{}{}:
	default:
	}
}

// keepOne is a upkeep's goroutine: until the gateway closes, or a configuration
// wants nothing of it any more.
func (g *Gateway) keepOne(k *upkeep) {
	var failures int
	since := time.Now() // when the connection came up, or went
	for {
		snap := g.snapshot.Load()
		p := g.keeps(k)
		if p == nil {
			return
		}
		if p.Transport == transport.UDP {
			g.remind(p)
			if open, _ := g.pause(k, snap, share(p.Connection.UDPKeepAlive.Duration, 80)); !open {
				return
			}
			continue
		}
		g.tell(k, func(now *Kept) {
			now.State, now.Since, now.Next, now.Failures = KeptDialling, since, time.Time{}, failures
		})
		flow, err := g.dialInTurn(p)
		if err == nil {
			g.alarms.clear("connection to " + p.Name)
			since = time.Now()
			g.tell(k, func(now *Kept) { now.State, now.Since, k.conn = KeptUp, since, flow.Conn })
			if !g.whileUp(k, flow.Conn, snap) {
				return
			}
			if lasted := time.Since(since); lasted >= stable {
				failures = 0
			}
			since = time.Now()
			if flow.Conn.Alive() {
				continue // the configuration has changed
			}
		} else if away := time.Since(since); away >= patience {
			g.alarms.raise("connection to "+p.Name, fmt.Sprintf("there is no connection to peer %s, which is to be kept up: %v", p.Name, err),
				"see whether it runs and can be reached; it is dialled again all the time")
		}
		wait := backOff(&p.Connection, failures)
		failures++
		if err != nil {
			g.log.Info("peer is dialled again", "peer", p.Name, "after", wait.Round(time.Millisecond), "failures", failures, "cause", err)
		}
		g.tell(k, func(now *Kept) {
			now.State, now.Since, now.Next, now.Failures = KeptWaiting, since, time.Now().Add(wait), failures
			if err != nil {
				now.Cause = err.Error()
			}
		})
		open, changed := g.pause(k, snap, wait)
		if !open {
			return
		}
		if changed {
			failures = 0 // whatever they were about may be repaired
		}
	}
}

// keeps returns the upkeep's peer, nil when there is nothing to keep any more.
func (g *Gateway) keeps(k *upkeep) *peer.Peer {
	g.upkeeps.mu.Lock()
	defer g.upkeeps.mu.Unlock()
	if p := g.snapshot.Load().peers.Lookup(k.peer); p != nil && wantsUpkeep(p) && g.stopping.Err() == nil {
		return p
	}
	delete(g.upkeeps.all, k.peer)
	g.alarms.clear("connection to " + k.peer)
	return nil
}

// dialInTurn dials when few others do.
func (g *Gateway) dialInTurn(p *peer.Peer) (ua.Flow, error) {
	select {
	case g.upkeeps.slots <- struct{}{}:
	case <-g.stopping.Done():
		return ua.Flow{}, context.Cause(g.stopping)
	}
	defer func() { <-g.upkeeps.slots }()
	return g.dial(p)
}

// whileUp waits until a connection ends or the configuration is not snap any more,
// under which it was dialled. False means
// that the gateway closes.
func (g *Gateway) whileUp(k *upkeep, c *transport.Conn, snap *snapshot) bool {
	for c.Alive() && g.snapshot.Load() == snap {
		select {
		case <-k.wake:
		case <-g.stopping.Done():
			return false
		}
	}
	return true
}

// pause waits, but no longer than until the configuration is not snap any more. open
// is false when the gateway closes.
func (g *Gateway) pause(k *upkeep, snap *snapshot, d time.Duration) (open, changed bool) {
	t := time.NewTimer(d)
	defer t.Stop()
	for g.snapshot.Load() == snap {
		select {
		case <-t.C:
			return true, false
		case <-k.wake: // perhaps by the end of some connection, which changes nothing
		case <-g.stopping.Done():
			return false, false
		}
	}
	return true, true
}

// backOff is how long to wait before a connection is dialled again. RFC 5626 §4.5:
// "W = min( max-time, (base-time * (2 ^ consecutive-failures)))", and of that "a
// uniform random time between 50 and 100%".
//
// deviates: the base-time there is 30 s, for phones in their thousands; a trunk
// that was restarted is wanted sooner.
func backOff(c *config.Connection, failures int) time.Duration {
	w := c.RetryFirst.Duration
	for range failures {
		if w = min(2*w, c.RetryLongest.Duration); w == c.RetryLongest.Duration {
			break
		}
	}
	return share(w, 50)
}

// share is a random part of a time, at least so many percent of it.
func share(d time.Duration, percent int64) time.Duration {
	least := d / 100 * time.Duration(percent)
	return least + time.Duration(rand.Int64N(int64(d-least)+1))
}

// remind sends a peer on UDP a datagram that a NAT takes for traffic.
//
// deviates: RFC 5626 §4.4.1 keeps CRLF to streams, and has STUN for UDP; but that
// only a peer answers that knows RFC 5626, and any ignores CRLF.
func (g *Gateway) remind(p *peer.Peer) {
	flow, err := g.dialInTurn(p)
	if err != nil {
		g.log.Warn("keep-alive not sent", "peer", p.Name, "cause", err)
		return
	}
	flow.Conn.Remind(flow.Addr)
}
