//go:build linux

package main

import (
	"bytes"
	"errors"
)

// span is a part of a message's bytes.
type span struct{ from, to int }

// kind is what a message is to the driver.
type kind uint8

const (
	kindOther kind = iota // a request the driver has no part for
	kindResponse
	kindInvite
	kindAck
	kindBye
	kindOptions
	kindCancel
)

// message is where the few things the driver reads stand in one message. It is filled in one pass and looks at
// nothing else: the driver trusts the element's syntax and is not a parser to learn from.
type message struct {
	raw     []byte
	kind    kind
	status  int
	cseq    kind // the method that CSeq names
	via     [8]span
	vias    int
	record  [8]span // values of Record-Route, in order
	records int
	from    span // values, without name and line end
	to      span
	callID  span
	cseqVal span
	contact span // the URI alone
}

func (m *message) at(s span) []byte { return m.raw[s.from:s.to] }

var (
	errNoLength = errors.New("message without Content-Length on a stream")
	errTooMany  = errors.New("more than 8 Via or Record-Route values")
)

var crlfcrlf = []byte("\r\n\r\n")

// next finds the first whole message in a stream's bytes. n counts the bytes it took; 0 means that more must come.
// A keep-alive (CRLFs between messages, RFC 5626 §3.5.1) is taken with the message that follows it.
// m.raw is nil when it took keep-alives alone.
func (m *message) next(b []byte) (n int, err error) {
	m.raw = nil
	skip := 0
	for skip < len(b) && (b[skip] == '\r' || b[skip] == '\n') {
		skip++
	}
	if skip == len(b) {
		return skip, nil
	}
	end := bytes.Index(b[skip:], crlfcrlf)
	if end < 0 {
		return 0, nil
	}
	head := b[skip : skip+end+4]
	length, err := m.index(head)
	if err != nil {
		return 0, err
	}
	if length < 0 {
		return 0, errNoLength
	}
	n = skip + len(head) + length
	if n > len(b) {
		return 0, nil
	}
	return n, nil
}

// index reads the head of a message and returns its Content-Length, -1 when it names none.
func (m *message) index(b []byte) (length int, err error) {
	m.raw, m.kind, m.status, m.cseq = b, kindOther, 0, kindOther
	m.vias, m.records = 0, 0
	m.from, m.to, m.callID, m.cseqVal, m.contact = span{}, span{}, span{}, span{}, span{}
	length = -1
	eol := bytes.IndexByte(b, '\n')
	if eol < 0 {
		return -1, nil
	}
	if bytes.HasPrefix(b, []byte("SIP/2.0 ")) && eol > 11 {
		m.kind = kindResponse
		m.status = number(b[8:11])
	} else {
		m.kind = method(b)
	}
	for pos := eol + 1; pos < len(b); {
		n := bytes.IndexByte(b[pos:], '\n')
		if n < 0 {
			break
		}
		line, start := b[pos:pos+n], pos
		pos += n + 1
		colon := bytes.IndexByte(line, ':')
		if colon < 0 {
			continue
		}
		v := trim(b, span{start + colon + 1, start + n})
		name := line[:colon]
		for len(name) > 0 && name[len(name)-1] <= ' ' {
			name = name[:len(name)-1]
		}
		switch len(name) {
		case 1:
			switch name[0] {
			case 'v':
				err = m.addVia(v)
			case 'f':
				m.from = v
			case 't':
				m.to = v
			case 'i':
				m.callID = v
			case 'm':
				m.contact = address(b, v)
			case 'l':
				length = number(b[v.from:v.to])
			}
		case 2:
			if is(name, "to") {
				m.to = v
			}
		case 3:
			if is(name, "via") {
				err = m.addVia(v)
			}
		case 4:
			if is(name, "from") {
				m.from = v
			} else if is(name, "cseq") {
				m.cseqVal = v
				if i := bytes.IndexByte(b[v.from:v.to], ' '); i > 0 {
					m.cseq = method(b[v.from+i+1 : v.to])
				}
			}
		case 7:
			if is(name, "call-id") {
				m.callID = v
			} else if is(name, "contact") {
				m.contact = address(b, v)
			}
		case 12:
			if is(name, "record-route") {
				err = m.addRecord(b, v)
			}
		case 14:
			if is(name, "content-length") {
				length = number(b[v.from:v.to])
			}
		}
		if err != nil {
			return length, err
		}
	}
	return length, nil
}

