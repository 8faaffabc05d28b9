package transaction

import (
	"cmp"
	"slices"
	"time"
)

// wheel is the structure that Timers was measured against, and the second
// opinion in the tests: four levels of 256 slots with ticks of 1 ms, doubly
// linked lists, and a sort of each slot that comes due. It does not know its
// next instant, only how to advance.
type wheel struct {
	tick  time.Duration // the next tick to handle, in ms
	seq   uint64
	slots [4][256]*wheelTimer
}

type wheelTimer struct {
	at         time.Duration
	seq        uint64
	next, prev *wheelTimer
	slot       **wheelTimer
	id         int
}

func (w *wheel) schedule(t *wheelTimer, at time.Duration) {
	w.stop(t)
	w.seq++
	t.at, t.seq = at, w.seq
	w.insert(t)
}

func (w *wheel) insert(t *wheelTimer) {
	due := max((t.at+time.Millisecond-1)/time.Millisecond, w.tick)
	level, shift := 0, 0
	for level < 3 && due>>(shift+8) != w.tick>>(shift+8) {
		level++
		shift += 8
	}
	slot := &w.slots[level][due>>shift&255]
	t.slot, t.prev, t.next = slot, nil, *slot
	if *slot != nil {
		(*slot).prev = t
	}
	*slot = t
}

func (w *wheel) stop(t *wheelTimer) {
	if t.slot == nil {
		return
	}
	if t.prev != nil {
		t.prev.next = t.next
	} else {
		*t.slot = t.next
	}
	if t.next != nil {
		t.next.prev = t.prev
	}
	t.slot, t.next, t.prev = nil, nil, nil
}

func (w *wheel) advance(now time.Duration, fire func(*wheelTimer)) {
	var due []*wheelTimer
	for last := now / time.Millisecond; w.tick <= last; w.tick++ {
		for level := 3; level > 0; level-- {
			shift := 8 * level
			if w.tick&(1<<shift-1) == 0 {
				w.cascade(&w.slots[level][w.tick>>shift&255])
			}
		}
		due = due[:0]
		for t := w.slots[0][w.tick&255]; t != nil; t = t.next {
			due = append(due, t)
		}
		slices.SortFunc(due, func(a, b *wheelTimer) int {
			return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.seq, b.seq))
		})
		for _, t := range due {
			if t.slot != nil {
				w.stop(t)
				fire(t)
			}
		}
	}
}

func (w *wheel) cascade(slot **wheelTimer) {
	t := *slot
	*slot = nil
	for t != nil {
		next := t.next
		w.insert(t)
		t = next
	}
}
