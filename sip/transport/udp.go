package transport

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/sallyport-sip/sallyport/sip"
)

const (
	// maxDatagram is the largest payload over IPv4: 65,535 bytes less both headers.
	maxDatagram = 65507
	// datagramsAtOnce is how many one call reads or writes.
	datagramsAtOnce = 32
	// earlyFlush is how many pending bytes are written without waiting for Flush,
	// so that a large batch of the caller's does not look like a full queue.
	earlyFlush = 2 * bufferSize
)

// packetSocket is a datagram socket's way to the kernel. One goroutine receives,
// one at a time transmits.
type packetSocket interface {
	// receive waits until something is there and fills in datagrams. Their bytes
	// are good until the next call.
	receive(in []packet) (int, error)
	// transmit sends packets in order and returns how many it has sent. An error
	// is about the packet after those; without one the kernel takes no more for
	// now, unless all are sent or wait was asked for.
	transmit(out []packet, wait bool) (int, error)
	// direct says that transmit can do without waiting.
	direct() bool
}

// packet is one datagram and where it came from or goes to.
type packet struct {
	b    []byte
	addr netip.AddrPort
}

// datagrams is the link of a UDP listener's socket.
type datagrams struct {
	c    *Conn
	e    *Endpoint
	pc   net.PacketConn
	sock packetSocket

	mu      sync.Mutex
	pending *buffer
	list    []place // of the pending datagrams in order
	writing int     // bytes that are being written
	busy    bool    // somebody writes
	closed  bool

	// Whoever is busy has these.
	queue []packet
	old   []place
}

// place is one datagram in the pending buffer.
type place struct {
	to     netip.AddrPort
	length int
}

func listenUDP(e *Endpoint, cfg ListenConfig) (*Listener, error) {
	pc, err := e.network.ListenPacket(e.ctx, cfg.Addr)
	if err != nil {
		return nil, err
	}
	addr := addrPort(pc.LocalAddr())
	now := time.Now()
	l := &Listener{cfg: cfg, e: e, addr: addr}
	l.SetLimits(cfg.Limits)
	c := &Conn{
		info:  ConnInfo{ID: e.lastID.Add(1), Transport: UDP, Local: addr, Inbound: true, Listener: cfg.Name, Begun: now, on: l},
		start: now, opened: now,
	}
	c.standing.Store(&standing{})
	d := &datagrams{c: c, e: e, pc: pc, sock: newPacketSocket(pc, &e.stats)}
	c.link = d
	l.conn = c
	if err := e.add(l, d.read); err != nil {
		pc.Close()
		return nil, err
	}
	return l, nil
}

// dialUDP finds the listener's socket that a request leaves from: a response
// comes back to the port that the request came from.
func dialUDP(_ context.Context, e *Endpoint, cfg DialConfig) (*Conn, error) {
	for _, l := range e.Listeners() {
		switch {
		case l.conn == nil:
		case cfg.Listener != "" && cfg.Listener != l.cfg.Name:
		case cfg.Local.IsValid() && unmap(cfg.Local) != l.addr:
		case cfg.Remote.Addr().Is4() && !l.addr.Addr().Is4() && !l.addr.Addr().IsUnspecified():
		case cfg.Remote.Addr().Is6() && l.addr.Addr().Is4():
		default:
			return l.conn, nil
		}
	}
	return nil, fmt.Errorf("dial udp %v: no UDP listener to send from: add one of that address family", cfg.Remote)
}

func (d *datagrams) alive() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return !d.closed
}

func (d *datagrams) confirmed() bool { return true }

func (d *datagrams) send(b []byte, to netip.AddrPort) (first bool, err error) {
	if len(b) > maxDatagram {
		return false, fmt.Errorf("%w: it has %d bytes", ErrTooLarge, len(b))
	}
	first, early, err := d.append(b, to)
	if err != nil {
		return false, err
	}
	d.e.stats.MessagesOut.Add(1)
	d.e.stats.BytesOut.Add(uint64(len(b)))
	if d.e.hooks.Tap != nil {
		d.e.hooks.tap(d.c, true, to, time.Now(), b)
	}
	if early {
		d.flush()
	}
	return first, nil
}

// append adds a datagram to what is pending; early says that it is time to write.
func (d *datagrams) append(b []byte, to netip.AddrPort) (first, early bool, err error) {
	if !to.IsValid() {
		return false, false, errors.New("send over udp: no address to send to")
	}
	d.mu.Lock()
	held := d.writing
	if d.pending != nil {
		held += len(d.pending.b)
	}
	switch {
	case d.closed:
		d.mu.Unlock()
		return false, false, ErrClosed
	case held+len(b) > d.e.limitsOn(d.c.info.on).PendingPeer:
		d.mu.Unlock()
		d.e.stats.Dropped.Add(1)
		err = passedLimit(LimitPendingPeer, fmt.Errorf("%w: %d bytes", ErrQueueFull, held))
		d.e.hooks.exceeded(d.c.info, "", err)
		return false, false, err
	}
	if d.pending == nil {
		d.pending, first = takeBuffer(), true
	}
	d.pending.b = append(d.pending.b, b...)
	d.list = append(d.list, place{unmap(to), len(b)})
	early = len(d.pending.b) >= earlyFlush
	d.mu.Unlock()
	return first, early, nil
}

