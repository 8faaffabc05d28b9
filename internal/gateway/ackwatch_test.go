package gateway

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sallyport-sip/sallyport/internal/callflow"
	"github.com/sallyport-sip/sallyport/internal/metrics"
	"github.com/sallyport-sip/sallyport/internal/store"
	"github.com/sallyport-sip/sallyport/sip"
	"github.com/sallyport-sip/sallyport/sip/siptest"
	"github.com/sallyport-sip/sallyport/sip/transport"
)

// ackless plays a call whose caller sends no ACK, or one that cannot be taken: tried is called with the 200 when that
// came first. It wants the cause in log and flow within 8 s, both BYEs at 64*T1, and the cause in the record.
func (r *rig) ackless(code, cause string, tried func(ok *siptest.Message), options ...siptest.Option) {
	r.Helper()
	r.invite(options...)
	r.acme.Reply(r.acme.WantRequest(sip.INVITE), 200, siptest.Body("application/sdp", answer))
	ok := r.office.Want(200)
	if tried != nil {
		r.office.WantAgain(ok) // when a copy is due, what comes is looked at
		tried(ok)
	}
	time.Sleep(time.Until(ok.At.Add(8 * time.Second)))
	synctest.Wait()
	r.named(code, cause)
	time.Sleep(time.Until(ok.At.Add(lifetime + time.Millisecond)))
	for m := r.office.Next(); ; m = r.office.Next() {
		if m.Method() == sip.BYE && m.IsRequest() {
			if after := m.At.Sub(ok.At); after != lifetime {
				r.Errorf("the BYE came after %v, want %v", after, lifetime)
			}
			r.office.Reply(m, 200)
			break
		}
	}
	r.acme.WantRequest(sip.ACK)
	r.acme.Reply(r.acme.WantRequest(sip.BYE), 200)
	r.none()
	last := r.last()
	if last.State != store.Ended || last.EndedBy != "gateway" || !strings.Contains(last.Cause.Text, cause) {
		r.Errorf("the record has %s by %s: %q, want the cause %q", last.State, last.EndedBy, last.Cause.Text, cause)
	}
}

// named wants the cause of a missing ACK in log and flow.
func (r *rig) named(code, cause string) {
	r.Helper()
	if log := r.log.String(); !strings.Contains(log, "code="+code+" ") || !strings.Contains(log, cause) {
		r.Errorf("8 s after the 2xx the log lacks %s with %q", code, cause)
	}
	if n := r.ACKsMissing()[metrics.Missing{Peer: "office", Code: code}]; n != 1 {
		r.Errorf("8 s after the 2xx its missing ACK counts %d times as %s", n, code)
	}
	found, says := false, false
	for _, f := range r.recorder.Flows() {
		for _, x := range f.Findings {
			says = says || x.Code == code && strings.Contains(x.Sentence, cause)
		}
		for i := range f.Rows {
			row := &f.Rows[i]
			found = found || row.Kind == callflow.RowNote && strings.HasPrefix(row.Label, "no ACK from office to the 2xx") && strings.Contains(row.Label, cause)
		}
	}
	if !found {
		r.Errorf("8 s after the 2xx no flow has a row with %q", cause)
	}
	if !says {
		r.Errorf("8 s after the 2xx no flow has the finding %s with %q", code, cause)
	}
}

// A 2xx whose ACK is withheld is named with nothing to explain it, over any transport.
func TestMissingAckIsNamed(t *testing.T) {
	hops(t, func(r *rig) {
		r.ackless(callflow.AckMissing, "nothing in what it was given explains it", nil)
	})
}

// The fixture with the wrong Contact: the listener advertises what the caller cannot reach.
func TestMissingAckNamesTheWrongContact(t *testing.T) {
	for _, tr := range []transport.Transport{transport.UDP, transport.TCP, transport.TLS} {
		for advertised, cause := range map[string]string{
			"10.9.8.7":      "has a private address, and office calls from 192.0.2.10",
			"sbc.lan.local": "has a name that is known here only",
			"192.0.2.99":    "is not the address that its INVITE came to, 192.0.2.1:",
		} {
			set := setting{office: tr}
			set.file = strings.ReplaceAll(file(setting{office: tr, targets: transport.UDP}), `listen: "`, "advertise: "+advertised+`, listen: "`)
			run(t, set, func(r *rig) { r.ackless(callflow.AckContact, cause, nil) })
		}
	}
}

// The fixture with the wrong route: a proxy before us writes a Record-Route that leads nowhere.
func TestMissingAckNamesTheWrongRoute(t *testing.T) {
	for route, cause := range map[string]string{
		"<sip:192.0.2.77:9999;lr>": "the ACK has to go by the Record-Route sip:192.0.2.77:9999;lr, which is 192.0.2.77, and its INVITE came from 192.0.2.10:5080",
		"<sip:10.1.1.1;lr>":        "has a private address, and its INVITE came from 192.0.2.10",
		"<sip:192.0.2.10>":         "has no lr",
		"<sip:proxy;lr>":           "has a name that means nothing elsewhere",
	} {
		run(t, plain, func(r *rig) { r.ackless(callflow.AckRoute, cause, nil, siptest.Set("Record-Route", route)) })
	}
}

