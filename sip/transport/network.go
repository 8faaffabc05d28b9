package transport

import (
	"context"
	"net"
	"net/netip"
)

// Network is where sockets come from: the system's by default, one in memory in
// tests. A connection that is a syscall.Conn is read and written by raw calls
// where the platform allows it, any other by ordinary ones.
type Network interface {
	// Listen opens a stream listener.
	Listen(ctx context.Context, addr netip.AddrPort) (net.Listener, error)
	// ListenPacket opens a datagram socket.
	ListenPacket(ctx context.Context, addr netip.AddrPort) (net.PacketConn, error)
	// Dial opens a stream from a local address, which may be the zero value.
	Dial(ctx context.Context, local, remote netip.AddrPort) (net.Conn, error)
}

// socketBuffer is what we ask the kernel to hold for a UDP socket. It gives what
// net.core.rmem_max allows.
const socketBuffer = 4 << 20

// system is the network of the machine.
type system struct{}

// family names the network for an address: a wildcard of IPv6 takes both
// families, one of IPv4 only its own.
func family(network string, a netip.Addr) string {
	switch {
	case a.Is4():
		return network + "4"
	case a.IsUnspecified() || !a.IsValid():
		return network
	}
	return network + "6"
}

func (system) Listen(ctx context.Context, addr netip.AddrPort) (net.Listener, error) {
	lc := net.ListenConfig{KeepAlive: -1} // see tune
	lc.SetMultipathTCP(false)             // its listening sockets do not take what tuneListener sets
	return lc.Listen(ctx, family("tcp", addr.Addr()), addr.String())
}

func (system) ListenPacket(ctx context.Context, addr netip.AddrPort) (net.PacketConn, error) {
	var lc net.ListenConfig
	pc, err := lc.ListenPacket(ctx, family("udp", addr.Addr()), addr.String())
	if err != nil {
		return nil, err
	}
	if uc, ok := pc.(*net.UDPConn); ok {
		// A smaller buffer than asked for only means earlier loss.
		_ = uc.SetReadBuffer(socketBuffer)
		_ = uc.SetWriteBuffer(socketBuffer)
	}
	return pc, nil
}

func (system) Dial(ctx context.Context, local, remote netip.AddrPort) (net.Conn, error) {
	var d net.Dialer
	if local.Addr().IsValid() && !local.Addr().IsUnspecified() {
		d.LocalAddr = net.TCPAddrFromAddrPort(local)
	}
	return d.DialContext(ctx, "tcp", remote.String())
}

// addrPort reads the address of a socket, IPv4 in IPv6 unwrapped.
func addrPort(a net.Addr) netip.AddrPort {
	var ap netip.AddrPort
	switch a := a.(type) {
	case *net.TCPAddr:
		ap = a.AddrPort()
	case *net.UDPAddr:
		ap = a.AddrPort()
	default:
		ap, _ = netip.ParseAddrPort(a.String())
	}
	return unmap(ap)
}

func unmap(ap netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
}
