package transport

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sallyport-sip/sallyport/sip"
)

// stream is the link of a TCP or TLS connection.
//
// Its life: open, then closing (we want to end: what is pending goes out, then
// close_notify and the end of our direction; the reader waits a little for the
// other side's end), then over. Cut off is closing without the last words. Who
// ends it first has given the reason. The reader is always the last to leave.
type stream struct {
	c    *Conn
	e    *Endpoint
	nc   net.Conn
	sock socket
	wire *wire      // nil without TLS
	tls  *tls.Conn  // nil without TLS
	web  *webSocket // nil when it is none

	ending   atomic.Bool   // closing or cut off: Send fails
	accepted atomic.Bool   // see Conn.Confirmed
	active   atomic.Int64  // time of the last write of more than a ping, Unix nanoseconds
	pinging  atomic.Bool   // the next write is that of a ping
	heard    atomic.Int64  // time of the last read that gave bytes, likewise
	woken    atomic.Uint64 // calls of wake, counted with mu held
	manner   atomic.Pointer[Manner]
	promise  atomic.Int64 // see Conn.Agree; 0: none
	in       streamIn

	mu      sync.Mutex
	pending *buffer // messages not yet sealed, in pieces; the first
	last    *buffer // of them
	waiting int     // bytes of them
	writing int     // bytes that the pump has taken and not yet written
	counted int     // bytes of Endpoint.backlog that are ours
	busy    bool    // a pump is at work; it alone writes
	closing bool
	cut     bool
	notify  bool          // our close_notify has been sealed
	owed    int           // messages that are awaited before spoken is closed
	spoken  chan struct{} // closed by the write after them, when somebody waits for it
	silent  chan struct{} // closed when nothing will be written any more
	quiet   bool          // silent is closed
	why     CloseReason
}

// newStream opens a stream with a reader in a goroutine of its own.
func (e *Endpoint) newStream(nc net.Conn, h *handshake, web *webSocket, info ConnInfo, key Key) (*Conn, error) {
	s, err := e.openStream(nc, h, web, info, key)
	if err != nil {
		return nil, err
	}
	e.wg.Go(s.read)
	return s.c, nil
}

// openStream makes the connection of a socket whose handshake is over. Somebody has
// to call read then, who does nothing else afterwards.
//
// h is nil without TLS, web for what is no WebSocket.
func (e *Endpoint) openStream(nc net.Conn, h *handshake, web *webSocket, info ConnInfo, key Key) (*stream, error) {
	c := &Conn{info: info}
	s := &stream{c: c, e: e, nc: nc, web: web, silent: make(chan struct{})}
	c.link = s
	s.accepted.Store(true)
	if h != nil {
		st := h.tls.ConnectionState()
		c.tls, c.start = &st, h.start
		s.wire, s.tls, s.sock = h.wire, h.tls, h.wire.sock
		// A server that has answered the HTTP request has accepted us before.
		s.accepted.Store(info.Inbound || st.Version < tls.VersionTLS13 || web != nil)
	} else {
		s.sock = newSocket(nc, &e.stats)
	}
	m := e.manner
	s.manner.Store(&m)
	if info.on == nil || !info.on.tuned {
		tune(nc, m.KeepAlive, m.Unacknowledged)
	}
	if web != nil {
		s.why.web, s.in.watch.pongs = true, true // whoever speaks it answers pings
		for len(web.early) > 0 {
			n := copy(s.in.box.space(), web.early)
			s.in.box.add(n)
			web.early = web.early[n:]
		}
		web.early = nil
	}
	if err := e.enrol(c, key, s.wire); err != nil {
		return nil, err
	}
	if e.hooks.Opened != nil {
		e.hooks.Opened(c)
	}
	if s.accepted.Load() && e.hooks.Confirmed != nil {
		e.hooks.Confirmed(c)
	}
	return s, nil
}

// enrol identifies the other side and makes the connection known.
func (e *Endpoint) enrol(c *Conn, key Key, w *wire) error {
	for again := true; again; {
		generation := e.pool.current()
		id, err := e.hooks.identify(c.info, c.tls)
		if err != nil {
			return fmt.Errorf("identify the other side: %w", err)
		}
		if c.opened.IsZero() {
			c.opened = time.Now()
			if w == nil {
				c.start = c.opened
			} else {
				w.poll()
			}
		}
		c.standing.Store(&standing{key: key, identity: id})
		if again, err = e.pool.add(c, generation); err != nil {
			return err
		}
	}
	return nil
}

// limits are those of the listener, or of the endpoint for a stream that we
// dialled.
func (s *stream) limits() *Limits { return s.e.limitsOn(s.c.info.on) }

func (s *stream) alive() bool     { return !s.ending.Load() }
func (s *stream) confirmed() bool { return s.accepted.Load() }

func (s *stream) send(b []byte, _ netip.AddrPort) (first bool, err error) {
	if s.e.hooks.Tap != nil && s.alive() {
		// Before the bytes can leave: the answer must not be seen first.
		s.e.hooks.tap(s.c, true, s.c.info.Remote, time.Now(), b)
	}
	first, err = s.append(b)
	if err != nil {
		return false, err
	}
	s.e.stats.MessagesOut.Add(1)
	s.e.stats.BytesOut.Add(uint64(len(b)))
	return first, nil
}

// append adds a message to what is pending, or a keep-alive.
func (s *stream) append(b []byte) (first bool, err error) {
	if s.web != nil {
		return s.web.append(s, b)
	}
	return s.queue(b)
}

