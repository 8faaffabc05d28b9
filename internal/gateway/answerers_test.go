package gateway

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-sip/sallyport/sip"
	"github.com/sallyport-sip/sallyport/sip/siptest"
	"github.com/sallyport-sip/sallyport/sip/transport"
)

// A peer on UDP answers from where its name leads, though accept_from does not
// have that address; for what it asks by itself that has to be there.
func TestResponseFromWhereTheNameLeads(t *testing.T) {
	names(t, setting{shards: 3, targets: transport.UDP}, "sip:carrier.example;transport=udp", ", accept_from: [192.0.2.20]", func(r *named) {
		r.invite()
		r.refuse(r.acme, r.acme.WantRequest(sip.INVITE), 503)
		r.takes(r.acme2)
		r.remotes("acme 192.0.2.20:5081", "acme 192.0.2.21:5091")

		r.acme2.Send(r.acme2.Request(sip.OPTIONS, "sip:"+gatewayAddr))
		r.acme2.Want(403)

		// Nor is it taken from elsewhere, though the branch is right; nor from there
		// with a branch that is not.
		thief := r.peer("thief", transport.UDP, "203.0.113.66:5060")
		thief.Dial(r.listener(transport.UDP))
		r.invite()
		invite := r.acme2.WantRequest(sip.INVITE)
		stray := func() uint64 { return r.server.Stats().StrayResponses }
		dropped := func() uint64 { return r.server.Stats().Dropped }
		before, lost := stray(), dropped()
		thief.Send(r.acme2.Response(invite, 486))
		time.Sleep(100 * time.Millisecond)
		if n := dropped() - lost; n != 1 || stray() != before {
			r.Errorf("%d responses are dropped at the door, want 1", n)
		}
		via, _ := invite.Via()
		branch := string(via.Branch())
		guess := branch[:len(branch)-8] + "00000000"
		r.acme2.Send(strings.Replace(r.acme2.Response(invite, 486), branch, guess, 1))
		time.Sleep(100 * time.Millisecond)
		if n := stray() - before; n != 1 {
			r.Errorf("%d responses belong to no request, want 1", n)
		}
		r.acme2.Send(strings.Replace(r.acme2.Response(invite, 486), branch, "z9hG4bKother", 1))
		time.Sleep(100 * time.Millisecond)
		if n := dropped() - lost; n != 2 {
			r.Errorf("%d responses are dropped at the door, want 2", n)
		}
		r.acme2.Reply(invite, 200, siptest.Body("application/sdp", answer))
		r.office.Send(r.office.Ack(r.office.Want(200)))
		r.acme2.WantRequest(sip.ACK)
		r.hangUp(r.office, r.acme2)
	})
}

// Those that were asked last are kept, and no more than a fixed number.
func TestAnswerersAreBounded(t *testing.T) {
	var a answerers
	now := time.Now()
	addr := func(i int) netip.AddrPort {
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), 5060)
	}
	for i := range maxAnswerers + 10 {
		a.note(addr(i), now.Add(time.Duration(i)))
		a.note(addr(0), now.Add(time.Duration(i)))
	}
	if len(a.at) != maxAnswerers {
		t.Errorf("%d are kept", len(a.at))
	}
	for i, want := range map[int]bool{0: true, 1: false, 10: false, 11: true, maxAnswerers + 9: true} {
		if _, got := a.at[addr(i)]; got != want {
			t.Errorf("address %d is kept: %v", i, got)
		}
	}
}
