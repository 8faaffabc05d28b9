package ua

import (
	"net/netip"
	"testing"
)

func TestWildcardSocketShowsTheAddressOnTheWay(t *testing.T) {
	any4 := netip.MustParseAddr("0.0.0.0")
	for to, want := range map[string]string{"127.0.0.1:9": "127.0.0.1", "": "0.0.0.0"} {
		var addr netip.AddrPort
		if to != "" {
			addr = netip.MustParseAddrPort(to)
		}
		if got := localTowards(addr, any4); got.String() != want {
			t.Errorf("towards %q: %v, want %s", to, got, want)
		}
	}
}
