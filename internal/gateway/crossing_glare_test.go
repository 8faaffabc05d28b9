package gateway

import (
	"fmt"
	"testing"
	"time"

	"github.com/sallyport-sip/sallyport/sip"
	"github.com/sallyport-sip/sallyport/sip/siptest"
)

// sdp is a session description as the body of a message.
func sdp(s string) siptest.Option { return siptest.Body("application/sdp", s) }

// Both sides offer in an UPDATE at once: each is refused with 491, the one by the
// gateway and the other by the side that it reached (RFC 3311 §5.2).
func TestUpdateGlareGets491(t *testing.T) {
	sides(t, func(r *rig, near, far *siptest.Peer) {
		r.answered()
		near.Send(near.InDialog(sip.UPDATE, sdp(offer)))
		update := far.WantRequest(sip.UPDATE)
		far.Send(far.InDialog(sip.UPDATE, sdp(offer)))
		far.Want(491)
		far.Reply(update, 491)
		near.Want(491)

		// Then there is none any more.
		far.Send(far.InDialog(sip.UPDATE, sdp(offer)))
		near.Reply(near.WantRequest(sip.UPDATE), 200, sdp(answer))
		far.Want(200)
		r.hangUp(near, far)
	})
}

// One without an offer collides with nothing.
func TestUpdateWithoutAnOfferIsNoGlare(t *testing.T) {
	sides(t, func(r *rig, near, far *siptest.Peer) {
		r.answered()
		near.Send(near.InDialog(sip.UPDATE, sdp(offer)))
		first := far.WantRequest(sip.UPDATE)
		far.Send(far.InDialog(sip.UPDATE))
		near.Reply(near.WantRequest(sip.UPDATE), 200)
		far.Want(200)
		far.Reply(first, 200, sdp(answer))
		near.Want(200)
		r.hangUp(near, far)
	})
}

// "If an UPDATE is received before the UAS has generated a final response to a
// previous UPDATE on the same dialog, the UAS MUST return a 500 response to the
// new UPDATE, and MUST include a Retry-After header field" (RFC 3311 §5.2).
func TestSecondUpdateOfOneSideGets500(t *testing.T) {
	sides(t, func(r *rig, near, far *siptest.Peer) {
		r.answered()
		near.Send(near.InDialog(sip.UPDATE))
		first := far.WantRequest(sip.UPDATE)
		near.Send(near.InDialog(sip.UPDATE))
		if m := near.Want(500); m.First(sip.HdrRetryAfter) == nil {
			r.Error("the 500 has no Retry-After")
		}
		far.Reply(first, 200)
		near.Want(200)
		r.hangUp(near, far)
	})
}

// A re-INVITE's offer has no answer yet: an UPDATE with an offer of the other
// side gets 491, one of the same side 500, and one without an offer crosses.
func TestUpdateWithAnOfferDuringAReinvite(t *testing.T) {
	sides(t, func(r *rig, near, far *siptest.Peer) {
		r.answered()
		near.Send(near.InDialog(sip.INVITE, sdp(offer)))
		invite := far.WantRequest(sip.INVITE)
		far.Send(far.InDialog(sip.UPDATE, sdp(offer)))
		far.Want(491)
		near.Send(near.InDialog(sip.UPDATE, sdp(offer)))
		if m := near.Want(500); m.First(sip.HdrRetryAfter) == nil {
			r.Error("the 500 has no Retry-After")
		}
		far.Send(far.InDialog(sip.UPDATE))
		near.Reply(near.WantRequest(sip.UPDATE), 200)
		far.Want(200)

		// Once a response has brought the answer, an UPDATE may offer again.
		far.Reply(invite, 183, sdp(answer))
		near.Want(183)
		far.Send(far.InDialog(sip.UPDATE, sdp(offer)))
		near.Reply(near.WantRequest(sip.UPDATE), 200, sdp(answer))
		far.Want(200)
		far.Reply(invite, 200)
		near.Send(near.Ack(near.Want(200)))
		far.WantRequest(sip.ACK)
		r.hangUp(near, far)
	})
}

