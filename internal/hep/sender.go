package hep

import (
	"context"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// Config says how a collector is reached, and what it is told of who we are.
type Config struct {
	// Dial makes the connection. It is called again after each failure.
	Dial func(ctx context.Context) (net.Conn, error)
	// Datagrams says that what Dial makes is UDP: nothing longer than mostDatagram is sent then.
	Datagrams bool

	CaptureID uint32
	Node      string
	Password  string // "" for none

	Queue int // bytes that wait at most, 0 for DefaultQueue
	// Changed is told when the collector is reached, with nil, and when it is lost or cannot be reached, with why; nil: nobody
	// wants to know. It is called by the sender's goroutine.
	Changed func(error)
}

const (
	// DefaultQueue is how many bytes wait for a collector at most: some seconds of a thousand calls a second.
	DefaultQueue = 8 << 20

	// mostDatagram bounds what goes over UDP. What is longer would be cut in pieces on the way more often than it arrived.
	mostDatagram = 60_000

	dialTime  = 10 * time.Second
	writeTime = 10 * time.Second
	firstWait = time.Second
	longWait  = time.Minute
)

// Counts say what became of packets.
type Counts struct {
	Sent     uint64 // written to the connection
	Dropped  uint64 // the queue was full, or the connection broke while they were written
	TooLong  uint64 // for a packet, or for a datagram
	Waiting  int    // bytes in the queue
	Up       bool   // connected
	Failures uint64 // dials and connections that failed
}

// A Sender sends packets to one collector. Its methods may be called by any goroutine. It owns one goroutine, and one more that reads
// from the connection to see its end; Close ends them.
type Sender struct {
	config Config
	id     identity
	stop   context.CancelFunc
	done   sync.WaitGroup
	wake   chan struct{} // receives when the queue has something

	mu      sync.Mutex // guards queue and waiting
	queue   [][]byte
	waiting int

	sent, dropped, tooLong, failures atomic.Uint64
	up                               atomic.Bool
}

// New starts a sender.
func New(c Config) *Sender {
	if c.Queue == 0 {
		c.Queue = DefaultQueue
	}
	ctx, stop := context.WithCancel(context.Background())
	s := &Sender{config: c, id: identity{c.CaptureID, c.Node, c.Password}, stop: stop, wake: make(chan struct{}, 1)}
	s.done.Go(func() { s.run(ctx) })
	return s
}

// Send queues a packet. It never waits; what the packet holds may be used again when it returns.
func (s *Sender) Send(p *Packet) {
	n := p.size(&s.id)
	if n > most || s.config.Datagrams && n > mostDatagram {
		s.tooLong.Add(1)
		return
	}
	s.mu.Lock()
	room := s.waiting+n <= s.config.Queue
	if room {
		s.waiting += n
	}
	s.mu.Unlock()
	if !room {
		s.dropped.Add(1)
		return
	}
	b := p.appendTo(make([]byte, 0, n), &s.id)
	s.mu.Lock()
	s.queue = append(s.queue, b)
	s.mu.Unlock()
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// Counts returns what became of the packets so far.
func (s *Sender) Counts() Counts {
	s.mu.Lock()
	defer s.mu.Unlock()
	return Counts{
		Sent: s.sent.Load(), Dropped: s.dropped.Load(), TooLong: s.tooLong.Load(), Failures: s.failures.Load(),
		Waiting: s.waiting, Up: s.up.Load(),
	}
}

// Close ends the connection; what waits is dropped.
func (s *Sender) Close() {
	s.stop()
	s.done.Wait()
}

// run connects, writes until the connection fails, and begins anew after a pause that doubles up to longWait. A connection on which
// something was written makes the pause short again.
func (s *Sender) run(ctx context.Context) {
	wait := firstWait
	for ctx.Err() == nil {
		before := s.sent.Load()
		err := s.connect(ctx)
		if ctx.Err() != nil {
			return
		}
		s.failures.Add(1)
		if s.config.Changed != nil {
			s.config.Changed(err)
		}
		if s.sent.Load() > before {
			wait = firstWait
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return
		}
		wait = min(2*wait, longWait)
	}
}

// connect is one connection, from its dial to its end.
func (s *Sender) connect(ctx context.Context) error {
	dialling, cancel := context.WithTimeout(ctx, dialTime)
	nc, err := s.config.Dial(dialling)
	cancel()
	if err != nil {
		return err
	}
	s.up.Store(true)
	defer s.up.Store(false)
	if s.config.Changed != nil {
		s.config.Changed(nil)
	}
	ended := make(chan error, 1)
	s.done.Go(func() {
		_, err := io.Copy(io.Discard, nc) // a collector says nothing; that it has gone is seen here
		if err == nil {
			err = io.EOF
		}
		if s.config.Datagrams && ctx.Err() == nil {
			return // an ICMP answer: nobody listens just now, which a write will see too
		}
		ended <- err
	})
	defer nc.Close()
	defer context.AfterFunc(ctx, func() { nc.Close() })() // a write that waits ends too
	for {
		select {
		case <-s.wake:
		case err := <-ended:
			return err
		case <-ctx.Done():
			return ctx.Err()
		}
		if err := s.flush(nc); err != nil {
			return err
		}
	}
}

// flush writes what waits. Packets that were being written when the connection broke are lost: a collector may have had some of them,
// and none twice is better than some twice.
func (s *Sender) flush(nc net.Conn) error {
	s.mu.Lock()
	batch := s.queue
	s.queue = nil
	s.mu.Unlock()
	for i, b := range batch {
		nc.SetWriteDeadline(time.Now().Add(writeTime))
		_, err := nc.Write(b)
		s.mu.Lock()
		s.waiting -= len(b)
		s.mu.Unlock()
		if err == nil {
			s.sent.Add(1)
			continue
		}
		s.dropped.Add(1)
		s.again(batch[i+1:])
		return err
	}
	return nil
}

// again puts packets back in front of the queue.
func (s *Sender) again(batch [][]byte) {
	if len(batch) == 0 {
		return
	}
	s.mu.Lock()
	s.queue = append(batch, s.queue...)
	s.mu.Unlock()
	select {
	case s.wake <- struct{}{}:
	default:
	}
}
