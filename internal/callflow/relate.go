package callflow

import (
	"bytes"
	"net/url"
	"strings"
	"time"

	"github.com/sallyport-sip/sallyport/sip"
)

// An Edge says why two legs are one call.
type Edge struct {
	A        string `json:"a"` // names of legs
	B        string `json:"b"`
	Evidence string `json:"evidence"` // ByRecord or BySessionID
	Score    int    `json:"score"`    // how sure it is, of 100
	Words    string `json:"words,omitempty"`
}

// String is the evidence as a person reads it.
func (e Edge) String() string {
	s := e.Evidence
	switch e.Evidence {
	case ByRecord:
		s = "the gateway's record"
	case BySessionID:
		s += " (RFC 7989)"
	}
	if e.Words != "" {
		s += ": " + e.Words
	}
	return s
}

// The evidence of edges.
const (
	ByRecord    = "gateway record" // the gateway made one leg for the other, and says so
	BySessionID = "Session-ID"     // both have the UUID of who called (RFC 7989)
)

// edges lists what joins the legs of a call with the first one.
func (k *call) edges() (all []Edge) {
	for _, l := range k.legs[1:] {
		first := k.legs[0]
		if k.joined && l.created > 0 {
			all = append(all, Edge{first.Name, l.Name, ByRecord, 100, l.why})
		}
		if first.session != "" && l.session == first.session {
			all = append(all, Edge{first.Name, l.Name, BySessionID, 97, "both have " + l.session})
		}
	}
	return all
}

// A naming is a message that names a dialog of another call, or where the call came from.
type naming struct {
	kind   *kinship
	callID string // of the dialog; empty: who is what is named
	who    string // user@host
	seq    uint64
}

// A kinship is how two flows have to do with one another, said of each.
type kinship struct{ this, other string }

var (
	kinReplaces = &kinship{"replaces", "replaced by"}            // RFC 3891
	kinJoins    = &kinship{"joins", "joined by"}                 // RFC 3911
	kinTransfer = &kinship{"transferred to", "transferred from"} // RFC 5589 §7: a REFER to who shall replace that dialog
	kinTarget   = &kinship{"refers to", "referred to by"}        // RFC 4538
	kinForward  = &kinship{"forwarded from", "forwarded to"}     // RFC 5806
	kinSession  = &kinship{"same session as", "same session as"} // RFC 7989
)

// names reads what a request names of other calls.
func names(p *sip.Message) (all []naming) {
	if d, err := p.Replaces(); err == nil {
		all = append(all, naming{kind: kinReplaces, callID: string(d.CallID)})
	}
	if d, err := p.Join(); err == nil {
		all = append(all, naming{kind: kinJoins, callID: string(d.CallID)})
	}
	if d, err := p.TargetDialog(); err == nil {
		all = append(all, naming{kind: kinTarget, callID: string(d.CallID)})
	}
	if id := embedded(p.First(sip.HdrReferTo)); id != "" {
		all = append(all, naming{kind: kinTransfer, callID: id})
	}
	for a, err := range p.Addresses(sip.HdrDiversion) {
		if err == nil {
			all = append(all, naming{kind: kinForward, who: who(a)})
		}
		break
	}
	return all
}

// embedded is the Call-ID in the Replaces that a Refer-To carries in its URI, escaped (RFC 3261 §19.1.1).
func embedded(referTo []byte) string {
	at := bytes.Index(bytes.ToLower(referTo), []byte("replaces="))
	if at < 0 {
		return ""
	}
	value := referTo[at+len("replaces="):]
	if end := bytes.IndexAny(value, "&>"); end >= 0 {
		value = value[:end]
	}
	plain, err := url.PathUnescape(string(value))
	if err != nil {
		return ""
	}
	id, _, _ := strings.Cut(plain, ";")
	return strings.TrimSpace(id)
}

// forwardedWithin is how long before a forwarded call the one may have begun that it comes from.
const forwardedWithin = 3 * time.Minute

// relate ties flows to one another that are not one call. They are in the order of their starts.
func (w *walk) relate() {
	ids := map[string]*call{}
	sessions := map[string][]*call{}
	for _, k := range w.calls {
		for _, l := range k.legs {
			if l.CallID != "" {
				ids[l.CallID] = k
			}
		}
		if s := k.flow.Session; s != "" && len(k.flow.Rows) > 0 {
			sessions[s] = append(sessions[s], k)
		}
	}
	for _, k := range w.calls {
		for _, n := range k.names {
			other := ids[n.callID]
			if n.callID == "" {
				other = w.forwarder(k, n.who)
			}
			k.tie(other, n.kind, n.seq)
		}
	}
	for _, same := range sessions {
		for i := 1; i < len(same); i++ {
			same[i].tie(same[i-1], kinSession, 0)
		}
	}
}

// forwarder is the latest call to somebody that began shortly before another one.
func (w *walk) forwarder(k *call, whom string) (found *call) {
	for _, o := range w.calls {
		before := k.flow.Start.Sub(o.flow.Start)
		if o != k && whom != "" && o.to == whom && before >= 0 && before <= forwardedWithin && (found == nil || o.flow.Start.After(found.flow.Start)) {
			found = o
		}
	}
	return found
}

// tie writes a relation into both flows, once.
func (k *call) tie(other *call, kin *kinship, seq uint64) {
	if other == nil || other == k || len(other.flow.Rows) == 0 || len(k.flow.Rows) == 0 {
		return
	}
	row := 1
	for i := range k.flow.Rows {
		if r := &k.flow.Rows[i]; r.Seq == seq && r.Kind == RowSIP {
			row = r.Number
			break
		}
	}
	for _, r := range k.flow.Related {
		if r.Kind == kin.this && r.Flow == other.flow.ID {
			return
		}
	}
	k.flow.Related = append(k.flow.Related, Relation{Kind: kin.this, Flow: other.flow.ID, Row: row})
	other.flow.Related = append(other.flow.Related, Relation{Kind: kin.other, Flow: k.flow.ID, Row: 1})
}
