package callflow

import (
	"net/netip"
	"time"
)

// State is how a call stands.
type State string

// The states of a flow.
const (
	StateRinging   State = "ringing"   // no final answer yet
	StateAnswered  State = "answered"  // a 2xx, no BYE yet
	StateEnded     State = "ended"     // answered, then BYE
	StateBusy      State = "busy"      // 486 or 600
	StateCancelled State = "cancelled" // the caller gave up: CANCEL and 487
	StateRefused   State = "refused"   // a handshake failed and no SIP was read
	StateFailed    State = "failed"    // any other final answer of 300 and above

	// Of what is no call.
	StateSending    State = "sending"    // no final answer yet
	StateDelivered  State = "delivered"  // a 2xx
	StateUnanswered State = "unanswered" // no final answer in 64*T1
	StateSubscribed State = "subscribed" // a SUBSCRIBE or REFER was accepted; then ended
)

// A Flow is the recorded story of one call, of one request outside of calls with the subscription it made, or of one handshake that was refused before any call.
type Flow struct {
	ID        string // the gateway's call number; conn-N for a refused handshake; leg-… when no record joins it
	State     State
	Sentence  string // outcome, who ended it, on which hop, why
	Done      bool   // nothing more is expected: final, acknowledged, and every BYE answered
	From, To  string // who calls whom, as user@host of the From and To of the first leg; empty without SIP
	Start     time.Time
	Duration  time.Duration // from the answer to the BYE, or to the last event while answered; 0 when not answered
	Setup     time.Duration // from the INVITE to its answer; 0 when not answered, or when the recording begins later
	Legs      []*Leg
	Lifelines []Lifeline // left to right: who calls, the gateway, who is called
	Rows      []Row      // in causal order
	Security  *Security  // how secure the signalling was; nil: not judged, as before an answer
	Joins     []Edge     // why each leg after the first belongs to the call
	Session   string     // the UUID that its legs have in common in Session-ID (RFC 7989); empty: none
	Findings  []Finding  // what is wrong, the gravest first
	Related   []Relation // other flows that have to do with it
}

// A Leg is one INVITE usage with a peer.
type Leg struct {
	Name      string // A, B, C: also the name of its hop
	Direction Direction
	Peer      string // its name in the configuration; empty when it was not identified
	CallID    string
	Hop       Hop
	Lifeline  int // index of the peer's lifeline in Flow.Lifelines
}

// A Hop is the connection that a leg travels on.
type Hop struct {
	Link      *Link     // nil when no connection was ever begun
	Handshake []HopStep // of the connection, in the flow that opened it; empty in others
	Verdicts  []Verdict
	Reused    *Reuse // not nil when another call opened the connection
	Refused   bool
}

// A HopStep is a handshake step and when it happened.
type HopStep struct {
	*Step
	Since time.Duration `json:"since_ns"` // since the flow's first event, in a Handshake since the connection was begun
}

// Reuse says how old a connection was when a later call began to use it.
type Reuse struct {
	Age time.Duration
	Nth int // this is the n-th call on it; 0 when that is not known
}

// A Lifeline is one vertical line of a ladder.
type Lifeline struct {
	Name    string
	Address string
	Gateway bool
}

// RowKind says how a row is drawn.
type RowKind string

// The kinds of Row.
const (
	RowTCP     RowKind = "connection" // a transport connection was opened or closed
	RowReused  RowKind = "reused"     // a connection that another call opened
	RowTLS     RowKind = "handshake"  // a handshake step
	RowData    RowKind = "data"       // TLS application data that is not read
	RowSIP     RowKind = "sip"        // a SIP message
	RowSummary RowKind = "hop"        // a hop is up, or was refused
	RowCause   RowKind = "cause"      // evidence below a refusal
	RowRemedy  RowKind = "remedy"     // what to do about it
	RowRoute   RowKind = "route"      // what the gateway decided
	RowTimeout RowKind = "timeout"    // a transaction ended by its timer
	RowNote    RowKind = "note"       // anything else
)

// A Row is one line of a ladder. From and To are indexes of lifelines; they are equal for a row that is words, not an
// arrow, and stands at that lifeline.
type Row struct {
	Number int // from 1: call/41/row/17
	Seq    uint64
	At     time.Time
	Since  time.Duration // since the flow's first event
	Kind   RowKind
	From   int
	To     int
	Leg    int // index in Flow.Legs, -1 when it is about the whole call
	Label  string
	Note   string        // for the right margin
	Bad    bool          // refused, lost or failed: drawn heavy with a cross
	Open   bool          // RowSummary: the peer has not confirmed yet that it accepted
	Took   time.Duration // RowSummary: from the first byte of the connection to here
	Repeat int           // RowSIP: the n-th retransmission; 0 for the original
	Step   *Step         // RowTLS and RowData
	Raw    []byte        // RowSIP

	// The connection that a RowSIP crossed and the other side's address on it. A flow that was read from a file has
	// neither; Hop then tells.
	Link   *Link
	Remote netip.AddrPort
}

// IsArrow reports whether the row goes from one lifeline to another.
func (r *Row) IsArrow() bool { return r.From != r.To }
