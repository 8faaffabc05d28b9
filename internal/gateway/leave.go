package gateway

import (
	"slices"
	"time"

	"github.com/sallyport-sip/sallyport/internal/b2bua"
)

// leaveEvery is how often is looked whether a UDP socket is still needed.
const leaveEvery = 5 * time.Second

// leaveAfter is how long it stays for messages that come late: more than 64*T1.
const leaveAfter = 35 * time.Second

// leave closes the socket of a UDP listener that a reload took away, once the
// calls are over that may use it. The caller holds reloading.
func (g *Gateway) leave(s socket) {
	g.leaving = append(g.leaving, s)
	var last uint64
	for _, c := range g.CallInfo() {
		last = max(last, c.Number)
	}
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
				return // closing the server closes the socket
			}
		}
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

// anyCallUpTo says whether a call lives that began no later than the one with a
// number.
func (g *Gateway) anyCallUpTo(number uint64) bool {
	return slices.ContainsFunc(g.CallInfo(), func(c b2bua.CallInfo) bool { return c.Number <= number })
}
