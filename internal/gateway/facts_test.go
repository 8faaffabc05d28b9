package gateway

import (
	"crypto/tls"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-sip/sallyport/internal/callflow"
	"github.com/sallyport-sip/sallyport/internal/store"
	"github.com/sallyport-sip/sallyport/sip"
	"github.com/sallyport-sip/sallyport/sip/siptest"
	"github.com/sallyport-sip/sallyport/sip/transport"
	"github.com/sallyport-sip/sallyport/sip/ua"
)

// The record of an answered call, from the first word to the last.
func TestRecordOfACall(t *testing.T) {
	hops(t, func(r *rig) {
		began := time.Now()
		r.invite()
		if got := r.last(); got.State != store.Opened || got.Caller != "office" || got.Called != "+4930123" || !got.Began.Equal(began) || got.Route != "route 1" || got.In.Peer != "office" {
			r.Errorf("opened as %+v", got)
		}
		invite := r.acme.WantRequest(sip.INVITE)
		step := func() time.Time { time.Sleep(time.Second); return time.Now() }
		time.Sleep(400 * time.Millisecond)
		r.acme.Reply(invite, 100)
		step()
		r.acme.Reply(invite, 183)
		r.office.Want(183)
		step()
		r.acme.Reply(invite, 180)
		r.office.Want(180)
		answered := step()
		r.acme.Reply(invite, 200, siptest.Body("application/sdp", answer))
		ok := r.office.Want(200)
		if got := r.last(); got.State != store.Answered || !got.Answered.Equal(answered) {
			r.Errorf("answered as %+v", got)
		}
		r.office.Send(r.office.Ack(ok))
		r.acme.WantRequest(sip.ACK)
		ended := step()
		r.hangUp(r.acme, r.office, siptest.Set("Reason", `SIP;cause=200, Q.850 ; cause=16 ;text="bye"`))

		got := r.last()
		id := got.ID
		want := store.CDR{
			ID: id, Call: 1, State: store.Ended, Caller: "office", Called: "+4930123", Route: "route 1",
			Began: began, Answered: answered, Ended: ended, EndedBy: "callee",
			Cause: store.Cause{SIP: 200, Q850: 16, Reason: `SIP;cause=200, Q.850 ; cause=16 ;text="bye"`, Text: "BYE from acme"},
		}
		same := got.State == want.State && got.Call == want.Call && got.Caller == want.Caller && got.Called == want.Called && got.Route == want.Route &&
			got.Began.Equal(want.Began) && got.Answered.Equal(want.Answered) && got.Ended.Equal(want.Ended) && got.EndedBy == want.EndedBy && got.Cause == want.Cause
		if !same {
			r.Errorf("got  %+v\nwant %+v", got, want)
		}
		if len(got.Out) != 1 {
			r.Fatalf("%d targets, want 1", len(got.Out))
		}
		r.leg(got.In, "office", r.set.office, string(ok.CallID()))
		r.leg(got.Out[0], "acme", r.set.targets, string(invite.CallID()))
		for name, l := range map[string]store.Leg{"in": got.In, "out": got.Out[0]} {
			to100, slack := 400*time.Millisecond, time.Nanosecond // 0 would mean that none came
			if name == "in" {
				to100 = slack // ours
			}
			if l.To100 != to100 || l.To180 != 1400*time.Millisecond || l.To200 != 3400*time.Millisecond || l.Code != 200 || l.Text != "" {
				r.Errorf("%s: %+v", name, l)
			}
		}
		secure := 0
		for _, tr := range []transport.Transport{r.set.office, r.set.targets} {
			if tr.Secure() {
				secure++
			}
		}
		if want := []string{callflow.Plain, callflow.Partly, callflow.HopByHop}[secure]; got.Verdict != want {
			r.Errorf("verdict %q, want %q", got.Verdict, want)
		}

		r.served(r.acme) // on the same connections
		if got := r.last(); got.ID == id || got.Call != 2 || got.In.New || got.Out[0].New {
			r.Errorf("the second call is recorded as %+v", got)
		}
	})
}

