package recorder

import "github.com/sallyport-sip/sallyport/internal/callflow"

// A Cursor follows the ring: it gives each event once, in order, to a goroutine of its owner's. It makes nobody wait: who
// reads slower than calls write loses the oldest, and Lost says how many. It is for one goroutine.
type Cursor struct {
	r    *Recorder
	next uint64 // Seq of the event that comes next
	lost uint64

	events []callflow.Event // what Next returned last; all three are used again
	conns  []*conn
	bytes  []byte
}

// Cursor returns one that gives what comes from now on. Subscribe tells when there is something.
func (r *Recorder) Cursor() *Cursor {
	r.mu.Lock()
	defer r.mu.Unlock()
	return &Cursor{r: r, next: r.ring.first + uint64(r.ring.count)}
}

// most is how many bytes of messages Next gives at once, unless one message alone is longer.
const most = 128 << 10

// Next returns the events that have come since, a batch at most, nil when there are none. They and their bytes are copies, and good until
// the next call. The link of each is what is known of its connection now.
func (c *Cursor) Next() []callflow.Event {
	c.events, c.conns = c.events[:0], c.conns[:0]
	c.copy()
	if len(c.events) == 0 {
		return nil
	}
	for i, k := range c.conns {
		if k != nil {
			c.events[i].Link = k.link.Load()
		}
	}
	return c.events
}

// copy takes a batch out of the ring under one hold of its lock.
func (c *Cursor) copy() {
	r := c.r
	r.mu.Lock()
	defer r.mu.Unlock()
	if c.next < r.ring.first {
		c.lost += r.ring.first - c.next
		c.next = r.ring.first
	}
	end, total := c.next, 0
	for last := min(c.next+batch, r.ring.first+uint64(r.ring.count)); end < last && (total == 0 || total < most); end++ {
		total += r.ring.at(int(end - r.ring.first)).length
	}
	if total > cap(c.bytes) || cap(c.bytes) > 2*most && total <= most {
		c.bytes = make([]byte, 0, max(total, most))
	}
	slab := c.bytes[:0]
	for ; c.next < end; c.next++ {
		e := r.ring.at(int(c.next - r.ring.first))
		from := len(slab)
		slab = append(slab, r.ring.content(e)...)
		c.events = append(c.events, e.asEvent(c.next, slab[from:len(slab):len(slab)]))
		c.conns = append(c.conns, e.conn)
	}
}

// Lost returns how many events had gone from the ring before they were read.
func (c *Cursor) Lost() uint64 { return c.lost }
