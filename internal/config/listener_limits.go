package config

import (
	"fmt"
	"time"

	"github.com/sallyport-sip/sallyport/sip/transport"
)

// ListenerLimits bound what may be sent to us on one listener. What passing one
// leads to, and by which name that is counted, is in docs/reference/limits.md.
type ListenerLimits struct {
	Place

	// The bytes of a whole message. A longer request is answered with 513. On a
	// stream that was the last one. Default: 65536.
	MessageSize Count `yaml:"message_size" form:"bytes"`

	// The header fields of a message. A request with more gets 400. Default: 256.
	Headers Count `yaml:"headers" form:"number"`

	// The bytes of one header field. A request with a longer one gets 400.
	// Default: 8192.
	HeaderLength Count `yaml:"header_length" form:"bytes"`

	// The bytes of the Request-URI, and of a URI in From, To, Contact, Route and
	// Record-Route. A request with a longer one gets 414 or 400. Default: 4096.
	URILength Count `yaml:"uri_length" form:"bytes"`

	// The Via values of a message, one for each hop. A request with more gets
	// 400. Default: 70.
	Vias Count `yaml:"vias" form:"number"`

	// The parts of a multipart body, those of parts included. A request with more
	// gets 400. Default: 32.
	BodyParts Count `yaml:"body_parts" form:"number"`

	// How many messages a second are read from all together who are no peers; twice
	// as many at once. What is more is dropped, and a stream ended. Default: 1000.
	Messages Count `yaml:"messages" form:"number a second"`

	// How many of them from one IPv4 address or one IPv6 /64; five times as many at
	// once. Default: 20.
	MessagesPerSource Count `yaml:"messages_per_source" form:"number a second"`

	// How many requests a second one peer may begin something with, whatever its
	// address; twice as many at once. What is more gets 503. Requests in dialogs, ACK
	// and CANCEL have four times as many for themselves, and at once one more for
	// each of the peer's calls, so that it can always hang up. Default: 5000.
	MessagesPerPeer Count `yaml:"messages_per_peer" form:"number a second"`

	// How many connections may be open that were made to this listener. The next
	// one is closed at once. Default: 20000.
	Connections Count `yaml:"connections" form:"number"`

	// How many of them from one IPv4 address or one IPv6 /64. Default: 2000.
	ConnectionsPerSource Count `yaml:"connections_per_source" form:"number"`

	// How many TLS handshakes may be under way. The next connection waits for a
	// second and is then closed. Default: 1000.
	Handshakes Count `yaml:"handshakes" form:"number"`

	// How many of them with one IPv4 address or one IPv6 /64. The next connection
	// from there is closed at once. Default: 500.
	HandshakesPerSource Count `yaml:"handshakes_per_source" form:"number"`

	// How long a TLS handshake may take. Default: 10s.
	HandshakeTime Duration `yaml:"handshake_time" form:"duration"`

	// How long a new connection may take for its first whole message. A peer that
	// proved over TLS who it is may be silent. Default: 30s.
	FirstMessage Duration `yaml:"first_message" form:"duration"`

	// How long a message may take from its first byte to its last. Default: 10s.
	WholeMessage Duration `yaml:"whole_message" form:"duration"`

	// How long the connection of a peer may be without a byte in either direction.
	// Default: 0, for ever, because there may be calls on it with nothing to say.
	Idle Duration `yaml:"idle" form:"duration"`

	// How long a connection of nobody we know may be without a message. Default:
	// 5m.
	IdleUnknown Duration `yaml:"idle_unknown" form:"duration"`

	// How many keep-alives nobody we know may send without a message between them.
	// Default: 100.
	KeepAlives Count `yaml:"keep_alives" form:"number"`

	// How many bytes may wait for somebody unknown who does not read; then the
	// connection ends. Default: 262144.
	Pending Count `yaml:"pending" form:"bytes"`

	// How many bytes may wait for a peer that does not read, or for all of UDP; then
	// the connection ends, and on UDP the datagram is dropped. Default: 4194304.
	PendingPeer Count `yaml:"pending_peer" form:"bytes"`

	// How long a write may wait for somebody who does not read. Default: 30s.
	Stall Duration `yaml:"stall" form:"duration"`
}

// The rates that a listener has when it names none, a second.
const (
	defaultMessages          = 1000
	defaultMessagesPerSource = 20
	defaultMessagesPerPeer   = 5000
)

// A numberKey is a key with a number, a timeKey one with a duration.
type (
	numberKey struct {
		key         string
		value       *Count
		normal      int
		least, most int
		streams     bool // it means nothing on UDP
		tls         bool // it means something on TLS only
	}
	timeKey struct {
		key     string
		value   *Duration
		normal  time.Duration
		never   bool // 0 is for ever
		streams bool
		tls     bool
	}
)

const anyCount = 1 << 30

