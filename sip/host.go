package sip

import "bytes"

// endHost reads a host, which is a name, an IPv4 address or an IPv6 address in
// brackets (RFC 3261 §25.1). It returns i when there is none.
func endHost(b []byte, i int) int {
	end := endOf(b, i, classHost)
	if end == i {
		return endReference(b, i)
	}
	if b[i] == '.' || b[i] == '-' {
		return i
	}
	return end
}

// endReference reads an IPv6 address in brackets.
func endReference(b []byte, i int) int {
	if !at(b, i, '[') {
		return i
	}
	n := bytes.IndexByte(b[i:], ']')
	if n < 0 || !validIPv6(b[i+1:i+n]) {
		return i
	}
	return i + n + 1
}

// validIPv6 looks at the characters and the count of groups; who dials an
// address parses it again.
func validIPv6(b []byte) bool {
	colons, double := 0, false
	for i, c := range b {
		switch {
		case c == ':':
			colons++
			if i > 0 && b[i-1] == ':' {
				if double {
					return false
				}
				double = true
			}
		case unhex(c) < 0 && c != '.':
			return false
		}
	}
	return colons >= 2 && colons <= 8
}

// endPort reads a port number. Port 0 is no port that anybody can be reached at.
func endPort(b []byte, i int) (port uint16, end int, ok bool) {
	n := uint32(0)
	for end = i; end < len(b) && class[b[end]]&classDigit != 0 && n <= 65535; end++ {
		n = n*10 + uint32(b[end]-'0')
	}
	return uint16(n), end, n > 0 && n <= 65535
}
