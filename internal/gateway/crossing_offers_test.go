package gateway

import (
	"fmt"
	"strings"
	"testing"

	"github.com/sallyport-sip/sallyport/sip"
	"github.com/sallyport-sip/sallyport/sip/siptest"
)

// negotiation is an INVITE, first or later, with bodies in its messages: every
// pattern of RFC 6337 §2.2. "-" stands for a message without a body, and an empty
// string for a message that is not sent.
type negotiation struct {
	name                   string
	invite                 string
	reliable, prack, acked string // 183, its PRACK, the 200 to that
	update, updated        string // an UPDATE of the far side, and its 200
	ok, ack                string
}

var negotiations = []negotiation{
	{name: "offer in INVITE, answer in 200", invite: offer, ok: answer, ack: "-"},
	{name: "offer in 200, answer in ACK", invite: "-", ok: offer, ack: answer},
	{name: "offer in INVITE, answer in a reliable 183", invite: offer, reliable: answer, prack: "-", acked: "-", ok: "-", ack: "-"},
	{name: "offer in a reliable 183, answer in PRACK", invite: "-", reliable: offer, prack: answer, acked: "-", ok: "-", ack: "-"},
	{name: "a second offer in PRACK, answer in its 200", invite: offer, reliable: answer, prack: offer, acked: answer, ok: "-", ack: "-"},
	{name: "a later offer in UPDATE", invite: offer, reliable: answer, prack: "-", acked: "-", update: offer, updated: answer, ok: "-", ack: "-"},
	{name: "an UPDATE after an offer in a reliable 183", invite: "-", reliable: offer, prack: answer, acked: "-", update: offer, updated: answer, ok: "-", ack: "-"},
	{name: "nothing but an UPDATE without an offer", invite: offer, reliable: "-", prack: "-", acked: "-", update: "-", updated: "-", ok: answer, ack: "-"},
}

func TestOffersAndAnswersCrossUnharmed(t *testing.T) {
	for _, n := range negotiations {
		t.Run(n.name, func(t *testing.T) {
			t.Run("first INVITE", func(t *testing.T) {
				hops(t, func(r *rig) {
					n.play(r, r.office, r.acme, r.office.Request(sip.INVITE, number, with(n.invite)...))
					r.hangUp(r.office, r.acme)
				})
			})
			t.Run("re-INVITE", func(t *testing.T) {
				sides(t, func(r *rig, near, far *siptest.Peer) {
					r.answered()
					n.play(r, near, far, near.InDialog(sip.INVITE, with(n.invite)...))
					r.hangUp(far, near)
				})
			})
		})
	}
}

// with is the body of a message of a negotiation.
func with(body string, options ...siptest.Option) []siptest.Option {
	if body != "-" {
		options = append(options, sdp(body))
	}
	return options
}

// body compares that of a message, byte for byte.
func (r *rig) body(m *siptest.Message, want string) {
	r.Helper()
	if want == "-" {
		want = ""
	}
	if string(m.Body()) != want {
		r.Errorf("the body of the message is %q, want %q\n%s", m.Body(), want, m.Bytes())
	}
}

func (n negotiation) play(r *rig, near, far *siptest.Peer, text string) {
	r.Helper()
	near.Send(text)
	invite := far.WantRequest(sip.INVITE)
	r.body(invite, n.invite)
	if n.reliable != "" {
		far.Reply(invite, 183, with(n.reliable, siptest.Set("Require", "100rel"), siptest.Set("RSeq", "77"))...)
		m := near.Want(183)
		r.body(m, n.reliable)
		cseq, _ := m.CSeq()
		near.Send(near.InDialog(sip.PRACK, with(n.prack, siptest.Set("RAck", fmt.Sprintf("%s %d INVITE", m.First(sip.HdrRSeq), cseq.Seq)))...))
		prack := far.WantRequest(sip.PRACK)
		r.body(prack, n.prack)
		far.Reply(prack, 200, with(n.acked)...)
		r.body(near.Want(200), n.acked)
	}
	if n.update != "" {
		far.Send(far.InDialog(sip.UPDATE, with(n.update)...))
		update := near.WantRequest(sip.UPDATE)
		r.body(update, n.update)
		near.Reply(update, 200, with(n.updated)...)
		r.body(far.Want(200), n.updated)
	}
	far.Reply(invite, 200, with(n.ok)...)
	ok := near.Want(200)
	r.body(ok, n.ok)
	near.Send(near.Ack(ok, with(n.ack)...))
	r.body(far.WantRequest(sip.ACK), n.ack)
}

