package callflow

import (
	"net/netip"
	"time"
)

// A Handshake is the record of one TLS handshake, good or not: what the wire showed, what both sides offered, agreed and
// presented, what each decided, and for one that failed the reason in words and what to do. It is made for who reads it and is
// nobody else's. The same form goes through the recorder's memory, the store, the API and the commands.
//
// A connection that was to carry TLS and never came so far has a record too, with no steps; so has one on which TLS was spoken where
// plain SIP is expected, or the other way round.
type Handshake struct {
	ID         string         `json:"id"`         // unique over restarts; sorts by the time at which it was decided
	Run        string         `json:"run"`        // of the gateway, which Connection counts in; empty in records of older programs
	Connection uint64         `json:"connection"` // Link.ID, unique in one run of the gateway
	At         time.Time      `json:"at"`         // when the connection was accepted or begun
	Took       time.Duration  `json:"took_ns"`    // until the outcome was known
	Role       string         `json:"role"`       // ours: RoleClient or RoleServer
	Transport  string         `json:"transport"`  // tls, wss; tcp and ws where TLS met a plain listener or peer
	Local      netip.AddrPort `json:"local"`
	Remote     netip.AddrPort `json:"remote"`
	Listener   string         `json:"listener"`       // that it came to; empty for a connection that we made
	Peer       string         `json:"peer"`           // identified, or dialled; empty for a stranger
	Address    string         `json:"address"`        // the peer whose address a stranger came from, as a hint only; else empty
	Outcome    string         `json:"outcome"`        // OutcomeGood, OutcomeRefused, OutcomeFailed or OutcomeOpen
	By         string         `json:"by"`             // who refused: "gateway" or "peer"; empty otherwise
	Code       string         `json:"code"`           // the reason, of trust's table; empty for a good one
	Sentence   string         `json:"sentence"`       // the outcome in words
	Remedy     string         `json:"remedy"`         // what to do; empty for a good one
	Repeats    int            `json:"repeats"`        // further ones of the same source with the same outcome and code, of which nothing else was kept
	Until      time.Time      `json:"until,omitzero"` // when the last of those was

	Steps    []HopStep `json:"steps"`
	Offered  Offer     `json:"offered"`   // by the client
	Chosen   Chosen    `json:"chosen"`    // by the server
	Asked    bool      `json:"asked"`     // the server asked for the client's certificate
	AskedCAs []string  `json:"asked_cas"` // subjects of the CAs that it named with that; none: any

	OurChain    [][]byte `json:"our_chain"`    // DER as it was sent, leaf first; none when none crossed the wire
	PeerChain   [][]byte `json:"peer_chain"`   // likewise; what could not be read of an encrypted handshake is missing
	NamesFound  []string `json:"names_found"`  // of the peer's leaf, by RFC 5922 §7.1
	NamesWanted []string `json:"names_wanted"` // one of which it must have; none for a stranger

	Verdicts []Verdict `json:"verdicts"` // the gateway's, the peer's, then the likely causes of a peer's refusal
}

// Our roles in a handshake.
const (
	RoleClient = "client" // we called
	RoleServer = "server" // we were called
)

// How a handshake came out.
const (
	OutcomeGood    = "good"    // both sides accepted
	OutcomeRefused = "refused" // one side said no; By says which
	OutcomeFailed  = "failed"  // it ended, and nobody said why
	OutcomeOpen    = "open"    // good for us, and a TLS 1.3 server has sent nothing yet that says what it decided
)

// An Offer is what a ClientHello proposes, in the client's order.
type Offer struct {
	Versions   []string `json:"versions"`
	Suites     []string `json:"suites"`
	Groups     []string `json:"groups"`
	KeyShares  []string `json:"key_shares"` // groups for which a key was sent along
	Schemes    []string `json:"signature_algorithms"`
	ALPN       []string `json:"alpn"`
	ServerName string   `json:"server_name"` // SNI
	Resumption bool     `json:"resumption"`  // a former session was offered
	EarlyData  bool     `json:"early_data"`
}

// Chosen is what the server chose, as far as it came.
type Chosen struct {
	Version    string   `json:"version"`
	Suite      string   `json:"suite"`
	Group      string   `json:"group"`
	ALPN       string   `json:"alpn"`
	HelloRetry bool     `json:"hello_retry"`          // the server asked for another key share first (RFC 8446 §4.1.4)
	Resumed    bool     `json:"resumed"`              // so no certificate crossed the wire
	Schemes    []string `json:"signature_algorithms"` // that it takes from the client, in its CertificateRequest
}

// Failed reports whether the handshake came to nothing.
func (h *Handshake) Failed() bool { return h.Outcome == OutcomeRefused || h.Outcome == OutcomeFailed }

// A HandshakeFilter says which records are wanted: those of which everything that is set is so.
type HandshakeFilter struct {
	ID       string
	Since    time.Time // of At
	Until    time.Time // of At; itself not included
	Peer     string    // identified, dialled, or whose address a stranger came from
	Listener string
	Role     string
	Outcome  string
	Code     string
	Failed   bool
	Limit    int // the newest so many; 0: all
}

// Wants reports whether f wants h. The limit is not looked at.
func (f *HandshakeFilter) Wants(h *Handshake) bool {
	return (f.ID == "" || f.ID == h.ID) &&
		(f.Since.IsZero() || !h.At.Before(f.Since)) &&
		(f.Until.IsZero() || h.At.Before(f.Until)) &&
		(f.Peer == "" || f.Peer == h.Peer || f.Peer == h.Address) &&
		(f.Listener == "" || f.Listener == h.Listener) &&
		(f.Role == "" || f.Role == h.Role) &&
		(f.Outcome == "" || f.Outcome == h.Outcome) &&
		(f.Code == "" || f.Code == h.Code) &&
		(!f.Failed || h.Failed())
}

// A Seen is the chain that a peer of the configuration showed last in one role.
type Seen struct {
	Peer     string    `json:"peer"`
	Role     string    `json:"role"` // the peer's: RoleClient when it called us
	At       time.Time `json:"at"`
	Accepted bool      `json:"accepted"` // by us; of each role there can be one that was and one that was not
	Chain    [][]byte  `json:"chain"`    // DER, leaf first
}
