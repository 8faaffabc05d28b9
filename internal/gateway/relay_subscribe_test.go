package gateway

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sallyport-sip/sallyport/sip"
	"github.com/sallyport-sip/sallyport/sip/siptest"
)

// about is what the subscriptions of these tests are about.
func about(more ...siptest.Option) []siptest.Option {
	return append([]siptest.Option{siptest.Set("Event", "presence")}, more...)
}

func state(value string) siptest.Option { return siptest.Set("Subscription-State", value) }

func expires(seconds string) siptest.Option { return siptest.Set("Expires", seconds) }

// subscribes makes a subscription of the office at acme, without a NOTIFY yet. It
// returns the SUBSCRIBE as acme saw it, and the 200 as the office did.
func (r *rig) subscribes(seconds string, options ...siptest.Option) (subscribe, ok *siptest.Message) {
	r.Helper()
	r.office.Send(r.office.Request(sip.SUBSCRIBE, number, about(append([]siptest.Option{expires(seconds)}, options...)...)...))
	subscribe = r.acme.WantRequest(sip.SUBSCRIBE)
	r.acme.Reply(subscribe, 200, expires(seconds))
	return subscribe, r.office.Want(200)
}

// notifies has acme send a NOTIFY, which the office accepts.
func (r *rig) notifies(value string, options ...siptest.Option) (notify *siptest.Message) {
	r.Helper()
	r.acme.Send(r.acme.InDialog(sip.NOTIFY, about(append([]siptest.Option{state(value)}, options...)...)...))
	notify = r.office.WantRequest(sip.NOTIFY)
	r.office.Reply(notify, 200)
	r.acme.Want(200)
	return notify
}

// unsubscribes ends a subscription from the office.
func (r *rig) unsubscribes() {
	r.Helper()
	r.office.Send(r.office.InDialog(sip.SUBSCRIBE, about(expires("0"))...))
	r.acme.Reply(r.acme.WantRequest(sip.SUBSCRIBE), 200, expires("0"))
	r.office.Want(200)
	r.notifies("terminated;reason=timeout")
	r.subscriptions(0)
}

func (r *rig) subscriptions(want int) {
	r.Helper()
	synctest.Wait()
	if n := r.relay.Subscriptions(); n != want {
		r.Errorf("%d subscriptions, want %d", n, want)
	}
}

// A whole subscription: SUBSCRIBE, NOTIFYs, a refresh, and its end.
func TestSubscriptionCrosses(t *testing.T) {
	hops(t, func(r *rig) {
		subscribe, ok := r.subscribes("600")
		r.header(subscribe, sip.HdrEvent, "presence")
		r.header(subscribe, sip.HdrExpires, "600")
		r.header(subscribe, sip.HdrContact, r.contact(r.set.targets))
		r.header(ok, sip.HdrContact, r.contact(r.set.office))
		r.header(ok, sip.HdrExpires, "600")
		r.subscriptions(1)
		n := r.notifies("active;expires=599", siptest.Body("application/pidf+xml", "<presence/>"))
		r.header(n, sip.HdrSubscriptionState, "active;expires=599")
		r.header(n, sip.HdrContact, r.contact(r.set.office))
		if string(n.Body()) != "<presence/>" || strings.Contains(string(n.Bytes()), "192.0.2.20") {
			r.Errorf("the NOTIFY is\n%s", n.Bytes())
		}
		time.Sleep(550 * time.Second)
		r.office.Send(r.office.InDialog(sip.SUBSCRIBE, about(expires("600"))...))
		refresh := r.acme.WantRequest(sip.SUBSCRIBE)
		if to, _ := refresh.To(); len(to.Tag()) == 0 {
			r.Error("the refresh has no To tag")
		}
		r.acme.Reply(refresh, 200, expires("500"))
		r.header(r.office.Want(200), sip.HdrExpires, "500")
		r.notifies("active;expires=500")
		time.Sleep(450 * time.Second)
		r.subscriptions(1)
		r.unsubscribes()
		r.acme.Send(r.acme.InDialog(sip.NOTIFY, about(state("active"))...))
		r.acme.Want(481)
	})
}

