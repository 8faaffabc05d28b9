package sip

import "bytes"

// index fills the message's offsets from b in one pass over its lines, and
// returns where the body begins. whole is false when the empty line that ends
// the header section is missing. Faults are kept by fail and do not stop it, so
// that a malformed message still has an end. Folded lines are unfolded in
// place: the line end becomes spaces (RFC 3261 §7.3.1).
func (m *Message) index(b []byte, limits Limits) (end int, whole bool) {
	m.clearIndex()
	pos := m.lineEnd(b, 0)
	if pos < 0 {
		return 0, false
	}
	m.startLine(b[:pos])
	pos += 2
	for lines := 2; ; lines++ {
		eol := m.lineEnd(b, pos)
		if eol < 0 {
			return 0, false
		}
		if eol == pos {
			end = pos + 2
			if m.bareLF || bytes.Count(b[:end], crOnly) != lines {
				m.fail("header", -1, "lines end with CR LF, and no line holds either alone")
			}
			return end, true
		}
		for folded(b, eol) {
			b[eol], b[eol+1] = ' ', ' '
			if eol = m.lineEnd(b, eol+2); eol < 0 {
				return 0, false
			}
		}
		if eol+2 >= len(b) {
			return 0, false // the next line may yet be a fold
		}
		m.header(b, pos, eol, limits)
		pos = eol + 2
	}
}

var crOnly = []byte{'\r'}

// lineEnd returns where the next CRLF stands, or -1. A lone LF is no line end:
// it stays in the line, and the message is refused for it.
func (m *Message) lineEnd(b []byte, pos int) int {
	for i := pos; ; i++ {
		n := bytes.IndexByte(b[i:], '\n')
		if n < 0 {
			return -1
		}
		if i += n; i > pos && b[i-1] == '\r' {
			return i - 1
		}
		m.bareLF = true
	}
}

func folded(b []byte, eol int) bool {
	return eol+2 < len(b) && (b[eol+2] == ' ' || b[eol+2] == '\t')
}

// header indexes the line b[pos:eol].
func (m *Message) header(b []byte, pos, eol int, limits Limits) {
	if len(m.fields) >= limits.Headers || eol-pos > limits.HeaderLine {
		m.fail("header", pos, "too many header fields, or one too long")
		return
	}
	colon := pos + bytes.IndexByte(b[pos:eol], ':')
	nameEnd := colon
	for nameEnd > pos && (b[nameEnd-1] == ' ' || b[nameEnd-1] == '\t') {
		nameEnd--
	}
	if nameEnd <= pos {
		m.fail("header", pos, "a header line is a name, a colon and a value")
		return
	}
	id := headerOf(b[pos:nameEnd])
	if id == HdrOther && !all(b[pos:nameEnd], classToken) {
		m.fail("header", pos, "a header line is a name, a colon and a value")
		return
	}
	start := skipSpace(b[:eol], colon+1)
	for eol > start && (b[eol-1] == ' ' || b[eol-1] == '\t') {
		eol--
	}
	m.fields = append(m.fields, field{span{uint32(pos), uint32(nameEnd)}, span{uint32(start), uint32(eol)}, id})
	if id == HdrOther {
		return
	}
	repeated := m.first[id] != 0
	if !repeated {
		m.first[id] = uint16(len(m.fields))
	}
	if id == HdrContentLength {
		m.contentLength(b[start:eol], start, repeated)
	} else if repeated && headers[id].shape == single {
		m.fail(id.String(), pos, "the header stands at most once")
	}
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

// startLine reads the request or status line.
func (m *Message) startLine(line []byte) {
	if len(line) >= 4 && equalFold(line[:4], "SIP/") {
		m.statusLine(line)
		return
	}
	m.requestLine(line)
}

func (m *Message) requestLine(line []byte) {
	const name = "Request-Line"
	sp := bytes.IndexByte(line, ' ')
	if sp <= 0 || !all(line[:sp], classToken) {
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
	case !equalFold(version, "SIP/2.0"):
		m.fail(name, last+1, "the version is SIP/2.0")
		if len(version) > 4 && equalFold(version[:4], "SIP/") {
			m.err.Code = 505
		}
	case len(uri) == 0:
		m.fail(name, sp+1, "single spaces around a Request-URI")
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
