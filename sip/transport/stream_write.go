package transport

import "time"

// A pump seals and writes until nothing is left. There is at most one for each
// stream at a time, so that bytes keep their order; s.busy stands for it. It
// begins in the goroutine that calls Flush and never waits there: when the
// kernel takes no more, or the socket is not of the raw kind, it goes on in a
// goroutine of its own, which then may wait.

// pumpRounds is how often a pump looks for more before it leaves the rest to a
// goroutine: a caller must not write for all others for ever.
const pumpRounds = 8

// pump writes what it can at once. The caller has set busy.
func (s *stream) pump() {
	if !s.sock.direct() {
		s.e.wg.Go(s.pumpOn)
		return
	}
	for range pumpRounds {
		out, more := s.next()
		if !more {
			return
		}
		n, err := s.sock.try(out.b)
		if err == nil && n < len(out.b) {
			s.e.wg.Go(func() {
				if s.writeOut(out, n) {
					s.pumpOn()
				}
			})
			return
		}
		out.drop()
		if err != nil {
			s.broken(err)
			return
		}
		s.wrote()
	}
	s.e.wg.Go(s.pumpOn)
}

// pumpOn writes on and may wait for the other side.
func (s *stream) pumpOn() {
	for {
		if out, more := s.next(); !more || !s.writeOut(out, 0) {
			return
		}
	}
}

// writeOut writes a buffer from some byte on, and says false when that was the
// end of the pump.
func (s *stream) writeOut(out *buffer, from int) bool {
	_ = s.nc.SetWriteDeadline(time.Now().Add(s.limits().Stall))
	err := s.sock.write(out.b[from:])
	_ = s.nc.SetWriteDeadline(time.Time{})
	out.drop()
	if err != nil {
		s.broken(err)
		return false
	}
	s.wrote()
	return true
}

// wrote tells those who wait for a write, if any.
func (s *stream) wrote() {
	if !s.pinging.Swap(false) {
		s.active.Store(time.Now().UnixNano())
	}
	s.mu.Lock()
	s.writing = 0
	s.count(s.waiting)
	if s.spoken != nil && s.owed == 0 {
		close(s.spoken)
		s.spoken = nil
	}
	s.mu.Unlock()
}

// job is what a pump does next.
type job uint8

const (
	jobNone    job = iota // nothing is left: the pump ends
	jobData               // messages, or records that TLS made by itself
	jobGoodbye            // close_notify
	jobEnd                // the end of our direction
)

// next returns the bytes to be written now. It says false when the pump is to
// end, and has then noted that.
func (s *stream) next() (out *buffer, more bool) {
	for {
		b, do := s.choose()
		switch do {
		case jobNone:
			return nil, false
		case jobEnd:
			// Without half close the reader ends both directions, a little later.
			if half, ok := s.nc.(interface{ CloseWrite() error }); ok {
				_ = half.CloseWrite()
			}
			s.mu.Lock()
			s.busy = false
			s.hush()
			s.mu.Unlock()
			return nil, false
		case jobGoodbye:
			s.goodbye()
		case jobData:
			if s.tls == nil {
				return b, true
			}
			if b != nil {
				_, err := s.tls.Write(b.b)
				b.drop()
				if err != nil {
					s.broken(err)
					return nil, false
				}
			}
			if s.wire.size() < earlyFlush && s.more() {
				continue
			}
		}
		if out = s.wire.take(); out != nil {
			return out, true
		}
	}
}

// more says whether further messages can go into the same write.
func (s *stream) more() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.pending != nil && !s.cut
}

// choose decides what comes next, and takes a piece of the pending messages.
func (s *stream) choose() (*buffer, job) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.cut:
		s.busy = false
		s.hush()
		return nil, jobNone
	case s.pending != nil:
		b := s.shift()
		s.writing += len(b.b)
		return b, jobData
	case s.wire != nil && s.wire.waiting():
		return nil, jobData
	case s.closing && s.web != nil && !s.web.said:
		b := s.web.farewell(s.why.Err)
		s.writing += len(b.b)
		return b, jobData
	case s.closing && s.wire != nil && !s.notify:
		s.notify = true
		return nil, jobGoodbye
	case s.closing:
		return nil, jobEnd
	}
	s.busy = false
	return nil, jobNone
}

// goodbye seals close_notify. RFC 8446 §6.1: "Each party MUST send a
// "close_notify" alert before closing its write side of the connection, unless
// it has already sent some error alert."
func (s *stream) goodbye() {
	err := s.tls.CloseWrite()
	s.mu.Lock()
	s.why.NotifySent = err == nil
	s.mu.Unlock()
}
