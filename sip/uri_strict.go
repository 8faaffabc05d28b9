package sip

import (
	"strconv"
	"unicode/utf8"
)

// strictURI returns the rule of RFC 3261 §25.1 or RFC 3966 §3 that b breaks, or
// "". It takes none of the liberties of ParseURI.
func strictURI(b []byte) string {
	var u URI
	if rule := u.parse(b); rule != "" {
		return rule
	}
	switch {
	case u.SIP():
		return u.strictSIP()
	case u.Is("tel"):
		return u.strictTel()
	}
	return ""
}

func (u URI) strictSIP() string {
	if !strictHost(u.Host) {
		return "a host name is labels of letters, digits and hyphens, and the last begins with a letter"
	}
	for _, c := range u.Password {
		if c == ';' || c == '?' || c == '/' {
			return "a password escapes semicolons, question marks and slashes"
		}
	}
	if n := len(u.Headers); n > 0 && u.Headers[n-1] == '&' {
		return "a header of the URI is empty"
	}
	for name, value := range u.EachHeader() {
		if endEscaped(name, 0, classHeader) != len(name) || endEscaped(value, 0, classHeader) != len(value) || len(name) == 0 || value == nil {
			return "headers of a URI are name=value, with escapes for all but letters, digits and -_.!~*'()[]/?:+$"
		}
	}
	return judgeParams(u.Params,
		paramRule{"transport", isToken, "transport is a token"},
		paramRule{"user", isToken, "user is a token"},
		paramRule{"method", isToken, "method is a token"},
		paramRule{"ttl", isTTL, "ttl is a number from 0 to 255"},
		paramRule{"maddr", isHost, "maddr is a host"},
		paramRule{"lr", isEmpty, "lr has no value"},
		paramRule{"ob", isEmpty, "ob has no value"})
}

// strictTel is a global number, or a local one with its context (RFC 3966 §3).
func (u URI) strictTel() string {
	context, ok := u.Params.Get("phone-context")
	switch {
	case u.Global() && endOfAny(u.User[1:], "0123456789-.()") < len(u.User)-1:
		return "a global number is a plus, digits and visual separators"
	case !u.Global() && !ok:
		return "a local number has a phone-context (RFC 3966 §5.1.5)"
	case ok && !strictHost(context) && !(len(context) > 1 && context[0] == '+' && endOfAny(context[1:], "0123456789-.()") == len(context)-1):
		return "a phone-context is a domain or a global number"
	}
	return judgeParams(u.Params)
}

// strictHost is hostname / IPv4address / IPv6reference (RFC 3261 §25.1), without
// the underscore that is met in practice.
func strictHost(b []byte) bool {
	if len(b) == 0 || b[0] == '[' || validIPv4(b) {
		return len(b) > 0 && endHost(b, 0) == len(b)
	}
	if b[len(b)-1] == '.' {
		b = b[:len(b)-1]
	}
	label := 0 // where the last one began
	for i := 0; i <= len(b); i++ {
		if i < len(b) && b[i] != '.' {
			if b[i] == '_' || class[b[i]]&classHost == 0 {
				return false
			}
			continue
		}
		if i == label || b[label] == '-' || b[i-1] == '-' {
			return false
		}
		if i < len(b) {
			label = i + 1
		}
	}
	return label < len(b) && b[label]|0x20 >= 'a' && b[label]|0x20 <= 'z'
}

// badUTF8 returns where b stops being UTF-8, or -1.
func badUTF8(b []byte) int {
	for i := 0; i < len(b); {
		if b[i] < utf8.RuneSelf {
			i++
			continue
		}
		r, n := utf8.DecodeRune(b[i:])
		if r == utf8.RuneError && n == 1 {
			return i
		}
		i += n
	}
	return -1
}

func appendPort(dst []byte, port uint16) []byte {
	return strconv.AppendUint(append(dst, ':'), uint64(port), 10)
}
