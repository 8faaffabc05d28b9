package domaincert

import (
	"crypto/x509"
	"net/netip"
	"strings"
)

// Options loosens the rules for one peer. The zero value is RFC 5922 as it stands.
type Options struct {
	// CommonName lets the subject's common name count in a certificate without subjectAltName, as RFC 5922 §7.1
	// allows for old certificates.
	CommonName bool
	// Wildcard lets a dNSName "*.example.com" match one left-most label, as RFC 9525 §6.3 has it. At least two labels
	// must follow the asterisk. deviates: RFC 5922 §7.2 forbids every wildcard.
	Wildcard bool
}

// Result says why a certificate matches.
type Result struct {
	Name Name   // the certificate's name that matched
	Want string // the wanted name that it matched
}

// Match looks for a name of cert that is one of want and returns the first pair. A wanted host name is compared with
// the names that count (see Names); a wanted IP address, with or without brackets, is compared by value with iPAddress
// entries and with the hosts of sip: URIs. The error is always a *MismatchError; an empty want matches nothing.
func Match(cert *x509.Certificate, want []string, opts Options) (Result, error) {
	names, ignored := examine(cert)
	for _, w := range want {
		for _, n := range names {
			if matches(n, w, opts) {
				return Result{Name: n, Want: w}, nil
			}
		}
	}
	mismatch := &MismatchError{Want: want, Found: names}
	mismatch.Hint, mismatch.Leave = hint(names, ignored, want, opts)
	return Result{}, mismatch
}

func matches(n Name, want string, opts Options) bool {
	if a, ok := address(want); ok {
		b, ok := address(n.Value)
		return ok && a == b && (n.Kind == IP || n.Kind == URI)
	}
	if !isPattern(want) || n.Kind == IP || n.Kind == CN && !opts.CommonName {
		return false
	}
	return sameName(n.Value, want) || opts.Wildcard && n.Kind == DNS && covers(n.Value, want)
}

// address reads an IP literal as it stands in a SIP URI or a certificate. A zone is not part of an identity.
func address(s string) (netip.Addr, bool) {
	if strings.HasPrefix(s, "[") && strings.HasSuffix(s, "]") {
		s = s[1 : len(s)-1]
	}
	a, err := netip.ParseAddr(s)
	return a.Unmap(), err == nil && a.Zone() == ""
}

// covers reports whether pattern, a name behind "*.", stands for name with exactly one label in the asterisk's place.
func covers(pattern, name string) bool {
	parent, ok := strings.CutPrefix(pattern, "*.")
	if !ok || !strings.Contains(strings.TrimSuffix(parent, "."), ".") {
		return false
	}
	label, rest, ok := strings.Cut(name, ".")
	return ok && label != "" && label != "*" && sameName(rest, parent)
}

// MismatchError says that a certificate is not for any of the wanted names.
type MismatchError struct {
	Want  []string
	Found []Name
	Hint  string  // a value of the certificate that nearly matched, and why it does not count; may be empty
	Leave Options // with what is set here the value of Hint would have matched; none when nothing would help
}

// Error returns what was wanted, what was found and the hint.
func (e *MismatchError) Error() string {
	if len(e.Want) == 0 {
		return "no name to compare the certificate with"
	}
	s := "certificate is for " + Describe(e.Found) + ", not for " + strings.Join(e.Want, " or ")
	if e.Hint != "" {
		s += ": " + e.Hint
	}
	return s
}

// hint looks for the rule that kept a wanted name from matching.
func hint(names []Name, ignored []Ignored, want []string, opts Options) (text string, leave Options) {
	for _, w := range want {
		for _, n := range names {
			cn, wildcard := Options{CommonName: true}, Options{Wildcard: true}
			switch {
			case n.Kind == CN && !opts.CommonName && matches(n, w, cn):
				return n.String() + " does not count: it is the common name of a certificate without subjectAltName", cn
			case !opts.Wildcard && matches(n, w, wildcard):
				return n.String() + " does not count: RFC 5922 §7.2 allows no wildcard", wildcard
			}
		}
		for _, i := range ignored {
			if i.host != "" && sameName(i.host, w) {
				return i.Value + " " + i.Why, Options{}
			}
		}
		if a, ok := address(w); ok {
			for _, n := range names {
				if b, ok := address(n.Value); ok && a == b {
					return n.String() + " does not count: an address is an iPAddress entry of subjectAltName", Options{}
				}
			}
		}
	}
	return "", Options{}
}
