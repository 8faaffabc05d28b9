package events

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestHubKeepsTheNewest(t *testing.T) {
	h := NewHub("r", 0)
	r := h.Reader()
	for range Kept + 10 {
		h.Emit(&Event{Type: CallStarted, At: time.Unix(1, 0)})
	}
	room := make([]Event, 5)
	n, gap := r.Poll(room)
	if n != 5 || gap == nil || gap.Lost.Count != 10 || gap.Lost.After != "r-0" || gap.ID != "r-10" || room[0].ID != "r-11" || room[4].ID != "r-15" {
		t.Errorf("got %d events from %q on, gap %+v", n, room[0].ID, gap)
	}
	if n, gap = r.Poll(room); n != 5 || gap != nil || room[0].ID != "r-16" {
		t.Errorf("then %d events from %q on, gap %+v", n, room[0].ID, gap)
	}
	for _, tt := range []struct {
		after string
		first string
		count uint64
		gap   bool
	}{
		{"r-15", "r-16", 0, false}, {"r-10", "r-11", 0, false}, {"r-9", "r-11", 1, true}, {"q-15", "r-11", 0, true},
		{"r-99999", "r-11", 0, true}, {"nonsense", "r-11", 0, true}, {"r-x", "r-11", 0, true},
	} {
		r, gap := h.After(tt.after)
		if n, _ := r.Poll(room); n != 5 || room[0].ID != tt.first || (gap != nil) != tt.gap || gap != nil && (gap.Lost.Count != tt.count || gap.Lost.After != tt.after) {
			t.Errorf("after %s: got %s, gap %+v", tt.after, room[0].ID, gap)
		}
	}
	if r, gap := h.After("r-16394"); gap != nil {
		t.Errorf("after the newest: gap %+v", gap)
	} else if n, _ := r.Poll(room); n != 0 {
		t.Errorf("after the newest: %d events", n)
	}
}

// Readers wait without a trace, and all of them are woken.
func TestReadersWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := NewHub("r", 0)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if _, _, err := h.Reader().Read(ctx, make([]Event, 1)); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		if len(h.waiting) != 0 {
			t.Errorf("%d readers wait", len(h.waiting))
		}
		var wg sync.WaitGroup
		for range 3 {
			r := h.Reader()
			wg.Go(func() {
				room := make([]Event, 9)
				if n, gap, err := r.Read(t.Context(), room); n != 1 || gap != nil || err != nil || room[0].Type != PeerUp {
					t.Errorf("got %d events, %+v, %v", n, gap, err)
				}
			})
		}
		synctest.Wait()
		h.Emit(Turned("acme", true, "it answered"))
		wg.Wait()
	})
}

// Telling costs no memory, once the hub has gone round.
func TestEmitAllocatesNothing(t *testing.T) {
	h := NewHub("r", 0)
	e := &Event{Type: CallStarted, At: time.Unix(1, 0)}
	for range Kept {
		h.Emit(e)
	}
	if n := testing.AllocsPerRun(1000, func() { h.Emit(e) }); n != 0 {
		t.Errorf("an event costs %v allocations", n)
	}
}

func BenchmarkEmit(b *testing.B) {
	h := NewHub("r", 0)
	e := &Event{Type: CallStarted, At: time.Unix(1, 0)}
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			h.Emit(e)
		}
	})
}
