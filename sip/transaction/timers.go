package transaction

import (
	"math"
	"time"
)

// Timer is one alarm of a Timers. It is meant to be a field of what it wakes,
// so that setting it allocates nothing. Fill Fire and Owner once; the zero
// value of the rest is a stopped timer. Owned by the shard that owns the
// Timers.
type Timer struct {
	// Fire is called by Timers.Advance with Owner and the time given to
	// Advance, once per Schedule. It may schedule and stop any timer.
	Fire  func(owner any, now time.Time)
	Owner any

	place int // 1 + index in the heap, 0 when stopped
}

// Active says whether the timer is scheduled.
func (t *Timer) Active() bool { return t.place != 0 }

// never is the deadline of a timer that is off.
const never = time.Duration(math.MaxInt64)

// Timers holds the timers of one shard and hands them out in the order of
// their expiry; timers of the same instant come in the order in which they
// were scheduled. It reads no clock: who owns it asks Next, waits, and calls
// Advance. Instants are exact to the nanosecond; nothing is rounded to ticks.
//
// It is a heap with four children to a node. With 100,000 live timers a
// hierarchical wheel of 1 ms ticks was no more than a sixth faster in the mean,
// but held its owner for about 10 ms whenever a full slot moved to the level
// below, and cannot name its next instant without a walk (BenchmarkTimers keeps
// both). Most timers here are set for 32 s from now, later than most others,
// which is the heap's cheapest case.
//
// Owned by one goroutine.
type Timers struct {
	base      time.Time // instants inside are durations since base
	heap      []entry
	seq       uint64
	advancing bool
	now       time.Duration // of the Advance that is running
}

type entry struct {
	at    time.Duration
	seq   uint64
	timer *Timer
}

func (a *entry) before(b *entry) bool {
	return a.at < b.at || a.at == b.at && a.seq < b.seq
}

// NewTimers returns an empty set of timers. now is any instant of the clock
// whose times will be given later, best the current one.
func NewTimers(now time.Time) *Timers { return &Timers{base: now} }

// Len is the number of scheduled timers.
func (ts *Timers) Len() int { return len(ts.heap) }

// Schedule sets t to fire at the instant at, replacing what it was set to. An
// instant that has passed fires at the next Advance; a Fire function cannot
// make the Advance that called it go on for ever.
func (ts *Timers) Schedule(t *Timer, at time.Time) { ts.schedule(t, ts.since(at)) }

// Stop takes t out and says whether it was scheduled.
func (ts *Timers) Stop(t *Timer) bool {
	if t.place == 0 {
		return false
	}
	i := t.place - 1
	t.place = 0
	last := len(ts.heap) - 1
	moved := ts.heap[last]
	ts.heap[last] = entry{}
	ts.heap = ts.heap[:last]
	if i < last {
		ts.settle(i, moved)
	}
	return true
}

// Next is the instant of the first timer, false when none is scheduled.
func (ts *Timers) Next() (time.Time, bool) {
	if len(ts.heap) == 0 {
		return time.Time{}, false
	}
	return ts.base.Add(ts.heap[0].at), true
}

// Advance fires every timer due at or before now, in order, and returns how
// many. A timer that a Fire function schedules for now or earlier waits for
// the next Advance.
func (ts *Timers) Advance(now time.Time) int {
	ts.now, ts.advancing = ts.since(now), true
	n := 0
	for len(ts.heap) > 0 && ts.heap[0].at <= ts.now {
		t := ts.heap[0].timer
		ts.Stop(t)
		n++
		t.Fire(t.Owner, now)
	}
	ts.advancing = false
	return n
}

// since turns an instant of the caller's clock into one of ours.
func (ts *Timers) since(at time.Time) time.Duration { return at.Sub(ts.base) }

// set is schedule for an owner whose timer often stays where it is; never stops
// it.
func (ts *Timers) set(t *Timer, at time.Duration) {
	switch {
	case at == never:
		ts.Stop(t)
	case t.place == 0 || ts.heap[t.place-1].at != at:
		ts.schedule(t, at)
	}
}

func (ts *Timers) schedule(t *Timer, at time.Duration) {
	if ts.advancing && at <= ts.now {
		at = ts.now + 1
	}
	ts.seq++
	e := entry{at: at, seq: ts.seq, timer: t}
	if t.place != 0 {
		ts.settle(t.place-1, e)
		return
	}
	ts.heap = append(ts.heap, e)
	ts.up(len(ts.heap)-1, e)
}

// settle puts e where it belongs, starting from the free place i.
func (ts *Timers) settle(i int, e entry) {
	if i > 0 && e.before(&ts.heap[(i-1)/4]) {
		ts.up(i, e)
	} else {
		ts.down(i, e)
	}
}

func (ts *Timers) up(i int, e entry) {
	for i > 0 {
		parent := (i - 1) / 4
		if !e.before(&ts.heap[parent]) {
			break
		}
		ts.put(i, ts.heap[parent])
		i = parent
	}
	ts.put(i, e)
}

func (ts *Timers) down(i int, e entry) {
	for {
		first := 4*i + 1
		if first >= len(ts.heap) {
			break
		}
		least := first
		for c := first + 1; c < min(first+4, len(ts.heap)); c++ {
			if ts.heap[c].before(&ts.heap[least]) {
				least = c
			}
		}
		if !ts.heap[least].before(&e) {
			break
		}
		ts.put(i, ts.heap[least])
		i = least
	}
	ts.put(i, e)
}

func (ts *Timers) put(i int, e entry) {
	ts.heap[i] = e
	e.timer.place = i + 1
}
