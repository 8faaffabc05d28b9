package tlswire

import (
	"time"
)

// Side says which end of the connection sent something.
type Side uint8

const (
	Client Side = iota // the end that sends ClientHello
	Server             // the end that answers it
)

// String returns "client" or "server".
func (s Side) String() string {
	if s == Client {
		return "client"
	}
	return "server"
}

// Other returns the opposite side.
func (s Side) Other() Side { return s ^ 1 }

// Names of steps that are not handshake messages. Handshake messages have the
// names of RFC 8446 §4 and RFC 5246 §7.4 without underscores, such as
// "ClientHello", "HelloRetryRequest" or "EncryptedExtensions"; a type without a
// name is shown as "HandshakeType(77)".
const (
	NameChangeCipherSpec   = "ChangeCipherSpec"
	NameAlert              = "Alert"
	NameApplicationData    = "ApplicationData"    // the first of each side only
	NameEncryptedHandshake = "EncryptedHandshake" // a record that could not be opened and belongs, as far as can be told, to the handshake
	NameProblem            = "Problem"            // the parser met something it could not read
)

// Step is one thing that one side sent. Slices and pointers in it are shared
// with State and must not be changed.
type Step struct {
	At   time.Time // when the last byte of it was fed
	From Side
	Name string // see NameAlert and its neighbours

	// Number is the place in the classical TLS 1.2 exchange, 1 to 15, and 0 for
	// what has none. It belongs to the message, not to the order: an abbreviated
	// handshake shows 12 and 13 before 10 and 11. TLS 1.3 steps have 0, except
	// that a ClientHello, which comes before the version is known, has 1 whenever
	// it offers 1.2 or older. Draw numbers only where State.Version is not "1.3".
	Number int

	Encrypted bool // the content was not read, because no key for it is at hand
	Length    int  // bytes: of the message body, or of the record's content

	Version string // ServerHello, HelloRetryRequest: the chosen version, "1.2"
	Suite   string // ServerHello, HelloRetryRequest: the chosen suite
	Group   string // ServerHello, HelloRetryRequest, ServerKeyExchange: the key exchange group
	SNI     string // ClientHello: the name of the server asked for
	ALPN    string // ServerHello, EncryptedExtensions: the chosen protocol
	Resumed bool   // ServerHello: a former session goes on
	Offer   *Offer // ClientHello

	Certificates  [][]byte // Certificate: DER, the sender's own first; empty when it has none
	AcceptableCAs [][]byte // CertificateRequest: DER names of issuers; empty means any

	RequestedSchemes []SchemeID // CertificateRequest: what the client may sign with

	AlertLevel uint8  // Alert: 1 warning, 2 fatal
	AlertCode  uint8  // Alert: RFC 8446 §6
	AlertName  string // Alert: "bad_certificate"; empty when it could not be read

	Problem *Problem // on a step named "Problem" only
}

// Offer is what a ClientHello proposes, in the client's order. Reserved values
// that clients mix in at random (RFC 8701) are left out.
type Offer struct {
	Versions   []VersionID
	Suites     []SuiteID
	Groups     []GroupID
	KeyShares  []GroupID // groups for which a key was sent along
	ALPN       []string
	Schemes    []SchemeID
	Resumption bool // a ticket or PSK was sent, or, before 1.3, a session to resume
	EarlyData  bool // 0-RTT data is announced (RFC 8446 §4.2.10)
	ECH        bool // the hello is an outer one (RFC 9849): name and random may not be the real ones
}

// ProblemKind is a word for programs; Problem.Text is for people.
type ProblemKind string

const (
	PlainSIP     ProblemKind = "plain-sip"    // SIP without TLS on a TLS connection
	PlainHTTP    ProblemKind = "plain-http"   // HTTP without TLS
	SSLv2        ProblemKind = "sslv2"        // an SSL 2.0 hello (RFC 6176)
	ProxyHeader  ProblemKind = "proxy-header" // the PROXY header of a load balancer before TLS
	NotTLS       ProblemKind = "not-tls"      // other bytes that cannot begin a TLS connection
	BadRecord    ProblemKind = "bad-record"   // a record header that cannot be one, after good ones
	Malformed    ProblemKind = "malformed"    // a message that breaks its own syntax
	Unexpected   ProblemKind = "unexpected"   // a message that cannot come here
	MidSession   ProblemKind = "mid-session"  // the beginning of the connection was not seen
	NoSecret     ProblemKind = "no-secret"    // too much waits for a handshake secret that does not come
	WrongSecret  ProblemKind = "wrong-secret" // the tag of a record does not verify with the secret at hand
	NoCipher     ProblemKind = "no-cipher"    // suite not supported for decryption
	TooLong      ProblemKind = "too-long"     // a handshake message above the parser's limit
	TooManySteps ProblemKind = "too-many"     // more handshake messages than any handshake needs
)

// Problem says what the parser could not read and why.
type Problem struct {
	Kind ProblemKind
	From Side
	Text string // one sentence part without full stop: "plain SIP (INVITE) on a TLS connection"
}

// Alert is a readable alert, as it stands in State.
type Alert struct {
	From  Side
	Level uint8
	Code  uint8
	Name  string
}

// State is what the parser has learnt about the connection so far. Slices and
// pointers in it are shared with steps and must not be changed.
type State struct {
	SNI   string
	Offer *Offer // of the first ClientHello; nil before it

	Version string // "1.3", "1.2", "1.1", "1.0", "SSL 3.0"; empty before it is chosen
	Suite   string // IANA name, "TLS_AES_128_GCM_SHA256"
	Group   string // "X25519", "P-256", "X25519MLKEM768"; empty without (EC)DH
	ALPN    string

	HelloRetry bool // the server asked for another key share (RFC 8446 §4.1.4)
	Resumed    bool // session id, ticket or PSK; before 1.3 certain only with the server's ChangeCipherSpec

	ServerCertificates [][]byte // DER, leaf first
	ClientCertificates [][]byte

	ClientCertificateRequested bool
	ClientCertificateSent      bool       // and not empty
	AcceptableCAs              [][]byte   // DER names that the server gave with its request
	RequestedSchemes           []SchemeID // that it takes from the client, given there too

	// Finished, by Side, says whose Finished was seen; before 1.3 that is the
	// first encrypted handshake record of the side, unread.
	Finished [2]bool
	// Data, by Side, says who sent application data. After Finished, TLS 1.3
	// hides tickets and alerts as application data too.
	Data [2]bool

	Alert   *Alert   // the first readable one, close_notify and user_canceled apart
	Problem *Problem // the first one
}

// number returns the place of a message in the classical TLS 1.2 exchange with
// both certificates, or 0.
func number(name string, from Side) int {
	switch name {
	case "ClientHello":
		return 1
	case "ServerHello":
		return 2
	case "Certificate":
		if from == Client {
			return 7
		}
		return 3
	case "ServerKeyExchange":
		return 4
	case "CertificateRequest":
		return 5
	case "ServerHelloDone":
		return 6
	case "ClientKeyExchange":
		return 8
	case "CertificateVerify":
		return 9
	case NameChangeCipherSpec:
		if from == Client {
			return 10
		}
		return 12
	case "Finished":
		if from == Client {
			return 11
		}
		return 13
	}
	return 0
}
