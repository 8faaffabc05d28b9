package gateway

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/sallyport-sip/sallyport/sip"
	"github.com/sallyport-sip/sallyport/sip/siptest"
)

// schedule is when a message comes again that is sent at T1, then each time
// after twice as long, T2 at the most, until 64*T1.
func schedule() (at []time.Duration) {
	sum := time.Duration(0)
	for d := t1; sum+d < lifetime; d = min(2*d, t2) {
		sum += d
		at = append(at, sum)
	}
	return at
}

// "The 2xx response is passed to the transport with an interval that starts at
// T1 seconds and doubles for each retransmission until it reaches T2 seconds",
// on any transport; after 64*T1 the session is ended with BYE (RFC 3261
// §13.3.1.4).
func Test2xxIsSentAgainUntilItsAck(t *testing.T) {
	hops(t, func(r *rig) {
		r.invite()
		invite := r.acme.WantRequest(sip.INVITE)
		r.acme.Reply(invite, 200)
		ok := r.office.Want(200)
		for _, after := range schedule()[:3] {
			if again := r.office.WantAgain(ok); again.At.Sub(ok.At) != after {
				r.Errorf("the 200 came again after %v, want %v", again.At.Sub(ok.At), after)
			}
		}
		r.acme.WantSilence(time.Millisecond)
		r.office.Send(r.office.Ack(ok))
		r.acme.WantRequest(sip.ACK)
		r.office.WantSilence(t2)
		r.hangUp(r.office, r.acme)
	})
}

func Test2xxWithoutAckEndsInByeOnBothLegs(t *testing.T) {
	for _, shards := range []int{1, 3} {
		run(t, setting{shards: shards}, func(r *rig) {
			r.invite()
			r.acme.Reply(r.acme.WantRequest(sip.INVITE), 200)
			ok := r.office.Want(200)
			for _, after := range schedule() {
				if again := r.office.WantAgain(ok); again.At.Sub(ok.At) != after {
					r.Errorf("the 200 came again after %v, want %v", again.At.Sub(ok.At), after)
				}
			}
			bye := r.office.WantRequest(sip.BYE)
			if after := bye.At.Sub(ok.At); after != lifetime {
				r.Errorf("the BYE came after %v, want %v", after, lifetime)
			}
			r.office.Reply(bye, 200)
			r.acme.WantRequest(sip.ACK)
			r.acme.Reply(r.acme.WantRequest(sip.BYE), 200)
		})
	}
}

// Each 2xx that the callee sends again gets the ACK again, the same one.
func TestAckAgainForEach2xx(t *testing.T) {
	hops(t, func(r *rig) {
		r.invite()
		invite := r.acme.WantRequest(sip.INVITE)
		r.acme.Reply(invite, 200)
		ok := r.office.Want(200)
		r.acme.Reply(invite, 200)
		r.acme.WantSilence(100 * time.Millisecond)
		r.office.Send(r.office.Ack(ok, siptest.Body("application/sdp", answer)))
		ack := r.acme.WantRequest(sip.ACK)
		for range 3 {
			r.acme.Reply(invite, 200)
			r.acme.WantAgain(ack)
		}
		r.hangUp(r.office, r.acme)
		r.acme.Reply(invite, 200)
		r.acme.WantAgain(ack)
		r.office.WantSilence(time.Second)
	})
}

// "... the callee's UA MUST NOT send a BYE on a confirmed dialog until it has
// received an ACK for its 2xx response" (RFC 3261 §15).
func TestByeOfTheCalleeWaitsForTheCallersAck(t *testing.T) {
	hops(t, func(r *rig) {
		r.invite()
		r.acme.Reply(r.acme.WantRequest(sip.INVITE), 200)
		ok := r.office.Want(200)
		r.acme.Send(r.acme.InDialog(sip.BYE, siptest.Set("Reason", "Q.850;cause=16")))
		r.acme.Want(200)
		r.acme.WantRequest(sip.ACK)
		r.office.WantAgain(ok)
		if r.Calls() != 1 {
			r.Errorf("got %d calls, want 1", r.Calls())
		}
		r.office.Send(r.office.Ack(ok))
		bye := r.office.WantRequest(sip.BYE)
		r.header(bye, sip.HdrReason, "Q.850;cause=16")
		r.office.Reply(bye, 200)
		r.acme.WantSilence(t2)
	})
}

// The caller hangs up before it has acknowledged: then there is nothing left to
// wait for.
func TestByeOfTheCallerInsteadOfItsAck(t *testing.T) {
	hops(t, func(r *rig) {
		r.invite()
		r.acme.Reply(r.acme.WantRequest(sip.INVITE), 200)
		r.office.Want(200)
		r.acme.Send(r.acme.InDialog(sip.BYE))
		r.acme.Want(200)
		r.acme.WantRequest(sip.ACK)
		r.office.Send(r.office.InDialog(sip.BYE))
		r.office.Want(200)
		r.none()
		r.office.WantSilence(lifetime)
	})
}

