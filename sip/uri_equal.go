package sip

import (
	"bytes"
	"net/netip"
)

// Equal compares two URIs as RFC 3261 §19.1.4 says for SIP and SIPS and RFC 3966
// §4 for tel; others have to be the same bytes behind the scheme. It is not
// transitive, as the RFC notes: parameters that only one URI has are mostly
// ignored. It allocates nothing but for IPv6 addresses.
//
// A transport that only one URI has makes them differ. The list of rules does not
// say so, but the sentence on default values and the examples do. URIs with more
// than 64 parameters or headers are equal to the same bytes only.
func (u URI) Equal(v URI) bool {
	switch {
	case !equalFold(u.Scheme, v.Scheme):
		return false
	case u.SIP():
		return u.equalSIP(v)
	case u.Is("tel"):
		return u.equalTel(v)
	}
	return bytes.Equal(u.User, v.User)
}

func (u URI) equalSIP(v URI) bool {
	if (u.User == nil) != (v.User == nil) || (u.Password == nil) != (v.Password == nil) || u.Port != v.Port {
		return false
	}
	if !equalEscaped(u.User, v.User, false) || !equalEscaped(u.Password, v.Password, false) || !equalHost(u.Host, v.Host) {
		return false
	}
	if tooManyParams(u.Params) || tooManyParams(v.Params) || tooManyHeaders(u.Headers) || tooManyHeaders(v.Headers) {
		return bytes.Equal(u.Params, v.Params) && bytes.Equal(u.Headers, v.Headers)
	}
	return paramsMatch(u.Params, v.Params) && paramsMatch(v.Params, u.Params) && equalHeaders(u, v)
}

func tooManyParams(b []byte) bool  { return bytes.Count(b, []byte(";")) > maxParams }
func tooManyHeaders(b []byte) bool { return bytes.Count(b, []byte("&")) >= maxParams }

// equalHost compares names without regard to case, and IPv6 addresses as the
// numbers they are (RFC 5954 §4.2).
func equalHost(a, b []byte) bool {
	if equalFold(a, b) {
		return true
	}
	if len(a) < 2 || len(b) < 2 || a[0] != '[' || b[0] != '[' {
		return false
	}
	x, err1 := netip.ParseAddr(string(a[1 : len(a)-1]))
	y, err2 := netip.ParseAddr(string(b[1 : len(b)-1]))
	return err1 == nil && err2 == nil && x == y
}

// paramsMatch says whether all parameters of a match those of b. Of several with
// one name, which no URI should have, the first counts.
func paramsMatch(a, b Params) bool {
	for rest := []byte(a); len(rest) > 0; {
		var name []byte
		name, _, rest = nextParam(rest)
		x, _ := getEscaped(a, name)
		y, ok := getEscaped(b, name)
		switch {
		case !ok && neverIgnored(name):
			return false
		case ok && ((x == nil) != (y == nil) || !equalEscaped(x, y, true)):
			return false
		}
	}
	return true
}

// getEscaped is Params.Get for a name with escapes.
func getEscaped(p Params, name []byte) (value []byte, ok bool) {
	for rest := []byte(p); len(rest) > 0; {
		var n, v []byte
		if n, v, rest = nextParam(rest); equalEscaped(n, name, true) {
			return v, true
		}
	}
	return nil, false
}

// neverIgnored says whether a URI with the parameter differs from one without.
func neverIgnored(name []byte) bool {
	for _, n := range [...]string{"user", "ttl", "method", "maddr", "transport"} {
		if equalEscaped(name, []byte(n), true) {
			return true
		}
	}
	return false
}

// equalHeaders says whether both URIs ask for the same headers, each as often.
func equalHeaders(u, v URI) bool {
	count := func(in URI, name, value []byte) (n int) {
		for k, x := range in.EachHeader() {
			if sameHeader(k, name) && equalHeaderValue(x, value, equalEscaped(name, []byte("body"), true)) {
				n++
			}
		}
		return n
	}
	total := 0
	for name, value := range u.EachHeader() {
		if total++; count(u, name, value) != count(v, name, value) {
			return false
		}
	}
	for range v.EachHeader() {
		total--
	}
	return total == 0
}