// queue adds bytes to what is pending.
func (s *stream) queue(b []byte) (first bool, err error) {
	s.mu.Lock()
	if s.closing || s.cut {
		why := &worded{s.why.Text, s.why.Err}
		s.mu.Unlock()
		return false, fmt.Errorf("%w: %w", ErrClosed, why)
	}
	held := s.waiting + s.writing
	if passed := s.overfull(held + len(b)); passed != "" {
		s.mu.Unlock()
		err = passedLimit(passed, fmt.Errorf("%w: %d bytes", ErrQueueFull, held))
		s.abort(err)
		return false, err
	}
	first = s.pending == nil
	if first {
		s.pending = takeBuffer()
		s.last = s.pending
	} else if len(s.last.b)+len(b) > bufferSize {
		s.last.next = takeBuffer()
		s.last = s.last.next
	}
	s.last.b = append(s.last.b, b...)
	s.waiting += len(b)
	s.owed = max(0, s.owed-1)
	early := s.waiting >= earlyFlush
	s.mu.Unlock()
	if early {
		s.flush()
	}
	return first, nil
}

// flush starts a pump unless one is at work: that one will see what is pending.
func (s *stream) flush() {
	s.mu.Lock()
	start := !s.busy && !s.cut && (s.pending != nil || s.wire != nil && s.wire.waiting())
	if start {
		s.busy = true
	}
	s.mu.Unlock()
	if start {
		s.pump()
	}
}

func (s *stream) close(reason error) {
	s.mu.Lock()
	if s.closing || s.cut {
		s.mu.Unlock()
		return
	}
	s.closing = true
	s.why.Local, s.why.Err, s.why.Text, s.why.Dead = true, reason, reason.Error(), deathOf(reason)
	s.ending.Store(true)
	// The reader wakes up, and from now on only waits for the other side's end.
	_ = s.nc.SetReadDeadline(time.Now().Add(s.limits().Linger))
	start := !s.busy
	s.busy = true
	s.mu.Unlock()
	s.e.hooks.exceeded(s.c.info, s.c.Identity().Peer, reason)
	s.e.pool.retire(s.c)
	if start {
		s.pump()
	}
}

// abort cuts the connection off. A reason that was given before stays.
func (s *stream) abort(reason error) {
	s.mu.Lock()
	first := !s.closing && !s.cut
	if first {
		s.why.Local, s.why.Err, s.why.Text = true, reason, reason.Error()
	}
	s.cutOff()
	s.mu.Unlock()
	if first {
		s.e.hooks.exceeded(s.c.info, s.c.Identity().Peer, reason)
	}
	s.e.pool.retire(s.c)
	s.nc.Close()
}

// cutOff lets nothing more be written. The caller holds mu and closes the
// socket afterwards.
func (s *stream) cutOff() {
	s.cut = true
	s.ending.Store(true)
	if !s.busy {
		s.hush()
	}
}

// hush says that nothing will be written any more. The caller holds mu.
func (s *stream) hush() {
	if !s.quiet {
		s.quiet = true
		close(s.silent)
	}
	for s.pending != nil {
		s.shift().drop()
	}
	s.writing = 0
	s.count(0)
}

// shift takes the first piece of what is pending. The caller holds mu.
func (s *stream) shift() *buffer {
	b := s.pending
	s.pending, b.next = b.next, nil
	s.waiting -= len(b.b)
	return b
}

// count notes how many bytes wait to be sent, once they are many, and says
// whether all streams together may hold them. The caller holds mu.
func (s *stream) count(held int) bool {
	if held <= s.limits().Pending {
		held = 0
	}
	if held == s.counted {
		return true
	}
	if !s.e.backlog.move(s.counted, held) {
		return false
	}
	s.counted = held
	return true
}

// broken ends the connection because a write failed, unless there is a reason
// already. The pump that met the error ends too.
func (s *stream) broken(err error) {
	s.mu.Lock()
	s.busy = false
	if errors.Is(err, os.ErrDeadlineExceeded) {
		err = passedLimit(LimitStall, err)
	}
	if !s.closing && !s.cut {
		s.why.BeforeData = !s.accepted.Load()
		s.why.explain(err)
	}
	s.cutOff()
	s.mu.Unlock()
	s.e.hooks.exceeded(s.c.info, s.c.Identity().Peer, err)
	s.e.pool.retire(s.c)
	s.nc.Close()
}

// overfull returns which limit so many pending bytes would pass, empty for none.
// The caller holds mu.
func (s *stream) overfull(held int) sip.Limit {
	l := s.limits()
	switch known := s.c.Identity().Peer != ""; {
	case !known && held > l.Pending:
		return LimitPending
	case known && held > l.PendingPeer:
		return LimitPendingPeer
	case !s.count(held):
		return LimitBacklog
	}
	return ""
}

// idleLimit is how long the stream may be at rest, zero for ever, and since when
// it is: of somebody unknown only messages count.
func (s *stream) idleLimit() (rest time.Duration, since time.Time) {
	if s.c.Identity().Peer == "" {
		return s.limits().IdleUnknown, s.in.told
	}
	return s.limits().Idle, s.lastBytes()
}

// streamIn is what belongs to the reader alone.
type streamIn struct {
	box    inbox // clear text
	framer sip.Framer
	msg    *sip.Message // to load the next message into
	batch  []Packet
	lent   *[]Packet // from batches, where batch goes back to
	crlf   bool      // the last thing was a single CRLF
	ping   bool      // a pong is pending
	watch  watch

	spoke   bool          // a whole message has come, or a keep-alive of a known peer
	told    time.Time     // when the last whole message came, or the stream opened
	pings   int           // keep-alives since the last whole message
	begun   time.Time     // when an unfinished message began; zero when none is
	last    time.Time     // when bytes came
	said    time.Time     // when a message came
	rested  time.Duration // how long nothing had passed when the last read returned, 0 when it gave a message
	by      time.Time     // the read deadline that is set
	counted int           // bytes of Endpoint.unfinished that are ours
}