// "... NOTIFY requests ... might be received before the response to the SUBSCRIBE"
// (RFC 6665 §4.4.1).
func TestNotifyBeforeThe200(t *testing.T) {
	hops(t, func(r *rig) {
		r.office.Send(r.office.Request(sip.SUBSCRIBE, number, about(expires("600"))...))
		subscribe := r.acme.WantRequest(sip.SUBSCRIBE)
		from, _ := subscribe.From()
		r.acme.Send(r.acme.Request(sip.NOTIFY, "sip:gw.example", about(
			state("active;expires=600"), siptest.Set("Call-ID", string(subscribe.CallID())),
			siptest.Set("From", string(subscribe.First(sip.HdrTo))+";tag=acme1"),
			siptest.Set("To", "<"+string(from.RawURI)+">;tag="+string(from.Tag())))...))
		n := r.office.WantRequest(sip.NOTIFY)
		r.office.Reply(n, 200)
		r.acme.Want(200)
		r.acme.Reply(subscribe, 200, expires("600"), siptest.Set("To", string(subscribe.First(sip.HdrTo))+";tag=acme1"))
		ok := r.office.Want(200)
		to, _ := ok.To()
		if by, _ := n.From(); string(by.Tag()) != string(to.Tag()) {
			r.Errorf("the NOTIFY is from %s, the 200 to %s", by.Tag(), to.Tag())
		}
		r.subscriptions(1)
		// Another notifier, where the SUBSCRIBE was forked to.
		r.acme.Send(r.acme.Request(sip.NOTIFY, "sip:gw.example", about(
			state("active"), siptest.Set("Call-ID", string(subscribe.CallID())),
			siptest.Set("From", string(subscribe.First(sip.HdrTo))+";tag=acme2"),
			siptest.Set("To", "<"+string(from.RawURI)+">;tag="+string(from.Tag())))...))
		r.acme.Want(481)
		r.office.WantSilence(time.Second)
		r.subscriptions(1)
		time.Sleep(600*time.Second + lifetime) // nobody renews it
		r.office.Reply(r.office.WantRequest(sip.NOTIFY), 200)
		r.subscriptions(0)
	})
}

func TestFetch(t *testing.T) {
	hops(t, func(r *rig) {
		r.subscribes("0")
		r.header(r.notifies("terminated;reason=timeout"), sip.HdrSubscriptionState, "terminated;reason=timeout")
		r.subscriptions(0)
	})
}

// The subscription of which no NOTIFY ever comes is over after timer N.
func TestNoNotify(t *testing.T) {
	hops(t, func(r *rig) {
		r.subscribes("3600")
		time.Sleep(lifetime - time.Millisecond)
		r.subscriptions(1)
		time.Sleep(2 * time.Millisecond)
		r.subscriptions(0)
	})
}

func TestSubscriptionThatNobodyRenews(t *testing.T) {
	hops(t, func(r *rig) {
		r.subscribes("60")
		r.notifies("active;expires=60")
		time.Sleep(time.Minute + lifetime - time.Millisecond)
		r.subscriptions(1)
		n := r.office.WantRequest(sip.NOTIFY)
		r.header(n, sip.HdrSubscriptionState, "terminated;reason=timeout")
		r.header(n, sip.HdrEvent, "presence")
		r.office.Reply(n, 200)
		r.subscriptions(0)
	})
}

