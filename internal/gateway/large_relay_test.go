package gateway

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/sallyport-sip/sallyport/sip"
	"github.com/sallyport-sip/sallyport/sip/siptest"
	"github.com/sallyport-sip/sallyport/sip/transport"
)

// messageOf sends a MESSAGE with so many bytes of body.
func (r *rig) messageOf(bytes int) {
	r.Helper()
	r.office.Send(r.office.Request(sip.MESSAGE, number, siptest.Body("text/plain", strings.Repeat("x", bytes))))
}

// What is relayed outside of calls goes by TCP from 1301 bytes on (RFC 3261 §18.1.1).
func TestLargeRelayedRequestsGoByTCP(t *testing.T) {
	for _, shards := range []int{1, 3} {
		run(t, setting{shards: shards}, func(r *rig) {
			overTCP := r.peer("acme", transport.TCP, acmeAddr)
			r.messageOf(500)
			m := r.acme.WantRequest(sip.MESSAGE)
			fits := 500 + 1300 - len(m.Bytes())
			if fits > 999 || fits < 100 {
				t.Fatalf("%d bytes of body fit: their number would not have as many digits", fits)
			}
			r.acme.Reply(m, 200)
			r.office.Want(200)

			r.messageOf(fits)
			m = r.acme.WantRequest(sip.MESSAGE)
			if n := len(m.Bytes()); n != 1300 {
				t.Errorf("the MESSAGE has %d bytes, want 1300", n)
			}
			r.acme.Reply(m, 200)
			r.office.Want(200)

			r.messageOf(fits + 1)
			m = overTCP.WantRequest(sip.MESSAGE)
			via, err := m.Via()
			if n := len(m.Bytes()); n != 1301 || err != nil || string(via.Transport) != "TCP" {
				t.Errorf("%d bytes, want 1301, with Via %s", n, m.First(sip.HdrVia))
			}
			overTCP.Reply(m, 202)
			r.office.Want(202)
			r.largeCounts(1, 0, 0)
		})
	}
}

// So do those inside a subscription.
func TestLargeRequestInsideASubscriptionGoesByTCP(t *testing.T) {
	run(t, plain, func(r *rig) {
		overTCP := r.peer("acme", transport.TCP, acmeAddr)
		r.subscribes("600")
		r.office.Send(r.office.InDialog(sip.MESSAGE, siptest.Body("text/plain", strings.Repeat("x", 1300))))
		m := overTCP.WantRequest(sip.MESSAGE)
		overTCP.Reply(m, 200)
		r.office.Want(200)
		r.notifies("active")
		r.unsubscribes()
		r.largeCounts(1, 0, 0)
	})
}

// Without TCP they go by UDP: when it is refused, and when it is reset before
// anything was answered.
func TestLargeRelayedRequestsGoByUDPWithoutTCP(t *testing.T) {
	run(t, plain, func(r *rig) {
		for range 2 {
			r.messageOf(1300)
			r.acme.Reply(r.acme.WantRequest(sip.MESSAGE), 200)
			r.office.Want(200)
		}
		r.largeCounts(0, 1, 1)
	})
	for _, inside := range []bool{false, true} {
		run(t, plain, func(r *rig) {
			ln, err := r.net.Listen(t.Context(), netip.MustParseAddrPort(acmeAddr))
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
			if inside {
				r.subscribes("600")
				r.office.Send(r.office.InDialog(sip.MESSAGE, siptest.Body("text/plain", strings.Repeat("x", 1300))))
			} else {
				r.messageOf(1300)
			}
			m := r.acme.WantRequest(sip.MESSAGE)
			if via, _ := m.Via(); string(via.Transport) != "UDP" {
				t.Errorf("Via: %s", m.First(sip.HdrVia))
			}
			r.acme.Reply(m, 200)
			r.office.Want(200)
			r.largeCounts(1, 1, 1)
			if inside {
				r.notifies("active")
				r.unsubscribes()
			}
		})
	}
}