func (d *datagrams) flush() {
	d.mu.Lock()
	start := !d.busy && d.pending != nil && !d.closed
	if start {
		d.busy = true
	}
	d.mu.Unlock()
	switch {
	case !start:
	case d.sock.direct():
		d.pump(false)
	default:
		d.e.wg.Go(func() { d.pump(true) })
	}
}

// pump sends what is pending until nothing is left; it is the only one at it.
// Without wait it goes on in a goroutine when the kernel takes no more.
func (d *datagrams) pump(wait bool) {
	for {
		b, places := d.take()
		if b == nil {
			return
		}
		queue, at := d.queue[:0], 0
		for _, p := range places {
			queue = append(queue, packet{b.b[at : at+p.length], p.to})
			at += p.length
		}
		d.queue = queue
		if !d.transmit(queue, wait) {
			d.e.wg.Go(func() {
				d.transmit(d.queue, true)
				b.drop()
				d.pump(true)
			})
			return
		}
		b.drop()
	}
}

// take returns the pending datagrams; nil ends the pump.
func (d *datagrams) take() (*buffer, []place) {
	d.mu.Lock()
	defer d.mu.Unlock()
	b := d.pending
	if b == nil {
		d.writing, d.busy = 0, false
		return nil, nil
	}
	places := d.list
	d.pending, d.writing = nil, len(b.b)
	d.list, d.old = d.old[:0], places
	return b, places
}

// transmit sends a queue, and says false when the kernel takes no more for now;
// d.queue is then what is left. A datagram that cannot be sent is skipped.
func (d *datagrams) transmit(queue []packet, wait bool) bool {
	for len(queue) > 0 {
		n, err := d.sock.transmit(queue[:min(len(queue), datagramsAtOnce)], wait)
		queue = queue[n:]
		switch {
		case err != nil && errors.Is(err, net.ErrClosed):
			return true
		case err != nil && len(queue) > 0:
			d.e.stats.Dropped.Add(1)
			d.e.hooks.lost(d.c, queue[0].addr, fmt.Errorf("send over udp to %v: %w", queue[0].addr, err))
			queue = queue[1:]
		case n == 0 && !wait:
			d.queue = queue
			return false
		}
	}
	return true
}

// close sends what the kernel still takes and closes the socket.
func (d *datagrams) close(error) {
	d.flush()
	d.mu.Lock()
	was := d.closed
	d.closed = true
	d.mu.Unlock()
	if !was {
		d.pc.Close()
	}
}

// read is the socket's goroutine.
func (d *datagrams) read() {
	in := make([]packet, datagramsAtOnce)
	batch := make([]Packet, 0, datagramsAtOnce)
	for {
		n, err := d.sock.receive(in)
		if err != nil {
			if errors.Is(err, net.ErrClosed) || !d.alive() {
				return
			}
			// An error of one datagram; it must not become a busy loop.
			time.Sleep(time.Millisecond)
			continue
		}
		now := time.Now()
		for _, p := range in[:n] {
			if m, err := d.load(p.b); m != nil {
				d.e.stats.MessagesIn.Add(1)
				d.e.stats.BytesIn.Add(uint64(len(m.Bytes())))
				d.e.hooks.tap(d.c, false, p.addr, now, m.Bytes())
				batch = append(batch, Packet{Msg: m, Conn: d.c, Source: p.addr, At: now, Err: err})
			}
		}
		if len(batch) > 0 {
			d.e.hooks.Deliver(batch)
			clear(batch)
			batch = batch[:0]
		}
	}
}

// load reads a datagram. It returns nil for one that is no message at all, and
// counts it: a keep-alive of CRLFs or zeros, which many send; or STUN,
// which RFC 5626 §4.4.2 has for who registered with "outbound". Nobody does with
// us, and to answer anybody's would make the port a reflector.
func (d *datagrams) load(b []byte) (*sip.Message, error) {
	for len(b) > 0 && (b[0] == '\r' || b[0] == '\n') {
		b = b[1:]
	}
	if len(b) == 0 || b[0] <= ' ' {
		if len(b) <= maxKeepAlive && len(bytes.Trim(b, "\x00\r\n \t")) == 0 {
			d.e.stats.KeepAlives.Add(1)
		} else {
			d.e.stats.NotSIP.Add(1)
		}
		return nil, nil
	}
	m := sip.Acquire()
	return m, m.LoadWithin(b, d.e.limitsOn(d.c.info.on).Message)
}

// maxKeepAlive is the longest datagram without a message that counts as a
// keep-alive.
const maxKeepAlive = 64