// What ends a subscription and what does not (RFC 6665 §4.1.2.2, §4.2.2).
func TestAnswersInsideASubscription(t *testing.T) {
	for _, test := range []struct {
		method sip.Method
		code   int
		want   int
		ends   bool
	}{
		{sip.NOTIFY, 481, 481, true}, {sip.NOTIFY, 489, 489, true}, {sip.NOTIFY, 500, 500, false}, {sip.NOTIFY, 503, 503, false},
		{sip.SUBSCRIBE, 481, 481, true}, {sip.SUBSCRIBE, 489, 489, true}, {sip.SUBSCRIBE, 423, 423, false}, {sip.SUBSCRIBE, 500, 500, false},
		{sip.SUBSCRIBE, 401, 403, false},
	} {
		run(t, plain, func(r *rig) {
			r.subscribes("60")
			r.notifies("active;expires=60")
			from, to := r.office, r.acme
			if test.method == sip.NOTIFY {
				from, to = to, from
			}
			from.Send(from.InDialog(test.method, about(state("active"), expires("60"))...))
			to.Reply(to.WantRequest(test.method), test.code, siptest.Set("Retry-After", "9"), siptest.Set("Min-Expires", "90"))
			m := from.Want(test.want)
			if test.want == test.code {
				r.header(m, sip.HdrRetryAfter, "9")
				r.header(m, sip.HdrMinExpires, "90")
			}
			if test.ends {
				r.subscriptions(0)
				return
			}
			r.subscriptions(1)
			r.unsubscribes()
		})
	}
}

func TestRefusedSubscribe(t *testing.T) {
	run(t, plain, func(r *rig) {
		for _, code := range []int{423, 481, 489, 403, 600} {
			r.office.Send(r.office.Request(sip.SUBSCRIBE, number, about(expires("1"))...))
			r.acme.Reply(r.acme.WantRequest(sip.SUBSCRIBE), code, siptest.Set("Min-Expires", "90"))
			r.header(r.office.Want(code), sip.HdrMinExpires, "90")
			r.subscriptions(0)
		}
		r.office.Send(r.office.Request(sip.SUBSCRIBE, number, about(siptest.Drop("Contact"))...))
		r.office.Want(400)
		r.subscriptions(0)
	})
}

func TestSubscribeFailsOver(t *testing.T) {
	run(t, plain, func(r *rig) {
		r.office.Send(r.office.Request(sip.SUBSCRIBE, number, about(expires("60"))...))
		first := r.acme.WantRequest(sip.SUBSCRIBE)
		r.office.Want(100)
		for range 4 {
			r.acme.WantAgain(first)
		}
		second := r.backup.WantRequest(sip.SUBSCRIBE)
		r.backup.Reply(second, 200, expires("60"))
		r.office.Want(200)
		r.acme.Reply(first, 200, expires("60")) // too late: it has a subscription that nobody wants
		r.acme.Send(r.acme.InDialog(sip.NOTIFY, about(state("active"))...))
		r.acme.Want(481)
		r.backup.Send(r.backup.InDialog(sip.NOTIFY, about(state("terminated"))...))
		r.office.Reply(r.office.WantRequest(sip.NOTIFY), 200)
		r.backup.Want(200)
		r.subscriptions(0)
	})
}

// Only the peer of a leg may speak in its dialog, about its event, and in order.
func TestWhoMaySpeakInASubscription(t *testing.T) {
	run(t, plain, func(r *rig) {
		r.subscribes("60")
		r.notifies("active")
		stolen := r.acme.InDialog(sip.NOTIFY, about(state("active"))...)
		r.backup.Send(stolen)
		r.backup.Want(481)
		r.acme.Send(r.acme.InDialog(sip.NOTIFY, siptest.Set("Event", "dialog"), state("active")))
		r.acme.Want(481)
		r.acme.Send(r.acme.InDialog(sip.NOTIFY, siptest.Set("Event", "presence;id=2"), state("active")))
		r.acme.Want(481)
		r.acme.Send(r.acme.InDialog(sip.SUBSCRIBE, about()...))
		r.acme.Want(481)
		r.office.Send(r.office.InDialog(sip.SUBSCRIBE, siptest.Set("Event", "dialog")))
		r.office.Want(403) // RFC 6665 §4.5.2
		r.office.Send(r.office.InDialog(sip.NOTIFY, about(state("active"))...))
		r.office.Want(481)
		r.office.Send(r.office.InDialog(sip.INFO))
		r.header(r.office.Want(405), sip.HdrAllow, "SUBSCRIBE, NOTIFY, MESSAGE, OPTIONS")
		r.acme.Send(r.acme.InDialog(sip.NOTIFY, about(state("active"), siptest.Set("CSeq", "1 NOTIFY"))...))
		r.acme.Want(500)
		r.acme.Send(r.acme.InDialog(sip.NOTIFY, about(state("active"), siptest.Set("Max-Forwards", "0"), siptest.Set("CSeq", "70 NOTIFY"))...))
		r.acme.Want(483)
		r.office.Send(r.office.InDialog(sip.OPTIONS))
		r.acme.Reply(r.acme.WantRequest(sip.OPTIONS), 200)
		r.office.Want(200)
		r.subscriptions(1)
		r.acme.Send(r.acme.InDialog(sip.NOTIFY, about(state("terminated"), siptest.Set("CSeq", "90 NOTIFY"))...))
		r.office.Reply(r.office.WantRequest(sip.NOTIFY), 200)
		r.acme.Want(200)
	})
}

