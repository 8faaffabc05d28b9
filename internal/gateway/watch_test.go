package gateway

import (
	"testing"
	"time"

	"github.com/sallyport-sip/sallyport/internal/store"
	"github.com/sallyport-sip/sallyport/sip"
	"github.com/sallyport-sip/sallyport/sip/siptest"
	"github.com/sallyport-sip/sallyport/sip/transport"
)

// watchedEvery is a setting in which acme is asked every four minutes whether it
// knows its calls, and office is not.
var watchedEvery = setting{
	profiles: map[string]string{"acme": "tuned", "office": "quiet"}, tuned: "keep_alive: 4m", routes: "{from: [office], to: [acme]}",
}

// unaskedOffice adds the profile of the office.
func unaskedOffice(set setting, t transport.Transport) setting {
	set.office, set.targets, set.more = t, t, "  quiet: {keep_alive: 0}\n"
	return set
}

// asked is an OPTIONS inside the dialog with acme, whose INVITE it had.
func (r *rig) asked(invite *siptest.Message) *siptest.Message {
	r.Helper()
	q := r.acme.WantRequest(sip.OPTIONS)
	from, _ := invite.From()
	to, _ := q.From()
	if string(q.CallID()) != string(invite.CallID()) || string(to.Tag()) != string(from.Tag()) || string(q.First(sip.HdrTo)) != string(invite.First(sip.HdrTo))+";tag=acmetag" {
		r.Errorf("it is not in the dialog:\n%s", q.Bytes())
	}
	return q
}

// A side is asked with OPTIONS inside its dialog; what it answers does not
// matter as long as it knows the dialog.
func TestCallsAreAskedFor(t *testing.T) {
	for _, tr := range []transport.Transport{transport.UDP, transport.TCP, transport.TLS} {
		run(t, unaskedOffice(watchedEvery, tr), func(r *rig) {
			invite, _ := r.answered()
			last := time.Now()
			for i, code := range []int{200, 486, 501, 404, 500} {
				q := r.asked(invite)
				r.acme.Reply(q, code)
				if after := q.At.Sub(last); i == 0 && (after < 2*time.Minute || after > 4*time.Minute) || i > 0 && after != 4*time.Minute {
					r.Errorf("OPTIONS %d came after %v", i, after)
				}
				last = q.At
			}
			bye := r.hangUp(r.office, r.acme)
			r.header(bye, sip.HdrCSeq, "7 BYE") // the OPTIONS have used 2 to 6
			r.acme.WantSilence(time.Hour)
		})
	}
}

// A side that knows the call no more ends it for the other, and gets no BYE.
func TestCallThatOneSideKnowsNoMore(t *testing.T) {
	for _, tr := range []transport.Transport{transport.UDP, transport.TLS} {
		run(t, unaskedOffice(watchedEvery, tr), func(r *rig) {
			invite, _ := r.answered()
			r.acme.Reply(r.asked(invite), 481)
			bye := r.office.WantRequest(sip.BYE)
			r.header(bye, sip.HdrReason, `SIP;cause=481;text="Call/Transaction Does Not Exist", Q.850;cause=127`)
			r.office.Reply(bye, 200)
			r.acme.WantSilence(time.Minute)
			got := r.last()
			if got.State != store.Ended || got.EndedBy != "gateway" || got.Cause.Text != "acme does not know the call any more" || got.Cause.Q850 != 127 {
				r.Errorf("the record says %+v", got)
			}
		})
	}
}

// A side that answers with 408, or not at all, is as good as gone; it gets a
// BYE all the same.
func TestCallThatOneSideDoesNotAnswerFor(t *testing.T) {
	for _, says := range []bool{true, false} {
		run(t, unaskedOffice(watchedEvery, transport.TCP), func(r *rig) {
			invite, _ := r.answered()
			q := r.asked(invite)
			want := lifetime
			if says {
				r.acme.Reply(q, 408)
				want = 0
			}
			bye := r.office.WantRequest(sip.BYE)
			if after := bye.At.Sub(q.At); after != want {
				r.Errorf("the BYE came %v after the OPTIONS, want %v", after, want)
			}
			r.header(bye, sip.HdrReason, `SIP;cause=408;text="Request Timeout", Q.850;cause=102`)
			r.office.Reply(bye, 200)
			r.acme.Reply(r.acme.WantRequest(sip.BYE), 200)
			if got := r.last().Cause; got.Text != "acme does not answer whether it knows the call" {
				r.Errorf("the record says %+v", got)
			}
		})
	}
}

