package gateway

import (
	"fmt"
	"testing"
	"time"

	"github.com/sallyport-sip/sallyport/internal/memnet"
	"github.com/sallyport-sip/sallyport/sip"
	"github.com/sallyport-sip/sallyport/sip/siptest"
	"github.com/sallyport-sip/sallyport/sip/transport"
)

// elsewhere is where the target's connections come from when nobody listens at its
// own address.
const elsewhere = "192.0.2.20:6000"

// cutOff brings a call to a target that loses its server and its connection while
// it rings, so that it is given up; rings says whether that is known. The target is
// the one that comes back by a connection of its own, and can be reached by no other.
func (r *rig) cutOff(rings bool) (invite *siptest.Message) {
	r.Helper()
	r.invite()
	invite = r.acme.WantRequest(sip.INVITE)
	if rings {
		r.acme.Reply(invite, 180)
		r.office.Want(180)
	}
	r.acme.Close()
	r.backup.Reply(r.backup.WantRequest(sip.INVITE), 486)
	r.backup.WantRequest(sip.ACK)
	r.refused(486)
	r.acme = r.peer("acme", r.set.targets, elsewhere)
	return invite
}

// A target answers on a connection of its own when its INVITE was given up: it gets
// an ACK for each copy of its 2xx, and one BYE (RFC 3261 §13.2.2.4).
func TestStrayAnswerIsEnded(t *testing.T) {
	streams(t, func(r *rig) {
		invite := r.cutOff(true)
		r.acme.Dial(r.listener(r.set.targets))
		ok := r.acme.Response(invite, 200, siptest.Body("application/sdp", answer))
		r.acme.Send(ok)
		// The CANCEL is owed since the server went: it may leave before the 2xx is read.
		ack := r.acme.Next()
		cancelled := ack.Method() == sip.CANCEL
		if cancelled {
			r.acme.Reply(ack, 481)
			ack = r.acme.Next()
		}
		r.header(ack, sip.HdrCSeq, "1 ACK")
		bye := r.acme.WantRequest(sip.BYE)
		r.header(bye, sip.HdrCSeq, "2 BYE")
		if got := string(bye.RequestURI()); got != r.acme.URI("acme") {
			r.Errorf("the BYE is for %s, want the Contact of the 2xx, %s", got, r.acme.URI("acme"))
		}
		r.acme.Send(ok)
		r.acme.WantRequest(sip.ACK)
		r.acme.Reply(bye, 200)
		if !cancelled {
			r.acme.Reply(r.acme.WantRequest(sip.CANCEL), 481)
		}
		r.acme.WantSilence(2 * lifetime)
		r.acme.Send(ok)
		r.acme.WantSilence(time.Second)
		if n := r.server.Stats().StrayResponses; n != 1 {
			r.Errorf("%d stray responses are counted, want 1", n)
		}
	})
}

// The CANCEL of a target that was ringing when its server went finds it when it is
// back, with the branch of its INVITE.
func TestCancelIsOwedToATargetThatIsCutOff(t *testing.T) {
	streams(t, func(r *rig) {
		invite := r.cutOff(true)
		time.Sleep(10 * time.Second)
		r.acme.Dial(r.listener(r.set.targets))
		cancel := r.acme.WantRequest(sip.CANCEL)
		for _, h := range []sip.HeaderID{sip.HdrVia, sip.HdrFrom, sip.HdrTo, sip.HdrCallID} {
			r.header(cancel, h, string(invite.First(h)))
		}
		r.header(cancel, sip.HdrCSeq, "1 CANCEL")
		r.acme.Reply(cancel, 200)
		r.acme.Send(r.acme.Response(invite, 487))
		r.acme.WantSilence(time.Minute)
	})
}

// A target that had said nothing yet may get no CANCEL (RFC 3261 §9.1): it gets one
// when it comes back and rings.
func TestStrayRingingIsCancelled(t *testing.T) {
	run(t, setting{targets: transport.TCP}, func(r *rig) {
		r.answered() // an older call, so that the connection is not new
		r.hangUp(r.office, r.acme)
		invite := r.cutOff(false)
		r.acme.Dial(r.listener(r.set.targets))
		r.acme.WantSilence(10 * time.Second)
		r.acme.Send(r.acme.Response(invite, 180))
		r.acme.Reply(r.acme.WantRequest(sip.CANCEL), 200)
		r.acme.Send(r.acme.Response(invite, 180))
		r.acme.WantSilence(time.Minute)
	})
}

