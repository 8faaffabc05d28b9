package gateway

import (
	"fmt"
	"testing"
	"time"

	"github.com/sallyport-sip/sallyport/sip"
	"github.com/sallyport-sip/sallyport/sip/siptest"
)

// The answer of one fork ends the early dialogs of the others: what still comes in
// them, from either side, is of no dialog.
func TestRequestsInForksThatLostGet481(t *testing.T) {
	hops(t, func(r *rig) {
		r.invite()
		invite := r.acme.WantRequest(sip.INVITE)
		to := string(invite.First(sip.HdrTo))
		r.acme.Reply(invite, 183, append(reliable(1), siptest.Set("To", to+";tag=one"))...)
		lost := r.office.Want(183)
		r.acme.Reply(invite, 200, siptest.Set("To", to+";tag=two"))
		ok := r.office.Want(200)
		r.office.Send(r.office.Ack(ok))
		r.acme.WantRequest(sip.ACK)
		in := siptest.Set("To", string(lost.First(sip.HdrTo)))
		r.office.Send(r.office.InDialog(sip.PRACK, rack(lost), in))
		r.office.Want(481)
		r.office.Send(r.office.InDialog(sip.UPDATE, in))
		r.office.Want(481)
		r.acme.Send(r.acme.InDialog(sip.UPDATE, siptest.Set("From", to+";tag=one")))
		r.acme.Want(481)
		r.office.WantSilence(time.Second)
		r.hangUp(r.office, r.acme)
	})
}

// Every value of Reason crosses, in CANCEL and in BYE (RFC 3326).
func TestReasonsCross(t *testing.T) {
	const both = `SIP;cause=200;text="Call completed elsewhere", Q.850;cause=26`
	hops(t, func(r *rig) {
		two := []siptest.Option{siptest.Add("Reason", `SIP;cause=200;text="Call completed elsewhere"`), siptest.Add("Reason", "Q.850;cause=26")}
		r.invite()
		invite := r.acme.WantRequest(sip.INVITE)
		r.acme.Reply(invite, 180)
		r.office.Want(180)
		r.cancel(two...)
		cancel := r.acme.WantRequest(sip.CANCEL)
		r.header(cancel, sip.HdrReason, both)
		r.acme.Reply(cancel, 200)
		r.refuse(r.acme, invite, 487)

		r.answered()
		r.acme.Send(r.acme.InDialog(sip.INVITE))
		invite = r.office.WantRequest(sip.INVITE)
		r.office.Reply(invite, 180)
		r.acme.Want(180)
		r.acme.Send(r.acme.Cancel(two...))
		r.acme.Want(200)
		cancel = r.office.WantRequest(sip.CANCEL)
		r.header(cancel, sip.HdrReason, both)
		r.office.Reply(cancel, 200)
		r.refuse(r.office, invite, 487)
		r.acme.Send(r.acme.Ack(r.acme.Want(487)))
		bye := r.hangUp(r.acme, r.office, two...)
		n := 0
		for range bye.Values(sip.HdrReason) {
			n++
		}
		if n != 2 {
			r.Errorf("the BYE has %d reasons, want 2", n)
		}
	})
}

// "The UAS MUST still respond to any pending requests received for that dialog"
// (RFC 3261 §15.1.2).
func TestRequestsUnderWayWhenTheCallEndsGet487(t *testing.T) {
	sides(t, func(r *rig, near, far *siptest.Peer) {
		for _, method := range []sip.Method{sip.INVITE, sip.UPDATE, sip.INFO, sip.MESSAGE} {
			r.answered()
			near.Send(near.InDialog(method))
			pending := far.WantRequest(method)
			far.Send(far.InDialog(sip.BYE))
			far.Want(200)
			m := near.Want(487)
			if method == sip.INVITE {
				near.Send(near.Ack(m))
			}
			near.Reply(near.WantRequest(sip.BYE), 200)
			far.Reply(pending, 487) // which nobody waits for any more
			if method == sip.INVITE {
				far.WantRequest(sip.ACK)
			}
			r.none()
		}
	})
}

// Both sides hang up at once, and on the way to us the BYE of the callee is
// overtaken by its 200 to ours: it gets its 200 all the same.
func TestByeOvertakenByTheLast200(t *testing.T) {
	run(t, plain, func(r *rig) {
		r.answered()
		time.Sleep(2 * lifetime) // no transaction of the INVITE keeps the call now
		r.office.Send(r.office.InDialog(sip.BYE))
		r.office.Want(200)
		r.acme.Reply(r.acme.WantRequest(sip.BYE), 200)
		r.none()
		time.Sleep(4 * time.Second)
		r.acme.Send(r.acme.InDialog(sip.BYE))
		r.acme.Want(200)
		r.office.WantSilence(time.Second)
	})
}

// An INVITE that is to replace or join a dialog names one on the other side of the
// caller: the gateway knows none, and rings nobody (RFC 3891 §3).
func TestInviteWithReplacesGets481(t *testing.T) {
	hops(t, func(r *rig) {
		for _, name := range []string{"Replaces", "Join"} {
			r.invite(siptest.Set(name, "425928@bobster.example;to-tag=7743;from-tag=6472"))
			r.refused(481)
		}
		r.acme.WantSilence(time.Second)
	})
}

// The BYEs of the gateway itself say why (RFC 3326).
func TestByeOfTheGatewayGivesAReason(t *testing.T) {
	hops(t, func(r *rig) {
		r.answered()
		r.office.Send(r.office.InDialog(sip.UPDATE))
		r.acme.Reply(r.acme.WantRequest(sip.UPDATE), 481)
		r.office.Want(481)
		bye := r.office.WantRequest(sip.BYE)
		r.header(bye, sip.HdrReason, `SIP;cause=481;text="Call/Transaction Does Not Exist", Q.850;cause=127`)
		r.office.Reply(bye, 200)
	})
}

// A target may not make the gateway keep dialogs without end, nor subscriptions.
func TestForksAndSubscriptionsHaveAnEnd(t *testing.T) {
	run(t, plain, func(r *rig) {
		r.invite()
		invite := r.acme.WantRequest(sip.INVITE)
		to := string(invite.First(sip.HdrTo))
		tags := map[string]bool{}
		for i := range 200 {
			r.acme.Reply(invite, 180, siptest.Set("To", fmt.Sprintf("%s;tag=fork%d", to, i)))
			seen, _ := r.office.Want(180).To()
			tags[string(seen.Tag())] = true
		}
		if len(tags) != 64 {
			r.Errorf("the caller sees %d dialogs, want 64", len(tags))
		}
		r.acme.Reply(invite, 200, siptest.Set("To", to+";tag=fork7"))
		r.office.Send(r.office.Ack(r.office.Want(200)))
		r.acme.WantRequest(sip.ACK)
		for range 32 {
			r.refer(r.office, r.acme)
		}
		r.office.Send(r.office.InDialog(sip.REFER, siptest.Set("Refer-To", "<sip:bob@example.com>")))
		r.office.Want(500)
		time.Sleep(lifetime) // no NOTIFY ever came for those
		r.refer(r.office, r.acme)
		r.hangUp(r.office, r.acme)
		time.Sleep(lifetime)
	})
}
