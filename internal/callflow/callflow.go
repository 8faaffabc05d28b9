// Package callflow turns what happened, as an ordered sequence of events, into the story of each call: its legs, the
// hop each leg travelled on with the TLS handshake of that hop, the rows of its ladder, and one sentence that says how
// it went.
//
// Event is one thing that happened. Builder makes Flows of events; it is pure, keeps no clock, does no I/O and never
// knows whether the events are live. Flow is the model that every rendering draws: package export has one file per
// format. Reading starts at Builder.Build in build.go.
//
// Four identities are never mixed: a connection is a transport connection with its handshake, a leg is one INVITE usage
// with one peer, a call is one or more joined legs, and a flow is the recorded story of a call. Many calls share a
// connection, so a handshake is drawn in the call that opened it, and the others show one row that names it.
//
// The messages are those of RFC 3261, the handshake steps those of RFC 8446 and RFC 5246.
package callflow

import (
	"net/netip"
	"time"
)

// Kind says what an Event reports. Two things that a ladder shows are no events, because the order of the others tells
// them: that a call reused a connection, and that a message is a retransmission.
type Kind uint8

// The kinds of Event, each with the fields it fills beside Seq, At and Kind.
const (
	Opened        Kind = iota + 1 // a transport connection was made, before any handshake: Link
	Ready                         // the handshake was good and the peer is known: Link
	Refused                       // dial, admission or handshake failed: Link, Reason
	Closed                        // the connection ended: Link, Reason, Notify
	HandshakeStep                 // one step of a TLS handshake: Link, Step
	Judged                        // one side decided about a handshake: Link, Verdict
	Message                       // a SIP message crossed a connection in clear: Link, Out, Remote, Raw
	LegCreated                    // the gateway made a leg of a call: Call, Reason; the record that joins legs
	RouteDecided                  // the gateway chose targets: Call, Reason
	TargetFailed                  // one target cannot be had: Call, Reason
	TimedOut                      // a transaction ended by its timer (RFC 3261 timers B, F, H): Call, Reason
	Noted                         // something else worth a row: Call, Reason
	Assessed                      // how secure the signalling of a call is: Call with Security; the last one counts
)

// An Event is one thing that happened on this host.
type Event struct {
	Seq     uint64         // position in the host's order; an event never has a cause with a greater Seq
	At      time.Time      // wall clock
	Kind    Kind           //
	Link    *Link          // the connection, nil for what concerns a call only
	Out     bool           // Message: the gateway sent it
	Remote  netip.AddrPort // Message: the other side's address, which on UDP the connection does not tell
	Raw     []byte         // Message: its bytes as recorded, secrets already masked
	Step    *Step          // HandshakeStep
	Verdict *Verdict       // Judged
	Notify  Notify         // Closed, on TLS: which close_notify alerts crossed
	Call    *Call          // what the gateway says about a call
	Reason  string         // why, in words for a person
}

// Direction says who began a leg.
type Direction uint8

// The directions of a leg, as the gateway sees it.
const (
	In  Direction = iota + 1 // the peer called the gateway
	Out                      // the gateway calls the peer
)

// String is "in" or "out".
func (d Direction) String() string {
	if d == Out {
		return "out"
	}
	return "in"
}

// A Call is what the gateway itself knows about a call when an event happens to it: no joining by guess is needed.
type Call struct {
	Request    bool      // it is no call, but a request outside of calls
	Number     uint64    // the gateway's number of the call; its flow's id; 0 with Noted: an INVITE that became no call
	Direction  Direction // of the leg that the event is about; 0 when it is about the whole call
	CallID     string    // of that leg, as it stands in its messages
	Peer       string    // of that leg
	Connection uint64    // of that leg; 0 when it has none yet, or none came up
	Nth        int       // LegCreated: this is the n-th call on the connection; 0 lets the Builder count
	Code       int       // TargetFailed, TimedOut: the SIP status that it means; 0 when it means none
	Security   *Security // Assessed; not changed after
}

