package ua_test

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sallyport-sip/sallyport/internal/memnet"
	"github.com/sallyport-sip/sallyport/sip"
	"github.com/sallyport-sip/sallyport/sip/siptest"
	"github.com/sallyport-sip/sallyport/sip/transport"
	"github.com/sallyport-sip/sallyport/sip/ua"
)

const bob = "sip:bob@127.0.0.1"

// accepting is a handler that accepts every INVITE with sdp and passes on the
// call.
func accepting(t *testing.T, calls chan<- *ua.Call) ua.Handler {
	return ua.HandlerFunc(func(r *ua.Request) {
		if r.Msg.Method() != sip.INVITE {
			if err := r.Reply(200); err != nil {
				t.Error(err)
			}
			return
		}
		call, err := r.Accept(ua.Body("application/sdp", []byte(sdp)))
		if err != nil {
			t.Error(err)
			return
		}
		calls <- call
	})
}

func TestRequestIsAnswered(t *testing.T) {
	each(t, func(t *testing.T, network *memnet.Network, tr transport.Transport) {
		start(t, network, &ua.Server{Handler: ua.HandlerFunc(func(r *ua.Request) {
			if r.Conn().Transport() != tr || !r.Source().IsValid() || r.TLS() != nil || r.Call() != nil {
				t.Errorf("request on %v from %v", r.Conn(), r.Source())
			}
			if err := r.Reply(200, ua.Header("Allow", "OPTIONS"), ua.Reason("Fine"), ua.Body("text/plain", []byte("hello"))); err != nil {
				t.Error(err)
			}
			if err := r.Reply(200); !errors.Is(err, ua.ErrAnswered) {
				t.Errorf("second reply: %v, want ErrAnswered", err)
			}
		})})
		p := peer(t, network, tr)
		p.Send(p.Request(sip.OPTIONS, bob))
		ok := p.Want(200)
		to, _ := ok.To()
		if string(ok.Reason()) != "Fine" || string(ok.First(sip.HdrAllow)) != "OPTIONS" || string(ok.Body()) != "hello" || to.Tag() == nil {
			t.Errorf("got\n%s", ok.Bytes())
		}
	})
}

func TestRepliesAreChecked(t *testing.T) {
	bubble(t, func(t *testing.T, network *memnet.Network) {
		start(t, network, &ua.Server{Handler: ua.HandlerFunc(func(r *ua.Request) {
			for name, err := range map[string]error{
				"status too low":     r.Reply(100),
				"status too high":    r.Reply(700),
				"line break":         r.Reply(200, ua.Header("X", "a\r\nVia: b")),
				"header name":        r.Reply(200, ua.Header("X Y", "a")),
				"the library's own":  r.Reply(200, ua.Header("via", "a")),
				"line break, reason": r.Reply(200, ua.Reason("a\nb")),
				"no content type":    r.Reply(200, ua.Body("", []byte("a"))),
			} {
				if err == nil {
					t.Errorf("%s: no error", name)
				}
			}
			if _, err := r.Accept(); err == nil {
				t.Error("an OPTIONS was accepted")
			}
		})})
		p := peer(t, network, transport.UDP)
		p.Send(p.Request(sip.OPTIONS, bob))
		p.Want(500) // the handler returned without an answer
	})
}

func TestInviteWithoutAnswerGets500(t *testing.T) {
	each(t, func(t *testing.T, network *memnet.Network, tr transport.Transport) {
		start(t, network, &ua.Server{Handler: ua.HandlerFunc(func(r *ua.Request) {
			if err := r.Reply(200); err == nil {
				t.Error("Reply took a 2xx to an INVITE")
			}
		})})
		p := peer(t, network, tr)
		p.Send(p.Request(sip.INVITE, bob))
		p.Send(p.Ack(p.Want(500)))
		p.WantSilence(time.Minute)
	})
}

