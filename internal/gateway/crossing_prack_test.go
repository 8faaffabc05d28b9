package gateway

import (
	"fmt"
	"testing"
	"time"

	"github.com/sallyport-sip/sallyport/sip"
	"github.com/sallyport-sip/sallyport/sip/siptest"
)

// reliable makes a provisional response one that wants a PRACK.
func reliable(rseq int) []siptest.Option {
	return []siptest.Option{siptest.Set("Require", "100rel"), siptest.Set("RSeq", fmt.Sprint(rseq))}
}

// rack is the RAck to a reliable response.
func rack(m *siptest.Message) siptest.Option {
	cseq, _ := m.CSeq()
	return siptest.Set("RAck", fmt.Sprintf("%s %d INVITE", m.First(sip.HdrRSeq), cseq.Seq))
}

// The 200 overtakes the PRACK of the last 1xx: that still finds its INVITE, also
// the second one of the dialog.
func TestPrackBehindThe200(t *testing.T) {
	sides(t, func(r *rig, near, far *siptest.Peer) {
		r.answered()
		near.Send(near.InDialog(sip.INVITE, siptest.Set("CSeq", "50 INVITE")))
		invite := far.WantRequest(sip.INVITE)
		far.Reply(invite, 183, reliable(1)...)
		m := near.Want(183)
		far.Reply(invite, 200)
		ok := near.Want(200)
		near.Send(near.InDialog(sip.PRACK, rack(m), siptest.Set("CSeq", "51 PRACK")))
		prack := far.WantRequest(sip.PRACK)
		cseq, _ := invite.CSeq()
		r.header(prack, sip.HdrRAck, fmt.Sprintf("1 %d INVITE", cseq.Seq))
		far.Reply(prack, 200)
		near.Want(200)
		near.Send(near.Ack(ok))
		far.WantRequest(sip.ACK)
		near.Send(near.InDialog(sip.BYE, siptest.Set("CSeq", "52 BYE")))
		near.Want(200)
		far.Reply(far.WantRequest(sip.BYE), 200)
	})
}

// The numbers of each early dialog are its own, those of a second target too.
func TestPrackFindsItsEarlyDialog(t *testing.T) {
	hops(t, func(r *rig) {
		r.invite(siptest.Set("Supported", "100rel"))
		invite := r.acme.WantRequest(sip.INVITE)
		to := string(invite.First(sip.HdrTo))
		var shown [2]*siptest.Message
		for i, tag := range []string{"one", "two"} {
			r.acme.Reply(invite, 183, append(reliable(700+i), siptest.Set("To", to+";tag="+tag))...)
			shown[i] = r.office.Want(183)
		}
		for i, tag := range []string{"one", "two"} {
			r.office.Send(r.office.InDialog(sip.PRACK, rack(shown[i]), siptest.Set("To", string(shown[i].First(sip.HdrTo)))))
			prack := r.acme.WantRequest(sip.PRACK)
			r.header(prack, sip.HdrRAck, fmt.Sprintf("%d 1 INVITE", 700+i))
			if got, _ := prack.To(); string(got.Tag()) != tag {
				r.Errorf("the PRACK went to fork %s, want %s", got.Tag(), tag)
			}
			r.acme.Reply(prack, 200)
			r.office.Want(200)
		}
		r.refuse(r.acme, invite, 503)

		invite = r.backup.WantRequest(sip.INVITE)
		r.backup.Reply(invite, 183, reliable(1)...)
		third := r.office.Want(183)
		r.office.Send(r.office.InDialog(sip.PRACK, rack(shown[0]), siptest.Set("To", string(shown[0].First(sip.HdrTo)))))
		r.office.Want(481) // that dialog has failed
		r.office.Send(r.office.InDialog(sip.PRACK, rack(third)))
		prack := r.backup.WantRequest(sip.PRACK)
		r.backup.Reply(prack, 200)
		r.office.Want(200)
		r.backup.Reply(invite, 200)
		r.office.Send(r.office.Ack(r.office.Want(200)))
		r.backup.WantRequest(sip.ACK)
		r.hangUp(r.office, r.backup)
	})
}

// A reliable 1xx comes again until its PRACK is there; one that comes again when
// that has crossed is not asked for twice.
func TestReliableResponseComesAgainUntilItsPrack(t *testing.T) {
	run(t, plain, func(r *rig) {
		r.invite(siptest.Set("Supported", "100rel"))
		invite := r.acme.WantRequest(sip.INVITE)
		r.acme.Reply(invite, 183, reliable(1)...)
		m := r.office.Want(183)
		for range 3 {
			time.Sleep(t1)
			r.acme.Reply(invite, 183, reliable(1)...)
			r.office.WantAgain(m)
		}
		text := r.office.InDialog(sip.PRACK, rack(m))
		r.office.Send(text)
		prack := r.acme.WantRequest(sip.PRACK)
		r.office.Send(text) // its 200 is late
		r.acme.Reply(prack, 200)
		ok := r.office.Want(200)
		r.office.Send(text)
		r.office.WantAgain(ok)
		r.acme.WantSilence(t1)
		r.refuse(r.acme, invite, 486)
		r.refused(486)
	})
}

func TestPracksThatAcknowledgeNothing(t *testing.T) {
	hops(t, func(r *rig) {
		r.invite(siptest.Set("Supported", "100rel"))
		invite := r.acme.WantRequest(sip.INVITE)
		r.acme.Reply(invite, 183, reliable(1)...)
		m := r.office.Want(183)
		r.office.Send(r.office.InDialog(sip.PRACK)) // which names nothing at all
		r.office.Want(400)
		r.office.Send(r.office.InDialog(sip.PRACK, siptest.Set("RAck", "1 7777 INVITE"))) // no INVITE of the call
		r.office.Want(481)
		// One that only the far side can judge is its to refuse, and no more than that.
		r.office.Send(r.office.InDialog(sip.PRACK, rack(m)))
		r.acme.Reply(r.acme.WantRequest(sip.PRACK), 481)
		r.office.Want(481)
		r.acme.Reply(invite, 200)
		r.office.Send(r.office.Ack(r.office.Want(200)))
		r.acme.WantRequest(sip.ACK)
		r.hangUp(r.office, r.acme)
	})
}

// The caller gives up while a PRACK is under way: both find their end.
func TestCancelCrossingPrack(t *testing.T) {
	hops(t, func(r *rig) {
		r.invite(siptest.Set("Supported", "100rel"))
		invite := r.acme.WantRequest(sip.INVITE)
		r.acme.Reply(invite, 183, reliable(1)...)
		r.office.Send(r.office.InDialog(sip.PRACK, rack(r.office.Want(183))))
		prack := r.acme.WantRequest(sip.PRACK)
		r.cancel()
		r.acme.Reply(r.acme.WantRequest(sip.CANCEL), 200)
		r.acme.Reply(prack, 481)
		r.office.Want(481)
		r.refuse(r.acme, invite, 487)
	})
}
