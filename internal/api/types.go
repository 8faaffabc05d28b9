package api

import (
	"time"

	"github.com/sallyport-sip/sallyport/internal/callflow"
	"github.com/sallyport-sip/sallyport/internal/config"
)

// What follows are the documents of the API. docs/reference/api.md describes
// every field; names that stand there do not change their meaning, more may be
// added. Times are RFC 3339 in UTC.

// Status is the document of GET /api/v1/status.
type Status struct {
	Version       string        `json:"version"`        // of the program
	Started       time.Time     `json:"started"`        // when the gateway began to serve
	UptimeSeconds int64         `json:"uptime_seconds"` // since then
	State         string        `json:"state"`          // "serving", or "draining" when it is told to stop
	Configuration Configuration `json:"configuration"`
	Listeners     []Listener    `json:"listeners"`
	Peers         []Peer        `json:"peers"`
	Calls         int           `json:"calls"`       // live ones
	Connections   Connections   `json:"connections"` // live streams
	Limits        []Limit       `json:"limits"`      // that were passed, since the start
	Alarms        []Alarm       `json:"alarms"`      // what a person should see to
}

// Session is the document of /api/v1/session: what the one who asks may do.
type Session struct {
	Role       string `json:"role"`        // "none", "reader", "operator"
	NeedsToken bool   `json:"needs_token"` // who reads has to bring a token
	Operators  bool   `json:"operators"`   // there is a token for those who act
	Until      *Time  `json:"until"`       // when a session that was just begun ends; else null
}

// Configuration is what is known of the configuration in force.
type Configuration struct {
	File         string   `json:"file"`
	Version      string   `json:"version"`       // SHA-256 of the file, hexadecimal
	Loaded       Time     `json:"loaded"`        // when it came into force
	Reloads      int      `json:"reloads"`       // how many since the start took a new one
	NeedsRestart []string `json:"needs_restart"` // what it says and only a restart brings
	Refused      *Refused `json:"refused"`       // the last reload, or change of files, when it was not taken; else null
	Watched      bool     `json:"watched"`       // changes of certificate files are taken by themselves
	Renewals     int      `json:"renewals"`      // how often they were, since the start
	Renewed      *Time    `json:"renewed"`       // the last time; null: never
}

// Time is a point in time.
type Time = time.Time

// Refused is a reload, or a change of certificate files, that was not taken.
type Refused struct {
	At       Time             `json:"at"`
	By       string           `json:"by"` // "reload", or "watch" when files have changed
	Problems []config.Problem `json:"problems"`
	InUse    []string         `json:"in_use"` // which certificates go on instead, and until when
}

// Listener is an address on which the gateway accepts SIP.
type Listener struct {
	Name       string `json:"name"`
	Transport  string `json:"transport"`  // "udp", "tcp", "tls"
	Address    string `json:"address"`    // with the real port
	Advertised string `json:"advertised"` // where others reach it
}

// Connections counts the live streams.
type Connections struct {
	Open     int `json:"open"`
	Inbound  int `json:"inbound"` // made to us
	Unknown  int `json:"unknown"` // from nobody we know
	Outgoing int `json:"outgoing"`
	Aliased  int `json:"aliased"` // made to us, and serve our requests too
	Failing  int `json:"failing"` // that the configuration in force refuses: they only serve the calls they have

	// What follows counts since the start.
	KeepAlivesReceived uint64 `json:"keep_alives_received"` // CRLFs between messages
	KeepAlivesSent     uint64 `json:"keep_alives_sent"`
	NotSIP             uint64 `json:"not_sip"` // datagrams that are none, such as STUN
	Dead               Dead   `json:"dead"`
}

// Dead counts connections that were found dead, by the sign.
type Dead struct {
	NoPong         uint64 `json:"no_pong"`
	Unacknowledged uint64 `json:"unacknowledged"`
	Silent         uint64 `json:"silent"`
}

// Limit is one that was passed.
type Limit struct {
	Listener string `json:"listener"` // empty: of connections that we made
	Reason   string `json:"reason"`   // its name in docs/reference/limits.md
	Times    uint64 `json:"times"`
}

// Alarm is something that a person should see to. It lasts until it is over.
type Alarm struct {
	Name   string `json:"name"`
	Since  Time   `json:"since"`
	Text   string `json:"text"`
	Remedy string `json:"remedy"`
	// "notice": to be done in the next weeks; "warning": it breaks in days;
	// "critical": it is broken, or about to be.
	Severity string `json:"severity"`
}

// Peers is the document of GET /api/v1/peers.
type Peers struct {
	Peers []Peer `json:"peers"` // in the order of the configuration
}

