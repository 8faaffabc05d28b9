package ua_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-sip/sallyport/internal/memnet"
	"github.com/sallyport-sip/sallyport/sip"
	"github.com/sallyport-sip/sallyport/sip/siptest"
	"github.com/sallyport-sip/sallyport/sip/transaction"
	"github.com/sallyport-sip/sallyport/sip/transport"
	"github.com/sallyport-sip/sallyport/sip/ua"
)

// placed is what Invite returned.
type placed struct {
	call *ua.Call
	err  error
}

// place calls a scripted peer in a goroutine.
func place(ctx context.Context, srv *ua.Server, to ua.Target, opts ua.InviteOptions, options ...ua.Option) <-chan placed {
	result := make(chan placed, 1)
	go func() {
		call, err := srv.Invite(ctx, to, opts, options...)
		result <- placed{call, err}
	}()
	return result
}

// callee opens a scripted peer that is called. Dial is not needed: the server
// comes to it, and on UDP it answers to where requests come from.
func callee(t *testing.T, network transport.Network, tr transport.Transport) *siptest.Peer {
	p := siptest.New(t, siptest.Config{Name: "bob", Transport: tr, Network: network})
	if tr == transport.UDP {
		p.Dial(at)
	}
	return p
}

func TestSendReturnsTheFinalResponse(t *testing.T) {
	each(t, func(t *testing.T, network *memnet.Network, tr transport.Transport) {
		srv := start(t, network, &ua.Server{})
		p := callee(t, network, tr)
		type answer struct {
			m   *sip.Message
			err error
		}
		result := make(chan answer, 1)
		go func() {
			m, err := srv.Send(t.Context(), target(p, tr),
				ua.Outgoing{Method: sip.MESSAGE, To: `"Bob" <sip:bob@b.example>`, From: "sip:alice@a.example", CallID: "mine", CSeq: 7},
				ua.Header("Subject", "hello"), ua.Body("text/plain", []byte("hi")))
			result <- answer{m, err}
		}()
		req := p.WantRequest(sip.MESSAGE)
		from, _ := req.From()
		cseq, _ := req.CSeq()
		via, _ := req.Via()
		if string(req.RequestURI()) != "sip:bob@b.example" || string(req.First(sip.HdrTo)) != `"Bob" <sip:bob@b.example>` ||
			string(from.RawURI) != "sip:alice@a.example" || from.Tag() == nil || string(req.CallID()) != "mine" || cseq.Seq != 7 ||
			string(req.First(sip.HdrSubject)) != "hello" || string(req.Body()) != "hi" || req.Check() != nil {
			t.Errorf("got\n%s", req.Bytes())
		}
		if string(via.Host) != "127.0.0.1" || via.Port != 5060 || !via.RPort() {
			t.Errorf("Via %s, want the listener's address", req.First(sip.HdrVia))
		}
		p.Reply(req, 180)
		p.Reply(req, 404, siptest.Add("X-Why", "gone"))
		got := soon(t, result, "Send")
		if got.err != nil || got.m.StatusCode() != 404 || !strings.Contains(string(got.m.Bytes()), "X-Why: gone") {
			t.Errorf("got %v, %v", got.m, got.err)
		}
	})
}

