package export

import (
	"encoding/json"
	"io"
	"net/netip"
	"time"

	"github.com/sallyport-sip/sallyport/internal/callflow"
)

// JSON writes one document, described in docs/reference/flow-json.md. Names that stand there do not change their
// meaning; more may be added.
func JSON(w io.Writer, flows []*callflow.Flow, _ Options) error {
	doc := Document{Calls: []DocumentCall{}}
	for _, f := range flows {
		doc.Calls = append(doc.Calls, documentCall(f))
	}
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(doc)
}

// A Document is what JSON writes.
type Document struct {
	Calls []DocumentCall `json:"calls"`
}

// A DocumentCall is one flow.
type DocumentCall struct {
	ID       string          `json:"id"`
	State    callflow.State  `json:"state"`
	Sentence string          `json:"sentence"`
	Start    time.Time       `json:"start"`
	From     string          `json:"from"`
	To       string          `json:"to"`
	Security *DocumentSecure `json:"security,omitempty"`
	Legs     []DocumentLeg   `json:"legs"`
	Events   []DocumentEvent `json:"events"`
}

// A DocumentSecure is the verdict on the signalling of a call.
type DocumentSecure struct {
	Word   string              `json:"word"`
	Why    string              `json:"why"`
	Hops   []DocumentSecureHop `json:"hops"`
	Claims []string            `json:"claims"`
}

// A DocumentSecureHop is one hop of it, as the gateway saw it.
type DocumentSecureHop struct {
	Direction string       `json:"direction"`
	Peer      string       `json:"peer"`
	SIPS      bool         `json:"sips"`
	Transport string       `json:"transport"`
	TLS       *DocumentTLS `json:"tls"`
	KnownBy   string       `json:"known_by"`
	Plain     bool         `json:"plain"` // of its messages some went without TLS
}

func documentSecure(v *callflow.Security) *DocumentSecure {
	if v == nil {
		return nil
	}
	d := &DocumentSecure{Word: v.Word, Why: v.Why, Claims: append([]string{}, v.Claims...), Hops: []DocumentSecureHop{}}
	for i := range v.Hops {
		h := &v.Hops[i]
		d.Hops = append(d.Hops, DocumentSecureHop{h.Direction.String(), h.Peer, h.SIPS, h.Transport, documentTLS(h.TLS), h.KnownBy(), h.Seen&callflow.OverPlain != 0})
	}
	return d
}

// A DocumentLeg is one leg with its hop.
type DocumentLeg struct {
	Name      string      `json:"name"`
	Direction string      `json:"direction"`
	Peer      string      `json:"peer"`
	CallID    string      `json:"call_id"`
	Hop       DocumentHop `json:"hop"`
}

// A DocumentHop is the connection of a leg.
type DocumentHop struct {
	Connection uint64            `json:"connection"`
	Transport  string            `json:"transport"`
	Local      string            `json:"local"`
	Remote     string            `json:"remote"`
	Reused     *DocumentReuse    `json:"reused,omitempty"`
	TLS        *DocumentTLS      `json:"tls"`
	Handshake  []DocumentStep    `json:"handshake"`
	Verdicts   []DocumentVerdict `json:"verdicts"`
}

// A DocumentReuse says that another call opened the connection.
type DocumentReuse struct {
	AgeMicros int64 `json:"age_us"`
	Call      int   `json:"call,omitempty"`
}

// A DocumentTLS is what the handshake agreed.
type DocumentTLS struct {
	Version   string   `json:"version"`
	Suite     string   `json:"suite"`
	Group     string   `json:"group"`
	Mutual    bool     `json:"mutual"`
	PeerNames []string `json:"peer_names"`
	Resumed   bool     `json:"resumed"`
}

// A DocumentStep is one handshake message.
type DocumentStep struct {
	AtMicros  int64  `json:"at_us"`
	From      string `json:"from"`
	Step      string `json:"step"`
	Number    int    `json:"number,omitempty"`
	Encrypted bool   `json:"encrypted,omitempty"`
	Alert     string `json:"alert,omitempty"`
}

// A DocumentVerdict is what one side decided.
type DocumentVerdict struct {
	By       string `json:"by"`
	Accepted bool   `json:"accepted"`
	KnownBy  string `json:"known_by"`
	Code     string `json:"code"`
	Reason   string `json:"reason"`
	Remedy   string `json:"remedy"`
}

// A DocumentEvent is one row of the ladder.
type DocumentEvent struct {
	AtMicros int64  `json:"at_us"`
	Kind     string `json:"kind"`
	From     string `json:"from"`
	To       string `json:"to"`
	Label    string `json:"label"`
	Note     string `json:"note,omitempty"`
	Leg      string `json:"leg,omitempty"`
	Number   int    `json:"number,omitempty"`
	Bad      bool   `json:"bad,omitempty"`
	Repeat   int    `json:"repeat,omitempty"`
}

// Call returns what JSON writes of one flow, for whoever writes many and keeps
// none.
func Call(f *callflow.Flow) DocumentCall { return documentCall(f) }

func documentCall(f *callflow.Flow) DocumentCall {
	c := DocumentCall{
		ID: f.ID, State: f.State, Sentence: f.Sentence, Start: f.Start.UTC(), From: f.From, To: f.To,
		Security: documentSecure(f.Security), Legs: []DocumentLeg{}, Events: []DocumentEvent{},
	}
	for _, l := range f.Legs {
		c.Legs = append(c.Legs, DocumentLeg{
			Name: l.Name, Direction: l.Direction.String(), Peer: l.Peer, CallID: l.CallID, Hop: documentHop(&l.Hop),
		})
	}
	for i := range f.Rows {
		r := &f.Rows[i]
		e := DocumentEvent{
			AtMicros: r.Since.Microseconds(), Kind: string(r.Kind), From: f.Lifelines[r.From].Name,
			To: f.Lifelines[r.To].Name, Label: r.Label, Note: r.Note, Bad: r.Bad, Repeat: r.Repeat,
		}
		if r.Leg >= 0 {
			e.Leg = f.Legs[r.Leg].Name
		}
		if r.Step != nil {
			e.Number = r.Step.Number
		}
		c.Events = append(c.Events, e)
	}
	return c
}

func documentHop(h *callflow.Hop) DocumentHop {
	d := DocumentHop{Handshake: []DocumentStep{}, Verdicts: []DocumentVerdict{}}
	if l := h.Link; l != nil {
		d.Connection, d.Transport = l.ID, l.Transport
		d.Local, d.Remote = address(l.Local), address(l.Remote)
		d.TLS = documentTLS(l.TLS)
	}
	if h.Reused != nil {
		d.Reused = &DocumentReuse{AgeMicros: h.Reused.Age.Microseconds(), Call: h.Reused.Nth}
	}
	for _, s := range h.Handshake {
		d.Handshake = append(d.Handshake, DocumentStep{
			AtMicros: s.Since.Microseconds(), From: side(s.ByGateway), Step: s.Name, Number: s.Number,
			Encrypted: s.Encrypted, Alert: s.Alert.Name,
		})
	}
	for _, v := range h.Verdicts {
		d.Verdicts = append(d.Verdicts, DocumentVerdict{
			By: side(v.ByGateway), Accepted: v.Accepted, KnownBy: v.KnownBy, Code: v.Code, Reason: v.Reason, Remedy: v.Remedy,
		})
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
