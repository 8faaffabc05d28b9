package transport

import (
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sallyport-sip/sallyport/sip"
)

// Limits bound what the other side can make us hold. Fields left zero take the
// value of [DefaultLimits], those of a listener that of its endpoint; Idle stays
// zero. What is counted "in all" is counted for each listener, against its own
// limits, and for all listeners of an endpoint together against the endpoint's.
type Limits struct {
	// Message bounds one message.
	Message sip.Limits

	// Conns is the number of inbound connections in all, ConnsPerSource that of one
	// IPv4 address or one IPv6 /64.
	Conns, ConnsPerSource int

	// Handshakes is how many inbound TLS handshakes run at once, in all and of one
	// source. One that finds no place waits HandshakeWait in the accept goroutine
	// and is then refused; one whose source has its share is refused at once.
	Handshakes, HandshakesPerSource int
	HandshakeWait                   time.Duration

	// HandshakeTimeout is for a whole handshake, in both roles; DialTimeout for
	// connecting and the handshake together, and only the endpoint's.
	HandshakeTimeout, DialTimeout time.Duration

	// FirstMessage is the time from connecting to the first whole message of an
	// inbound stream, or of a known peer's its first keep-alive; but a peer that
	// proved over TLS who it is may connect only to be reached. WholeMessage is the
	// time from the first byte of a message to its last.
	FirstMessage, WholeMessage time.Duration

	// Idle is the time without a byte in either direction after which the stream
	// of a known peer ends; zero is never, and the default: there may be calls on
	// it that have nothing to say for hours, and what has died without a word is
	// found by the keep-alive of TCP. IdleUnknown is that for everybody else, whose
	// keep-alives do not count.
	Idle, IdleUnknown time.Duration

	// KeepAlives is how many keep-alives in a row somebody unknown may send on one
	// stream without a message between them.
	KeepAlives int

	// Pending is how many bytes may wait to be sent to somebody unknown on one
	// stream, PendingPeer to a known peer or on one UDP socket: the calls of a whole
	// trunk may come in one burst. Passing it ends a stream; on UDP the datagram is
	// dropped.
	Pending, PendingPeer int

	// Backlog is how many bytes may wait on all those streams together on which
	// more than Pending wait. The stream that passes it ends. Only the endpoint's.
	Backlog int

	// Unfinished is how many bytes all unidentified streams together may hold of
	// messages that are not complete. The stream that passes it ends. Only the
	// endpoint's.
	Unfinished int

	// Stall is how long a write may wait for a peer that does not read.
	Stall time.Duration

	// LastWord is how long a stream that cannot be cut any further stays open for
	// the answer to its last message; Linger is how long we wait for the other
	// side's end after ours.
	LastWord, Linger time.Duration
}

// DefaultLimits do not stop a busy trunk; docs/reference/limits.md
// adds up what they allow.
func DefaultLimits() Limits {
	return Limits{
		Message:             sip.DefaultLimits(),
		Conns:               20_000,
		ConnsPerSource:      2_000,
		Handshakes:          1_000,
		HandshakesPerSource: 500,
		HandshakeWait:       time.Second,
		HandshakeTimeout:    10 * time.Second,
		DialTimeout:         10 * time.Second,
		FirstMessage:        30 * time.Second,
		WholeMessage:        10 * time.Second,
		IdleUnknown:         5 * time.Minute,
		KeepAlives:          100,
		Pending:             256 << 10,
		PendingPeer:         4 << 20,
		Backlog:             32 << 20,
		Unfinished:          32 << 20,
		Stall:               30 * time.Second,
		LastWord:            500 * time.Millisecond,
		Linger:              time.Second,
	}
}

// Or returns l, and what it leaves out from d.
func (l Limits) Or(d Limits) Limits { return *l.or(&d) }

func (l Limits) or(d *Limits) *Limits {
	fill(&l.Message.Message, d.Message.Message)
	fill(&l.Message.Headers, d.Message.Headers)
	fill(&l.Message.HeaderLine, d.Message.HeaderLine)
	fill(&l.Message.URI, d.Message.URI)
	fill(&l.Message.Vias, d.Message.Vias)
	fill(&l.Message.BodyParts, d.Message.BodyParts)
	fill(&l.Conns, d.Conns)
	fill(&l.ConnsPerSource, d.ConnsPerSource)
	fill(&l.Handshakes, d.Handshakes)
	fill(&l.HandshakesPerSource, d.HandshakesPerSource)
	fill(&l.HandshakeWait, d.HandshakeWait)
	fill(&l.HandshakeTimeout, d.HandshakeTimeout)
	fill(&l.DialTimeout, d.DialTimeout)
	fill(&l.FirstMessage, d.FirstMessage)
	fill(&l.WholeMessage, d.WholeMessage)
	fill(&l.Idle, d.Idle)
	fill(&l.IdleUnknown, d.IdleUnknown)
	fill(&l.KeepAlives, d.KeepAlives)
	fill(&l.Pending, d.Pending)
	fill(&l.PendingPeer, d.PendingPeer)
	fill(&l.Backlog, d.Backlog)
	fill(&l.Unfinished, d.Unfinished)
	fill(&l.Stall, d.Stall)
	fill(&l.LastWord, d.LastWord)
	fill(&l.Linger, d.Linger)
	return &l
}

