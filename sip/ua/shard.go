package ua

import (
	"hash/maphash"
	"net/netip"
	"slices"
	"time"

	"github.com/sallyport-sip/sallyport/sip"
	"github.com/sallyport-sip/sallyport/sip/transaction"
	"github.com/sallyport-sip/sallyport/sip/transport"
)

// ShardHandler is the level below Handler: it runs in the shard's goroutine,
// owns what belongs to the shard without a lock, and must not block. A message
// is valid until the method returns.
type ShardHandler interface {
	// Request gets a request that began a server transaction.
	Request(s *Shard, tx *ServerTx, p *transport.Packet)
	// Ack gets the ACK to a 2xx, which belongs to no transaction
	// (RFC 3261 §13.2.2.4).
	Ack(s *Shard, p *transport.Packet)
}

// Flow is where a message leaves: a connection, and on UDP the address.
type Flow struct {
	Conn *transport.Conn
	Addr netip.AddrPort // only read on UDP
}

func (f Flow) reliable() bool { return f.Conn.Info().Transport.Reliable() }

// Shard owns a part of all transactions, dialogs, calls and timers. One
// goroutine runs it, so that nothing in it needs a lock. Its methods may be
// called from that goroutine only, that is from a handler, a timer or a result.
type Shard struct {
	server *Server
	index  int
	box    *mailbox
	timers *transaction.Timers
	layer  *transaction.Layer
	tokens tokens
	now    time.Time
	ended  chan struct{}

	hosts   map[netip.Addr]string // source addresses as text
	scratch []byte                // for the headers that responses repeat
	heads   [][]byte              // see headBuffer

	touched   []*transport.Conn             // to be flushed
	unwritten int                           // mails handled since the last flush
	waiting   map[*transport.Conn]*ClientTx // requests without a final response, by stream
	jobs      int                           // under way, see Go
	quit      bool
}

func newShard(server *Server, index int) *Shard {
	s := &Shard{
		server:  server,
		index:   index,
		box:     newMailbox(server.queues.Mailbox, server.queues.Bytes/server.Shards),
		tokens:  newTokens(),
		now:     time.Now(),
		ended:   make(chan struct{}),
		waiting: make(map[*transport.Conn]*ClientTx),
		hosts:   make(map[netip.Addr]string),
	}
	s.timers = transaction.NewTimers(s.now)
	s.layer = transaction.NewLayer(server.Timers, s.timers, s)
	return s
}

// batch is how many mails a shard handles before it writes what they caused,
// when its mailbox never gets empty.
const batch = 256

// run is the shard's goroutine: it handles its mailbox until that is empty,
// writes each touched connection once, and sleeps.
func (s *Shard) run() {
	defer close(s.ended)
	alarm := time.NewTimer(time.Hour)
	defer alarm.Stop()
	var spare []mail
	for !s.quit {
		mails := s.box.take(spare)
		s.now = time.Now()
		for i := range mails {
			s.handle(&mails[i])
			if s.unwritten++; s.unwritten >= batch {
				s.flush()
			}
		}
		clear(mails)
		spare = mails
		s.timers.Advance(s.now)
		if len(mails) > 0 {
			continue // more may have come meanwhile; nothing waits longer than a batch
		}
		s.flush()
		s.sleep(alarm)
	}
	s.flush()
	s.drain()
}

// sleep waits for mail or for the next timer.
func (s *Shard) sleep(alarm *time.Timer) {
	if next, ok := s.timers.Next(); ok {
		alarm.Reset(time.Until(next))
	} else {
		alarm.Reset(time.Hour)
	}
	select {
	case <-s.box.wake:
	case <-alarm.C:
	}
}

func (s *Shard) handle(m *mail) {
	if m.do != nil {
		m.do(s)
		return
	}
	s.packet(&m.packet)
	m.packet.Msg.Release()
}

// flush writes what the batch put into its connections.
func (s *Shard) flush() {
	for i, c := range s.touched {
		c.Flush()
		s.touched[i] = nil
	}
	s.touched = s.touched[:0]
	s.unwritten = 0
}

// drain lets results that come after the end still be run, so that what they
// hold is given back.
func (s *Shard) drain() {
	for _, m := range s.box.close() {
		if m.do != nil {
			m.do(s)
		} else {
			m.packet.Msg.Release()
		}
	}
}

func (s *Shard) packet(p *transport.Packet) {
	if p.Msg.IsRequest() {
		s.request(p)
		return
	}
	// "If more than one Via header field value is present in a response, the UAC
	// SHOULD discard the message" (RFC 3261 §8.1.3.3): it was for somebody behind us,
	// and we are nobody's proxy.
	if p.Msg.Several(sip.HdrVia) || !s.layer.Response(s.now, p.Msg) && !s.stray(p) {
		s.server.stats.strayResponses.Add(1)
	}
}

