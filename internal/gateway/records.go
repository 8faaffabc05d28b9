package gateway

import (
	"strconv"

	"github.com/sallyport-sip/sallyport/internal/callflow"
	"github.com/sallyport-sip/sallyport/internal/config"
	"github.com/sallyport-sip/sallyport/internal/store"
	"github.com/sallyport-sip/sallyport/sip/transport"
	"github.com/sallyport-sip/sallyport/sip/ua"
)

// records keeps the records of calls, as a store.Store does.
type records interface {
	NewID() string
	Put(*store.CDR)
	PutDurable(*store.CDR, func(error))
}

// NewID makes the gateway a b2bua.Ways.
func (g *Gateway) NewID() string {
	if g.records == nil {
		return g.events.Run() + "." + strconv.FormatUint(g.nameless.Add(1), 10)
	}
	return g.records.NewID()
}

// CDR makes the gateway a b2bua.Ways.
func (g *Gateway) CDR(r *store.CDR) {
	if g.records != nil {
		r.Run = g.recorder.Run()
		g.records.Put(r)
	}
}

// CDRDurable makes the gateway a b2bua.Ways.
func (g *Gateway) CDRDurable(s *ua.Shard, r *store.CDR, done func(*ua.Shard)) {
	if g.records == nil || g.snapshot.Load().config.CDR != config.CDRStrict {
		g.CDR(r)
		done(s)
		return
	}
	i := s.Index()
	r.Run = g.recorder.Run()
	g.records.PutDurable(r, func(error) { g.server.Post(i, done) })
}

// TLS makes the gateway a b2bua.Ways.
func (g *Gateway) TLS(c *transport.Conn) *callflow.TLS { return g.recorder.TLS(c) }

// RecordStats says how the records of calls reach the disk; false when calls are
// not recorded.
func (g *Gateway) RecordStats() (store.Stats, bool) {
	if g.store == nil {
		return store.Stats{}, false
	}
	return g.store.Stats(), true
}
