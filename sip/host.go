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

// validIPv6 says whether b is an IPv6address of RFC 3261 §25.1. A third colon
// before an IPv4 address is let through as RFC 5118 §4.10 asks.
func validIPv6(b []byte) bool {
	groups, double := 0, false
	i := 0
	if len(b) >= 2 && b[0] == ':' && b[1] == ':' {
		i, double = 2, true
	}
	for i < len(b) {
		if double && i >= 2 && b[i] == ':' && b[i-1] == ':' && b[i-2] == ':' && validIPv4(b[i+1:]) {
			i++
		}
		end := i
		for end < len(b) && unhex(b[end]) >= 0 {
			end++
		}
		if at(b, end, '.') {
			return validIPv4(b[i:]) && full(groups+2, double)
		}
		if end == i || end > i+4 {
			return false
		}
		if groups++; end == len(b) {
			break
		}
		if i = end + 1; b[end] != ':' || i == len(b) {
			return false
		}
		if b[i] == ':' {
			if double {
				return false
			}
			i, double = i+1, true
		}
	}
	return full(groups, double)
}

// full says whether so many groups make an address: eight, or fewer when a
// double colon stands for the others.
func full(groups int, double bool) bool {
	return groups == 8 && !double || groups < 8 && double
}

// validIPv4 says whether b is four numbers to 255 with dots between.
func validIPv4(b []byte) bool {
	for octets := 1; ; octets++ {
		end := endOf(b, 0, classDigit)
		if _, ok := number(b[:end], 255); !ok || end > 3 {
			return false
		}
		if end == len(b) {
			return octets == 4
		}
		if b[end] != '.' {
			return false
		}
		b = b[end+1:]
	}
}

// endPort reads a port number. Port 0 is no port that anybody can be reached at.
func endPort(b []byte, i int) (port uint16, end int, ok bool) {
	n := uint32(0)
	for end = i; end < len(b) && class[b[end]]&classDigit != 0 && n <= 65535; end++ {
		n = n*10 + uint32(b[end]-'0')
	}
	return uint16(n), end, n > 0 && n <= 65535
}
