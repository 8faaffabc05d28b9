package guard

import (
	"net/netip"
	"testing"
	"time"
)

func TestStrangersGetAFewAnswersThenSilence(t *testing.T) {
	g := NewStrangers()
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	a := netip.MustParseAddr("192.0.2.1")
	count := func(from netip.Addr, at time.Time) (n int) {
		for range 100 {
			if g.Answer(from, at) {
				n++
			}
		}
		return n
	}
	if n := count(a, now); n != burst {
		t.Errorf("first: %d answers, want %d", n, burst)
	}
	if n := count(a, now.Add(refill)); n != 1 {
		t.Errorf("after one interval: %d answers, want 1", n)
	}
	if n := count(a, now.Add(time.Hour)); n != burst {
		t.Errorf("after an hour: %d answers, want %d", n, burst)
	}
	if n := count(netip.MustParseAddr("::ffff:192.0.2.1"), now.Add(time.Hour)); n != 0 {
		t.Errorf("the same address mapped to IPv6: %d answers, want 0", n)
	}
	v6 := netip.MustParseAddr("2001:db8::1")
	if n := count(v6, now); n != burst {
		t.Errorf("IPv6: %d answers, want %d", n, burst)
	}
	if n := count(netip.MustParseAddr("2001:db8::ffff:2"), now); n != 0 {
		t.Errorf("same /64: %d answers, want 0", n)
	}
}
