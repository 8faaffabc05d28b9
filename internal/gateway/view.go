package gateway

import (
	"iter"
	"slices"
	"sync/atomic"
	"time"

	"github.com/sallyport-sip/sallyport/internal/b2bua"
	"github.com/sallyport-sip/sallyport/internal/config"
	"github.com/sallyport-sip/sallyport/internal/metrics"
	"github.com/sallyport-sip/sallyport/internal/peer"
	"github.com/sallyport-sip/sallyport/internal/relay"
	"github.com/sallyport-sip/sallyport/sip/resolve"
	"github.com/sallyport-sip/sallyport/sip/transport"
	"github.com/sallyport-sip/sallyport/sip/ua"
)

// What follows is for those who look at a running gateway: the API, the metrics.

// Started is when the gateway began to serve.
func (g *Gateway) Started() time.Time {
	g.telling.Lock()
	defer g.telling.Unlock()
	return g.started
}

// Config returns the configuration in force. It must not be changed.
func (g *Gateway) Config() *config.Config { return g.snapshot.Load().config }

// Peers returns the peers of the configuration in force, in its order. The slice
// must not be changed.
func (g *Gateway) Peers() []*peer.Peer { return g.snapshot.Load().peers.All() }

// Peer is the one with a name, nil when there is none.
func (g *Gateway) Peer(name string) *peer.Peer { return g.snapshot.Load().peers.Lookup(name) }

// Conns are the live streams, in no order.
func (g *Gateway) Conns() iter.Seq[*transport.Conn] { return g.server.Endpoint().Conns() }

// copyAtOnce is for how many calls a shard is held while they are copied.
const copyAtOnce = 200

// CallInfo returns the live calls, in no order. Each shard copies its own a few at
// a time.
func (g *Gateway) CallInfo() []b2bua.CallInfo {
	var all []b2bua.CallInfo
	for i := range g.server.NumShards() {
		for some := range slices.Chunk(g.liveCalls(i), copyAtOnce) {
			g.server.Do(i, func(*ua.Shard) { all = append(all, b2bua.Snapshot(some)...) })
		}
	}
	return all
}

// Verdicts returns how many calls there were, those that are over, by the word for how
// secure their signalling was.
func (g *Gateway) Verdicts() map[string]uint64 { return g.engine.Verdicts() }

// SetupTimes, RingingTimes and ACKsMissing are those of the calls.
func (g *Gateway) SetupTimes() map[string]metrics.Times { return g.engine.SetupTimes() }

// RingingTimes is documented with SetupTimes.
func (g *Gateway) RingingTimes() metrics.Times { return g.engine.RingingTimes() }

// ACKsMissing is documented with SetupTimes.
func (g *Gateway) ACKsMissing() map[metrics.Missing]uint64 { return g.engine.ACKsMissing() }

func (g *Gateway) liveCalls(shard int) (calls []*b2bua.Call) {
	g.server.Do(shard, func(s *ua.Shard) { calls = g.engine.LiveCalls(s) })
	return calls
}

// Relayed returns how many requests outside of calls there were, by what became of
// them.
func (g *Gateway) Relayed() []relay.Count { return g.relay.Counts() }

// Subscriptions returns how many subscriptions go on.
func (g *Gateway) Subscriptions() int { return g.relay.Subscriptions() }

// Lookups returns how many look-ups of names there were, by what became of them.
func (g *Gateway) Lookups() map[resolve.Outcome]uint64 { return g.lookups.All() }

// Advertised returns what a listener tells others to reach it at.
func (g *Gateway) Advertised(listener string) string {
	return g.snapshot.Load().places[listener].HostPort
}

// ConnsOpened returns how many connections came up since the start, by peer.
func (g *Gateway) ConnsOpened() map[string]uint64 {
	counts := make(map[string]uint64)
	g.opens.Range(func(name, n any) bool {
		counts[name.(string)] = n.(*atomic.Uint64).Load()
		return true
	})
	return counts
}

// EndCall ends a live call at both sides, as number says which, and reports whether there is one.
func (g *Gateway) EndCall(number uint64) (found bool) {
	for i := range g.server.NumShards() {
		if g.server.Do(i, func(s *ua.Shard) { found = g.engine.End(s, number) }); found {
			return true
		}
	}
	return false
}
