//go:build !race

package interop

import (
	"testing"

	ours "github.com/sallyport-sip/sallyport/sip"
)

// The budget of the parser: no allocation, and at most a sixth of sipgo's time in the same run. The median of many turns
// is steady; a machine that is busy all the while may still need a second try.
func TestParseBudget(t *testing.T) {
	m := ours.Acquire()
	defer m.Release()
	mine := func(t testing.TB) { parseOurs(t, m, invite) }
	other := func(t testing.TB) { parseTheirs(t, invite) }
	if n := testing.AllocsPerRun(100, func() { mine(t) }); n != 0 {
		t.Errorf("%v allocations, want 0", n)
	}
	var got float64
	for range 5 {
		var r ratios
		for range 31 {
			r.turn(t, mine, other)
		}
		if got = median(r.wall); got <= 1./6 {
			t.Logf("ours/sipgo %.3f", got)
			return
		}
	}
	t.Errorf("ours/sipgo %.3f, want at most a sixth", got)
}

// The budget of the builder: the buffer is the only allocation.
func TestWriteBudget(t *testing.T) {
	in, err := ours.Parse(invite)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Release()
	var w ours.Builder
	if n := testing.AllocsPerRun(100, func() { writeOurs(&w, make([]byte, 0, 2048), in) }); n > 1 {
		t.Errorf("%v allocations, want at most 1", n)
	}
}
