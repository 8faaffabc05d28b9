package siptest

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/sallyport-sip/sallyport/sip"
	"github.com/sallyport-sip/sallyport/sip/transport"
)

// link is one connection of a peer's, or its UDP socket.
type link struct {
	nc    net.Conn       // nil on UDP
	pc    net.PacketConn // nil on a stream
	to    netip.AddrPort // where Send sends to on UDP; guarded by Peer.mu
	once  sync.Once
	ended chan struct{} // closed by the reader
}

// open begins to listen.
func (p *Peer) open() error {
	ctx := context.Background()
	if p.cfg.Transport == transport.UDP {
		pc, err := p.cfg.Network.ListenPacket(ctx, p.cfg.Addr)
		if err != nil {
			return err
		}
		p.addr = addrPort(pc.LocalAddr())
		l := &link{pc: pc, ended: make(chan struct{})}
		p.links, p.link = []*link{l}, l
		p.wg.Go(func() { p.readPackets(l) })
		return nil
	}
	if p.cfg.Transport.Secure() && p.cfg.TLS == nil {
		return errors.New("no tls.Config was given")
	}
	ln, err := p.cfg.Network.Listen(ctx, p.cfg.Addr)
	if err != nil {
		return err
	}
	p.ln, p.addr = ln, addrPort(ln.Addr())
	p.wg.Go(p.accept)
	return nil
}

// accept takes connections until the peer closes. Handshakes run in the
// reader, so that one that stalls holds up no other.
func (p *Peer) accept() {
	for {
		nc, err := p.ln.Accept()
		if err != nil {
			return
		}
		if p.cfg.Transport.Secure() {
			nc = tls.Server(nc, p.cfg.TLS)
		}
		p.run(p.newStream(nc), false)
	}
}

func (p *Peer) newStream(nc net.Conn) *link {
	return &link{nc: nc, ended: make(chan struct{})}
}

// run begins to read a connection and makes it the current one, if we dialled
// it or there is none yet.
func (p *Peer) run(l *link, dialled bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-p.done:
		l.close()
		return
	default:
	}
	p.links = append(p.links, l)
	p.wg.Go(func() { p.readStream(l) })
	if p.link == nil || dialled {
		p.link = l
	}
	if !dialled {
		select {
		case p.news <- l:
		default:
		}
	}
}

func (p *Peer) use(l *link) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.link = l
}

// current is the connection that Send uses.
func (p *Peer) current() *link {
	p.t.Helper()
	p.mu.Lock()
	l := p.link
	p.mu.Unlock()
	if l == nil {
		p.t.Fatalf("%s: no connection: call Dial or Accepted first", p.cfg.Name)
	}
	return l
}

func (p *Peer) readPackets(l *link) {
	defer close(l.ended)
	b := make([]byte, 65536)
	for {
		n, from, err := l.pc.ReadFrom(b)
		if err != nil {
			return
		}
		m, err := sip.Parse(b[:n])
		p.took(&Message{Message: m, Source: addrPort(from), At: time.Now(), Err: err, link: l})
	}
}

func (p *Peer) readStream(l *link) {
	defer close(l.ended)
	defer l.close()
	from := addrPort(l.nc.RemoteAddr())
	var framer sip.Framer
	b := make([]byte, 0, 64<<10)
	for {
		if len(b) == cap(b) {
			return // longer than any message may be
		}
		n, err := l.nc.Read(b[len(b):cap(b)])
		b = b[:len(b)+n]
		for len(b) > 0 {
			m := sip.Acquire()
			used, kind, bad := framer.Next(b, m)
			if kind == sip.FrameMore {
				m.Release()
				if bad != nil {
					return
				}
				break
			}
			b = b[:copy(b, b[used:])]
			if kind == sip.FrameMessage {
				p.took(&Message{Message: m, Source: from, At: time.Now(), Err: bad, link: l})
			}
		}
		if err != nil {
			return
		}
	}
}

// took passes a message to the test, which may have ended.
func (p *Peer) took(m *Message) {
	select {
	case p.in <- m:
	case <-p.done:
	}
}

func (l *link) write(b []byte, to netip.AddrPort) error {
	var err error
	if l.nc != nil {
		_, err = l.nc.Write(b)
	} else {
		_, err = l.pc.WriteTo(b, net.UDPAddrFromAddrPort(to))
	}
	return err
}

func (l *link) close() {
	l.once.Do(func() {
		if l.nc != nil {
			l.nc.Close()
		} else {
			l.pc.Close()
		}
	})
}

func addrPort(a net.Addr) netip.AddrPort {
	var ap netip.AddrPort
	switch a := a.(type) {
	case *net.TCPAddr:
		ap = a.AddrPort()
	case *net.UDPAddr:
		ap = a.AddrPort()
	}
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
}

// loopback is the network of the machine.
type loopback struct{}

func (loopback) Listen(ctx context.Context, addr netip.AddrPort) (net.Listener, error) {
	var lc net.ListenConfig
	return lc.Listen(ctx, "tcp", addr.String())
}

func (loopback) ListenPacket(ctx context.Context, addr netip.AddrPort) (net.PacketConn, error) {
	var lc net.ListenConfig
	return lc.ListenPacket(ctx, "udp", addr.String())
}

func (loopback) Dial(ctx context.Context, local, remote netip.AddrPort) (net.Conn, error) {
	d := net.Dialer{LocalAddr: net.TCPAddrFromAddrPort(local)}
	return d.DialContext(ctx, "tcp", remote.String())
}
