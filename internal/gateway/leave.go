package gateway

import (
	"time"
)

// leaveEvery is how often is looked whether a UDP socket is still needed.
const leaveEvery = time.Second

// leave closes the socket of a UDP listener that a reload took away, once the
// calls are over that may use it. The caller holds reloading.
func (g *Gateway) leave(s socket) {
	g.leaving = append(g.leaving, s)
	g.work.Go(func() {
		tick := time.NewTicker(leaveEvery)
		defer tick.Stop()
		for g.engine.Live() > 0 {
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
