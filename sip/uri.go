package sip

import "bytes"

// URI is a parsed sip, sips or tel URI, or any other whose scheme we only
// know by name (RFC 3261 §19.1, RFC 3966). Its slices point into what was
// parsed; escapes are kept.
type URI struct {
	Scheme   []byte // as written; see Is
	User     []byte // without the password; for tel the number, for other schemes all behind the colon
	Password []byte
	Host     []byte // IPv6 references keep their brackets
	Port     uint16 // 0: none written
	Params   Params
	Headers  []byte // behind the question mark
}

// Is compares the scheme without regard to case.
func (u URI) Is(scheme string) bool { return equalFold(u.Scheme, scheme) }

// SIP says whether the scheme is sip or sips.
func (u URI) SIP() bool { return u.Is("sip") || u.Is("sips") }

// HostName returns the host without the brackets of an IPv6 reference.
func (u URI) HostName() []byte {
	if n := len(u.Host); n > 2 && u.Host[0] == '[' {
		return u.Host[1 : n-1]
	}
	return u.Host
}

// Transport returns the transport parameter, nil when there is none.
func (u URI) Transport() []byte {
	v, _ := u.Params.Get("transport")
	return v
}

// ParseURI parses b, which holds a URI and nothing else. The error is a
// *ParseError whose offset counts from the start of b.
func ParseURI(b []byte) (URI, error) {
	u, rule := parseURI(b)
	if rule != "" {
		return u, ruleError("URI", 0, rule)
	}
	return u, nil
}

// parseURI returns the broken rule, "" when there is none.
func parseURI(b []byte) (u URI, rule string) {
	colon := bytes.IndexByte(b, ':')
	if colon <= 0 || !all(b[:colon], classToken) {
		return u, "a URI starts with a scheme and a colon"
	}
	u.Scheme = b[:colon]
	rest := b[colon+1:]
	switch string(u.Scheme) {
	case "sip", "sips":
		return parseSIP(u, rest)
	}
	switch {
	case u.SIP():
		return parseSIP(u, rest)
	case u.Is("tel"):
		return parseTel(u, rest)
	}
	u.User = rest
	if len(rest) == 0 || !printable(rest) {
		return u, "a URI has no spaces and no control characters"
	}
	return u, ""
}

// parseSIP reads what stands behind the scheme, from left to right: each byte
// of a URI is looked at about once.
func parseSIP(u URI, b []byte) (URI, string) {
	if at := spanOf(b, classUser); at < len(b) && (b[at] == '@' || b[at] == ':' || b[at] == '%') {
		var rule string
		if u, b, rule = parseUser(u, b); rule != "" {
			return u, rule
		}
	}
	n := hostLen(b)
	var ok bool
	if u.Host, u.Port, ok = parseHostPort(b[:n]); !ok {
		return u, "the host of a SIP URI is a name, an IPv4 address or a bracketed IPv6 address, the port a number to 65535"
	}
	if b = b[n:]; len(b) > 0 && b[0] == ';' {
		n = bytes.IndexByte(b, '?')
		if n < 0 {
			n = len(b)
		}
		u.Params, b = Params(b[:n]), b[n:]
		if !validURIParams(u.Params) {
			return u, "a parameter of the SIP URI is empty or has a character that needs an escape"
		}
	}
	if len(b) == 0 {
		return u, ""
	}
	u.Headers = b[1:]
	if len(u.Headers) == 0 || !printable(u.Headers) {
		return u, "the headers of a SIP URI are empty or have a space"
	}
	return u, ""
}

// parseUser reads "user:password@", if there is an at sign.
func parseUser(u URI, b []byte) (URI, []byte, string) {
	at := bytes.IndexByte(b, '@')
	if at < 0 {
		return u, b, ""
	}
	u.User = b[:at]
	if colon := bytes.IndexByte(u.User, ':'); colon >= 0 {
		u.User, u.Password = u.User[:colon], u.User[colon+1:]
		if !escaped(u.Password, classUser) {
			return u, b, "the password of a SIP URI has a character that needs an escape"
		}
	}
	if len(u.User) == 0 || !escaped(u.User, classUser) {
		return u, b, "the user of a SIP URI is empty or has a character that needs an escape"
	}
	return u, b[at+1:], ""
}

// spanOf returns how many bytes b begins with that have the class.
func spanOf(b []byte, bits uint8) int {
	for i, c := range b {
		if class[c]&bits == 0 {
			return i
		}
	}
	return len(b)
}

// hostLen returns where the host and port end: at parameters or headers.
func hostLen(b []byte) int {
	for i, c := range b {
		if c == ';' || c == '?' {
			return i
		}
	}
	return len(b)
}

func parseTel(u URI, rest []byte) (URI, string) {
	if semi := bytes.IndexByte(rest, ';'); semi >= 0 {
		u.Params = Params(rest[semi:])
		rest = rest[:semi]
	}
	u.User = rest
	for _, c := range rest {
		if unhex(c) < 0 && bytes.IndexByte([]byte("+-.()*#"), c) < 0 {
			return u, "a tel URI holds digits and visual separators (RFC 3966 §3)"
		}
	}
	if len(rest) == 0 || !validURIParams(u.Params) {
		return u, "a tel URI has a number, and no empty parameter"
	}
	return u, ""
}

// parseHostPort splits "host:port" and checks both. Port 0 is refused.
func parseHostPort(b []byte) (host []byte, port uint16, ok bool) {
	host = b
	var digits []byte
	if len(b) > 0 && b[0] == '[' {
		end := bytes.IndexByte(b, ']')
		if end < 3 || !validIPv6(b[1:end]) {
			return nil, 0, false
		}
		host, b = b[:end+1], b[end+1:]
		if len(b) > 0 {
			if b[0] != ':' {
				return nil, 0, false
			}
			digits = b[1:]
		}
	} else {
		if colon := bytes.IndexByte(b, ':'); colon >= 0 {
			host, digits = b[:colon], b[colon+1:]
			b = b[colon:]
		} else {
			b = nil
		}
		if !all(host, classHost) || host[0] == '.' || host[0] == '-' {
			return nil, 0, false
		}
	}
	if len(b) == 0 {
		return host, 0, true
	}
	n, ok := number(digits, 65535)
	return host, uint16(n), ok && n > 0
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

func validURIParams(p Params) bool {
	for i := 0; i < len(p); {
		if p[i] != ';' {
			return false
		}
		i++
		start, eq := i, -1
		for i < len(p) && p[i] != ';' {
			if p[i] == '=' && eq < 0 {
				eq = i
			}
			i++
		}
		name := p[start:i]
		if eq >= 0 {
			name = p[start:eq]
			if eq+1 == i || !escaped(p[eq+1:i], classParam) {
				return false
			}
		}
		if len(name) == 0 || !escaped(name, classParam) {
			return false
		}
	}
	return true
}

func printable(b []byte) bool {
	for _, c := range b {
		if c <= ' ' || c == 0x7f {
			return false
		}
	}
	return true
}