// stray offers a response without a transaction to whoever may know its call.
func (s *Shard) stray(p *transport.Packet) bool {
	code := p.Msg.StatusCode()
	return s.server.Stray != nil && p.Msg.Method() == sip.INVITE && code > 100 && code < 300 && s.server.Stray(s, p)
}

// transmit puts b into the connection's pending output; the shard writes it
// when its batch is done.
func (s *Shard) transmit(f Flow, b []byte) error {
	first, err := f.Conn.Send(b, f.Addr)
	if first {
		s.touched = append(s.touched, f.Conn)
	}
	return err
}

// Transmit sends a message that belongs to no transaction: the ACK to a 2xx,
// or a 2xx again.
func (s *Shard) Transmit(f Flow, b []byte) error { return s.transmit(f, b) }

// Index returns the shard's number, from 0.
func (s *Shard) Index() int { return s.index }

// Now returns the time of the batch that is being handled.
func (s *Shard) Now() time.Time { return s.now }

// Server returns the server that the shard belongs to.
func (s *Shard) Server() *Server { return s.server }

// Schedule sets a timer of the handler's, see transaction.Timer.
func (s *Shard) Schedule(t *transaction.Timer, after time.Duration) {
	s.timers.Schedule(t, s.now.Add(after))
}

// Stop takes a timer back.
func (s *Shard) Stop(t *transaction.Timer) { s.timers.Stop(t) }

// Go runs work, which may block, in a goroutine of its own; what it returns is
// run in the shard. The place for that result is reserved now, so it is never
// lost. When too much work is under way, Go does nothing and returns false.
func (s *Shard) Go(work func() (result func(*Shard))) bool {
	if s.jobs >= s.server.queues.Jobs || s.quit {
		return false
	}
	s.jobs++
	s.server.work.Go(func() {
		result := work()
		s.box.post(func(s *Shard) {
			s.jobs--
			result(s)
		})
	})
	return true
}

// NewBranch draws a branch for a client transaction of this shard.
func (s *Shard) NewBranch() []byte { return s.tokens.branch(s.index) }

// NewTag draws a From or To tag.
func (s *Shard) NewTag() []byte { return s.tokens.appendHex(make([]byte, 0, 16), 8) }

// NewCallID draws a Call-ID whose requests come to this shard. It names no
// host (RFC 3261 §8.1.1.4 asks for none).
func (s *Shard) NewCallID() []byte {
	id := make([]byte, 0, 32)
	for {
		id = s.tokens.appendHex(s.tokens.appendHex(id[:0], 8), 8)
		if s.server.shardOf(id) == s.index {
			return id
		}
	}
}

// shardOf returns the shard that owns a Call-ID. The seed is the process's, so
// that nobody outside can aim at one shard.
func (srv *Server) shardOf(callID []byte) int {
	if len(srv.shards) == 1 {
		return 0
	}
	return int(maphash.Bytes(srv.seed, callID) % uint64(len(srv.shards)))
}

// closed is told of every connection that ended: requests that wait on it fail
// now, not at their timers, and in the order in which they left, so that those of
// one dialog are sent again in the order of their CSeq numbers.
func (s *Shard) closed(c *transport.Conn, cause error) {
	var all []*ClientTx // the latest first
	for tx := s.waiting[c]; tx != nil; tx = tx.next {
		all = append(all, tx)
	}
	for _, tx := range slices.Backward(all) {
		if tx.listed { // and has not ended meanwhile
			s.forget(tx)
			s.layer.ClientFailed(tx.tx, cause)
		}
	}
}

// wait notes that tx waits for a final response on its connection. On UDP
// nothing tells that a peer has gone.
func (s *Shard) wait(tx *ClientTx) {
	if !tx.flow.reliable() {
		return
	}
	tx.next = s.waiting[tx.flow.Conn]
	if tx.next != nil {
		tx.next.prev = tx
	}
	s.waiting[tx.flow.Conn] = tx
	tx.listed = true
}

func (s *Shard) forget(tx *ClientTx) {
	if !tx.listed {
		return
	}
	tx.listed = false
	switch {
	case tx.prev != nil:
		tx.prev.next = tx.next
	case tx.next != nil:
		s.waiting[tx.flow.Conn] = tx.next
	default:
		delete(s.waiting, tx.flow.Conn)
	}
	if tx.next != nil {
		tx.next.prev = tx.prev
	}
	tx.next, tx.prev = nil, nil
}