func TestCallIsAcceptedAndEndedByTheCaller(t *testing.T) {
	each(t, func(t *testing.T, network *memnet.Network, tr transport.Transport) {
		calls := make(chan *ua.Call, 1)
		start(t, network, &ua.Server{Handler: ua.HandlerFunc(func(r *ua.Request) {
			if err := r.Reply(180); err != nil {
				t.Error(err)
			}
			call, err := r.Accept(ua.Body("application/sdp", []byte(sdp)))
			if err != nil {
				t.Error(err)
				return
			}
			calls <- call
			<-r.Context().Done() // the library answers the BYE meanwhile
			if cause := context.Cause(r.Context()); cause != ua.ErrPeerHungUp {
				t.Errorf("the request's context ended by %v", cause)
			}
		})})
		p := peer(t, network, tr)
		p.Send(p.Request(sip.INVITE, bob, siptest.Add("Record-Route", "<sip:10.0.0.1;lr>, <sip:10.0.0.2;lr>")))
		ringing := p.Want(180)
		ok := p.Want(200)
		one, _ := ringing.To()
		other, _ := ok.To()
		if one.Tag() == nil || string(one.Tag()) != string(other.Tag()) {
			t.Errorf("To tags %q and %q, want the same", one.Tag(), other.Tag())
		}
		if got := slices.Collect(ok.Values(sip.HdrRecordRoute)); len(got) != 2 || string(got[0]) != "<sip:10.0.0.1;lr>" {
			t.Errorf("Record-Route %q", got)
		}
		if contact, err := ok.Contact(); err != nil || string(contact.RawURI) != "sip:bob@127.0.0.1:5060;transport="+tr.String() {
			t.Errorf("Contact %q, %v", contact.RawURI, err)
		}
		call := <-calls
		p.Send(p.Ack(ok, siptest.Body("application/sdp", "answer")))
		<-call.Confirmed()
		if contentType, body := call.Answer(); contentType != "application/sdp" || string(body) != "answer" {
			t.Errorf("answer %q of type %q", body, contentType)
		}
		if call.CallID() != string(ok.CallID()) || call.LocalTag() != string(other.Tag()) || call.RemoteTag() != "alicetag" {
			t.Errorf("dialog %q %q %q", call.CallID(), call.LocalTag(), call.RemoteTag())
		}
		p.WantSilence(time.Minute)
		p.Send(p.InDialog(sip.BYE))
		p.Want(200)
		<-call.Done()
		if call.Err() != nil {
			t.Errorf("the call ended with %v", call.Err())
		}
		if err := call.Bye(t.Context()); err != nil {
			t.Errorf("Bye on a call that is over: %v", err)
		}
		p.Send(p.InDialog(sip.BYE))
		p.Want(481)
	})
}

// The 200 comes at T1, then after intervals that double up to T2 (RFC 3261
// §13.3.1.4); without an ACK a BYE follows after 64*T1.
func TestAcceptedCallWithoutAck(t *testing.T) {
	each(t, func(t *testing.T, network *memnet.Network, tr transport.Transport) {
		calls := make(chan *ua.Call, 1)
		start(t, network, &ua.Server{Handler: accepting(t, calls)})
		p := peer(t, network, tr)
		p.Send(p.Request(sip.INVITE, bob))
		ok := p.Want(200)
		begin := time.Now()
		call := <-calls
		for _, after := range []int{500, 1500, 3500, 7500, 11500, 15500, 19500, 23500, 27500, 31500} {
			p.WantAgain(ok)
			if got := time.Since(begin); got != time.Duration(after)*time.Millisecond {
				t.Errorf("200 again after %v, want %d ms", got, after)
			}
		}
		bye := p.WantRequest(sip.BYE)
		if got := time.Since(begin); got != 32*time.Second {
			t.Errorf("BYE after %v, want 64*T1", got)
		}
		p.Reply(bye, 200)
		<-call.Done()
		if !errors.Is(call.Err(), ua.ErrNoAck) {
			t.Errorf("the call ended with %v, want ErrNoAck", call.Err())
		}
		select {
		case <-call.Confirmed():
			t.Error("the call counts as confirmed")
		default:
		}
	})
}

