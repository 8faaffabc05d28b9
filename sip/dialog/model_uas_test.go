package dialog

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/sallyport-sip/sallyport/sip"
)

// TestUASAgainstModel makes the dialog of a request that we answer, and then lets both sides send requests in it in any
// order, legal or not: the caller's with sequence numbers that rise, stand still and fall back, with and without a Contact
// that can be a target, ours, and the responses to those; 2xx and end come at any time, also twice. The model beside it knows
// the rules of RFC 3261 §12.1.1, §12.2.1.1, §12.2.2 and §12.3.
func TestUASAgainstModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		first := rapid.Uint32Range(0, 1<<31-1).Draw(t, "first")
		lines, routes := recorded(t)
		req := mustParse(t, request(lines, "CSeq: 314159", fmt.Sprintf("CSeq: %d", first)))
		d, err := NewUAS(req, "b1", true)
		if err != nil {
			t.Fatal(err)
		}
		m := &modelDialog{state: Early, target: "sip:alice@pc33.atlanta.example;transport=tls", remote: first}
		began := false // the first of our numbers is ours to choose
		for range rapid.IntRange(1, 25).Draw(t, "steps") {
			switch rapid.IntRange(0, 5).Draw(t, "what") {
			case 0:
				d.Confirm()
				if m.state == Early {
					m.state = Confirmed
				}
			case 1:
				if rapid.IntRange(0, 3).Draw(t, "end") == 0 {
					d.Terminate()
					m.state = Terminated
				}
			case 2, 3:
				asked(t, d, m)
			case 4:
				answered(t, d, m)
			case 5:
				seq := d.NextSeq()
				if began && seq != m.local+1 || seq == 0 || seq >= 1<<31 {
					t.Fatalf("next CSeq %d after %d", seq, m.local)
				}
				m.local, began = seq, true
			}
			if d.State != m.state || d.Target != m.target || d.RemoteSeq != (Seq{m.remote, true}) || d.LocalSeq != (Seq{m.local, began}) {
				t.Fatalf("dialog is %+v, want %+v", *d, *m)
			}
			if !slices.Equal(d.Routes, routes) {
				t.Fatalf("routes %q, want %q", d.Routes, routes)
			}
			if d.ID != (ID{CallID: "a84b4c76e66710", LocalTag: "b1", RemoteTag: "1928301774"}) {
				t.Fatalf("dialog %+v", d.ID)
			}
		}
	})
}

// recorded draws the Record-Route of a request, in fields of any number of values, and the route set that follows from it:
// "taken in order" (RFC 3261 §12.1.1).
func recorded(t *rapid.T) (lines string, routes []string) {
	for i := range rapid.IntRange(0, 4).Draw(t, "proxies") {
		route := fmt.Sprintf("<sip:p%d.example;lr>", i)
		routes = append(routes, route)
		if i > 0 && rapid.Bool().Draw(t, "same field") {
			lines = lines[:len(lines)-2] + ", " + route + "\r\n"
		} else {
			lines += "Record-Route: " + route + "\r\n"
		}
	}
	return lines, routes
}

// asked gives a request of the caller's to both.
func asked(t *rapid.T, d *Dialog, m *modelDialog) {
	method := rapid.SampledFrom([]sip.Method{sip.INVITE, sip.UPDATE, sip.SUBSCRIBE, sip.NOTIFY, sip.REFER, sip.INFO, sip.PRACK,
		sip.BYE, sip.MESSAGE, sip.OPTIONS, sip.ACK, sip.CANCEL}).Draw(t, "method")
	seq := uint32(min(max(int64(m.remote)+rapid.Int64Range(-2, 3).Draw(t, "by"), 0), 1<<31-1))
	contact := rapid.SampledFrom([]string{"sip:alice@192.0.2.1", "sips:alice@192.0.2.2", "tel:+12125550100", ""}).Draw(t, "contact")
	line := "Contact: <" + contact + ">\r\n"
	if contact == "" {
		line = ""
	}
	req := mustParse(t, request("", "CSeq: 314159 INVITE", fmt.Sprintf("CSeq: %d %s", seq, method), "INVITE sip:bob", string(method)+" sip:bob",
		"Contact: <sip:alice@pc33.atlanta.example;transport=tls>\r\n", line, "Bob <sip:bob@biloxi.example>", "Bob <sip:bob@biloxi.example>;tag=b1"))
	if !d.Owns(req) {
		t.Fatalf("the dialog's own %s is not its own", method)
	}
	judged := method != sip.ACK && method != sip.CANCEL
	late := judged && seq < m.remote
	if err := d.Receive(req); code(err) != map[bool]int{true: 500}[late] {
		t.Fatalf("%s with CSeq %d after %d: %v", method, seq, m.remote, err)
	}
	if late {
		return
	}
	if judged {
		m.remote = seq
	}
	refreshes := slices.Contains([]sip.Method{sip.INVITE, sip.UPDATE, sip.SUBSCRIBE, sip.NOTIFY, sip.REFER}, method)
	bad := refreshes && contact == "tel:+12125550100"
	if err := d.Refresh(req); code(err) != map[bool]int{true: 400}[bad] {
		t.Fatalf("%s with Contact %q: %v", method, contact, err)
	}
	if refreshes && !bad && contact != "" {
		m.target = contact
	}
}

// answered gives a response to a re-INVITE of ours to both: the 2xx alone changes the target (RFC 3261 §12.2.1.2).
func answered(t *rapid.T, d *Dialog, m *modelDialog) {
	status := rapid.SampledFrom([]int{183, 200, 202, 301, 488, 603}).Draw(t, "status")
	target := rapid.SampledFrom([]string{"sip:alice@192.0.2.3", "sip:alice@192.0.2.4"}).Draw(t, "contact")
	if err := d.Refresh(mustParse(t, response(status, "b1", "Contact: <"+target+">\r\n"))); err != nil {
		t.Fatal(err)
	}
	if status/100 == 2 {
		m.target = target
	}
}

// code is the status of a refusal, 0 for none and -1 for an error without one.
func code(err error) int {
	if err == nil {
		return 0
	}
	if status, ok := errors.AsType[*sip.StatusError](err); ok {
		return status.Code
	}
	return -1
}
