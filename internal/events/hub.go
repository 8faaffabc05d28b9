package events

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// Kept is how many events a Hub keeps for readers that are behind, or come back.
	Kept = 1 << 14
	// chunk is how many events get memory at once, when they come for the first time.
	chunk = 256
)

// A Hub numbers events and keeps the newest. It is safe for all shards: an event is copied under a short lock, and nobody
// is waited for. Who reads is told how many it missed, when it comes so late that they are gone.
type Hub struct {
	run  string
	kept uint64 // a multiple of chunk

	mu      sync.Mutex // guards what follows
	chunks  []*[chunk]Event
	next    uint64          // the number of the next event; the first has 1
	waiting []chan struct{} // readers that have read everything

	emitted atomic.Uint64
}

// NewHub returns an empty Hub. run names this run of the gateway; kept is how many events it keeps, rounded up, 0: Kept.
func NewHub(run string, kept int) *Hub {
	if kept == 0 {
		kept = Kept
	}
	n := (kept + chunk - 1) / chunk
	return &Hub{run: run, kept: uint64(n) * chunk, next: 1, chunks: make([]*[chunk]Event, n)}
}

// Run is the name of this run of the gateway, as in the IDs of events.
func (h *Hub) Run() string { return h.run }

// Emitted is how many events there were.
func (h *Hub) Emitted() uint64 { return h.emitted.Load() }

// Emit takes an event, which stays the caller's: it is copied, and gets its number. A zero At means the time of the call.
func (h *Hub) Emit(e *Event) {
	if e.At.IsZero() {
		e.At = time.Now()
	}
	h.mu.Lock()
	at := h.next % h.kept
	c := h.chunks[at/chunk]
	if c == nil {
		c = new([chunk]Event)
		h.chunks[at/chunk] = c
	}
	c[at%chunk] = *e
	c[at%chunk].seq = h.next
	h.next++
	for _, w := range h.waiting {
		close(w)
	}
	h.waiting = h.waiting[:0]
	h.mu.Unlock()
	h.emitted.Add(1)
}

// A Reader goes through the events of a Hub. It is for one goroutine.
type Reader struct {
	hub  *Hub
	last uint64 // the number of the event that was read last
}

// Reader returns one that stands after all events so far.
func (h *Hub) Reader() *Reader {
	h.mu.Lock()
	defer h.mu.Unlock()
	return &Reader{h, h.next - 1}
}

// After returns a reader that goes on after an event that somebody has read. When that was so long ago that events between
// are gone, or the ID is of another run of the gateway, gap says so; it goes on with what there is.
func (h *Hub) After(id string) (r *Reader, gap *Event) {
	run, seq, ok := ParseID(id)
	h.mu.Lock()
	defer h.mu.Unlock()
	r = &Reader{h, seq}
	oldest := h.oldest()
	switch {
	case !ok || run != h.run || seq >= h.next:
		r.last = oldest - 1
		return r, r.gap(0, id, "that event is not of this run of the gateway; what is in memory follows")
	case seq+1 < oldest:
		r.last = oldest - 1
		return r, r.gap(oldest-1-seq, id, "that event is too old; what is in memory follows")
	}
	return r, nil
}

// oldest is the number of the oldest event in memory. The caller holds mu.
func (h *Hub) oldest() uint64 {
	if h.next > h.kept {
		return h.next - h.kept
	}
	return 1
}

// gap says that events are missing before the place where the reader stands.
func (r *Reader) gap(count uint64, after, why string) *Event {
	e := &Event{Type: Lost, At: time.Now(), Lost: &Gap{Count: count, After: after, Why: why}, seq: r.last}
	return r.hub.finish(e)
}

// finish makes what is the same in all events.
func (h *Hub) finish(e *Event) *Event {
	e.Version, e.ID, e.At = Version, FormatID(h.run, e.seq), e.At.UTC()
	return e
}

// Read copies the next events into room, at least one, and waits for it. gap is not nil when some were gone before they
// were read. The error is that of ctx.
func (r *Reader) Read(ctx context.Context, room []Event) (n int, gap *Event, err error) {
	for {
		n, gap, wait := r.take(room)
		if n > 0 {
			return n, gap, nil
		}
		select {
		case <-wait:
		case <-ctx.Done():
			r.hub.forget(wait)
			return 0, nil, ctx.Err()
		}
	}
}

// Poll is Read that does not wait.
func (r *Reader) Poll(room []Event) (n int, gap *Event) {
	r.hub.mu.Lock()
	defer r.hub.mu.Unlock()
	return r.copy(room)
}

// forget takes a reader off those that wait.
func (h *Hub) forget(wait chan struct{}) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.waiting = slices.DeleteFunc(h.waiting, func(w chan struct{}) bool { return w == wait })
}

func (r *Reader) take(room []Event) (n int, gap *Event, wait chan struct{}) {
	h := r.hub
	h.mu.Lock()
	defer h.mu.Unlock()
	if n, gap = r.copy(room); n > 0 {
		return n, gap, nil
	}
	wait = make(chan struct{})
	h.waiting = append(h.waiting, wait)
	return 0, nil, wait
}

// copy copies what there is. The caller holds the hub's mu.
func (r *Reader) copy(room []Event) (n int, gap *Event) {
	h := r.hub
	if oldest := h.oldest(); r.last+1 < oldest {
		missed, after := oldest-1-r.last, FormatID(h.run, r.last)
		r.last = oldest - 1
		gap = r.gap(missed, after, "the reader was too slow")
	}
	for n < len(room) && r.last+1 < h.next {
		r.last++
		at := r.last % h.kept
		room[n] = h.chunks[at/chunk][at%chunk]
		h.finish(&room[n])
		n++
	}
	return n, gap
}