func TestCalleeHangsUpOnlyAfterTheAck(t *testing.T) {
	bubble(t, func(t *testing.T, network *memnet.Network) {
		calls := make(chan *ua.Call, 1)
		start(t, network, &ua.Server{Handler: accepting(t, calls)})
		p := peer(t, network, transport.TCP)
		p.Send(p.Request(sip.INVITE, bob))
		ok := p.Want(200)
		call := <-calls
		bye := make(chan error, 1)
		go func() { bye <- call.Bye(t.Context(), ua.Header("Reason", "Q.850;cause=16")) }()
		p.WantSilence(400 * time.Millisecond)
		p.Send(p.Ack(ok))
		req := p.WantRequest(sip.BYE)
		if string(req.First(sip.HdrReason)) != "Q.850;cause=16" || string(req.RequestURI()) != p.URI("alice") {
			t.Errorf("got\n%s", req.Bytes())
		}
		p.Reply(req, 200)
		if err := soon(t, bye, "Bye"); err != nil {
			t.Error(err)
		}
		if call.Err() != nil || context.Cause(call.Context()) != ua.ErrHungUp {
			t.Errorf("the call ended with %v, cause %v", call.Err(), context.Cause(call.Context()))
		}
	})
}

func TestCancelGets200ThenTheInvite487(t *testing.T) {
	each(t, func(t *testing.T, network *memnet.Network, tr transport.Transport) {
		ended := make(chan error, 1)
		start(t, network, &ua.Server{Handler: ua.HandlerFunc(func(r *ua.Request) {
			if err := r.Reply(180); err != nil {
				t.Error(err)
			}
			<-r.Context().Done()
			if err := r.Reply(486); !errors.Is(err, ua.ErrCancelled) {
				t.Errorf("Reply: %v, want ErrCancelled", err)
			}
			_, err := r.Accept()
			if cause := context.Cause(r.Context()); cause != ua.ErrCancelled {
				t.Errorf("context ended by %v", cause)
			}
			ended <- err
		})})
		p := peer(t, network, tr)
		p.Send(p.Request(sip.INVITE, bob))
		p.Want(180)
		p.Send(p.Cancel())
		ok := p.Want(200)
		if ok.Method() != sip.CANCEL {
			t.Errorf("200 to %s", ok.Method())
		}
		gone := p.Want(487)
		if string(ok.First(sip.HdrTo)) != string(gone.First(sip.HdrTo)) {
			t.Errorf("To of the CANCEL's 200 is %s, of the 487 %s", ok.First(sip.HdrTo), gone.First(sip.HdrTo))
		}
		if gone.Method() != sip.INVITE {
			t.Errorf("487 to %s", gone.Method())
		}
		p.Send(p.Ack(gone))
		if err := <-ended; !errors.Is(err, ua.ErrCancelled) {
			t.Errorf("Accept: %v, want ErrCancelled", err)
		}
		p.WantSilence(time.Minute)
	})
}

func TestCancelForUnknownGets481(t *testing.T) {
	bubble(t, func(t *testing.T, network *memnet.Network) {
		calls := make(chan *ua.Call, 1)
		start(t, network, &ua.Server{Handler: accepting(t, calls)})
		p := peer(t, network, transport.UDP)
		p.Send(p.Request(sip.INVITE, bob))
		p.Send(p.Ack(p.Want(200)))
		p.Send(p.Cancel()) // it has an answer: the CANCEL has no effect, but a 200
		p.Want(200)
		p.Send(p.Cancel(siptest.Set("Via", "SIP/2.0/UDP "+p.Addr().String()+";branch=z9hG4bKother")))
		p.Want(481)
		if call := <-calls; call.Context().Err() != nil {
			t.Errorf("the call ended: %v", call.Err())
		}
	})
}

func TestByeEndsAnEarlyDialog(t *testing.T) {
	bubble(t, func(t *testing.T, network *memnet.Network) {
		start(t, network, &ua.Server{Handler: ua.HandlerFunc(func(r *ua.Request) {
			if err := r.Reply(183); err != nil {
				t.Error(err)
			}
			<-r.Context().Done()
			if cause := context.Cause(r.Context()); cause != ua.ErrCancelled {
				t.Errorf("context ended by %v", cause)
			}
		})})
		p := peer(t, network, transport.TCP)
		p.Send(p.Request(sip.INVITE, bob))
		p.Want(183)
		p.Send(p.InDialog(sip.BYE))
		if ok := p.Want(200); ok.Method() != sip.BYE {
			t.Errorf("200 to %s", ok.Method())
		}
		p.Send(p.Ack(p.Want(487)))
		p.WantSilence(time.Minute)
	})
}

