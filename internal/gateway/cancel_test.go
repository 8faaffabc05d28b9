package gateway

import (
	"context"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-sip/sallyport/sip"
	"github.com/sallyport-sip/sallyport/sip/siptest"
	"github.com/sallyport-sip/sallyport/sip/transport"
)

// cancel sends the CANCEL of the office and wants its 200 and the 487.
func (r *rig) cancel(options ...siptest.Option) {
	r.Helper()
	r.office.Send(r.office.Cancel(options...))
	ok := r.office.Want(200)
	if cseq, _ := ok.CSeq(); cseq.Method != sip.CANCEL {
		r.Fatalf("the 200 is for %s, want CANCEL", cseq.Method)
	}
	m := r.office.Want(487)
	r.header(m, sip.HdrTo, string(ok.First(sip.HdrTo))) // the same tag (RFC 3261 §9.2)
	r.office.Send(r.office.Ack(m))
}

func TestCancelAfterRinging(t *testing.T) {
	hops(t, func(r *rig) {
		r.invite()
		invite := r.acme.WantRequest(sip.INVITE)
		r.acme.Reply(invite, 180)
		r.office.Want(180)
		r.cancel(siptest.Set("Reason", `SIP;cause=200;text="Call completed elsewhere"`))
		cancel := r.acme.WantRequest(sip.CANCEL)
		r.header(cancel, sip.HdrReason, `SIP;cause=200;text="Call completed elsewhere"`)
		for _, id := range []sip.HeaderID{sip.HdrVia, sip.HdrFrom, sip.HdrTo, sip.HdrCallID} {
			r.header(cancel, id, string(invite.First(id)))
		}
		if string(cancel.RequestURI()) != string(invite.RequestURI()) {
			r.Errorf("the CANCEL is for %s, want %s", cancel.RequestURI(), invite.RequestURI())
		}
		r.acme.Reply(cancel, 200)
		r.refuse(r.acme, invite, 487)
	})
}

// "If no provisional response has been received, the CANCEL request MUST NOT be
// sent" (RFC 3261 §9.1).
func TestCancelWaitsForTheFirstProvisionalResponse(t *testing.T) {
	streams(t, func(r *rig) {
		r.invite()
		invite := r.acme.WantRequest(sip.INVITE)
		r.cancel()
		r.acme.WantSilence(5 * time.Second)
		r.acme.Reply(invite, 100)
		cancel := r.acme.WantRequest(sip.CANCEL)
		r.acme.Reply(cancel, 200)
		r.refuse(r.acme, invite, 487)
		r.office.WantSilence(time.Second)
	})
}

func TestCancelWhileNothingIsHeardOfTheTarget(t *testing.T) {
	run(t, plain, func(r *rig) {
		r.invite()
		invite := r.acme.WantRequest(sip.INVITE)
		r.cancel()
		for range 6 { // timer A goes on, and timer B ends it
			r.acme.WantAgain(invite)
		}
		r.acme.WantSilence(lifetime)
		r.backup.WantSilence(time.Millisecond)
	})
}

// A target that takes the CANCEL and never answers its INVITE is forgotten after
// 64*T1 (RFC 3261 §9.1), not when timer C ends.
func TestCancelWithoutAFinalResponse(t *testing.T) {
	hops(t, func(r *rig) {
		r.invite()
		invite := r.acme.WantRequest(sip.INVITE)
		r.acme.Reply(invite, 180)
		r.office.Want(180)
		r.cancel()
		r.acme.Reply(r.acme.WantRequest(sip.CANCEL), 200)
		r.none()
	})
}

