package transport

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"net/netip"
	"time"
)

// Manner is how a stream is kept alive, and watched for whether it still is.
// The zero value pings nobody and leaves the socket as it is.
//
// A connection can be half open: the other side, or a NAT between, has forgotten
// it, and no word of that came. Three signs of it end a stream, each with a reason
// of its own: a ping without a pong, bytes that nobody acknowledges, and silence
// while a request waits for its response (Conn.Suspect).
type Manner struct {
	// Ping is how long nothing may come before the other side is asked with a
	// double CRLF whether it is there (RFC 5626 §4.4.1). Each time 80 to 100 % of it
	// is taken, so that many connections do not ask at once. 0: never. It is for
	// streams that we dialled: who accepted one only answers.
	Ping time.Duration
	// Pong says what it means when no CRLF comes back.
	Pong Pong
	// KeepAlive is how long nothing may pass before TCP asks whether the other side
	// is there; 0: never. Unacknowledged is how long bytes, or that question, may wait
	// to be acknowledged by the other side's TCP before the stream ends; 0 leaves that
	// to the system, which takes about a quarter of an hour. Only Linux knows it.
	KeepAlive, Unacknowledged time.Duration
	// Alias says that our requests on this stream may offer it for requests in the
	// other direction (RFC 5923 §8.1).
	Alias bool
}

// Pong says what a missing pong means.
type Pong uint8

const (
	// PongLearned takes it for the end only when the other side has answered a
	// ping on this stream before, or has promised to: many do not know pings.
	PongLearned Pong = iota
	// PongRequired takes it for the end from the first ping on.
	PongRequired
)

// pongWithin is how long a pong may take. RFC 5626 §4.4.1: "If a pong is not
// received within 10 seconds after sending a ping …, then the client MUST treat
// the flow as failed."
const pongWithin = 10 * time.Second

// ping is what asks for a pong (RFC 5626 §4.4.1).
var ping = []byte("\r\n\r\n")

// Death is the sign by which a stream that was half open was found out.
type Death string

// The signs.
const (
	DeathNoPong         Death = "no_pong"        // a ping had no answer
	DeathUnacknowledged Death = "unacknowledged" // bytes, or TCP's own question, were not acknowledged
	DeathSilent         Death = "silent"         // nothing came while a request waited for its response
)

// A dead stream ends with one of these.
var (
	errNoPong = fmt.Errorf("the other side is gone without a word: no pong, nor anything else, within %v of our ping", pongWithin)
	errSilent = errors.New("the other side is taken for gone: nothing came while a request waited for its response until that was given up")
)

func deathOf(err error) Death {
	switch {
	case errors.Is(err, errNoPong):
		return DeathNoPong
	case errors.Is(err, errSilent):
		return DeathSilent
	}
	return ""
}

// DefaultManner is how a stream is kept of which nothing else is said: no pings,
// and TCP finds out within a minute.
func DefaultManner() Manner {
	return Manner{KeepAlive: 30 * time.Second, Unacknowledged: 30 * time.Second}
}

// Manner is how the stream is kept, the zero value on UDP.
func (c *Conn) Manner() Manner {
	if s, ok := c.link.(*stream); ok {
		return *s.manner.Load()
	}
	return Manner{}
}

// Keep changes how a stream is kept, from now on. On UDP it does nothing.
func (c *Conn) Keep(m Manner) {
	if s, ok := c.link.(*stream); ok {
		s.keep(m)
	}
}

// Agree notes that the other side has said in a response of its own accord that it
// answers pings, and how often it would like them; 0: it leaves that to us
// (RFC 6223).
func (c *Conn) Agree(every time.Duration) {
	s, ok := c.link.(*stream)
	if !ok {
		return
	}
	if every <= 0 {
		every = noWish
	}
	if s.promise.Swap(int64(every)) != int64(every) {
		s.wake()
	}
}

// noWish is the promise of who leaves to us how often we ping.
const noWish = time.Duration(math.MaxInt64)

// Promised says whether Agree was called.
func (c *Conn) Promised() bool {
	s, ok := c.link.(*stream)
	return ok && s.promise.Load() > 0
}

// Remind sends a datagram of two CRLFs, so that a NAT on the way takes the place it
// goes to for one that is in use. On a stream it does nothing, and what the socket
// does not take is lost.
func (c *Conn) Remind(to netip.AddrPort) {
	if d, ok := c.link.(*datagrams); ok {
		if _, _, err := d.append(ping, to); err == nil {
			d.e.stats.Pings.Add(1)
			d.flush()
		}
	}
}

