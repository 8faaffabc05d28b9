package export

import (
	"encoding/json"
	"errors"
	"math"
	"strconv"
	"time"

	"github.com/sallyport-sip/sallyport/internal/callflow"
)

// Version is the version of the document that JSON writes and Decode reads. It changes only when a reader of the one
// before would misunderstand what it reads; fields that are merely new do not change it.
const Version = 1

// A Document is what JSON writes: docs/reference/flow-json.md has its fields. It holds all that a drawing needs, so that
// a page, a terminal or a file draws what the gateway would.
type Document struct {
	Version int            `json:"version"`
	Gateway string         `json:"gateway"` // the name of its lifeline
	Calls   []DocumentCall `json:"calls"`
}

// A DocumentCall is one flow.
type DocumentCall struct {
	ID        string              `json:"id"`
	State     callflow.State      `json:"state"`
	Sentence  string              `json:"sentence"`
	Done      bool                `json:"done"`
	Start     time.Time           `json:"start"`
	Duration  micros              `json:"duration_us"`
	Setup     micros              `json:"setup_us"`
	From      string              `json:"from"`
	To        string              `json:"to"`
	Joins     []callflow.Edge     `json:"joins"`
	Session   string              `json:"session"`
	Security  *DocumentSecure     `json:"security,omitempty"`
	Findings  []callflow.Finding  `json:"findings"`
	Related   []callflow.Relation `json:"related"`
	Lifelines []DocumentLifeline  `json:"lifelines"`
	Legs      []DocumentLeg       `json:"legs"`
	Events    []DocumentEvent     `json:"events"`
}

// A DocumentLifeline is one vertical line of the ladder.
type DocumentLifeline struct {
	Name    string `json:"name"`
	Address string `json:"address"`
	Gateway bool   `json:"gateway"`
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
	Seen      []string     `json:"seen"`  // what its connections were, all of them together: words of protections
}

// A DocumentLeg is one leg with its hop.
type DocumentLeg struct {
	Name      string      `json:"name"`
	Direction string      `json:"direction"`
	Peer      string      `json:"peer"`
	CallID    string      `json:"call_id"`
	Lifeline  int         `json:"lifeline"`
	Hop       DocumentHop `json:"hop"`
}

// A DocumentHop is the connection of a leg.
type DocumentHop struct {
	Connection uint64            `json:"connection"`
	Inbound    bool              `json:"inbound"`
	Transport  string            `json:"transport"`
	Local      string            `json:"local"`
	Remote     string            `json:"remote"`
	Listener   string            `json:"listener"`
	Peer       string            `json:"peer"`
	Opened     time.Time         `json:"opened,omitzero"`
	Refused    bool              `json:"refused"`
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
	AtMicros    int64                `json:"at_us"`
	At          time.Time            `json:"at"`
	From        string               `json:"from"`
	Step        string               `json:"step"`
	Number      int                  `json:"number,omitempty"`
	Encrypted   bool                 `json:"encrypted,omitempty"`
	Version     string               `json:"version,omitempty"`
	Offered     []string             `json:"offered,omitempty"`
	Suite       string               `json:"suite,omitempty"`
	Group       string               `json:"group,omitempty"`
	ServerName  string               `json:"server_name,omitempty"`
	Certificate *DocumentCertificate `json:"certificate,omitempty"`
	Alert       string               `json:"alert,omitempty"`
	AlertCode   int                  `json:"alert_code,omitempty"`
	AlertFatal  bool                 `json:"alert_fatal,omitempty"`
	Length      int                  `json:"length,omitempty"`
	Note        string               `json:"note,omitempty"`
}

// A DocumentCertificate is what a Certificate message showed first.
type DocumentCertificate struct {
	Subject    string    `json:"subject"`
	Issuer     string    `json:"issuer"`
	Names      []string  `json:"names"`
	NotBefore  time.Time `json:"not_before"`
	NotAfter   time.Time `json:"not_after"`
	SelfSigned bool      `json:"self_signed"`
	Chain      int       `json:"chain"`
}

// A DocumentVerdict is what one side decided.
type DocumentVerdict struct {
	By        string `json:"by"`
	Accepted  bool   `json:"accepted"`
	Undecided bool   `json:"undecided,omitempty"`
	KnownBy   string `json:"known_by"`
	Code      string `json:"code"`
	Reason    string `json:"reason"`
	Remedy    string `json:"remedy"`
}

// A DocumentEvent is one row of the ladder.
type DocumentEvent struct {
	Row       int              `json:"row"`
	Seq       uint64           `json:"seq"`
	At        time.Time        `json:"at"`
	AtMicros  int64            `json:"at_us"`
	Kind      callflow.RowKind `json:"kind"`
	From      string           `json:"from"`
	To        string           `json:"to"`
	FromLine  int              `json:"from_line"`
	ToLine    int              `json:"to_line"`
	Label     string           `json:"label"`
	Note      string           `json:"note,omitempty"`
	Leg       string           `json:"leg,omitempty"`
	Number    int              `json:"number,omitempty"`
	Bad       bool             `json:"bad,omitempty"`
	Open      bool             `json:"open,omitempty"`
	Took      micros           `json:"took_us,omitempty"`
	Repeat    int              `json:"repeat,omitempty"`
	Step      *DocumentStepRef `json:"step,omitempty"`
	Raw       string           `json:"raw,omitempty"`
	RawBase64 []byte           `json:"raw_base64,omitempty"`
}

// A DocumentStepRef is the step that a row draws: its place in the handshake of the row's leg, or, when it is not there,
// the step itself. It is a number or an object.
type DocumentStepRef struct {
	Index int
	Step  *DocumentStep // nil: Index counts
}

// MarshalJSON writes the number or the object.
func (r DocumentStepRef) MarshalJSON() ([]byte, error) {
	if r.Step != nil {
		return json.Marshal(r.Step)
	}
	return strconv.AppendInt(nil, int64(r.Index), 10), nil
}

// UnmarshalJSON reads either.
func (r *DocumentStepRef) UnmarshalJSON(b []byte) error {
	if len(b) > 0 && b[0] == '{' {
		return json.Unmarshal(b, &r.Step)
	}
	return json.Unmarshal(b, &r.Index)
}

// micros is a duration as microseconds, with three decimals where it is no whole number of them.
type micros time.Duration

// MarshalJSON writes 1500 or 1500.25.
func (m micros) MarshalJSON() ([]byte, error) {
	if m%1000 == 0 {
		return strconv.AppendInt(nil, int64(m)/1000, 10), nil
	}
	return strconv.AppendFloat(nil, float64(m)/1000, 'f', -1, 64), nil
}

// UnmarshalJSON reads either.
func (m *micros) UnmarshalJSON(b []byte) error {
	var whole int64
	if json.Unmarshal(b, &whole) == nil && whole < 1<<52 && whole > -1<<52 {
		*m = micros(whole * 1000)
		return nil
	}
	var f float64
	if err := json.Unmarshal(b, &f); err != nil {
		return err
	}
	if f = math.Round(f * 1000); math.Abs(f) > 1<<62 {
		return errors.New("a duration of more than a hundred years")
	}
	*m = micros(f)
	return nil
}

// protections are the words of DocumentSecureHop.Seen.
var protections = []struct {
	bit  callflow.Protection
	word string
}{
	{callflow.OverTLS, "tls"},
	{callflow.OverPlain, "plain"},
	{callflow.ByAddress, "by address"},
	{callflow.OneSided, "one-sided"},
}
