package peer

import (
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/sallyport-sip/sallyport/internal/config"
)

var noon = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

func after(seconds float64) time.Time { return noon.Add(time.Duration(seconds * float64(time.Second))) }

func TestStateOfAPeer(t *testing.T) {
	s := new(State)
	yes := func(what string, got, want bool) {
		t.Helper()
		if got != want {
			t.Errorf("%s: got %v, want %v", what, got, want)
		}
	}
	yes("a new one is up", s.Up() && s.Ready(noon) && s.Ask(noon, time.Second) && s.Down() == nil && s.DownUntil().IsZero(), true)
	yes("an answer is no news", s.Answered(after(0), after(1)), false)
	yes("down for no time", s.Failed(after(0), after(1), after(1), "silent"), false)
	yes("down", s.Failed(after(0), after(1), after(31), "silent"), true)
	yes("down again", s.Failed(after(0), after(2), after(32), "refused"), false)
	yes("not for a shorter time", s.Failed(after(0), after(2), after(5), "busy"), false)
	if d := s.Down(); d == nil || d.Why != "refused" || !d.Since.Equal(after(1)) || !s.DownUntil().Equal(after(32)) || s.Up() {
		t.Errorf("got %+v", d)
	}
	yes("ready before its time", s.Ready(after(31)), false)
	yes("asked before its time", s.Ask(after(31), 30*time.Second), false)
	yes("ready after its time", s.Ready(after(32)), true)
	yes("the first call after its time", s.Ask(after(32), 30*time.Second), true)
	yes("the second", s.Ask(after(32), 30*time.Second), false)
	yes("the next one after the same time again", s.Ask(after(62), 30*time.Second), true)
	yes("an answer to a call from before", s.Answered(after(0.5), after(62)), false)
	yes("still down", s.Up(), false)
	yes("an answer to a call from since then", s.Answered(after(62), after(63)), true)
	yes("up", s.Up(), true)
	yes("a failure of a call from before", s.Failed(after(62.5), after(64), after(94), "silent"), false)
	yes("a failure of a call from since then", s.Failed(after(63), after(64), after(94), "silent"), true)
}

// Of all calls that see the down time end, one asks.
func TestOneCallTriesAPeerThatWasDown(t *testing.T) {
	s := new(State)
	s.Failed(noon, noon, after(30), "silent")
	var wg sync.WaitGroup
	got := make([]bool, 64)
	for i := range got {
		wg.Go(func() { got[i] = s.Ask(after(30), time.Minute) })
	}
	wg.Wait()
	n := 0
	for _, asks := range got {
		if asks {
			n++
		}
	}
	if n != 1 {
		t.Errorf("%d calls ask, want 1", n)
	}
}

func TestCallsAtOnce(t *testing.T) {
	var l Load
	for i := range 3 {
		if over := l.Begin(noon, 3, 0); over != Within {
			t.Fatalf("call %d: %v", i, over)
		}
	}
	if over := l.Begin(noon, 3, 0); over != TooMany {
		t.Errorf("the fourth: %v", over)
	}
	if over := l.Begin(noon, 4, 0); over != Within {
		t.Errorf("with a higher limit: %v", over)
	}
	l.Answered()
	l.Done()
	l.Failed(Busy)
	if over := l.Begin(noon, 2, 0); over != TooMany {
		t.Errorf("with a lower limit: %v", over)
	}
	if got, want := l.Totals(), (Totals{Began: 4, Answered: 1, Failed: 1, Limited: 2}); got != want || l.Calls() != 2 {
		t.Errorf("got %+v and %d calls, want %+v and 2", got, l.Calls(), want)
	}
}

func TestCallsASecond(t *testing.T) {
	var l Load
	begin := func(seconds float64, rate int) Over {
		return l.Begin(after(seconds), 0, config.Count(rate))
	}
	burst := func(seconds float64, rate int) (n int) {
		for begin(seconds, rate) == Within {
			n++
		}
		return n
	}
	for _, c := range []struct {
		at   float64
		rate int
		want int
	}{
		{0, 3, 3},      // a burst of a second's calls
		{0.3, 3, 0},    // and then one each third of a second
		{0.34, 3, 1},   //
		{1, 3, 2},      //
		{1.001, 3, 0},  //
		{100, 3, 3},    // unused time is not saved up
		{100, 1000, 0}, // another rate goes on where the first one stopped
		{100.1, 1000, 100},
		{50, 7, 7}, // the clock was set back
	} {
		if got := burst(c.at, c.rate); got != c.want {
			t.Errorf("at %v with %d a second: %d calls, want %d", c.at, c.rate, got, c.want)
		}
	}
	l = Load{}
	if begin(0, 1) != Within || begin(0, 1) != TooFast {
		t.Error("one a second is not held")
	}
	l.Undo(1)
	if begin(0, 1) != Within || l.Totals().Began != 1 {
		t.Error("what was undone counts")
	}
}

// A call that is refused for the number of calls at once uses up no rate.
func TestFullUsesUpNoRate(t *testing.T) {
	var l Load
	l.Begin(noon, 1, 2)
	for range 10 {
		if over := l.Begin(noon, 1, 2); over != TooMany {
			t.Fatalf("got %v", over)
		}
	}
	if over := l.Begin(noon, 2, 2); over != Within {
		t.Errorf("got %v", over)
	}
}

// Many goroutines never get above a limit together, and nothing is left when
// all calls are over.
func TestLimitsAreExactUnderRaces(t *testing.T) {
	const limit = 7
	var (
		l    Load
		wg   sync.WaitGroup
		live = make(chan struct{}, limit)
	)
	for range 8 {
		wg.Go(func() {
			for range 10_000 {
				if l.Begin(noon, limit, 0) != Within {
					continue
				}
				select {
				case live <- struct{}{}:
				default:
					t.Error("more calls than the limit")
				}
				<-live
				if rand.IntN(4) == 0 {
					l.Undo(0)
				} else {
					l.Failed(Class(rand.IntN(int(classes))))
				}
			}
		})
	}
	wg.Wait()
	if l.Calls() != 0 {
		t.Errorf("%d calls are left", l.Calls())
	}
}

func TestLimitsAllocateNothing(t *testing.T) {
	s := new(State)
	if n := testing.AllocsPerRun(100, func() {
		if s.Ask(noon, time.Second) && s.Out.Begin(noon, 10, 1<<30) == Within {
			s.Answered(noon, noon)
			s.Out.Done()
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
