package b2bua

import (
	"bytes"
	"errors"
	"iter"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/sallyport-sip/sallyport/internal/callflow"
	"github.com/sallyport-sip/sallyport/internal/cross"
	"github.com/sallyport-sip/sallyport/internal/events"
	"github.com/sallyport-sip/sallyport/internal/peer"
	"github.com/sallyport-sip/sallyport/internal/redact"
	"github.com/sallyport-sip/sallyport/internal/store"
	"github.com/sallyport-sip/sallyport/sip"
	"github.com/sallyport-sip/sallyport/sip/transport"
	"github.com/sallyport-sip/sallyport/sip/ua"
)

// facts are what the record of a call says and the call itself does not need.
// Owned by the shard.
type facts struct {
	id       string
	began    time.Time // the INVITE was read
	answered time.Time // zero until then
	caller   string
	called   string
	route    string
	given    []hop      // targets that were given up, in order
	over     bool       // the last record is written
	loaded   *peer.Peer // the target on whose load the call counts
	timed    bool       // a session timer runs (RFC 4028)
	claims   callflow.Claims
	told     string          // the last verdict on its security that its flow has
	failed   *events.Failure // of the last target that failed
	session  string          // the UUID of who called; empty until there is one
}

// hop is what the record says of one leg.
type hop struct {
	peer   string
	callID string
	link   *link  // nil while there is no connection
	remote string // the address that was tried when none came up
	fresh  bool   // the leg is the first on its connection
	sips   bool   // the leg's dialogs are sips:
	seen   callflow.Protection
	sent   time.Time // the INVITE, or when it was read
	code   int
	text   string
	reason string // of TLS or the connection, as a code

	to100, to180, to200 time.Duration
}

// response takes note of a response to the leg's INVITE.
func (h *hop) response(now time.Time, code int) {
	if h == nil {
		return // the record is closed
	}
	after := max(now.Sub(h.sent), 1) // 0 says that none came
	switch {
	case code == 100 && h.to100 == 0:
		h.to100 = after
	case code > 100 && code < 200 && h.to180 == 0:
		h.to180 = after
	case code >= 200 && h.code == 0:
		h.code = code
		if code < 300 {
			h.to200 = after
		}
	}
}

// began opens the record of a call.
func (c *Call) began(s *ua.Shard, inv Invite) {
	m := inv.Packet.Msg
	c.facts = &facts{id: c.engine.ways.NewID(), began: inv.Packet.At, route: inv.Route, caller: callerOf(m), called: calledOf(m), claims: callflow.ReadClaims(m)}
	c.facts.claims.NotBacked = cross.Unbacked(m, inv.From)
	c.in.hop = &hop{peer: c.in.Peer.Name, callID: c.in.callID, sent: inv.Packet.At, sips: c.in.Secure}
	c.in.hop.on(c.calls, c.in.Flow)
	c.in.hop.response(s.Now(), 100) // which the transaction has sent
	c.put()
	c.emit(c.event(events.CallStarted))
}

// on takes note of the connection that the leg's INVITE travels on.
func (h *hop) on(c *calls, f ua.Flow) {
	if f.Conn == nil {
		if f.Addr.IsValid() {
			h.remote = f.Addr.String()
		}
		return
	}
	h.link = c.link(f)
	h.seen |= h.link.seen
	h.fresh = f.Conn.Transport().Reliable() && f.Conn.First()
}

// taken takes note of the 2xx that goes to the caller. done is called when the
// record is kept.
func (c *Call) taken(s *ua.Shard, code int, done func(*ua.Shard)) {
	c.facts.answered = s.Now()
	c.in.hop.response(s.Now(), code)
	c.assess()
	c.engine.ways.CDRDurable(s, c.row(), done)
}

