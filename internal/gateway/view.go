package gateway

import (
	"iter"
	"sync/atomic"
	"time"

	"github.com/sallyport-sip/sallyport/internal/b2bua"
	"github.com/sallyport-sip/sallyport/internal/config"
	"github.com/sallyport-sip/sallyport/internal/peer"
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

// Conns are the live streams, in no order.
func (g *Gateway) Conns() iter.Seq[*transport.Conn] { return g.server.Endpoint().Conns() }

// CallInfo returns the live calls, in no order. It asks one shard after the
// other, and none of them is held for longer than it takes to copy its own.
func (g *Gateway) CallInfo() []b2bua.CallInfo {
	var all []b2bua.CallInfo
	for i := range g.server.NumShards() {
		g.server.Do(i, func(s *ua.Shard) { all = append(all, g.engine.Snapshot(s)...) })
	}
	return all
}

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
