package sip

import (
	"bytes"
	"fmt"
)

// Frame says what stands at the start of a stream's buffer.
type Frame uint8

const (
	FrameMore      Frame = iota // nothing whole yet
	FrameKeepAlive              // CRLFs between messages (RFC 5626 §3.5.1): n is 2, or 4 for a ping that came whole
	FrameMessage                // a whole message of n bytes
)

// Framer cuts a stream into messages (RFC 3261 §18.3). The zero value uses the
// default limits. It belongs to the stream's reader.
type Framer struct {
	Limits Limits

	seen int // bytes of an unfinished header section already looked at
	want int // bytes a message with its header section complete will have
}

// Next looks for one message at the start of b and loads it into m.
//
// With FrameMessage, n bytes are used up and m holds the message; a *ParseError
// beside it means that the message is malformed but its end is known. A
// *FrameError means that the stream cannot be cut any further and has to end;
// m then holds what could be indexed, if there is a Via in it. With FrameMore
// the caller comes again with the same bytes and more behind them.
func (f *Framer) Next(b []byte, m *Message) (n int, kind Frame, err error) {
	f.Limits.complete()
	if f.seen == 0 && len(b) > 0 && (b[0] == '\r' || b[0] == '\n') {
		return f.keepAlive(b, m)
	}
	if f.want > len(b) {
		return 0, FrameMore, nil
	}
	if f.seen > 0 && f.want == 0 && !f.complete(b) {
		return f.more(b, m)
	}
	if reason := nonsense(b); reason != "" {
		return 0, FrameMore, f.broken(m, nil, "", reason)
	}
	head, whole := m.index(b, f.Limits)
	if !whole {
		m.reset()
		return f.more(b, m)
	}
	if head > f.Limits.Message {
		return 0, FrameMore, f.headTooLong(b, m)
	}
	if !m.lengthSet || m.length < 0 {
		if m.err != nil && m.err.Limit != "" { // it may be among what was passed over
			return 0, FrameMore, f.broken(m, b[:head], m.err.Limit, m.err.Rule)
		}
		return 0, FrameMore, f.broken(m, b[:head], "", "no usable Content-Length on a stream (RFC 3261 §18.3)")
	}
	n = head + m.length
	if n > f.Limits.Message {
		return 0, FrameMore, f.tooLong(m, b[:head], longMessage)
	}
	if n > len(b) {
		f.seen, f.want = len(b), n
		m.reset()
		return 0, FrameMore, nil
	}
	f.seen, f.want = 0, 0
	m.buf = append(m.buf[:0], b[:n]...)
	m.body = head
	m.checkParts(f.Limits.BodyParts)
	if m.err != nil {
		return n, FrameMessage, m.err
	}
	return n, FrameMessage, nil
}

// complete says whether the header section's end is among the new bytes, so
// that a message that drips in byte by byte costs no more than its length.
func (f *Framer) complete(b []byte) bool {
	return bytes.Contains(b[max(0, f.seen-3):], []byte("\r\n\r\n"))
}

// more waits, unless what is there cannot become a message.
func (f *Framer) more(b []byte, m *Message) (int, Frame, error) {
	f.seen = len(b)
	if reason := nonsense(b); reason != "" {
		return 0, FrameMore, f.broken(m, nil, "", reason)
	}
	if len(b) > f.Limits.Message {
		return 0, FrameMore, f.headTooLong(b, m)
	}
	return 0, FrameMore, nil
}

const (
	longHead    = "header section longer than the limit"
	longMessage = "message longer than the limit"
	noSIP       = "bytes that no SIP message begins with"
)

// maxMethod is the longest method that a stream may begin with.
const maxMethod = 64

// nonsense recognises a start that no SIP message has: a token, then a space
// and a URI, or a slash as in SIP/2.0. It finds the same in every piece that
// is long enough to tell.
func nonsense(b []byte) string {
	word := endOf(b[:min(len(b), maxMethod)], 0, classToken)
	rest := b[word:]
	switch {
	case len(rest) == 0:
		return ""
	case word == 0 && rest[0] == 0x16: // the record type of a handshake, before the version's 3
		if len(rest) == 1 {
			return ""
		}
		if rest[1] == 3 {
			return "a TLS ClientHello on a port without TLS"
		}
	case word > 0 && rest[0] == ' ':
		if len(rest) > 1 && (rest[1] == '/' || rest[1] == '*') {
			return "an HTTP request on a SIP port"
		}
		return ""
	case word > 0 && rest[0] == '/':
		return ""
	}
	return noSIP
}

// headTooLong ends the stream for a header section beyond the limit. What stands
// before the limit may suffice for an answer; it is the same in whatever pieces the
// rest came.
func (f *Framer) headTooLong(b []byte, m *Message) error {
	m.index(b, f.Limits) // joins the lines that are continued behind the limit
	b = b[:f.Limits.Message]
	m.index(b, f.Limits)
	return f.tooLong(m, b, longHead)
}

// tooLong ends the stream for a message beyond the limit: nobody wants to read
// it to its end.
func (f *Framer) tooLong(m *Message, head []byte, reason string) error {
	return f.broken(m, head, LimitMessage, fmt.Sprintf("%s of %d bytes", reason, f.Limits.Message))
}

func (f *Framer) broken(m *Message, head []byte, limit Limit, reason string) error {
	f.seen, f.want = 0, 0
	m.buf = append(m.buf[:0], head...)
	m.body = len(m.buf)
	if head == nil {
		m.clearIndex()
	}
	return &FrameError{Reason: reason, Limit: limit}
}

func (f *Framer) keepAlive(b []byte, m *Message) (int, Frame, error) {
	switch {
	case bytes.HasPrefix(b, []byte("\r\n\r\n")):
		return 4, FrameKeepAlive, nil
	case len(b) == 1 && b[0] == '\r':
		return 0, FrameMore, nil
	case bytes.HasPrefix(b, []byte("\r\n")):
		return 2, FrameKeepAlive, nil
	}
	return 0, FrameMore, f.broken(m, nil, "", noSIP)
}
