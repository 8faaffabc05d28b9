package trust

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"
)

// Finding is one thing that a look at one certificate of a chain found.
type Finding struct {
	What string `json:"what"` // "validity", "signature", "authority", "usage", "name constraints", "trust"
	Good bool   `json:"good"`
	Text string `json:"text"` // a clause without full stop
}

// Review is what is known of a chain as it was presented, whether it was accepted or not: what verifies of each
// certificate and what does not, and all reasons to refuse the chain, where Verify stops at the first one.
type Review struct {
	Findings [][]Finding // of each of the first 16 certificates, in the order of the chain
	Refusals []*Refusal  // none: the chain is accepted
	Verified Verified    // when it is
}

// maxReviewed bounds how many certificates of a chain are looked at: a hostile peer may send hundreds, and each may be
// signed by any other. RFC 9325 knows no chain as long.
const maxReviewed = 16

// ReviewPeer reviews what a peer that we called has shown, by its policy. It decides nothing. ok is false for a name that
// is no peer with TLS.
func (s *Set) ReviewPeer(peer string, st *tls.ConnectionState) (r Review, ok bool) {
	p := s.PeerPolicy(peer)
	if p == nil {
		return Review{}, false
	}
	return p.reviewAll(st, Server), true
}

func (p *Policy) reviewAll(st *tls.ConnectionState, as Role) Review {
	var r Review
	var err error
	r.Verified, err = p.VerifyConn(*st, as)
	if first, ok := errors.AsType[*Refusal](err); ok {
		r.Refusals = append(r.Refusals, first)
	}
	certs := st.PeerCertificates
	if len(certs) == 0 {
		return r
	}
	if err != nil {
		refusals, _ := p.Refusals(certs, as)
		for _, more := range refusals {
			if !slices.ContainsFunc(r.Refusals, func(known *Refusal) bool { return known.Code == more.Code }) {
				r.Refusals = append(r.Refusals, more)
			}
		}
	}
	v := &verification{Policy: p, role: as, now: time.Now(), certs: certs[:min(len(certs), maxReviewed)]}
	for i := range v.certs {
		r.Findings = append(r.Findings, v.findings(i))
	}
	return r
}

// findings looks at one certificate of the chain.
func (v *verification) findings(i int) []Finding {
	c := v.certs[i]
	all := []Finding{v.validity(c), v.signature(i)}
	if i > 0 {
		all = append(all, v.authority(i))
	} else {
		all = append(all, v.usage(c))
	}
	if constrained(c) {
		all = append(all, v.constraints(i))
	}
	return append(all, v.trusted(i))
}

func (v *verification) validity(c *x509.Certificate) Finding {
	left := int(c.NotAfter.Sub(v.now).Hours() / 24)
	switch lifetime(c, v.now) {
	case Expired:
		return Finding{"validity", false, fmt.Sprintf("it expired on %s, %s ago; here it is %s", day(c.NotAfter), days(-left), minute(v.now))}
	case NotYetValid:
		return Finding{"validity", false, fmt.Sprintf("it is valid only from %s; here it is %s", minute(c.NotBefore), minute(v.now))}
	}
	return Finding{"validity", true, fmt.Sprintf("until %s, %s left", day(c.NotAfter), days(left))}
}

func days(n int) string {
	switch n {
	case 0:
		return "less than a day"
	case 1:
		return "1 day"
	}
	return fmt.Sprintf("%d days", n)
}

// signature says whether the one that signed the certificate is at hand, and whether its key made the signature.
func (v *verification) signature(i int) Finding {
	c := v.certs[i]
	if selfSigned(c) {
		return Finding{"signature", true, "self-signed: its own key made it"}
	}
	if i+1 < len(v.certs) && signerOf(c, v.certs[i+1:i+2]) != nil {
		return Finding{"signature", true, "made by the key of the next one, " + Subject(v.certs[i+1])}
	}
	if a := signerOf(c, v.Anchors.certs); a != nil {
		return Finding{"signature", true, fmt.Sprintf("made by the key of %s, which is in trust %s", Subject(a), v.Anchors.name)}
	}
	if other := signerOf(c, v.certs); other != nil {
		return Finding{"signature", true, fmt.Sprintf("made by the key of %s, which does not stand next to it: the order of the chain is wrong", Subject(other))}
	}
	for _, other := range append(v.certs[:len(v.certs):len(v.certs)], v.Anchors.certs...) {
		if other != c && bytes.Equal(other.RawSubject, c.RawIssuer) {
			return Finding{"signature", false, fmt.Sprintf("not made by the key of %s, although that has the name of its issuer", Subject(other))}
		}
	}
	if chain := v.toSystem(c); chain != nil {
		return Finding{"signature", true, fmt.Sprintf("made by the key of %s, which is in trust %s", Subject(chain[1]), v.Anchors.name)}
	}
	return Finding{"signature", false, fmt.Sprintf("cannot be verified: its issuer, %s, was not sent and is not trusted here", printable(c.Issuer.String()))}
}

