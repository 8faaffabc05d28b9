package dialog

import (
	"errors"
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"github.com/sallyport-sip/sallyport/sip"
)

// modelDialog is what RFC 3261 says of one dialog, in as few words as possible.
type modelDialog struct {
	state  State
	target string
	routes string // the Record-Route that made it, in the order of the response
	local  uint32
	remote uint32 // of the last request; 0: none yet
}

// TestUACAgainstModel gives a UAC provisional and final responses of several forks in any order, legal or not, and then
// lets both sides send requests in the dialogs that there are. The model beside it knows the rules: who makes a dialog,
// what confirms and what ends one (RFC 3261 §12.1, §12.3, §13.2.2.4), what changes the target (RFC 3261 §12.2.1.2), that the route
// set stays but for the 2xx, and the order of sequence numbers in each direction (RFC 3261 §12.2.1.1, §12.2.2).
func TestUACAgainstModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		req := mustParse(t, request(""))
		u, err := NewUAC(req, true)
		if err != nil {
			t.Fatal(err)
		}
		model := map[string]*modelDialog{}
		for range rapid.IntRange(1, 25).Draw(t, "steps") {
			tag := rapid.SampledFrom([]string{"", "b1", "b2", "b3"}).Draw(t, "tag")
			n := rapid.IntRange(0, 9).Draw(t, "n")
			target := fmt.Sprintf("sip:bob@192.0.2.%d", n)
			switch rapid.IntRange(0, 4).Draw(t, "what") {
			case 0, 1:
				code := rapid.SampledFrom([]int{100, 101, 180, 183, 199, 200, 202, 299, 302, 404, 486, 603}).Draw(t, "code")
				route := fmt.Sprintf("<sip:p%d.example;lr>", n)
				respond(t, u, model, code, tag, target, route)
			case 2:
				receive(t, u.Find(tag), model[tag], uint32(n), target)
			case 3:
				if d, m := u.Find(tag), model[tag]; m != nil {
					m.local++
					if got := d.NextSeq(); got != m.local {
						t.Fatalf("next CSeq %d, want %d", got, m.local)
					}
				}
			case 4:
				if d, m := u.Find(tag), model[tag]; m != nil {
					d.Terminate()
					m.state = Terminated
				}
			}
			compare(t, u, model)
		}
	})
}

// respond gives a response to both.
func respond(t *rapid.T, u *UAC, model map[string]*modelDialog, code int, tag, target, route string) {
	d, created, err := u.Response(mustParse(t, response(code, tag, "Contact: <"+target+">\r\nRecord-Route: "+route+"\r\n")))
	if err != nil {
		t.Fatal(err)
	}
	if code >= 300 {
		for _, m := range model {
			if m.state == Early {
				m.state = Terminated
			}
		}
	}
	makes := code < 300 && (code >= 200 || code > 100 && tag != "")
	if !makes {
		if d != nil || created {
			t.Fatalf("%d with tag %q has a dialog", code, tag)
		}
		return
	}
	m := model[tag]
	if created != (m == nil) {
		t.Fatalf("%d with tag %q: created is %v", code, tag, created)
	}
	switch {
	case m == nil:
		model[tag] = &modelDialog{state: Early, target: target, routes: route, local: 314159}
		m = model[tag]
		if code >= 200 {
			m.state = Confirmed
		}
	default:
		follow(m, code, target, route)
	}
	if d != u.Find(tag) {
		t.Fatal("the dialog is not the one that is found")
	}
}

// follow is what a further response means to a dialog.
func follow(m *modelDialog, code int, target, route string) {
	switch {
	case code < 200 || m.state == Confirmed: // nothing, or a 2xx sent again
	case m.state == Early:
		// "... the route set ... MUST be recomputed" (RFC 3261 §13.2.2.4)
		m.state, m.target, m.routes = Confirmed, target, route
	default:
		// It stays over, but the 2xx says where its ACK and BYE go.
		m.target, m.routes = target, route
	}
}

// receive gives a request of the other side to both.
func receive(t *rapid.T, d *Dialog, m *modelDialog, seq uint32, target string) {
	if m == nil {
		if d != nil {
			t.Fatal("a dialog that nobody made")
		}
		return
	}
	method := rapid.SampledFrom([]sip.Method{sip.INVITE, sip.UPDATE, sip.INFO, sip.PRACK, sip.ACK, sip.NOTIFY, sip.REFER, sip.MESSAGE}).Draw(t, "method")
	req := mustParse(t, request("", "CSeq: 314159 INVITE", fmt.Sprintf("CSeq: %d %s", seq, method),
		"INVITE sip:bob", string(method)+" sip:bob", "sip:alice@pc33.atlanta.example;transport=tls", target))
	err := d.Receive(req)
	late := method != sip.ACK && m.remote != 0 && seq < m.remote
	if status, ok := errors.AsType[*sip.StatusError](err); ok != late || ok && status.Code != 500 {
		t.Fatalf("%s with CSeq %d after %d: %v", method, seq, m.remote, err)
	}
	if late {
		return
	}
	if method != sip.ACK {
		m.remote = seq
	}
	if err := d.Refresh(req); err != nil {
		t.Fatal(err)
	}
	switch method {
	case sip.INVITE, sip.UPDATE, sip.NOTIFY, sip.REFER: // RFC 3261 §12.2, RFC 3311, RFC 6665, RFC 3515
		m.target = target
	}
}

func compare(t *rapid.T, u *UAC, model map[string]*modelDialog) {
	if len(u.Dialogs) != len(model) {
		t.Fatalf("%d dialogs, want %d", len(u.Dialogs), len(model))
	}
	for tag, m := range model {
		d := u.Find(tag)
		if d == nil {
			t.Fatalf("no dialog %q", tag)
		}
		routes := ""
		if len(d.Routes) > 0 {
			routes = d.Routes[0]
		}
		if d.State != m.state || d.Target != m.target || routes != m.routes || d.LocalSeq.Value != m.local || d.RemoteSeq.Value != m.remote {
			t.Fatalf("dialog %q is %v, target %s, routes %v, CSeq %d and %d; want %+v", tag, d.State, d.Target, d.Routes, d.LocalSeq.Value, d.RemoteSeq.Value, *m)
		}
		if d.ID.RemoteTag != tag || d.ID.LocalTag != "1928301774" {
			t.Fatalf("dialog %+v", d.ID)
		}
	}
}

func mustParse(t *rapid.T, text string) *sip.Message {
	m, err := sip.Parse([]byte(text))
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	t.Cleanup(m.Release)
	return m
}
