package gateway

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-sip/sallyport/sip"
	"github.com/sallyport-sip/sallyport/sip/siptest"
)

// sides runs a test over each transport, with the callee and then with the
// caller as the one who acts.
func sides(t *testing.T, f func(r *rig, near, far *siptest.Peer)) {
	t.Run("caller", func(t *testing.T) { hops(t, func(r *rig) { f(r, r.office, r.acme) }) })
	t.Run("callee", func(t *testing.T) { hops(t, func(r *rig) { f(r, r.acme, r.office) }) })
}

func TestReinviteCrosses(t *testing.T) {
	sides(t, func(r *rig, near, far *siptest.Peer) {
		r.answered()
		near.Send(near.InDialog(sip.INVITE, siptest.Body("application/sdp", offer)))
		invite := far.WantRequest(sip.INVITE)
		if string(invite.Body()) != offer {
			r.Errorf("the body is %q", invite.Body())
		}
		far.Reply(invite, 180)
		near.Want(180)
		far.Reply(invite, 200, siptest.Body("application/sdp", answer))
		ok := near.Want(200)
		if string(ok.Body()) != answer || ok.First(sip.HdrContact) == nil {
			r.Errorf("the 200 crossed badly:\n%s", ok.Bytes())
		}
		near.Send(near.Ack(ok))
		ack := far.WantRequest(sip.ACK)
		if got, _ := ack.CSeq(); fmt.Sprintf("%d INVITE", got.Seq) != string(invite.First(sip.HdrCSeq)) {
			r.Errorf("the ACK has CSeq %d, its INVITE %s", got.Seq, invite.First(sip.HdrCSeq))
		}
		r.hangUp(far, near)
	})
}

func TestReinviteRefusedLeavesTheCallUp(t *testing.T) {
	sides(t, func(r *rig, near, far *siptest.Peer) {
		r.answered()
		near.Send(near.InDialog(sip.INVITE, siptest.Body("application/sdp", offer)))
		r.refuse(far, far.WantRequest(sip.INVITE), 488, siptest.Set("Warning", `304 there.example "Media type not available"`))
		m := near.Want(488)
		if w := string(m.First(sip.HdrWarning)); !strings.HasPrefix(w, "304 "+gatewayAddr+":") || !strings.HasSuffix(w, `"Media type not available"`) {
			r.Errorf("the Warning is %q", w)
		}
		near.Send(near.Ack(m))
		r.hangUp(near, far)
	})
}

func TestReinviteCancelled(t *testing.T) {
	sides(t, func(r *rig, near, far *siptest.Peer) {
		r.answered()
		near.Send(near.InDialog(sip.INVITE))
		invite := far.WantRequest(sip.INVITE)
		far.Reply(invite, 180)
		near.Want(180)
		near.Send(near.Cancel())
		near.Want(200)
		cancel := far.WantRequest(sip.CANCEL)
		r.header(cancel, sip.HdrVia, string(invite.First(sip.HdrVia)))
		r.header(cancel, sip.HdrTo, string(invite.First(sip.HdrTo)))
		far.Reply(cancel, 200)
		r.refuse(far, invite, 487)
		near.Send(near.Ack(near.Want(487)))
		r.hangUp(near, far)
	})
}

func TestCancelOfAReinviteByAnotherPeerGets481(t *testing.T) {
	hops(t, func(r *rig) {
		r.answered()
		r.office.Send(r.office.InDialog(sip.INVITE))
		invite := r.acme.WantRequest(sip.INVITE)
		r.acme.Reply(invite, 180)
		r.office.Want(180)
		r.backup.Dial(r.listener(r.set.targets))
		r.backup.Send(r.office.Cancel())
		r.backup.Want(481)
		r.refuse(r.acme, invite, 488)
		r.refused(488)
		r.hangUp(r.office, r.acme)
	})
}

// "... as long as the CANCEL matched an existing transaction, the UAS answers
// the CANCEL request itself with a 200" (RFC 3261 §9.2), and that is all.
func TestCancelOfAnotherMethodHasNoEffect(t *testing.T) {
	hops(t, func(r *rig) {
		r.answered()
		text := r.office.InDialog(sip.INFO)
		r.office.Send(text)
		info := r.acme.WantRequest(sip.INFO)
		r.office.Send(strings.ReplaceAll(strings.Replace(text, "INFO ", "CANCEL ", 1), " INFO\r\n", " CANCEL\r\n"))
		r.office.Want(200)
		r.acme.WantSilence(t1 / 2)
		r.acme.Reply(info, 200)
		if cseq, _ := r.office.Want(200).CSeq(); cseq.Method != sip.INFO {
			r.Errorf("the second 200 is for %s", cseq.Method)
		}
		r.hangUp(r.office, r.acme)
	})
}

