package gateway

import (
	"strings"
	"testing"
	"time"

	"github.com/sallyport-sip/sallyport/sip"
	"github.com/sallyport-sip/sallyport/sip/siptest"
	"github.com/sallyport-sip/sallyport/sip/transport"
)

// taken ends a call that backup has taken over, after it has checked that
// nothing of the first attempt shows in its INVITE.
func (r *rig) taken(first *siptest.Message) {
	r.Helper()
	invite := r.backup.WantRequest(sip.INVITE)
	r.header(invite, sip.HdrCSeq, "1 INVITE")
	if first != nil {
		a, _ := first.From()
		b, _ := invite.From()
		x, _ := first.Via()
		y, _ := invite.Via()
		if string(a.Tag()) == string(b.Tag()) || string(first.CallID()) == string(invite.CallID()) || string(x.Branch()) == string(y.Branch()) {
			r.Errorf("the second target sees something of the first:\n%s\n%s", first.Bytes(), invite.Bytes())
		}
	}
	if string(invite.Body()) != offer {
		r.Errorf("the offer got lost: %q", invite.Body())
	}
	r.backup.Reply(invite, 200, siptest.Body("application/sdp", answer))
	r.office.Send(r.office.Ack(r.office.Want(200)))
	r.backup.WantRequest(sip.ACK)
	r.hangUp(r.office, r.backup)
}

func TestFailoverWhenTheConnectionIsRefused(t *testing.T) {
	streams(t, func(r *rig) {
		r.acme.Close()
		r.invite()
		r.taken(nil)
		if !strings.Contains(r.log.String(), "peer acme: dial") {
			r.Error("the log does not say what happened to acme")
		}
	})
}

func TestFailoverOn503And408(t *testing.T) {
	for _, code := range []int{503, 408} {
		hops(t, func(r *rig) {
			r.invite()
			invite := r.acme.WantRequest(sip.INVITE)
			r.refuse(r.acme, invite, code)
			r.taken(invite)
		})
	}
}

// A redirection is not followed: it fails the target.
func TestFailoverOn3xx(t *testing.T) {
	hops(t, func(r *rig) {
		r.invite()
		invite := r.acme.WantRequest(sip.INVITE)
		r.refuse(r.acme, invite, 302, siptest.Set("Contact", "<sip:elsewhere@192.0.2.30:5082>"))
		r.taken(invite)

		// When the last one redirects, the caller hears of no address.
		r.invite()
		r.refuse(r.acme, r.acme.WantRequest(sip.INVITE), 301)
		r.refuse(r.backup, r.backup.WantRequest(sip.INVITE), 302, siptest.Set("Contact", "<sip:elsewhere@192.0.2.30:5082>"))
		m := r.refused(480)
		if m.First(sip.HdrContact) != nil {
			r.Errorf("the redirection crossed:\n%s", m.Bytes())
		}
	})
}

// A target of which nothing is heard is given up after its response_timeout.
// No CANCEL may go to it before it has said something (RFC 3261 §9.1); then one
// does.
func TestFailoverOnSilence(t *testing.T) {
	run(t, plain, func(r *rig) {
		r.invite()
		invite := r.acme.WantRequest(sip.INVITE)
		for range 4 {
			r.acme.WantAgain(invite)
		}
		second := r.backup.WantRequest(sip.INVITE)
		if waited := second.At.Sub(invite.At); waited != 8*time.Second {
			r.Errorf("the second target was asked after %v, want 8s", waited)
		}
		r.backup.Reply(second, 180)
		r.office.Want(180)
		r.acme.WantAgain(invite) // timer A goes on
		r.acme.Reply(invite, 180)
		r.acme.Reply(r.acme.WantRequest(sip.CANCEL), 200)
		r.refuse(r.acme, invite, 487)
		r.backup.Reply(second, 200)
		r.office.Send(r.office.Ack(r.office.Want(200)))
		r.backup.WantRequest(sip.ACK)
		r.hangUp(r.office, r.backup)
	})
}

// The last target has the time of timer B, however long that is.
func TestSilenceOfTheLastTarget(t *testing.T) {
	run(t, plain, func(r *rig) {
		r.invite()
		at := time.Now()
		r.acme.WantRequest(sip.INVITE)
		r.refused(408)
		if after := time.Since(at); after != 8*time.Second+lifetime {
			r.Errorf("the caller got its 408 after %v, want 40s", after)
		}
		r.down("acme", "no response within 8s")
		r.down("backup", "transaction timed out")
	})
}

// down checks that a peer is down, and why.
func (r *rig) down(name, why string) {
	r.Helper()
	d := r.snapshot.Load().peers.Lookup(name).State.Down()
	if d == nil || !strings.Contains(d.Why, why) {
		r.Errorf("%s: %+v, want it to be down because of %q", name, d, why)
	}
}

// up checks that a peer is up.
func (r *rig) up(name string) {
	r.Helper()
	if d := r.snapshot.Load().peers.Lookup(name).State.Down(); d != nil {
		r.Errorf("%s is down: %+v", name, d)
	}
}

