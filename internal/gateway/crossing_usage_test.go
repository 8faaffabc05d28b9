package gateway

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sallyport-sip/sallyport/sip"
	"github.com/sallyport-sip/sallyport/sip/siptest"
)

// refer sends a REFER that is accepted, and returns it as the other side saw it.
func (r *rig) refer(near, far *siptest.Peer, options ...siptest.Option) *siptest.Message {
	r.Helper()
	near.Send(near.InDialog(sip.REFER, siptest.Set("Refer-To", "<sip:bob@example.com>")))
	refer := far.WantRequest(sip.REFER)
	far.Reply(refer, 202, options...)
	near.Want(202)
	return refer
}

// notify sends a NOTIFY of a REFER's subscription, which is answered.
func (r *rig) notify(far, near *siptest.Peer, event, state string) *siptest.Message {
	r.Helper()
	far.Send(far.InDialog(sip.NOTIFY, siptest.Set("Event", event), siptest.Set("Subscription-State", state),
		siptest.Body("message/sipfrag", "SIP/2.0 100 Trying\r\n")))
	m := near.WantRequest(sip.NOTIFY)
	near.Reply(m, 200)
	far.Want(200)
	return m
}

// A BYE ends the session and not the subscription that a REFER made in the same
// dialog: its NOTIFYs cross until the last (RFC 5057 §4.2).
func TestSubscriptionOfAReferOutlivesTheSession(t *testing.T) {
	sides(t, func(r *rig, near, far *siptest.Peer) {
		r.answered()
		r.refer(near, far)
		r.notify(far, near, "refer", "active;expires=60")
		r.hangUp(near, far)
		r.none()
		far.Send(far.InDialog(sip.INFO)) // of the session, which is over
		far.Want(481)
		time.Sleep(50 * time.Second)
		r.notify(far, near, "refer", "active;expires=60")
		time.Sleep(50 * time.Second)
		r.notify(far, near, "refer", "terminated;reason=noresource")
		time.Sleep(5 * time.Second)
		far.Send(far.InDialog(sip.NOTIFY, siptest.Set("Event", "refer"), siptest.Set("Subscription-State", "active")))
		far.Want(481)
	})
}

// One whose notifier falls silent is over when its time is.
func TestSubscriptionWithoutAnEnd(t *testing.T) {
	run(t, plain, func(r *rig) {
		r.answered()
		r.refer(r.office, r.acme)
		r.notify(r.acme, r.office, "refer", "active;expires=90")
		r.hangUp(r.office, r.acme)
		time.Sleep(89 * time.Second)
		synctest.Wait()
		if calls, _ := r.kept(); calls != 1 {
			r.Errorf("before its time is over %d calls are kept, want 1", calls)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if calls, _ := r.kept(); calls != 0 {
			r.Errorf("after its time %d calls are kept", calls)
		}
	})
}

// What makes no subscription, or ends it early, keeps no dialog.
func TestSubscriptionsThatAreNone(t *testing.T) {
	for name, f := range map[string]func(r *rig){
		"refused": func(r *rig) {
			r.office.Send(r.office.InDialog(sip.REFER, siptest.Set("Refer-To", "<sip:bob@example.com>")))
			r.acme.Reply(r.acme.WantRequest(sip.REFER), 603)
			r.office.Want(603)
		},
		"not wanted (RFC 4488 §4)": func(r *rig) { r.refer(r.office, r.acme, siptest.Set("Refer-Sub", "false")) },
		"unknown to its subscriber": func(r *rig) {
			r.refer(r.office, r.acme)
			r.acme.Send(r.acme.InDialog(sip.NOTIFY, siptest.Set("Event", "refer"), siptest.Set("Subscription-State", "active;expires=600")))
			r.office.Reply(r.office.WantRequest(sip.NOTIFY), 481)
			r.acme.Want(481)
		},
	} {
		t.Run(name, func(t *testing.T) {
			hops(t, func(r *rig) {
				r.answered()
				f(r)
				r.hangUp(r.office, r.acme)
				r.none()
				r.acme.Send(r.acme.InDialog(sip.NOTIFY, siptest.Set("Event", "refer"), siptest.Set("Subscription-State", "active")))
				r.acme.Want(481)
			})
		})
	}
}

// A second REFER's subscription is named by the CSeq number of its REFER (RFC 3515
// §2.4.6), which is another one on each leg.
func TestSubscriptionsOfTwoRefers(t *testing.T) {
	hops(t, func(r *rig) {
		r.answered()
		r.refer(r.office, r.acme)
		r.office.Send(r.office.InDialog(sip.REFER, siptest.Set("Refer-To", "<sip:eve@example.com>"), siptest.Set("CSeq", "4000 REFER")))
		second := r.acme.WantRequest(sip.REFER)
		r.acme.Reply(second, 202)
		r.office.Want(202)
		cseq, _ := second.CSeq()
		if cseq.Seq == 4000 {
			r.Fatal("both legs have the same numbers: the test shows nothing")
		}
		m := r.notify(r.acme, r.office, fmt.Sprintf("refer ;id=%d", cseq.Seq), "terminated")
		r.header(m, sip.HdrEvent, "refer ;id=4000")
		m = r.notify(r.acme, r.office, "refer", "terminated")
		r.header(m, sip.HdrEvent, "refer")
		r.acme.Send(r.acme.InDialog(sip.BYE))
		r.acme.Want(200)
		r.office.Reply(r.office.WantRequest(sip.BYE), 200)
	})
}

// A SUBSCRIBE inside the dialog makes a usage too, and ends it with an Expires of
// 0 and the NOTIFY that follows.
func TestSubscriptionInsideTheDialog(t *testing.T) {
	sides(t, func(r *rig, near, far *siptest.Peer) {
		r.answered()
		near.Send(near.InDialog(sip.SUBSCRIBE, siptest.Set("Event", "dialog"), siptest.Set("Expires", "600")))
		far.Reply(far.WantRequest(sip.SUBSCRIBE), 200, siptest.Set("Expires", "600"))
		near.Want(200)
		r.notify(far, near, "dialog", "active;expires=600")
		r.hangUp(far, near)
		time.Sleep(300 * time.Second)
		near.Send(near.InDialog(sip.SUBSCRIBE, siptest.Set("Event", "dialog"), siptest.Set("Expires", "0")))
		far.Reply(far.WantRequest(sip.SUBSCRIBE), 200)
		near.Want(200)
		r.notify(far, near, "dialog", "terminated")
	})
}

// A NOTIFY may overtake the 202 (RFC 6665 §4.1.2.4).
func TestNotifyOvertakesThe202(t *testing.T) {
	hops(t, func(r *rig) {
		r.answered()
		r.office.Send(r.office.InDialog(sip.REFER, siptest.Set("Refer-To", "<sip:bob@example.com>")))
		refer := r.acme.WantRequest(sip.REFER)
		r.hangUp(r.office, r.acme)
		r.notify(r.acme, r.office, "refer", "terminated")
		r.acme.Reply(refer, 202)
		r.office.Want(202)
	})
}
