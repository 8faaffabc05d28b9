package cli

import (
	"cmp"
	"crypto/x509"
	"time"

	"github.com/sallyport-sip/sallyport/internal/probe"
	"github.com/sallyport-sip/sallyport/internal/revocation"
)

// staple is what a stapled OCSP response says (RFC 6960).
type staple struct {
	Good       bool      `json:"good"`
	Text       string    `json:"text"`
	ThisUpdate time.Time `json:"this_update,omitzero"`
	NextUpdate time.Time `json:"next_update,omitzero"`
	RevokedAt  time.Time `json:"revoked_at,omitzero"`
}

// stapleOf reads the response that came with a handshake, nil when none did.
func stapleOf(d *probe.Handshake) *staple {
	if len(d.Staple) == 0 || len(d.Chain) == 0 {
		return nil
	}
	a, err := revocation.ParseOCSP(d.Staple, d.Chain[0], issuerOf(d), time.Now())
	if err != nil {
		return &staple{Text: "it cannot be used: " + err.Error()}
	}
	s := &staple{ThisUpdate: a.ThisUpdate.UTC(), NextUpdate: a.NextUpdate.UTC(), RevokedAt: a.RevokedAt.UTC()}
	s.Good, s.Text = revocationText(a)
	return s
}

// issuerOf is the certificate that should have signed the server's: that of the chain that was found, else the next one shown.
func issuerOf(d *probe.Handshake) *x509.Certificate {
	switch chain := d.Review.Verified.Chain; {
	case len(chain) > 1:
		return chain[1]
	case len(d.Chain) > 1:
		return d.Chain[1]
	}
	return d.Chain[0]
}

// revocationText says what is known of the revocation of one certificate.
func revocationText(a revocation.Answer) (good bool, text string) {
	const form = "2006-01-02 15:04 UTC"
	switch a.Status {
	case revocation.Revoked:
		text = "the CA has revoked it on " + a.RevokedAt.UTC().Format(form)
		if a.Reason != "" {
			text += ", reason: " + a.Reason
		}
	case revocation.Unknown:
		text = "nothing is known: " + cmp.Or(a.Why, "no answer was stapled, and no CRL is at hand")
	default:
		good, text = true, "not revoked, as of "+a.ThisUpdate.UTC().Format(form)
		if !a.NextUpdate.IsZero() {
			text += ", for use until " + a.NextUpdate.UTC().Format(form)
		}
	}
	if a.Source != "" {
		text += ", says " + a.Source
	}
	return good, text
}
