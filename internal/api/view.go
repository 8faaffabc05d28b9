package api

import (
	"cmp"
	"net/http"
	"slices"
	"time"

	"github.com/sallyport-sip/sallyport/internal/b2bua"
	"github.com/sallyport-sip/sallyport/internal/callflow"
	"github.com/sallyport-sip/sallyport/internal/config"
	"github.com/sallyport-sip/sallyport/internal/gateway"
	"github.com/sallyport-sip/sallyport/internal/peer"
	"github.com/sallyport-sip/sallyport/sip/transport"
)

// status is GET /api/v1/status.
func (s *Server) status(w http.ResponseWriter, _ *http.Request) { writeJSON(w, s.Status()) }

// Status returns the document of GET /api/v1/status.
func (s *Server) Status() Status {
	g := s.gateway
	st := Status{
		Version: s.version, Started: g.Started().UTC(), UptimeSeconds: int64(time.Since(g.Started()).Seconds()), State: "serving",
		Configuration: configuration(g.Loaded()), Listeners: []Listener{}, Peers: s.peers(), Calls: g.Calls(), Limits: []Limit{}, Alarms: alarms(g),
	}
	if g.Draining() {
		st.State = "draining"
	}
	for _, l := range g.Listeners() {
		st.Listeners = append(st.Listeners, Listener{l.Name(), l.Transport().String(), l.Addr().String(), g.Advertised(l.Name())})
	}
	for _, p := range g.Limited() {
		st.Limits = append(st.Limits, Limit{p.Listener, string(p.Limit), p.Times})
	}
	below, dead := g.TransportStats(), g.Deaths()
	st.Connections.KeepAlivesReceived, st.Connections.KeepAlivesSent, st.Connections.NotSIP =
		below.KeepAlives.Load(), below.Pings.Load(), below.NotSIP.Load()
	st.Connections.Dead = Dead{dead[transport.DeathNoPong], dead[transport.DeathUnacknowledged], dead[transport.DeathSilent]}
	for c := range g.Conns() {
		st.Connections.Open++
		if g.Failure(c) != nil {
			st.Connections.Failing++
		}
		if serves(c) != "" {
			st.Connections.Aliased++
		}
		switch {
		case !c.Info().Inbound:
			st.Connections.Outgoing++
		case c.Identity().Peer == "":
			st.Connections.Unknown++
			fallthrough
		default:
			st.Connections.Inbound++
		}
	}
	return st
}

func configuration(l gateway.Loaded) Configuration {
	c := Configuration{File: l.File, Version: l.Version, Loaded: l.At.UTC(), Reloads: l.Reloads, NeedsRestart: append([]string{}, l.Notes...),
		Watched: l.Watched, Renewals: l.Renewals}
	if !l.Renewed.IsZero() {
		c.Renewed = new(l.Renewed.UTC())
	}
	if r := l.Refused; r != nil {
		c.Refused = &Refused{At: r.At.UTC(), By: r.By, Problems: r.Problems, InUse: append([]string{}, r.InUse...)}
	}
	return c
}

func alarms(g *gateway.Gateway) []Alarm {
	list := []Alarm{}
	for _, a := range g.Alarms() {
		list = append(list, Alarm{a.Name, a.Since.UTC(), a.Text, a.Remedy, string(a.Severity)})
	}
	return list
}

// listPeers is GET /api/v1/peers.
func (s *Server) listPeers(w http.ResponseWriter, _ *http.Request) { writeJSON(w, Peers{s.peers()}) }

func (s *Server) peers() []Peer {
	conns := make(map[string]int)
	for c := range s.gateway.Conns() {
		conns[c.Identity().Peer]++
	}
	list, kept := []Peer{}, s.gateway.Kept()
	for _, p := range s.gateway.Peers() {
		one := Peer{
			Name: p.Name, URI: p.URI.String(), Transport: p.Transport.String(), Up: p.State.Up(), Connections: conns[p.Name],
			In:  load(&p.State.In, p.Limits.CallsIn, p.Limits.RateIn),
			Out: load(&p.State.Out, p.Limits.CallsOut, p.Limits.RateOut),
		}
		if d := p.State.Down(); d != nil {
			one.Up, one.Down = false, &Down{d.Since.UTC(), d.Until.UTC(), d.Why}
		}
		if k, ok := kept[p.Name]; ok {
			one.Kept = &Kept{State: string(k.State), Since: k.Since.UTC(), Failures: k.Failures, Cause: k.Cause}
			if !k.Next.IsZero() {
				next := k.Next.UTC()
				one.Kept.Next = &next
			}
		}
		if p.Transport == transport.UDP {
			l := &p.State.LargeOverTCP
			one.Large = &Large{l.Taken.Load(), l.Refused.Load(), l.Spared.Load()}
		}
		list = append(list, one)
	}
	return list
}

