package trust

import (
	"crypto/x509"
	"slices"
	"time"
)

// alone are the checks that look at the leaf only, and so can be made although no chain was found.
var alone = []string{"usage", "name"}

// Refusals judges a chain as Verify does, and goes on after the first refusal, to say all that is wrong at once. It is for
// people who prepare a certificate; a handshake ends with the first.
func (p *Policy) Refusals(certs []*x509.Certificate, as Role) []*Refusal {
	v := &verification{Policy: p, role: as, now: time.Now(), certs: certs}
	var all []*Refusal
	for _, c := range checks {
		if c.name != "chain" && len(v.chains) == 0 && !slices.Contains(alone, c.name) {
			continue
		}
		if r := c.check(v); r != nil {
			all = append(all, r)
		}
	}
	return all
}

// PeerPolicy returns the policy by which a peer is judged, nil for a name that is no peer with TLS.
func (s *Set) PeerPolicy(peer string) *Policy {
	if p := s.peers[peer]; p != nil {
		return p.policy
	}
	return nil
}

// Issuer returns the name of who signed c, fit for a terminal.
func Issuer(c *x509.Certificate) string { return printable(c.Issuer.String()) }

// SignedBy reports whether issuer has signed c, by name and signature alone.
func SignedBy(c, issuer *x509.Certificate) bool {
	return signerOf(c, []*x509.Certificate{issuer}) != nil
}
