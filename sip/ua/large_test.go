package ua_test

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sallyport-sip/sallyport/internal/memnet"
	"github.com/sallyport-sip/sallyport/sip"
	"github.com/sallyport-sip/sallyport/sip/siptest"
	"github.com/sallyport-sip/sallyport/sip/transport"
	"github.com/sallyport-sip/sallyport/sip/ua"
)

var besideUDP = netip.MustParseAddrPort("192.0.2.20:5080")

// bothWays opens bob at one address, on UDP and, when wanted, on TCP.
func bothWays(t *testing.T, network *memnet.Network, tcp bool) (udp, overTCP *siptest.Peer) {
	udp = siptest.New(t, siptest.Config{Name: "bob", Transport: transport.UDP, Network: network, Addr: besideUDP})
	udp.Dial(at)
	if tcp {
		overTCP = siptest.New(t, siptest.Config{Name: "bobtcp", Transport: transport.TCP, Network: network, Addr: besideUDP})
	}
	return udp, overTCP
}

var toBob = ua.Target{Transport: transport.UDP, Addr: besideUDP, Peer: "bob"}

func text(bytes int) ua.Option { return ua.Body("text/plain", []byte(strings.Repeat("x", bytes))) }

// message sends a MESSAGE with a body of so many bytes.
func message(t *testing.T, srv *ua.Server, bytes int) <-chan error {
	done := make(chan error, 1)
	go func() {
		m, err := srv.Send(t.Context(), toBob, ua.Outgoing{Method: sip.MESSAGE, URI: bob, CallID: "always-the-same"}, text(bytes))
		if err == nil && m.StatusCode() != 200 {
			err = errors.New(string(m.Bytes()))
		}
		done <- err
	}()
	return done
}

func over(t *testing.T, m *siptest.Message, want string) {
	t.Helper()
	if via, err := m.Via(); err != nil || string(via.Transport) != want {
		t.Errorf("Via %s, want %s", m.First(sip.HdrVia), want)
	}
}

