package recorder

import (
	"strings"
	"testing"
	"time"

	"github.com/sallyport-sip/sallyport/internal/trust"
)

// Certificates of three peers that are out of their time within ten minutes make our own clock suspect; those of two do not,
// nor does one peer that tries again, nor other refusals, nor what is long ago.
func TestManyPeersOutOfTimeAtOnce(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	r := New(Config{})
	for _, who := range []string{"acme", "acme", "bolt"} {
		r.shakes.misdated(trust.NotYetValid, who, now)
	}
	r.shakes.misdated(trust.UnknownCA, "carol", now)
	r.shakes.misdated(trust.Expired, "dave", now)
	if got := r.clockDoubt(now); got != "" {
		t.Errorf("two peers: %q", got)
	}
	r.shakes.misdated(trust.NotYetValid, "carol", now.Add(9*time.Minute))
	if got := r.clockDoubt(now.Add(9 * time.Minute)); !strings.Contains(got, "the certificates of 3 peers are not yet valid at once by the clock here: acme, bolt, carol") {
		t.Errorf("three peers: %q", got)
	}
	if got := r.clockDoubt(now.Add(11 * time.Minute)); got != "" {
		t.Errorf("later: %q", got)
	}
}
