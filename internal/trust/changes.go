package trust

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
)

// Change is an identity or a trust of which a later set has other certificates.
type Change struct {
	Of      string              // as problems name it: `identity "gateway"`, `trust "partners"`
	Removed []*x509.Certificate // an identity's own certificate as it was; what a trust has no more
	Added   []*x509.Certificate // an identity's own certificate as it is; what a trust has gained
}

// Changes returns what differs in a later set, in the order of names: identities first.
func (s *Set) Changes(later *Set) []Change {
	var all []Change
	for _, name := range names(s.identities, later.identities) {
		was, is := s.identities[name], later.identities[name]
		if was.digest() == is.digest() {
			continue
		}
		c := Change{Of: fmt.Sprintf("identity %q", name)}
		if was != nil {
			c.Removed = was.Chain[:1]
		}
		if is != nil {
			c.Added = is.Chain[:1]
		}
		all = append(all, c)
	}
	for _, name := range names(s.trusts, later.trusts) {
		was, is := s.trusts[name].certificates(), later.trusts[name].certificates()
		c := Change{Of: fmt.Sprintf("trust %q", name), Removed: without(was, is), Added: without(is, was)}
		if len(c.Removed)+len(c.Added) > 0 {
			all = append(all, c)
		}
	}
	return all
}

// names returns the keys of both, in order.
func names[V any](a, b map[string]V) []string {
	both := maps.Clone(a)
	maps.Copy(both, b)
	return slices.Sorted(maps.Keys(both))
}

func without(all, others []*x509.Certificate) []*x509.Certificate {
	return slices.DeleteFunc(slices.Clone(all), func(c *x509.Certificate) bool { return slices.ContainsFunc(others, c.Equal) })
}

// certificates are those from files, none for no anchors.
func (a *Anchors) certificates() []*x509.Certificate {
	if a == nil {
		return nil
	}
	return a.certs
}

// Anchors returns the certificates of a trust that come from files, by its name in the configuration.
func (s *Set) Anchors(trust string) []*x509.Certificate { return s.trusts[trust].certificates() }

// Serial returns the serial number of a certificate, in hexadecimal.
func Serial(c *x509.Certificate) string { return fmt.Sprintf("%x", c.SerialNumber) }

// CertificateFingerprint returns the SHA-256 of a certificate, in hexadecimal.
func CertificateFingerprint(c *x509.Certificate) string {
	sum := sha256.Sum256(c.Raw)
	return hex.EncodeToString(sum[:])
}
