package metrics

import (
	"sync/atomic"
	"time"
)

// bounds are the upper ends of what a Histogram counts together: from a handshake in one room to a call that rings for long.
var bounds = [...]time.Duration{
	time.Millisecond, 2500 * time.Microsecond, 5 * time.Millisecond, 10 * time.Millisecond, 25 * time.Millisecond, 50 * time.Millisecond,
	100 * time.Millisecond, 250 * time.Millisecond, 500 * time.Millisecond, time.Second, 2500 * time.Millisecond, 5 * time.Second,
	10 * time.Second, 20 * time.Second, 30 * time.Second, time.Minute, 3 * time.Minute,
}

// Histogram counts times by their length. All goroutines use it at once, without a lock, and it allocates nothing. The zero
// value is empty.
type Histogram struct {
	counts [len(bounds) + 1]atomic.Uint64 // by the first bound that is not below; the last one for what is above all
	sum    atomic.Int64                   // nanoseconds
}

// Observe counts a time. One below zero, of a clock that was set back, counts as zero.
func (h *Histogram) Observe(d time.Duration) {
	d = max(d, 0)
	i := 0
	for i < len(bounds) && d > bounds[i] {
		i++
	}
	h.counts[i].Add(1)
	h.sum.Add(int64(d))
}

// Times is what a Histogram had counted at one moment.
type Times struct {
	Count uint64
	Sum   time.Duration
	Upto  map[float64]uint64 // by bound in seconds: how many took no longer
}

// Times returns what was counted so far. While others observe, its Sum may have one more or less than its Count.
func (h *Histogram) Times() Times {
	t := Times{Upto: make(map[float64]uint64, len(bounds)), Sum: time.Duration(h.sum.Load())}
	for i := range h.counts {
		t.Count += h.counts[i].Load()
		if i < len(bounds) {
			t.Upto[bounds[i].Seconds()] = t.Count
		}
	}
	return t
}
