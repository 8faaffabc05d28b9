package transport

import (
	"net"
	"net/netip"
)

// plainPackets uses the ordinary calls of any net.PacketConn, one datagram each.
type plainPackets struct {
	pc    net.PacketConn
	stats *Stats
	buf   []byte
}

// byAddrPort is what a net.UDPConn has over a net.PacketConn: no allocation.
type byAddrPort interface {
	ReadFromUDPAddrPort(b []byte) (int, netip.AddrPort, error)
	WriteToUDPAddrPort(b []byte, to netip.AddrPort) (int, error)
}

func newPlainPackets(pc net.PacketConn, stats *Stats) packetSocket {
	return &plainPackets{pc: pc, stats: stats, buf: make([]byte, maxDatagram+1)}
}

func (s *plainPackets) direct() bool { return false }

func (s *plainPackets) receive(in []packet) (int, error) {
	var n int
	var from netip.AddrPort
	var err error
	if c, ok := s.pc.(byAddrPort); ok {
		n, from, err = c.ReadFromUDPAddrPort(s.buf)
	} else {
		var a net.Addr
		if n, a, err = s.pc.ReadFrom(s.buf); err == nil {
			from = addrPort(a)
		}
	}
	s.stats.Reads.Add(1)
	if err != nil {
		return 0, err
	}
	in[0] = packet{s.buf[:n], unmap(from)}
	return 1, nil
}

func (s *plainPackets) transmit(out []packet, _ bool) (int, error) {
	for i, p := range out {
		var err error
		if c, ok := s.pc.(byAddrPort); ok {
			_, err = c.WriteToUDPAddrPort(p.b, p.addr)
		} else {
			_, err = s.pc.WriteTo(p.b, net.UDPAddrFromAddrPort(p.addr))
		}
		s.stats.Writes.Add(1)
		if err != nil {
			return i, err
		}
	}
	return len(out), nil
}
