package gateway

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sallyport-sip/sallyport/internal/peer"
	"github.com/sallyport-sip/sallyport/internal/store"
	"github.com/sallyport-sip/sallyport/sip"
	"github.com/sallyport-sip/sallyport/sip/siptest"
)

// limited is a setting with limits of one peer, and acme as the office's only
// target.
func limited(name, limits string) setting {
	return setting{extra: map[string]string{name: "limits: {" + limits + "}"}, routes: "{from: [office], to: [acme]}|{from: [acme], to: [office]}"}
}

// warned checks the Warning of a refusal (RFC 3261 §20.43), and that it names
// no peer and no number of ours.
func (r *rig) warned(m *siptest.Message, words string) {
	r.Helper()
	want := fmt.Sprintf("399 %v %q", r.listener(r.set.office), words)
	r.header(m, sip.HdrWarning, want)
	for _, name := range []string{"acme", "backup", "calls_", "rate_"} {
		if strings.Contains(string(m.Bytes()), name) {
			r.Errorf("the refusal tells of %q:\n%s", name, m.Bytes())
		}
	}
}

// recorded checks the newest record of a refusal of ours.
func (r *rig) recorded(code int, why string) {
	r.Helper()
	c := r.last()
	if c.State != store.Refused || c.EndedBy != "gateway" || c.Cause.SIP != code || c.Cause.Text != why || c.In.Code != code || c.Began.IsZero() || c.Ended.IsZero() {
		r.Errorf("the record says %+v, want %d and %q", c, code, why)
	}
}

// held makes a call that is up, of several, and returns how to hang it up.
func (r *rig) held() (end func()) {
	r.Helper()
	r.invite()
	invite := r.acme.WantRequest(sip.INVITE)
	r.acme.Reply(invite, 200)
	ok := r.office.Want(200)
	r.office.Send(r.office.Ack(ok))
	r.acme.WantRequest(sip.ACK)
	bye := r.office.InDialog(sip.BYE)
	return func() {
		r.Helper()
		r.office.Send(bye)
		r.office.Want(200)
		r.acme.Reply(r.acme.WantRequest(sip.BYE), 200)
		synctest.Wait()
	}
}

func TestLimitOfCallsFromAPeer(t *testing.T) {
	for _, c := range []struct {
		extra string
		code  int
	}{{"", 503}, {", refuse_with: 503", 503}, {", refuse_with: 486", 486}} {
		run(t, limited("office", "calls_in: 2"+c.extra), func(r *rig) {
			first, second := r.held(), r.held()
			r.invite()
			r.warned(r.refused(c.code), "too many calls at once")
			r.recorded(c.code, "peer office: its limit calls_in, 2, is reached")
			r.acme.WantSilence(time.Second)
			first()
			third := r.held()
			second()
			third()
			if got, want := r.snapshot.Load().peers.Lookup("office").State.In.Totals(), (peer.Totals{Began: 3, Answered: 3, Limited: 1}); got != want {
				r.Errorf("counted %+v, want %+v", got, want)
			}
		})
	}
}

// A call counts while it rings, and no longer when it is refused or given up.
func TestWhatCountsAsACall(t *testing.T) {
	run(t, limited("office", "calls_in: 1"), func(r *rig) {
		r.invite()
		invite := r.acme.WantRequest(sip.INVITE)
		r.acme.Reply(invite, 180)
		r.office.Want(180)
		cancel := r.office.Cancel()
		r.invite()
		r.warned(r.refused(503), "too many calls at once")
		r.office.Send(cancel)
		r.office.Want(200)
		r.office.Want(487)
		r.acme.Reply(r.acme.WantRequest(sip.CANCEL), 200)
		r.refuse(r.acme, invite, 487)
		r.invite()
		r.refuse(r.acme, r.acme.WantRequest(sip.INVITE), 404)
		r.refused(404)
		r.office.Send(r.office.Request(sip.INVITE, number, siptest.Set("Contact", "<tel:+4930>"))) // makes no dialog
		r.refused(400)
		r.held()()
	})
}

