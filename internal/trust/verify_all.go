package trust

import (
	"crypto/x509"
	"slices"
	"time"
)

// alone are the checks that look at what was presented, and so can be made although it leads to no anchor.
var alone = []string{"usage", "name", "pin"}

// Refusals judges a chain as Verify does, and goes on after the first refusal, to say all that is wrong at once; notes say
// what is accepted by the policy's leave only. No responder is waited for. It is for people who prepare a certificate; a
// handshake ends with the first.
func (p *Policy) Refusals(certs []*x509.Certificate, as Role) (all []*Refusal, notes []string) {
	v := &verification{Policy: p, role: as, now: time.Now(), certs: certs, review: true}
	anchored := true
	for _, c := range checks {
		if len(v.chains) == 0 && slices.Contains(alone, c.name) {
			v.chains, anchored = [][]*x509.Certificate{slices.Clone(certs)}, false
		}
		if c.name != "chain" && c.name != "settled" && (!anchored || len(v.chains) == 0) && !slices.Contains(alone, c.name) {
			continue
		}
		if r := c.check(v); r != nil {
			all = append(all, r)
		}
	}
	if len(all) == 0 {
		notes = v.notes()
	}
	return all, notes
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
