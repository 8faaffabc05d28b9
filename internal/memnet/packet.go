package memnet

import (
	"context"
	"net"
	"net/netip"
	"os"
	"sort"
	"sync"
	"syscall"
	"time"
)

// queueLength is how many datagrams a socket holds; more are dropped, as a
// kernel drops them.
const queueLength = 1024

// maxDatagram is the largest payload of a UDP datagram over IPv4.
const maxDatagram = 65507

// PacketConn is a datagram socket. It is a net.PacketConn with the two
// AddrPort methods of a net.UDPConn.
type PacketConn struct {
	network *Network
	addr    netip.AddrPort
	readBy  deadline

	mu      sync.Mutex
	queue   []datagram // sorted by arrival
	gone    bool
	changed chan struct{}
}

type datagram struct {
	at   time.Time
	from netip.AddrPort
	b    []byte
}

// ListenPacket opens a datagram socket; port 0 takes a free port.
func (n *Network) ListenPacket(_ context.Context, addr netip.AddrPort) (net.PacketConn, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if addr.Port() == 0 {
		addr = netip.AddrPortFrom(addr.Addr(), n.freePort())
	}
	if n.packets[addr] != nil {
		return nil, &net.OpError{Op: "listen", Net: "udp", Addr: net.UDPAddrFromAddrPort(addr), Err: syscall.EADDRINUSE}
	}
	c := &PacketConn{network: n, addr: addr, changed: make(chan struct{})}
	n.packets[addr] = c
	return c, nil
}

// route finds the receiver of a datagram and its fate: nil when it is lost or
// nobody is there.
func (n *Network) route(to netip.AddrPort) (c *PacketConn, delay time.Duration) {
	n.mu.Lock()
	defer n.mu.Unlock()
	lost := n.opt.Loss > 0 && n.rand.Float64() < n.opt.Loss
	delay = n.opt.Delay
	if n.opt.Reorder > 0 && n.rand.Float64() < n.opt.Reorder {
		delay += n.opt.ReorderBy
	}
	if lost {
		return nil, 0
	}
	if c = n.packets[to]; c == nil {
		c = n.packets[wildcard(to)]
	}
	return c, delay
}

// twice says whether a datagram arrives once more, ReorderBy later.
func (n *Network) twice() bool {
	if n.opt.Duplicate == 0 {
		return false
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.rand.Float64() < n.opt.Duplicate
}

// WriteToUDPAddrPort sends one datagram. That it is lost, or that nobody is there,
// is no error.
func (c *PacketConn) WriteToUDPAddrPort(b []byte, to netip.AddrPort) (int, error) {
	c.mu.Lock()
	gone := c.gone
	c.mu.Unlock()
	if gone {
		return 0, c.opError("write", net.ErrClosed)
	}
	if len(b) > maxDatagram {
		return 0, c.opError("write", syscall.EMSGSIZE)
	}
	to = netip.AddrPortFrom(to.Addr().Unmap(), to.Port())
	if r, delay := c.network.route(to); r != nil {
		from := c.addr
		if from.Addr().IsUnspecified() {
			from = netip.AddrPortFrom(loopback(to.Addr()), from.Port())
		}
		if c.network.vanishes(from, to) {
			return len(b), nil
		}
		r.arrive(datagram{time.Now().Add(delay), from, append([]byte(nil), b...)})
		if c.network.twice() {
			r.arrive(datagram{time.Now().Add(delay + c.network.opt.ReorderBy), from, append([]byte(nil), b...)})
		}
	}
	return len(b), nil
}

func (c *PacketConn) arrive(d datagram) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.gone || len(c.queue) >= queueLength {
		return
	}
	i := sort.Search(len(c.queue), func(i int) bool { return c.queue[i].at.After(d.at) })
	c.queue = append(c.queue, datagram{})
	copy(c.queue[i+1:], c.queue[i:])
	c.queue[i] = d
	close(c.changed)
	c.changed = make(chan struct{})
}

// ReadFromUDPAddrPort waits for the next datagram; what does not fit p is cut off.
func (c *PacketConn) ReadFromUDPAddrPort(p []byte) (int, netip.AddrPort, error) {
	for {
		now := time.Now()
		c.mu.Lock()
		var due time.Time
		switch {
		case c.gone:
			c.mu.Unlock()
			return 0, netip.AddrPort{}, c.opError("read", net.ErrClosed)
		case c.readBy.passed():
			c.mu.Unlock()
			return 0, netip.AddrPort{}, c.opError("read", os.ErrDeadlineExceeded)
		case len(c.queue) > 0 && !c.queue[0].at.After(now):
			d := c.queue[0]
			c.queue[0] = datagram{}
			c.queue = c.queue[1:]
			c.mu.Unlock()
			return copy(p, d.b), d.from, nil
		case len(c.queue) > 0:
			due = c.queue[0].at
		}
		changed := c.changed
		c.mu.Unlock()
		waitFor(changed, &c.readBy, due, now)
	}
}

// ReadFrom is ReadFromUDPAddrPort with a *net.UDPAddr.
func (c *PacketConn) ReadFrom(p []byte) (int, net.Addr, error) {
	n, from, err := c.ReadFromUDPAddrPort(p)
	if err != nil {
		return 0, nil, err
	}
	return n, net.UDPAddrFromAddrPort(from), nil
}

// WriteTo is WriteToUDPAddrPort for a net.Addr.
func (c *PacketConn) WriteTo(b []byte, to net.Addr) (int, error) {
	ap, err := parseAddr(to)
	if err != nil {
		return 0, c.opError("write", err)
	}
	return c.WriteToUDPAddrPort(b, ap)
}

// Close ends the socket and frees its address.
func (c *PacketConn) Close() error {
	c.mu.Lock()
	if c.gone {
		c.mu.Unlock()
		return c.opError("close", net.ErrClosed)
	}
	c.gone, c.queue = true, nil
	close(c.changed)
	c.changed = make(chan struct{})
	c.mu.Unlock()

	c.network.mu.Lock()
	delete(c.network.packets, c.addr)
	c.network.mu.Unlock()
	return nil
}

// LocalAddr is the socket's address as a *net.UDPAddr.
func (c *PacketConn) LocalAddr() net.Addr { return net.UDPAddrFromAddrPort(c.addr) }

// SetDeadline sets when a read gives up; writes never wait.
func (c *PacketConn) SetDeadline(t time.Time) error { return c.SetReadDeadline(t) }

// SetReadDeadline sets when a read gives up.
func (c *PacketConn) SetReadDeadline(t time.Time) error {
	c.readBy.set(t)
	return nil
}

// SetWriteDeadline does nothing: writes never wait.
func (c *PacketConn) SetWriteDeadline(time.Time) error { return nil }

func (c *PacketConn) opError(op string, err error) error {
	return &net.OpError{Op: op, Net: "udp", Source: c.LocalAddr(), Err: err}
}
