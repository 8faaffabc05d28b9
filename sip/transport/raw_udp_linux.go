//go:build linux && !noraw

package transport

import (
	"encoding/binary"
	"net"
	"net/netip"
	"os"
	"strconv"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// rawPackets reads and writes many datagrams with one raw call each, see
// raw_linux.go.
type rawPackets struct {
	rc    syscall.RawConn
	stats *Stats
	six   bool // an IPv6 socket: its addresses are 16 bytes

	in        *vector
	inN       int
	inErr     syscall.Errno
	receiving func(fd uintptr) bool

	out          *vector
	outN, outLen int
	outErr       syscall.Errno
	outWait      bool
	transmitting func(fd uintptr) bool
}

// vector is what recvmmsg and sendmmsg are told: each message has one piece of
// bytes and an address.
type vector struct {
	heads  [datagramsAtOnce]mmsghdr
	pieces [datagramsAtOnce]unix.Iovec
	names  [datagramsAtOnce]unix.RawSockaddrInet6 // large enough for IPv4 too
}

// mmsghdr is the kernel's struct of that name.
type mmsghdr struct {
	head   unix.Msghdr
	length uint32
}

func newVector() *vector {
	v := new(vector)
	for i := range v.heads {
		h := &v.heads[i].head
		h.Name = (*byte)(unsafe.Pointer(&v.names[i]))
		h.Iov = &v.pieces[i]
		h.SetIovlen(1)
	}
	return v
}

// newPacketSocket takes the raw path when pc is a socket.
func newPacketSocket(pc net.PacketConn, stats *Stats) packetSocket {
	uc, ok := pc.(*net.UDPConn)
	if !ok {
		return newPlainPackets(pc, stats)
	}
	rc, err := uc.SyscallConn()
	if err != nil {
		return newPlainPackets(pc, stats)
	}
	s := &rawPackets{rc: rc, stats: stats, in: newVector(), out: newVector()}
	err = rc.Control(func(fd uintptr) {
		domain, err := unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_DOMAIN)
		s.six = err == nil && domain == unix.AF_INET6
	})
	if err != nil {
		return newPlainPackets(pc, stats)
	}
	for i := range s.in.pieces {
		b := make([]byte, maxDatagram+1)
		s.in.pieces[i].Base = &b[0]
		s.in.pieces[i].SetLen(len(b))
	}
	s.receiving, s.transmitting = s.receiveOnce, s.transmitOnce
	return s
}

func (s *rawPackets) direct() bool { return true }

func (s *rawPackets) receive(in []packet) (int, error) {
	s.inN, s.inErr = 0, 0
	if err := s.rc.Read(s.receiving); err != nil {
		return 0, err
	}
	if s.inErr != 0 {
		return 0, os.NewSyscallError("recvmmsg", s.inErr)
	}
	for i := range s.inN {
		b := unsafe.Slice(s.in.pieces[i].Base, maxDatagram+1)
		in[i] = packet{b[:s.in.heads[i].length], addrOf(&s.in.names[i])}
	}
	return s.inN, nil
}

// receiveOnce says false when the socket has nothing.
func (s *rawPackets) receiveOnce(fd uintptr) bool {
	for i := range s.in.heads {
		s.in.heads[i].head.Namelen = unix.SizeofSockaddrInet6
	}
	for {
		n, _, errno := syscall.RawSyscall6(unix.SYS_RECVMMSG, fd, uintptr(unsafe.Pointer(&s.in.heads[0])),
			uintptr(len(s.in.heads)), unix.MSG_DONTWAIT, 0, 0)
		s.stats.Reads.Add(1)
		switch errno {
		case 0:
			s.inN = int(n)
			return true
		case syscall.EINTR:
			continue
		case syscall.EAGAIN:
			return false
		}
		s.inErr = errno
		return true
	}
}

func (s *rawPackets) transmit(out []packet, wait bool) (int, error) {
	for i, p := range out {
		s.out.pieces[i].Base = unsafe.SliceData(p.b)
		s.out.pieces[i].SetLen(len(p.b))
		s.out.heads[i].head.Namelen = s.setAddr(&s.out.names[i], p.addr)
	}
	s.outN, s.outLen, s.outErr, s.outWait = 0, len(out), 0, wait
	err := s.rc.Write(s.transmitting)
	for i := range out {
		s.out.pieces[i].Base = nil
	}
	if err == nil && s.outErr != 0 {
		err = os.NewSyscallError("sendmmsg", s.outErr)
	}
	return s.outN, err
}

// transmitOnce says false when it should be called again once the kernel takes
// more.
func (s *rawPackets) transmitOnce(fd uintptr) bool {
	for s.outN < s.outLen {
		n, _, errno := syscall.RawSyscall6(unix.SYS_SENDMMSG, fd, uintptr(unsafe.Pointer(&s.out.heads[s.outN])),
			uintptr(s.outLen-s.outN), unix.MSG_DONTWAIT, 0, 0)
		s.stats.Writes.Add(1)
		switch errno {
		case 0:
			s.outN += int(n)
		case syscall.EINTR:
		case syscall.EAGAIN:
			return !s.outWait
		default:
			s.outErr = errno
			return true
		}
	}
	return true
}

// addrOf reads an address that the kernel wrote.
func addrOf(sa *unix.RawSockaddrInet6) netip.AddrPort {
	if sa.Family == unix.AF_INET {
		four := (*unix.RawSockaddrInet4)(unsafe.Pointer(sa))
		return netip.AddrPortFrom(netip.AddrFrom4(four.Addr), port(&four.Port))
	}
	a := netip.AddrFrom16(sa.Addr).Unmap()
	if sa.Scope_id != 0 && a.Is6() {
		a = a.WithZone(strconv.Itoa(int(sa.Scope_id)))
	}
	return netip.AddrPortFrom(a, port(&sa.Port))
}

// setAddr writes an address for the kernel and returns its length. An IPv4
// address on an IPv6 socket is written as a mapped one; an IPv6 address on an
// IPv4 socket is left for the kernel to refuse.
func (s *rawPackets) setAddr(sa *unix.RawSockaddrInet6, to netip.AddrPort) uint32 {
	if !s.six && to.Addr().Is4() {
		four := (*unix.RawSockaddrInet4)(unsafe.Pointer(sa))
		*four = unix.RawSockaddrInet4{Family: unix.AF_INET, Addr: to.Addr().As4()}
		setPort(&four.Port, to.Port())
		return unix.SizeofSockaddrInet4
	}
	*sa = unix.RawSockaddrInet6{Family: unix.AF_INET6, Addr: to.Addr().As16(), Scope_id: scope(to.Addr().Zone())}
	setPort(&sa.Port, to.Port())
	return unix.SizeofSockaddrInet6
}

// scope turns a zone, a number or an interface's name, into the kernel's number.
func scope(zone string) uint32 {
	if zone == "" {
		return 0
	}
	if n, err := strconv.ParseUint(zone, 10, 32); err == nil {
		return uint32(n)
	}
	if i, err := net.InterfaceByName(zone); err == nil {
		return uint32(i.Index)
	}
	return 0
}

// port and setPort read and write a port in the kernel's byte order.
func port(p *uint16) uint16 {
	return binary.BigEndian.Uint16((*[2]byte)(unsafe.Pointer(p))[:])
}

func setPort(p *uint16, value uint16) {
	binary.BigEndian.PutUint16((*[2]byte)(unsafe.Pointer(p))[:], value)
}
