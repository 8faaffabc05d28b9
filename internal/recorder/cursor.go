package recorder

import "github.com/sallyport-sip/sallyport/internal/callflow"

// A Cursor follows the ring: it gives each event once, in order, to a goroutine of its owner's. It makes nobody wait: who
// reads slower than calls write loses the oldest, and Lost says how many. It is for one goroutine.
type Cursor struct {
	r    *Recorder
	next uint64 // Seq of the event that comes next
	lost uint64
}

// Cursor returns one that gives what comes from now on. Subscribe tells when there is something.
func (r *Recorder) Cursor() *Cursor {
	r.mu.Lock()
	defer r.mu.Unlock()
	return &Cursor{r: r, next: r.ring.first + uint64(r.ring.count)}
}

// Next returns the events that have come since, a batch at most, nil when there are none. They are copies. The link of each
// is what is known of its connection now.
func (c *Cursor) Next() []callflow.Event {
	r := c.r
	r.mu.Lock()
	if c.next < r.ring.first {
		c.lost += r.ring.first - c.next
		c.next = r.ring.first
	}
	end := min(c.next+batch, r.ring.first+uint64(r.ring.count))
	if c.next == end {
		r.mu.Unlock()
		return nil
	}
	total := 0
	for i := c.next; i < end; i++ {
		total += r.ring.at(int(i - r.ring.first)).length
	}
	slab := make([]byte, 0, total)
	events := make([]callflow.Event, 0, end-c.next)
	conns := make([]*conn, 0, end-c.next)
	for ; c.next < end; c.next++ {
		e := r.ring.at(int(c.next - r.ring.first))
		from := len(slab)
		slab = append(slab, r.ring.content(e)...)
		events = append(events, e.asEvent(c.next, slab[from:len(slab):len(slab)]))
		conns = append(conns, e.conn)
	}
	r.mu.Unlock()
	for i, k := range conns {
		if k != nil {
			events[i].Link = k.link.Load()
		}
	}
	return events
}

// Lost returns how many events had gone from the ring before they were read.
func (c *Cursor) Lost() uint64 { return c.lost }
