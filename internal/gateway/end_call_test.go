package gateway

import (
	"testing"

	"github.com/sallyport-sip/sallyport/sip"
)

// An operator ends a call by its number: with BYE to both sides, or, while it rings, with CANCEL and 503. No other call is touched.
func TestEndCall(t *testing.T) {
	hops(t, func(r *rig) {
		r.answered()
		number := r.CallInfo()[0].Number
		if r.EndCall(number+1) || r.Calls() != 1 {
			t.Error("a call was ended that nobody named")
		}
		if !r.EndCall(number) {
			t.Fatal("there is no such call")
		}
		r.office.Reply(r.office.WantRequest(sip.BYE), 200)
		r.acme.Reply(r.acme.WantRequest(sip.BYE), 200)
		if r.EndCall(number) {
			t.Error("a call that is over was ended again")
		}

		r.invite()
		invite := r.acme.WantRequest(sip.INVITE)
		r.acme.Reply(invite, 180)
		r.office.Want(180)
		if !r.EndCall(r.CallInfo()[0].Number) {
			t.Fatal("there is no ringing call")
		}
		r.office.Send(r.office.Ack(r.office.Want(503)))
		r.acme.Reply(r.acme.WantRequest(sip.CANCEL), 200)
		r.refuse(r.acme, invite, 487)
	})
}
