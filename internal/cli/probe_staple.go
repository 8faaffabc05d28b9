package cli

import (
	"fmt"
	"time"

	"golang.org/x/crypto/ocsp"

	"github.com/sallyport-sip/sallyport/internal/probe"
)

// staple is what a stapled OCSP response says (RFC 6960).
type staple struct {
	Good       bool      `json:"good"`
	Status     string    `json:"status"` // good, revoked, unknown, unreadable
	ThisUpdate time.Time `json:"this_update,omitzero"`
	NextUpdate time.Time `json:"next_update,omitzero"`
	RevokedAt  time.Time `json:"revoked_at,omitzero"`
	Error      string    `json:"error,omitempty"`
}

// stapleOf reads the response that came with a handshake, nil when none did.
func stapleOf(d *probe.Handshake) *staple {
	if len(d.Staple) == 0 || len(d.Chain) == 0 {
		return nil
	}
	issuer := d.Chain[0]
	if chain := d.Review.Verified.Chain; len(chain) > 1 {
		issuer = chain[1]
	} else if len(d.Chain) > 1 {
		issuer = d.Chain[1]
	}
	r, err := ocsp.ParseResponseForCert(d.Staple, d.Chain[0], issuer)
	if err != nil {
		return &staple{Status: "unreadable", Error: err.Error()}
	}
	s := &staple{ThisUpdate: r.ThisUpdate.UTC(), NextUpdate: r.NextUpdate.UTC()}
	switch r.Status {
	case ocsp.Good:
		s.Status, s.Good = "good", r.NextUpdate.IsZero() || time.Now().Before(r.NextUpdate)
	case ocsp.Revoked:
		s.Status, s.RevokedAt = "revoked", r.RevokedAt.UTC()
	default:
		s.Status = "unknown"
	}
	return s
}

func (s *staple) text() string {
	switch {
	case s.Error != "":
		return s.Error
	case s.Status == "revoked":
		return "the CA has revoked this certificate on " + s.RevokedAt.Format("2006-01-02 15:04 UTC")
	case s.NextUpdate.IsZero():
		return "said by the CA at " + s.ThisUpdate.Format("2006-01-02 15:04 UTC")
	}
	text := fmt.Sprintf("said by the CA at %s, for use until %s", s.ThisUpdate.Format("2006-01-02 15:04"), s.NextUpdate.Format("2006-01-02 15:04 UTC"))
	if !s.Good && s.Status == "good" {
		text += ", which is over"
	}
	return text
}