func (m *message) addVia(v span) error {
	if m.vias == len(m.via) {
		return errTooMany
	}
	m.via[m.vias] = v // copied to responses as it is, so a list of values may stay one
	m.vias++
	return nil
}

// addRecord splits a Record-Route line into its values: commas inside <> are not separators.
func (m *message) addRecord(b []byte, v span) error {
	start, inside := v.from, false
	for i := v.from; i <= v.to; i++ {
		if i < v.to && (b[i] != ',' || inside) {
			switch b[i] {
			case '<':
				inside = true
			case '>':
				inside = false
			}
			continue
		}
		if m.records == len(m.record) {
			return errTooMany
		}
		m.record[m.records] = trim(b, span{start, i})
		m.records++
		start = i + 1
	}
	return nil
}

// address finds the URI of a Contact value: what stands in <>, or all up to the parameters.
func address(b []byte, v span) span {
	if open := bytes.IndexByte(b[v.from:v.to], '<'); open >= 0 {
		v.from += open + 1
		if end := bytes.IndexByte(b[v.from:v.to], '>'); end >= 0 {
			v.to = v.from + end
		}
		return v
	}
	if end := bytes.IndexAny(b[v.from:v.to], ";,"); end >= 0 {
		v.to = v.from + end
	}
	return trim(b, v)
}

func trim(b []byte, v span) span {
	for v.from < v.to && b[v.from] <= ' ' {
		v.from++
	}
	for v.to > v.from && b[v.to-1] <= ' ' {
		v.to--
	}
	return v
}

// is compares a header name with one in lower case, letters of either case being equal (RFC 3261 §7.3.1).
func is(name []byte, lower string) bool {
	for i := range name {
		c := name[i]
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		if c != lower[i] {
			return false
		}
	}
	return true
}

func method(b []byte) kind {
	n := bytes.IndexAny(b, " \r")
	if n < 0 {
		n = len(b)
	}
	switch string(b[:n]) {
	case "INVITE":
		return kindInvite
	case "ACK":
		return kindAck
	case "BYE":
		return kindBye
	case "OPTIONS":
		return kindOptions
	case "CANCEL":
		return kindCancel
	}
	return kindOther
}

func number(b []byte) int {
	n := 0
	for _, c := range b {
		if c < '0' || c > '9' || n > 1<<24 {
			break
		}
		n = n*10 + int(c-'0')
	}
	return n
}

// tag returns the tag of a From or To value, nil when it has none.
func tag(v []byte) []byte {
	if end := bytes.LastIndexByte(v, '>'); end >= 0 {
		v = v[end+1:]
	}
	i := bytes.Index(v, []byte(";tag="))
	if i < 0 {
		return nil
	}
	v = v[i+5:]
	if end := bytes.IndexByte(v, ';'); end >= 0 {
		v = v[:end]
	}
	return v
}

const hexDigits = "0123456789abcdef"

// appendHex writes v as exactly 16 hexadecimal digits.
func appendHex(b []byte, v uint64) []byte {
	for shift := 60; shift >= 0; shift -= 4 {
		b = append(b, hexDigits[v>>shift&15])
	}
	return b
}

// parseHex reads 16 hexadecimal digits at the start of b.
func parseHex(b []byte) (v uint64, ok bool) {
	if len(b) < 16 {
		return 0, false
	}
	for _, c := range b[:16] {
		switch {
		case '0' <= c && c <= '9':
			v = v<<4 | uint64(c-'0')
		case 'a' <= c && c <= 'f':
			v = v<<4 | uint64(c-'a'+10)
		default:
			return 0, false
		}
	}
	return v, true
}
