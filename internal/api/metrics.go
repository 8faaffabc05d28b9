package api

import (
	"net/http"
	"time"

	"github.com/sallyport-sip/sallyport/internal/gateway"
	"github.com/sallyport-sip/sallyport/internal/metrics"
	"github.com/sallyport-sip/sallyport/internal/peer"
	"github.com/sallyport-sip/sallyport/sip/transport"
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
		Renewals: uint64(loaded.Renewals), RenewalsRefused: loaded.RenewalsRefused,
	}
	m.Verdicts = g.Verdicts()
	m.Setups, m.Ringing, m.ACKsMissing, m.Handshakes = g.SetupTimes(), g.RingingTimes(), g.ACKsMissing(), g.HandshakeTimes()
	m.Recording = recording(g)
	m.Relayed, m.Subscriptions = make(map[metrics.Relayed]uint64), g.Subscriptions()
	for _, c := range g.Relayed() {
		m.Relayed[metrics.Relayed{Method: c.Method, Outcome: c.Outcome}] = c.N
	}
	m.Lookups = make(map[string]uint64)
	for outcome, n := range g.Lookups() {
		m.Lookups[outcome.String()] = n
	}
	m.HEP = make(map[metrics.Mirrored]uint64)
	for _, c := range g.Collectors() {
		m.HEP[metrics.Mirrored{Collector: c.Name, Outcome: "sent"}] = c.Sent
		m.HEP[metrics.Mirrored{Collector: c.Name, Outcome: "dropped"}] = c.Dropped
		m.HEP[metrics.Mirrored{Collector: c.Name, Outcome: "too_long"}] = c.TooLong
	}
	conns, aliased := make(map[string]int), make(map[string]int)
	for c := range g.Conns() {
		if g.Failure(c) != nil {
			m.ConnectionsFailing++
		}
		conns[c.Identity().Peer]++
		if serves(c) != "" {
			aliased[c.Identity().Peer]++
		}
	}
	below := g.TransportStats()
	m.KeepAlives, m.Pings, m.NotSIP = below.KeepAlives.Load(), below.Pings.Load(), below.NotSIP.Load()
	m.ConnectionsDead = make(map[string]uint64)
	for sign, n := range g.Deaths() {
		m.ConnectionsDead[string(sign)] = n
	}
	kept := g.Kept()
	m.ConnectionsUnknown = conns[""]
	opened := g.ConnsOpened()
	for _, p := range g.Peers() {
		one := metrics.Peer{
			Name: p.Name, Up: p.State.Up(), In: numbers(&p.State.In), Out: numbers(&p.State.Out),
			Connections: conns[p.Name], ConnectionsOpened: opened[p.Name], Aliased: aliased[p.Name],
			CallsRefused:  p.State.In.RefusedBy(),
			ClaimsRefused: p.State.ClaimsRefused.Load(), ClaimsStripped: p.State.ClaimsStripped.Load(),
		}
		if k, ok := kept[p.Name]; ok {
			up := k.State == gateway.KeptUp
			one.Kept = &up
		}
		if p.Transport == transport.UDP {
			l := &p.State.LargeOverTCP
			one.Large = &metrics.Large{Taken: l.Taken.Load(), Refused: l.Refused.Load(), Spared: l.Spared.Load()}
		}
		m.Peers = append(m.Peers, one)
	}
	for kind, n := range g.Recorder().Refusals() {
		m.ConnectionsRefused[metrics.Refusal{Peer: kind.Peer, Reason: string(kind.Code), By: kind.By}] = n
	}
	for _, p := range g.Limited() {
		m.LimitsPassed[metrics.Passed{Listener: p.Listener, Reason: string(p.Limit)}] = p.Times
	}
	for _, a := range g.Alarms() {
		m.Alarms = append(m.Alarms, a.Name)
	}
	m.Responders = g.RespondersAsked()
	m.Endings = make(map[metrics.Ending]time.Duration)
	now := time.Now()
	for _, e := range g.Endings() { // what ends first comes first
		key := metrics.Ending{Kind: string(e.Kind), Name: e.Name}
		if _, known := m.Endings[key]; !known {
			m.Endings[key] = e.Left(now)
		}
	}
	m.Events = metrics.Events{Emitted: g.Events().Emitted(), Readers: int(s.readers.Load()), Cut: s.cut.Load()}
	m.Shipped = g.Shipped()
	m.Accounting = make(map[string]metrics.Accounting)
	for name, c := range g.Accounting() {
		m.Accounting[name] = metrics.Accounting(c)
	}
	for _, w := range g.Webhooks() {
		m.Events.Webhooks = append(m.Events.Webhooks, metrics.Webhook{Name: w.Name, Waiting: w.Waiting, Delivered: w.Delivered, GaveUp: w.GaveUp, Lost: w.Lost, Attempts: w.Failed})
	}
	if r, ok := g.RecordStats(); ok {
		m.Records = &metrics.Records{Waiting: r.Waiting, Lost: r.Lost, Failing: r.Failing, HandshakesLost: r.HandshakesLost}
	}
	return m
}

func numbers(l *peer.Load) metrics.Load {
	t := l.Totals()
	return metrics.Load{Calls: l.Calls(), Began: t.Began, Answered: t.Answered, Failed: l.FailedBy(), Limited: t.Limited}
}

// recording is how the ring and the history stand.
func recording(g *gateway.Gateway) metrics.Recording {
	ring := g.Recorder().Stats()
	r := metrics.Recording{Bytes: ring.Bytes, Bound: ring.Bound, Events: ring.Events, Gone: ring.Dropped}
	if h := g.History(); h != nil {
		s := h.Stats()
		r.History = &metrics.History{Segments: s.Segments, Bytes: s.Bytes, Events: s.Events, Lost: s.Lost, Failing: s.Failing}
		if !s.Oldest.IsZero() {
			r.History.Oldest = float64(s.Oldest.UnixMilli()) / 1000
		}
	}
	return r
}
