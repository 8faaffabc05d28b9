package gateway

import (
	"time"

	"github.com/sallyport-sip/sallyport/sip/transport"
)

// KeptState is how far a connection is that is to be kept up.
type KeptState string

// The states.
const (
	KeptDialling KeptState = "dialling" // or waits for its turn to be dialled
	KeptUp       KeptState = "up"
	KeptWaiting  KeptState = "waiting" // until it is dialled again
)

// Kept is how a peer's kept connection does.
type Kept struct {
	State    KeptState
	Since    time.Time // when it came up, or went, or was wanted first
	Next     time.Time // when it is dialled again; zero unless it waits
	Failures int       // one after the other, since it last lasted
	Cause    string    // of the last failure or end; empty: there was none
}

// Kept returns how the connections do that are to be kept up, by peer.
func (g *Gateway) Kept() map[string]Kept {
	g.upkeeps.mu.Lock()
	defer g.upkeeps.mu.Unlock()
	all := make(map[string]Kept, len(g.upkeeps.all))
	for name, k := range g.upkeeps.all {
		if k.kept.State != "" { // one on UDP has none
			all[name] = k.kept
		}
	}
	return all
}

// tell changes what is told of a kept connection.
func (g *Gateway) tell(k *upkeep, change func(*Kept)) {
	g.upkeeps.mu.Lock()
	defer g.upkeeps.mu.Unlock()
	change(&k.kept)
}

// dead counts a connection that was found dead.
func (g *Gateway) dead(why transport.Death) {
	if n := g.deaths[why]; n != nil {
		n.Add(1)
	}
}

// Deaths returns how many connections were found dead since the start, by the sign.
func (g *Gateway) Deaths() map[transport.Death]uint64 {
	counts := make(map[transport.Death]uint64, len(g.deaths))
	for why, n := range g.deaths {
		counts[why] = n.Load()
	}
	return counts
}

// TransportStats counts what passed below the messages.
func (g *Gateway) TransportStats() *transport.Stats { return g.server.Endpoint().Stats() }