func TestSendEndsByItsContextAndByTimerF(t *testing.T) {
	bubble(t, func(t *testing.T, network *memnet.Network) {
		srv := start(t, network, &ua.Server{})
		p := callee(t, network, transport.UDP)
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		begin := time.Now()
		out := ua.Outgoing{Method: sip.OPTIONS, URI: bob}
		if _, err := srv.Send(ctx, target(p, transport.UDP), out); !errors.Is(err, context.DeadlineExceeded) || time.Since(begin) != 3*time.Second {
			t.Errorf("after %v: %v", time.Since(begin), err)
		}
		for range 3 { // by timer E; nobody takes a request back that is out
			p.WantRequest(sip.OPTIONS)
		}
		if _, err := srv.Send(ctx, target(p, transport.UDP), out); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		if _, err := srv.Invite(ctx, target(p, transport.UDP), ua.InviteOptions{URI: bob}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		p.WantRequest(sip.OPTIONS) // still the first one
		begin = time.Now()
		if _, err := srv.Send(t.Context(), target(p, transport.UDP), out); !errors.Is(err, transaction.ErrTimeout) || time.Since(begin) != 32*time.Second {
			t.Errorf("after %v: %v", time.Since(begin), err)
		}
	})
}

func TestSendIsCheckedBeforeAnythingLeaves(t *testing.T) {
	bubble(t, func(t *testing.T, network *memnet.Network) {
		srv := start(t, network, &ua.Server{})
		p := callee(t, network, transport.UDP)
		for name, out := range map[string]ua.Outgoing{
			"no URI":          {Method: sip.OPTIONS},
			"no method":       {URI: bob},
			"INVITE":          {Method: sip.INVITE, URI: bob},
			"bad URI":         {Method: sip.OPTIONS, URI: "sip:bob@exa mple"},
			"bad From":        {Method: sip.OPTIONS, URI: bob, From: "Bob <sip:x"},
			"tag in From":     {Method: sip.OPTIONS, URI: bob, From: "<sip:x@y>;tag=1"},
			"break in From":   {Method: sip.OPTIONS, URI: bob, From: "<sip:x@y>;a=\"\r\nVia: z\""},
			"break in CallID": {Method: sip.OPTIONS, URI: bob, CallID: "x\r\nVia: z"},
			"sips over UDP":   {Method: sip.OPTIONS, URI: "sips:bob@127.0.0.1"},
		} {
			if _, err := srv.Send(t.Context(), target(p, transport.UDP), out); err == nil {
				t.Errorf("%s: no error", name)
			}
		}
		if _, err := srv.Invite(t.Context(), target(p, transport.UDP), ua.InviteOptions{URI: "sips:bob@127.0.0.1"}); err == nil {
			t.Error("a sips: URI left over UDP")
		}
		if _, err := srv.Connect(t.Context(), ua.Target{Transport: transport.TLS, Addr: at}); err == nil {
			t.Error("TLS without a tls.Config")
		}
		p.WantSilence(time.Minute)
	})
}

func TestInvitePlacesACall(t *testing.T) {
	each(t, func(t *testing.T, network *memnet.Network, tr transport.Transport) {
		srv := start(t, network, &ua.Server{})
		p := callee(t, network, tr)
		var progress []int
		result := place(t.Context(), srv, target(p, tr), ua.InviteOptions{
			To: "sip:bob@b.example", From: "sip:alice@a.example",
			OnProgress: func(m *sip.Message) { progress = append(progress, m.StatusCode()) },
		}, ua.Body("application/sdp", []byte(sdp)))
		invite := p.WantRequest(sip.INVITE)
		if string(invite.Body()) != sdp || invite.Check() != nil {
			t.Errorf("got\n%s", invite.Bytes())
		}
		if contact, err := invite.Contact(); err != nil || string(contact.RawURI) != "sip:alice@127.0.0.1:5060;transport="+tr.String() {
			t.Errorf("Contact %q, %v", contact.RawURI, err)
		}
		p.Reply(invite, 100)
		p.Reply(invite, 180)
		p.Reply(invite, 183)
		route := siptest.Add("Record-Route", "<sip:"+p.Addr().String()+";lr>")
		p.Reply(invite, 200, route, siptest.Body("application/sdp", "answer"))
		ack := p.WantRequest(sip.ACK)
		got := soon(t, result, "Invite")
		if got.err != nil {
			t.Fatal(got.err)
		}
		if !slices.Equal(progress, []int{180, 183}) {
			t.Errorf("progress %v", progress)
		}
		inviteSeq, _ := invite.CSeq()
		ackSeq, _ := ack.CSeq()
		one, _ := invite.Via()
		other, _ := ack.Via()
		if ackSeq.Seq != inviteSeq.Seq || string(one.Branch()) == string(other.Branch()) ||
			string(ack.RequestURI()) != p.URI("bob") || string(ack.First(sip.HdrRoute)) != "<sip:"+p.Addr().String()+";lr>" {
			t.Errorf("ACK\n%s", ack.Bytes())
		}
		if contentType, body := got.call.Answer(); contentType != "application/sdp" || string(body) != "answer" {
			t.Errorf("answer %q of type %q", body, contentType)
		}
		// The 2xx again gets the ACK again.
		p.Reply(invite, 200, route, siptest.Body("application/sdp", "answer"))
		p.WantAgain(ack)

		answer := make(chan error, 1)
		go func() {
			m, err := got.call.Do(t.Context(), sip.INFO, ua.Body("application/dtmf-relay", []byte("Signal=5")))
			if err == nil && m.StatusCode() != 200 {
				err = errors.New(string(m.Reason()))
			}
			answer <- err
		}()
		info := p.WantRequest(sip.INFO)
		if to, _ := info.To(); string(to.Tag()) != "bobtag" || string(info.Body()) != "Signal=5" {
			t.Errorf("INFO\n%s", info.Bytes())
		}
		p.Reply(info, 200)
		if err := soon(t, answer, "Do"); err != nil {
			t.Error(err)
		}
		go func() { answer <- got.call.Bye(t.Context()) }()
		bye := p.WantRequest(sip.BYE)
		p.Reply(bye, 200)
		if err := soon(t, answer, "Bye"); err != nil || got.call.Err() != nil {
			t.Errorf("Bye: %v, call: %v", err, got.call.Err())
		}
		p.WantSilence(time.Minute)
	})
}

func TestCalleeHangsUpACallThatWePlaced(t *testing.T) {
	bubble(t, func(t *testing.T, network *memnet.Network) {
		srv := start(t, network, &ua.Server{})
		p := callee(t, network, transport.TCP)
		result := place(t.Context(), srv, target(p, transport.TCP), ua.InviteOptions{URI: bob})
		invite := p.WantRequest(sip.INVITE)
		p.Reply(invite, 200)
		p.WantRequest(sip.ACK)
		call := soon(t, result, "Invite").call
		p.Send(p.InDialog(sip.OPTIONS))
		p.Want(501) // a server without a Handler is only a client
		p.Send(p.InDialog(sip.BYE))
		p.Want(200)
		<-call.Done()
		if context.Cause(call.Context()) != ua.ErrPeerHungUp || call.Err() != nil {
			t.Errorf("the call ended by %v", context.Cause(call.Context()))
		}
		if _, err := call.Do(t.Context(), sip.INFO); !errors.Is(err, ua.ErrNoCall) {
			t.Errorf("Do: %v, want ErrNoCall", err)
		}
	})
}

func TestInviteIsRefused(t *testing.T) {
	each(t, func(t *testing.T, network *memnet.Network, tr transport.Transport) {
		srv := start(t, network, &ua.Server{})
		p := callee(t, network, tr)
		result := place(t.Context(), srv, target(p, tr), ua.InviteOptions{URI: bob})
		invite := p.WantRequest(sip.INVITE)
		p.Reply(invite, 486, siptest.Add("Retry-After", "30"))
		ack := p.WantRequest(sip.ACK)
		if string(ack.First(sip.HdrVia)) != string(invite.First(sip.HdrVia)) {
			t.Errorf("ACK with Via %s", ack.First(sip.HdrVia))
		}
		got := soon(t, result, "Invite")
		refusal, ok := errors.AsType[*ua.ResponseError](got.err)
		if !ok || refusal.Code != 486 || refusal.Reason != "Busy Here" || string(refusal.Msg.First(sip.HdrRetryAfter)) != "30" {
			t.Errorf("got %v", got.err)
		}
		p.WantSilence(time.Minute)
	})
}

func TestInviteIsCancelledWhenItRings(t *testing.T) {
	each(t, func(t *testing.T, network *memnet.Network, tr transport.Transport) {
		srv := start(t, network, &ua.Server{})
		p := callee(t, network, tr)
		ctx, cancel := context.WithCancelCause(t.Context())
		result := place(ctx, srv, target(p, tr), ua.InviteOptions{URI: bob})
		invite := p.WantRequest(sip.INVITE)
		p.Reply(invite, 180)
		p.WantSilence(100 * time.Millisecond)
		enough := errors.New("enough")
		cancel(enough)
		if got := soon(t, result, "Invite"); !errors.Is(got.err, enough) {
			t.Errorf("Invite: %v", got.err)
		}
		req := p.WantRequest(sip.CANCEL)
		seq, _ := req.CSeq()
		inviteSeq, _ := invite.CSeq()
		if seq.Seq != inviteSeq.Seq || string(req.First(sip.HdrVia)) != string(invite.First(sip.HdrVia)) ||
			string(req.First(sip.HdrTo)) != string(invite.First(sip.HdrTo)) || string(req.RequestURI()) != bob {
			t.Errorf("CANCEL\n%s", req.Bytes())
		}
		p.Reply(req, 200)
		p.Reply(invite, 487)
		p.WantRequest(sip.ACK)
		p.WantSilence(time.Minute)
	})
}

// "If no provisional response has been received, the CANCEL request MUST NOT be
// sent" (RFC 3261 §9.1).
func TestInviteIsNotCancelledBeforeAProvisional(t *testing.T) {
	bubble(t, func(t *testing.T, network *memnet.Network) {
		srv := start(t, network, &ua.Server{})
		p := callee(t, network, transport.TCP)
		ctx, cancel := context.WithCancel(t.Context())
		result := place(ctx, srv, target(p, transport.TCP), ua.InviteOptions{URI: bob})
		invite := p.WantRequest(sip.INVITE)
		cancel()
		if got := soon(t, result, "Invite"); !errors.Is(got.err, context.Canceled) {
			t.Errorf("Invite: %v", got.err)
		}
		p.WantSilence(5 * time.Second)
		p.Reply(invite, 100)
		p.Reply(p.WantRequest(sip.CANCEL), 200)
		p.WantSilence(5 * time.Second)
		p.Reply(invite, 180) // no second CANCEL
		p.Reply(invite, 487)
		p.WantRequest(sip.ACK)
		p.WantSilence(time.Minute)
	})
}

func TestLate200AfterCancelIsHungUp(t *testing.T) {
	bubble(t, func(t *testing.T, network *memnet.Network) {
		srv := start(t, network, &ua.Server{})
		p := callee(t, network, transport.TCP)
		ctx, cancel := context.WithCancel(t.Context())
		result := place(ctx, srv, target(p, transport.TCP), ua.InviteOptions{URI: bob})
		invite := p.WantRequest(sip.INVITE)
		cancel()
		soon(t, result, "Invite")
		p.Reply(invite, 200)
		p.WantRequest(sip.ACK)
		p.Reply(p.WantRequest(sip.BYE), 200)
		p.WantSilence(time.Minute)
	})
}

func TestFirst2xxWinsAndOtherForksAreHungUp(t *testing.T) {
	each(t, func(t *testing.T, network *memnet.Network, tr transport.Transport) {
		srv := start(t, network, &ua.Server{})
		p := callee(t, network, tr)
		result := place(t.Context(), srv, target(p, tr), ua.InviteOptions{URI: bob})
		invite := p.WantRequest(sip.INVITE)
		fork := func(tag string) siptest.Option { return siptest.Set("To", "<"+bob+">;tag="+tag) }
		p.Reply(invite, 180, fork("one"))
		p.Reply(invite, 180, fork("two"))
		p.Reply(invite, 200, fork("two"))
		p.WantRequest(sip.ACK)
		call := soon(t, result, "Invite").call
		if call.RemoteTag() != "two" {
			t.Errorf("the call is with %q", call.RemoteTag())
		}
		p.Reply(invite, 200, fork("one"))
		ack := p.WantRequest(sip.ACK)
		bye := p.WantRequest(sip.BYE)
		for _, m := range []*siptest.Message{ack, bye} {
			if to, _ := m.To(); string(to.Tag()) != "one" {
				t.Errorf("%s to %q", m.Method(), to.Tag())
			}
		}
		p.Reply(bye, 200)
		p.Reply(invite, 200, fork("one")) // again
		p.WantAgain(ack)
		p.WantSilence(time.Second)
		if call.Context().Err() != nil {
			t.Errorf("the call ended: %v", call.Err())
		}
	})
}

func TestReInviteOfOurs(t *testing.T) {
	each(t, func(t *testing.T, network *memnet.Network, tr transport.Transport) {
		srv := start(t, network, &ua.Server{})
		p := callee(t, network, tr)
		result := place(t.Context(), srv, target(p, tr), ua.InviteOptions{URI: bob})
		p.Reply(p.WantRequest(sip.INVITE), 200)
		p.WantRequest(sip.ACK)
		call := soon(t, result, "Invite").call
		answer := make(chan int, 1)
		go func() {
			m, err := call.Do(t.Context(), sip.INVITE, ua.Body("application/sdp", []byte(sdp)))
			if err != nil {
				t.Error(err)
				answer <- 0
				return
			}
			answer <- m.StatusCode()
		}()
		re := p.WantRequest(sip.INVITE)
		if _, err := call.Do(t.Context(), sip.INVITE); !errors.Is(err, ua.ErrInviting) {
			t.Errorf("second re-INVITE: %v", err)
		}
		p.Send(p.InDialog(sip.INVITE))
		glare := p.Want(491)
		p.Send(p.Ack(glare))
		elsewhere := siptest.Set("Contact", "<"+p.URI("elsewhere")+">")
		p.Reply(re, 200, elsewhere)
		ack := p.WantRequest(sip.ACK)
		if code := soon(t, answer, "Do"); code != 200 {
			t.Errorf("got %d", code)
		}
		p.Reply(re, 200, elsewhere)
		p.WantAgain(ack)
		go call.Bye(t.Context())
		bye := p.WantRequest(sip.BYE)
		if string(bye.RequestURI()) != p.URI("elsewhere") {
			t.Errorf("BYE to %s", bye.RequestURI())
		}
		p.Reply(bye, 481) // it is over all the same
		<-call.Done()
	})
}

func TestCallEndsWhenTheOtherSideDoesNotKnowIt(t *testing.T) {
	bubble(t, func(t *testing.T, network *memnet.Network) {
		srv := start(t, network, &ua.Server{})
		p := callee(t, network, transport.UDP)
		connect := func() *ua.Call {
			result := place(t.Context(), srv, target(p, transport.UDP), ua.InviteOptions{URI: bob})
			p.Reply(p.WantRequest(sip.INVITE), 200)
			p.WantRequest(sip.ACK)
			return soon(t, result, "Invite").call
		}
		one := connect()
		go one.Do(t.Context(), sip.INFO)
		p.Reply(p.WantRequest(sip.INFO), 481)
		<-one.Done()
		if e, ok := errors.AsType[*ua.ResponseError](one.Err()); !ok || e.Code != 481 {
			t.Errorf("the call ended with %v", one.Err())
		}
		two := connect()
		answer := make(chan error, 1)
		go func() {
			_, err := two.Do(t.Context(), sip.INFO)
			answer <- err
		}()
		for range 11 { // timer E: no answer
			p.WantRequest(sip.INFO)
		}
		if err := soon(t, answer, "Do"); !errors.Is(err, transaction.ErrTimeout) {
			t.Errorf("Do: %v", err)
		}
		p.Reply(p.WantRequest(sip.BYE), 200)
		<-two.Done()
		if !errors.Is(two.Err(), transaction.ErrTimeout) {
			t.Errorf("the call ended with %v", two.Err())
		}
	})
}

// A call outlives its connection: the next request goes to the target anew.
func TestCallFindsItsTargetAgain(t *testing.T) {
	bubble(t, func(t *testing.T, network *memnet.Network) {
		srv := start(t, network, &ua.Server{})
		p := callee(t, network, transport.TCP)
		result := place(t.Context(), srv, target(p, transport.TCP), ua.InviteOptions{URI: bob})
		p.Accepted()
		p.Reply(p.WantRequest(sip.INVITE), 200)
		p.WantRequest(sip.ACK)
		call := soon(t, result, "Invite").call
		p.HangUp()
		p.WantSilence(time.Second)
		ended := make(chan error, 1)
		go func() { ended <- call.Bye(t.Context()) }()
		p.Accepted()
		p.Reply(p.WantRequest(sip.BYE), 200)
		if err := soon(t, ended, "Bye"); err != nil {
			t.Error(err)
		}
	})
}
