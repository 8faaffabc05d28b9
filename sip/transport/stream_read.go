package transport

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/sallyport-sip/sallyport/sip"
)

// drainLimit is how many bytes we throw away while we wait for the other side's
// end after ours.
const drainLimit = 256 << 10

var batches = sync.Pool{New: func() any { return new([]Packet) }}

// pong answers a keep-alive. RFC 5626 §4.4.1: the client sends a double CRLF
// and expects a single one.
var pong = []byte("\r\n")

// read is the stream's goroutine, from the handshake to the end.
func (s *stream) read() {
	err := s.readAll()
	if err != nil {
		s.otherEnd(err)
	}
	if err == nil || s.web != nil && s.web.bye {
		s.drain()
	}
	s.leave()
}

// readAll hands over messages until the stream ends. The error is the other
// side's; nil means that we are ending it.
func (s *stream) readAll() error {
	s.in.last, s.in.said = s.c.opened, s.c.opened
	s.heard.Store(s.c.opened.UnixNano())
	s.in.told = s.c.opened
	if s.wire != nil || s.web != nil {
		// What came with the end of the handshake is there already.
		if err := s.turn(s.c.opened); err != nil {
			return err
		}
	}
	for !s.ending.Load() {
		s.arm()
		err := s.fill()
		now := time.Now()
		s.in.rested = now.Sub(s.lastSaid())
		switch {
		case s.ending.Load():
			return nil
		case errors.Is(err, os.ErrDeadlineExceeded):
			s.in.by = now // it has passed, and has to be set again even for none
			reason := s.overdue(now)
			if reason == nil {
				reason = s.tend(now)
			}
			if reason != nil {
				s.close(reason)
				return nil
			}
			continue
		case err != nil && s.wire == nil:
			return err
		}
		s.in.last = now
		s.heard.Store(now.UnixNano())
		if err := s.turn(now); err != nil {
			return err
		}
	}
	return nil
}

// fill waits for bytes and reads once.
func (s *stream) fill() error {
	if s.wire != nil {
		return s.wire.fill()
	}
	_, err := s.sock.read(&s.in.box)
	return err
}

// turn handles what one read gave: all whole messages go out as one batch. The
// error is the other side's end.
func (s *stream) turn(now time.Time) error {
	end, broken := s.gather(now)
	if !s.accepted.Load() && s.goodRecords(end) > 0 {
		s.accepted.Store(true)
		if s.e.hooks.Confirmed != nil {
			s.e.hooks.Confirmed(s.c)
		}
	}
	var answered chan struct{}
	if broken != nil {
		answered = s.awaitAnswers()
	}
	s.deliver()
	// What others have pending is theirs to flush, so that it stays one write.
	if s.in.ping || s.wire != nil && s.wire.waiting() {
		s.in.ping = false
		s.flush()
	}
	if broken != nil {
		s.lastWord(answered)
		s.close(frameReason(broken, answered == nil))
		return nil
	}
	if end == nil && !s.countUnfinished() {
		s.close(passedLimit(LimitUnfinished, fmt.Errorf("too many bytes of unfinished messages are held: %d", s.e.unfinished.used.Load())))
	}
	return end
}

// goodRecords is how many records came since the handshake, without the one that
// ended the stream, if it was one.
func (s *stream) goodRecords(end error) int {
	if end != nil && !s.wire.ended {
		return s.wire.records - 1
	}
	return s.wire.records
}

// gather cuts what was read into messages.
func (s *stream) gather(now time.Time) (end, broken error) {
	in := &s.in
	if s.wire == nil {
		broken = s.frame(now)
	}
	for s.wire != nil && end == nil && broken == nil {
		var n int
		n, end = s.tls.Read(in.box.space())
		in.box.add(n)
		broken = s.frame(now)
		if n == 0 && errors.Is(end, errNothing) {
			end = nil
			break
		}
	}
	in.box.rest()
	if in.msg != nil {
		in.msg.Release()
		in.msg = nil
	}
	if s.web != nil && s.web.bye {
		end, broken = broken, nil
	}
	switch unfinished := !in.box.empty() || s.wire != nil && s.wire.midRecord() || s.web != nil && s.web.midMessage(); {
	case !unfinished:
		in.begun = time.Time{}
	case in.begun.IsZero() || len(in.batch) > 0:
		in.begun = now
	}
	return end, broken
}