// A NOTIFY and a refresh cross on their way.
func TestNotifyCrossesARefresh(t *testing.T) {
	hops(t, func(r *rig) {
		r.subscribes("60")
		r.notifies("active;expires=60")
		r.office.Send(r.office.InDialog(sip.SUBSCRIBE, about(expires("60"))...))
		r.acme.Send(r.acme.InDialog(sip.NOTIFY, about(state("active;expires=30"))...))
		refresh := r.acme.WantRequest(sip.SUBSCRIBE)
		n := r.office.WantRequest(sip.NOTIFY)
		r.acme.Reply(refresh, 200, expires("60"))
		r.office.Want(200)
		r.office.Reply(n, 200)
		r.acme.Want(200)
		r.unsubscribes()
	})
}

// The last NOTIFY is on its way when the subscriber takes the subscription back.
func TestUnsubscribeMeetsTheEnd(t *testing.T) {
	hops(t, func(r *rig) {
		r.subscribes("60")
		r.notifies("active;expires=60")
		r.acme.Send(r.acme.InDialog(sip.NOTIFY, about(state("terminated;reason=noresource"))...))
		n := r.office.WantRequest(sip.NOTIFY)
		r.office.Send(r.office.InDialog(sip.SUBSCRIBE, about(expires("0"))...))
		u := r.acme.WantRequest(sip.SUBSCRIBE)
		r.office.Reply(n, 200)
		r.acme.Want(200)
		r.subscriptions(0)
		r.acme.Reply(u, 481)
		r.office.Want(481)
	})
}

// A subscription outlives its connections, on either side.
func TestSubscriptionOutlivesItsConnections(t *testing.T) {
	streams(t, func(r *rig) {
		r.subscribes("600")
		r.notifies("active;expires=600")
		r.acme.HangUp()
		time.Sleep(time.Second)
		r.office.Send(r.office.InDialog(sip.SUBSCRIBE, about(expires("600"))...))
		r.acme.Reply(r.acme.WantRequest(sip.SUBSCRIBE), 200, expires("600"))
		r.office.Want(200)
		r.office.HangUp()
		time.Sleep(time.Second)
		r.acme.Send(r.acme.InDialog(sip.NOTIFY, about(state("terminated"))...))
		n := r.office.WantRequest(sip.NOTIFY) // the gateway has called the office's own address
		r.office.Reply(n, 200)
		r.acme.Want(200)
		r.subscriptions(0)
	})
}

// A subscriber that has died: the notifier hears that it cannot be reached, and a
// subscription that nobody renews ends.
func TestSubscriberDies(t *testing.T) {
	streams(t, func(r *rig) {
		r.subscribes("60")
		r.notifies("active;expires=60")
		r.office.Close()
		r.acme.Send(r.acme.InDialog(sip.NOTIFY, about(state("active;expires=60"))...))
		r.acme.Want(503)
		r.subscriptions(1)
		time.Sleep(2 * time.Minute)
		r.subscriptions(0)
	})
	run(t, plain, func(r *rig) { // without a word
		r.subscribes("60")
		r.notifies("active;expires=60")
		r.office.Close()
		r.acme.Send(r.acme.InDialog(sip.NOTIFY, about(state("active;expires=60"))...))
		r.acme.Want(100)
		r.acme.WantSilence(lifetime)
		r.subscriptions(0)
	})
}

