package export

import (
	"encoding/json"
	"io"
	"net/netip"
	"reflect"
	"time"
	"unicode/utf8"

	"github.com/sallyport-sip/sallyport/internal/callflow"
)

// JSON writes one document, described in docs/reference/flow-json.md. Names that stand there do not change their
// meaning; more may be added.
func JSON(w io.Writer, flows []*callflow.Flow, _ Options) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(NewDocument(flows))
}

// NewDocument is what JSON writes, for whoever puts it into something larger.
func NewDocument(flows []*callflow.Flow) Document {
	d := Document{Version: Version, Calls: []DocumentCall{}}
	for _, f := range flows {
		if d.Gateway == "" {
			d.Gateway = gatewayOf(f)
		}
		d.Calls = append(d.Calls, Call(f))
	}
	return d
}

func gatewayOf(f *callflow.Flow) string {
	for _, l := range f.Lifelines {
		if l.Gateway {
			return l.Name
		}
	}
	return ""
}

// Call returns what JSON writes of one flow, for whoever writes many and keeps
// none.
func Call(f *callflow.Flow) DocumentCall {
	c := DocumentCall{
		ID: f.ID, State: f.State, Sentence: f.Sentence, Done: f.Done, Start: f.Start.UTC(), Duration: micros(f.Duration), Setup: micros(f.Setup),
		From: f.From, To: f.To, Joins: append([]callflow.Edge{}, f.Joins...), Session: f.Session, Security: documentSecure(f.Security),
		Findings: append([]callflow.Finding{}, f.Findings...), Related: append([]callflow.Relation{}, f.Related...),
		Lifelines: []DocumentLifeline{}, Legs: []DocumentLeg{}, Events: []DocumentEvent{},
	}
	for i := range c.Findings {
		c.Findings[i].Rows = append([]int{}, c.Findings[i].Rows...)
	}
	for _, l := range f.Lifelines {
		c.Lifelines = append(c.Lifelines, DocumentLifeline(l))
	}
	for _, l := range f.Legs {
		c.Legs = append(c.Legs, DocumentLeg{
			Name: l.Name, Direction: l.Direction.String(), Peer: l.Peer, CallID: l.CallID, Lifeline: l.Lifeline,
			Hop: documentHop(&l.Hop, f.Start),
		})
	}
	drawn := make([]int, len(f.Legs)) // of each leg's handshake, how many steps have their row
	for i := range f.Rows {
		c.Events = append(c.Events, documentEvent(f, &f.Rows[i], drawn))
	}
	return c
}

func documentEvent(f *callflow.Flow, r *callflow.Row, drawn []int) DocumentEvent {
	e := DocumentEvent{
		Row: r.Number, Seq: r.Seq, At: r.At.UTC(), AtMicros: r.Since.Microseconds(), Kind: r.Kind,
		From: f.Lifelines[r.From].Name, To: f.Lifelines[r.To].Name, FromLine: r.From, ToLine: r.To,
		Label: r.Label, Note: r.Note, Bad: r.Bad, Open: r.Open, Took: micros(r.Took), Repeat: r.Repeat,
	}
	if r.Leg >= 0 {
		e.Leg = f.Legs[r.Leg].Name
	}
	if r.Step != nil {
		e.Number = r.Step.Number
		e.Step = stepRef(f, r, drawn)
	}
	if utf8.Valid(r.Raw) {
		e.Raw = string(r.Raw)
	} else {
		e.RawBase64 = r.Raw
	}
	return e
}

// stepRef finds the step of a row in the handshake of its leg. Rows and steps have the same order, so each search goes on
// where the one before ended.
func stepRef(f *callflow.Flow, r *callflow.Row, drawn []int) *DocumentStepRef {
	if r.Leg >= 0 {
		steps := f.Legs[r.Leg].Hop.Handshake
		for i := drawn[r.Leg]; i < len(steps); i++ {
			if steps[i].Step == r.Step || reflect.DeepEqual(steps[i].Step, r.Step) {
				drawn[r.Leg] = i + 1
				return &DocumentStepRef{Index: i}
			}
		}
	}
	s := documentStep(r.Step, f.Start, r.Since)
	return &DocumentStepRef{Step: &s}
}

