package trust

import (
	"bytes"
	"cmp"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"time"
)

// chain builds the chains from the leaf to an anchor (RFC 5280 §6). The usage is judged by its own check, so any is
// allowed here: an empty list would mean serverAuth to crypto/x509.
func (v *verification) chain() *Refusal {
	if r := v.lifetime(v.certs[0]); r != nil {
		return r
	}
	var err error
	if v.chains, err = v.build(v.certs[1:]); err == nil {
		return nil
	}
	if detail, broken := constraint(err); broken {
		w := v.words(v.certs[0])
		w.detail = detail
		return w.refusal(NameConstraint, err)
	}
	if _, ok := errors.AsType[x509.UnhandledCriticalExtension](err); ok {
		w := v.words(v.certs[0])
		w.detail = "it has a critical extension that is not understood here"
		return w.refusal(BadCertificate, err)
	}
	return v.brokenLink(err)
}

// constraint reports whether err is that of a name constraint, and says which.
func constraint(err error) (detail string, broken bool) {
	invalid, ok := errors.AsType[x509.CertificateInvalidError](err)
	if !ok {
		return "", false
	}
	switch invalid.Reason {
	case x509.CANotAuthorizedForThisName, x509.NameConstraintsWithoutSANs, x509.UnconstrainedName, x509.TooManyConstraints:
		return clean(cmp.Or(invalid.Detail, invalid.Error()), 400), true
	}
	return "", false
}

// build returns the chains to an anchor. They are the caller's to sort and cut, the certificates are not to be changed.
func (v *verification) build(intermediates []*x509.Certificate) ([][]*x509.Certificate, error) {
	key := chainKey(v.certs[0], intermediates)
	if chains := v.Anchors.built.get(key, v.now); chains != nil {
		return chains, nil
	}
	opts := x509.VerifyOptions{
		Roots:         v.Anchors.pool,
		Intermediates: x509.NewCertPool(),
		CurrentTime:   v.now,
		KeyUsages:     []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
	}
	for _, c := range intermediates {
		opts.Intermediates.AddCert(c)
	}
	chains, err := v.certs[0].Verify(opts)
	if err == nil {
		v.Anchors.built.put(key, slices.Clone(chains))
	}
	return chains, err
}

// lifetime refuses a certificate that is out of its time.
func (v *verification) lifetime(c *x509.Certificate) *Refusal {
	if code := lifetime(c, v.now); code != "" {
		return v.words(c).refusal(code, nil)
	}
	return nil
}

// lifetime returns Expired, NotYetValid, or nothing for a certificate within its time.
func lifetime(c *x509.Certificate, now time.Time) Code {
	switch {
	case now.After(c.NotAfter):
		return Expired
	case now.Before(c.NotBefore):
		return NotYetValid
	}
	return ""
}

// brokenLink climbs from the leaf as far as it can, to say where the chain breaks and why: crypto/x509 only says that
// it does.
func (v *verification) brokenLink(err error) *Refusal {
	c := v.certs[0]
	for range len(v.certs) + 1 {
		if selfSigned(c) {
			if c == v.certs[0] {
				return v.words(c).refusal(SelfSignedCert, err)
			}
			return v.unknown(fmt.Sprintf(" (the chain that was sent ends in %s)", Subject(c)), err)
		}
		issuer := signerOf(c, v.Anchors.certs)
		if issuer == nil {
			issuer = signerOf(c, v.certs)
		}
		if issuer == nil {
			return v.missing(c, err)
		}
		if r := v.lifetime(issuer); r != nil {
			return r
		}
		if invalid := notCA(issuer); invalid != "" {
			w := v.words(c)
			w.detail = invalid
			return w.refusal(BadIssuer, err)
		}
		c = issuer
	}
	return v.tooLong(err)
}

// missing explains why there is no issuer for c: it is a known intermediate that was not sent along, a CA with the name
// of a trusted one but another key, or simply unknown.
func (v *verification) missing(c *x509.Certificate, err error) *Refusal {
	if known := signerOf(c, v.known); known != nil && !selfSigned(known) {
		if _, err := v.build(append(v.known, v.certs[1:]...)); err == nil {
			return v.words(c).refusal(MissingIntermediate, err)
		}
	}
	detail := ""
	if c != v.certs[0] {
		detail = fmt.Sprintf(": the chain that was sent ends in %s, signed by %s", Subject(c), printable(c.Issuer.String()))
	}
	for _, a := range v.Anchors.certs {
		if bytes.Equal(a.RawSubject, c.RawIssuer) {
			detail = fmt.Sprintf(": a CA of the name %s is, but with another key", Subject(a))
		}
	}
	return v.unknown(detail, err)
}

func (v *verification) unknown(detail string, err error) *Refusal {
	w := v.words(v.certs[0])
	w.detail = detail
	return w.refusal(UnknownCA, err)
}

func (v *verification) tooLong(err error) *Refusal {
	w := v.words(v.certs[0])
	w.detail = clean(err.Error(), 400)
	return w.refusal(ChainTooDeep, err)
}

// signerOf returns the certificate of all that signed c, judged by name and signature alone.
func signerOf(c *x509.Certificate, all []*x509.Certificate) *x509.Certificate {
	for _, a := range all {
		if a != c && bytes.Equal(a.RawSubject, c.RawIssuer) && signed(c, a) {
			return a
		}
	}
	return nil
}

// signed reports whether parent's key made the signature on c, whatever parent may sign.
func signed(c, parent *x509.Certificate) bool {
	return parent.CheckSignature(c.SignatureAlgorithm, c.RawTBSCertificate, c.Signature) == nil
}

func selfSigned(c *x509.Certificate) bool {
	return bytes.Equal(c.RawSubject, c.RawIssuer) && signed(c, c)
}

// notCA returns why c may not sign certificates, or nothing.
func notCA(c *x509.Certificate) string {
	switch {
	case c.Version == 3 && (!c.BasicConstraintsValid || !c.IsCA):
		return "is no CA certificate"
	case c.KeyUsage != 0 && c.KeyUsage&x509.KeyUsageCertSign == 0:
		return "may not sign certificates"
	}
	return ""
}

// IsSelfSigned reports whether c is its own issuer.
func IsSelfSigned(c *x509.Certificate) bool { return selfSigned(c) }
