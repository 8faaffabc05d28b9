package gateway

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-sip/sallyport/internal/events"
	"github.com/sallyport-sip/sallyport/sip"
	"github.com/sallyport-sip/sallyport/sip/siptest"
	"github.com/sallyport-sip/sallyport/sip/transport"
)

// announced returns what applications were told, a line for each event.
func (r *rig) announced() []string {
	reader, gap := r.Events().After(events.FormatID(r.Events().Run(), 0))
	if gap != nil {
		r.Fatalf("events are missing: %+v", gap.Lost)
	}
	room := make([]events.Event, 1000)
	n, _ := reader.Poll(room)
	var lines []string
	for i := range room[:n] {
		e := &room[i]
		if want := events.FormatID(r.Events().Run(), uint64(i+1)); e.ID != want || e.Version != 1 || e.At.IsZero() {
			r.Errorf("event %d has ID %q, version %d, time %v", i, e.ID, e.Version, e.At)
		}
		line := string(e.Type)
		if c := e.Call; c.ID != "" {
			line += fmt.Sprintf(" %s>%s %s>%s", c.From, c.To, c.Caller, c.Called)
		}
		if e.Status != 0 {
			line += fmt.Sprintf(" %d", e.Status)
		}
		if f := e.Failure; f.Text != "" {
			line += fmt.Sprintf(" failed[%d %d %s %s %s: %s]", f.Code, f.Q850, f.Hop, f.Peer, f.TLS, f.Text)
		}
		if d := e.End; d.By != "" {
			line += fmt.Sprintf(" by %s after %v: %s", d.By, d.Duration, d.Text)
		}
		if e.Peer != "" {
			line += " " + e.Peer + ": " + e.Why
		}
		if h := e.Handshake; h != nil {
			line += fmt.Sprintf("%s by %s", h.Code, h.By)
		}
		lines = append(lines, line)
	}
	return lines
}

func TestEventsOfCalls(t *testing.T) {
	const began = "call.started office> office>+4930123\ncall.routed office>acme office>+4930123\n"
	for _, tt := range []struct {
		name string
		play func(r *rig)
		want string
	}{
		{"answered, ended by the callee", func(r *rig) {
			r.answered()
			time.Sleep(3 * time.Second)
			r.hangUp(r.acme, r.office, siptest.Set("Reason", "Q.850;cause=16"))
		}, began + `call.ringing office>acme office>+4930123 180
call.answered office>acme office>+4930123 200
call.ended office>acme office>+4930123 by callee after 3s: BYE from acme`},
		{"progress, each code once", func(r *rig) {
			r.invite()
			invite := r.acme.WantRequest(sip.INVITE)
			for _, code := range []int{100, 183, 180, 183, 180, 199} {
				r.acme.Reply(invite, code)
				if code > 100 {
					r.office.Want(code)
				}
			}
			r.cancel()
			r.acme.Reply(r.acme.WantRequest(sip.CANCEL), 200)
			r.refuse(r.acme, invite, 487)
		}, began + `call.progress office>acme office>+4930123 183
call.ringing office>acme office>+4930123 180
call.progress office>acme office>+4930123 199
call.cancelled office>acme office>+4930123 by caller after 0s: the caller gave up`},
		{"busy", func(r *rig) { r.rejected(486) }, began +
			"call.busy office>acme office>+4930123 failed[486 0 out acme : acme answered 486 Busy Here] by callee after 0s: acme answered 486 Busy Here"},
		{"busy by Q.850", func(r *rig) { r.rejected(500, siptest.Set("Reason", "Q.850;cause=17")) }, began +
			"call.busy office>acme office>+4930123 failed[500 17 out acme : acme answered 500 Server Internal Error] by callee after 0s: acme answered 500 Server Internal Error"},
		{"480 without ringing is no want of an answer", func(r *rig) { r.rejected(480) }, began +
			"call.failed office>acme office>+4930123 failed[480 0 out acme : acme answered 480 Temporarily Unavailable] by callee after 0s: acme answered 480 Temporarily Unavailable"},
		{"nobody answers", func(r *rig) {
			r.invite()
			invite := r.acme.WantRequest(sip.INVITE)
			r.acme.Reply(invite, 180)
			r.office.Want(180)
			r.refuse(r.acme, invite, 480)
			r.refused(480)
		}, began + `call.ringing office>acme office>+4930123 180
call.no_answer office>acme office>+4930123 failed[480 0 out acme : acme answered 480 Temporarily Unavailable] by callee after 0s: acme answered 480 Temporarily Unavailable`},
		{"a target fails", func(r *rig) {
			r.invite()
			invite := r.acme.WantRequest(sip.INVITE)
			r.refuse(r.acme, invite, 503)
			r.taken(invite)
		}, began + `peer.down acme: answered 503 Service Unavailable
call.target_failed office>acme office>+4930123 failed[503 0 out acme : answered 503 Service Unavailable]
call.routed office>backup office>+4930123
call.answered office>backup office>+4930123 200
call.ended office>backup office>+4930123 by caller after 0s: BYE from office`},
		{"no route", func(r *rig) {
			r.backup.Send(r.backup.Request(sip.INVITE, "sip:+999@gw.example"))
			r.backup.Want(100)
			r.backup.Send(r.backup.Ack(r.backup.Want(404)))
		}, "call.failed backup> backup>+999 failed[404 0 in backup : peer backup: no route matches] by gateway after 0s: peer backup: no route matches"},
		{"no ACK", func(r *rig) {
			r.invite()
			invite := r.acme.WantRequest(sip.INVITE)
			r.acme.Reply(invite, 200, siptest.Body("application/sdp", answer))
			ok := r.office.Want(200)
			for range 10 {
				r.office.WantAgain(ok)
			}
			r.acme.WantRequest(sip.ACK)
			r.acme.Reply(r.acme.WantRequest(sip.BYE), 200)
			r.office.Reply(r.office.WantRequest(sip.BYE), 200)
		}, began + `call.answered office>acme office>+4930123 200
ack.missing office>acme office>+4930123 failed[0 0 in office : no ACK from office to the 2xx: nothing in what it was given explains it: Contact sip:192.0.2.1:5060 over udp]
call.ended office>acme office>+4930123 by gateway after 32s: no ACK from office to the 2xx: nothing in what it was given explains it: Contact sip:192.0.2.1:5060 over udp`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			set := plain
			set.routes = "{from: [office], to: [acme, backup]}"
			run(t, set, func(r *rig) {
				tt.play(r)
				if got, want := r.announced(), strings.Split(tt.want, "\n"); !slices.Equal(got, want) {
					r.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
				}
			})
		})
	}
}