// leg checks what a record says of a leg's connection.
func (r *rig) leg(l store.Leg, name string, tr transport.Transport, callID string) {
	r.Helper()
	p := map[string]*siptest.Peer{"office": r.office, "acme": r.acme}[name]
	stream := tr != transport.UDP
	if l.Peer != name || l.Transport != tr.String() || l.CallID != callID || l.Connection == 0 || l.New != stream {
		r.Errorf("%s: %+v", name, l)
	}
	if addr := p.Addr().String(); !strings.HasPrefix(l.Remote, p.Addr().Addr().String()) || (name == "acme" || !stream) && l.Remote != addr {
		r.Errorf("%s: remote %q, want %q", name, l.Remote, addr)
	}
	if tr != transport.TLS {
		if l.TLS != nil {
			r.Errorf("%s: TLS %+v on %v", name, l.TLS, tr)
		}
		return
	}
	st := p.TLS()
	if l.TLS == nil || l.TLS.Version != "1.3" || l.TLS.Suite != tls.CipherSuiteName(st.CipherSuite) || l.TLS.Group != "X25519MLKEM768" ||
		!l.TLS.Mutual || l.TLS.Resumed || !slices.Equal(l.TLS.Identity, []string{name + ".example"}) || l.TLS.Handshake < 0 {
		r.Errorf("%s: TLS %+v", name, l.TLS)
	}
}

// Every INVITE of a peer has one record, also one that becomes no call.
func TestRecordsOfRefusals(t *testing.T) {
	office := func(options ...siptest.Option) func(r *rig) {
		return func(r *rig) { r.office.Send(r.office.Request(sip.INVITE, number, options...)) }
	}
	for _, c := range []struct {
		name string
		set  setting
		do   func(r *rig)
		code int
		by   string
		row  string
		text string
	}{
		{"no route", setting{routes: "{from: [acme], to: [office]}"}, office(), 404, "gateway", "", "peer office: no route matches"},
		{"sips over UDP", plain, office(siptest.URI("sips:1@gw.example")), 480, "gateway", "", "peer office: the request is sips: and came over udp"},
		{"sips required", setting{profiles: map[string]string{"office": "required"}, office: transport.TLS, targets: transport.TLS}, office(), 480, "gateway", "", "peer office: the caller's profile has sips: required, and the call is not sips:"},
		{"no hops left", plain, office(siptest.Set("Max-Forwards", "0")), 483, "gateway", "", "Too Many Hops"},
		{"scheme", plain, office(siptest.URI("http://1@gw.example")), 416, "gateway", "", "Unsupported URI Scheme"},
		{"no dialog", plain, office(siptest.Set("Contact", "<tel:+4930>")), 400, "gateway", "route 1", "the URI of a dialog is a SIP or SIPS URI"},
		{"no target for sips", setting{office: transport.TLS}, office(siptest.URI("sips:1@gw.example")), 480, "gateway", "route 1", "peer office: route 1 matches, but sips: can reach none of its targets"},
		{"stopping", plain, func(r *rig) { r.closing.Store(true); office()(r) }, 503, "gateway", "", "the gateway stops"},
		{"loop", plain, func(r *rig) {
			r.invite()
			invite := r.acme.WantRequest(sip.INVITE)
			r.acme.Send(r.acme.Request(sip.INVITE, number, siptest.Set("Call-ID", string(invite.CallID())), siptest.Set("From", string(invite.First(sip.HdrFrom)))))
			m := r.acme.Want(482)
			r.acme.Send(r.acme.Ack(m))
			r.refuse(r.acme, invite, 486)
		}, 486, "gateway", "", "one of our own requests came back"},
		{"busy", plain, func(r *rig) {
			r.invite()
			r.refuse(r.acme, r.acme.WantRequest(sip.INVITE), 486, siptest.Set("Reason", "Q.850;cause=17"))
		}, 486, "callee", "route 1", "acme answered 486 Busy Here"},
		{"credentials", plain, func(r *rig) {
			r.invite()
			r.refuse(r.acme, r.acme.WantRequest(sip.INVITE), 407)
		}, 403, "callee", "route 1", "acme answered 407 Proxy Authentication Required"},
		{"stopped", plain, func(r *rig) {
			r.invite()
			r.acme.WantRequest(sip.INVITE)
			r.server.Do(0, func(s *ua.Shard) { r.engine.Shutdown(s, 10) })
		}, 503, "gateway", "route 1", "the gateway stops"},
		{"unreachable", setting{targets: transport.TCP, routes: "{from: [office], to: [acme]}"}, func(r *rig) { r.acme.Close(); r.invite() }, 503, "gateway", "route 1", "peer acme: dial tcp"},
	} {
		t.Run(c.name, func(t *testing.T) {
			run(t, c.set, func(r *rig) {
				c.do(r)
				r.refused(c.code)
				all := r.cdrs.all()
				got := all[len(all)-1]
				if c.name == "loop" {
					if len(all) != 2 || all[0].EndedBy != "callee" || got.In.Peer != "acme" || got.Cause.SIP != 482 {
						r.Fatalf("%d records, the last %+v", len(all), got)
					}
				} else if len(all) != 1 || got.Cause.SIP != c.code || got.In.Code != c.code {
					r.Errorf("%d records, the last %+v", len(all), got)
				}
				if got.State != store.Refused || got.EndedBy != c.by || got.Route != c.row || !strings.Contains(got.Cause.Text, c.text) || got.Cause.Text == "" {
					r.Errorf("the record says %+v", got)
				}
				if got.Began.IsZero() || got.Ended.IsZero() || !got.Answered.IsZero() || got.In.Transport == "" || got.In.Remote == "" || got.In.CallID == "" || got.Caller == "" || got.Called == "" {
					r.Errorf("it misses something: %+v", got)
				}
				if c.name == "busy" && (got.Cause.Q850 != 17 || got.Out[0].Code != 486) {
					r.Errorf("the cause is %+v", got.Cause)
				}
			})
		})
	}
}