func (l *ListenerLimits) counts() []numberKey {
	d := transport.DefaultLimits()
	return []numberKey{
		{"message_size", &l.MessageSize, d.Message.Message, 1 << 10, 16 << 20, false, false},
		{"headers", &l.Headers, d.Message.Headers, 16, 1<<16 - 1, false, false},
		{"header_length", &l.HeaderLength, d.Message.HeaderLine, 256, 16 << 20, false, false},
		{"uri_length", &l.URILength, d.Message.URI, 128, 16 << 20, false, false},
		{"vias", &l.Vias, d.Message.Vias, 1, 1000, false, false},
		{"body_parts", &l.BodyParts, d.Message.BodyParts, 1, 1000, false, false},
		{"messages", &l.Messages, defaultMessages, 1, 1_000_000, false, false},
		{"messages_per_source", &l.MessagesPerSource, defaultMessagesPerSource, 1, 1_000_000, false, false},
		{"messages_per_peer", &l.MessagesPerPeer, defaultMessagesPerPeer, 1, 1_000_000, false, false},
		{"connections", &l.Connections, d.Conns, 1, anyCount, true, false},
		{"connections_per_source", &l.ConnectionsPerSource, d.ConnsPerSource, 1, anyCount, true, false},
		{"handshakes", &l.Handshakes, d.Handshakes, 1, anyCount, true, true},
		{"handshakes_per_source", &l.HandshakesPerSource, d.HandshakesPerSource, 1, anyCount, true, true},
		{"keep_alives", &l.KeepAlives, d.KeepAlives, 1, anyCount, true, false},
		{"pending", &l.Pending, d.Pending, 64 << 10, anyCount, true, false},
		{"pending_peer", &l.PendingPeer, d.PendingPeer, 64 << 10, anyCount, false, false},
	}
}

func (l *ListenerLimits) times() []timeKey {
	d := transport.DefaultLimits()
	return []timeKey{
		{"handshake_time", &l.HandshakeTime, d.HandshakeTimeout, false, true, true},
		{"first_message", &l.FirstMessage, d.FirstMessage, false, true, false},
		{"whole_message", &l.WholeMessage, d.WholeMessage, false, true, false},
		{"idle", &l.Idle, d.Idle, true, true, false},
		{"idle_unknown", &l.IdleUnknown, d.IdleUnknown, false, true, false},
		{"stall", &l.Stall, d.Stall, false, true, false},
	}
}

// DefaultListenerLimits are those of a listener that says nothing.
func DefaultListenerLimits() *ListenerLimits {
	l := new(ListenerLimits)
	l.complete()
	return l
}

func (l *ListenerLimits) complete() {
	for _, k := range l.counts() {
		if *k.value == 0 {
			*k.value = Count(k.normal)
		}
	}
	for _, k := range l.times() {
		if k.value.Duration == 0 && !l.Has(k.key) {
			k.value.Duration = k.normal
		}
	}
}

// check judges the limits of a listener on a transport.
func (l *ListenerLimits) check(r *report, label string, t Transport) {
	label += ": limits"
	fits := func(key string, streams, tls bool) {
		switch {
		case !l.Has(key) || l.Broken(key):
		case streams && t == UDP:
			r.add(l.At(key), fmt.Sprintf("%s: %q is only for connections", label, key), "the listener is udp, which has none", "remove the key")
		case tls && !t.Secure():
			r.add(l.At(key), fmt.Sprintf("%s: %q is only for TLS", label, key), fmt.Sprintf("the listener is %s", t), "remove the key")
		}
	}
	for _, k := range l.counts() {
		fits(k.key, k.streams, k.tls)
		checkRange(r, label, l.Place, k)
	}
	for _, k := range l.times() {
		fits(k.key, k.streams, k.tls)
		if k.value.Duration == 0 && l.Has(k.key) && !k.never && !l.Broken(k.key) {
			r.add(l.At(k.key), fmt.Sprintf("%s: %q is 0", label, k.key), "nobody could be that fast", "write a duration, or leave the key out")
		}
	}
	for _, part := range []string{"connections", "handshakes", "messages"} {
		l.checkShare(r, label, part+"_per_source", part)
	}
}

// checkRange reports a number with which nothing would work, or which is none.
func checkRange(r *report, label string, at Place, k numberKey) {
	if n := int(*k.value); at.Has(k.key) && !at.Broken(k.key) && (n < k.least || n > k.most) {
		r.add(at.At(k.key), fmt.Sprintf("%s: %q is %d", label, k.key, n), fmt.Sprintf("it is a number from %d to %d", k.least, k.most),
			fmt.Sprintf("write one, or leave the key out for %d", k.normal))
	}
}

// checkShare reports a part that was written larger than the whole.
func (l *ListenerLimits) checkShare(r *report, label, part, whole string) {
	if !l.Has(part) || !l.Has(whole) {
		return
	}
	n := make(map[string]Count)
	for _, k := range l.counts() {
		n[k.key] = *k.value
	}
	if n[part] > n[whole] {
		r.add(l.At(part), fmt.Sprintf("%s: %q is %d", label, part, n[part]),
			fmt.Sprintf("%q allows %d from all together", whole, n[whole]), "write a smaller number, or a larger one there")
	}
}