func load(l *peer.Load, calls, rate config.Count) Load {
	t := l.Totals()
	return Load{Calls: l.Calls(), MostCalls: int(calls), MostRate: int(rate),
		Began: t.Began, Answered: t.Answered, Failed: t.Failed, Limited: t.Limited}
}

// listCalls is GET /api/v1/calls.
func (s *Server) listCalls(w http.ResponseWriter, _ *http.Request) {
	doc := Calls{[]Call{}}
	for _, c := range s.gateway.CallInfo() {
		doc.Calls = append(doc.Calls, Call{Number: c.Number, ID: c.ID, State: c.State, Since: c.Since.UTC(),
			Caller: c.Caller, Called: c.Called, From: c.From, To: c.To, Route: c.Route, Security: security(c.Security)})
	}
	slices.SortFunc(doc.Calls, func(a, b Call) int { return cmp.Compare(a.Number, b.Number) })
	writeJSON(w, doc)
}

func security(v *callflow.Security) Security {
	doc := Security{Verdict: v.Word, Why: v.Why, Hops: []Hop{}, Claims: append([]string{}, v.Claims...)}
	for i := range v.Hops {
		h := &v.Hops[i]
		one := Hop{Direction: h.Direction.String(), Peer: h.Peer, SIPS: h.SIPS, Transport: h.Transport,
			KnownBy: h.KnownBy(), Names: []string{}, Plain: h.Seen&callflow.OverPlain != 0}
		if t := h.TLS; t != nil {
			one.TLS, one.Names = &HopTLS{t.Version, t.Suite, t.Group, t.Mutual}, append(one.Names, t.PeerNames...)
		}
		doc.Hops = append(doc.Hops, one)
	}
	return doc
}

// listConnections is GET /api/v1/connections.
func (s *Server) listConnections(w http.ResponseWriter, _ *http.Request) {
	doc := ConnectionList{[]Connection{}}
	calls := callsByConnection(s.gateway.CallInfo())
	for c := range s.gateway.Conns() {
		one := s.connection(c)
		one.Calls = append(one.Calls, calls[one.ID]...)
		doc.Connections = append(doc.Connections, one)
	}
	slices.SortFunc(doc.Connections, func(a, b Connection) int { return cmp.Compare(a.ID, b.ID) })
	writeJSON(w, doc)
}

// callsByConnection are the numbers of the calls on each connection, the oldest first. A call with both legs on one is there once.
func callsByConnection(calls []b2bua.CallInfo) map[uint64][]uint64 {
	by := map[uint64][]uint64{}
	for _, call := range calls {
		by[call.In.Connection] = append(by[call.In.Connection], call.Number)
		if call.Out.Connection != call.In.Connection {
			by[call.Out.Connection] = append(by[call.Out.Connection], call.Number)
		}
	}
	for _, numbers := range by {
		slices.Sort(numbers)
	}
	return by
}

func (s *Server) connection(c *transport.Conn) Connection {
	info, id := c.Info(), c.Identity()
	one := Connection{
		ID: info.ID, Transport: info.Transport.String(), Inbound: info.Inbound, Listener: info.Listener,
		Local: info.Local.String(), Remote: info.Remote.String(), Peer: id.Peer, Names: append([]string{}, id.Names...), Notes: append([]string{}, id.Notes...),
		Opened: c.Opened().UTC(), Retired: c.Retired(), Alias: serves(c), Calls: []uint64{},
	}
	if why := s.gateway.Failure(c); why != nil {
		one.Failing = why.Error()
	}
	if t := s.gateway.TLS(c); t != nil {
		one.TLS = &TLS{t.Version, t.Suite, t.Group, t.Mutual, t.Resumed, c.HandshakeTime().Microseconds()}
	}
	return one
}

// serves is the place that a connection of a peer's stands for, empty when it is not
// used for our requests (RFC 5923).
func serves(c *transport.Conn) string {
	if to := c.Alias().Remote; to.IsValid() {
		return to.String()
	}
	return ""
}
