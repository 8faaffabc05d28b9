package trust

import (
	"slices"

	"github.com/sallyport-sip/sallyport/internal/config"
)

// pin refuses a leaf that is none of the pinned ones. Chain, usage and name have been judged before: a pin replaces none
// of them, so that leaving one of those out can never be made good by it.
func (v *verification) pin() *Refusal {
	leaf := v.certs[0]
	if len(v.Pins) == 0 || slices.ContainsFunc(v.Pins, func(p config.Pin) bool { return p.Fits(leaf) }) {
		return nil
	}
	w := v.words(leaf)
	w.detail = "its key is " + config.KeyPin(leaf).String() + ", its fingerprint " + config.CertificatePin(leaf).String()
	return w.refusal(PinMismatch, nil)
}
