package ua_test

import (
	"context"
	"errors"
	"net/netip"
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

// called lets p call the server, which accepts.
func called(t *testing.T, p *siptest.Peer, calls <-chan *ua.Call) *ua.Call {
	t.Helper()
	p.Send(p.Request(sip.INVITE, bob))
	p.Send(p.Ack(p.Want(200)))
	call := soon(t, calls, "a call")
	<-call.Confirmed()
	return call
}

func TestCallOfAKnownPeerMovesToItsOtherConnection(t *testing.T) {
	bubble(t, func(t *testing.T, network *memnet.Network) {
		calls := make(chan *ua.Call, 1)
		start(t, network, &ua.Server{Handler: accepting(t, calls), Hooks: transport.Hooks{Identify: everybody}})
		p := peer(t, network, transport.TCP)
		call := called(t, p, calls)
		if call.Conn().Identity().Peer != "alice" {
			t.Errorf("identity %+v", call.Conn().Identity())
		}
		q := named(t, network, transport.TCP, "second")
		p.HangUp()
		q.WantSilence(time.Second)
		go call.Bye(t.Context())
		q.Reply(q.WantRequest(sip.BYE), 200)
		<-call.Done()
	})
}

func TestCallOfAStrangerEndsWithItsConnection(t *testing.T) {
	bubble(t, func(t *testing.T, network *memnet.Network) {
		calls := make(chan *ua.Call, 1)
		start(t, network, &ua.Server{Handler: accepting(t, calls)})
		p := peer(t, network, transport.TCP)
		call := called(t, p, calls)
		p.HangUp()
		p.WantSilence(time.Second)
		if _, err := call.Do(t.Context(), sip.INFO); !errors.Is(err, transport.ErrClosed) {
			t.Errorf("Do: %v", err)
		}
		// A caller that comes back on a new connection has its call again.
		p.Dial(at)
		p.Send(p.InDialog(sip.INFO))
		p.Want(200)
		go call.Bye(t.Context())
		p.Reply(p.WantRequest(sip.BYE), 200)
		<-call.Done()
	})
}

func TestByeFollowsTheRouteOnUDP(t *testing.T) {
	bubble(t, func(t *testing.T, network *memnet.Network) {
		calls := make(chan *ua.Call, 3)
		start(t, network, &ua.Server{Handler: accepting(t, calls)})
		p := peer(t, network, transport.UDP)
		proxy := siptest.New(t, siptest.Config{Name: "proxy", Network: network, Addr: netip.MustParseAddrPort("10.0.0.1:5060")})
		for contact, receiver := range map[string]*siptest.Peer{
			"<sip:alice@10.0.0.1>":           proxy, // an address, port 5060
			"<sip:alice@phone.example:5060>": p,     // a name, which is not looked up
		} {
			p.Send(p.Request(sip.INVITE, bob, siptest.Set("Contact", contact)))
			p.Send(p.Ack(p.Want(200)))
			call := soon(t, calls, "a call")
			<-call.Confirmed()
			go call.Bye(t.Context())
			receiver.Reply(receiver.WantRequest(sip.BYE), 200)
			<-call.Done()
		}
		p.Send(p.Request(sip.INVITE, bob, siptest.Add("Record-Route", "<sip:10.0.0.1;lr>")))
		p.Send(p.Ack(p.Want(200)))
		call := soon(t, calls, "a call")
		<-call.Confirmed()
		go call.Bye(t.Context())
		bye := proxy.WantRequest(sip.BYE)
		if string(bye.First(sip.HdrRoute)) != "<sip:10.0.0.1;lr>" || string(bye.RequestURI()) != p.URI("alice") {
			t.Errorf("BYE\n%s", bye.Bytes())
		}
		proxy.Reply(bye, 200)
		<-call.Done()
	})
}

func TestReInviteOfOursIsCancelled(t *testing.T) {
	bubble(t, func(t *testing.T, network *memnet.Network) {
		calls := make(chan *ua.Call, 1)
		start(t, network, &ua.Server{Handler: accepting(t, calls)})
		p := peer(t, network, transport.TCP)
		call := called(t, p, calls)
		ctx, cancel := context.WithCancel(t.Context())
		result := make(chan error, 1)
		go func() {
			_, err := call.Do(ctx, sip.INVITE)
			result <- err
		}()
		re := p.WantRequest(sip.INVITE)
		p.Reply(re, 180)
		p.WantSilence(time.Second)
		cancel()
		if err := soon(t, result, "Do"); !errors.Is(err, context.Canceled) {
			t.Errorf("Do: %v", err)
		}
		p.Reply(p.WantRequest(sip.CANCEL), 200)
		p.Reply(re, 487)
		p.WantRequest(sip.ACK)
		p.WantSilence(time.Minute)
		if call.Context().Err() != nil {
			t.Errorf("the call ended: %v", call.Err())
		}
	})
}

func TestReInviteOfTheirsIsCancelled(t *testing.T) {
	bubble(t, func(t *testing.T, network *memnet.Network) {
		calls := make(chan *ua.Call, 1)
		waiting := make(chan struct{})
		start(t, network, &ua.Server{Handler: ua.HandlerFunc(func(r *ua.Request) {
			if r.Call() == nil {
				accepting(t, calls).ServeSIP(r)
				return
			}
			if _, err := r.Call().Do(r.Context(), sip.INVITE); !errors.Is(err, ua.ErrInviting) {
				t.Errorf("a re-INVITE of ours crossed theirs: %v", err)
			}
			close(waiting)
			<-r.Context().Done()
		})})
		p := peer(t, network, transport.TCP)
		call := called(t, p, calls)
		p.Send(p.InDialog(sip.INVITE))
		p.Want(100)
		<-waiting
		p.Send(p.Cancel())
		p.Want(200)
		p.Send(p.Ack(p.Want(487)))
		p.WantSilence(time.Minute)
		if call.Context().Err() != nil {
			t.Errorf("the call ended: %v", call.Err())
		}
	})
}

func TestCallThatAnswers408IsHungUp(t *testing.T) {
	bubble(t, func(t *testing.T, network *memnet.Network) {
		calls := make(chan *ua.Call, 1)
		start(t, network, &ua.Server{Handler: accepting(t, calls)})
		p := peer(t, network, transport.TCP)
		call := called(t, p, calls)
		go call.Do(t.Context(), sip.UPDATE)
		p.Reply(p.WantRequest(sip.UPDATE), 408)
		p.Reply(p.WantRequest(sip.BYE), 200)
		<-call.Done()
		if e, ok := errors.AsType[*ua.ResponseError](call.Err()); !ok || e.Code != 408 {
			t.Errorf("the call ended with %v", call.Err())
		}
	})
}

func TestByeWithoutAnswer(t *testing.T) {
	bubble(t, func(t *testing.T, network *memnet.Network) {
		calls := make(chan *ua.Call, 1)
		start(t, network, &ua.Server{Handler: accepting(t, calls)})
		p := peer(t, network, transport.TCP)
		call := called(t, p, calls)
		gone, stop := context.WithCancel(t.Context())
		stop()
		if _, err := call.Do(gone, sip.INFO); !errors.Is(err, context.Canceled) {
			t.Errorf("Do: %v", err)
		}
		p.WantSilence(time.Second)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := call.Bye(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Bye: %v", err)
		}
		p.WantRequest(sip.BYE)
		p.Send(p.InDialog(sip.INFO))
		p.Want(481) // we have said that it is over
		if _, err := call.Do(t.Context(), sip.INFO); !errors.Is(err, ua.ErrNoCall) {
			t.Errorf("Do: %v", err)
		}
		if err := call.Bye(t.Context()); !errors.Is(err, transaction.ErrTimeout) {
			t.Errorf("Bye: %v", err)
		}
		if call.Err() != nil {
			t.Errorf("the call ended with %v", call.Err())
		}
	})
}

func TestByesThatCross(t *testing.T) {
	bubble(t, func(t *testing.T, network *memnet.Network) {
		calls := make(chan *ua.Call, 1)
		start(t, network, &ua.Server{Handler: accepting(t, calls)})
		p := peer(t, network, transport.TCP)
		call := called(t, p, calls)
		result := make(chan error, 1)
		go func() { result <- call.Bye(t.Context()) }()
		bye := p.WantRequest(sip.BYE)
		p.Send(p.InDialog(sip.BYE))
		p.Want(200)
		if err := soon(t, result, "Bye"); err != nil {
			t.Error(err)
		}
		p.Reply(bye, 481)
		p.WantSilence(time.Minute)
	})
}

// A request other than INVITE that nobody answers in 64*T1 ends with its
// transaction (RFC 4320 §4.2 forbids a 408).
func TestHandlerThatIsTooSlow(t *testing.T) {
	bubble(t, func(t *testing.T, network *memnet.Network) {
		done := make(chan error, 1)
		start(t, network, &ua.Server{Handler: ua.HandlerFunc(func(r *ua.Request) {
			<-r.Context().Done()
			if cause := context.Cause(r.Context()); !errors.Is(cause, transaction.ErrTimeout) {
				t.Errorf("context ended by %v", cause)
			}
			done <- r.Reply(200)
		})})
		p := peer(t, network, transport.TCP)
		p.Send(p.Request(sip.OPTIONS, bob))
		if err := soon(t, done, "Reply"); !errors.Is(err, ua.ErrAnswered) {
			t.Errorf("Reply: %v", err)
		}
	})
}

func TestInviteKeepsCredentialsInItsAck(t *testing.T) {
	bubble(t, func(t *testing.T, network *memnet.Network) {
		srv := start(t, network, &ua.Server{Advertise: func(*transport.Conn) string { return "gw.example:5070" }})
		p := callee(t, network, transport.TCP)
		result := place(t.Context(), srv, target(p, transport.TCP), ua.InviteOptions{URI: bob},
			ua.Header("Proxy-Authorization", "Digest x"), ua.Header("Contact", "<sip:me@gw.example>"))
		invite := p.WantRequest(sip.INVITE)
		via, _ := invite.Via()
		contacts := strings.Count(string(invite.Bytes()), "\r\nContact:")
		if string(via.Host) != "gw.example" || via.Port != 5070 || contacts != 1 || string(invite.First(sip.HdrContact)) != "<sip:me@gw.example>" {
			t.Errorf("INVITE\n%s", invite.Bytes())
		}
		p.Reply(invite, 200)
		ack := p.WantRequest(sip.ACK)
		if string(ack.First(sip.HdrProxyAuthorization)) != "Digest x" {
			t.Errorf("ACK\n%s", ack.Bytes())
		}
		call := soon(t, result, "Invite").call
		go call.Do(t.Context(), sip.INVITE)
		if re := p.WantRequest(sip.INVITE); string(re.First(sip.HdrContact)) != "<sip:me@gw.example>" {
			t.Errorf("re-INVITE\n%s", re.Bytes())
		}
	})
}

func TestInviteWithoutAnAnswer(t *testing.T) {
	bubble(t, func(t *testing.T, network *memnet.Network) {
		srv := start(t, network, &ua.Server{})
		p := callee(t, network, transport.TCP)
		begin := time.Now()
		_, err := srv.Invite(t.Context(), target(p, transport.TCP), ua.InviteOptions{URI: bob})
		if !errors.Is(err, transaction.ErrTimeout) || time.Since(begin) != 32*time.Second {
			t.Errorf("after %v: %v", time.Since(begin), err)
		}
		p.WantRequest(sip.INVITE)
		result := place(t.Context(), srv, target(p, transport.TCP), ua.InviteOptions{URI: bob})
		p.Reply(p.WantRequest(sip.INVITE), 200, siptest.Set("Contact", "<tel:+1>"))
		if got := soon(t, result, "Invite"); got.err == nil {
			t.Error("a call with somebody who cannot be reached")
		}
	})
}

func TestInviteNeedsTheUpperLevel(t *testing.T) {
	bubble(t, func(t *testing.T, network *memnet.Network) {
		srv := start(t, network, &ua.Server{ShardHandler: shardFunc(fine)})
		p := callee(t, network, transport.TCP)
		if _, err := srv.Invite(t.Context(), target(p, transport.TCP), ua.InviteOptions{URI: bob}); err == nil {
			t.Error("a server with a ShardHandler placed a call")
		}
		// Send works on both levels.
		sent := make(chan error, 1)
		go func() {
			_, err := srv.Send(t.Context(), target(p, transport.TCP), ua.Outgoing{Method: sip.OPTIONS, URI: bob})
			sent <- err
		}()
		p.Reply(p.WantRequest(sip.OPTIONS), 200)
		if err := soon(t, sent, "Send"); err != nil {
			t.Errorf("Send: %v", err)
		}
		var idle ua.Server
		if _, err := idle.Send(t.Context(), target(p, transport.TCP), ua.Outgoing{Method: sip.OPTIONS, URI: bob}); err == nil {
			t.Error("a server that was not started sent something")
		}
	})
}

func TestCloseFailsWhatIsUnderWay(t *testing.T) {
	bubble(t, func(t *testing.T, network *memnet.Network) {
		srv := &ua.Server{Network: network, Shards: 2}
		if err := srv.Start(); err != nil {
			t.Fatal(err)
		}
		if _, err := srv.Listen(transport.ListenConfig{Transport: transport.UDP, Addr: at}); err != nil {
			t.Fatal(err)
		}
		p := callee(t, network, transport.UDP)
		invite := place(t.Context(), srv, target(p, transport.UDP), ua.InviteOptions{URI: bob})
		p.Reply(p.WantRequest(sip.INVITE), 180)
		sent := make(chan error, 1)
		go func() {
			_, err := srv.Send(t.Context(), target(p, transport.UDP), ua.Outgoing{Method: sip.OPTIONS, URI: bob})
			sent <- err
		}()
		p.WantRequest(sip.OPTIONS)
		if err := srv.Close(t.Context()); err != nil {
			t.Error(err)
		}
		if got := soon(t, invite, "Invite"); !errors.Is(got.err, ua.ErrServerClosed) {
			t.Errorf("Invite: %v", got.err)
		}
		if err := soon(t, sent, "Send"); !errors.Is(err, ua.ErrServerClosed) {
			t.Errorf("Send: %v", err)
		}
		if srv.Do(0, func(*ua.Shard) { t.Error("a shard that has ended did something") }) {
			t.Error("Do on a closed server says true")
		}
	})
}
