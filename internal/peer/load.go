package peer

import (
	"sync/atomic"
	"time"

	"github.com/sallyport-sip/sallyport/internal/config"
)

// Load counts the calls of a peer in one direction, and holds them to limits.
// All shards use it at once, without a lock.
type Load struct {
	calls                    atomic.Int64
	due                      atomic.Int64 // Unix nanoseconds: when calls at the full rate would have used up what began
	began, answered, limited atomic.Uint64
	failed, refused          [classes]atomic.Uint64
}

// Totals are how many calls there were since the gateway started.
type Totals struct {
	Began    uint64
	Answered uint64
	Failed   uint64 // ended without an answer, whoever ended them
	Limited  uint64 // above a limit: not counted in the others
}

// Over says which limit a call is above.
type Over uint8

// The limits of a Load.
const (
	Within  Over = iota // none
	TooMany             // calls at once
	TooFast             // calls a second
)

// Calls is how many calls there are.
func (l *Load) Calls() int64 { return l.calls.Load() }

// Totals returns the counters.
func (l *Load) Totals() Totals {
	t := Totals{Began: l.began.Load(), Answered: l.answered.Load(), Limited: l.limited.Load()}
	for i := range l.failed {
		t.Failed += l.failed[i].Load()
	}
	return t
}

// Begin counts a call, unless it is above a limit: calls at once, rate a second;
// 0 is no limit. Who gets Within calls Done when the call is over.
func (l *Load) Begin(now time.Time, calls, rate config.Count) Over {
	over := l.begin(now, calls, rate)
	if over == Within {
		l.began.Add(1)
	} else {
		l.limited.Add(1)
	}
	return over
}

func (l *Load) begin(now time.Time, calls, rate config.Count) Over {
	if calls > 0 && l.calls.Load() >= int64(calls) {
		return TooMany // and the rate is not used up
	}
	if !l.pace(now.UnixNano(), rate) {
		return TooFast
	}
	for {
		n := l.calls.Load()
		if calls > 0 && n >= int64(calls) {
			l.unpace(rate)
			return TooMany
		}
		if l.calls.CompareAndSwap(n, n+1) {
			return Within
		}
	}
}

// Pace counts a request that is no call on the rate of calls, unless it is above
// it; rate is in requests a second, 0 is no limit.
func (l *Load) Pace(now time.Time, rate config.Count) bool {
	if l.pace(now.UnixNano(), rate) {
		return true
	}
	l.limited.Add(1)
	return false
}

// Undo takes back a Begin whose call was not made.
func (l *Load) Undo(rate config.Count) {
	l.calls.Add(-1)
	l.began.Add(^uint64(0))
	l.unpace(rate)
}

// Answered notes that a call was answered.
func (l *Load) Answered() { l.answered.Add(1) }

// Done ends a call that Begin counted and that was answered.
func (l *Load) Done() { l.calls.Add(-1) }

// Failed ends a call that Begin counted and that was not answered.
func (l *Load) Failed(how Class) {
	l.calls.Add(-1)
	l.failed[how].Add(1)
}

// Refused counts an INVITE that was refused before Begin.
func (l *Load) Refused(how Class) { l.refused[how].Add(1) }

// burst is how much of its time a rate may use at once: the calls of a second.
const burst = int64(time.Second)

// pace lets calls through at a rate. Each moves due on by the time that it takes
// at that rate; a call that would move it more than a second ahead is too fast.
// Only one number is kept, so that the rate may change at any time.
func (l *Load) pace(now int64, rate config.Count) bool {
	if rate <= 0 {
		return true
	}
	step := burst / int64(rate)
	for {
		due := l.due.Load()
		from := max(due, now)
		if due-now > 2*burst {
			from = now // the clock was set back
		}
		if from+step-now > burst {
			return false
		}
		if l.due.CompareAndSwap(due, from+step) {
			return true
		}
	}
}

func (l *Load) unpace(rate config.Count) {
	if rate > 0 {
		l.due.Add(-burst / int64(rate))
	}
}
