package memnet

import (
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"time"
)

// Conn is one end of a stream. It is a net.Conn with CloseWrite and Reset.
type Conn struct {
	network       *Network // nil for a Pipe
	local, remote netip.AddrPort
	in, out       *flow
	readBy        deadline
	writeBy       deadline
}

func pair(n *Network, opt Options, a, b netip.AddrPort) (near, far *Conn) {
	there := newFlow(opt.Window, opt.Delay)
	back := newFlow(opt.Window, opt.Delay)
	near = &Conn{network: n, local: a, remote: b, in: back, out: there}
	far = &Conn{network: n, local: b, remote: a, in: there, out: back}
	return near, far
}

// Read takes what has arrived, across the borders of the writes. io.EOF comes
// after the other side's CloseWrite or Close, ECONNRESET after its Reset.
func (c *Conn) Read(p []byte) (int, error) {
	n, err := c.in.read(p, &c.readBy)
	if err != nil && err != io.EOF {
		err = c.opError("read", err)
	}
	return n, err
}

// Write waits while the window is full. Writing to a side that closed is EPIPE.
func (c *Conn) Write(p []byte) (int, error) {
	if c.vanishes() && !c.in.left() {
		return len(p), nil
	}
	n, err := c.out.write(p, &c.writeBy)
	if err != nil {
		err = c.opError("write", err)
	}
	return n, err
}

// CloseWrite sends the end of the stream; reading goes on.
func (c *Conn) CloseWrite() error {
	if !c.vanishes() {
		c.out.finish()
	}
	return nil
}

// Close ends both directions: the other side reads what was written and then
// io.EOF, and can write no more.
func (c *Conn) Close() error {
	if !c.in.abandon() {
		return c.opError("close", net.ErrClosed)
	}
	return c.CloseWrite()
}

// Reset ends both directions at once and throws away what was not read; the
// other side gets ECONNRESET.
func (c *Conn) Reset() {
	if !c.vanishes() {
		c.out.reset() // first: nothing may follow that this end says to its own end
	}
	c.in.abandon()
}

// vanishes says whether what this end sends reaches nobody, see Network.Darken.
func (c *Conn) vanishes() bool { return c.network.vanishes(c.local, c.remote) }

// LocalAddr is this end as a *net.TCPAddr.
func (c *Conn) LocalAddr() net.Addr { return net.TCPAddrFromAddrPort(c.local) }

// RemoteAddr is the other end as a *net.TCPAddr.
func (c *Conn) RemoteAddr() net.Addr { return net.TCPAddrFromAddrPort(c.remote) }

// SetDeadline sets both deadlines; the zero time means none.
func (c *Conn) SetDeadline(t time.Time) error {
	c.readBy.set(t)
	c.writeBy.set(t)
	return nil
}

// SetReadDeadline sets when a Read gives up.
func (c *Conn) SetReadDeadline(t time.Time) error {
	c.readBy.set(t)
	return nil
}

// SetWriteDeadline sets when a Write gives up.
func (c *Conn) SetWriteDeadline(t time.Time) error {
	c.writeBy.set(t)
	return nil
}

func (c *Conn) opError(op string, err error) error {
	return &net.OpError{Op: op, Net: "tcp", Source: c.LocalAddr(), Addr: c.RemoteAddr(), Err: err}
}

// flow is one direction of a stream.
type flow struct {
	window int
	delay  time.Duration

	mu       sync.Mutex
	segments []segment
	held     int           // bytes in segments
	done     bool          // the writer has ended
	doneAt   time.Time     // when the reader may learn of it
	gone     bool          // the reader has ended
	broken   error         // reset by the writer
	changed  chan struct{} // closed and replaced at every change
}

type segment struct {
	at time.Time // when it can be read
	b  []byte
}

func newFlow(window int, delay time.Duration) *flow {
	return &flow{window: window, delay: delay, changed: make(chan struct{})}
}

// notify wakes everybody who waits. The caller holds mu.
func (f *flow) notify() {
	close(f.changed)
	f.changed = make(chan struct{})
}

