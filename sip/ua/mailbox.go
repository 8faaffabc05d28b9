package ua

import (
	"sync"

	"github.com/sallyport-sip/sallyport/sip/transport"
)

// mail is one thing for a shard to do: a packet, or a function that brings a
// result back or was posted from outside.
type mail struct {
	packet transport.Packet
	do     func(*Shard)
}

// mailbox is a shard's one queue. Any goroutine puts; only the shard takes,
// everything at once. Packets are bounded, in number and in bytes; results are not, because whoever
// started the work behind them reserved their place (Shard.Go).
//
// One stream holds no more than its share of it, and UDP leaves a part to
// streams: who sends without end does not keep others out.
type mailbox struct {
	limit int           // packets
	most  int           // bytes of them
	wake  chan struct{} // holds one token while there may be something to take

	mu      sync.Mutex
	in      []mail
	packets int
	bytes   int
	held    map[*transport.Conn]int // of packets
	room    chan struct{}           // closed by take when a put waits
	closed  bool
}

func newMailbox(limit, most int) *mailbox {
	return &mailbox{limit: limit, most: most, wake: make(chan struct{}, 1), held: make(map[*transport.Conn]int)}
}

// post adds a result or a posted function; false means the shard has ended.
func (b *mailbox) post(do func(*Shard)) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return false
	}
	b.in = append(b.in, mail{do: do})
	b.signal()
	return true
}

// put adds as many of one connection's packets as there is room for and returns
// the rest, with a channel that is closed when it is worth trying again; full
// says that there is no room for others either. A nil channel with a rest means
// that the shard has ended.
func (b *mailbox) put(packets []transport.Packet) (rest []transport.Packet, room <-chan struct{}, full bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return packets, nil, true
	}
	conn := packets[0].Conn
	n := max(0, min(len(packets), b.limit-b.packets, b.share(conn)-b.held[conn]))
	most := b.most
	if conn.Transport() == transport.UDP {
		most -= most / 8
	}
	for i, p := range packets[:n] {
		size := len(p.Msg.Bytes())
		if b.packets+i > 0 && b.bytes+size > most {
			n = i
			break
		}
		b.in = append(b.in, mail{packet: p})
		b.bytes += size
	}
	if n > 0 {
		b.packets += n
		b.held[conn] += n
		b.signal()
	}
	if n == len(packets) {
		return nil, nil, false
	}
	if b.room == nil {
		b.room = make(chan struct{})
	}
	return packets[n:], b.room, b.packets == b.limit || b.bytes+len(packets[n].Msg.Bytes()) > b.most
}

// streamShare is how many packets of one stream may wait for a shard, which
// takes all that wait at once.
const streamShare = 128

// share is how many packets of a connection may wait.
func (b *mailbox) share(c *transport.Conn) int {
	if c.Transport() == transport.UDP {
		return b.limit - b.limit/8
	}
	return streamShare
}

// signal leaves a token; b.mu is held.
func (b *mailbox) signal() {
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

// take returns all that is there in the order in which it came. spare, cleared
// by the caller, becomes the next queue.
func (b *mailbox) take(spare []mail) []mail {
	b.mu.Lock()
	defer b.mu.Unlock()
	out := b.in
	b.in, b.packets, b.bytes = spare[:0], 0, 0
	clear(b.held)
	if b.room != nil {
		close(b.room)
		b.room = nil
	}
	return out
}

// close refuses what comes from now on and returns what is still there.
func (b *mailbox) close() []mail {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	out := b.in
	b.in = nil
	if b.room != nil {
		close(b.room)
		b.room = nil
	}
	return out
}
