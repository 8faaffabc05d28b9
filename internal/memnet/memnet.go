// Package memnet is a network in memory for tests: stream connections with a
// bounded buffer, half close and reset, and datagrams with loss, delay and
// reordering drawn from a seeded source.
//
// Start reading at [Network]. Everything waits only on channels and timers, so
// that it can be used inside a testing/synctest bubble, where a delay takes no
// real time. The package starts no goroutines.
//
// A [Network] has the methods that sip/transport asks of a network, so that an
// endpoint can be put on it as it stands.
package memnet

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"time"
)

// Options say how the network behaves. The zero value is a perfect network.
type Options struct {
	// Seed makes loss and reordering repeatable.
	Seed uint64
	// Delay is the time from a write until the other side can read it.
	Delay time.Duration
	// Loss is the share of datagrams that vanish, 0 to 1.
	Loss float64
	// Duplicate is the share of datagrams that arrive twice, the second time
	// ReorderBy after the first, 0 to 1.
	Duplicate float64
	// Reorder is the share of datagrams that are held back by ReorderBy, so
	// that later ones overtake them, 0 to 1.
	Reorder float64
	// ReorderBy is how long such a datagram is held; 10 ms when zero.
	ReorderBy time.Duration
	// Window is the number of bytes that one direction of a stream holds
	// before a write waits; 64 KiB when zero.
	Window int
}

const (
	defaultWindow = 64 << 10
	firstPort     = 49152 // RFC 6335 §6: the dynamic ports begin here
	backlog       = 1024
)

// Network is a set of addresses that reach each other.
type Network struct {
	opt Options

	mu        sync.Mutex
	rand      *rand.Rand
	port      uint16
	listeners map[netip.AddrPort]*Listener
	packets   map[netip.AddrPort]*PacketConn
	dark      map[netip.Addr]bool
}

// Darken makes a black hole of a host: what is written to it or by it vanishes,
// ends and resets of streams included, and who dials it waits in vain. Nobody is
// told.
func (n *Network) Darken(host netip.Addr) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.dark == nil {
		n.dark = map[netip.Addr]bool{}
	}
	n.dark[host] = true
}

// Lighten takes Darken back. What vanished stays lost.
func (n *Network) Lighten(host netip.Addr) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.dark, host)
}

// vanishes says whether something between two hosts vanishes. It serves nil, the
// network of a Pipe.
func (n *Network) vanishes(a, b netip.AddrPort) bool {
	if n == nil {
		return false
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.dark[a.Addr()] || n.dark[b.Addr()]
}

// New returns an empty network.
func New(opt Options) *Network {
	if opt.Window <= 0 {
		opt.Window = defaultWindow
	}
	if opt.ReorderBy <= 0 {
		opt.ReorderBy = 10 * time.Millisecond
	}
	return &Network{
		opt:       opt,
		rand:      rand.New(rand.NewPCG(opt.Seed, 0x5a11)),
		port:      firstPort,
		listeners: map[netip.AddrPort]*Listener{},
		packets:   map[netip.AddrPort]*PacketConn{},
	}
}

// Listen opens a stream listener; port 0 takes a free port.
func (n *Network) Listen(_ context.Context, addr netip.AddrPort) (net.Listener, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if addr.Port() == 0 {
		addr = netip.AddrPortFrom(addr.Addr(), n.freePort())
	}
	if n.listeners[addr] != nil {
		return nil, &net.OpError{Op: "listen", Net: "tcp", Addr: net.TCPAddrFromAddrPort(addr), Err: syscall.EADDRINUSE}
	}
	l := &Listener{
		network: n,
		addr:    addr,
		accept:  make(chan *Conn, backlog),
		closed:  make(chan struct{}),
	}
	n.listeners[addr] = l
	return l, nil
}

// Dial connects to a listener. A local address that is not valid means
// 127.0.0.1 or ::1, and port 0 a free port. Nobody listening is ECONNREFUSED.
func (n *Network) Dial(ctx context.Context, local, remote netip.AddrPort) (net.Conn, error) {
	if n.opt.Delay > 0 {
		if err := sleep(ctx, n.opt.Delay); err != nil {
			return nil, &net.OpError{Op: "dial", Net: "tcp", Addr: net.TCPAddrFromAddrPort(remote), Err: err}
		}
	}
	if n.vanishes(local, remote) {
		<-ctx.Done()
		return nil, &net.OpError{Op: "dial", Net: "tcp", Addr: net.TCPAddrFromAddrPort(remote), Err: ctx.Err()}
	}
	n.mu.Lock()
	l := n.listeners[remote]
	if l == nil {
		l = n.listeners[wildcard(remote)]
	}
	host := local.Addr()
	if !host.IsValid() || host.IsUnspecified() {
		host = loopback(remote.Addr())
	}
	port := local.Port()
	if port == 0 {
		port = n.freePort()
	}
	n.mu.Unlock()
	if l == nil {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Addr: net.TCPAddrFromAddrPort(remote), Err: syscall.ECONNREFUSED}
	}
	near, far := pair(n, n.opt, netip.AddrPortFrom(host, port), remote)
	select {
	case l.accept <- far:
		return near, nil
	case <-l.closed:
		return nil, &net.OpError{Op: "dial", Net: "tcp", Addr: net.TCPAddrFromAddrPort(remote), Err: syscall.ECONNREFUSED}
	case <-ctx.Done():
		return nil, &net.OpError{Op: "dial", Net: "tcp", Addr: net.TCPAddrFromAddrPort(remote), Err: ctx.Err()}
	}
}