func (f *flow) write(p []byte, by *deadline) (int, error) {
	written := 0
	for {
		f.mu.Lock()
		switch {
		case f.done:
			f.mu.Unlock()
			return written, net.ErrClosed
		case f.gone:
			f.mu.Unlock()
			return written, syscall.EPIPE
		case by.passed():
			f.mu.Unlock()
			return written, os.ErrDeadlineExceeded
		}
		if n := min(len(p), f.window-f.held); n > 0 {
			f.segments = append(f.segments, segment{time.Now().Add(f.delay), append([]byte(nil), p[:n]...)})
			f.held += n
			written += n
			p = p[n:]
			f.notify()
		}
		changed := f.changed
		f.mu.Unlock()
		if len(p) == 0 {
			return written, nil
		}
		select {
		case <-changed:
		case <-by.wait():
		}
	}
}

func (f *flow) read(p []byte, by *deadline) (int, error) {
	for {
		now := time.Now()
		f.mu.Lock()
		var due time.Time
		switch {
		case f.gone:
			f.mu.Unlock()
			return 0, net.ErrClosed
		case f.broken != nil:
			f.mu.Unlock()
			return 0, f.broken
		case by.passed():
			f.mu.Unlock()
			return 0, os.ErrDeadlineExceeded
		case len(f.segments) > 0:
			if n := f.take(p, now); n > 0 || len(p) == 0 {
				f.notify()
				f.mu.Unlock()
				return n, nil
			}
			due = f.segments[0].at
		case f.done && !now.Before(f.doneAt):
			f.mu.Unlock()
			return 0, io.EOF
		case f.done:
			due = f.doneAt
		}
		changed := f.changed
		f.mu.Unlock()
		waitFor(changed, by, due, now)
	}
}

// waitFor waits for a change, the deadline or the time something is due.
func waitFor(changed <-chan struct{}, by *deadline, due, now time.Time) {
	var arrived <-chan time.Time
	if !due.IsZero() {
		t := time.NewTimer(due.Sub(now))
		defer t.Stop()
		arrived = t.C
	}
	select {
	case <-changed:
	case <-by.wait():
	case <-arrived:
	}
}

// take copies the segments that have arrived. The caller holds mu.
func (f *flow) take(p []byte, now time.Time) int {
	n := 0
	for n < len(p) && len(f.segments) > 0 && !f.segments[0].at.After(now) {
		s := &f.segments[0]
		m := copy(p[n:], s.b)
		n += m
		if s.b = s.b[m:]; len(s.b) == 0 {
			f.segments[0] = segment{}
			f.segments = f.segments[1:]
		}
	}
	f.held -= n
	return n
}

func (f *flow) finish() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.done {
		f.done, f.doneAt = true, time.Now().Add(f.delay)
		f.notify()
	}
}

func (f *flow) reset() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.done, f.broken = true, syscall.ECONNRESET
	f.segments, f.held = nil, 0
	f.notify()
}

// left says whether the reading side has ended.
func (f *flow) left() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.gone
}

// abandon ends the reading side; it says false when that was done before.
func (f *flow) abandon() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.gone {
		return false
	}
	f.gone = true
	f.segments, f.held = nil, 0
	f.notify()
	return true
}

// deadline is a moment that closes a channel when it comes.
type deadline struct {
	mu    sync.Mutex
	timer *time.Timer
	over  chan struct{}
}

func (d *deadline) set(t time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.timer != nil && !d.timer.Stop() {
		<-d.over // the timer has fired: wait until it has closed the channel
	}
	d.timer = nil
	fresh := d.over == nil || closed(d.over)
	switch left := time.Until(t); {
	case t.IsZero():
		if fresh {
			d.over = make(chan struct{})
		}
	case left <= 0:
		if d.over == nil {
			d.over = make(chan struct{})
		}
		if !closed(d.over) {
			close(d.over)
		}
	default:
		if fresh {
			d.over = make(chan struct{})
		}
		over := d.over
		d.timer = time.AfterFunc(left, func() { close(over) })
	}
}

func (d *deadline) wait() <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.over == nil {
		d.over = make(chan struct{})
	}
	return d.over
}

func (d *deadline) passed() bool { return closed(d.wait()) }

func closed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