// ended closes the record of a call, once; what is said later does not count.
// by is the leg whose side ended it, nil when that was the gateway. status is
// the code of the final response to the INVITE, 200 after an answer. reason is
// the value of a Reason header, perhaps empty (RFC 3326), and why tells the same
// to a person.
func (c *Call) ended(by *Leg, status int, reason, why string) {
	if c.facts == nil || c.facts.over {
		return
	}
	c.facts.over = true
	reason, why = redact.Text(reason), redact.Text(why)
	c.calls.shard.Stop(&c.timer)
	if c.setup.held != nil {
		c.facts.answered, c.in.hop.to200 = time.Time{}, 0 // the caller has not heard of it
	}
	c.leave(by, status)
	if c.facts.answered.IsZero() {
		c.in.hop.code = status
	}
	r := c.row()
	r.Ended = c.calls.shard.Now()
	r.Cause = store.Cause{SIP: status, Q850: q850(reason), Reason: reason, Text: why}
	switch {
	case !c.facts.answered.IsZero():
		r.State = store.Ended
	case by != nil && by == c.in:
		r.State = store.Cancelled
	default:
		r.State = store.Refused
	}
	switch {
	case by == nil:
		r.EndedBy = "gateway"
	case by.out:
		r.EndedBy = "callee"
	default:
		r.EndedBy = "caller"
	}
	c.engine.verdicts.add(r.Verdict)
	c.assess()
	c.engine.ways.CDR(r)
	c.tellEnded(by, status, reason, why, r.Verdict)
}

// put writes the record of a call that goes on.
func (c *Call) put() { c.engine.ways.CDR(c.row()) }

// row makes the record of a call. It is valid until the shard makes another.
func (c *Call) row() *store.CDR {
	f, r := c.facts, c.calls.blank()
	r.ID, r.Call, r.State = f.id, c.Number, store.Opened
	r.Caller, r.Called, r.Route = f.caller, f.called, f.route
	r.Began, r.Answered = f.began, f.answered
	if !f.answered.IsZero() {
		r.State = store.Answered
	}
	c.in.hop.leg(&r.In)
	for i := range f.given {
		r.Out = append(r.Out, store.Leg{})
		f.given[i].leg(&r.Out[i])
	}
	if c.out != nil && !c.out.hop.given(f.given) {
		r.Out = append(r.Out, store.Leg{})
		c.out.hop.leg(&r.Out[len(r.Out)-1])
	}
	r.Verdict, r.VerdictWhy = c.judge()
	if f.session == "" {
		f.session = c.in.Session.String()
	}
	r.Session = f.session
	return r
}

// given says whether the hop is the last of those that were given up.
func (h *hop) given(up []hop) bool { return len(up) > 0 && up[len(up)-1].callID == h.callID }

// leg writes the hop into a record.
func (h *hop) leg(l *store.Leg) {
	*l = store.Leg{
		Peer: h.peer, CallID: h.callID, New: h.fresh, Code: h.code, Text: h.text, Reason: h.reason,
		To100: h.to100, To180: h.to180, To200: h.to200, Remote: h.remote,
	}
	if k := h.link; k != nil {
		l.Connection, l.Transport, l.Remote, l.TLS = k.id, k.transport, k.remote, k.tls
		l.SIPS, l.KnownBy = h.sips, k.knownBy
	}
}

// blank returns the record that the shard makes all its records in.
func (c *calls) blank() *store.CDR {
	c.row = store.CDR{Out: c.row.Out[:0]}
	return &c.row
}

// Refused writes the record of an INVITE from a peer that was refused before it
// became a call. route is the row that decided, if one did.
func (e *Engine) Refused(s *ua.Shard, p *transport.Packet, from *peer.Peer, route string, err error) {
	status, ok := errors.AsType[*sip.StatusError](err)
	if !ok {
		status = &sip.StatusError{Code: 500, Err: err}
	}
	c := e.shards[s.Index()]
	r := c.blank()
	h := hop{peer: from.Name, callID: string(p.Msg.CallID()), sent: p.At, code: status.Code}
	h.on(c, ua.Flow{Conn: p.Conn, Addr: p.Source})
	r.ID, r.State, r.EndedBy = e.ways.NewID(), store.Refused, "gateway"
	r.Caller, r.Called, r.Route = callerOf(p.Msg), calledOf(p.Msg), route
	r.Began, r.Ended = p.At, s.Now()
	r.Cause = store.Cause{SIP: status.Code, Text: status.Phrase()}
	if status.Err != nil {
		r.Cause.Text = redact.Text(status.Err.Error())
	}
	claims := callflow.ReadClaims(p.Msg)
	h.sips = claims.SIPS
	h.leg(&r.In)
	r.Verdict, r.VerdictWhy = callflow.Judge([]callflow.Protection{h.seen}, claims.SIPS, claims)
	e.verdicts.add(r.Verdict)
	from.State.In.Refused(peer.ClassOf(status.Code))
	e.ways.CDR(r)
	ev := &c.event
	*ev = events.Event{
		Type: events.CallFailed, At: r.Ended,
		Call:    events.Call{ID: r.ID, From: from.Name, Caller: r.Caller, Called: r.Called, Route: route, CallID: h.callID, Connection: r.In.Connection},
		Failure: events.Failure{Code: status.Code, Text: r.Cause.Text, Hop: "in", Peer: from.Name, Address: r.In.Remote},
		End:     events.End{By: "gateway", Text: r.Cause.Text, Verdict: r.Verdict},
	}
	e.ways.Emit(ev)
}