// Both sides begin a re-INVITE at once: each gets 491, and neither INVITE
// reaches the other (RFC 3261 §14.1).
func TestReinviteGlareGets491(t *testing.T) {
	sides(t, func(r *rig, near, far *siptest.Peer) {
		r.answered()
		near.Send(near.InDialog(sip.INVITE))
		invite := far.WantRequest(sip.INVITE)
		far.Send(far.InDialog(sip.INVITE))
		far.Send(far.Ack(far.Want(491)))
		r.refuse(far, invite, 491)
		near.Send(near.Ack(near.Want(491)))
		r.hangUp(near, far)
	})
}

// "... MUST return a 500 ... with a randomly chosen value of between 0 and 10
// seconds" (RFC 3261 §14.2).
func TestSecondReinviteOfOneSideGets500(t *testing.T) {
	sides(t, func(r *rig, near, far *siptest.Peer) {
		r.answered()
		near.Send(near.InDialog(sip.INVITE))
		invite := far.WantRequest(sip.INVITE)
		near.Send(near.InDialog(sip.INVITE))
		m := near.Want(500)
		if m.First(sip.HdrRetryAfter) == nil {
			r.Error("the 500 has no Retry-After")
		}
		near.Send(near.Ack(m))
		r.refuse(far, invite, 488)
		near.Want(488)
		r.hangUp(near, far)
	})
}

// An INVITE while a 2xx waits for its ACK is glare too.
func TestReinviteBeforeTheAckGets491(t *testing.T) {
	hops(t, func(r *rig) {
		r.invite()
		r.acme.Reply(r.acme.WantRequest(sip.INVITE), 200)
		ok := r.office.Want(200)
		r.acme.Send(r.acme.InDialog(sip.INVITE))
		r.acme.Send(r.acme.Ack(r.acme.Want(491)))
		r.office.Send(r.office.Ack(ok))
		r.acme.WantRequest(sip.ACK)
		r.hangUp(r.office, r.acme)
	})
}

func TestByeDuringAReinvite(t *testing.T) {
	sides(t, func(r *rig, near, far *siptest.Peer) {
		r.answered()
		near.Send(near.InDialog(sip.INVITE))
		invite := far.WantRequest(sip.INVITE)
		near.Send(near.InDialog(sip.BYE))
		near.Want(200)
		near.Want(487)
		bye := far.WantRequest(sip.BYE)
		// The 200 of the other side crossed our BYE: it is acknowledged.
		far.Reply(invite, 200)
		far.WantRequest(sip.ACK)
		far.Reply(bye, 200)
	})
}

func TestRequestsInTheDialogCross(t *testing.T) {
	sides(t, func(r *rig, near, far *siptest.Peer) {
		r.answered()
		last := uint32(0)
		for _, method := range []sip.Method{sip.INFO, sip.UPDATE, sip.MESSAGE, sip.NOTIFY, sip.REFER, sip.OPTIONS, "PICKUP"} {
			near.Send(near.InDialog(method, siptest.Body("application/dtmf-relay", "Signal=5"), siptest.Set("X-Any", "as it is")))
			m := far.WantRequest(method)
			if string(m.Body()) != "Signal=5" || !strings.Contains(string(m.Bytes()), "\r\nX-Any: as it is\r\n") {
				r.Errorf("%s crossed badly:\n%s", method, m.Bytes())
			}
			cseq, _ := m.CSeq()
			if last > 0 && cseq.Seq != last+1 {
				r.Errorf("%s has CSeq %d after %d", method, cseq.Seq, last)
			}
			last = cseq.Seq
			far.Reply(m, 202, siptest.Body("text/plain", "so be it"))
			if m := near.Want(202); string(m.Body()) != "so be it" {
				r.Errorf("the body of the answer to %s is %q", method, m.Body())
			}
		}
		r.hangUp(near, far)
	})
}