func TestReferOutsideADialog(t *testing.T) {
	plain := plain
	plain.profiles, plain.tuned = map[string]string{"office": "tuned"}, "relay: [refer]"
	run(t, plain, func(r *rig) {
		r.office.Send(r.office.Request(sip.REFER, number, siptest.Set("Refer-To", "<sips:c@elsewhere.example?Subject=x>"), siptest.Set("CSeq", "77 REFER")))
		refer := r.acme.WantRequest(sip.REFER)
		r.header(refer, sip.HdrReferTo, "<sips:c@elsewhere.example?Subject=x>")
		r.header(refer, sip.HdrContact, r.contact(r.set.targets))
		r.acme.Reply(refer, 202)
		r.office.Want(202)
		r.acme.Send(r.acme.InDialog(sip.NOTIFY, siptest.Set("Event", "refer;id=1"), state("active;expires=60"), siptest.Body("message/sipfrag", "SIP/2.0 100 Trying\r\n")))
		n := r.office.WantRequest(sip.NOTIFY)
		r.header(n, sip.HdrEvent, "refer;id=77")
		r.office.Reply(n, 200)
		r.acme.Want(200)
		r.acme.Send(r.acme.InDialog(sip.NOTIFY, siptest.Set("Event", "refer"), state("terminated;reason=noresource")))
		r.office.Reply(r.office.WantRequest(sip.NOTIFY), 200)
		r.acme.Want(200)
		r.subscriptions(0)

		r.office.Send(r.office.Request(sip.REFER, number, siptest.Set("Refer-To", "<sip:c@d>"), siptest.Set("Refer-Sub", "false")))
		r.acme.Reply(r.acme.WantRequest(sip.REFER), 200, siptest.Set("Refer-Sub", "false"))
		r.office.Want(200)
		r.subscriptions(0)
	})
}

func TestLimitOfSubscriptions(t *testing.T) {
	plain := plain
	plain.extra = map[string]string{"office": "limits: {subscriptions: 1}"}
	run(t, plain, func(r *rig) {
		r.subscribes("60")
		r.notifies("active")
		r.office.Send(r.office.Request(sip.SUBSCRIBE, number, about(expires("60"), siptest.Set("Call-ID", "another"))...))
		r.office.Want(503)
		r.subscriptions(1)
		time.Sleep(time.Minute + lifetime)
		r.office.Reply(r.office.WantRequest(sip.NOTIFY), 200)
		r.subscribes("60")
		r.notifies("terminated")
	})
}

// A gateway that stops tells both sides.
func TestSubscriptionWhenTheGatewayStops(t *testing.T) {
	hops(t, func(r *rig) {
		r.subscribes("600")
		r.notifies("active;expires=600")
		left := make(chan int)
		go func() { left <- r.Drain(context.Background()) }()
		if n := <-left; n != 0 {
			r.Errorf("%d calls are left: subscriptions do not hold a drain", n)
		}
		r.office.Send(r.office.Request(sip.MESSAGE, number, siptest.Set("Call-ID", "new")))
		r.office.Want(503)
		done := make(chan error)
		r.closed = true
		go func() { done <- r.Close(context.Background()) }()
		n := r.office.WantRequest(sip.NOTIFY)
		r.header(n, sip.HdrSubscriptionState, "terminated;reason=probation;retry-after=10")
		r.office.Reply(n, 200)
		u := r.acme.WantRequest(sip.SUBSCRIBE)
		r.header(u, sip.HdrExpires, "0")
		r.acme.Reply(u, 200)
		if err := <-done; err != nil {
			r.Error(err)
		}
	})
}