// Peer is one peer of the configuration.
type Peer struct {
	Name        string `json:"name"`
	URI         string `json:"uri"`
	Transport   string `json:"transport"`
	Up          bool   `json:"up"`   // it is believed to answer
	Down        *Down  `json:"down"` // why not; null when it is up
	Connections int    `json:"connections"`
	Kept        *Kept  `json:"kept"`           // how the connection does that is to be kept up; null: none is
	Large       *Large `json:"large_requests"` // null unless the peer is on UDP
	In          Load   `json:"in"`             // calls from the peer
	Out         Load   `json:"out"`            // calls to it
}

// Kept is how a connection does that is to be kept up.
type Kept struct {
	State    string `json:"state"` // "up", "dialling", "waiting"
	Since    Time   `json:"since"` // when it came up, or went
	Next     *Time  `json:"next"`  // when it is dialled again; null unless it waits
	Failures int    `json:"failures"`
	Cause    string `json:"cause"` // of the last failure or end; empty: there was none
}

// Large is the requests to a peer that were too large for UDP.
type Large struct {
	TCP     uint64 `json:"tcp"`     // left by TCP
	Refused uint64 `json:"refused"` // by UDP, after TCP was tried
	Untried uint64 `json:"untried"` // by UDP, because TCP had failed before
}

// Down is why a peer is not asked.
type Down struct {
	Since Time   `json:"since"`
	Until Time   `json:"until"` // when a call may try it again
	Why   string `json:"why"`
}

// Load is the calls of a peer in one direction.
type Load struct {
	Calls     int64  `json:"calls"`      // live ones
	MostCalls int    `json:"most_calls"` // the limit of them; 0: none
	MostRate  int    `json:"most_rate"`  // the limit of calls a second; 0: none
	Began     uint64 `json:"began"`      // since the start
	Answered  uint64 `json:"answered"`
	Failed    uint64 `json:"failed"`  // ended without an answer
	Limited   uint64 `json:"limited"` // refused for a limit
}

// Handshakes is the document of GET /api/v1/handshakes.
type Handshakes struct {
	Handshakes []*callflow.Handshake `json:"handshakes"` // the newest first
}

// Calls is the document of GET /api/v1/calls.
type Calls struct {
	Calls []Call `json:"calls"` // live ones, the oldest first
}

// Call is one live call.
type Call struct {
	Number uint64 `json:"number"` // as in logs and flows
	ID     string `json:"id"`     // as in the record
	State  string `json:"state"`
	Since  Time   `json:"since"` // when it began
	Caller string `json:"caller"`
	Called string `json:"called"`
	From   string `json:"from"`  // the peer that calls
	To     string `json:"to"`    // the peer that is called; empty while there is none
	Route  string `json:"route"` // which decided

	Security Security `json:"security"` // as far as the call has come
}

// Security is how secure the signalling of a call is: docs/reference/security.md.
type Security struct {
	Verdict string   `json:"verdict"` // the word for the call
	Why     string   `json:"why"`     // what it stands on
	Hops    []Hop    `json:"hops"`    // what the gateway saw, the caller's first
	Claims  []string `json:"claims"`  // what others say of hops that the gateway does not see
}

// Hop is one hop of a call that the gateway saw.
type Hop struct {
	Direction string   `json:"direction"` // "in", "out"
	Peer      string   `json:"peer"`
	SIPS      bool     `json:"sips"`      // its dialog is sips:
	Transport string   `json:"transport"` // empty: there was no connection
	TLS       *HopTLS  `json:"tls"`       // null without
	KnownBy   string   `json:"known_by"`  // "certificate", "address"
	Names     []string `json:"names"`     // verified in the peer's certificate
	Plain     bool     `json:"plain"`     // some of its messages went without TLS
}

// HopTLS is the TLS of a hop.
type HopTLS struct {
	Version string `json:"version"` // "1.2", "1.3"
	Suite   string `json:"suite"`
	Group   string `json:"group"`
	Mutual  bool   `json:"mutual"` // both sides showed a certificate
}

// ConnectionList is the document of GET /api/v1/connections.
type ConnectionList struct {
	Connections []Connection `json:"connections"` // live streams, the oldest first
}

// Connection is one live stream.
type Connection struct {
	ID        uint64   `json:"id"` // as in logs and flows
	Transport string   `json:"transport"`
	Inbound   bool     `json:"inbound"`
	Listener  string   `json:"listener"` // that it came to; empty for one that we made
	Local     string   `json:"local"`
	Remote    string   `json:"remote"`
	Peer      string   `json:"peer"`  // empty: nobody we know
	Names     []string `json:"names"` // verified in its certificate
	Notes     []string `json:"notes"` // what is to be known about that: a common name or wildcard that only the policy lets count, or why it is nobody we know
	Opened    Time     `json:"opened"`
	Retired   bool     `json:"retired"` // it only serves the calls it has
	Failing   string   `json:"failing"` // why the configuration in force refuses it; empty: it does not
	Alias     string   `json:"alias"`   // the place of the peer's that our requests reach by it; empty: none
	TLS       *TLS     `json:"tls"`     // null without
	Calls     []uint64 `json:"calls"`   // the numbers of the live calls on it, the oldest first
}

