package api

import (
	"testing"
	"time"

	"github.com/sallyport-sip/sallyport/internal/gateway"
)

// Days are rounded down, so that nothing seems to last longer than it does.
func TestDaysOfAnEnding(t *testing.T) {
	now := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	for left, want := range map[time.Duration]int{
		25 * time.Hour: 1, 24 * time.Hour: 1, 23 * time.Hour: 0, 0: 0, -time.Second: -1, -24 * time.Hour: -1, -25 * time.Hour: -2,
	} {
		doc := EndingsOf([]gateway.Ending{{Kind: gateway.PeerCertificate, Name: "acme", Ends: now.Add(left)}}, now)
		if got := doc.Certificates[0]; got.Days != want || got.Kind != "peer" || got.Used == nil {
			t.Errorf("%v left: got %+v, want %d days", left, got, want)
		}
	}
	if doc := EndingsOf(nil, now); doc.Certificates == nil {
		t.Error("none is null")
	}
}