// RAck names the response by its number, which crosses, and the INVITE by its
// CSeq, which is another on each leg (RFC 3262 §7.2).
func TestPrackCrosses(t *testing.T) {
	hops(t, func(r *rig) {
		r.invite(siptest.Set("Supported", "100rel"), siptest.Set("CSeq", "4711 INVITE"))
		invite := r.acme.WantRequest(sip.INVITE)
		r.header(invite, sip.HdrSupported, "100rel")
		r.header(invite, sip.HdrCSeq, "1 INVITE")
		reliable := []siptest.Option{siptest.Set("Require", "100rel"), siptest.Set("RSeq", "9021")}
		r.acme.Reply(invite, 183, reliable...)
		m := r.office.Want(183)
		r.header(m, sip.HdrRSeq, "9021")
		r.header(m, sip.HdrRequire, "100rel")
		r.acme.Reply(invite, 183, reliable...) // sent again until its PRACK
		r.office.WantAgain(m)
		r.office.Send(r.office.InDialog(sip.PRACK, siptest.Set("RAck", "9021 4711 INVITE"), siptest.Set("CSeq", "4712 PRACK")))
		prack := r.acme.WantRequest(sip.PRACK)
		r.header(prack, sip.HdrRAck, "9021 1 INVITE")
		r.header(prack, sip.HdrCSeq, "2 PRACK")
		r.acme.Reply(prack, 200)
		r.office.Want(200)

		// An UPDATE in the early dialog, from either side.
		r.office.Send(r.office.InDialog(sip.UPDATE, siptest.Set("CSeq", "4713 UPDATE")))
		r.acme.Reply(r.acme.WantRequest(sip.UPDATE), 200)
		r.office.Want(200)
		r.acme.Send(r.acme.InDialog(sip.UPDATE))
		r.office.Reply(r.office.WantRequest(sip.UPDATE), 200)
		r.acme.Want(200)

		r.refuse(r.acme, invite, 486)
		r.refused(486)
	})
}

// During a re-INVITE, RAck has the CSeq of that one.
func TestPrackOfAReinvite(t *testing.T) {
	sides(t, func(r *rig, near, far *siptest.Peer) {
		r.answered()
		near.Send(near.InDialog(sip.INVITE, siptest.Set("CSeq", "50 INVITE")))
		invite := far.WantRequest(sip.INVITE)
		far.Reply(invite, 183, siptest.Set("Require", "100rel"), siptest.Set("RSeq", "1"))
		near.Want(183)
		near.Send(near.InDialog(sip.PRACK, siptest.Set("RAck", "1 50 INVITE"), siptest.Set("CSeq", "51 PRACK")))
		prack := far.WantRequest(sip.PRACK)
		cseq, _ := invite.CSeq()
		r.header(prack, sip.HdrRAck, fmt.Sprintf("1 %d INVITE", cseq.Seq))
		far.Reply(prack, 481) // about a 1xx, not about the call
		near.Want(481)
		r.refuse(far, invite, 488)
		near.Want(488)
		near.Send(near.InDialog(sip.BYE, siptest.Set("CSeq", "52 BYE")))
		near.Want(200)
		far.Reply(far.WantRequest(sip.BYE), 200)
	})
}

// "If the remote sequence number was not empty, but the sequence number of the
// request is lower than the remote sequence number, the request ... MUST be
// rejected with a 500" (RFC 3261 §12.2.2).
func TestRequestOutOfOrderGets500(t *testing.T) {
	run(t, plain, func(r *rig) {
		r.answered()
		r.office.Send(r.office.InDialog(sip.INFO, siptest.Set("CSeq", "100 INFO")))
		r.acme.Reply(r.acme.WantRequest(sip.INFO), 200)
		r.office.Want(200)
		r.office.Send(r.office.InDialog(sip.INFO, siptest.Set("CSeq", "99 INFO")))
		r.office.Want(500)
		r.office.Send(r.office.InDialog(sip.BYE, siptest.Set("CSeq", "101 BYE")))
		r.office.Want(200)
		r.acme.Reply(r.acme.WantRequest(sip.BYE), 200)
	})
}

// A side that does not know the dialog any more has left it; the other gets a
// BYE (RFC 3261 §12.2.1.2).
func TestA481EndsTheCall(t *testing.T) {
	sides(t, func(r *rig, near, far *siptest.Peer) {
		r.answered()
		near.Send(near.InDialog(sip.UPDATE))
		far.Reply(far.WantRequest(sip.UPDATE), 481)
		near.Want(481)
		near.Reply(near.WantRequest(sip.BYE), 200)
		far.WantSilence(lifetime)
	})
}