// frame adds all whole messages in the box to the batch. The error is a
// *sip.FrameError; when an answer can be sent its message is the batch's last.
func (s *stream) frame(now time.Time) error {
	if s.web != nil {
		return s.frames(now)
	}
	in, limits := &s.in, s.limits()
	in.framer.Limits = limits.Message
	if s.wire == nil && !in.spoke && in.pings == 0 {
		if more, err := spokenTLS(in.box.bytes()); err != nil || more {
			if err != nil {
				in.box.clear()
			}
			return err
		}
	}
	for !in.box.empty() {
		if in.msg == nil {
			in.msg = sip.Acquire()
		}
		n, kind, err := in.framer.Next(in.box.bytes(), in.msg)
		if _, bad := err.(*sip.FrameError); bad {
			if in.msg.Has(sip.HdrVia) {
				s.packet(now, err)
			}
			in.box.clear()
			return err
		}
		switch kind {
		case sip.FrameMore:
			return nil
		case sip.FrameKeepAlive:
			if in.pings++; s.c.Identity().Peer == "" && in.pings > limits.KeepAlives {
				in.box.clear()
				return passedLimit(LimitKeepAlives, fmt.Errorf("%d keep-alives and no message between them", in.pings))
			}
			s.crlf(n)
		case sip.FrameMessage:
			in.spoke, in.crlf, in.pings, in.told = true, false, 0, now
			s.packet(now, err)
		}
		in.box.use(n)
	}
	return nil
}

// packet moves the loaded message to the batch.
func (s *stream) packet(now time.Time, err error) {
	in := &s.in
	m := in.msg
	in.msg, in.rested, in.said = nil, 0, now
	s.e.stats.MessagesIn.Add(1)
	s.e.stats.BytesIn.Add(uint64(len(m.Bytes())))
	s.e.hooks.tap(s.c, false, s.c.info.Remote, now, m.Bytes())
	if in.batch == nil {
		in.lent = batches.Get().(*[]Packet)
		in.batch = *in.lent
	}
	in.batch = append(in.batch, Packet{Msg: m, Conn: s.c, Source: s.c.info.Remote, At: now, Err: err})
}

func (s *stream) deliver() {
	b := s.in.batch
	if b == nil {
		return
	}
	s.e.hooks.Deliver(b)
	clear(b)
	*s.in.lent = b[:0]
	batches.Put(s.in.lent)
	s.in.batch, s.in.lent = nil, nil
}

// awaitAnswers returns what is closed when as many messages have been written as
// the batch has requests, nil when it has none: those that came whole are answered
// before the stream ends that cannot be cut any further.
func (s *stream) awaitAnswers() chan struct{} {
	owed := 0
	for i := range s.in.batch {
		if m := s.in.batch[i].Msg; m.IsRequest() && m.Method() != sip.ACK {
			owed++
		}
	}
	if owed == 0 {
		return nil
	}
	answered := make(chan struct{})
	s.mu.Lock()
	s.owed, s.spoken = owed, answered
	s.mu.Unlock()
	return answered
}

// lastWord waits a little for the answers to what came before nothing more could
// be read.
func (s *stream) lastWord(answered <-chan struct{}) {
	if answered == nil {
		return
	}
	t := time.NewTimer(s.limits().LastWord)
	defer t.Stop()
	select {
	case <-answered:
	case <-t.C:
	case <-s.silent:
	}
}

// countUnfinished notes how much memory an unfinished message holds. Known peers are not
// counted, so that strangers cannot use up what these need.
func (s *stream) countUnfinished() bool {
	held := 0
	if s.c.Identity().Peer == "" {
		if !s.in.box.empty() {
			held = s.in.box.held()
		}
		if s.web != nil {
			held += cap(s.web.parts)
		}
	}
	if held == s.in.counted {
		return true
	}
	if !s.e.unfinished.move(s.in.counted, held) {
		return false
	}
	s.in.counted = held
	return true
}

// deadlines returns when the stream is overdue: for its first message, the rest
// of a message, or any byte at all. Zero is never.
func (s *stream) deadlines() (first, whole, idle time.Time) {
	if s.c.info.Inbound && !s.in.spoke && (s.tls == nil || s.c.Identity().Peer == "") {
		first = s.c.opened.Add(s.limits().FirstMessage)
	}
	if !s.in.begun.IsZero() {
		whole = s.in.begun.Add(s.limits().WholeMessage)
	}
	rest, since := s.idleLimit()
	if rest > 0 {
		idle = since.Add(rest)
	}
	return first, whole, idle
}

// lastBytes is when something last passed in either direction.
func (s *stream) lastBytes() time.Time {
	if written := time.Unix(0, s.active.Load()); written.After(s.in.last) {
		return written
	}
	return s.in.last
}