// TLS is what a handshake agreed.
type TLS struct {
	Version         string `json:"version"` // "1.2", "1.3"
	Suite           string `json:"suite"`
	Group           string `json:"group"`
	Mutual          bool   `json:"mutual"` // both sides showed a certificate
	Resumed         bool   `json:"resumed"`
	HandshakeMicros int64  `json:"handshake_us"`
}

// Reloaded is the answer to POST /api/v1/reload.
type Reloaded struct {
	Taken        bool             `json:"taken"`
	Version      string           `json:"version"`       // of the configuration in force now
	Problems     []config.Problem `json:"problems"`      // why it was not taken
	NeedsRestart []string         `json:"needs_restart"` // what it says and only a restart brings
	InUse        []string         `json:"in_use"`        // which certificates go on, when their files are the problem
	Changes      []Change         `json:"changes"`       // certificates that are others now
	Failing      []Failing        `json:"failing"`       // connections that the configuration in force refuses
}

// Change is an identity or a trust that has other certificates now.
type Change struct {
	Of  string        `json:"of"`  // "identity NAME", "trust NAME"
	Old []Certificate `json:"old"` // what it has no more; an identity's own certificate alone
	New []Certificate `json:"new"` // what it has gained
}

// Certificate says which one it is.
type Certificate struct {
	Subject     string `json:"subject"`
	Issuer      string `json:"issuer"`
	Serial      string `json:"serial"`      // hexadecimal
	Fingerprint string `json:"fingerprint"` // SHA-256, hexadecimal
	Until       Time   `json:"until"`       // it can be used
}

// Failing is a live connection that the configuration in force refuses. It only
// serves the calls it has.
type Failing struct {
	Connection uint64   `json:"connection"` // as in logs and flows
	Peer       string   `json:"peer"`
	Remote     string   `json:"remote"`
	Inbound    bool     `json:"inbound"`
	Code       string   `json:"code"` // of the reason; empty: it is not the certificate
	Why        string   `json:"why"`
	Remedy     string   `json:"remedy"`
	Calls      []uint64 `json:"calls"`   // the numbers of those on it
	Evicted    bool     `json:"evicted"` // it is being closed, and its calls are being ended
}

// TrustDiff is the answer to POST /api/v1/trust/diff: whom a configuration, with the
// files that it names, would affect.
type TrustDiff struct {
	Breaks   bool             `json:"breaks"`   // a peer would stop verifying
	Problems []config.Problem `json:"problems"` // why nothing could be compared
	Changes  []Change         `json:"changes"`  // certificates that would be others
	Peers    []PeerDiff       `json:"peers"`    // that prove who they are by a certificate
	Gone     []string         `json:"gone"`     // such peers that the configuration does not have any more
}

// PeerDiff is what would become of one peer.
type PeerDiff struct {
	Peer    string    `json:"peer"`
	State   string    `json:"state"`   // "stops", "fails", "unknown", "mends", "unaffected"
	Seen    []Judged  `json:"seen"`    // its certificates, as they were seen last
	Shown   []Shown   `json:"shown"`   // certificates of ours that it would see in place of others
	Failing []Failing `json:"failing"` // its connections that would only serve the calls they have
}

// Judged is a certificate that a peer has shown, judged by what would be in force.
type Judged struct {
	Role     string `json:"role"`     // of the peer: "client" when it calls us, "server" when we call it
	Listener string `json:"listener"` // that judges it too; empty when we call
	At       Time   `json:"at"`       // when it was seen last; of a live connection, when that opened
	Live     bool   `json:"live"`
	Subject  string `json:"subject"`
	State    string `json:"state"` // as of a peer
	Code     string `json:"code"`  // of the reason; empty: it would be accepted
	Why      string `json:"why"`
	Remedy   string `json:"remedy"`
}

// Shown is a certificate of ours that a peer would see in place of another.
type Shown struct {
	Listener string        `json:"listener"`  // where it calls us; empty when we call
	Old      []Certificate `json:"old"`       // leaf first
	New      []Certificate `json:"new"`       // leaf first
	MustKnow string        `json:"must_know"` // what the peer has to trust that signed nothing of ours before; empty: nothing new
}
