package callflow

import (
	"net/netip"
	"testing"
)

// TestContactElsewhere tells a Contact that is not where the INVITE came to from one of a gateway behind a NAT, whose public
// address callers from outside know alone.
func TestContactElsewhere(t *testing.T) {
	for _, c := range []struct{ local, remote, want string }{
		{"198.51.100.1:5060", "203.0.113.7:5060", AckContact},
		{"10.0.0.1:5060", "10.0.0.7:5060", AckContact},
		{"127.0.0.1:5060", "127.0.0.1:5070", AckContact},
		{"10.0.0.1:5060", "203.0.113.7:5060", AckMissing},
		{"192.0.2.10:5060", "203.0.113.7:5060", AckMissing},
	} {
		u := Unacknowledged{Peer: "office", Transport: "udp", Local: netip.MustParseAddrPort(c.local), Remote: netip.MustParseAddrPort(c.remote),
			contact: placeOf([]byte("sip:192.0.2.10:5060"))}
		if got := u.Judge(); got.Code != c.want {
			t.Errorf("an INVITE from %s to %s: got %s, %s; want %s", c.remote, c.local, got.Code, got.Why, c.want)
		}
	}
}
