package config

import (
	"net/netip"
	"strconv"
	"strings"
)

// Transport is how SIP travels.
type Transport string

// The transports.
const (
	UDP Transport = "udp"
	TCP Transport = "tcp"
	TLS Transport = "tls"
	WS  Transport = "ws"  // WebSocket (RFC 7118)
	WSS Transport = "wss" // secure WebSocket
)

// Secure says whether it is over TLS.
func (t Transport) Secure() bool { return t == TLS || t == WSS }

func (t *Transport) set(text string) *fault {
	for _, known := range []Transport{UDP, TCP, TLS, WS, WSS} {
		if strings.EqualFold(text, string(known)) {
			*t = known
			return nil
		}
	}
	return &fault{
		why:    "transport " + quote(text) + " is unknown",
		remedy: suggest(text, []string{"udp", "tcp", "tls", "ws", "wss"}, `write "udp", "tcp", "tls", "ws" or "wss"`),
	}
}

// HostPort is a host name or address with an optional port.
type HostPort struct {
	Host string // without brackets
	Port uint16 // 0: none written
}

// String renders it as a SIP URI has it, IPv6 in brackets.
func (h HostPort) String() string {
	s := h.Host
	if strings.Contains(s, ":") {
		s = "[" + s + "]"
	}
	if h.Port != 0 {
		s += ":" + strconv.Itoa(int(h.Port))
	}
	return s
}

func (h *HostPort) set(text string) *fault {
	if a, err := netip.ParseAddr(text); err == nil {
		return h.take(a.String(), 0)
	}
	host, port, f := splitHostPort(text)
	if f != nil {
		return f
	}
	return h.take(host, port)
}

func (h *HostPort) take(host string, port uint16) *fault {
	if a, err := netip.ParseAddr(host); err == nil && a.IsUnspecified() {
		return &fault{why: "nobody can answer to an unspecified address", remedy: "write the host that others reach us by"}
	}
	if f := checkHost(host); f != nil {
		return f
	}
	*h = HostPort{host, port}
	return nil
}

// splitHostPort splits "host", "host:port", "[v6]" and "[v6]:port".
func splitHostPort(text string) (host string, port uint16, f *fault) {
	host, rest := text, ""
	if strings.HasPrefix(text, "[") {
		end := strings.IndexByte(text, ']')
		if end < 0 {
			return "", 0, &fault{why: "the bracket of the IPv6 address is not closed", remedy: `write it as "[2001:db8::1]:5061"`}
		}
		host, rest = text[1:end], text[end+1:]
		if a, err := netip.ParseAddr(host); err != nil || !a.Is6() {
			return "", 0, &fault{why: quote(host) + " in brackets is not an IPv6 address", remedy: `write it as "[2001:db8::1]:5061"`}
		}
	} else if colon := strings.IndexByte(text, ':'); colon >= 0 {
		host, rest = text[:colon], text[colon:]
	}
	if rest == "" {
		return host, 0, nil
	}
	if rest[0] != ':' {
		return "", 0, &fault{why: "something else than a port follows the bracket", remedy: `write it as "[2001:db8::1]:5061"`}
	}
	n, f := parsePort(rest[1:])
	if f == nil && n == 0 {
		f = &fault{why: "port 0 cannot be reached", remedy: "write a port from 1 to 65535, or leave it out"}
	}
	return host, n, f
}

// parseAddrPort reads an IP address and a port to bind, which may be 0.
func parseAddrPort(text string) (netip.AddrPort, *fault) {
	if ap, err := netip.ParseAddrPort(text); err == nil {
		return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port()), nil
	}
	if a, err := netip.ParseAddr(strings.Trim(text, "[]")); err == nil {
		remedy := `write it behind the address, as in "` + netip.AddrPortFrom(a, 5061).String() + `"`
		return netip.AddrPort{}, &fault{why: "the port is missing", remedy: remedy}
	}
	colon := strings.LastIndexByte(text, ':')
	if colon < 0 {
		return netip.AddrPort{}, &fault{why: "the port is missing", remedy: `write address and port, for instance "192.0.2.1:5061"`}
	}
	host, port := text[:colon], text[colon+1:]
	if _, f := parsePort(port); f != nil {
		return netip.AddrPort{}, f
	}
	switch {
	case host == "" || host == "*":
		return netip.AddrPort{}, &fault{why: "the address is missing", remedy: `for every address write "0.0.0.0:` + port + `" or "[::]:` + port + `"`}
	case host == "localhost":
		return netip.AddrPort{}, &fault{why: "a listener needs an IP address, not a name", remedy: `write "127.0.0.1:` + port + `" or "[::1]:` + port + `"`}
	case strings.Contains(host, ":"):
		return netip.AddrPort{}, &fault{why: quote(host) + " is not an IP address", remedy: `write IPv6 in brackets, for instance "[2001:db8::1]:` + port + `"`}
	}
	return netip.AddrPort{}, &fault{why: quote(host) + " is not an IP address", remedy: "write the address of an interface of this host"}
}

func parsePort(text string) (uint16, *fault) {
	n, err := strconv.ParseUint(text, 10, 16)
	if err != nil || text[0] == '+' {
		return 0, &fault{why: quote(text) + " is not a port", remedy: "write a number from 1 to 65535"}
	}
	return uint16(n), nil
}

// checkHost accepts an IP address or a host name (RFC 3261 §25.1, hostname):
// labels of letters, digits and inner hyphens, the last beginning with a letter.
func checkHost(host string) *fault {
	if _, err := netip.ParseAddr(host); err == nil {
		return nil
	}
	bad := &fault{why: quote(host) + " is neither a host name nor an IP address", remedy: "write a host name or an IP address"}
	if host == "" {
		bad.why = "the host is missing"
		return bad
	}
	labels := strings.Split(strings.TrimSuffix(host, "."), ".")
	for _, label := range labels {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' ||
			strings.ContainsFunc(label, func(c rune) bool { return !alphanumeric(c) && c != '-' }) {
			return bad
		}
	}
	if last := labels[len(labels)-1]; len(host) > 253 || last[0] >= '0' && last[0] <= '9' {
		return bad
	}
	return nil
}

func alphanumeric(c rune) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
}