// A Link describes a transport connection. It is not changed after it was given to an Event.
type Link struct {
	ID            uint64         // unique in one run of the gateway
	Inbound       bool           // the peer opened it
	Transport     string         // udp, tcp or tls
	Local, Remote netip.AddrPort // Remote is not valid for a UDP socket
	Listener      string         // the name of the listener it came to, or is dialled from
	Peer          string         // the peer identified or dialled; empty when unknown
	Opened        time.Time      // zero for a UDP socket
	TLS           *TLS           // nil for plain connections; in a failed handshake, what was agreed so far
}

// TLS is what a handshake agreed.
type TLS struct {
	Version   string   // "1.3", "1.2"; empty before a ServerHello
	Suite     string   // TLS_AES_128_GCM_SHA256 and so on, as registered
	Group     string   // of the key exchange
	Mutual    bool     // both sides proved who they are with a certificate
	PeerNames []string // the names in the peer's certificate that were verified
	Resumed   bool     // a session was resumed, so no certificate crossed the wire
}

// Notify says which close_notify alerts crossed before a TLS connection ended (RFC 8446 §6.1).
type Notify struct {
	Known     bool // false for plain connections and failed handshakes
	Sent      bool
	Received  bool
	ByGateway bool // the gateway ended the connection, so its alert went first
}

// A Step is one message of a TLS handshake, or a record that belongs to its story.
type Step struct {
	ByGateway   bool         `json:"by_gateway"`            // who sent it
	Name        string       `json:"name"`                  // the message name of RFC 8446 or RFC 5246, or one of the names below
	Number      int          `json:"number,omitempty"`      // 1..15 in the classical exchange of TLS 1.2; not looked at when the version is 1.3
	Encrypted   bool         `json:"encrypted,omitempty"`   // its content could not be read on the wire
	Version     string       `json:"version,omitempty"`     // chosen, in a ServerHello
	Offered     []string     `json:"offered,omitempty"`     // versions, in a ClientHello, best first
	Suite       string       `json:"suite,omitempty"`       // chosen, in a ServerHello
	Group       string       `json:"group,omitempty"`       // where it appears
	ServerName  string       `json:"server_name,omitempty"` // SNI, in a ClientHello
	Certificate *Certificate `json:"-"`                     // the leaf, in a Certificate
	Alert       Alert        `json:"alert,omitzero"`        // in an Alert
	Length      int          `json:"length"`                // bytes of the message or record
	Note        string       `json:"note,omitempty"`        // anything else, for the right margin
}

// Names of steps that are not handshake messages.
const (
	NameChangeCipherSpec = "ChangeCipherSpec"
	NameAlert            = "Alert"
	NameApplicationData  = "ApplicationData"
	NameProblem          = "Problem" // something that cannot be read as TLS; Note says what
)

// A Certificate is what a row says about a leaf certificate.
type Certificate struct {
	Subject    string
	Issuer     string
	Names      []string // DNS, URI and IP names
	NotBefore  time.Time
	NotAfter   time.Time
	SelfSigned bool
	Chain      int // certificates in the message, the leaf included
}

// An Alert is a TLS alert (RFC 8446 §6).
type Alert struct {
	Fatal bool   `json:"fatal"`
	Code  int    `json:"code"`
	Name  string `json:"name"` // bad_certificate and so on
}

// How a verdict is known.
const (
	OwnDecision = "own decision" // the gateway decided
	ByAlert     = "alert"        // the peer said so
	Inferred    = "inferred"     // by what followed, or by running our own checks over what we sent
	Unknown     = "unknown"      // the connection ended without a word
)

// A Verdict is what one side decided about a handshake.
type Verdict struct {
	ByGateway bool   `json:"by_gateway"`
	Accepted  bool   `json:"accepted"`
	Undecided bool   `json:"undecided,omitempty"` // the handshake ended before this side had to decide; then not Accepted, and no refusal either
	KnownBy   string `json:"known_by"`            // OwnDecision, ByAlert, Inferred or Unknown
	Code      string `json:"code,omitempty"`      // of trust's table of reasons; empty when accepted
	Reason    string `json:"reason"`              // a clause in words
	Remedy    string `json:"remedy,omitempty"`    // what to do; empty when accepted
}
