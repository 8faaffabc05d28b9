package ua_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sallyport-sip/sallyport/internal/memnet"
	"github.com/sallyport-sip/sallyport/sip"
	"github.com/sallyport-sip/sallyport/sip/siptest"
	"github.com/sallyport-sip/sallyport/sip/transport"
	"github.com/sallyport-sip/sallyport/sip/ua"
)

// accepted is a server that has accepted a call of alice's over TCP.
func accepted(t *testing.T, network *memnet.Network, srv *ua.Server) (*ua.Server, *siptest.Peer, *ua.Call) {
	t.Helper()
	calls := make(chan *ua.Call, 1)
	srv.Handler, srv.Identify = accepting(t, calls), everybody
	start(t, network, srv)
	p := peer(t, network, transport.TCP)
	p.Send(p.Request(sip.INVITE, bob))
	p.Send(p.Ack(p.Want(200)))
	call := <-calls
	<-call.Confirmed()
	return srv, p, call
}

// bye hangs up in the background.
func bye(t *testing.T, call *ua.Call) <-chan error {
	done := make(chan error, 1)
	go func() { done <- call.Bye(t.Context()) }()
	return done
}

func TestCallGoesOnOverAnotherConnectionOfThePeer(t *testing.T) {
	bubble(t, func(t *testing.T, network *memnet.Network) {
		srv, p, call := accepted(t, network, &ua.Server{})
		second, third := named(t, network, transport.TCP, "second"), named(t, network, transport.TCP, "third")
		second.WantSilence(time.Second)
		p.HangUp()
		second.WantSilence(time.Second)
		// The newest one is retired: it is for what lives on it.
		newest := srv.Endpoint().PeerConn("alice")
		srv.Endpoint().Retire(newest)
		if got := srv.Instead(newest); got == nil || got == newest || got.Retired() {
			t.Errorf("instead of it: %v", got)
		}
		done := bye(t, call)
		second.Reply(second.WantRequest(sip.BYE), 200)
		if err := soon(t, done, "the end of the call"); err != nil {
			t.Error(err)
		}
		third.WantSilence(time.Second)
	})
}

func TestCallIsReachedAgainAtThePeersOwnAddress(t *testing.T) {
	for _, reachable := range []bool{true, false} {
		bubble(t, func(t *testing.T, network *memnet.Network) {
			home := siptest.New(t, siptest.Config{Name: "home", Transport: transport.TCP, Network: network})
			srv := &ua.Server{}
			srv.Reconnect = func(s *ua.Shard, peer string, deliver func(*ua.Shard, *transport.Conn)) {
				if peer != "alice" {
					t.Errorf("reconnect to %q", peer)
				}
				s.Go(func() func(*ua.Shard) {
					var c *transport.Conn
					if reachable {
						c, _ = srv.Connect(context.Background(), ua.Target{Transport: transport.TCP, Addr: home.Addr(), Peer: peer})
					}
					return func(s *ua.Shard) { deliver(s, c) }
				})
			}
			_, p, call := accepted(t, network, srv)
			p.HangUp()
			p.WantSilence(time.Minute)
			if call.Context().Err() != nil {
				t.Fatalf("the call ended with its connection: %v", call.Err())
			}
			done := bye(t, call)
			if reachable {
				home.Reply(home.WantRequest(sip.BYE), 200)
			}
			if err := soon(t, done, "the end of the call"); reachable && err != nil || !reachable && !errors.Is(err, transport.ErrClosed) {
				t.Errorf("reachable: %v, BYE: %v", reachable, err)
			}
		})
	}
}

// A request whose connection goes before any answer leaves once more, as it
// was: if it did arrive, the other side knows it.
func TestRequestInACallIsRepeatedOnce(t *testing.T) {
	bubble(t, func(t *testing.T, network *memnet.Network) {
		_, p, call := accepted(t, network, &ua.Server{})
		second := named(t, network, transport.TCP, "second")
		synctest.Wait() // the server has accepted it, so that the next one is newer
		third := named(t, network, transport.TCP, "third")
		synctest.Wait()
		done := make(chan error, 1)
		go func() {
			_, err := call.Do(t.Context(), sip.INFO)
			done <- err
		}()
		first := p.WantRequest(sip.INFO)
		p.HangUp()
		again := third.WantRequest(sip.INFO) // the newest
		if string(again.Bytes()) != string(first.Bytes()) {
			t.Errorf("got\n%s\nwant\n%s", again.Bytes(), first.Bytes())
		}
		third.HangUp()
		// Not a third time; but the call, which nobody answers for, gets its BYE.
		second.Reply(second.WantRequest(sip.BYE), 200)
		if err := soon(t, done, "the outcome"); err == nil {
			t.Error("no error")
		}
	})
}

// Whoever has answered already may have acted on the request.
func TestAnsweredRequestIsNotRepeated(t *testing.T) {
	bubble(t, func(t *testing.T, network *memnet.Network) {
		_, p, call := accepted(t, network, &ua.Server{})
		second := named(t, network, transport.TCP, "second")
		done := make(chan error, 1)
		go func() {
			_, err := call.Do(t.Context(), sip.INVITE, ua.Body("application/sdp", []byte(sdp)))
			done <- err
		}()
		p.Reply(p.WantRequest(sip.INVITE), 180)
		p.WantSilence(time.Second)
		p.HangUp()
		second.Reply(second.WantRequest(sip.BYE), 200)
		if err := soon(t, done, "the outcome"); err == nil {
			t.Error("no error")
		}
	})
}
