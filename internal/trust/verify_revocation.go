package trust

import (
	"cmp"
	"crypto/x509"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sallyport-sip/sallyport/internal/config"
	"github.com/sallyport-sip/sallyport/internal/revocation"
)

// responderPatience is how long a handshake waits for a responder, when the policy is hard. It is well below the time
// that a handshake has in all.
const responderPatience = 3 * time.Second

// revocation refuses a chain of which a certificate below the anchor was revoked, and under a hard policy one of which
// that is not known (RFC 5280 §6.3, RFC 6960 §3.2). Of several chains one that passes suffices. It is the last check, so
// no responder is asked about a certificate that is refused anyway.
func (v *verification) revocation() *Refusal {
	if v.Rules.Revocation == config.RevocationOff {
		return nil
	}
	var first *Refusal
	for i, chain := range v.chains {
		answers, r := v.unrevokedChain(chain)
		if r == nil {
			v.chains[0], v.chains[i] = v.chains[i], v.chains[0]
			v.unrevoked = answers
			return nil
		}
		first = cmp.Or(first, r)
	}
	return first
}

// unrevokedChain asks about each certificate below the anchor.
func (v *verification) unrevokedChain(chain []*x509.Certificate) ([]revocation.Answer, *Refusal) {
	var answers []revocation.Answer
	for i, c := range chain[:len(chain)-1] {
		a, unstapled := v.askAbout(c, chain[i+1], i == 0)
		switch {
		case a.Status == revocation.Revoked:
			w := v.words(c)
			w.detail = whenRevoked(a)
			return nil, w.refusal(Revoked, nil)
		case unstapled != nil && revocation.MustStaple(c): // RFC 7633 §4.2.3
			w := v.words(c)
			w.detail = "it demands that an OCSP answer is stapled to the handshake (must-staple), and " + clean(unstapled.Error(), 300)
			return nil, w.refusal(RevocationUnknown, unstapled)
		case a.Status == revocation.Unknown && v.Rules.Revocation == config.RevocationHard && !(v.review && a.Pending):
			w := v.words(c)
			w.detail = clean(a.Why, 400)
			return nil, w.refusal(RevocationUnknown, nil)
		}
		answers = append(answers, a)
	}
	return answers, nil
}

// whenRevoked says since when, why, and who says so.
func whenRevoked(a revocation.Answer) string {
	detail := " on " + day(a.RevokedAt)
	if a.Reason != "" {
		detail += " (" + a.Reason + ")"
	}
	return detail + ", says " + clean(a.Source, 200)
}

// askAbout asks the CRLs, the handshake and the responder, as the policy allows; who knows of a revocation is believed
// before who does not. unstapled says why nothing came with a handshake in which something could have come.
func (v *verification) askAbout(c, issuer *x509.Certificate, leaf bool) (a revocation.Answer, unstapled error) {
	a = v.Anchors.crls.Ask(c, issuer, v.now)
	if a.Status == revocation.Revoked {
		return a, nil
	}
	server := leaf && v.role == Server // clients cannot be asked to staple (RFC 8446 §4.4.2.1 allows it, crypto/tls does not ask)
	var came revocation.Answer
	if server && v.state != nil && !v.review {
		if came, unstapled = v.checker.Stapled(v.state.OCSPResponse, c, issuer); unstapled != nil {
			came = revocation.Answer{Why: unstapled.Error()}
		}
	}
	var asked revocation.Answer
	if server || len(c.OCSPServer) > 0 || v.Rules.OCSPResponder != "" {
		asked = v.checker.Ask(v.question(c, issuer, a.Status == revocation.Unknown && came.Status == revocation.Unknown))
	}
	for _, known := range []revocation.Answer{came, asked} {
		if known.Status > a.Status { // the first of those that know most
			a = known
		}
	}
	if a.Status != revocation.Unknown {
		return a, unstapled
	}
	why := ""
	if v.Rules.Revocation == config.RevocationHard || tells(c) { // else nobody reads it
		why = v.whyUnknown(a.Why, came.Why, asked.Why)
	}
	open := v.foresee && (server || v.fetches(c))
	return revocation.Answer{Pending: asked.Pending || open, Why: why}, unstapled
}

// tells says whether a certificate names a place where its CA tells what it has revoked.
func tells(c *x509.Certificate) bool {
	return len(c.OCSPServer) > 0 || len(c.CRLDistributionPoints) > 0 || revocation.MustStaple(c)
}

// fetches says whether a handshake would have a responder asked about a certificate.
func (v *verification) fetches(c *x509.Certificate) bool {
	return v.Rules.OCSP == config.OCSPFetch && (len(c.OCSPServer) > 0 || v.Rules.OCSPResponder != "")
}

func (v *verification) question(c, issuer *x509.Certificate, open bool) revocation.Question {
	q := revocation.Question{Cert: c, Issuer: issuer, Fetch: open && !v.foresee && v.Rules.OCSP == config.OCSPFetch, Responder: string(v.Rules.OCSPResponder)}
	if v.Rules.Revocation == config.RevocationHard && !v.review {
		q.Wait = responderPatience
	}
	return q
}

// whyUnknown joins what each source has said for itself.
func (v *verification) whyUnknown(reasons ...string) string {
	reasons = slices.DeleteFunc(reasons, func(s string) bool { return s == "" })
	if len(v.Anchors.crls.All()) == 0 {
		reasons = append(reasons, fmt.Sprintf("trust %s has no CRLs", v.Anchors.name))
	}
	if v.Rules.OCSP != config.OCSPFetch {
		reasons = append(reasons, "no OCSP responder is asked (ocsp: stapled)")
	}
	return strings.Join(reasons, "; ")
}

// revocationNotes says in words of which certificates of an accepted chain it is not known whether they were revoked
// although their CA tells.
func (v *verification) revocationNotes() []string {
	var notes []string
	for i, a := range v.unrevoked {
		if c := v.chains[0][i]; a.Status == revocation.Unknown && tells(c) {
			notes = append(notes, fmt.Sprintf("nothing fresh says whether %s was revoked: %s", Subject(c), clean(a.Why, 400)))
		}
	}
	return notes
}
