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

// endParams reads parameters and the spaces behind each: a semicolon, a token,
// and behind an equals sign a token, a host or a quoted string (RFC 3261 §25.1,
// generic-param). -1 means that one is empty or malformed. alike says that two names
// begin with the same letter, so that one parameter may stand twice.
func endParams(b []byte, i int) (end int, alike bool) {
	seen := uint32(0)
	for at(b, i, ';') {
		i = skipSpace(b, i+1)
		end := endOf(b, i, classToken)
		if end == i {
			return -1, false
		}
		letter := uint32(1) << (b[i] & 31) // upper and lower case alike
		alike = alike || seen&letter != 0
		seen |= letter
		if i = skipSpace(b, end); !at(b, i, '=') {
			continue
		}
		i = skipSpace(b, i+1)
		if at(b, i, '"') {
			end = endQuoted(b, i)
		} else {
			end = endOf(b, i, classGen)
		}
		if end <= i {
			return -1, false
		}
		i = skipSpace(b, end)
	}
	return i, alike
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
