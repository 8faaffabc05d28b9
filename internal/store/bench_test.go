//go:build unix

package store

import (
	"errors"
	"flag"
	"strconv"
	"syscall"
	"testing"
	"time"
)

// cpu is the processor time of the process.
func cpu() time.Duration {
	var r syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &r)
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

// BenchmarkPut is what a shard pays for one state of a record. The store's own goroutines work meanwhile; b.N records
// come faster than any disk takes them, so their time is another benchmark's.
func BenchmarkPut(b *testing.B) {
	s, err := Open(b.TempDir(), Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	c := sample(s.NewID(), 1, Ended)
	b.ReportAllocs()
	for b.Loop() {
		s.mu.Lock()
		s.pending = s.pending[:0] // so that the way to the disk does not count
		s.mu.Unlock()
		s.Put(c)
	}
}

// BenchmarkEncode is the larger part of it.
func BenchmarkEncode(b *testing.B) {
	c := sample(FormatID(1), 1, Ended)
	var buf []byte
	b.ReportAllocs()
	for b.Loop() {
		buf = appendEntry(buf[:0], 1, 1, c)
	}
	b.ReportMetric(float64(len(buf)), "bytes/record")
}

// BenchmarkCall is all that the store costs a call, on all its goroutines: calls come at a rate, each with three states.
func BenchmarkCall(b *testing.B) {
	for _, rate := range []struct {
		name  string
		every time.Duration
		long  int // calls that begin before one is answered, and again before it ends; 0: it is over at once
	}{
		{"500 a second, short", 2 * time.Millisecond, 0},
		{"2000 a second, short", 500 * time.Microsecond, 0},
		{"2000 a second, 10 s long", 500 * time.Microsecond, 10000},
	} {
		b.Run(rate.name, func(b *testing.B) {
			s, err := Open(b.TempDir(), Options{})
			if err != nil {
				b.Fatal(err)
			}
			var ids []string
			n := 0
			put := func(i int, state State) {
				if i >= 0 {
					s.Put(sample(ids[i], i, state))
				}
			}
			one := func() {
				ids = append(ids, s.NewID())
				put(n, Opened)
				put(n-rate.long, Answered)
				put(n-2*rate.long, Ended)
				n++
			}
			const tick = 10 * time.Millisecond
			b.ResetTimer()
			base := cpu()
			for range b.N { // a second each
				for range time.Second / tick {
					for range tick / rate.every {
						one()
					}
					time.Sleep(tick)
				}
			}
			if err := s.Close(); err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(float64(cpu()-base)/float64(n)/1e3, "cpu-µs/call")
		})
	}
}

// searched is the i-th of n calls of BenchmarkQuery: most are good; one in a hundred was refused with 486, in the last hundredth all but one were
// good, and three calls, in the middle and near the beginning, have what is looked for.
func searched(id string, i, n int) *CDR {
	c := sample(id, i, Ended)
	c.Run = "k3f9qz"
	if i%100 == 50 && i < n/100*99 {
		c.State, c.Answered, c.Cause = Refused, time.Time{}, Cause{SIP: 486, Text: "busy"}
		c.Out[0].Code = 486
	}
	switch i {
	case n / 3, n / 5, n / 7:
		c.State, c.Answered, c.Cause = Refused, time.Time{}, Cause{SIP: 503, Text: "the certificate has expired"}
		c.Out[0].Code, c.Out[0].Reason, c.Out[0].Peer = 0, "certificate_expired", "branch"
		c.Called = "+8613912345678"
	}
	return c
}

// fill makes a table of n calls.
func fill(b *testing.B, dir string, n int) {
	s, err := Open(dir, Options{Now: func() time.Time { return time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC) }})
	if err != nil {
		b.Fatal(err)
	}
	close(s.stop) // the table is filled beside the way of records
	s.writing.Wait()
	s.moving.Wait()
	for i := 0; i < n; {
		var all []byte
		for range 5000 {
			s.number++
			s.id++
			all = appendEntry(all, s.number, s.id, searched(FormatID(s.id), i, n))
			i++
		}
		var found []entry
		for len(all) > 0 {
			e, size := readEntry(all, 0)
			found = append(found, e)
			all = all[size:]
		}
		if err := s.m.batch(found); err != nil {
			b.Fatal(err)
		}
	}
	if err := errors.Join(s.w.close(), s.m.close(), s.lock.Close()); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkMove is how fast records become rows.
func BenchmarkMove(b *testing.B) {
	dir := b.TempDir()
	base := cpu()
	const calls = 20000
	for b.Loop() {
		fill(b, dir, calls)
	}
	b.ReportMetric(float64(cpu()-base)/float64(b.N*calls)/1e3, "cpu-µs/row")
	b.ReportMetric(float64(b.N*calls)/b.Elapsed().Seconds(), "rows/s")
}

var queryRows = flag.Int("rows", 20000, "calls in the table of BenchmarkQuery")

// BenchmarkQuery searches a table; with -rows 1000000 a large one.
func BenchmarkQuery(b *testing.B) {
	dir, calls := b.TempDir(), *queryRows
	fill(b, dir, calls)
	one := sample("", calls/3+1, Ended)
	for _, q := range []struct {
		name string
		f    Filter
		want int
	}{
		{"newest 100", Filter{Limit: 100}, 100},
		{"prefix of all", Filter{Number: "+49*", Limit: 100}, 100},
		{"prefix of three", Filter{Number: "+86*", Limit: 100}, 3},
		{"longer prefix of three", Filter{Number: "+8613912345*", Limit: 100}, 3},
		{"prefix of some", Filter{Number: one.Caller[:9] + "*", Limit: 100}, 1},
		{"peer of three", Filter{Peer: "branch", Limit: 100}, 3},
		{"peer of all", Filter{Peer: "acme", Limit: 100}, 100},
		{"TLS reason of three", Filter{Reason: "certificate_expired", Limit: 100}, 3},
		{"status of three", Filter{Reason: "503", Limit: 100}, 3},
		{"status of one in a hundred", Filter{Reason: "486", Limit: 100}, 100},
		{"reason that none had", Filter{Reason: "unknown_ca", Limit: 100}, 0},
		{"failed", Filter{Failed: true, Limit: 100}, 100},
		{"flow", Filter{Flow: "k3f9qz-" + strconv.Itoa(calls/4)}, 1},
		{"number", Filter{Number: one.Called}, 1},
		{"Call-ID", Filter{CallID: one.Out[0].CallID}, 1},
		{"hour", Filter{Since: one.Began, Until: one.Began.Add(time.Second)}, 100},
		{"peer that had none", Filter{Peer: "nobody"}, 0},
		{"prefix that is rare", Filter{Number: one.Called[:11] + "*"}, 1},
	} {
		b.Run(q.name, func(b *testing.B) {
			base := cpu()
			defer func() { b.ReportMetric(float64(cpu()-base)/float64(b.N)/1e6, "cpu-ms/op") }()
			for b.Loop() {
				n := 0
				for _, err := range Query(dir, q.f) {
					if err != nil {
						b.Fatal(err)
					}
					n++
				}
				if n < q.want {
					b.Fatalf("found %d, want %d", n, q.want)
				}
			}
		})
	}
}