// toSystem is a chain of c alone to one of the system's CAs, which nobody can list.
func (v *verification) toSystem(c *x509.Certificate) []*x509.Certificate {
	if !v.Anchors.system {
		return nil
	}
	chains, err := c.Verify(x509.VerifyOptions{Roots: v.Anchors.pool, CurrentTime: c.NotBefore.Add(time.Second), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}})
	if err != nil || len(chains[0]) < 2 {
		return nil
	}
	return chains[0]
}

// authority says whether a certificate behind the leaf may have signed what stands before it (RFC 5280 §6.1.4).
func (v *verification) authority(i int) Finding {
	c := v.certs[i]
	if invalid := notCA(c); invalid != "" {
		return Finding{"authority", false, "it " + invalid}
	}
	below := 0 // intermediates between it and the leaf; those that are their own issuer do not count
	for _, between := range v.certs[1:i] {
		if !bytes.Equal(between.RawSubject, between.RawIssuer) {
			below++
		}
	}
	if limited := c.MaxPathLen > 0 || c.MaxPathLenZero; c.BasicConstraintsValid && limited && below > c.MaxPathLen {
		return Finding{"authority", false, fmt.Sprintf("it may stand above %d intermediates at most, and there are %d", c.MaxPathLen, below)}
	}
	return Finding{"authority", true, "it is a CA and may sign certificates"}
}

func (v *verification) usage(c *x509.Certificate) Finding {
	names := strings.Join(UsageNames(c), ", ")
	if names == "" {
		names = "any"
	}
	return Finding{"usage", v.usages() == nil, names}
}

func constrained(c *x509.Certificate) bool {
	return len(c.PermittedDNSDomains)+len(c.ExcludedDNSDomains)+len(c.PermittedIPRanges)+len(c.ExcludedIPRanges)+
		len(c.PermittedURIDomains)+len(c.ExcludedURIDomains)+len(c.PermittedEmailAddresses)+len(c.ExcludedEmailAddresses) > 0
}

// constraints says whether the leaf keeps to the name constraints of a certificate above it (RFC 5280 §4.2.1.10).
func (v *verification) constraints(i int) Finding {
	c := v.certs[i]
	var parts []string
	list := func(kind string, names []string) {
		if len(names) > 0 {
			parts = append(parts, kind+" "+clean(strings.Join(names, " "), 200))
		}
	}
	ips := func(nets []*net.IPNet) (out []string) {
		for _, n := range nets {
			out = append(out, n.String())
		}
		return out
	}
	list("DNS only below", c.PermittedDNSDomains)
	list("no DNS below", c.ExcludedDNSDomains)
	list("URI only below", c.PermittedURIDomains)
	list("no URI below", c.ExcludedURIDomains)
	list("IP only in", ips(c.PermittedIPRanges))
	list("no IP in", ips(c.ExcludedIPRanges))
	list("mail only of", c.PermittedEmailAddresses)
	list("no mail of", c.ExcludedEmailAddresses)
	f := Finding{"name constraints", true, strings.Join(parts, "; ")}
	if i == 0 {
		return f
	}
	opts := x509.VerifyOptions{Roots: x509.NewCertPool(), Intermediates: x509.NewCertPool(), CurrentTime: v.now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}}
	opts.Roots.AddCert(c)
	for _, between := range v.certs[1:i] {
		opts.Intermediates.AddCert(between)
	}
	_, err := v.certs[0].Verify(opts)
	if invalid, ok := errors.AsType[x509.CertificateInvalidError](err); ok {
		switch invalid.Reason {
		case x509.CANotAuthorizedForThisName, x509.NameConstraintsWithoutSANs, x509.UnconstrainedName, x509.TooManyConstraints:
			f.Good, f.Text = false, f.Text+": the first certificate does not keep to that"
		}
	}
	return f
}

// trusted says whether the certificate is one of those that are believed, or leads to one.
func (v *verification) trusted(i int) Finding {
	c := v.certs[i]
	for _, a := range v.Anchors.certs {
		if a.Equal(c) {
			return Finding{"trust", true, "it is itself in trust " + v.Anchors.name}
		}
	}
	above := &verification{Policy: v.Policy, role: v.role, now: v.now, certs: v.certs[i:]}
	chains, err := above.build(v.certs[i+1:])
	if err != nil {
		return Finding{"trust", false, "it leads to nothing that is in trust " + v.Anchors.name}
	}
	anchor := chains[0][len(chains[0])-1]
	if anchor.Equal(c) {
		return Finding{"trust", true, "it is itself in trust " + v.Anchors.name}
	}
	return Finding{"trust", true, fmt.Sprintf("it leads to %s, which is in trust %s", Subject(anchor), v.Anchors.name)}
}
