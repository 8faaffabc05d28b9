package ua_test

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sallyport-sip/sallyport/internal/memnet"
	"github.com/sallyport-sip/sallyport/sip"
	"github.com/sallyport-sip/sallyport/sip/siptest"
	"github.com/sallyport-sip/sallyport/sip/transaction"
	"github.com/sallyport-sip/sallyport/sip/transport"
	"github.com/sallyport-sip/sallyport/sip/ua"
)

func TestShutdownLeavesNobodyOnTheLine(t *testing.T) {
	bubble(t, func(t *testing.T, network *memnet.Network) {
		calls := make(chan *ua.Call, 1)
		causes := make(chan error, 1)
		work := make(chan struct{})
		srv := &ua.Server{Network: network, Shards: 2, Handler: ua.Methods{
			sip.INVITE: func(r *ua.Request) {
				if string(r.Msg.CallID()) == "up" {
					accepting(t, calls).ServeSIP(r)
					return
				}
				if err := r.Reply(180); err != nil {
					t.Error(err)
				}
				<-r.Context().Done()
				causes <- context.Cause(r.Context())
			},
			sip.MESSAGE: func(r *ua.Request) {
				<-work
				if err := r.Reply(202); err != nil {
					t.Error(err)
				}
			},
		}}
		if err := srv.Start(); err != nil {
			t.Fatal(err)
		}
		if _, err := srv.Listen(transport.ListenConfig{Transport: transport.UDP, Addr: at}); err != nil {
			t.Fatal(err)
		}
		up, ringing, busy := peer(t, network, transport.UDP), peer(t, network, transport.UDP), peer(t, network, transport.UDP)
		up.Send(up.Request(sip.INVITE, bob, siptest.Set("Call-ID", "up")))
		up.Send(up.Ack(up.Want(200)))
		ringing.Send(ringing.Request(sip.INVITE, bob))
		ringing.Want(180)
		busy.Send(busy.Request(sip.MESSAGE, bob))
		synctest.Wait()

		ended := make(chan error, 1)
		go func() { ended <- srv.Shutdown(t.Context()) }()
		refused := ringing.Want(503)
		if refused.First(sip.HdrRetryAfter) == nil {
			t.Error("503 without Retry-After")
		}
		ringing.Send(ringing.Ack(refused))
		if cause := <-causes; !errors.Is(cause, ua.ErrServerClosed) {
			t.Errorf("the ringing handler's context ended by %v", cause)
		}
		bye := up.WantRequest(sip.BYE)
		busy.Send(busy.Request(sip.OPTIONS, bob))
		busy.Want(503)
		close(work)
		busy.Want(202) // what a handler works on is answered
		up.Reply(bye, 200)
		if err := soon(t, ended, "Shutdown"); err != nil {
			t.Error(err)
		}
		if call := <-calls; !errors.Is(call.Err(), ua.ErrServerClosed) {
			t.Errorf("the call ended with %v", call.Err())
		}
	})
}

func TestShutdownIsBoundByItsContext(t *testing.T) {
	bubble(t, func(t *testing.T, network *memnet.Network) {
		calls := make(chan *ua.Call, 1)
		srv := &ua.Server{Network: network, Handler: accepting(t, calls)}
		if err := srv.Start(); err != nil {
			t.Fatal(err)
		}
		if _, err := srv.Listen(transport.ListenConfig{Transport: transport.TCP, Addr: at}); err != nil {
			t.Fatal(err)
		}
		p := peer(t, network, transport.TCP)
		p.Send(p.Request(sip.INVITE, bob))
		p.Send(p.Ack(p.Want(200)))
		<-calls
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		begin := time.Now()
		if err := srv.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Shutdown: %v", err)
		}
		if took := time.Since(begin); took != 3*time.Second {
			t.Errorf("it took %v, want the 3 s of its context", took)
		}
	})
}