// An INVITE whose offer would meet that of an UPDATE under way.
func TestReinviteDuringAnUpdateWithAnOffer(t *testing.T) {
	sides(t, func(r *rig, near, far *siptest.Peer) {
		r.answered()
		near.Send(near.InDialog(sip.UPDATE, sdp(offer)))
		update := far.WantRequest(sip.UPDATE)
		far.Send(far.InDialog(sip.INVITE, sdp(offer)))
		far.Send(far.Ack(far.Want(491)))
		far.Reply(update, 200, sdp(answer))
		near.Want(200)
		far.Send(far.InDialog(sip.INVITE, sdp(offer)))
		near.Reply(near.WantRequest(sip.INVITE), 200, sdp(answer))
		far.Send(far.Ack(far.Want(200)))
		near.WantRequest(sip.ACK)
		r.hangUp(near, far)
	})
}

// A 200 that offers is answered by its ACK: until then nobody else may offer.
func TestUpdateBetweenAnOfferIn200AndItsAck(t *testing.T) {
	hops(t, func(r *rig) {
		r.answered()
		r.office.Send(r.office.InDialog(sip.INVITE))
		r.acme.Reply(r.acme.WantRequest(sip.INVITE), 200, sdp(offer))
		ok := r.office.Want(200)
		r.office.Send(r.office.InDialog(sip.UPDATE, sdp(offer)))
		r.office.Want(491)
		r.office.Send(r.office.Ack(ok, sdp(answer)))
		r.acme.WantRequest(sip.ACK)
		r.office.Send(r.office.InDialog(sip.UPDATE, sdp(offer)))
		r.acme.Reply(r.acme.WantRequest(sip.UPDATE), 200, sdp(answer))
		r.office.Want(200)
		r.hangUp(r.office, r.acme)
	})
}

// After 491 the owner of the Call-ID waits 2.1 to 4 seconds and the other side up
// to 2 (RFC 3261 §14.1). A caller owns that of his leg and a target does not, so
// each finds the way clear.
func TestBothSidesTryAgainAfterGlare(t *testing.T) {
	for _, first := range []string{"the gateway sees the glare", "the far side sees it too"} {
		t.Run(first, func(t *testing.T) {
			hops(t, func(r *rig) {
				r.answered()
				r.office.Send(r.office.InDialog(sip.INVITE, sdp(offer)))
				invite := r.acme.WantRequest(sip.INVITE)
				if first == "the far side sees it too" {
					r.acme.Send(r.acme.InDialog(sip.INVITE, sdp(offer)))
					r.acme.Send(r.acme.Ack(r.acme.Want(491)))
				}
				r.refuse(r.acme, invite, 491)
				r.refused(491)
				time.Sleep(2 * time.Second) // the longest wait of who is not the owner
				r.acme.Send(r.acme.InDialog(sip.INVITE, sdp(offer)))
				r.office.Reply(r.office.WantRequest(sip.INVITE), 200, sdp(answer))
				r.acme.Send(r.acme.Ack(r.acme.Want(200)))
				r.office.WantRequest(sip.ACK)
				time.Sleep(100 * time.Millisecond) // the shortest of the owner, 2.1 s
				r.office.Send(r.office.InDialog(sip.INVITE, sdp(offer)))
				r.acme.Reply(r.acme.WantRequest(sip.INVITE), 200, sdp(answer))
				r.office.Send(r.office.Ack(r.office.Want(200)))
				r.acme.WantRequest(sip.ACK)
				r.hangUp(r.office, r.acme)
			})
		})
	}
}

