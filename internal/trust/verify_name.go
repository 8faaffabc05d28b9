package trust

import (
	"crypto/x509"
	"fmt"
	"slices"
	"strings"

	"github.com/sallyport-sip/sallyport/internal/config"
	"github.com/sallyport-sip/sallyport/sip/domaincert"
)

// name compares the identities of the leaf with the names of the policy (RFC 5922 §7.2).
func (v *verification) name() *Refusal {
	if v.AnyName {
		return nil
	}
	match, err := domaincert.Match(v.certs[0], v.Names, matching(v.Rules))
	if err != nil {
		w := v.words(v.certs[0])
		w.detail = clean(err.Error(), 400)
		return w.refusal(NameMismatch, err)
	}
	v.match = match
	if match.Name.Kind == domaincert.CN {
		return v.unconstrained()
	}
	return nil
}

// unconstrained keeps the chains on which no CA is constrained in its DNS names: crypto/x509 has held subjectAltName
// against that, and not the common name, by which such a CA could speak for any domain.
func (v *verification) unconstrained() *Refusal {
	v.chains = slices.DeleteFunc(v.chains, func(chain []*x509.Certificate) bool {
		return slices.ContainsFunc(chain[1:], func(c *x509.Certificate) bool { return len(c.PermittedDNSDomains)+len(c.ExcludedDNSDomains) > 0 })
	})
	if len(v.chains) > 0 {
		return nil
	}
	w := v.words(v.certs[0])
	w.detail = "a common name counts only where no CA is constrained in its DNS names"
	return w.refusal(NameConstraint, nil)
}

func matching(r config.Policy) domaincert.Options {
	return domaincert.Options{CommonName: r.CommonName, Wildcard: r.Wildcards}
}

// notes says what of an accepted certificate RFC 5922 would not have accepted without the policy's leave.
func (v *verification) notes() []string {
	var notes []string
	switch n := v.match.Name; {
	case n.Kind == domaincert.CN:
		notes = append(notes, fmt.Sprintf("it is known only by the common name %s of a certificate without subjectAltName, which policy %q lets count", printable(n.Value), v.Rules.Name))
	case n.Kind == domaincert.DNS && strings.HasPrefix(n.Value, "*.") && n.Value != v.match.Want:
		notes = append(notes, fmt.Sprintf("it is known only by the wildcard %s, which policy %q lets stand for %s", printable(n.Value), v.Rules.Name, v.match.Want))
	}
	if !allows(v.certs[0], v.role) {
		notes = append(notes, fmt.Sprintf("its certificate is one for servers alone, which policy %q lets it show as client", v.Rules.Name))
	}
	return notes
}
