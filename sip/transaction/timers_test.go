package transaction

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

var epoch = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

func TestTimersFireInOrder(t *testing.T) {
	ts := NewTimers(epoch)
	var fired []string
	alarm := func(name string) *Timer {
		return &Timer{Owner: name, Fire: func(owner any, _ time.Time) { fired = append(fired, owner.(string)) }}
	}
	late, soon, first, twin, gone := alarm("late"), alarm("soon"), alarm("first"), alarm("twin"), alarm("gone")
	at := func(d time.Duration) time.Time { return epoch.Add(d) }
	ts.Schedule(late, at(3*ms))
	ts.Schedule(soon, at(2*ms))
	ts.Schedule(gone, at(2*ms))
	ts.Schedule(twin, at(9*ms))
	ts.Schedule(first, at(2*ms-1))
	ts.Schedule(twin, at(2*ms)) // again, now behind soon
	if !ts.Stop(gone) || ts.Stop(gone) {
		t.Error("Stop does not say whether the timer was scheduled")
	}
	if next, ok := ts.Next(); !ok || !next.Equal(at(2*ms-1)) {
		t.Errorf("Next is %v, %v", next, ok)
	}
	if n := ts.Advance(at(2*ms - 2)); n != 0 {
		t.Errorf("%d fired too early", n)
	}
	if n := ts.Advance(at(2 * ms)); n != 3 {
		t.Errorf("%d fired, want 3", n)
	}
	if ts.Len() != 1 || !late.Active() || soon.Active() {
		t.Error("only late should be scheduled now")
	}
	ts.Advance(at(time.Hour))
	if want := []string{"first", "soon", "twin", "late"}; !slices.Equal(fired, want) {
		t.Errorf("fired %v, want %v", fired, want)
	}
	if _, ok := ts.Next(); ok {
		t.Error("Next names an instant without timers")
	}
}

func TestTimerScheduledWhileFiring(t *testing.T) {
	ts := NewTimers(epoch)
	n := 0
	var again Timer
	other := Timer{Fire: func(any, time.Time) { t.Error("a stopped timer fired") }}
	again.Fire = func(_ any, now time.Time) {
		if n++; n > 9 {
			return
		}
		ts.Stop(&other)
		ts.Schedule(&again, now.Add(-time.Hour))
	}
	ts.Schedule(&again, epoch)
	ts.Schedule(&other, epoch)
	if fired := ts.Advance(epoch); fired != 1 || n != 1 {
		t.Errorf("fired %d times in one Advance, want once", n)
	}
	if next, _ := ts.Next(); !next.Equal(epoch.Add(1)) {
		t.Errorf("Next is %v, want just after the Advance", next)
	}
	if ts.Advance(epoch.Add(1)); n != 2 {
		t.Error("the timer set while firing is lost")
	}
}

// TestTimersAgainstWheel plays one random history to the heap and to the wheel
// and compares what fires in which order.
func TestTimersAgainstWheel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const count = 40
		ts, w := NewTimers(epoch), &wheel{}
		var fired, wheelFired []int
		timers, wheelTimers := make([]Timer, count), make([]wheelTimer, count)
		for i := range timers {
			timers[i] = Timer{Owner: i, Fire: func(owner any, _ time.Time) { fired = append(fired, owner.(int)) }}
			wheelTimers[i].id = i
		}
		now := time.Duration(0)
		for range rapid.IntRange(1, 200).Draw(t, "steps") {
			i := rapid.IntRange(0, count-1).Draw(t, "timer")
			switch rapid.SampledFrom([]int{0, 0, 0, 0, 0, 2, 2, 3}).Draw(t, "what") {
			case 0:
				at := now + 1 + time.Duration(rapid.IntRange(0, 400).Draw(t, "in"))*250*time.Microsecond
				ts.Schedule(&timers[i], epoch.Add(at))
				w.schedule(&wheelTimers[i], at)
			case 2:
				if ts.Stop(&timers[i]) != (wheelTimers[i].slot != nil) {
					t.Fatalf("timer %d is scheduled in one and not in the other", i)
				}
				w.stop(&wheelTimers[i])
			case 3:
				now += time.Duration(rapid.IntRange(0, 60).Draw(t, "ms")) * ms
				ts.Advance(epoch.Add(now))
				w.advance(now, func(x *wheelTimer) { wheelFired = append(wheelFired, x.id) })
			}
			if !slices.Equal(fired, wheelFired) {
				t.Fatalf("heap fired %v, wheel %v", fired, wheelFired)
			}
			for i := range ts.heap {
				if i > 0 && ts.heap[i].before(&ts.heap[(i-1)/4]) || ts.heap[i].timer.place != i+1 {
					t.Fatalf("place %d of the heap is out of order", i)
				}
			}
		}
	})
}

func TestTimersAllocateNothing(t *testing.T) {
	ts := NewTimers(epoch)
	timers := make([]Timer, 1000)
	for i := range timers {
		timers[i].Fire = func(any, time.Time) {}
		ts.Schedule(&timers[i], epoch.Add(time.Duration(rand.IntN(1e9))))
	}
	now := epoch
	if n := testing.AllocsPerRun(1000, func() {
		now = now.Add(ms)
		ts.Advance(now)
		ts.Schedule(&timers[0], now.Add(time.Second))
		ts.Schedule(&timers[0], now.Add(time.Minute))
		ts.Stop(&timers[0])
		ts.Next()
	}); n != 0 {
		t.Errorf("%v allocations, want none", n)
	}
}
