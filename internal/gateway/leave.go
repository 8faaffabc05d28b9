package gateway

import (
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/sallyport-sip/sallyport/internal/b2bua"
	"github.com/sallyport-sip/sallyport/sip/transport"
	"github.com/sallyport-sip/sallyport/sip/ua"
)

// leaveEvery is how often is looked whether a UDP socket or a retired connection
// is still needed.
const leaveEvery = 5 * time.Second

// leaveAfter is how long it stays for messages that come late: more than 64*T1
// after the end of the last call, which may be leaveEvery ago when it is noticed.
const leaveAfter = 40 * time.Second

// leave closes the socket of a UDP listener that a reload took away, once the
// calls are over that may use it. The caller holds reloading.
func (g *Gateway) leave(s socket) {
	g.leaving = append(g.leaving, s)
	g.afterCalls(func() {
		g.reloading.Lock()
		defer g.reloading.Unlock()
		s.Close()
		for i, other := range g.leaving {
			if other == s {
				g.leaving = append(g.leaving[:i:i], g.leaving[i+1:]...)
				break
			}
		}
	})
}

// letGo closes connections that a reload has retired, once the calls are over
// that may live on them. One that a later reload takes back stays. There is one
// goroutine for all of them, however often certificates change.
func (g *Gateway) letGo(retired []*transport.Conn) {
	if len(retired) == 0 {
		return
	}
	r := &g.retirees
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.next == nil {
		r.next = make(map[*transport.Conn]struct{})
	}
	for _, c := range retired {
		r.next[c] = struct{}{}
	}
	if r.busy {
		return
	}
	r.busy = true
	g.letGoNext()
}

// retirees are connections that are retired and not closed yet.
type retirees struct {
	mu   sync.Mutex
	busy bool                         // somebody waits for the calls of some; guarded by mu
	next map[*transport.Conn]struct{} // that wait for their turn; guarded by mu
}

// letGoNext waits for the calls of those whose turn it is, and then sees who has
// come meanwhile. The caller holds mu.
func (g *Gateway) letGoNext() {
	r := &g.retirees
	retired := r.next
	r.next = nil
	g.afterCalls(func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		for c := range retired {
			// One that was taken back and retired again may have calls of between.
			if _, again := r.next[c]; !again && c.Retired() {
				c.Close(errLetGo)
			}
		}
		if r.busy = len(r.next) > 0; r.busy {
			g.letGoNext()
		}
	})
}

var errLetGo = errors.New("the configuration would refuse it, and no call needs it any more")

// afterCalls does something when every call of now is over, unless the gateway
// stops first: that closes everything.
func (g *Gateway) afterCalls(then func()) {
	last := g.engine.LastNumber()
	g.work.Go(func() {
		tick := time.NewTicker(leaveEvery)
		defer tick.Stop()
		for quiet := time.Duration(0); quiet < leaveAfter; quiet += leaveEvery {
			if g.anyCallUpTo(last) {
				quiet = 0
			}
			select {
			case <-tick.C:
			case <-g.stopping.Done():
				return
			}
		}
		then()
	})
}

// anyCallUpTo says whether a call or a subscription lives that began no later than the one with a
// number.
func (g *Gateway) anyCallUpTo(number uint64) bool {
	for i := range g.server.NumShards() {
		if slices.ContainsFunc(g.liveCalls(i), func(c *b2bua.Call) bool { return c.Number <= number }) {
			return true
		}
		subscribed := false
		g.server.Do(i, func(s *ua.Shard) { subscribed = g.relay.AnyUpTo(s, number) })
		if subscribed {
			return true
		}
	}
	return false
}