func fill[T int | time.Duration](p *T, value T) {
	if *p <= 0 {
		*p = value
	}
}

// SetLimits changes the limits of an endpoint, for the next connections and
// messages; nothing that is there is closed. Listeners take from it what they
// were given no limit of their own for.
func (e *Endpoint) SetLimits(l Limits) {
	defaults := DefaultLimits()
	e.mu.Lock()
	defer e.mu.Unlock()
	e.setLimits(l.or(&defaults))
	for _, own := range slices.Concat(e.listeners, e.retired) {
		own.limits.Store(own.own.or(e.limits.Load()))
	}
}

func (e *Endpoint) setLimits(l *Limits) {
	e.limits.Store(l)
	e.unfinished.limit.Store(int64(l.Unfinished))
	e.backlog.limit.Store(int64(l.Backlog))
}

// SetLimits changes the limits of a listener as Endpoint.SetLimits does.
func (l *Listener) SetLimits(own Limits) {
	l.e.mu.Lock()
	defer l.e.mu.Unlock()
	l.own = own
	l.limits.Store(own.or(l.e.limits.Load()))
}

// Limits are those in force.
func (l *Listener) Limits() Limits { return *l.limits.Load() }

// Limits are those in force.
func (e *Endpoint) Limits() Limits { return *e.limits.Load() }

// limitsOn are the limits for what came in on a listener, nil for none.
func (e *Endpoint) limitsOn(l *Listener) *Limits {
	if l == nil {
		return e.limits.Load()
	}
	return l.limits.Load()
}

// census counts something in all and by source.
type census struct {
	mu       sync.Mutex
	all      int
	bySource map[netip.Prefix]int
}

// enter counts one more. passed says that it would be one too many, of its source
// or in all, where n are counted already.
func (c *census) enter(most, perSource int, from netip.Prefix) (n int, passed tally) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if n := c.bySource[from]; n >= perSource {
		return n, ofSource
	}
	if c.all >= most {
		return c.all, inAll
	}
	if c.bySource == nil {
		c.bySource = map[netip.Prefix]int{}
	}
	c.all++
	c.bySource[from]++
	return 0, within
}

func (c *census) leave(from netip.Prefix) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.all--
	if c.bySource[from]--; c.bySource[from] == 0 {
		delete(c.bySource, from)
	}
}

// tally says which limit of a census was passed.
type tally uint8

const (
	within tally = iota
	ofSource
	inAll
)

// enter counts a connection, or says which limit it would pass.
func (e *Endpoint) enter(l *Listener, from netip.Addr) error {
	source, own, all := sourceOf(from), l.limits.Load(), e.limits.Load()
	n, passed := l.conns.enter(own.Conns, own.ConnsPerSource, source)
	if passed == within {
		if n, passed = e.conns.enter(all.Conns, all.ConnsPerSource, source); passed != within {
			l.conns.leave(source)
		}
	}
	switch passed {
	case ofSource:
		return passedLimit(LimitConnsPerSource, fmt.Errorf("%w: %d are open from %v", ErrTooManyConns, n, source))
	case inAll:
		return passedLimit(LimitConns, fmt.Errorf("%w: %d are open", ErrTooManyConns, n))
	}
	return nil
}

// left is the opposite of enter, for a connection that ended or did not open.
func (e *Endpoint) left(info ConnInfo) {
	if info.on != nil {
		source := sourceOf(info.Remote.Addr())
		info.on.conns.leave(source)
		e.conns.leave(source)
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
	limit atomic.Int64
	used  atomic.Int64
}

// move changes one holder's share from old to new bytes. It says false, and
// changes nothing, when more was asked for than is left.
func (b *budget) move(old, new int) bool {
	by := int64(new - old)
	if b.used.Add(by) > b.limit.Load() && by > 0 {
		b.used.Add(-by)
		return false
	}
	return true
}
