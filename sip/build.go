package sip

import (
	"bytes"
	"strconv"
)

// Builder writes one message into a buffer of the caller's. A start line comes
// first, then header fields in any order, then Finish. Values are written as
// given: who calls has them from a checked message or made them.
type Builder struct {
	b []byte
}

// Reset begins a new message that is appended to buf, usually buf[:0] of an
// old one.
func (b *Builder) Reset(buf []byte) { b.b = buf }

// Request writes a request line.
func (b *Builder) Request(method Method, uri []byte) {
	b.b = append(b.b, method...)
	b.b = append(b.b, ' ')
	b.b = append(b.b, uri...)
	b.b = append(b.b, " SIP/2.0\r\n"...)
}

// Status writes a status line. An empty reason becomes the usual one.
func (b *Builder) Status(code int, reason string) {
	if reason == "" {
		reason = StatusText(code)
	}
	b.b = append(b.b, "SIP/2.0 "...)
	b.b = strconv.AppendInt(b.b, int64(code), 10)
	b.b = append(b.b, ' ')
	b.b = append(b.b, reason...)
	b.b = append(b.b, "\r\n"...)
}

// Field writes a header field as it stands in another message.
func (b *Builder) Field(f Field) {
	b.b = append(b.b, f.Name...)
	b.b = append(b.b, ": "...)
	b.b = append(b.b, f.Value...)
	b.b = append(b.b, "\r\n"...)
}

// Header writes a header field whose value is the parts joined.
func (b *Builder) Header(name string, parts ...string) {
	b.b = append(b.b, name...)
	b.b = append(b.b, ": "...)
	for _, p := range parts {
		b.b = append(b.b, p...)
	}
	b.b = append(b.b, "\r\n"...)
}

// HeaderBytes is Header for bytes of a message.
func (b *Builder) HeaderBytes(name string, parts ...[]byte) {
	b.b = append(b.b, name...)
	b.b = append(b.b, ": "...)
	for _, p := range parts {
		b.b = append(b.b, p...)
	}
	b.b = append(b.b, "\r\n"...)
}

// HeaderInt writes a header field with a number.
func (b *Builder) HeaderInt(name string, n int64) {
	b.b = append(b.b, name...)
	b.b = append(b.b, ": "...)
	b.b = strconv.AppendInt(b.b, n, 10)
	b.b = append(b.b, "\r\n"...)
}

// CSeq writes the CSeq header.
func (b *Builder) CSeq(seq uint32, method Method) {
	b.b = append(b.b, "CSeq: "...)
	b.b = strconv.AppendUint(b.b, uint64(seq), 10)
	b.b = append(b.b, ' ')
	b.b = append(b.b, method...)
	b.b = append(b.b, "\r\n"...)
}

// Finish writes Content-Length, the empty line and the body, and returns the
// whole message.
func (b *Builder) Finish(body []byte) []byte {
	b.b = append(b.b, "Content-Length: "...)
	b.b = strconv.AppendInt(b.b, int64(len(body)), 10)
	b.b = append(b.b, "\r\n\r\n"...)
	b.b = append(b.b, body...)
	return b.b
}

// Raw appends header lines that are already written, with their line ends.
func (b *Builder) Raw(lines []byte) { b.b = append(b.b, lines...) }

// Response begins the response to a request: status line, and the headers that
// RFC 3261 §8.2.6.2 copies. toTag is added to a To that has none. Finish ends it.
func (b *Builder) Response(req *Message, code int, reason string, toTag []byte, source Source) {
	b.Status(code, reason)
	b.Echo(req, source)
	start := len(b.b)
	b.to(req.First(HdrTo), toTag)
	if t := req.First(HdrTimestamp); code == 100 && t != nil {
		b.HeaderBytes("Timestamp", t)
	}
	b.mend(req, start)
}

