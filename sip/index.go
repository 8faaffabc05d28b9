package sip

import "bytes"

// index fills the message's offsets from b in one pass over its lines, and
// returns where the body begins. whole is false when the empty line that ends
// the header section is missing. Faults are kept by fail and do not stop it, so
// that a malformed message still has an end. Folded lines are unfolded in
// place: the line end becomes spaces (RFC 3261 §7.3.1).
func (m *Message) index(b []byte, limits Limits) (end int, whole bool) {
	m.clearIndex()
	limits.Headers = min(limits.Headers, maxFields)
	m.maxURI, m.maxVias = limits.URI, limits.Vias
	n := lineEnd(b)
	if n < 0 {
		return 0, false
	}
	m.startLine(b[:n], limits.HeaderLine)
	pos := n + 2
	for lines := 2; ; lines++ {
		rest := b[pos:]
		n = bytes.IndexByte(rest, '\n') - 1
		if n < 0 || rest[n] != '\r' {
			n = lineEnd(rest)
		}
		if n == 0 {
			end = pos + 2
			if !onlyLineEnds(b[:end], 2*lines) {
				m.judgeControls(b[:end])
			}
			return end, true
		}
		if n+2 < len(rest) && rest[n+2] <= ' ' && space(rest[n+2]) {
			n = unfold(rest, n)
		}
		if n < 0 {
			return 0, false
		}
		m.header(rest[:n], pos, &limits)
		pos += n + 2
	}
}

// maxFields is what the index of the first field of a header can count to.
const maxFields = 1<<16 - 1

var comma = []byte{','}

// lineEnd returns where the first CRLF stands, or -1. A lone LF is no line end:
// it stays in the line, and the message is refused for it.
func lineEnd(b []byte) int {
	n := bytes.IndexByte(b, '\n')
	for n == 0 || n > 0 && b[n-1] != '\r' {
		next := bytes.IndexByte(b[n+1:], '\n')
		if next < 0 {
			return -1
		}
		n += 1 + next
	}
	return max(n-1, -1)
}

// unfold joins the line of eol bytes that b begins with and all that continue
// it, and returns where the last one ends, or -1.
func unfold(b []byte, eol int) int {
	for eol >= 0 && eol+2 < len(b) && space(b[eol+2]) {
		b[eol], b[eol+1] = ' ', ' '
		n := lineEnd(b[eol+2:])
		if n < 0 {
			return -1
		}
		eol += 2 + n
	}
	return eol
}

// header indexes the line that stands at pos.
func (m *Message) header(line []byte, pos int, limits *Limits) {
	if len(m.fields) >= limits.Headers {
		m.exceed(LimitHeaders, "header", pos, limits.Headers)
		return
	}
	if len(line) > limits.HeaderLine {
		m.exceed(LimitHeaderLine, nameIn(line), pos, limits.HeaderLine)
		return
	}
	id, colon := lookup(line)
	nameEnd := colon
	if id == HdrOther {
		colon = max(0, bytes.IndexByte(line, ':'))
		name := trimEnd(line[:colon])
		if !all(name, classToken) {
			m.fail("header", pos, "a header line is a name, a colon and a value")
			return
		}
		nameEnd, id = len(name), headerOf(name)
	}
	start, end := colon+1, len(line)
	for start < end && line[start] <= ' ' && space(line[start]) {
		start++
	}
	for start < end && line[end-1] <= ' ' && space(line[end-1]) {
		end--
	}
	at := uint32(pos)
	m.fields = append(m.fields, field{
		name:  span{at, at + uint32(nameEnd)},
		value: span{at + uint32(start), at + uint32(end)},
		id:    id,
	})
	if id == HdrOther {
		return
	}
	repeated := m.first[id] != 0
	if !repeated {
		m.first[id] = uint16(len(m.fields))
	}
	if id == HdrVia {
		// A comma in a quoted string counts too; no Via that is met has one.
		if limits.Vias -= 1 + bytes.Count(line[start:end], comma); limits.Vias < 0 {
			m.exceed(LimitVias, "Via", pos, m.maxVias)
		}
	} else if id == HdrContentLength {
		m.contentLength(line[start:end], pos+start, repeated)
	} else if repeated && headers[id].shape == single {
		m.fail(id.String(), pos, "the header stands at most once")
	}
}

// nameIn returns how an error calls the header of a line that is not indexed.
func nameIn(line []byte) string {
	name := line[:endOf(line[:min(len(line), longestName)], 0, classToken)]
	if id := headerOf(name); id != HdrOther {
		return id.String()
	}
	if len(name) == 0 {
		return "header"
	}
	return string(name)
}

// contentLength reads the header; "two different" is what a smuggled message
// needs, so a second one is no better than none.
func (m *Message) contentLength(v []byte, offset int, repeated bool) {
	n, ok := number(v, maxBody)
	if !ok {
		m.fail("Content-Length", offset, "a number of bytes")
		m.length = -1
		return
	}
	if repeated && int(n) != m.length {
		m.fail("Content-Length", offset, "the header stands at most once, never with two values")
		m.length = -1
		return
	}
	m.length, m.lengthSet = int(n), true
}

const maxBody = 1 << 30

// startLine reads the request or status line, which without the URI has at most
// as many bytes as a header field.
func (m *Message) startLine(line []byte, most int) {
	if len(line) >= 4 && equalFold(line[:4], "SIP/") {
		m.statusLine(line)
		if len(line) > most {
			m.exceed(LimitHeaderLine, "Status-Line", 0, most)
		}
		return
	}
	m.requestLine(line)
	if len(line)-int(m.uri.end-m.uri.start) > most {
		m.exceed(LimitHeaderLine, requestLine, 0, most)
	}
}

const requestLine = "Request-Line"

func (m *Message) requestLine(line []byte) {
	const name = requestLine
	sp := endOf(line, 0, classToken)
	if sp == 0 || !at(line, sp, ' ') {
		m.fail(name, 0, "a method, a space, a URI, a space and SIP/2.0")
		return
	}
	m.method = methodOf(line[:sp])
	last := bytes.LastIndexByte(line, ' ')
	if last == sp {
		m.fail(name, sp, "a method, a space, a URI, a space and SIP/2.0")
		return
	}
	m.uri = span{uint32(sp + 1), uint32(last)}
	uri, version := line[sp+1:last], line[last+1:]
	switch {
	case string(version) != "SIP/2.0" && !equalFold(version, "SIP/2.0"):
		m.fail(name, last+1, "the version is SIP/2.0")
		if len(version) > 4 && equalFold(version[:4], "SIP/") {
			m.err.Code = 505
		}
	case len(uri) == 0:
		m.fail(name, sp+1, "single spaces around a Request-URI")
	case len(uri) > m.maxURI:
		m.exceed(LimitURI, name, sp+1, m.maxURI)
	}
}

func (m *Message) statusLine(line []byte) {
	const name = "Status-Line"
	m.code = 999 // a response that cannot be read is dropped, never answered
	if len(line) < 11 || !equalFold(line[:8], "SIP/2.0 ") || len(line) > 11 && line[11] != ' ' {
		m.fail(name, 0, "SIP/2.0, a space, three digits, a space and a reason")
		return
	}
	n, ok := number(line[8:11], 699)
	if !ok || n < 100 {
		m.fail(name, 8, "a status code from 100 to 699")
		return
	}
	m.code = int(n)
	m.uri = span{uint32(min(12, len(line))), uint32(len(line))}
}
