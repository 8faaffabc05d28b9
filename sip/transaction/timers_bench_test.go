package transaction

import (
	"math/rand/v2"
	"testing"
	"time"
)

const liveTimers = 100_000

// BenchmarkTimers is what a shard does per transaction with 100,000 of them
// alive: set a timer of 32 s, set it again when the state changes, and let
// one old timer run out. "worst" is the longest single step in nanoseconds.
func BenchmarkTimers(b *testing.B) {
	const step = 32 * time.Second / liveTimers // as many expire as begin
	b.Run("heap", func(b *testing.B) {
		base := time.Unix(0, 0)
		ts := NewTimers(base)
		all := make([]Timer, liveTimers)
		var free []*Timer
		order := rand.New(rand.NewPCG(1, 2)).Perm(liveTimers)
		for i, p := range order {
			all[p].Owner = &all[p]
			all[p].Fire = func(owner any, _ time.Time) { free = append(free, owner.(*Timer)) }
			ts.schedule(&all[p], time.Duration(i)*step+step)
		}
		now, worst := time.Duration(0), time.Duration(0)
		b.ReportAllocs()
		for b.Loop() {
			begin := time.Now()
			now += step
			ts.Advance(base.Add(now))
			for _, t := range free {
				ts.schedule(t, now+500*time.Millisecond)
				ts.schedule(t, now+32*time.Second)
			}
			free = free[:0]
			worst = max(worst, time.Since(begin))
		}
		b.ReportMetric(float64(worst), "worst")
	})
	b.Run("wheel", func(b *testing.B) {
		w := &wheel{}
		all := make([]wheelTimer, liveTimers)
		var free []*wheelTimer
		order := rand.New(rand.NewPCG(1, 2)).Perm(liveTimers)
		for i, p := range order {
			w.schedule(&all[p], time.Duration(i)*step+step)
		}
		now, worst := time.Duration(0), time.Duration(0)
		b.ReportAllocs()
		for b.Loop() {
			begin := time.Now()
			now += step
			w.advance(now, func(t *wheelTimer) { free = append(free, t) })
			for _, t := range free {
				w.schedule(t, now+500*time.Millisecond)
				w.schedule(t, now+32*time.Second)
			}
			free = free[:0]
			worst = max(worst, time.Since(begin))
		}
		b.ReportMetric(float64(worst), "worst")
	})
}
