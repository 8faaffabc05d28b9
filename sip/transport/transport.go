package transport

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"github.com/sallyport-sip/sallyport/sip"
)

// Transport is how messages are carried. The zero value is none.
type Transport uint8

const (
	UDP Transport = iota + 1
	TCP
	TLS
	WS  // RFC 7118: messages of a WebSocket
	WSS // the same over TLS
)

// traits say what each transport is. A new one has a row here and in protocols.
var traits = [...]struct {
	name     string
	via      string // as in a Via
	reliable bool
	secure   bool
	port     uint16 // RFC 3261 §19.1.2, RFC 7118 §5.5
}{
	UDP: {"udp", "UDP", false, false, 5060},
	TCP: {"tcp", "TCP", true, false, 5060},
	TLS: {"tls", "TLS", true, true, 5061},
	WS:  {"ws", "WS", true, false, 80},
	WSS: {"wss", "WSS", true, true, 443},
}

// protocols are the transports' doors: how one listens and how one reaches out.
var protocols = [...]struct {
	listen func(*Endpoint, ListenConfig) (*Listener, error)
	dial   func(context.Context, *Endpoint, DialConfig) (*Conn, error)
}{
	UDP: {listenUDP, dialUDP},
	TCP: {listenTCP, dialTCP},
	TLS: {listenTLS, dialTLS},
	WS:  {listenWS, dialWS},
	WSS: {listenWSS, dialWSS},
}

// ParseTransport reads the lower-case name of a transport.
func ParseTransport(name string) (Transport, bool) {
	for t := range traits {
		if t > 0 && traits[t].name == name {
			return Transport(t), true
		}
	}
	return 0, false
}

func (t Transport) valid() bool { return t > 0 && int(t) < len(traits) }

// String is the transport's name: "udp", "tcp", "tls", "ws", "wss".
func (t Transport) String() string {
	if !t.valid() {
		return fmt.Sprintf("transport %d", uint8(t))
	}
	return traits[t].name
}

// MarshalText is String, for JSON and the like. It never fails.
func (t Transport) MarshalText() ([]byte, error) { return []byte(t.String()), nil }

// URIParam is the value of a URI's transport parameter. A secure WebSocket has
// none of its own: it is "ws" in a sips: URI (RFC 7118 §5.2).
func (t Transport) URIParam() string {
	if t == WSS {
		return WS.String()
	}
	return t.String()
}

// WebSocket says whether messages travel as those of a WebSocket (RFC 7118).
func (t Transport) WebSocket() bool { return t == WS || t == WSS }

// Via is the name as in a Via header: "UDP", "TCP", "TLS", "WS", "WSS".
func (t Transport) Via() string {
	if !t.valid() {
		return t.String()
	}
	return traits[t].via
}

// Reliable says whether the transport retransmits by itself (RFC 3261 §17).
func (t Transport) Reliable() bool { return t.valid() && traits[t].reliable }

// Secure says whether it protects what it carries.
func (t Transport) Secure() bool { return t.valid() && traits[t].secure }

// DefaultPort is the port when a URI names none (RFC 3261 §19.1.2).
func (t Transport) DefaultPort() uint16 {
	if !t.valid() {
		return 0
	}
	return traits[t].port
}

// Packet is one message and the connection on which it came.
type Packet struct {
	// Msg belongs to the receiver, who releases it.
	Msg *sip.Message
	// Conn is the stream connection, or on UDP the listener's socket.
	Conn *Conn
	// Source is where the message came from.
	Source netip.AddrPort
	// At is when the read that gave the message returned.
	At time.Time
	// Err is set for a malformed message: a *sip.ParseError, or on a stream a
	// *sip.FrameError when the connection ends because of it. Msg then holds what
	// could be indexed, and a response can still be sent if it goes out soon.
	Err error
}

// ConnInfo is what is known of a connection before anybody has proved anything.
type ConnInfo struct {
	ID        uint64
	Transport Transport
	Local     netip.AddrPort
	Remote    netip.AddrPort // not valid for a UDP socket
	Inbound   bool
	Listener  string    // name of the listener, empty for a connection we dialled
	Peer      string    // the peer we dialled, empty for an inbound connection
	Begun     time.Time // when it was accepted, or when we began to connect

	on *Listener // that it came in on, nil for one that we dialled
}

func (i ConnInfo) String() string {
	if i.Transport == UDP {
		return fmt.Sprintf("udp %v", i.Local)
	}
	if i.Inbound {
		return fmt.Sprintf("%v from %v to %v", i.Transport, i.Remote, i.Local)
	}
	return fmt.Sprintf("%v from %v to %v", i.Transport, i.Local, i.Remote)
}

// Identity is who is on the other side of a connection.
type Identity struct {
	Peer  string   // configured name; empty for somebody unknown
	Names []string // names that the certificate proved
	Notes []string // what is to be known about that proof, in words for people
}
