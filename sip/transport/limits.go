package transport

import (
	"fmt"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sallyport-sip/sallyport/sip"
)

// Limits bound what the other side can make us hold. Fields left zero take the
// value of [DefaultLimits], except Idle.
type Limits struct {
	// Message bounds one message.
	Message sip.Limits

	// Conns is the number of inbound connections, ConnsPerSource that of one
	// IPv4 address or one IPv6 /64.
	Conns, ConnsPerSource int

	// Handshakes is how many inbound TLS handshakes run at once. The next one
	// waits HandshakeWait in the accept goroutine and is then refused.
	Handshakes    int
	HandshakeWait time.Duration

	// HandshakeTimeout is for a whole handshake, in both roles; DialTimeout for
	// connecting and the handshake together.
	HandshakeTimeout, DialTimeout time.Duration

	// FirstMessage is the time from connecting to the first whole message or
	// keep-alive of an inbound stream; but a peer that proved over TLS who it is may
	// connect only to be reached. WholeMessage is the time from the first byte of a
	// message to its last.
	FirstMessage, WholeMessage time.Duration

	// Idle is the time without a byte in either direction after which the stream
	// of a known peer ends; zero is never, and the default: there may be calls on
	// it that have nothing to say for hours, and what has died without a word is
	// found by the keep-alive of TCP. IdleUnknown is that for everybody else.
	Idle, IdleUnknown time.Duration

	// Pending is how many bytes may wait to be sent to somebody unknown on one
	// stream, PendingPeer to a known peer or on one UDP socket: the calls of a whole
	// trunk may come in one burst. Passing it ends a stream; on UDP the datagram is
	// dropped.
	Pending, PendingPeer int

	// Backlog is how many bytes may wait on all those streams together on which
	// more than Pending wait. The stream that passes it ends.
	Backlog int

	// Unfinished is how many bytes all unidentified streams together may hold of
	// messages that are not complete. The stream that passes it ends.
	Unfinished int

	// Stall is how long a write may wait for a peer that does not read.
	Stall time.Duration

	// LastWord is how long a stream that cannot be cut any further stays open for
	// the answer to its last message; Linger is how long we wait for the other
	// side's end after ours.
	LastWord, Linger time.Duration
}

// DefaultLimits are safe on a machine with a few hundred MiB to spare.
func DefaultLimits() Limits {
	return Limits{
		Message:          sip.DefaultLimits(),
		Conns:            20_000,
		ConnsPerSource:   4_000,
		Handshakes:       2_000,
		HandshakeWait:    time.Second,
		HandshakeTimeout: 10 * time.Second,
		DialTimeout:      10 * time.Second,
		FirstMessage:     30 * time.Second,
		WholeMessage:     10 * time.Second,
		IdleUnknown:      5 * time.Minute,
		Pending:          256 << 10,
		PendingPeer:      4 << 20,
		Backlog:          32 << 20,
		Unfinished:       32 << 20,
		Stall:            30 * time.Second,
		LastWord:         500 * time.Millisecond,
		Linger:           time.Second,
	}
}

// orDefault fills in what was left out.
func (l Limits) orDefault() Limits {
	d := DefaultLimits()
	fill(&l.Message.Message, d.Message.Message)
	fill(&l.Message.Headers, d.Message.Headers)
	fill(&l.Message.HeaderLine, d.Message.HeaderLine)
	fill(&l.Conns, d.Conns)
	fill(&l.ConnsPerSource, d.ConnsPerSource)
	fill(&l.Handshakes, d.Handshakes)
	fill(&l.HandshakeWait, d.HandshakeWait)
	fill(&l.HandshakeTimeout, d.HandshakeTimeout)
	fill(&l.DialTimeout, d.DialTimeout)
	fill(&l.FirstMessage, d.FirstMessage)
	fill(&l.WholeMessage, d.WholeMessage)
	fill(&l.IdleUnknown, d.IdleUnknown)
	fill(&l.Pending, d.Pending)
	fill(&l.PendingPeer, d.PendingPeer)
	fill(&l.Backlog, d.Backlog)
	fill(&l.Unfinished, d.Unfinished)
	fill(&l.Stall, d.Stall)
	fill(&l.LastWord, d.LastWord)
	fill(&l.Linger, d.Linger)
	return l
}

func fill[T int | time.Duration](p *T, value T) {
	if *p <= 0 {
		*p = value
	}
}

// census counts inbound connections, in all and by source.
type census struct {
	mu       sync.Mutex
	all      int
	bySource map[netip.Prefix]int
}

// enter counts a connection, or says which limit it would pass.
func (c *census) enter(l *Limits, from netip.Addr) error {
	source := sourceOf(from)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.all >= l.Conns {
		return fmt.Errorf("%w: %d are open", ErrTooManyConns, c.all)
	}
	if n := c.bySource[source]; n >= l.ConnsPerSource {
		return fmt.Errorf("%w: %d are open from %v", ErrTooManyConns, n, source)
	}
	if c.bySource == nil {
		c.bySource = map[netip.Prefix]int{}
	}
	c.all++
	c.bySource[source]++
	return nil
}

func (c *census) leave(from netip.Addr) {
	source := sourceOf(from)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.all--
	if c.bySource[source]--; c.bySource[source] == 0 {
		delete(c.bySource, source)
	}
}

// sourceOf is what one client can be expected to have for itself: an IPv4
// address, or the /64 of an IPv6 address.
func sourceOf(a netip.Addr) netip.Prefix {
	a = a.Unmap().WithZone("")
	bits := a.BitLen()
	if a.Is6() {
		bits = 64
	}
	p, _ := a.Prefix(bits)
	return p
}

// budget is a number of bytes shared by all connections.
type budget struct {
	limit int64
	used  atomic.Int64
}

// move changes one holder's share from old to new bytes. It says false, and
// changes nothing, when more was asked for than is left.
func (b *budget) move(old, new int) bool {
	by := int64(new - old)
	if b.used.Add(by) > b.limit && by > 0 {
		b.used.Add(-by)
		return false
	}
	return true
}
