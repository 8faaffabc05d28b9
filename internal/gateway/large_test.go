package gateway

import (
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sallyport-sip/sallyport/sip"
	"github.com/sallyport-sip/sallyport/sip/siptest"
	"github.com/sallyport-sip/sallyport/sip/transport"
)

// A request of 1300 bytes goes by UDP, one of 1301 by TCP (RFC 3261 §18.1.1).

// padded is an offer of so many bytes more.
func padded(bytes int) siptest.Option {
	return siptest.Body("application/sdp", offer+"a="+strings.Repeat("x", bytes)+"\r\n")
}

// padding is how many bytes make acme's INVITE so large, found by one that is
// smaller.
func (r *rig) padding(size int) int {
	r.Helper()
	const some = 500
	r.office.Send(r.office.Request(sip.INVITE, number, padded(some)))
	r.office.Want(100)
	invite := r.acme.WantRequest(sip.INVITE)
	r.refuse(r.acme, invite, 486)
	r.refused(486)
	return some + size - len(invite.Bytes())
}

// inviteOf sends an INVITE that reaches acme with so many bytes.
func (r *rig) inviteOf(padding int) {
	r.Helper()
	r.office.Send(r.office.Request(sip.INVITE, number, padded(padding)))
	r.office.Want(100)
}

func (r *rig) largeCounts(taken, refused, spared uint64) {
	r.Helper()
	l := &r.Peers()[1].State.LargeOverTCP
	if a, b, c := l.Taken.Load(), l.Refused.Load(), l.Spared.Load(); a != taken || b != refused || c != spared {
		r.Errorf("%d over TCP, %d refused, %d spared; want %d, %d, %d", a, b, c, taken, refused, spared)
	}
}

func TestLargeRequestsGoByTCP(t *testing.T) {
	for _, shards := range []int{1, 3} {
		run(t, setting{shards: shards}, func(r *rig) {
			overTCP := r.peer("acme", transport.TCP, acmeAddr)
			fits := r.padding(1300)

			r.inviteOf(fits)
			invite := r.acme.WantRequest(sip.INVITE)
			if n := len(invite.Bytes()); n != 1300 {
				t.Fatalf("the INVITE has %d bytes, want 1300", n)
			}
			r.refuse(r.acme, invite, 486)
			r.refused(486)

			r.inviteOf(fits + 1)
			invite = overTCP.WantRequest(sip.INVITE)
			if n := len(invite.Bytes()); n != 1301 {
				t.Errorf("the INVITE has %d bytes, want 1301", n)
			}
			via, err := invite.Via()
			if err != nil || string(via.Transport) != "TCP" || string(via.Host) != gatewayAddr || via.Port != 5060 {
				t.Errorf("Via: %s", invite.First(sip.HdrVia))
			}
			r.header(invite, sip.HdrContact, r.contact(transport.UDP))
			overTCP.Reply(invite, 200, siptest.Body("application/sdp", answer))
			r.office.Send(r.office.Ack(r.office.Want(200)))
			r.acme.WantRequest(sip.ACK) // to the Contact, which names no transport

			r.office.Send(r.office.InDialog(sip.INVITE, padded(fits+100)))
			again := overTCP.WantRequest(sip.INVITE)
			overTCP.Reply(again, 200, siptest.Body("application/sdp", answer))
			for {
				if m := r.office.Next(); m.StatusCode() == 200 {
					r.office.Send(r.office.Ack(m))
					break
				}
			}
			r.acme.WantRequest(sip.ACK)
			r.office.Send(r.office.InDialog(sip.BYE))
			r.office.Want(200)
			r.acme.Reply(r.acme.WantRequest(sip.BYE), 200)
			r.largeCounts(2, 0, 0)
		})
	}
}

// The CANCEL and the ACK of a failure go where the INVITE went.
func TestCancelOfALargeInviteGoesByTCP(t *testing.T) {
	run(t, plain, func(r *rig) {
		overTCP := r.peer("acme", transport.TCP, acmeAddr)
		r.inviteOf(1300)
		invite := overTCP.WantRequest(sip.INVITE)
		overTCP.Reply(invite, 180)
		r.office.Want(180)
		r.office.Send(r.office.Cancel())
		r.office.Want(200)
		r.refused(487)
		cancel := overTCP.WantRequest(sip.CANCEL)
		if got, want := string(cancel.First(sip.HdrVia)), string(invite.First(sip.HdrVia)); got != want {
			t.Errorf("Via of the CANCEL: %s, of the INVITE: %s", got, want)
		}
		overTCP.Reply(cancel, 200)
		overTCP.Reply(invite, 487)
		overTCP.WantRequest(sip.ACK)
	})
}

func TestRefusedTCPLetsLargeRequestsGoByUDP(t *testing.T) {
	run(t, plain, func(r *rig) {
		began := time.Now()
		for range 3 {
			r.inviteOf(1300)
			invite := r.acme.WantRequest(sip.INVITE)
			if via, _ := invite.Via(); string(via.Transport) != "UDP" {
				t.Errorf("Via: %s", invite.First(sip.HdrVia))
			}
			r.refuse(r.acme, invite, 486)
			r.refused(486)
		}
		if took := time.Since(began); took != 0 {
			t.Errorf("refused TCP took %v", took)
		}
		r.largeCounts(0, 1, 2)

		time.Sleep(largeMemory)
		overTCP := r.peer("acme", transport.TCP, acmeAddr)
		r.inviteOf(1300)
		r.refuse(overTCP, overTCP.WantRequest(sip.INVITE), 486)
		r.refused(486)
		r.largeCounts(1, 1, 2)
	})
}

func TestBlackHoleOfTCPHoldsALargeRequestForTwoSeconds(t *testing.T) {
	run(t, plain, func(r *rig) {
		host := netip.MustParseAddrPort(acmeAddr).Addr()
		began := time.Now()
		r.net.Darken(host)
		r.inviteOf(1300)
		time.Sleep(largeDial - time.Millisecond)
		synctest.Wait()
		r.largeCounts(0, 0, 0)
		r.net.Lighten(host)
		r.refuse(r.acme, r.acme.WantRequest(sip.INVITE), 486)
		if took := time.Since(began); took != largeDial {
			t.Errorf("the request left by UDP after %v, want %v", took, largeDial)
		}
		r.refused(486)
		r.inviteOf(1300)
		r.refuse(r.acme, r.acme.WantRequest(sip.INVITE), 486)
		if took := time.Since(began); took != largeDial {
			t.Errorf("the second one waited too: %v", took)
		}
		r.refused(486)
		r.largeCounts(0, 1, 1)
	})
}

// A peer that takes the connection and resets it before it says anything gets
// the request by UDP.
func TestResetTCPLetsALargeRequestGoByUDP(t *testing.T) {
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
		r.inviteOf(1300)
		r.refuse(r.acme, r.acme.WantRequest(sip.INVITE), 486)
		r.refused(486)
		r.largeCounts(1, 1, 1)
	})
}

func TestLargeRequestsGoByUDPWhenToldTo(t *testing.T) {
	run(t, setting{profiles: map[string]string{"acme": "tuned"}, tuned: "connection: {large_requests: udp}"}, func(r *rig) {
		r.peer("acme", transport.TCP, acmeAddr)
		r.inviteOf(1300)
		r.refuse(r.acme, r.acme.WantRequest(sip.INVITE), 486)
		r.refused(486)
		r.largeCounts(0, 0, 0)
	})
}
