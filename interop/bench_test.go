package interop

import (
	"bytes"
	"slices"
	"testing"
	"time"

	theirs "github.com/emiago/sipgo/sip"

	ours "github.com/sallyport-sip/sallyport/sip"
)

// The benchmarks measure both stacks on the same bytes. "in-turn" runs short blocks of each alternately and reports the
// median of ours/sipgo, by the clock and by the process's processor time (the collector's included), which a busy machine
// disturbs least.

func parseOurs(b testing.TB, m *ours.Message, raw []byte) {
	if err := m.Load(raw); err != nil {
		b.Fatal(err)
	}
	if err := m.Check(); err != nil {
		b.Fatal(err)
	}
}

func parseTheirs(b testing.TB, raw []byte) {
	if _, err := theirs.ParseMessage(raw); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkParseInvite parses, indexes and checks.
func BenchmarkParseInvite(b *testing.B) { benchmarkParse(b, invite) }

// BenchmarkParseAnswer does so with a 200.
func BenchmarkParseAnswer(b *testing.B) { benchmarkParse(b, answer) }

func benchmarkParse(b *testing.B, raw []byte) {
	m := ours.Acquire()
	defer m.Release()
	compare(b, func(b testing.TB) { parseOurs(b, m, raw) }, func(b testing.TB) { parseTheirs(b, raw) })
}

// BenchmarkWriteInvite makes and encodes the outgoing INVITE from the one that came, as a back-to-back user agent does.
func BenchmarkWriteInvite(b *testing.B) {
	in, their := parsedPair(b)
	defer in.Release()
	var w ours.Builder
	mine := make([]byte, 0, 2048)
	var buf bytes.Buffer
	compare(b, func(testing.TB) {
		mine = writeOurs(&w, mine[:0], in)
	}, func(testing.TB) {
		buf.Reset()
		buildTheirs(their).StringWrite(&buf)
	})
}

// BenchmarkEncodeInvite is kinder to sipgo: its request is made beforehand and only encoded, into a buffer that is there.
func BenchmarkEncodeInvite(b *testing.B) {
	in, their := parsedPair(b)
	defer in.Release()
	var w ours.Builder
	mine := make([]byte, 0, 2048)
	out := buildTheirs(their)
	var buf bytes.Buffer
	compare(b, func(testing.TB) {
		mine = writeOurs(&w, mine[:0], in)
	}, func(testing.TB) {
		buf.Reset()
		out.StringWrite(&buf)
	})
}

func parsedPair(b *testing.B) (*ours.Message, *theirs.Request) {
	in, err := ours.Parse(invite)
	if err != nil {
		b.Fatal(err)
	}
	m, err := theirs.ParseMessage(invite)
	if err != nil {
		b.Fatal(err)
	}
	return in, m.(*theirs.Request)
}

func compare(b *testing.B, mine, other func(testing.TB)) {
	b.Run("ours", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			mine(b)
		}
	})
	b.Run("sipgo", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			other(b)
		}
	})
	b.Run("in-turn", func(b *testing.B) {
		var r ratios
		for b.Loop() {
			r.turn(b, mine, other)
		}
		b.ReportMetric(0, "ns/op") // two blocks: of no meaning by itself
		b.ReportMetric(median(r.wall), "ours/sipgo")
		if len(r.cpu) > 0 {
			b.ReportMetric(median(r.cpu), "ours/sipgo-cpu")
		}
	})
}

// ratios are those of each turn so far.
type ratios struct{ wall, cpu []float64 }

func (r *ratios) turn(b testing.TB, mine, other func(testing.TB)) {
	w, c := block(b, mine)
	w2, c2 := block(b, other)
	r.wall = append(r.wall, float64(w)/float64(w2))
	if c2 > 0 {
		r.cpu = append(r.cpu, float64(c)/float64(c2))
	}
}

// block runs f so often that sipgo's garbage is collected within its blocks.
func block(b testing.TB, f func(testing.TB)) (wall, cpu time.Duration) {
	start, used := time.Now(), processorTime()
	for range 1500 {
		f(b)
	}
	return time.Since(start), processorTime() - used
}

func median(v []float64) float64 {
	slices.Sort(v)
	return v[len(v)/2]
}