// From 1301 bytes on a request goes by TCP (RFC 3261 §18.1.1).
func TestLargeRequestGoesByTCP(t *testing.T) {
	bubble(t, func(t *testing.T, network *memnet.Network) {
		srv := start(t, network, &ua.Server{})
		udp, tcp := bothWays(t, network, true)
		done := message(t, srv, 500)
		m := udp.WantRequest(sip.MESSAGE)
		fits := 500 + 1300 - len(m.Bytes())
		if udp.Reply(m, 200); <-done != nil || fits < 100 {
			t.Fatalf("%d bytes more fit", fits-500)
		}
		if fits > 999 {
			fits-- // its length has one digit more
		}
		done = message(t, srv, fits)
		m = udp.WantRequest(sip.MESSAGE)
		if n := len(m.Bytes()); n != 1300 {
			t.Errorf("it has %d bytes, want 1300", n)
		}
		udp.Reply(m, 200)
		if err := <-done; err != nil {
			t.Error(err)
		}
		for range 2 {
			done = message(t, srv, fits+1)
			m = tcp.WantRequest(sip.MESSAGE)
			if n := len(m.Bytes()); n != 1301 || m.Err != nil {
				t.Errorf("it has %d bytes, want 1301: %v", n, m.Err)
			}
			over(t, m, "TCP")
			if via, _ := m.Via(); string(via.Host) != "127.0.0.1" || via.Port != 5060 {
				t.Errorf("Via %s, want the listener on TCP", m.First(sip.HdrVia))
			}
			tcp.Reply(m, 200)
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
		conns := 0
		for range srv.Endpoint().Conns() {
			conns++
		}
		if conns != 1 {
			t.Errorf("%d connections, want one for both requests", conns)
		}
		if _, err := srv.Send(t.Context(), ua.Target{Transport: transport.UDP, Addr: besideUDP}, ua.Outgoing{Method: sip.MESSAGE, URI: "sips:bob@b.example"}, text(1300)); err == nil {
			t.Error("a sips: request went by TCP")
		}
	})
}

// An INVITE does, and its CANCEL and the ACK of its failure with it; what else is
// in the call goes by its own size.
func TestLargeInviteGoesByTCP(t *testing.T) {
	bubble(t, func(t *testing.T, network *memnet.Network) {
		srv := start(t, network, &ua.Server{})
		udp, tcp := bothWays(t, network, true)
		ctx, cancel := context.WithCancel(t.Context())
		result := place(ctx, srv, toBob, ua.InviteOptions{To: bob}, text(1300))
		invite := tcp.WantRequest(sip.INVITE)
		over(t, invite, "TCP")
		tcp.Reply(invite, 180)
		cancel()
		if r := <-result; r.err == nil {
			t.Error("the call was placed")
		}
		c := tcp.WantRequest(sip.CANCEL)
		if string(c.First(sip.HdrVia)) != string(invite.First(sip.HdrVia)) {
			t.Errorf("Via of the CANCEL %s, of the INVITE %s", c.First(sip.HdrVia), invite.First(sip.HdrVia))
		}
		tcp.Reply(c, 200)
		tcp.Reply(invite, 487)
		tcp.WantRequest(sip.ACK)

		result = place(t.Context(), srv, toBob, ua.InviteOptions{To: bob}, text(1300))
		tcp.Reply(tcp.WantRequest(sip.INVITE), 200, siptest.Set("Contact", "<sip:bob@192.0.2.20:5080>"))
		udp.WantRequest(sip.ACK)
		r := <-result
		if r.err != nil {
			t.Fatal(r.err)
		}
		answers := make(chan error, 1)
		for _, large := range []bool{true, false} {
			size, p := 10, udp
			if large {
				size, p = 1300, tcp
			}
			go func() {
				_, err := r.call.Do(t.Context(), sip.INFO, text(size))
				answers <- err
			}()
			p.Reply(p.WantRequest(sip.INFO), 200)
			if err := <-answers; err != nil {
				t.Error(err)
			}
		}
		ended := bye(t, r.call)
		udp.Reply(udp.WantRequest(sip.BYE), 200)
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// Where there is no TCP it goes by UDP, at once when that is refused, after two
// seconds when nobody answers; and TCP is not tried again for ten minutes.
func TestLargeRequestGoesByUDPWithoutTCP(t *testing.T) {
	for _, dark := range []bool{false, true} {
		bubble(t, func(t *testing.T, network *memnet.Network) {
			var dials atomic.Int32
			unstarted := &ua.Server{}
			unstarted.Refusing = func(transport.ConnInfo, error) { dials.Add(1) }
			srv := start(t, network, unstarted)
			udp, _ := bothWays(t, network, false)
			took := time.Duration(0)
			if dark {
				took = 2 * time.Second
				network.Darken(besideUDP.Addr())
				time.AfterFunc(took-time.Nanosecond, func() { network.Lighten(besideUDP.Addr()) })
			}
			for range 2 {
				began := time.Now()
				done := message(t, srv, 1300)
				m := udp.WantRequest(sip.MESSAGE)
				if got := time.Since(began); got != took {
					t.Errorf("it came after %v, want %v", got, took)
				}
				over(t, m, "UDP")
				udp.Reply(m, 200)
				if err := <-done; err != nil {
					t.Error(err)
				}
				took = 0
			}
			if n := dials.Load(); n != 1 {
				t.Errorf("TCP was tried %d times, want once", n)
			}
			time.Sleep(10 * time.Minute)
			tcp := siptest.New(t, siptest.Config{Name: "bobtcp", Transport: transport.TCP, Network: network, Addr: besideUDP})
			done := message(t, srv, 1300)
			tcp.Reply(tcp.WantRequest(sip.MESSAGE), 200)
			if err := <-done; err != nil {
				t.Error(err)
			}
		})
	}
}

// A connection that is reset before anything was answered is as good as none.
func TestLargeRequestGoesByUDPAfterAReset(t *testing.T) {
	bubble(t, func(t *testing.T, network *memnet.Network) {
		srv := start(t, network, &ua.Server{})
		udp, _ := bothWays(t, network, false)
		ln, err := network.Listen(t.Context(), besideUDP)
		if err != nil {
			t.Fatal(err)
		}
		defer ln.Close()
		go func() {
			nc, err := ln.Accept()
			if err != nil {
				return
			}
			nc.Read(make([]byte, 1))
			nc.(interface{ Reset() }).Reset()
		}()
		result := place(t.Context(), srv, toBob, ua.InviteOptions{To: bob}, text(1300))
		invite := udp.WantRequest(sip.INVITE)
		over(t, invite, "UDP")
		udp.Reply(invite, 486)
		udp.WantRequest(sip.ACK)
		if r := <-result; r.err == nil || !strings.Contains(r.err.Error(), "486") {
			t.Errorf("got %v", r.err)
		}
	})
}

// A call that is given up while TCP is tried is never placed.
func TestLargeInviteGivenUpBeforeItLeft(t *testing.T) {
	bubble(t, func(t *testing.T, network *memnet.Network) {
		srv := start(t, network, &ua.Server{})
		udp, _ := bothWays(t, network, false)
		network.Darken(besideUDP.Addr())
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if r := <-place(ctx, srv, toBob, ua.InviteOptions{To: bob}, text(1300)); !errors.Is(r.err, context.DeadlineExceeded) {
			t.Errorf("got %v", r.err)
		}
		network.Lighten(besideUDP.Addr())
		udp.WantSilence(time.Minute)
	})
}

func TestLargeRequestGoesByUDPWhenToldTo(t *testing.T) {
	bubble(t, func(t *testing.T, network *memnet.Network) {
		srv := start(t, network, &ua.Server{LargeOverUDP: true})
		udp, tcp := bothWays(t, network, true)
		done := message(t, srv, 1300)
		udp.Reply(udp.WantRequest(sip.MESSAGE), 200)
		if err := <-done; err != nil {
			t.Error(err)
		}
		tcp.WantSilence(time.Second)
	})
}