func TestLimitOfCallsASecondFromAPeer(t *testing.T) {
	run(t, limited("office", "rate_in: 2"), func(r *rig) {
		ends := []func(){r.held(), r.held()}
		r.invite()
		r.warned(r.refused(503), "too many calls in this second")
		r.recorded(503, "peer office: its limit rate_in, 2 a second, is reached")
		time.Sleep(500 * time.Millisecond)
		ends = append(ends, r.held())
		for _, end := range ends {
			end()
		}
	})
}

// The caller of a target that is full hears what that target's limits say, and
// not which target it was.
func TestLimitsOfTheOnlyTarget(t *testing.T) {
	run(t, limited("acme", "calls_out: 1, refuse_with: 486"), func(r *rig) {
		end := r.held()
		r.invite()
		r.warned(r.refused(486), "no target has room for another call")
		r.recorded(486, "peer acme: its limit calls_out, 1, is reached")
		r.told("acme is passed over: peer acme: its limit calls_out")
		end()
		r.held()()
	})
	run(t, limited("acme", "rate_out: 1"), func(r *rig) {
		end := r.held()
		r.invite()
		r.warned(r.refused(503), "no target takes more calls in this second")
		r.recorded(503, "peer acme: its limit rate_out, 1 a second, is reached")
		time.Sleep(time.Second)
		end()
		r.held()()
	})
}

// A full target is passed over for the next one, and not called down.
func TestLimitPassesToTheNextTarget(t *testing.T) {
	set := limited("acme", "calls_out: 1")
	set.routes = ""
	run(t, set, func(r *rig) {
		end := r.held()
		r.served(r.backup)
		r.told("route 1: to acme, backup; acme is passed over: peer acme: its limit calls_out, 1, is reached")
		if out := r.last().Out; len(out) != 1 || out[0].Peer != "backup" {
			r.Errorf("the record says %+v", out)
		}
		r.up("acme")
		end()
		r.served(r.acme)
	})
}

// A target that was given up has its place back at once.
func TestTargetThatFailsCountsNoLonger(t *testing.T) {
	set := limited("acme", "calls_out: 1")
	set.routes, set.profiles, set.tuned = "", map[string]string{"acme": "tuned"}, "down_for: 0"
	run(t, set, func(r *rig) {
		r.invite()
		r.refuse(r.acme, r.acme.WantRequest(sip.INVITE), 503)
		invite := r.backup.WantRequest(sip.INVITE)
		r.served(r.acme)
		r.backup.Reply(invite, 486)
		r.backup.WantRequest(sip.ACK)
		r.office.Want(486)
	})
}

// Limits of either peer end a call with a BYE to both, and say why.
func TestLongestCall(t *testing.T) {
	for _, c := range []struct{ office, acme string }{{"1h", ""}, {"", "1h"}, {"1h", "2h"}, {"3h", "1h"}} {
		set := unasked
		set.extra = map[string]string{}
		for name, longest := range map[string]string{"office": c.office, "acme": c.acme} {
			if longest != "" {
				set.extra[name] = "limits: {longest_call: " + longest + "}"
			}
		}
		run(t, set, func(r *rig) {
			r.answered()
			at := time.Now()
			time.Sleep(59 * time.Minute)
			r.office.WantSilence(0)
			for _, p := range []*siptest.Peer{r.office, r.acme} {
				bye := p.WantRequest(sip.BYE)
				r.header(bye, sip.HdrReason, `Q.850;cause=31;text="the call has lasted as long as it may"`)
				if after := bye.At.Sub(at); after != time.Hour {
					r.Errorf("the BYE came after %v, want 1h", after)
				}
				p.Reply(bye, 200)
			}
			got := r.last()
			if got.State != store.Ended || got.EndedBy != "gateway" || got.Cause.Q850 != 31 || got.Cause.Text != "the call has lasted 1h0m0s, its longest_call" {
				r.Errorf("the record says %+v", got)
			}
		})
	}
}

// A reload changes limits, and counts the calls that there are already.
func TestLimitsOutliveAReload(t *testing.T) {
	set := limited("office", "calls_in: 3")
	run(t, set, func(r *rig) {
		first, second := r.held(), r.held()
		r.rewrite("calls_in: 3", "calls_in: 2, refuse_with: 486")
		r.takes()
		r.invite()
		r.warned(r.refused(486), "too many calls at once")
		first()
		third := r.held()
		second()
		third()
	})
}