// sameHeader compares names, full and compact ones being the same.
func sameHeader(a, b []byte) bool {
	if equalEscaped(a, b, true) {
		return true
	}
	id := headerOf(a)
	return id != HdrOther && id == headerOf(b)
}

// equalHeaderValue compares without regard to case, but in quoted strings
// (RFC 3261 §7.3.1), and in a body.
func equalHeaderValue(a, b []byte, exact bool) bool {
	quoted := false
	for len(a) > 0 && len(b) > 0 {
		var x, y escaped
		x, a = nextEscaped(a)
		y, b = nextEscaped(b)
		if x.c != y.c && (exact || quoted || lower[x.c] != lower[y.c]) {
			return false
		}
		switch {
		case x.c == '"':
			quoted = !quoted
		case quoted && x.c == '\\' && len(a) > 0 && len(b) > 0:
			x, a = nextEscaped(a)
			if y, b = nextEscaped(b); x.c != y.c {
				return false
			}
		}
	}
	return len(a) == 0 && len(b) == 0
}

// escaped is one character of a URI. reserved says that it was written as an
// escape and is another thing than the character itself.
type escaped struct {
	c        byte
	reserved bool
}

func nextEscaped(b []byte) (x escaped, rest []byte) {
	if b[0] == '%' && len(b) > 2 {
		if h, l := unhex(b[1]), unhex(b[2]); h >= 0 && l >= 0 {
			c := byte(h<<4 | l)
			return escaped{c, bytes.IndexByte([]byte(";/?:@&=+$,"), c) >= 0}, b[3:]
		}
	}
	return escaped{b[0], false}, b[1:]
}

// equalEscaped compares text in which characters "other than those in the
// 'reserved' set are equivalent to their '%' HEX HEX encoding".
func equalEscaped(a, b []byte, anyCase bool) bool {
	for len(a) > 0 && len(b) > 0 {
		var x, y escaped
		x, a = nextEscaped(a)
		y, b = nextEscaped(b)
		if x != y && !(anyCase && x.reserved == y.reserved && lower[x.c] == lower[y.c]) {
			return false
		}
	}
	return len(a) == 0 && len(b) == 0
}

// equalTel compares numbers without their separators, and every parameter.
func (u URI) equalTel(v URI) bool {
	if u.Global() != v.Global() || !equalNumber(u.User, v.User) {
		return false
	}
	if tooManyParams(u.Params) || tooManyParams(v.Params) {
		return bytes.Equal(u.Params, v.Params)
	}
	return telParamsMatch(u.Params, v.Params) && telParamsMatch(v.Params, u.Params)
}

func telParamsMatch(a, b Params) bool {
	for rest := []byte(a); len(rest) > 0; {
		var name []byte
		name, _, rest = nextParam(rest)
		x, _ := getEscaped(a, name)
		y, ok := getEscaped(b, name)
		if !ok || (x == nil) != (y == nil) {
			return false
		}
		number := equalFold(name, "ext") || equalFold(name, "phone-context") && len(x) > 0 && x[0] == '+'
		if number && !equalNumber(x, y) || !number && !equalEscaped(x, y, true) {
			return false
		}
	}
	return true
}

// equalNumber compares telephone numbers without visual separators and without
// regard to case.
func equalNumber(a, b []byte) bool {
	for {
		for len(a) > 0 && visualSeparator(a[0]) {
			a = a[1:]
		}
		for len(b) > 0 && visualSeparator(b[0]) {
			b = b[1:]
		}
		if len(a) == 0 || len(b) == 0 {
			return len(a) == len(b)
		}
		if lower[a[0]] != lower[b[0]] {
			return false
		}
		a, b = a[1:], b[1:]
	}
}