// A caller that gives up has its record, with what it said.
func TestRecordOfACancelledCall(t *testing.T) {
	hops(t, func(r *rig) {
		r.invite()
		invite := r.acme.WantRequest(sip.INVITE)
		r.acme.Reply(invite, 180)
		r.office.Want(180)
		time.Sleep(7 * time.Second)
		r.cancel(siptest.Set("Reason", `SIP;cause=200;text="Call completed elsewhere"`))
		r.acme.Reply(r.acme.WantRequest(sip.CANCEL), 200)
		r.refuse(r.acme, invite, 487)
		got := r.last()
		if got.State != store.Cancelled || got.EndedBy != "caller" || got.Cause.SIP != 487 || got.Cause.Reason != `SIP;cause=200;text="Call completed elsewhere"` ||
			got.Ended.Sub(got.Began) != 7*time.Second || len(got.Out) != 1 || got.Out[0].To180 == 0 || got.In.To180 == 0 {
			r.Errorf("the record says %+v", got)
		}
	})
}

// In-dialog INVITEs, retransmissions and requests of other methods have no
// record.
func TestWhatHasNoRecord(t *testing.T) {
	run(t, plain, func(r *rig) {
		r.office.Send(r.office.Request(sip.OPTIONS, "sip:gw.example"))
		r.office.Want(200)
		r.office.Send(r.office.Request(sip.INVITE, number, siptest.Set("To", "<"+number+">;tag=x")))
		r.office.Want(481)
		if n := len(r.cdrs.all()); n != 0 {
			r.Errorf("%d records", n)
		}
		invite := r.office.Request(sip.INVITE, number)
		for range 3 {
			r.office.Send(invite)
		}
		r.refuse(r.acme, r.acme.WantRequest(sip.INVITE), 486)
		r.refused(486)
		if n := len(r.cdrs.all()); n != 1 {
			r.Errorf("%d records", n)
		}
	})
}
