//go:build !race

package interop

import (
	"testing"

	ours "github.com/sallyport-sip/sallyport/sip"
)

// The budget of the parser is no allocation. Its time beside sipgo's is what
// BenchmarkParseInvite/in-turn shows: a time is nothing to test.
func TestParseAllocatesNothing(t *testing.T) {
	m := ours.Acquire()
	defer m.Release()
	if n := testing.AllocsPerRun(100, func() { parseOurs(t, m, invite) }); n != 0 {
		t.Errorf("%v allocations, want 0", n)
	}
}

// The budget of the builder: the buffer is the only allocation.
func TestWriteAllocatesOnce(t *testing.T) {
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