// callerOf is the user of From, or the whole URI when it has none.
func callerOf(m *sip.Message) string {
	from, err := m.From()
	if err != nil {
		return ""
	}
	uri, err := from.URI()
	if err != nil || len(uri.User) == 0 {
		return redact.Text(string(from.RawURI))
	}
	return string(uri.User)
}

// calledOf is the user of the Request-URI, or all of it but a password when it has none or is no SIP URI.
func calledOf(m *sip.Message) string {
	uri, err := sip.ParseURI(m.RequestURI())
	if err != nil || len(uri.User) == 0 || !uri.Is("sip") && !uri.Is("sips") && !uri.Is("tel") {
		return redact.Text(string(m.RequestURI()))
	}
	return string(uri.User)
}

// q850 finds the cause of the protocol Q.850 in the values of a Reason header
// (RFC 3326 §2), 0 when there is none.
func q850(reason string) int {
	for value := range split(reason, ',') {
		protocol, params, _ := strings.Cut(value, ";")
		if !strings.EqualFold(strings.TrimSpace(protocol), "Q.850") {
			continue
		}
		for param := range split(params, ';') {
			name, text, _ := strings.Cut(param, "=")
			if !strings.EqualFold(strings.TrimSpace(name), "cause") {
				continue
			}
			if n, err := strconv.ParseUint(strings.TrimSpace(text), 10, 7); err == nil {
				return int(n)
			}
		}
	}
	return 0
}

// split cuts a header's value at a byte, but not inside quotes.
func split(s string, at byte) iter.Seq[string] {
	return func(yield func(string) bool) {
		from, quoted := 0, false
		for i := 0; i < len(s); i++ {
			switch {
			case s[i] == '\\' && quoted:
				i++
			case s[i] == '"':
				quoted = !quoted
			case s[i] == at && !quoted:
				if !yield(s[from:i]) {
					return
				}
				from = i + 1
			}
		}
		yield(s[from:])
	}
}

// reasonOf is the value of a message's Reason headers, as one.
func reasonOf(m *sip.Message) string {
	var all [][]byte
	for v := range m.Values(sip.HdrReason) {
		all = append(all, v)
	}
	return string(bytes.Join(all, []byte(", ")))
}

// link describes a connection for the records of all calls on it.
type link struct {
	id        uint64
	transport string
	remote    string
	tls       *store.TLS
	agreed    *callflow.TLS // the same, for the call's flow
	seen      callflow.Protection
	knownBy   string // "certificate", "address"
}

// linkKey names one: on UDP one socket reaches many.
type linkKey struct {
	id     uint64
	remote netip.AddrPort
}

// maxLinks is how many descriptions a shard keeps at hand.
const maxLinks = 1024

// link describes the connection of a flow. The words are made once, not for
// each call.
func (c *calls) link(f ua.Flow) *link {
	info := f.Conn.Info()
	key := linkKey{info.ID, info.Remote}
	if !info.Transport.Reliable() {
		key.remote = f.Addr
	}
	if l := c.links[key]; l != nil {
		return l
	}
	t := c.ways.TLS(f.Conn)
	l := &link{id: info.ID, transport: info.Transport.String(), remote: key.remote.String(), tls: agreed(f.Conn, t), agreed: t}
	l.seen, l.knownBy = callflow.ProtectionOf(t), "address"
	if t != nil && len(t.PeerNames) > 0 {
		l.knownBy = "certificate"
	}
	if len(c.links) >= maxLinks {
		clear(c.links)
	}
	c.links[key] = l
	return l
}

// agreed describes the TLS of a connection, nil when it has none.
func agreed(conn *transport.Conn, t *callflow.TLS) *store.TLS {
	if t == nil {
		return nil
	}
	return &store.TLS{
		Version: t.Version, Suite: t.Suite, Group: t.Group, Resumed: t.Resumed, Mutual: t.Mutual,
		Identity: t.PeerNames, Handshake: conn.HandshakeTime(),
	}
}