// Suspect tells that a request on a stream that we dialled was given up without
// any response. When nothing at all came since it left, the stream ends: if the
// other side is there, the next request finds it by a new one. since is when the
// request left.
func (c *Conn) Suspect(since time.Time) {
	s, ok := c.link.(*stream)
	if ok && !c.info.Inbound && s.alive() && time.Unix(0, s.heard.Load()).Before(since) {
		s.close(errSilent)
	}
}

// Heard is when bytes last came on a stream; the zero value on UDP.
func (c *Conn) Heard() time.Time {
	if s, ok := c.link.(*stream); ok {
		return time.Unix(0, s.heard.Load())
	}
	return time.Time{}
}

// keep changes the manner and wakes the reader, which goes by it.
func (s *stream) keep(m Manner) {
	old := s.manner.Swap(&m)
	if old.KeepAlive != m.KeepAlive || old.Unacknowledged != m.Unacknowledged {
		tune(s.nc, m.KeepAlive, m.Unacknowledged)
	}
	if old.Ping != m.Ping {
		s.wake()
	}
}

// wake has the reader look at its deadlines again.
func (s *stream) wake() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.woken.Add(1)
	if !s.closing && !s.cut {
		_ = s.nc.SetReadDeadline(time.Now())
	}
}

// watch is the reader's part in keeping a stream alive.
type watch struct {
	every time.Duration // of the manner that span was drawn from
	span  time.Duration // how long nothing may come this time
	asked time.Time     // when the ping left whose pong has not come; zero: none did
	spent time.Time     // when a ping was given up without harm
	pongs bool          // a pong has come on this stream
}

// due is when the reader has to do something; zero is never.
func (s *stream) due() time.Time {
	m, w := s.manner.Load(), &s.in.watch
	if m.Ping <= 0 || s.c.info.Inbound {
		w.asked, w.every = time.Time{}, 0
		return time.Time{}
	}
	if !w.asked.IsZero() {
		return w.asked.Add(pongWithin)
	}
	every := m.Ping
	if wish := time.Duration(s.promise.Load()); wish > 0 {
		every = min(every, max(wish, pongWithin))
	}
	if w.every != every {
		w.every, w.span = every, jittered(every)
	}
	from := s.in.last
	if w.spent.After(from) {
		from = w.spent
	}
	return from.Add(w.span)
}

// jittered takes 80 to 100 % of a time. RFC 5626 §4.4.1 draws the time between two
// keep-alives so.
func jittered(d time.Duration) time.Duration {
	return d - time.Duration(rand.Int64N(int64(d)/5+1))
}

// tend pings, or judges that a pong is missing: the error ends the stream.
//
// deviates: RFC 5626 §4.4.1 wants the pong and nothing else. Whatever came after
// the ping shows as well that the other side is there, and to end the stream of
// one that is and does not know pings would help nobody.
func (s *stream) tend(now time.Time) error {
	due := s.due()
	if due.IsZero() || now.Before(due) {
		return nil
	}
	m, w := s.manner.Load(), &s.in.watch
	w.every = 0 // draw again
	if w.asked.IsZero() {
		w.asked = now
		s.pinging.Store(true)
		s.askPong()
		s.e.stats.Pings.Add(1)
		s.flush()
		return nil
	}
	came := s.in.last.After(w.asked)
	w.asked = time.Time{}
	if !came && (m.Pong == PongRequired || w.pongs || s.promise.Load() > 0) {
		return errNoPong
	}
	w.spent = now
	return nil
}

// crlf takes CRLFs between messages: 2 bytes, or 4. A double one is a ping and is
// answered; it may come in two pieces. A single one while a pong is due is that.
func (s *stream) crlf(n int) {
	in := &s.in
	in.spoke = in.spoke || s.c.Identity().Peer != ""
	s.e.stats.KeepAlives.Add(1)
	if n == 2 && !in.watch.asked.IsZero() {
		in.watch.asked, in.watch.every, in.watch.pongs = time.Time{}, 0, true
		in.crlf = false
		return
	}
	if in.crlf = n == 2 && !in.crlf; !in.crlf {
		_, _ = s.append(pong)
		in.ping = true
	}
}