// What a failure means for the session: RFC 3261 §14.1 for 408 and 481, RFC 5057
// §5.1 for the rest.
func TestWhichFailuresEndTheCall(t *testing.T) {
	for _, method := range []sip.Method{sip.INVITE, sip.UPDATE} {
		for _, test := range []struct {
			ends  bool
			codes []int
		}{
			{false, []int{302, 400, 401, 403, 405, 415, 420, 422, 480, 486, 487, 488, 491, 500, 501, 503, 504, 580, 600, 603, 606}},
			{true, []int{404, 410, 416, 482, 483, 484, 485, 502, 604, 481}},
		} {
			for _, code := range test.codes {
				t.Run(fmt.Sprint(method, " ", code), func(t *testing.T) {
					run(t, plain, func(r *rig) {
						r.answered()
						r.office.Send(r.office.InDialog(method, sdp(offer)))
						m := r.acme.WantRequest(method)
						r.acme.Reply(m, code)
						if method == sip.INVITE {
							r.acme.WantRequest(sip.ACK)
						}
						seen := code
						if code == 401 {
							seen = 403
						}
						m = r.office.Want(seen)
						if method == sip.INVITE {
							r.office.Send(r.office.Ack(m))
						}
						if !test.ends {
							r.hangUp(r.office, r.acme)
							return
						}
						bye := r.office.WantRequest(sip.BYE)
						if bye.First(sip.HdrReason) == nil {
							r.Error("our BYE gives no Reason")
						}
						r.office.Reply(bye, 200)
						if code != 481 {
							r.acme.Reply(r.acme.WantRequest(sip.BYE), 481)
						}
						r.acme.WantSilence(time.Second)
					})
				})
			}
		}
	}
}

// A 408 to a re-INVITE that somebody on the way made stands for no answer at all.
func TestA408ToAReinviteEndsTheCall(t *testing.T) {
	hops(t, func(r *rig) {
		r.answered()
		r.office.Send(r.office.InDialog(sip.INVITE))
		r.refuse(r.acme, r.acme.WantRequest(sip.INVITE), 408)
		r.refused(408)
		r.office.Reply(r.office.WantRequest(sip.BYE), 200)
		r.acme.Reply(r.acme.WantRequest(sip.BYE), 200)
	})
}

// A target refresh that is refused refreshes nothing (RFC 3261 §14.1).
func TestRefusedTargetRefresh(t *testing.T) {
	sides(t, func(r *rig, near, far *siptest.Peer) {
		r.answered()
		for _, method := range []sip.Method{sip.INVITE, sip.UPDATE} {
			near.Send(near.InDialog(method, siptest.Set("Contact", "<sip:moved@192.0.2.99>")))
			far.Reply(far.WantRequest(method), 488)
			m := near.Want(488)
			if method == sip.INVITE {
				far.WantRequest(sip.ACK)
				near.Send(near.Ack(m))
			}
			far.Send(far.InDialog(sip.INFO))
			info := near.WantRequest(sip.INFO)
			if got := string(info.RequestURI()); got == "sip:moved@192.0.2.99" {
				r.Errorf("a refused %s moved the target", method)
			}
			near.Reply(info, 200)
			far.Want(200)
		}
		// And one that is accepted does, an INVITE with its reliable 1xx already.
		near.Send(near.InDialog(sip.INVITE, siptest.Set("Contact", "<sip:moved@192.0.2.99>")))
		invite := far.WantRequest(sip.INVITE)
		far.Reply(invite, 183, siptest.Set("Require", "100rel"), siptest.Set("RSeq", "1"))
		near.Want(183)
		far.Send(far.InDialog(sip.INFO))
		info := near.WantRequest(sip.INFO)
		if got := string(info.RequestURI()); got != "sip:moved@192.0.2.99" {
			r.Errorf("the INFO is for %s", got)
		}
		near.Reply(info, 200)
		far.Want(200)
		far.Reply(invite, 200)
		near.Send(near.Ack(near.Want(200)))
		far.WantRequest(sip.ACK)
		r.hangUp(near, far)
	})
}