// The target answers though it was cancelled: it gets its ACK each time, and
// one BYE.
func TestLate200AfterCancelGetsAckAndBye(t *testing.T) {
	hops(t, func(r *rig) {
		r.invite()
		invite := r.acme.WantRequest(sip.INVITE)
		r.acme.Reply(invite, 180)
		r.office.Want(180)
		r.cancel()
		r.acme.Reply(r.acme.WantRequest(sip.CANCEL), 200)
		r.acme.Reply(invite, 200)
		ack := r.acme.WantRequest(sip.ACK)
		r.header(ack, sip.HdrCSeq, "1 ACK")
		bye := r.acme.WantRequest(sip.BYE)
		r.header(bye, sip.HdrCSeq, "2 BYE")
		r.acme.Reply(invite, 200)
		r.acme.WantRequest(sip.ACK)
		r.acme.Send(r.acme.InDialog(sip.BYE)) // it crosses ours
		r.acme.Want(200)
		r.acme.Reply(bye, 200)
		r.office.WantSilence(time.Second)
	})
}

// A CANCEL that never was sent does no harm to a 200 that comes first.
func TestLate200WithoutAProvisionalResponse(t *testing.T) {
	hops(t, func(r *rig) {
		r.invite()
		invite := r.acme.WantRequest(sip.INVITE)
		r.cancel()
		r.acme.Reply(invite, 200)
		r.acme.WantRequest(sip.ACK)
		r.acme.Reply(r.acme.WantRequest(sip.BYE), 200)
	})
}

// "If the UAS has already issued a final response for the original request, the
// CANCEL request has no effect" (RFC 3261 §9.2).
func TestCancelCrossing200(t *testing.T) {
	hops(t, func(r *rig) {
		r.invite()
		invite := r.acme.WantRequest(sip.INVITE)
		r.acme.Reply(invite, 200)
		ok := r.office.Want(200)
		r.office.Send(r.office.Cancel())
		m := r.office.Want(200)
		if cseq, _ := m.CSeq(); cseq.Method != sip.CANCEL {
			r.Fatalf("the second 200 is for %s", cseq.Method)
		}
		r.office.Send(r.office.Ack(ok))
		r.acme.WantRequest(sip.ACK)
		r.acme.WantSilence(time.Millisecond)
		r.hangUp(r.office, r.acme)
	})
}

func TestCancelWhileConnecting(t *testing.T) {
	set := setting{targets: transport.TCP}
	set.options = func(o *Options) { o.Network = slow{o.Network} }
	run(t, set, func(r *rig) {
		r.invite()
		r.cancel()
		r.none()
		r.acme.WantSilence(lifetime)
	})
}

func TestCancelWithoutACallGets481(t *testing.T) {
	hops(t, func(r *rig) {
		r.invite()
		invite := r.acme.WantRequest(sip.INVITE)
		r.office.Send(r.office.Cancel(siptest.Set("Via", "SIP/2.0/UDP 192.0.2.10:5080;branch=z9hG4bKother;rport")))
		r.office.Want(481)
		r.refuse(r.acme, invite, 486)
		r.refused(486)
	})
}

// Who is not the leg's peer cannot cancel, though he knows the branch.
func TestCancelOfAnotherPeerGets481(t *testing.T) {
	hops(t, func(r *rig) {
		r.invite()
		invite := r.acme.WantRequest(sip.INVITE)
		r.acme.Reply(invite, 180)
		r.office.Want(180)
		r.backup.Dial(r.listener(r.set.targets))
		r.backup.Send(r.office.Cancel())
		r.backup.Want(481)
		r.refuse(r.acme, invite, 486)
		r.refused(486)
	})
}

func TestByeOnAnEarlyDialogEndsTheCall(t *testing.T) {
	hops(t, func(r *rig) {
		r.invite()
		invite := r.acme.WantRequest(sip.INVITE)
		r.acme.Reply(invite, 180)
		r.office.Want(180)
		r.office.Send(r.office.InDialog(sip.BYE))
		r.office.Want(200)
		m := r.office.Want(487)
		r.office.Send(r.office.Ack(m))
		r.acme.Reply(r.acme.WantRequest(sip.CANCEL), 200)
		r.refuse(r.acme, invite, 487)
	})
}