// An ACK that cannot be taken is said to be the cause, with what is wrong with it.
func TestMissingAckNamesARefusedOne(t *testing.T) {
	tests := []struct {
		cause  string
		change func(r *rig, ok *siptest.Message) siptest.Option
	}{
		{"its To tag is wrong", func(r *rig, ok *siptest.Message) siptest.Option {
			to, _, _ := strings.Cut(string(ok.First(sip.HdrTo)), ";tag=")
			return siptest.Set("To", to+";tag=wrong")
		}},
		{"its To tag is missing", func(r *rig, ok *siptest.Message) siptest.Option {
			to, _, _ := strings.Cut(string(ok.First(sip.HdrTo)), ";tag=")
			return siptest.Set("To", to)
		}},
		{"its From tag is other", func(r *rig, ok *siptest.Message) siptest.Option {
			from, _, _ := strings.Cut(string(ok.First(sip.HdrFrom)), ";tag=")
			return siptest.Set("From", from+";tag=other")
		}},
		{"its CSeq number is 77", func(*rig, *siptest.Message) siptest.Option { return siptest.Set("CSeq", "77 ACK") }},
	}
	for _, tt := range tests {
		hops(t, func(r *rig) {
			r.ackless(callflow.AckRefused, tt.cause, func(ok *siptest.Message) { r.office.Send(r.office.Ack(ok, tt.change(r, ok))) })
		})
	}
}

// The ACK of a peer that is not the caller is no ACK.
func TestMissingAckNamesTheWrongSource(t *testing.T) {
	run(t, plain, func(r *rig) {
		r.ackless(callflow.AckRefused, "it came from 192.0.2.30:5082 over udp, which is not known as office", func(ok *siptest.Message) {
			r.backup.Send(r.office.Ack(ok))
		})
	})
}

// The connection of the caller goes with the 2xx unacknowledged: it is sent again on the connection by which the dialog
// lives on, and its ACK there is taken.
func Test2xxIsSentAgainOnANewConnection(t *testing.T) {
	streams(t, func(r *rig) {
		r.invite()
		r.acme.Reply(r.acme.WantRequest(sip.INVITE), 200)
		ok := r.office.Want(200)
		r.office.HangUp()
		again := r.office.WantAgain(ok) // the gateway connects
		if after := again.At.Sub(ok.At); after != t1 {
			r.Errorf("it came again after %v, want %v", after, t1)
		}
		r.office.Send(r.office.Ack(ok))
		r.acme.WantRequest(sip.ACK)
		r.office.WantSilence(t2)
		r.hangUp(r.office, r.acme)
	})
}

// Who lost its connection and sends no ACK either is told by that.
func TestMissingAckNamesTheLostConnection(t *testing.T) {
	streams(t, func(r *rig) {
		r.ackless(callflow.AckConnection, "the connection that its INVITE came by has gone", func(*siptest.Message) { r.office.HangUp() })
	})
}

// A callee that sends its 2xx again and again does not get our ACK: that has a name within 8 s, too.
func TestAckInVainIsNamed(t *testing.T) {
	hops(t, func(r *rig) {
		r.invite()
		invite := r.acme.WantRequest(sip.INVITE)
		at := time.Now()
		r.acme.Reply(invite, 200, siptest.Set("Record-Route", "<sip:192.0.2.79:9997;lr>"))
		r.office.Send(r.office.Ack(r.office.Want(200)))
		ack := r.acme.WantRequest(sip.ACK)
		for i, after := range schedule()[:4] {
			time.Sleep(time.Until(at.Add(after)))
			if strings.Contains(r.log.String(), "again and again") {
				r.Errorf("it is named after %d copies already", i)
			}
			r.acme.Reply(invite, 200, siptest.Set("Record-Route", "<sip:192.0.2.79:9997;lr>"))
			r.acme.WantAgain(ack)
		}
		want := fmt.Sprintf("our ACK for %s does not arrive there, which goes by the route sip:192.0.2.79:9997;lr", r.acme.URI("acme"))
		if log := r.log.String(); !strings.Contains(log, want) {
			r.Errorf("the log lacks %q", want)
		}
		f := r.recorder.Flows()[len(r.recorder.Flows())-1]
		if !slices.ContainsFunc(f.Findings, func(x callflow.Finding) bool { return x.Code == "ack-in-vain" }) {
			r.Errorf("the flow has the findings %+v", f.Findings)
		}
		r.hangUp(r.office, r.acme)
	})
}
