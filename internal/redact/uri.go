package redact

import "bytes"

// longest is how far before an '@' the scheme of its URI is looked for, when there is another '@' in between. Without one there is no end to
// it but that of the URI: then nothing is looked at twice.
const longest = 512

// What a byte before an '@' says about its URI.
const (
	within = iota // nothing
	before        // that it has not begun yet: there is no scheme
	colon
	slash
)

var meaning = func() (t [256]uint8) {
	for _, c := range []byte(" \t\r\n<>\"") {
		t[c] = before
	}
	t[':'], t['/'] = colon, slash
	return t
}()

// password returns where the password before the '@' at begins, 0 when there is none. Its URI is not looked for before least.
func password(b []byte, least, at int) int {
	first, last := 0, 0 // colon and slash, as they are met from the '@' on
	b = b[:at]
	for i := at - 1; i >= least; i-- {
		switch meaning[b[i]] {
		case within:
		case before:
			return 0
		case slash:
			last = i
		case colon:
			switch {
			case last == i+1 && first > 0 && !inPath(b[first:]): // scheme://
				return first + 1
			case isSIP(b[:i]):
				if first == 0 {
					return 0
				}
				return first + 1
			}
			first = i
		}
	}
	return 0
}

// inPath reports whether the '@' after b is no longer in the authority of its URI (RFC 3986 §3.2).
func inPath(b []byte) bool { return bytes.IndexByte(b, '/') >= 0 }

// isSIP reports whether b ends with the scheme of a SIP URI.
func isSIP(b []byte) bool {
	n := len(b)
	return n >= 3 && equalFold(b[n-3:], "sip") && (n == 3 || !isLetter(b[n-4])) ||
		n >= 4 && equalFold(b[n-4:], "sips") && (n == 4 || !isLetter(b[n-5]))
}

// words are what speaks of a secret in the name of a header or parameter that somebody has made up, in lower case.
var words = []string{"auth", "token", "passw", "secret", "key", "credential"}

// inQueries finds the secrets behind the '?' of URIs: headers of a message that somebody is to send (RFC 3261 §19.1.1), such as the
// Authorization of a Refer-To, and parameters of a page.
func inQueries(b []byte, found func(from, to int)) {
	for at := 0; at < len(b); {
		i := bytes.IndexByte(b[at:], '?')
		if i < 0 {
			return
		}
		at += i + 1
		for more := true; more; {
			name := at
			for at < len(b) && inURI(b[at]) && b[at] != '=' && b[at] != '&' {
				at++
			}
			value := min(at+1, len(b))
			if at < len(b) && b[at] == '=' {
				for at = value; at < len(b) && inURI(b[at]) && b[at] != '&'; {
					at++
				}
				if value < at && (speaks(b[name:value-1]) || hasPassword(b[value:at])) {
					found(value, at)
				}
			}
			if more = at < len(b) && b[at] == '&'; more {
				at++
			}
		}
	}
}

// inURI reports whether c may stand in a URI, as people write them.
func inURI(c byte) bool { return c > ' ' && c != '<' && c != '>' && c != '"' }

// speaks reports whether a name, which may be escaped, is that of a secret or of a body, in which there may be any.
func speaks(name []byte) bool {
	var plain [64]byte
	n := 0
	for i := 0; i < len(name) && n < len(plain); i++ {
		c := name[i]
		if c == '%' && i+2 < len(name) {
			if high, low := digit(name[i+1]), digit(name[i+2]); high < 16 && low < 16 {
				c, i = high<<4|low, i+2
			}
		}
		plain[n] = c
		n++
	}
	if n == 4 && equalFold(plain[:n], "body") {
		return true
	}
	for i := range n {
		for _, w := range words {
			if i+len(w) <= n && equalFold(plain[i:i+len(w)], w) {
				return true
			}
		}
	}
	return false
}

// digit is what a hexadecimal digit counts, 16 what is none.
func digit(c byte) byte {
	switch l := c | 0x20; {
	case '0' <= c && c <= '9':
		return c - '0'
	case 'a' <= l && l <= 'f':
		return l - 'a' + 10
	}
	return 16
}

// hasPassword reports whether an escaped value has a URI with a password: two colons before an '@'.
func hasPassword(value []byte) bool {
	colons := 0
	for i := range value {
		c := value[i]
		if c == '%' && i+2 < len(value) && digit(value[i+1]) < 16 && digit(value[i+2]) < 16 {
			c = digit(value[i+1])<<4 | digit(value[i+2])
		}
		switch c {
		case ':':
			colons++
		case '@':
			return colons > 1
		}
	}
	return false
}