// An INVITE that forks behind the target is shown to the caller as it is: each
// dialog under a To tag of its own.
func TestForksAreShownUnderTheirOwnTags(t *testing.T) {
	hops(t, func(r *rig) {
		r.invite()
		invite := r.acme.WantRequest(sip.INVITE)
		to := string(invite.First(sip.HdrTo))
		one, two := siptest.Set("To", to+";tag=one"), siptest.Set("To", to+";tag=two")
		r.acme.Reply(invite, 180, one)
		first := r.office.Want(180)
		r.acme.Reply(invite, 183, two)
		second := r.office.Want(183)
		a, _ := first.To()
		b, _ := second.To()
		if string(a.Tag()) == string(b.Tag()) {
			r.Errorf("both forks have the tag %s", a.Tag())
		}
		r.acme.Reply(invite, 180, one)
		r.office.WantAgain(first)

		// A request in the second goes to the second.
		r.office.Send(r.office.InDialog(sip.UPDATE))
		update := r.acme.WantRequest(sip.UPDATE)
		if to, _ := update.To(); string(to.Tag()) != "two" {
			r.Errorf("the UPDATE went to fork %s", to.Tag())
		}
		r.acme.Reply(update, 200)
		r.office.Want(200)

		r.acme.Reply(invite, 200, two)
		ok := r.office.Want(200)
		r.header(ok, sip.HdrTo, string(second.First(sip.HdrTo)))
		r.office.Send(r.office.Ack(ok))
		ack := r.acme.WantRequest(sip.ACK)
		if to, _ := ack.To(); string(to.Tag()) != "two" {
			r.Errorf("the ACK went to fork %s", to.Tag())
		}

		// The first fork answers too: it is acknowledged, and ended.
		r.acme.Reply(invite, 200, one)
		for _, method := range []sip.Method{sip.ACK, sip.BYE} {
			m := r.acme.WantRequest(method)
			if to, _ := m.To(); string(to.Tag()) != "one" {
				r.Errorf("the %s went to fork %s", method, to.Tag())
			}
			if method == sip.BYE {
				r.acme.Reply(m, 200)
			}
		}
		r.acme.Reply(invite, 200, one)
		r.acme.WantRequest(sip.ACK)
		r.acme.WantSilence(time.Second)

		// A BYE in a dialog that was not answered leaves the call alone.
		r.acme.Send(r.acme.InDialog(sip.BYE, siptest.Set("From", to+";tag=one")))
		r.acme.Want(200)
		r.office.Send(r.office.InDialog(sip.BYE, siptest.Set("To", string(first.First(sip.HdrTo)))))
		r.office.Want(200)
		r.acme.WantSilence(time.Second)

		r.office.Send(r.office.InDialog(sip.BYE))
		r.office.Want(200)
		bye := r.acme.WantRequest(sip.BYE)
		if to, _ := bye.To(); string(to.Tag()) != "two" {
			r.Errorf("the BYE went to fork %s", to.Tag())
		}
		r.acme.Reply(bye, 200)
	})
}

// A fork that nobody has heard of answers second.
func TestSecond2xxOfANewForkGetsAckAndBye(t *testing.T) {
	hops(t, func(r *rig) {
		r.invite()
		invite := r.acme.WantRequest(sip.INVITE)
		r.acme.Reply(invite, 200)
		r.office.Send(r.office.Ack(r.office.Want(200)))
		r.acme.WantRequest(sip.ACK)
		r.acme.Reply(invite, 200, siptest.Set("To", string(invite.First(sip.HdrTo))+";tag=other"),
			siptest.Set("Contact", "<sip:other@192.0.2.21>"))
		ack := r.acme.WantRequest(sip.ACK)
		if got := string(ack.RequestURI()); got != "sip:other@192.0.2.21" {
			r.Errorf("the ACK is for %s", got)
		}
		r.acme.Reply(r.acme.WantRequest(sip.BYE), 200)
		r.office.WantSilence(time.Second)
		synctest.Wait()
		if r.Calls() != 1 {
			r.Errorf("got %d calls, want 1", r.Calls())
		}
		r.office.Send(r.office.InDialog(sip.BYE))
		r.office.Want(200)
		r.acme.Reply(r.acme.WantRequest(sip.BYE), 200)
	})
}

// The sequence numbers of one early dialog are nothing to another.
func TestForksCountTheirRequestsApart(t *testing.T) {
	run(t, plain, func(r *rig) {
		r.invite()
		invite := r.acme.WantRequest(sip.INVITE)
		to := string(invite.First(sip.HdrTo))
		r.acme.Reply(invite, 180, siptest.Set("To", to+";tag=one"))
		first := string(r.office.Want(180).First(sip.HdrTo))
		r.office.Send(r.office.InDialog(sip.UPDATE, siptest.Set("CSeq", "70 UPDATE")))
		r.acme.Reply(r.acme.WantRequest(sip.UPDATE), 200)
		r.office.Want(200)
		r.acme.Reply(invite, 180, siptest.Set("To", to+";tag=two"))
		r.office.Want(180)
		r.office.Send(r.office.InDialog(sip.UPDATE, siptest.Set("CSeq", "60 UPDATE")))
		r.acme.Reply(r.acme.WantRequest(sip.UPDATE), 200)
		r.office.Want(200)
		r.office.Send(r.office.InDialog(sip.UPDATE, siptest.Set("CSeq", "69 UPDATE"), siptest.Set("To", first)))
		r.office.Want(500)
		r.refuse(r.acme, invite, 486)
		r.refused(486)
	})
}
