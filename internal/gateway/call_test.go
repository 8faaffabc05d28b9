package gateway

import (
	"testing"

	"github.com/sallyport-sip/sallyport/sip"
)

func TestCallAnsweredAndEndedByTheCaller(t *testing.T) {
	hops(t, func(r *rig) {
		invite, ok := r.answered()
		if string(invite.Body()) != offer || string(ok.Body()) != answer {
			r.Errorf("bodies changed: %q, %q", invite.Body(), ok.Body())
		}
		r.header(invite, sip.HdrContentType, "application/sdp")
		r.header(invite, sip.HdrMaxForwards, "69")
		if r.Calls() != 1 {
			r.Errorf("got %d calls, want 1", r.Calls())
		}
		r.hangUp(r.office, r.acme)
	})
}

func TestCallEndedByTheCallee(t *testing.T) {
	hops(t, func(r *rig) {
		r.answered()
		r.hangUp(r.acme, r.office)
	})
}