// The callee "MUST NOT send a BYE on early dialogs" (RFC 3261 §15): one that does
// wants no call. Its INVITE is cancelled, the caller is not left ringing, and a
// 200 that comes all the same is acknowledged.
func TestByeOfTheCalleeOnAnEarlyDialog(t *testing.T) {
	hops(t, func(r *rig) {
		r.invite()
		invite := r.acme.WantRequest(sip.INVITE)
		r.acme.Reply(invite, 180)
		r.office.Want(180)
		r.acme.Send(r.acme.InDialog(sip.BYE, siptest.Set("Reason", "Q.850;cause=16")))
		r.acme.Want(200)
		cancel := r.acme.WantRequest(sip.CANCEL)
		r.refused(480)
		r.acme.Reply(cancel, 200)
		r.acme.Reply(invite, 200)
		r.acme.WantRequest(sip.ACK)
		r.acme.WantSilence(time.Second)
	})
}

// With several early dialogs the caller may end one: its fork gets a BYE, and
// the others go on ringing.
func TestByeOnOneOfSeveralEarlyDialogs(t *testing.T) {
	hops(t, func(r *rig) {
		r.invite()
		invite := r.acme.WantRequest(sip.INVITE)
		to := string(invite.First(sip.HdrTo))
		r.acme.Reply(invite, 180, siptest.Set("To", to+";tag=one"))
		first := string(r.office.Want(180).First(sip.HdrTo))
		r.acme.Reply(invite, 183, siptest.Set("To", to+";tag=two"))
		r.office.Want(183)
		r.office.Send(r.office.InDialog(sip.BYE, siptest.Set("To", first), siptest.Set("X-Any", "as it is")))
		r.office.Want(200)
		bye := r.acme.WantRequest(sip.BYE)
		if got, _ := bye.To(); string(got.Tag()) != "one" || !strings.Contains(string(bye.Bytes()), "\r\nX-Any: as it is\r\n") {
			r.Errorf("the BYE of the first fork is\n%s", bye.Bytes())
		}
		r.acme.Reply(bye, 200)
		r.office.Send(r.office.InDialog(sip.UPDATE, siptest.Set("To", first)))
		r.office.Want(481)
		r.acme.Reply(invite, 200, siptest.Set("To", to+";tag=two"))
		r.office.Send(r.office.Ack(r.office.Want(200)))
		r.acme.WantRequest(sip.ACK)
		r.hangUp(r.office, r.acme)
	})
}

// The fork that the caller has left answers at the same moment: whoever forked
// the INVITE cancels the others now, so there is nobody left to answer.
func TestForkThatTheCallerLeftAnswers(t *testing.T) {
	hops(t, func(r *rig) {
		r.invite()
		invite := r.acme.WantRequest(sip.INVITE)
		to := string(invite.First(sip.HdrTo))
		r.acme.Reply(invite, 180, siptest.Set("To", to+";tag=one"))
		first := string(r.office.Want(180).First(sip.HdrTo))
		r.acme.Reply(invite, 180, siptest.Set("To", to+";tag=two"))
		r.office.Want(180)
		r.office.Send(r.office.InDialog(sip.BYE, siptest.Set("To", first)))
		r.office.Want(200)
		bye := r.acme.WantRequest(sip.BYE)
		r.acme.Reply(invite, 200, siptest.Set("To", to+";tag=one"))
		r.acme.WantRequest(sip.ACK)
		r.acme.Reply(bye, 200)
		r.refused(480)
		r.acme.WantSilence(time.Second) // no CANCEL either: the INVITE has its final response
	})
}

// slow is a network on which connecting takes a second.
type slow struct{ transport.Network }

func (n slow) Dial(ctx context.Context, local, remote netip.AddrPort) (net.Conn, error) {
	time.Sleep(time.Second)
	return n.Network.Dial(ctx, local, remote)
}
