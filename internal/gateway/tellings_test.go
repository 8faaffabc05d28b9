package gateway

import (
	"fmt"
	"strings"
	"testing"

	"github.com/sallyport-sip/sallyport/internal/cross"
	"github.com/sallyport-sip/sallyport/internal/peer"
	"github.com/sallyport-sip/sallyport/internal/route"
)

// The words are those of the peer, the route and the claims, each time; how many are remembered has a bound, what is said has none.
func TestWordsOfADecisionAreRemembered(t *testing.T) {
	office, acme := &peer.Peer{Name: "office"}, &peer.Peer{Name: "acme"}
	var told tellings
	const asserted = cross.Made(1)
	to := func(n int) route.Decision {
		return route.Decision{Why: fmt.Sprintf("route %d: to acme", n), Targets: []*peer.Peer{acme}}
	}
	if got := told.with(to(1), office, 0); got != "route 1: to acme" {
		t.Errorf("without a claim: %q", got)
	}
	for range 2 {
		for n := range 20 {
			if got := told.with(to(n), office, asserted); !strings.HasPrefix(got, to(n).Why+"; office has no asserts") {
				t.Fatalf("route %d: %q", n, got)
			}
		}
		if got := told.with(to(1), acme, asserted); !strings.HasPrefix(got, "route 1: to acme; acme has no asserts") {
			t.Errorf("another peer: %q", got)
		}
	}
	full := make(map[telling]string)
	for n := range mostTellings {
		full[telling{office, fmt.Sprint(n), asserted}] = ""
	}
	told.words.Store(&full)
	if got := told.with(to(1), office, asserted); !strings.Contains(got, "has no asserts") {
		t.Errorf("beyond the bound: %q", got)
	}
	if n := len(*told.words.Load()); n != mostTellings {
		t.Errorf("%d are remembered, want %d", n, mostTellings)
	}
}