func TestRequestsInNoDialogGet481(t *testing.T) {
	bubble(t, func(t *testing.T, network *memnet.Network) {
		start(t, network, &ua.Server{Handler: ua.HandlerFunc(func(r *ua.Request) {
			t.Errorf("the handler got a %s", r.Msg.Method())
		})})
		p := peer(t, network, transport.TCP)
		for _, method := range []sip.Method{sip.INVITE, sip.BYE, sip.UPDATE, sip.INFO, sip.PRACK} {
			p.Send(p.Request(method, bob, siptest.Set("To", "<"+bob+">;tag=gone")))
			no := p.Want(481)
			if method == sip.INVITE {
				p.Send(p.Ack(no))
			}
		}
		p.Send(p.Request(sip.BYE, bob))
		p.Want(481)
		p.Send(p.Request(sip.ACK, bob, siptest.Set("To", "<"+bob+">;tag=gone")))
		p.WantSilence(time.Minute)
	})
}

func TestUnknownExtensionGets420(t *testing.T) {
	bubble(t, func(t *testing.T, network *memnet.Network) {
		start(t, network, &ua.Server{Supported: []string{"timer"}, Handler: ua.HandlerFunc(func(r *ua.Request) {
			if err := r.Reply(200); err != nil {
				t.Error(err)
			}
		})})
		p := peer(t, network, transport.UDP)
		p.Send(p.Request(sip.OPTIONS, bob, siptest.Set("Require", "Timer")))
		p.Want(200)
		p.Send(p.Request(sip.OPTIONS, bob, siptest.Set("Require", "timer, 100rel, x")))
		if no := p.Want(420); string(no.First(sip.HdrUnsupported)) != "100rel, x" {
			t.Errorf("Unsupported: %s", no.First(sip.HdrUnsupported))
		}
	})
}

func TestReInviteComesToTheHandler(t *testing.T) {
	bubble(t, func(t *testing.T, network *memnet.Network) {
		calls := make(chan *ua.Call, 2)
		start(t, network, &ua.Server{Handler: accepting(t, calls)})
		p := peer(t, network, transport.TCP)
		p.Send(p.Request(sip.INVITE, bob))
		p.Send(p.Ack(p.Want(200)))
		p.Send(p.InDialog(sip.INVITE, siptest.Set("Contact", "<sip:elsewhere@127.0.0.1:9>")))
		p.Send(p.Ack(p.Want(200)))
		call, again := <-calls, <-calls
		if call != again {
			t.Error("the re-INVITE made another call")
		}
		p.Send(p.InDialog(sip.OPTIONS, siptest.Set("CSeq", "1 OPTIONS")))
		p.Want(500) // an old CSeq
		go call.Bye(t.Context())
		bye := p.WantRequest(sip.BYE)
		if string(bye.RequestURI()) != "sip:elsewhere@127.0.0.1:9" {
			t.Errorf("BYE to %s, want the new Contact", bye.RequestURI())
		}
		p.Reply(bye, 200)
		<-call.Done()
	})
}

// While one INVITE has no final response, another in the same dialog gets a 500
// with Retry-After; other pending requests get a 487 when a BYE comes.
func TestRequestsThatWaitWhenTheCallEnds(t *testing.T) {
	bubble(t, func(t *testing.T, network *memnet.Network) {
		calls := make(chan *ua.Call, 1)
		start(t, network, &ua.Server{Handler: ua.HandlerFunc(func(r *ua.Request) {
			if r.Call() != nil {
				<-r.Context().Done()
				return
			}
			accepting(t, calls).ServeSIP(r)
		})})
		p := peer(t, network, transport.TCP)
		p.Send(p.Request(sip.INVITE, bob))
		p.Send(p.Ack(p.Want(200)))
		p.Send(p.InDialog(sip.INVITE))
		first := p.Next() // 100
		p.Send(p.InDialog(sip.INVITE))
		no := p.Want(500)
		if seconds, err := strconv.Atoi(string(no.First(sip.HdrRetryAfter))); err != nil || seconds > 10 {
			t.Errorf("Retry-After %q", no.First(sip.HdrRetryAfter))
		}
		p.Send(p.Ack(no))
		p.Send(p.InDialog(sip.BYE))
		p.Want(200)
		if got := p.Want(487); string(got.First(sip.HdrCSeq)) != string(first.First(sip.HdrCSeq)) {
			t.Errorf("487 with CSeq %s, want %s", got.First(sip.HdrCSeq), first.First(sip.HdrCSeq))
		}
		<-(<-calls).Done()
	})
}

