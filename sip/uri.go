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
	var u URI
	if rule := u.parse(b); rule != "" {
		return u, ruleError("URI", 0, rule)
	}
	return u, nil
}

// parse fills the empty u, and returns the rule that b breaks or "". It reads
// from left to right and looks at each byte about once.
func (u *URI) parse(b []byte) (rule string) {
	if len(b) > 4 && string(b[:4]) == "sip:" {
		u.Scheme = b[:3]
		return u.parseSIP(b, 4)
	}
	i := endOf(b, 0, classToken)
	if i == 0 || !at(b, i, ':') {
		return "a URI starts with a scheme and a colon"
	}
	u.Scheme = b[:i]
	i++
	switch {
	case u.SIP():
		return u.parseSIP(b, i)
	case u.Is("tel"):
		return u.parseTel(b, i)
	}
	u.User = b[i:]
	if len(u.User) == 0 || !printable(u.User) {
		return "a URI has no spaces, control characters, angle brackets or quotes"
	}
	return ""
}

// parseSIP reads what stands behind the scheme.
func (u *URI) parseSIP(b []byte, i int) (rule string) {
	i, ok := u.parseUser(b, i)
	if !ok {
		return "the user of a SIP URI is empty, or has a character that needs an escape"
	}
	end := endHost(b, i)
	if end == i {
		return "the host of a SIP URI is a name, an IPv4 address or a bracketed IPv6 address"
	}
	u.Host = b[i:end]
	if i = end; at(b, i, ':') {
		if u.Port, i, ok = endPort(b, i+1); !ok {
			return "the port of a SIP URI is a number from 1 to 65535"
		}
	}
	if at(b, i, ';') {
		if end = endURIParams(b, i); end < 0 {
			return "a parameter of the SIP URI is empty or has a character that needs an escape"
		}
		u.Params, i = Params(b[i:end]), end
	}
	if i == len(b) {
		return ""
	}
	if b[i] != '?' {
		return "only parameters and headers follow the host of a SIP URI"
	}
	u.Headers = b[i+1:]
	if len(u.Headers) == 0 || !printable(u.Headers) {
		return "the headers of a SIP URI are empty or have a character that needs an escape"
	}
	return ""
}

// parseUser reads "user@" or "user:password@", or nothing when no at sign
// follows: that stands nowhere else in a SIP URI, all other parts write it %40.
func (u *URI) parseUser(b []byte, i int) (end int, ok bool) {
	end = endEscaped(b, i, classUser)
	user := b[i:end]
	if at(b, end, ':') {
		end = endEscaped(b, end+1, classUser)
	}
	switch {
	case end == len(b):
		return i, true
	case b[end] != '@':
		return i, bytes.IndexByte(b[end:], '@') < 0
	}
	u.User = user
	if i += len(user); i < end {
		u.Password = b[i+1 : end]
	}
	return end + 1, len(user) > 0
}

func (u *URI) parseTel(b []byte, i int) (rule string) {
	end := i
	for end < len(b) && (unhex(b[end]) >= 0 || bytes.IndexByte([]byte("+-.()*#"), b[end]) >= 0) {
		end++
	}
	if u.User = b[i:end]; end == i || end < len(b) && b[end] != ';' {
		return "a tel URI has a number of digits and visual separators (RFC 3966 §3)"
	}
	if end < len(b) {
		u.Params = Params(b[end:])
		if endURIParams(b, end) != len(b) {
			return "a parameter of the tel URI is empty or has a character that needs an escape"
		}
	}
	return ""
}

// endURIParams reads parameters, each without spaces (RFC 3261 §25.1,
// uri-parameters). -1 means that one is empty or malformed.
func endURIParams(b []byte, i int) int {
	for at(b, i, ';') {
		end := endEscaped(b, i+1, classParam)
		if end == i+1 {
			return -1
		}
		if i = end; at(b, i, '=') {
			if end = endEscaped(b, i+1, classParam); end == i+1 {
				return -1
			}
			i = end
		}
	}
	if i < len(b) && b[i] != '?' {
		return -1
	}
	return i
}

// printable says whether b has none of what stands in no URI at all (RFC 3986
// appendix A, RFC 3261 §25.1): spaces, control characters, brackets, quotes.
func printable(b []byte) bool {
	for _, c := range b {
		if c <= ' ' || c == 0x7f || c == '<' || c == '>' || c == '"' {
			return false
		}
	}
	return true
}
