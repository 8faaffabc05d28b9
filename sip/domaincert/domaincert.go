// Package domaincert decides which SIP domains an X.509 certificate speaks for, and whether one of them is the domain
// that was wanted (RFC 5922 §7.1 and §7.2).
//
// Reading starts at Match. The rules differ from those of HTTPS, so crypto/x509's VerifyHostname does not serve: a "sip"
// URI in subjectAltName comes before every dNSName, a wildcard matches nothing, and the common name is at most a
// fallback. The package judges names only; whoever calls it has verified the chain, its lifetime and its usage before.
// It is pure: no state, no clock, no I/O.
package domaincert

import (
	"crypto/x509"
	"encoding/asn1"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strings"
)

// Kind says where in the certificate a name stands.
type Kind uint8

// The kinds of names, in the order in which they are looked at.
const (
	URI Kind = iota + 1 // the host of a sip: URI in subjectAltName
	DNS                 // a dNSName in subjectAltName; counts only when no sip: URI does
	CN                  // the subject's common name, in a certificate without subjectAltName
	IP                  // an iPAddress in subjectAltName; matches a wanted address, never a name
)

// Name is one identity that a certificate carries.
type Name struct {
	Kind  Kind
	Value string // as in the certificate, for URI only its host
}

// String returns the name with its kind, for example "URI:sip:acme.example".
func (n Name) String() string {
	switch n.Kind {
	case URI:
		return "URI:sip:" + n.Value
	case DNS:
		return "DNS:" + n.Value
	case CN:
		return "CN=" + n.Value
	case IP:
		return "IP:" + n.Value
	}
	return n.Value
}

// Names returns the identities of cert, those that count first.
//
// RFC 5922 §7.1: the hosts of its sip: URIs that have no user part; if there is none, its dNSNames; if it has no
// subjectAltName at all, the common name when that is a DNS name (Match takes it only when it is told to). The
// addresses of subjectAltName come last: the RFC is silent about them, but a peer that is configured by address can
// prove itself in no other way.
func Names(cert *x509.Certificate) []Name {
	names, _ := examine(cert)
	return names
}

// Ignored is a value of a certificate that looks like a name and does not count.
type Ignored struct {
	Value string // with its kind, for example "URI:sips:acme.example"
	Why   string // ends a sentence that begins with Value

	host string // that it speaks of; empty for none
}

// NotCounted returns what Names left out, for people who wonder why a certificate does not match.
func NotCounted(cert *x509.Certificate) []Ignored {
	_, ignored := examine(cert)
	return ignored
}

// Claims returns the hosts that cert speaks of, whether or not they count, wildcards among them. They prove nothing; by
// them it is found whom a certificate may be meant for, to say why it is not good for that.
func Claims(cert *x509.Certificate) []string {
	var hosts []string
	names, ignored := examine(cert)
	for _, n := range names {
		hosts = append(hosts, n.Value)
	}
	for _, i := range ignored {
		if i.host != "" {
			hosts = append(hosts, i.host)
		}
	}
	return hosts
}

func examine(cert *x509.Certificate) (names []Name, ignored []Ignored) {
	skip := func(value, host, why string) { ignored = append(ignored, Ignored{value, why, host}) }
	for _, u := range cert.URIs {
		host, why := sipHost(u)
		if why == "" {
			names = append(names, Name{URI, host})
			continue
		}
		skip("URI:"+u.String(), host, why)
	}
	// "An implementation MUST accept a domain name system identifier as a SIP domain identity if and only if no other
	// identity is found that matches the "sip" URI type described above."
	sip := len(names) > 0
	for _, dns := range cert.DNSNames {
		switch {
		case sip:
			skip("DNS:"+dns, dns, "does not count beside a sip: URI (RFC 5922 §7.1)")
		case !isPattern(dns):
			skip("DNS:"+dns, "", "is not a DNS name")
		default:
			names = append(names, Name{DNS, dns})
		}
	}
	// "If and only if the subjectAltName does not appear in the certificate, the implementation MAY examine the CN
	// field of the certificate."
	if cn := cert.Subject.CommonName; cn != "" && isName(cn) {
		if hasAltName(cert) {
			if !slices.ContainsFunc(names, func(n Name) bool { return sameName(n.Value, cn) }) {
				skip("CN="+cn, cn, "does not count beside a subjectAltName (RFC 5922 §7.1)")
			}
		} else {
			names = append(names, Name{CN, cn})
		}
	}
	for _, ip := range cert.IPAddresses {
		if a, ok := netip.AddrFromSlice(ip); ok {
			names = append(names, Name{IP, a.Unmap().String()})
		}
	}
	return names, ignored
}