// Pipe returns two connected streams on a network of their own.
func Pipe(opt Options) (a, b *Conn) {
	if opt.Window <= 0 {
		opt.Window = defaultWindow
	}
	home := loopback(netip.Addr{})
	return pair(nil, opt, netip.AddrPortFrom(home, firstPort), netip.AddrPortFrom(home, firstPort+1))
}

// freePort gives out the dynamic ports in turn. The caller holds mu.
func (n *Network) freePort() uint16 {
	p := n.port
	if n.port++; n.port == 0 {
		n.port = firstPort
	}
	return p
}

func loopback(like netip.Addr) netip.Addr {
	if like.Is6() && !like.Is4In6() {
		return netip.IPv6Loopback()
	}
	return netip.AddrFrom4([4]byte{127, 0, 0, 1})
}

func wildcard(a netip.AddrPort) netip.AddrPort {
	if a.Addr().Is4() {
		return netip.AddrPortFrom(netip.IPv4Unspecified(), a.Port())
	}
	return netip.AddrPortFrom(netip.IPv6Unspecified(), a.Port())
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Listener accepts the streams of one address.
type Listener struct {
	network *Network
	addr    netip.AddrPort
	accept  chan *Conn
	once    sync.Once
	closed  chan struct{}
}

// Accept waits for the next stream.
func (l *Listener) Accept() (net.Conn, error) {
	select {
	case <-l.closed:
		return nil, &net.OpError{Op: "accept", Net: "tcp", Addr: l.Addr(), Err: net.ErrClosed}
	default:
	}
	select {
	case c := <-l.accept:
		return c, nil
	case <-l.closed:
		return nil, &net.OpError{Op: "accept", Net: "tcp", Addr: l.Addr(), Err: net.ErrClosed}
	}
}

// Close ends the listener; streams that nobody accepted are reset.
func (l *Listener) Close() error {
	err := error(net.ErrClosed)
	l.once.Do(func() {
		err = nil
		l.network.mu.Lock()
		delete(l.network.listeners, l.addr)
		l.network.mu.Unlock()
		close(l.closed)
		for {
			select {
			case c := <-l.accept:
				c.Reset()
			default:
				return
			}
		}
	})
	return err
}

// Addr is the listener's address as a *net.TCPAddr.
func (l *Listener) Addr() net.Addr { return net.TCPAddrFromAddrPort(l.addr) }

// parseAddr turns what net.PacketConn is given into an address and port.
func parseAddr(a net.Addr) (netip.AddrPort, error) {
	switch a := a.(type) {
	case nil:
		return netip.AddrPort{}, errors.New("no address")
	case *net.UDPAddr:
		ap := a.AddrPort()
		return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port()), nil
	}
	ap, err := netip.ParseAddrPort(a.String())
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("address %s: want host:port with a literal host", a)
	}
	return ap, nil
}
