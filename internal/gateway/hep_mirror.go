package gateway

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"time"

	"github.com/sallyport-sip/sallyport/internal/callflow"
	"github.com/sallyport-sip/sallyport/internal/config"
	"github.com/sallyport-sip/sallyport/internal/hep"
	"github.com/sallyport-sip/sallyport/internal/recorder"
	"github.com/sallyport-sip/sallyport/sip"
)

// mirror makes HEP of the recorder's events: each SIP message with what its call has in common, and for each TLS handshake a summary
// as JSON, together with the first message that crosses the connection, or with the call that failed for it. Owned by its goroutine.
type mirror struct {
	recorder *recorder.Recorder
	cursor   *recorder.Cursor
	to       []collector

	calls  generations[uint64, common]   // by number
	legs   generations[string, common]   // by Call-ID
	shakes generations[uint64, *summary] // by connection, those that no message has crossed yet
	failed map[string]*summary           // by peer, refused ones that wait for the call that failed for them
	causes generations[string, troubled] // by peer, the calls that failed last
}

// common is what the messages of one call have in common: by the session and by the caller's Call-ID.
type common struct{ session, callID string }

func (c common) by(how config.Correlation) string {
	if how == config.BySession && c.session != "" {
		return c.session
	}
	return c.callID
}

// troubled is a call that failed for a peer, and when.
type troubled struct {
	common
	at time.Time
}

// within is for how long a failed call and a failed handshake with the same peer belong together.
const within = 5 * time.Second

// mostRemembered bounds each map of the mirror; what is twice as old as that many entries is forgotten.
const mostRemembered = 50_000

func newMirror(r *recorder.Recorder) *mirror {
	return &mirror{recorder: r, cursor: r.Cursor(), failed: make(map[string]*summary)}
}

// generations is a map that forgets its oldest half.
type generations[K comparable, V any] struct{ now, before map[K]V }

func (g *generations[K, V]) get(k K) (V, bool) {
	if v, ok := g.now[k]; ok {
		return v, true
	}
	v, ok := g.before[k]
	if ok {
		g.put(k, v)
	}
	return v, ok
}

func (g *generations[K, V]) put(k K, v V) {
	if g.now == nil || len(g.now) >= mostRemembered {
		g.now, g.before = make(map[K]V), g.now
	}
	g.now[k] = v
}

func (g *generations[K, V]) remove(k K) {
	delete(g.now, k)
	delete(g.before, k)
}

// event sends what there is to send of one event.
func (m *mirror) event(e *callflow.Event) {
	switch e.Kind {
	case callflow.Message:
		m.message(e)
	case callflow.LegCreated, callflow.TargetFailed:
		if e.Call != nil {
			m.record(e)
		}
	case callflow.Opened:
		if e.Link != nil && (e.Link.Transport == "tls" || e.Link.Transport == "wss") {
			m.shakes.put(e.Link.ID, &summary{at: e.At})
		}
	case callflow.HandshakeStep, callflow.Judged, callflow.Ready, callflow.Refused:
		if e.Link != nil {
			m.handshake(e)
		}
	case callflow.Closed:
		if e.Link != nil {
			if s, ok := m.shakes.get(e.Link.ID); ok && s.Outcome != "" { // good, and nobody ever said anything
				m.tell(s, common{})
			}
			m.shakes.remove(e.Link.ID)
		}
	}
}

// message sends a SIP message.
func (m *mirror) message(e *callflow.Event) {
	callID, session := identify(e)
	c, known := m.legs.get(callID)
	if !known {
		c = common{session, callID}
		m.legs.put(callID, c)
	}
	p := hep.Packet{Kind: hep.SIP, At: e.At, Payload: e.Raw, UDP: true}
	var local netip.AddrPort
	if l := e.Link; l != nil {
		if s, ok := m.shakes.get(l.ID); ok && s.Outcome != "" {
			m.tell(s, c)
			m.shakes.remove(l.ID)
		}
		p.UDP, local = l.Transport == "udp", l.Local
		if !e.Remote.IsValid() {
			e.Remote = l.Remote
		}
	}
	p.From, p.To = e.Remote, local
	if e.Out {
		p.From, p.To = p.To, p.From
	}
	m.send(&p, c)
}

// identify reads what tells a message's call: its Call-ID, and the session of the request that begins it.
func identify(e *callflow.Event) (callID, session string) {
	msg := sip.Acquire()
	defer msg.Release()
	_ = msg.Load(e.Raw) // one with an error is sent too
	callID = string(msg.CallID())
	if id, err := msg.SessionID(); err == nil && msg.IsRequest() && !sip.NullUUID(id.Local) {
		session = string(id.Local)
	}
	return callID, session
}

