package transport

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/sallyport-sip/sallyport/sip"
)

// webSocket is what a stream has besides when its messages are those of a
// WebSocket (RFC 6455, RFC 7118). It stands between the stream's bytes and its
// messages, as the framer does on TCP and TLS: queue, limits, times and the end
// are the stream's.
type webSocket struct {
	client bool   // we dialled: our frames are masked, theirs are not
	early  []byte // frames that came in one read with the HTTP head

	// The reader's.
	op    opcode // of the message whose fragments are being gathered; opContinuation: none
	parts []byte // of that message
	ping  []byte // payload of the last ping, to be answered; nil: none
	bye   bool   // the other side's Close frame has come

	// Guarded by stream.mu.
	said   bool   // our Close frame is on its way
	status uint16 // of it; 0: normal
	text   string // in it
}

// midMessage says whether the rest of a message in fragments is to come.
func (w *webSocket) midMessage() bool { return w.op != opContinuation }

// append wraps a message, or a keep-alive, in a frame of its own: "Each SIP
// message MUST be carried within a single WebSocket message" (RFC 7118 §5).
func (w *webSocket) append(s *stream, b []byte) (first bool, err error) {
	op := opText
	if !utf8.Valid(b) {
		// "If there is at least one non-UTF-8 symbol in the whole SIP message … then
		// the whole message MUST be sent within a WebSocket binary message" (RFC
		// 7118 §4.2).
		op = opBinary
	}
	return w.queue(s, op, b)
}

func (w *webSocket) queue(s *stream, op opcode, payload []byte) (first bool, err error) {
	f := takeBuffer()
	f.b = appendFrame(f.b, op, w.client, payload)
	first, err = s.queue(f.b)
	f.drop()
	return first, err
}

// farewell is our Close frame. The caller holds stream.mu.
func (w *webSocket) farewell(reason error) *buffer {
	w.said = true
	status := w.status
	switch {
	case status != 0:
	case errors.Is(reason, ErrShutdown):
		status = statusGoingAway
	case isLimit(reason), errors.Is(reason, errNoPong):
		status = statusPolicy
	default:
		status = statusNormal
	}
	f := takeBuffer()
	f.b = appendClose(f.b, w.client, status, w.text)
	return f
}

// blame decides what our Close frame will say.
func (s *stream) blame(status uint16, text string) {
	s.mu.Lock()
	s.web.status, s.web.text = status, text
	s.mu.Unlock()
}

// refuse is the error that ends the stream because of what the other side sent.
func (s *stream) refuse(v *violation) error {
	s.blame(v.status, v.text)
	err := &sip.FrameError{Reason: v.text}
	if v.status == statusTooBig {
		err.Limit = sip.LimitMessage
	}
	return err
}

// frames takes all whole frames out of the box. The error is a *sip.FrameError,
// as that of frame, or a *peerClose.
func (s *stream) frames(now time.Time) error {
	in, w := &s.in, s.web
	for !in.box.empty() {
		h, bad := parseHeader(in.box.bytes())
		if bad == nil {
			bad = s.judge(&h)
		}
		if bad != nil {
			in.box.clear()
			return s.refuse(bad)
		}
		end := uint64(h.size) + h.length
		if h.size == 0 || end > uint64(len(in.box.bytes())) {
			break
		}
		payload := in.box.bytes()[h.size:end]
		if h.masked {
			mangle(payload, h.key)
		}
		err := s.take(now, &h, payload)
		if err != nil {
			in.box.clear()
			w.parts = nil
			return err
		}
		in.box.use(int(end))
	}
	if w.ping != nil {
		// An answer to the last one is one to all (RFC 6455 §5.5.3).
		_, _ = w.queue(s, opPong, w.ping)
		w.ping, in.ping = nil, true
	}
	return nil
}

