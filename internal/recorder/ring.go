package recorder

import (
	"net/netip"
	"time"
	"unsafe"

	"github.com/sallyport-sip/sallyport/internal/callflow"
)

// ring is the memory of a Recorder: a queue of entries and, beside it, an arena that holds the bytes of messages. Both
// drop their oldest together. Owned by Recorder.mu.
//
// The arena is used in a circle. Positions count all bytes ever given out; a message lies in one piece, so at the end of
// the arena a few bytes may stay unused.
type ring struct {
	arena []byte
	pos   uint64 // where the next message goes
	tail  uint64 // where the oldest message that is kept begins

	entries []entry // a circle; grows to what the bound allows
	head    int     // of the oldest
	count   int
	first   uint64 // Seq of the oldest
	cold    int    // bytes of entries and of events that are no messages
	coldMax int
	dropped uint64
}

// An entry is one event. A message has bytes in the arena, all others are kept as they are.
type entry struct {
	conn   *conn
	event  *callflow.Event // nil for a message
	at     int64           // Unix nanoseconds, of a message
	remote netip.AddrPort
	start  uint64 // position in the arena
	length int
	weight int // what it counts in cold
	out    bool
}

const entrySize = int(unsafe.Sizeof(entry{}))

// init gives three quarters of the bound to the arena: the queue of ordinary SIP traffic takes less than the rest.
func (r *ring) init(bound int) {
	r.arena = make([]byte, bound/4*3)
	r.coldMax = bound - len(r.arena)
	r.first = 1
}

func (r *ring) bound() int { return len(r.arena) + r.coldMax }

func (r *ring) bytes() int { return int(r.pos-r.tail) + r.cold }

// message copies b and returns the copy, so that the caller can mask it; nil when b is longer than the arena.
func (r *ring) message(k *conn, out bool, remote netip.AddrPort, at time.Time, b []byte) []byte {
	if len(b) > len(r.arena) {
		r.dropped++
		return nil
	}
	size := uint64(len(r.arena))
	start := r.pos
	if rest := size - start%size; uint64(len(b)) > rest {
		start += rest
	}
	for r.count > 0 && start+uint64(len(b))-r.tail > size {
		r.drop()
	}
	if r.count == 0 {
		r.tail = start
	}
	r.push(entry{conn: k, at: at.UnixNano(), remote: remote, start: start, length: len(b), weight: entrySize, out: out})
	r.pos = start + uint64(len(b))
	at0 := start % size
	kept := r.arena[at0 : at0+uint64(len(b)) : at0+uint64(len(b))]
	copy(kept, b)
	return kept
}

// event keeps an event that is no message.
func (r *ring) event(k *conn, e *callflow.Event) {
	r.push(entry{conn: k, event: e, start: r.pos, weight: entrySize + weigh(e)})
}

func (r *ring) push(e entry) {
	for r.count > 0 && r.cold+e.weight > r.coldMax {
		r.drop()
	}
	if r.count == len(r.entries) {
		r.grow()
	}
	r.entries[(r.head+r.count)%len(r.entries)] = e
	r.count++
	r.cold += e.weight
}

func (r *ring) grow() {
	bigger := make([]entry, max(64, 2*len(r.entries)))
	for i := range r.count {
		bigger[i] = *r.at(i)
	}
	r.entries, r.head = bigger, 0
}

func (r *ring) at(i int) *entry { return &r.entries[(r.head+i)%len(r.entries)] }

// drop lets the oldest event go.
func (r *ring) drop() {
	e := r.at(0)
	r.cold -= e.weight
	*e = entry{}
	r.head = (r.head + 1) % len(r.entries)
	r.count--
	r.first++
	r.dropped++
	if r.count > 0 {
		r.tail = r.at(0).start // of an event that is no message: where the next message begins at the earliest
	} else {
		r.tail = r.pos
	}
}

func (r *ring) content(e *entry) []byte {
	at := e.start % uint64(len(r.arena))
	return r.arena[at : at+uint64(e.length)]
}

// weigh estimates the memory of an event that is no message.
func weigh(e *callflow.Event) int {
	n := int(unsafe.Sizeof(*e)) + len(e.Reason)
	if s := e.Step; s != nil {
		n += int(unsafe.Sizeof(*s)) + len(s.Suite) + len(s.ServerName) + len(s.Note) + 32*len(s.Offered)
		if c := s.Certificate; c != nil {
			n += int(unsafe.Sizeof(*c)) + len(c.Subject) + len(c.Issuer)
			for _, name := range c.Names {
				n += 16 + len(name)
			}
		}
	}
	if v := e.Verdict; v != nil {
		n += int(unsafe.Sizeof(*v)) + len(v.Reason) + len(v.Remedy)
	}
	if c := e.Call; c != nil {
		n += int(unsafe.Sizeof(*c)) + len(c.CallID) + len(c.Peer)
	}
	return n
}

// batch is how many events a reader copies under one hold of the lock.
const batch = 128

// snapshot copies the ring, a batch at a time, so that no call waits long for a reader. Events that are dropped
// meanwhile are not in it. It returns the Seq after the last one.
func (r *Recorder) snapshot() (events []callflow.Event, next uint64) {
	r.mu.Lock()
	next = r.ring.first
	last := next + uint64(r.ring.count)
	r.mu.Unlock()
	events = make([]callflow.Event, 0, last-next)
	var conns []*conn
	for next < last {
		r.mu.Lock()
		next = max(next, r.ring.first)
		total := 0
		end := min(next+batch, last)
		for i := next; i < end; i++ {
			total += r.ring.at(int(i - r.ring.first)).length
		}
		slab := make([]byte, 0, total)
		for ; next < end; next++ {
			e := r.ring.at(int(next - r.ring.first))
			from := len(slab)
			slab = append(slab, r.ring.content(e)...)
			events = append(events, e.asEvent(next, slab[from:len(slab):len(slab)]))
			conns = append(conns, e.conn)
		}
		r.mu.Unlock()
	}
	for i, k := range conns {
		if k != nil {
			events[i].Link = k.link.Load()
		}
	}
	return events, next
}

func (e *entry) asEvent(seq uint64, raw []byte) callflow.Event {
	if e.event != nil {
		v := *e.event
		v.Seq = seq
		return v
	}
	return callflow.Event{
		Seq: seq, At: time.Unix(0, e.at), Kind: callflow.Message, Out: e.out, Remote: e.remote, Raw: raw,
	}
}