// One to a NOTIFY is about its subscription alone (RFC 5057 §5.1).
func TestA481ToANotifyLeavesTheCallUp(t *testing.T) {
	sides(t, func(r *rig, near, far *siptest.Peer) {
		r.answered()
		near.Send(near.InDialog(sip.NOTIFY))
		far.Reply(far.WantRequest(sip.NOTIFY), 481)
		near.Want(481)
		r.hangUp(near, far)
	})
}

func TestReinviteWithoutAnAnswerEndsTheCall(t *testing.T) {
	run(t, setting{shards: 3}, func(r *rig) {
		r.answered()
		r.office.Send(r.office.InDialog(sip.INVITE))
		invite := r.acme.WantRequest(sip.INVITE)
		for range 6 {
			r.acme.WantAgain(invite)
		}
		m := r.office.Want(408)
		if after := m.At.Sub(invite.At); after != lifetime {
			r.Errorf("the 408 came after %v, want %v", after, lifetime)
		}
		r.office.Send(r.office.Ack(m))
		r.office.Reply(r.office.WantRequest(sip.BYE), 200)
		r.acme.Reply(r.acme.WantRequest(sip.BYE), 200)
	})
}

// A REFER that names a dialog of the other leg would mean nothing here.
func TestReferWithReplacesIsRefused(t *testing.T) {
	run(t, plain, func(r *rig) {
		r.answered()
		r.office.Send(r.office.InDialog(sip.REFER, siptest.Set("Refer-To", "<sip:bob@example.com?Replaces=1%3Bto-tag%3D2%3Bfrom-tag%3D3>")))
		r.office.Want(501)
		r.acme.WantSilence(time.Second)
		r.hangUp(r.office, r.acme)
	})
}

// A dialog is its Call-ID and both tags (RFC 3261 §12).
func TestRequestOfNoDialogGets481(t *testing.T) {
	run(t, plain, func(r *rig) {
		invite, ok := r.answered()
		from, to := string(ok.First(sip.HdrFrom)), string(ok.First(sip.HdrTo))
		for _, options := range [][]siptest.Option{
			{siptest.Set("Call-ID", "another")},
			{siptest.Set("From", strings.Replace(from, "tag=", "tag=x", 1))},
			{siptest.Set("To", strings.Replace(to, "tag=", "tag=x", 1))},
			{siptest.Set("Call-ID", string(invite.CallID()))},
		} {
			r.office.Send(r.office.InDialog(sip.INFO, options...))
			r.office.Want(481)
		}
		r.acme.WantSilence(time.Second)
		r.hangUp(r.office, r.acme)
	})
}

func TestRequestAfterTheByeGets481(t *testing.T) {
	sides(t, func(r *rig, near, far *siptest.Peer) {
		r.answered()
		near.Send(near.InDialog(sip.BYE))
		near.Want(200)
		bye := far.WantRequest(sip.BYE)
		far.Send(far.InDialog(sip.INFO))
		far.Want(481)
		far.Reply(bye, 200)
		near.Send(near.InDialog(sip.INFO))
		near.Want(481)
	})
}

// A target refresh moves where requests go, inside the call (RFC 3261 §12.2).
func TestTargetRefresh(t *testing.T) {
	sides(t, func(r *rig, near, far *siptest.Peer) {
		r.answered()
		near.Send(near.InDialog(sip.UPDATE, siptest.Set("Contact", "<sip:moved@192.0.2.99>")))
		far.Reply(far.WantRequest(sip.UPDATE), 200, siptest.Set("Contact", "<sip:moved-too@192.0.2.98>"))
		near.Want(200)
		far.Send(far.InDialog(sip.INFO))
		info := near.WantRequest(sip.INFO)
		if got := string(info.RequestURI()); got != "sip:moved@192.0.2.99" {
			r.Errorf("the INFO is for %s", got)
		}
		near.Reply(info, 200)
		far.Want(200)
		bye := r.hangUp(near, far)
		if got := string(bye.RequestURI()); got != "sip:moved-too@192.0.2.98" {
			r.Errorf("the BYE is for %s", got)
		}
	})
}