func TestHandlersRunInOrderPerCallID(t *testing.T) {
	const calls, requests = 40, 25
	bubble(t, func(t *testing.T, network *memnet.Network) {
		var mu sync.Mutex
		got := map[string][]uint32{}
		start(t, network, &ua.Server{Hooks: transport.Hooks{Identify: everybody}, Handler: ua.HandlerFunc(func(r *ua.Request) {
			cseq, _ := r.Msg.CSeq()
			time.Sleep(time.Duration(cseq.Seq%3) * time.Millisecond) // it may block
			mu.Lock()
			got[string(r.Msg.CallID())] = append(got[string(r.Msg.CallID())], cseq.Seq)
			mu.Unlock()
			if err := r.Reply(200); err != nil {
				t.Error(err)
			}
		})})
		p := peer(t, network, transport.TCP)
		for n := range requests {
			for c := range calls {
				p.Send(p.Request(sip.INFO, bob,
					siptest.Set("Call-ID", "call-"+strconv.Itoa(c)), siptest.Set("CSeq", strconv.Itoa(n+1)+" INFO")))
			}
		}
		for range calls * requests {
			p.Want(200)
		}
		if len(got) != calls {
			t.Errorf("%d calls, want %d", len(got), calls)
		}
		for id, seqs := range got {
			if len(seqs) != requests || !slices.IsSorted(seqs) {
				t.Errorf("%s: order %v", id, seqs)
			}
		}
	})
}

func TestHandlerThatBlocksHoldsUpItsOwnCallIDOnly(t *testing.T) {
	bubble(t, func(t *testing.T, network *memnet.Network) {
		release := make(chan struct{})
		start(t, network, &ua.Server{Shards: 1, Handler: ua.HandlerFunc(func(r *ua.Request) {
			if string(r.Msg.CallID()) == "slow" {
				<-release
			}
			if err := r.Reply(200); err != nil {
				t.Error(err)
			}
		})})
		p := peer(t, network, transport.TCP)
		const waiting = 64 // behind the one that blocks
		for range 1 + waiting + 1 {
			p.Send(p.Request(sip.INFO, bob, siptest.Set("Call-ID", "slow")))
		}
		if no := p.Want(503); no.First(sip.HdrRetryAfter) == nil {
			t.Error("503 without Retry-After")
		}
		p.Send(p.Request(sip.INFO, bob))
		p.Want(200)
		p.WantSilence(time.Second)
		close(release)
		for range 1 + waiting {
			p.Want(200)
		}
	})
}

func TestCloseEndsHandlersAndCalls(t *testing.T) {
	bubble(t, func(t *testing.T, network *memnet.Network) {
		calls := make(chan *ua.Call, 1)
		blocked := make(chan struct{})
		srv := &ua.Server{Network: network, Shards: 2}
		srv.Handler = ua.HandlerFunc(func(r *ua.Request) {
			if r.Msg.Method() == sip.INVITE {
				accepting(t, calls).ServeSIP(r)
				return
			}
			close(blocked)
			<-r.Context().Done()
			if cause := context.Cause(r.Context()); cause != ua.ErrServerClosed {
				t.Errorf("context ended by %v", cause)
			}
		})
		if err := srv.Start(); err != nil {
			t.Fatal(err)
		}
		if _, err := srv.Listen(transport.ListenConfig{Transport: transport.UDP, Addr: at}); err != nil {
			t.Fatal(err)
		}
		p := peer(t, network, transport.UDP)
		p.Send(p.Request(sip.INVITE, bob))
		p.Send(p.Ack(p.Want(200)))
		p.Send(p.Request(sip.INFO, bob))
		call := <-calls
		<-blocked
		if err := srv.Close(t.Context()); err != nil {
			t.Error(err)
		}
		<-call.Done()
		if !errors.Is(call.Err(), ua.ErrServerClosed) {
			t.Errorf("the call ended with %v", call.Err())
		}
		if err := call.Bye(t.Context()); !errors.Is(err, ua.ErrServerClosed) {
			t.Errorf("Bye: %v", err)
		}
		if _, err := srv.Send(t.Context(), target(p, transport.UDP), ua.Outgoing{Method: sip.OPTIONS, URI: bob}); err == nil {
			t.Error("Send on a closed server succeeded")
		}
		synctest.Wait() // goleak and the bubble see what is left
	})
}
