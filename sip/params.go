package sip

import "bytes"

// Params are the parameters behind a URI or a header value, as they were
// written: ";name=value;flag". The leading semicolon belongs to them.
type Params []byte

// Get returns the value of a parameter and whether it is there. Names compare
// without regard to case; a flag has an empty value; quotes stay.
func (p Params) Get(name string) (value []byte, ok bool) {
	for rest := []byte(p); len(rest) > 0; {
		var n, v []byte
		n, v, rest = nextParam(rest)
		if equalFold(n, name) {
			return v, true
		}
	}
	return nil, false
}

// nextParam cuts the first parameter off p, which starts with a semicolon.
func nextParam(p []byte) (name, value, rest []byte) {
	if p[0] == ';' {
		p = p[1:]
	}
	end, eq := len(p), -1
	quoted := false
scan:
	for i := 0; i < len(p); i++ {
		switch c := p[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '=' && eq < 0:
			eq = i
		case c == ';':
			end = i
			break scan
		}
	}
	if eq >= 0 {
		return trim(p[:eq]), trim(p[eq+1 : end]), p[end:]
	}
	return trim(p[:end]), nil, p[end:]
}

// valid says whether each parameter is generic-param of RFC 3261 §25.1: a
// token, and behind an equals sign a token, a host or a quoted string.
func (p Params) valid() bool {
	for i := 0; i < len(p); {
		if p[i] != ';' {
			return false
		}
		i = skipSpace(p, i+1)
		start := i
		for i < len(p) && class[p[i]]&classToken != 0 {
			i++
		}
		if i == start {
			return false
		}
		i = skipSpace(p, i)
		if i == len(p) || p[i] == ';' {
			continue
		}
		if p[i] != '=' {
			return false
		}
		i = skipSpace(p, i+1)
		if i < len(p) && p[i] == '"' {
			n := quotedLen(p[i:])
			if n < 0 {
				return false
			}
			i += n
		} else {
			start = i
			for i < len(p) && (class[p[i]]&classGen != 0 || p[i] >= 0x80) {
				i++
			}
			if i == start {
				return false
			}
		}
		i = skipSpace(p, i)
	}
	return true
}

func skipSpace(b []byte, i int) int {
	for i < len(b) && (b[i] == ' ' || b[i] == '\t') {
		i++
	}
	return i
}

// quotedLen returns the length of the quoted-string that b begins with, both
// quotes included, or -1 when it does not end.
func quotedLen(b []byte) int {
	for i := 1; i < len(b); i++ {
		switch b[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return -1
}

// cutList cuts the first value off a comma-separated list. Commas inside
// quotes and angle brackets belong to the value.
func cutList(b []byte) (value, rest []byte) {
	if bytes.IndexByte(b, ',') < 0 {
		return trim(b), nil
	}
	quoted, angle := false, false
	for i := 0; i < len(b); i++ {
		switch c := b[i]; {
		case quoted && c == '\\':
			i++
		case c == '"' && !angle:
			quoted = !quoted
		case quoted:
		case c == '<':
			angle = true
		case c == '>':
			angle = false
		case c == ',' && !angle:
			return trim(b[:i]), b[i+1:]
		}
	}
	return trim(b), nil
}