func documentHop(h *callflow.Hop, start time.Time) DocumentHop {
	d := DocumentHop{Refused: h.Refused, Handshake: []DocumentStep{}, Verdicts: []DocumentVerdict{}}
	if l := h.Link; l != nil {
		d.Connection, d.Inbound, d.Transport, d.Listener, d.Peer = l.ID, l.Inbound, l.Transport, l.Listener, l.Peer
		d.Local, d.Remote = address(l.Local), address(l.Remote)
		d.TLS = documentTLS(l.TLS)
		if !l.Opened.IsZero() {
			d.Opened = l.Opened.UTC()
		}
	}
	if h.Reused != nil {
		d.Reused = &DocumentReuse{AgeMicros: h.Reused.Age.Microseconds(), Call: h.Reused.Nth}
	}
	for _, s := range h.Handshake {
		d.Handshake = append(d.Handshake, documentStep(s.Step, start, s.Since))
	}
	for _, v := range h.Verdicts {
		d.Verdicts = append(d.Verdicts, DocumentVerdict{
			By: side(v.ByGateway), Accepted: v.Accepted, Undecided: v.Undecided, KnownBy: v.KnownBy, Code: v.Code,
			Reason: v.Reason, Remedy: v.Remedy,
		})
	}
	return d
}

func documentStep(s *callflow.Step, start time.Time, since time.Duration) DocumentStep {
	d := DocumentStep{
		AtMicros: since.Microseconds(), At: start.Add(since).UTC(), From: side(s.ByGateway), Step: s.Name, Number: s.Number,
		Encrypted: s.Encrypted, Version: s.Version, Offered: s.Offered, Suite: s.Suite, Group: s.Group, ServerName: s.ServerName,
		Alert: s.Alert.Name, AlertCode: s.Alert.Code, AlertFatal: s.Alert.Fatal, Length: s.Length, Note: s.Note,
	}
	if c := s.Certificate; c != nil {
		d.Certificate = &DocumentCertificate{
			Subject: c.Subject, Issuer: c.Issuer, Names: append([]string{}, c.Names...),
			NotBefore: c.NotBefore.UTC(), NotAfter: c.NotAfter.UTC(), SelfSigned: c.SelfSigned, Chain: c.Chain,
		}
	}
	return d
}

func documentSecure(v *callflow.Security) *DocumentSecure {
	if v == nil {
		return nil
	}
	d := &DocumentSecure{Word: v.Word, Why: v.Why, Claims: append([]string{}, v.Claims...), Hops: []DocumentSecureHop{}}
	for i := range v.Hops {
		h := &v.Hops[i]
		s := DocumentSecureHop{
			Direction: h.Direction.String(), Peer: h.Peer, SIPS: h.SIPS, Transport: h.Transport, TLS: documentTLS(h.TLS),
			KnownBy: h.KnownBy(), Plain: h.Seen&callflow.OverPlain != 0, Seen: []string{},
		}
		for _, p := range protections {
			if h.Seen&p.bit != 0 {
				s.Seen = append(s.Seen, p.word)
			}
		}
		d.Hops = append(d.Hops, s)
	}
	return d
}

func documentTLS(t *callflow.TLS) *DocumentTLS {
	if t == nil {
		return nil
	}
	return &DocumentTLS{
		Version: t.Version, Suite: t.Suite, Group: t.Group, Mutual: t.Mutual,
		PeerNames: append([]string{}, t.PeerNames...), Resumed: t.Resumed,
	}
}

func side(gateway bool) string {
	if gateway {
		return "gateway"
	}
	return "peer"
}

func address(a netip.AddrPort) string {
	if !a.IsValid() {
		return ""
	}
	return a.String()
}