// Only the peer that was called counts, and only for its own call.
func TestStrayAnswerOfSomebodyElse(t *testing.T) {
	streams(t, func(r *rig) {
		invite := r.cutOff(true)
		r.backup.Send(r.backup.Response(invite, 200))
		r.backup.WantSilence(time.Second)
		r.acme.Dial(r.listener(r.set.targets))
		r.acme.Send(r.acme.Response(invite, 200, siptest.Set("Call-ID", "another")))
		cancel := r.acme.WantRequest(sip.CANCEL)
		r.acme.Reply(cancel, 200)
	})
}

// A target answers on a connection of its own while a new one to it is being made:
// that is the answer, and the INVITE is not sent again.
func TestAnswerWhileReconnecting(t *testing.T) {
	streamsWith(t, setting{network: memnet.Options{Delay: delay}}, func(r *rig) {
		r.invite()
		invite := r.acme.WantRequest(sip.INVITE)
		r.acme.Reply(invite, 180)
		r.office.Want(180)
		back := r.peer("acme", r.set.targets, elsewhere)
		back.Dial(r.listener(r.set.targets))
		r.acme.HangUp()
		time.Sleep(time.Millisecond)
		back.Send(back.Response(invite, 200, siptest.Body("application/sdp", answer)))
		r.acme.WantSilence(10 * delay)
		r.acme = back
		r.office.Send(r.office.Ack(r.office.Want(200)))
		r.acme.WantRequest(sip.ACK)
		time.Sleep(time.Minute)
		r.hangUp(r.office, r.acme)
		time.Sleep(2 * delay)
	})
}

// A 2xx that comes when timer M is over gets its ACK once more, and the call goes on;
// that of a fork which nobody has heard of is ended.
func TestAnswerAfterTheTransaction(t *testing.T) {
	hops(t, func(r *rig) {
		r.invite()
		invite := r.acme.WantRequest(sip.INVITE)
		r.acme.Reply(invite, 200, siptest.Body("application/sdp", answer))
		r.office.Send(r.office.Ack(r.office.Want(200)))
		r.acme.WantRequest(sip.ACK)
		time.Sleep(lifetime + time.Second)
		r.acme.Reply(invite, 200, siptest.Body("application/sdp", answer))
		r.acme.WantRequest(sip.ACK)
		to := string(invite.First(sip.HdrTo))
		r.acme.Reply(invite, 200, siptest.Set("To", to+";tag=late"))
		r.acme.WantRequest(sip.ACK)
		bye := r.acme.WantRequest(sip.BYE)
		r.header(bye, sip.HdrTo, to+";tag=late")
		r.acme.Reply(bye, 200)
		r.office.WantSilence(time.Second)
		r.hangUp(r.office, r.acme)
	})
}

// A 2xx that names no place to send to makes no call, and ends all the same: its
// dialog gets ACK and BYE where the INVITE went.
func TestAnswerWithoutAUsableContactIsEnded(t *testing.T) {
	hops(t, func(r *rig) {
		for _, early := range []bool{false, true} {
			r.invite()
			invite := r.acme.WantRequest(sip.INVITE)
			if early {
				r.acme.Reply(invite, 180)
				r.office.Want(180)
			}
			r.acme.Reply(invite, 200, siptest.Set("Contact", "<tel:+4930123>"))
			r.acme.WantRequest(sip.ACK)
			r.acme.Reply(r.acme.WantRequest(sip.BYE), 200)
			r.backup.Reply(r.backup.WantRequest(sip.INVITE), 486)
			r.backup.WantRequest(sip.ACK)
			r.refused(486)
		}
	})
}

// Who forks to more targets than anybody counts may still have one of them answer.
func TestAnswerOfOneForkTooMany(t *testing.T) {
	run(t, plain, func(r *rig) {
		r.invite()
		invite := r.acme.WantRequest(sip.INVITE)
		to := string(invite.First(sip.HdrTo))
		for i := range 100 {
			r.acme.Reply(invite, 180, siptest.Set("To", fmt.Sprintf("%s;tag=fork%d", to, i)))
			r.office.Want(180)
		}
		r.acme.Reply(invite, 200, siptest.Set("To", to+";tag=fork99"))
		r.office.Send(r.office.Ack(r.office.Want(200)))
		r.acme.WantRequest(sip.ACK)
		r.hangUp(r.office, r.acme)
	})
}