// record joins the legs of a call, and a handshake that failed with the call that failed for it.
func (m *mirror) record(e *callflow.Event) {
	k := e.Call
	if e.Kind == callflow.LegCreated && k.Direction == callflow.In {
		c, ok := m.legs.get(k.CallID)
		if !ok {
			c = common{callID: k.CallID}
		}
		m.calls.put(k.Number, c)
		return
	}
	c, ok := m.calls.get(k.Number)
	if !ok {
		return
	}
	if e.Kind == callflow.LegCreated {
		m.legs.put(k.CallID, c)
		return
	}
	if s := m.failed[k.Peer]; s != nil {
		delete(m.failed, k.Peer)
		m.tell(s, c)
		return
	}
	m.causes.put(k.Peer, troubled{c, e.At})
}

// handshake gathers what becomes of a handshake. A refused one is told at once, unless the call that it was for is still to be known.
func (m *mirror) handshake(e *callflow.Event) {
	s, ok := m.shakes.get(e.Link.ID)
	if !ok {
		if e.Kind != callflow.Refused || e.Link.Transport != "tls" && e.Link.Transport != "wss" {
			return
		}
		s = &summary{at: e.At}
	}
	switch e.Kind {
	case callflow.HandshakeStep:
		s.Steps++
	case callflow.Judged:
		s.judge(e.Verdict)
	case callflow.Ready:
		s.end(e, "accepted")
	case callflow.Refused:
		s.end(e, "refused")
		s.Reason = e.Reason
		m.shakes.remove(e.Link.ID)
		m.refused(e, s)
	}
}

func (m *mirror) refused(e *callflow.Event, s *summary) {
	peer := e.Link.Peer
	if e.Link.Inbound || peer == "" {
		m.tell(s, common{})
		return
	}
	if c, ok := m.causes.get(peer); ok && e.At.Sub(c.at) < within {
		m.causes.remove(peer)
		m.tell(s, c.common)
		return
	}
	if before := m.failed[peer]; before != nil {
		m.tell(before, common{})
	}
	m.failed[peer] = s
}

// release tells of handshakes for which no call has failed in time.
func (m *mirror) release(now time.Time) {
	for peer, s := range m.failed {
		if now.Sub(s.ended) >= within {
			delete(m.failed, peer)
			m.tell(s, common{})
		}
	}
}

// summary is a handshake as a collector is told of it. HEP has no number for TLS, so it is JSON in a packet of logs.
type summary struct {
	Event      string         `json:"event"` // tls_handshake
	Outcome    string         `json:"outcome"`
	Reason     string         `json:"reason,omitempty"`
	Connection uint64         `json:"connection"`
	Inbound    bool           `json:"inbound"`
	Transport  string         `json:"transport"`
	Peer       string         `json:"peer,omitempty"`
	Listener   string         `json:"listener,omitempty"`
	Local      netip.AddrPort `json:"local"`
	Remote     netip.AddrPort `json:"remote"`
	Version    string         `json:"version,omitempty"`
	Suite      string         `json:"suite,omitempty"`
	Group      string         `json:"group,omitempty"`
	Mutual     bool           `json:"mutual"`
	Resumed    bool           `json:"resumed"`
	Names      []string       `json:"peer_names,omitempty"`
	Steps      int            `json:"steps"`
	Took       int64          `json:"took_us"`

	Verdicts []callflow.Verdict `json:"verdicts,omitempty"`

	at, ended time.Time
}

// mostVerdicts of a handshake are told.
const mostVerdicts = 16

func (s *summary) judge(v *callflow.Verdict) {
	if v != nil && len(s.Verdicts) < mostVerdicts {
		s.Verdicts = append(s.Verdicts, *v)
	}
}

func (s *summary) end(e *callflow.Event, outcome string) {
	l := e.Link
	s.Event, s.Outcome, s.ended = "tls_handshake", outcome, e.At
	s.Connection, s.Inbound, s.Transport, s.Peer, s.Listener = l.ID, l.Inbound, l.Transport, l.Peer, l.Listener
	s.Local, s.Remote, s.Took = l.Local, l.Remote, e.At.Sub(s.at).Microseconds()
	if t := l.TLS; t != nil {
		s.Version, s.Suite, s.Group, s.Mutual, s.Resumed, s.Names = t.Version, t.Suite, t.Group, t.Mutual, t.Resumed, t.PeerNames
	}
}

// tell sends a summary. One of no call has the connection's address in flows as what it has in common.
func (m *mirror) tell(s *summary, c common) {
	if c.callID == "" {
		c.callID = fmt.Sprintf("conn-%d", s.Connection)
	}
	payload, err := json.Marshal(s)
	if err != nil {
		return // there is nothing in it that JSON cannot hold
	}
	p := hep.Packet{Kind: hep.Log, At: s.ended, From: s.Remote, To: s.Local, Payload: payload}
	if !s.Inbound {
		p.From, p.To = p.To, p.From
	}
	m.send(&p, c)
}

func (m *mirror) send(p *hep.Packet, c common) {
	for i := range m.to {
		p.Correlation = c.by(m.to[i].config.Correlation)
		m.to[i].sender.Send(p)
	}
}