// Bodies of any kind cross both ways byte for byte, with the headers that say
// what they are.
func TestBodiesCrossByteForByte(t *testing.T) {
	binary := make([]byte, 1024)
	for i := range binary {
		binary[i] = byte(i * 7)
	}
	multipart := "preamble\r\n--b1\r\nContent-Type: application/sdp\r\n\r\n" + offer + "\r\n--b1\r\n" +
		"Content-Type: application/isup;version=itu-t92+\r\nContent-Disposition: signal;handling=optional\r\n\r\n" +
		"\x01\x11\x48\x00\x0a\x03\r\n--b1--\r\n"
	for _, test := range []struct {
		name, contentType, body string
		headers                 map[string]string
	}{
		{name: "none", headers: map[string]string{}},
		{name: "text with a foreign alphabet", contentType: "text/plain;charset=utf-8", body: "Grüße\r\n\r\nwith an empty line\n\n", headers: map[string]string{"Content-Language": "de"}},
		{name: "binary", contentType: "application/octet-stream", body: string(binary), headers: map[string]string{"Content-Encoding": "gzip", "Content-Disposition": "render;handling=optional"}},
		{name: "multipart", contentType: `multipart/mixed;boundary="b1"`, body: multipart, headers: map[string]string{"MIME-Version": "1.0"}},
		{name: "looks like SIP", contentType: "message/sip", body: "INVITE sip:x@y SIP/2.0\r\nVia: SIP/2.0/TCP z;branch=z9hG4bKx\r\nContent-Length: 0\r\n\r\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			sides(t, func(r *rig, near, far *siptest.Peer) {
				r.answered()
				var options []siptest.Option
				if test.body != "" {
					options = append(options, siptest.Body(test.contentType, test.body))
				}
				for name, value := range test.headers {
					options = append(options, siptest.Set(name, value))
				}
				check := func(m *siptest.Message) {
					r.Helper()
					if string(m.Body()) != test.body {
						r.Errorf("the body of %s changed:\n%q\n%q", m.Method(), test.body, m.Body())
					}
					r.header(m, sip.HdrContentType, test.contentType)
					for name, value := range test.headers {
						if !strings.Contains(string(m.Bytes()), "\r\n"+name+": "+value+"\r\n") {
							r.Errorf("%s is lost", name)
						}
					}
				}
				for _, method := range []sip.Method{sip.MESSAGE, sip.INFO, sip.NOTIFY, sip.OPTIONS} {
					near.Send(near.InDialog(method, options...))
					m := far.WantRequest(method)
					check(m)
					far.Reply(m, 200, options...)
					check(near.Want(200))
				}
				near.Send(near.InDialog(sip.BYE, options...))
				near.Want(200)
				bye := far.WantRequest(sip.BYE)
				check(bye)
				far.Reply(bye, 200)
			})
		})
	}
}

// A body as long as a message may be, over streams.
func TestLongBodiesCross(t *testing.T) {
	streams(t, func(r *rig) {
		var b strings.Builder
		for i := 0; b.Len() < 60<<10; i++ {
			fmt.Fprintf(&b, "line %d of a long body\r\n", i)
		}
		text := siptest.Body("text/plain", b.String())
		r.invite(text)
		invite := r.acme.WantRequest(sip.INVITE)
		r.body(invite, b.String())
		r.acme.Reply(invite, 200, text)
		ok := r.office.Want(200)
		r.body(ok, b.String())
		r.office.Send(r.office.Ack(ok, text))
		r.body(r.acme.WantRequest(sip.ACK), b.String())
		r.acme.Send(r.acme.InDialog(sip.MESSAGE, text))
		m := r.office.WantRequest(sip.MESSAGE)
		r.body(m, b.String())
		r.office.Reply(m, 200)
		r.acme.Want(200)
		bye := r.hangUp(r.office, r.acme, text)
		r.body(bye, b.String())
	})
}