// On a stream that is lost the INVITE fails at once, and not by its timer.
func TestFailoverWhenTheConnectionIsLost(t *testing.T) {
	streams(t, func(r *rig) {
		r.invite()
		invite := r.acme.WantRequest(sip.INVITE)
		at := time.Now()
		r.acme.Close()
		r.taken(invite)
		if waited := time.Since(at); waited > time.Second {
			r.Errorf("the second target had to wait %v", waited)
		}
	})
}

// A target that rings and falls silent is cancelled when timer C ends (RFC 3261 §16.6
// step 11), and the next one is tried.
func TestFailoverOnTimerC(t *testing.T) {
	run(t, setting{profiles: map[string]string{"acme": "tuned"}, tuned: "answer_timeout: 10m"}, func(r *rig) {
		r.invite()
		invite := r.acme.WantRequest(sip.INVITE)
		r.acme.Reply(invite, 180)
		r.office.Want(180)
		time.Sleep(100 * time.Second)
		r.acme.Reply(invite, 180) // which starts it afresh
		r.office.Want(180)
		from := time.Now()
		time.Sleep(100 * time.Second)
		r.acme.Reply(invite, 100) // which does not
		cancel := r.acme.WantRequest(sip.CANCEL)
		if after := cancel.At.Sub(from); after != 180*time.Second+t1 { // more than 3 minutes
			r.Errorf("the CANCEL came after %v, want 180.5s", after)
		}
		r.acme.Reply(cancel, 200)
		r.refuse(r.acme, invite, 487)
		r.taken(invite)
	})
}

// An early dialog of a target that fails is over; the next target is shown
// under another To tag.
func TestFailoverAfterAnEarlyDialog(t *testing.T) {
	hops(t, func(r *rig) {
		r.invite()
		invite := r.acme.WantRequest(sip.INVITE)
		r.acme.Reply(invite, 183)
		first := string(r.office.Want(183).First(sip.HdrTo))
		r.refuse(r.acme, invite, 503)
		invite = r.backup.WantRequest(sip.INVITE)
		r.office.Send(r.office.InDialog(sip.UPDATE)) // in the dialog that is over
		r.office.Want(481)
		r.backup.Reply(invite, 180)
		second := r.office.Want(180)
		if got := string(second.First(sip.HdrTo)); got == first {
			r.Errorf("both targets have the To %s", got)
		}
		r.backup.Reply(invite, 200)
		ok := r.office.Want(200)
		r.header(ok, sip.HdrTo, string(second.First(sip.HdrTo)))
		r.office.Send(r.office.Ack(ok))
		r.backup.WantRequest(sip.ACK)
		r.hangUp(r.office, r.backup)
		r.acme.WantSilence(time.Second)
	})
}

// Other failures are the callee's word and end the call.
func TestBusyTriesNobodyElse(t *testing.T) {
	hops(t, func(r *rig) {
		r.invite()
		r.refuse(r.acme, r.acme.WantRequest(sip.INVITE), 486)
		r.refused(486)
		r.backup.WantSilence(time.Second)
	})
}

// When every target fails, the caller hears what the last one said.
func TestLastFailureCrosses(t *testing.T) {
	hops(t, func(r *rig) {
		r.invite()
		r.refuse(r.acme, r.acme.WantRequest(sip.INVITE), 503, siptest.Set("Reason", "Q.850;cause=1"))
		r.refuse(r.backup, r.backup.WantRequest(sip.INVITE), 503, siptest.Set("Reason", "Q.850;cause=34"))
		r.header(r.refused(503), sip.HdrReason, "Q.850;cause=34")
	})
}

func TestEveryTargetUnreachableIs503(t *testing.T) {
	streams(t, func(r *rig) {
		r.acme.Close()
		r.backup.Close()
		r.invite()
		m := r.refused(503)
		for _, secret := range []string{"acme", "backup", "192.0.2.20", "192.0.2.30", "refused"} {
			if strings.Contains(string(m.Bytes()), secret) {
				r.Errorf("the 503 tells of %s:\n%s", secret, m.Bytes())
			}
		}
	})
}

func TestNobodyAnsweringIs408(t *testing.T) {
	run(t, setting{routes: "{from: [office], to: [acme]}"}, func(r *rig) {
		r.invite()
		r.acme.WantRequest(sip.INVITE)
		m := r.refused(408)
		if m.At.IsZero() {
			r.Error("no time")
		}
	})
}

// A caller who gives up while a later target is tried cancels that one alone.
func TestCancelDuringFailover(t *testing.T) {
	run(t, setting{targets: transport.TCP}, func(r *rig) {
		r.invite()
		r.refuse(r.acme, r.acme.WantRequest(sip.INVITE), 503)
		invite := r.backup.WantRequest(sip.INVITE)
		r.backup.Reply(invite, 180)
		r.office.Want(180)
		r.cancel()
		r.backup.Reply(r.backup.WantRequest(sip.CANCEL), 200)
		r.refuse(r.backup, invite, 487)
		r.acme.WantSilence(time.Second)
	})
}