// sipHost returns the host of a URI, and why it is no SIP domain identity, nothing for one that is.
func sipHost(u *url.URL) (host, why string) {
	sips := strings.EqualFold(u.Scheme, "sips")
	if !sips && !strings.EqualFold(u.Scheme, "sip") {
		return "", "is not a sip: URI"
	}
	host, _, _ = strings.Cut(u.Opaque, ";")
	_, after, user := strings.Cut(host, "@")
	if user {
		host = after
	}
	host, ok := withoutPort(host)
	if !ok {
		host = ""
	}
	switch {
	case sips:
		why = "is not a sip: URI; sips: does not count (RFC 5922 §7.1)"
	case strings.ContainsRune(u.String(), '@'):
		why = "names a user, not a domain (RFC 5922 §7.1)"
	case !ok:
		why = "has no host name"
	}
	return host, why
}

// withoutPort cuts the port from a hostport (RFC 3261 §25.1) and reports whether what is left is a host.
func withoutPort(s string) (string, bool) {
	if strings.HasPrefix(s, "[") {
		end := strings.IndexByte(s, ']')
		if end < 0 || !isPort(s[end+1:]) {
			return "", false
		}
		a, err := netip.ParseAddr(s[1:end])
		return s[1:max(end, 1)], err == nil && a.Is6() && a.Zone() == ""
	}
	host := s
	if i := strings.IndexByte(s, ':'); i >= 0 {
		if !isPort(s[i:]) {
			return "", false
		}
		host = s[:i]
	}
	return host, isName(host)
}

func isPort(s string) bool {
	if s == "" {
		return true
	}
	digits := strings.TrimLeft(s[1:], "0123456789")
	return s[0] == ':' && len(s) > 1 && digits == ""
}

// isName reports whether s can be a DNS name or an IPv4 address: letters, digits, hyphens and underscores in labels, one
// trailing dot. An A-label of an internationalised name is such a name and is compared as it stands (RFC 5280 §7.2).
func isName(s string) bool {
	s = strings.TrimSuffix(s, ".")
	if s == "" || len(s) > 253 {
		return false
	}
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || len(label) > 63 {
			return false
		}
		for _, c := range []byte(label) {
			if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '_') {
				return false
			}
		}
	}
	return true
}

// isPattern reports whether s is a name, or a name behind a wildcard label.
func isPattern(s string) bool { return isName(strings.TrimPrefix(s, "*.")) }

var subjectAltName = asn1.ObjectIdentifier{2, 5, 29, 17}

func hasAltName(cert *x509.Certificate) bool {
	for _, e := range cert.Extensions {
		if e.Id.Equal(subjectAltName) {
			return true
		}
	}
	return len(cert.URIs)+len(cert.DNSNames)+len(cert.IPAddresses)+len(cert.EmailAddresses) > 0
}

// sameName compares two DNS names in their entirety, without regard to case (RFC 5922 §7.2) or to a trailing dot.
func sameName(a, b string) bool {
	return strings.EqualFold(strings.TrimSuffix(a, "."), strings.TrimSuffix(b, "."))
}

// Describe lists names for an error text, at most eight of them.
func Describe(names []Name) string {
	if len(names) == 0 {
		return "no SIP domain"
	}
	var all []string
	for _, n := range names {
		all = append(all, n.String())
	}
	const most = 8
	if len(all) > most {
		all = append(all[:most], fmt.Sprintf("and %d more", len(names)-most))
	}
	return strings.Join(all, ", ")
}