// judge looks at a header, before its payload is waited for.
func (s *stream) judge(h *frameHeader) *violation {
	w := s.web
	switch {
	case h.size > 0 && h.masked == w.client:
		if w.client {
			return &violation{statusProtocol, "masked frame from a server (RFC 6455 §5.1)"}
		}
		return &violation{statusProtocol, "unmasked frame from a client (RFC 6455 §5.1)"}
	case h.op.control() || h.size == 0:
	case h.op == opContinuation && w.op == opContinuation:
		return &violation{statusProtocol, "continuation of no message (RFC 6455 §5.4)"}
	case h.op != opContinuation && w.op != opContinuation:
		return &violation{statusProtocol, "message within a message (RFC 6455 §5.4)"}
	case h.length > uint64(max(0, s.messageLimit()-len(w.parts))): // a reload may have lowered the limit
		return &violation{statusTooBig, fmt.Sprintf("message longer than %d bytes", s.messageLimit())}
	}
	return nil
}

func (s *stream) messageLimit() int { return s.limits().Message.Message }

// take uses one frame.
func (s *stream) take(now time.Time, h *frameHeader, payload []byte) error {
	w := s.web
	switch h.op {
	case opPing:
		w.ping = append(make([]byte, 0, maxControl), payload...)
		return s.keepAlive(0)
	case opPong:
		return s.keepAlive(2)
	case opClose:
		return s.otherClose(payload)
	case opContinuation:
		w.parts = append(w.parts, payload...)
		if !h.fin {
			return nil
		}
		op, whole := w.op, w.parts
		w.op, w.parts = opContinuation, nil
		return s.message(now, op, whole)
	}
	if !h.fin {
		w.op, w.parts = h.op, append(w.parts, payload...)
		return nil
	}
	return s.message(now, h.op, payload)
}

// otherClose reads a Close frame, and decides what ours says: usually the same
// (RFC 6455 §5.5.1).
func (s *stream) otherClose(payload []byte) error {
	end := &peerClose{status: statusNone}
	if len(payload) >= 2 {
		end.status, end.text = binary.BigEndian.Uint16(payload), string(payload[2:])
	}
	switch {
	case len(payload) == 1 || end.status != statusNone && !sendable(end.status):
		return s.refuse(&violation{statusProtocol, "Close frame without a usable status (RFC 6455 §7.4)"})
	case end.status == statusNone && len(payload) > 0:
		return s.refuse(&violation{statusProtocol, "Close frame without a usable status (RFC 6455 §7.4)"})
	case !utf8.ValidString(end.text):
		return s.refuse(&violation{statusNotUTF8, "Close frame with a text that is not UTF-8 (RFC 6455 §5.5.1)"})
	}
	s.web.bye = true
	s.web.op, s.web.parts = opContinuation, nil
	s.blame(end.status, "")
	_ = s.nc.SetReadDeadline(time.Now().Add(s.limits().Linger))
	return end
}

// sendable says whether a status may stand in a Close frame (RFC 6455 §7.4).
func sendable(status uint16) bool {
	switch {
	case status >= 1000 && status <= 1003, status >= 1007 && status <= 1014:
		return true
	}
	return status >= 3000 && status <= 4999
}

// message uses one WebSocket message: exactly one SIP message, or the keep-alive
// of RFC 5626 §3.5.1, which RFC 7118 §6 allows here too.
func (s *stream) message(now time.Time, op opcode, b []byte) error {
	if op == opText && !utf8.Valid(b) {
		return s.refuse(&violation{statusNotUTF8, "text message that is not UTF-8 (RFC 6455 §8.1)"})
	}
	if string(b) == "\r\n\r\n" || string(b) == "\r\n" {
		return s.keepAlive(len(b))
	}
	// "Implementations … MUST ignore any CRLF appearing before the start-line" (RFC 3261 §7.5).
	b = bytes.TrimLeft(b, "\r\n")
	in := &s.in
	if in.msg == nil {
		in.msg = sip.Acquire()
	}
	err := in.msg.LoadWithin(b, s.limits().Message)
	if bad := single(in.msg, b); bad != nil {
		err = s.refuse(bad)
		if in.msg.Has(sip.HdrVia) {
			s.packet(now, err)
		}
		return err
	}
	in.spoke, in.pings, in.told = true, 0, now
	s.packet(now, err)
	return nil
}

