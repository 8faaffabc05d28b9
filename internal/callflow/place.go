package callflow

import (
	"net/netip"
	"strings"

	"github.com/sallyport-sip/sallyport/sip"
)

// A place is where a SIP URI leads, as it says itself. Its zero value is no SIP URI.
type place struct {
	uri       string // as written
	scheme    string // sip or sips
	host      string // without brackets, in lower case
	addr      netip.Addr
	port      uint16 // 0: none written
	transport string // its parameter, in lower case; empty: none
	lr        bool   // a loose router (RFC 3261 §19.1.1)
}

// placeOf reads a URI. It copies what it keeps.
func placeOf(uri []byte) place {
	scheme := schemeOf(uri)
	if scheme == "" {
		return place{uri: string(uri)}
	}
	p := place{uri: string(uri), scheme: scheme}
	u, err := sip.ParseURI(uri)
	if err != nil {
		return p
	}
	p.host, p.port = strings.ToLower(string(u.HostName())), u.Port
	p.transport, p.lr = strings.ToLower(string(u.Transport())), u.LR()
	p.addr = literal(p.host)
	return p
}

// over is the transport that the URI means (RFC 3263 §4.1), as far as it says so itself.
func (p *place) over() string {
	switch {
	case p.scheme == "sips" && (p.transport == "" || p.transport == "tcp"):
		return "tls"
	case p.transport != "":
		return p.transport
	}
	return "udp"
}

// local reports a host that means nothing elsewhere: localhost, a name without a dot, or one that is reserved for such
// use (RFC 6761, RFC 6762, RFC 8375).
func (p *place) local() bool {
	if p.addr.IsValid() || p.host == "" {
		return false
	}
	if !strings.Contains(p.host, ".") {
		return true
	}
	for _, end := range []string{".local", ".localhost", ".home.arpa", ".internal"} {
		if strings.HasSuffix(p.host, end) {
			return true
		}
	}
	return false
}

// literal is a host that is an address; not valid for a name.
func literal(host string) netip.Addr {
	host = strings.Trim(host, "[]")
	if host == "" || host[len(host)-1] > 'f' || !strings.Contains(host, ":") && (host[0] < '0' || host[0] > '9') {
		return netip.Addr{} // a name, which is not tried in vain
	}
	a, err := netip.ParseAddr(host)
	if err != nil {
		return netip.Addr{}
	}
	return a.Unmap()
}

var carrierNAT = netip.MustParsePrefix("100.64.0.0/10") // RFC 6598

// private reports an address that leads nowhere from elsewhere (RFC 1918, RFC 6598, RFC 3927, RFC 4193).
func private(a netip.Addr) bool {
	a = a.Unmap()
	return a.IsPrivate() || a.IsLoopback() || a.IsLinkLocalUnicast() || a.IsUnspecified() || carrierNAT.Contains(a)
}

// hiddenFrom reports a private address that is seen from a public one: it leads nowhere from there.
func hiddenFrom(a, seen netip.Addr) bool {
	return a.IsValid() && seen.IsValid() && private(a) && !private(seen)
}