// Echo writes the header fields that every response repeats as they are, all
// but To: each Via, From, Call-ID and CSeq. The topmost Via gets received, and
// the value of rport if it asked for it, when source is not empty (RFC 3261
// §18.2.1, RFC 3581 §4). Of a header that should stand once it repeats the
// first. It returns what is written so far.
func (b *Builder) Echo(req *Message, source Source) []byte {
	top := true
	for i := range req.fields {
		start := len(b.b)
		switch f := &req.fields[i]; f.id {
		case HdrVia:
			v := req.at(f.value)
			if top && source.Host != "" {
				b.topVia(v, source)
			} else {
				b.HeaderBytes("Via", v)
			}
			top = false
		case HdrFrom, HdrCallID, HdrCSeq:
			if int(req.first[f.id]) == i+1 {
				b.HeaderBytes(headers[f.id].name, req.at(f.value))
			}
		}
		b.mend(req, start)
	}
	return b.b
}

// mend looks at the lines written since start, which repeat those of a message
// that may be malformed: a control character becomes a space, so that no reader
// takes a CR or LF that stood alone for a line end, or refuses our answer.
func (b *Builder) mend(req *Message, start int) {
	if req.err == nil {
		return
	}
	lines := b.b[start:]
	for i, c := range lines {
		paired := c == '\r' && at(lines, i+1, '\n') || c == '\n' && i > 0 && lines[i-1] == '\r'
		if control(c) && c != '\t' && !paired {
			lines[i] = ' '
		}
	}
}

func (b *Builder) to(value, tag []byte) {
	if value == nil {
		return // a malformed request may have none
	}
	if len(tag) > 0 {
		if to, err := ParseAddress(value); err == nil {
			if _, tagged := to.Params.Get("tag"); !tagged {
				b.HeaderBytes("To", value, []byte(";tag="), tag)
				return
			}
		}
	}
	b.HeaderBytes("To", value)
}

// Source is where a request came from, as its response's Via shows it.
type Source struct {
	Host string
	Port uint16
	// Keep says that we answer keep-alives on the way that the request came, which
	// is told when its Via asks (RFC 6223 §4.3).
	Keep bool
}

// keepEvery is how often we like keep-alives: RFC 5626 §4.4.1 has the same for who
// is told nothing.
const keepEvery = ";keep=120"

// topVia writes a Via field whose first value gets received, and the value of
// rport when it asked for that (RFC 3261 §18.2.1, RFC 3581 §4).
func (b *Builder) topVia(value []byte, source Source) {
	first, rest := cutList(value)
	b.b = append(b.b, "Via: "...)
	params := first[len(first):]
	if semi := bytes.IndexByte(first, ';'); semi >= 0 {
		first, params = first[:semi], first[semi:]
	}
	b.b = append(b.b, first...)
	for len(params) > 0 {
		name, value, rest := nextParam(params)
		switch {
		case equalFold(name, "received"):
		case equalFold(name, "rport"):
			b.b = append(b.b, ";rport="...)
			b.b = strconv.AppendUint(b.b, uint64(source.Port), 10)
		case source.Keep && value == nil && equalFold(name, "keep"):
			b.b = append(b.b, keepEvery...)
		default:
			b.b = append(b.b, params[:len(params)-len(rest)]...)
		}
		params = rest
	}
	b.b = append(b.b, ";received="...)
	b.b = append(b.b, source.Host...)
	if rest != nil {
		b.b = append(b.b, ',')
		b.b = append(b.b, rest...)
	}
	b.b = append(b.b, "\r\n"...)
}

// AppendResponse appends a whole response without a body. extra are header
// lines without their line ends.
func AppendResponse(dst []byte, req *Message, code int, reason string, toTag []byte, source Source, extra ...string) []byte {
	b := Builder{dst}
	b.Response(req, code, reason, toTag, source)
	for _, line := range extra {
		b.b = append(b.b, line...)
		b.b = append(b.b, "\r\n"...)
	}
	return b.Finish(nil)
}