// keepAlive takes one of n bytes: CRLFs, as crlf does, or control frames; a pong
// counts as the answer of two bytes, and a ping frame has its own.
func (s *stream) keepAlive(n int) error {
	in := &s.in
	if in.pings++; s.c.Identity().Peer == "" && in.pings > s.limits().KeepAlives {
		return passedLimit(LimitKeepAlives, fmt.Errorf("%d keep-alives and no message between them", in.pings))
	}
	if n == 4 || n == 2 && !in.watch.asked.IsZero() {
		s.crlf(n)
		return nil
	}
	in.spoke = in.spoke || s.c.Identity().Peer != ""
	s.e.stats.KeepAlives.Add(1)
	return nil
}

// askPong asks whether the other side is there. On a WebSocket a ping frame does, which
// "MUST" be answered (RFC 7118 §6, RFC 6455 §5.5.2).
func (s *stream) askPong() {
	if s.web != nil {
		_, _ = s.web.queue(s, opPing, nil)
		return
	}
	_, _ = s.append(ping)
}

// single finds what is not exactly one SIP message: "a WebSocket message MUST NOT
// contain more than one SIP message" (RFC 7118 §5). Without a Content-Length the
// body is what follows the header section. A message that is merely malformed
// is one.
func single(m *sip.Message, b []byte) *violation {
	end := bytes.Index(b, []byte("\r\n\r\n"))
	switch {
	case len(b) == 0 || b[0] < '!' || b[0] > '~':
		return &violation{statusUnsupported, "something other than a SIP message (RFC 7118 §4.1)"}
	case end < 0:
		return &violation{statusUnsupported, "a part of a SIP message: its header section does not end (RFC 7118 §5)"}
	case !m.Has(sip.HdrContentLength):
		return nil
	}
	said, err := strconv.ParseUint(string(m.First(sip.HdrContentLength)), 10, 31)
	have := len(b) - end - len("\r\n\r\n")
	switch {
	case err != nil: // the message is refused for that
		return nil
	case int(said) > have:
		return &violation{statusUnsupported, fmt.Sprintf("a part of a SIP message: Content-Length is %d, and %d bytes are there (RFC 7118 §5)", said, have)}
	case int(said) < have:
		return &violation{statusUnsupported, fmt.Sprintf("more than one SIP message: Content-Length is %d, and %d bytes are there (RFC 7118 §5)", said, have)}
	}
	return nil
}

// peerClose is the end of a stream by the other side's Close frame.
type peerClose struct {
	status uint16
	text   string
}

func (p *peerClose) Error() string {
	text := "the other side closed the WebSocket"
	if p.status != statusNone {
		text += fmt.Sprintf(" with status %d", p.status)
	}
	if name := statusNames[p.status]; name != "" {
		text += ", " + name
	}
	if p.text != "" {
		text += fmt.Sprintf(": %q", p.text)
	}
	return text
}

// statusNames are those of RFC 6455 §7.4.1, and of its registry.
var statusNames = map[uint16]string{
	1000: "normal closure", 1001: "going away", 1002: "protocol error", 1003: "unsupported data", 1007: "not UTF-8",
	1008: "policy violation", 1009: "message too big", 1010: "extension missing", 1011: "internal error",
	1012: "restart", 1013: "try again later", 1014: "bad gateway",
}

// unfinished is how many bytes have come of a message that is not complete.
func (s *stream) unfinished() int {
	n := len(s.in.box.bytes())
	if s.web != nil {
		n += len(s.web.parts)
	}
	return n
}