// lastSaid is when something last passed that was no keep-alive.
func (s *stream) lastSaid() time.Time {
	if written := time.Unix(0, s.active.Load()); written.After(s.in.said) {
		return written
	}
	return s.in.said
}

// arm sets the read deadline. One that is too early is left alone: waking up
// once in vain costs less than setting it for each message.
func (s *stream) arm() {
	for !s.armed(s.woken.Load()) {
	}
}

// armed is false when somebody called wake since it had been called so often: then
// it has set nothing, because what it went by may have changed.
func (s *stream) armed(woken uint64) bool {
	var want time.Time
	first, whole, idle := s.deadlines()
	for _, t := range [...]time.Time{first, whole, idle, s.due()} {
		if !t.IsZero() && (want.IsZero() || t.Before(want)) {
			want = t
		}
	}
	in := &s.in
	if in.by.IsZero() && want.IsZero() {
		return true
	}
	if in.by.After(time.Now()) && (want.IsZero() || !in.by.After(want)) {
		return true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.woken.Load() != woken {
		return false
	}
	if s.closing || s.cut {
		return true // the deadline is that of the end
	}
	in.by = want
	_ = s.nc.SetReadDeadline(want)
	return true
}

// overdue returns the reason when a time has run out.
func (s *stream) overdue(now time.Time) error {
	first, whole, idle := s.deadlines()
	l := s.limits()
	switch {
	case !whole.IsZero() && !now.Before(whole):
		return passedLimit(LimitWholeMessage, fmt.Errorf("message not complete %v after it began, %d bytes of it had come", l.WholeMessage, s.unfinished()))
	case !first.IsZero() && !now.Before(first):
		return passedLimit(LimitFirstMessage, fmt.Errorf("no message within %v of connecting", l.FirstMessage))
	case !idle.IsZero() && !now.Before(idle):
		if s.c.Identity().Peer == "" {
			return passedLimit(LimitIdleUnknown, fmt.Errorf("no message for %v", l.IdleUnknown))
		}
		return passedLimit(LimitIdle, fmt.Errorf("nothing in either direction for %v", l.Idle))
	}
	return nil
}

// otherEnd notes how the other side ended the stream, and ends ours.
func (s *stream) otherEnd(err error) {
	s.mu.Lock()
	s.why.Unfinished = s.unfinished()
	s.why.MidRecord = s.wire != nil && s.wire.midRecord()
	s.why.Idle = s.in.rested
	s.noteEnd(err)
	start := false
	if !s.closing && !s.cut {
		s.closing = true
		s.ending.Store(true)
		s.why.BeforeData = !s.accepted.Load()
		s.why.explain(err)
		start = !s.busy
		s.busy = true
	}
	s.mu.Unlock()
	s.e.pool.retire(s.c)
	if start {
		s.pump()
	}
}

// noteEnd keeps what an error says of the other side's end. The caller holds mu.
func (s *stream) noteEnd(err error) {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		// crypto/tls gives the same error for close_notify and for the end of the
		// stream; the wire knows whether it has handed over the latter.
		s.why.NotifyReceived = s.wire != nil && !s.wire.ended
		s.why.Ended = !s.why.NotifyReceived
	}
}

// drain waits for the other side's end after ours, and throws away what comes:
// closing a socket with unread bytes would send a reset, which can overtake
// what we wrote last.
func (s *stream) drain() {
	for most := drainLimit; most > 0; {
		in := &s.in.box
		in.clear()
		err := s.fill()
		if s.wire == nil {
			most -= len(in.bytes())
		} else if !errors.Is(err, os.ErrDeadlineExceeded) {
			var n int
			for err = nil; err == nil; {
				in.clear()
				n, err = s.tls.Read(in.space())
				most -= n
			}
			if errors.Is(err, errNothing) {
				most--
				continue
			}
		}
		if err != nil {
			s.mu.Lock()
			s.noteEnd(err)
			s.mu.Unlock()
			return
		}
	}
}

// leave waits until our last bytes are out, within limits, and lets go of
// everything.
func (s *stream) leave() {
	t := time.NewTimer(s.limits().Linger)
	select {
	case <-s.silent:
	case <-t.C:
	}
	t.Stop()
	s.nc.Close()
	<-s.silent

	s.in.box.clear()
	if s.wire != nil {
		s.wire.reset()
	}
	s.e.unfinished.move(s.in.counted, 0)
	s.e.pool.remove(s.c)
	s.e.left(s.c.info)
	s.mu.Lock()
	s.why.complete(s.wire != nil)
	why := s.why
	s.mu.Unlock()
	if s.e.hooks.Closed != nil {
		s.e.hooks.Closed(s.c, why)
	}
}