// A side that cannot be reached is asked again a minute later: its connection
// may have gone, or its server start anew. The third time in a row ends the call.
func TestCallWithASideOutOfReach(t *testing.T) {
	run(t, unaskedOffice(watchedEvery, transport.TCP), func(r *rig) {
		r.answered()
		r.acme.Close()
		time.Sleep(230 * time.Second) // asked twice at most
		r.office.WantSilence(0)
		r.acme = r.peer("acme", transport.TCP, acmeAddr)
		q := r.acme.WantRequest(sip.OPTIONS)
		r.acme.Reply(q, 200)
		back := q.At
		r.acme.Close()
		time.Sleep(3 * time.Minute)
		bye := r.office.WantRequest(sip.BYE)
		if after := bye.At.Sub(back); after != 6*time.Minute {
			r.Errorf("the BYE came after %v, want 6m", after)
		}
		r.office.Reply(bye, 200)
	})
}

// Where a session timer runs nobody is asked (RFC 4028): the latest 2xx to an
// INVITE or UPDATE says whether one does.
func TestCallWithASessionTimerIsNotAskedFor(t *testing.T) {
	run(t, unaskedOffice(watchedEvery, transport.UDP), func(r *rig) {
		r.invite(siptest.Set("Session-Expires", "1800"), siptest.Set("Supported", "timer"))
		invite := r.acme.WantRequest(sip.INVITE)
		r.acme.Reply(invite, 200, siptest.Body("application/sdp", answer), siptest.Set("Session-Expires", "1800;refresher=uac"))
		r.office.Send(r.office.Ack(r.office.Want(200)))
		r.acme.WantRequest(sip.ACK)
		r.acme.WantSilence(25 * time.Minute)
		r.office.Send(r.office.InDialog(sip.UPDATE))
		r.acme.Reply(r.acme.WantRequest(sip.UPDATE), 200) // without: the timer is off
		r.office.Want(200)
		r.acme.Reply(r.asked(invite), 200)
		r.office.Send(r.office.InDialog(sip.INVITE, siptest.Body("application/sdp", offer)))
		again := r.acme.WantRequest(sip.INVITE)
		r.acme.Reply(again, 200, siptest.Body("application/sdp", answer), siptest.Set("Session-Expires", "1800;refresher=uac"))
		r.office.Send(r.office.Ack(r.office.Want(200)))
		r.acme.WantRequest(sip.ACK)
		r.acme.WantSilence(25 * time.Minute)
		r.hangUp(r.acme, r.office)
	})
}

// Both sides are asked, each as often as its own profile says.
func TestBothSidesAreAsked(t *testing.T) {
	run(t, setting{profiles: map[string]string{"office": "tuned"}, tuned: "keep_alive: 1m"}, func(r *rig) {
		r.answered()
		at := time.Now()
		for range 5 {
			r.office.Reply(r.office.WantRequest(sip.OPTIONS), 200)
		}
		if after := time.Since(at); after < 4*time.Minute+30*time.Second || after > 5*time.Minute {
			r.Errorf("the fifth came after %v", after)
		}
		r.acme.WantSilence(0)
		r.hangUp(r.office, r.acme)
	})
}

// Calls that begin together are not asked together.
func TestCallsAreNotAskedAtOnce(t *testing.T) {
	run(t, unaskedOffice(watchedEvery, transport.UDP), func(r *rig) {
		var ends []func()
		for range 40 {
			ends = append(ends, r.held())
		}
		var at []time.Time
		for range ends {
			q := r.acme.WantRequest(sip.OPTIONS)
			r.acme.Reply(q, 200)
			at = append(at, q.At)
		}
		if spread := at[len(at)-1].Sub(at[0]); spread < time.Minute || spread > 2*time.Minute {
			r.Errorf("they were asked within %v", spread)
		}
		for _, end := range ends {
			end()
		}
	})
}