func TestListenAndServe(t *testing.T) {
	bubble(t, func(t *testing.T, network *memnet.Network) {
		srv := &ua.Server{Network: network, Supported: []string{"timer", "path"}, Handler: ua.Methods{
			sip.INVITE:  func(r *ua.Request) {},
			sip.MESSAGE: func(r *ua.Request) { r.Reply(200) },
		}}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- srv.ListenAndServe(ctx, "udp", at.String()) }()
		synctest.Wait()
		p := peer(t, network, transport.UDP)
		p.Send(p.Request(sip.MESSAGE, bob))
		p.Want(200)
		p.Send(p.Request(sip.OPTIONS, bob))
		ok := p.Want(200)
		const all = "ACK, BYE, CANCEL, INVITE, MESSAGE, OPTIONS"
		if allow := string(ok.First(sip.HdrAllow)); allow != all {
			t.Errorf("OPTIONS got Allow: %s", allow)
		}
		if supported := string(ok.First(sip.HdrSupported)); supported != "timer, path" {
			t.Errorf("OPTIONS got Supported: %s", supported)
		}
		p.Send(p.Request(sip.PUBLISH, bob))
		if allow := string(p.Want(405).First(sip.HdrAllow)); allow != all {
			t.Errorf("405 with Allow: %s", allow)
		}
		cancel()
		if err := soon(t, ended, "the end"); err != nil {
			t.Error(err)
		}
	})
}

func TestListenAndServeRefuses(t *testing.T) {
	for _, tt := range []struct{ network, addr, want string }{
		{"tls", ":5061", `want "udp" or "tcp"; ListenAndServeTLS is for TLS`},
		{"sctp", ":5060", `listen over "sctp"`},
		{"udp", "127.0.0.1", "want host:port"},
		{"udp", "127.0.0.1:port-of-nothing", "127.0.0.1:port-of-nothing"},
	} {
		err := (&ua.Server{}).ListenAndServe(t.Context(), tt.network, tt.addr)
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s %s: %v, want %q", tt.network, tt.addr, err, tt.want)
		}
	}
	if err := (&ua.Server{}).ListenAndServeTLS(t.Context(), "127.0.0.1:0", nil); err == nil {
		t.Error("a TLS listener without a configuration served")
	}
}

// Each server has its own timers and limits: nothing is a variable of the package.
func TestServersHaveTheirOwnTimersAndLimits(t *testing.T) {
	bubble(t, func(t *testing.T, network *memnet.Network) {
		type own struct {
			t1, first time.Duration // as configured
			lost      time.Duration // 64*T1: nobody answers a request
			closed    time.Duration // a stream that says nothing
		}
		both := []own{
			{t1: 100 * time.Millisecond, first: 3 * time.Second, lost: 6400 * time.Millisecond, closed: 3 * time.Second},
			{lost: 32 * time.Second, closed: transport.DefaultLimits().FirstMessage},
		}
		var servers []*ua.Server
		for _, o := range both {
			srv := &ua.Server{Network: network, Timers: transaction.Config{T1: o.t1}, Limits: transport.Limits{FirstMessage: o.first}}
			if err := srv.Start(); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { srv.Close(context.Background()) })
			for _, tr := range []transport.Transport{transport.UDP, transport.TCP} {
				if _, err := srv.Listen(transport.ListenConfig{Transport: tr, Addr: any4}); err != nil {
					t.Fatal(err)
				}
			}
			servers = append(servers, srv)
		}
		for i, o := range both {
			srv := servers[i]
			begin := time.Now()
			deaf := siptest.New(t, siptest.Config{Transport: transport.UDP, Network: network})
			_, err := srv.Send(t.Context(), target(deaf, transport.UDP), ua.Outgoing{Method: sip.OPTIONS, URI: bob})
			if took := time.Since(begin); !errors.Is(err, transaction.ErrTimeout) || took != o.lost {
				t.Errorf("server %d: %v after %v, want a timeout after %v", i, err, took, o.lost)
			}
			mute := siptest.New(t, siptest.Config{Transport: transport.TCP, Network: network})
			begin = time.Now()
			mute.Dial(srv.Endpoint().Listeners()[1].Addr())
			mute.WantClosed()
			if took := time.Since(begin); took != o.closed {
				t.Errorf("server %d closed a silent stream after %v, want %v", i, took, o.closed)
			}
		}
	})
}

var any4 = netip.MustParseAddrPort("127.0.0.1:0")