// rejected makes a call that acme answers with a failure at once.
func (r *rig) rejected(code int, options ...siptest.Option) {
	r.Helper()
	r.invite()
	r.refuse(r.acme, r.acme.WantRequest(sip.INVITE), code, options...)
	r.refused(code)
}

// A handshake that fails is told with its reason, and so is what becomes of the call: which hop, the code of the reason, and
// what to do.
func TestEventsOfAHandshakeThatIsRefused(t *testing.T) {
	set := setting{office: transport.UDP, targets: transport.TLS, routes: "{from: [office], to: [acme]}", extra: map[string]string{"acme": "certificate_names: [other.example]"}}
	set.file = strings.Replace(file(set), "certificate_names: [acme.example], ", "", 1)
	run(t, set, func(r *rig) {
		r.invite()
		r.refused(503)
		told := strings.Join(r.announced(), "\n")
		for _, want := range []string{
			"handshake.refused acme: name_mismatch by gateway",
			"call.target_failed office>acme office>+4930123 failed[503 0 out acme name_mismatch: ",
			"call.failed office>acme office>+4930123 failed[503 0 out acme name_mismatch: ",
		} {
			if !strings.Contains(told, want) {
				r.Errorf("nobody was told %q:\n%s", want, told)
			}
		}
		reader, _ := r.Events().After(events.FormatID(r.Events().Run(), 0))
		room := make([]events.Event, 100)
		n, _ := reader.Poll(room)
		if last := room[n-1]; last.Type != events.CallFailed || last.Failure.Remedy == "" || last.Failure.Address != acmeAddr {
			r.Errorf("the call failed as %+v", last.Failure)
		}
	})
}

// An alarm, and a reload, are told too.
func TestEventsOfTheGateway(t *testing.T) {
	run(t, plain, func(r *rig) {
		r.alarms.raise("test", "it burns", "put it out")
		r.alarms.raise("test", "it burns still", "put it out") // which is no news
		r.alarms.clear("test")
		r.Apply(r.Config())
		if got, want := r.announced(), []string{"alarm.raised", "alarm.cleared", "reload"}; !slices.Equal(got, want) {
			r.Errorf("got %q, want %q", got, want)
		}
	})
}
