package peer

import (
	"net/netip"
	"testing"
	"time"
)

func TestAddresses(t *testing.T) {
	var s State
	now := time.Unix(1000, 0)
	a, b := netip.MustParseAddrPort("192.0.2.1:5060"), netip.MustParseAddrPort("192.0.2.2:5060")
	const down = 30 * time.Second
	if !s.AskAt(a, now, down) || s.AnsweredAt(a) {
		t.Error("an address of which nothing is known is not asked")
	}
	if s.FailedAt(a, now, now) || s.FailedAt(netip.AddrPort{}, now, now.Add(down)) || !s.AskAt(a, now, down) {
		t.Error("it is down for no time")
	}
	if !s.FailedAt(a, now, now.Add(down)) || s.FailedAt(a, now, now.Add(time.Second)) {
		t.Error("the first failure is news, the second is not")
	}
	if s.AskAt(a, now.Add(down-1), down) || !s.AskAt(b, now, down) {
		t.Error("it is asked while it is down, or another one is not")
	}
	now = now.Add(down)
	if !s.AskAt(a, now, down) || s.AskAt(a, now, down) {
		t.Error("after its time one call tries it")
	}
	if !s.Up() {
		t.Error("the peer itself is down")
	}
	if !s.AnsweredAt(a) || s.AnsweredAt(a) || !s.AskAt(a, now, down) {
		t.Error("an address that has answered is not asked")
	}
}

// What is remembered is bounded, and makes room for what fails later.
func TestAddressesAreBounded(t *testing.T) {
	var s State
	now := time.Unix(1000, 0)
	addr := func(i int) netip.AddrPort {
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, 1}), uint16(i+1))
	}
	for i := range maxAddresses + 10 {
		if news := s.FailedAt(addr(i), now, now.Add(time.Minute)); news != (i < maxAddresses) {
			t.Errorf("address %d: remembered: %v", i, news)
		}
	}
	if len(s.addresses.down) != maxAddresses {
		t.Errorf("%d are remembered", len(s.addresses.down))
	}
	now = now.Add(time.Minute)
	if !s.FailedAt(addr(1000), now, now.Add(time.Minute)) || len(s.addresses.down) != 1 {
		t.Errorf("%d are remembered", len(s.addresses.down))
	}
}
