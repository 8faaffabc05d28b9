package api

import (
	"net/http"

	"github.com/sallyport-sip/sallyport/internal/metrics"
	"github.com/sallyport-sip/sallyport/internal/peer"
)

// newMetrics returns the page that Prometheus reads.
func (s *Server) newMetrics() http.Handler { return metrics.Handler(s.sample) }

// sample gathers the numbers of this moment.
func (s *Server) sample() metrics.Sample {
	g := s.gateway
	loaded := g.Loaded()
	m := metrics.Sample{
		Version: s.version, Started: g.Started(), Draining: g.Draining(), Calls: g.Calls(),
		ConnectionsRefused: make(map[metrics.Refusal]uint64), LimitsPassed: make(map[metrics.Passed]uint64), ConfigurationLoaded: loaded.At,
		Reloads: uint64(loaded.Reloads), ReloadsRefused: loaded.RefusedTotal,
	}
	m.Relayed, m.Subscriptions = make(map[metrics.Relayed]uint64), g.Subscriptions()
	for _, c := range g.Relayed() {
		m.Relayed[metrics.Relayed{Method: c.Method, Outcome: c.Outcome}] = c.N
	}
	conns := make(map[string]int)
	for c := range g.Conns() {
		conns[c.Identity().Peer]++
	}
	m.ConnectionsUnknown = conns[""]
	opened := g.ConnsOpened()
	for _, p := range g.Peers() {
		m.Peers = append(m.Peers, metrics.Peer{
			Name: p.Name, Up: p.State.Up(), In: numbers(&p.State.In), Out: numbers(&p.State.Out),
			Connections: conns[p.Name], ConnectionsOpened: opened[p.Name],
		})
	}
	for kind, n := range g.Recorder().Refusals() {
		m.ConnectionsRefused[metrics.Refusal{Peer: kind.Peer, Reason: string(kind.Code)}] = n
	}
	for _, p := range g.Limited() {
		m.LimitsPassed[metrics.Passed{Listener: p.Listener, Reason: string(p.Limit)}] = p.Times
	}
	for _, a := range g.Alarms() {
		m.Alarms = append(m.Alarms, a.Name)
	}
	if r, ok := g.RecordStats(); ok {
		m.Records = &metrics.Records{Waiting: r.Waiting, Lost: r.Lost, Failing: r.Failing}
	}
	return m
}

func numbers(l *peer.Load) metrics.Load {
	t := l.Totals()
	return metrics.Load{Calls: l.Calls(), Began: t.Began, Answered: t.Answered, Failed: t.Failed, Limited: t.Limited}
}
