//go:build linux

package main

import (
	"fmt"
	"net/netip"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	datagrams    = 64   // most datagrams moved by one call
	datagramSize = 4096 // largest datagram read; the calls' messages stay below 2 kB
	socketBuffer = 8 << 20
)

// udpSocket sends and receives in batches (recvmmsg, sendmmsg). It is owned by the loop.
type udpSocket struct {
	sock    int
	side    side
	local   netip.AddrPort
	to      unix.RawSockaddrInet4 // where the next message goes: the element, or the source of what is being answered
	touched bool

	in      [datagrams]mmsghdr
	inVec   [datagrams]unix.Iovec
	inFrom  [datagrams]unix.RawSockaddrInet4
	inBytes []byte

	arena []byte // messages to send, one after the other
	out   []datagram
	outV  [datagrams]unix.Iovec
	outH  [datagrams]mmsghdr
	stuck bool
	msg   message
}

type datagram struct {
	from, to int
	dest     unix.RawSockaddrInet4
}

// mmsghdr is struct mmsghdr of recvmmsg(2).
type mmsghdr struct {
	hdr unix.Msghdr
	len uint32
	_   [4]byte
}

// listenUDP binds local. to is where messages go that answer nothing.
func listenUDP(local, to netip.AddrPort, s side) (*udpSocket, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	for _, opt := range []int{unix.SO_RCVBUF, unix.SO_SNDBUF, unix.SO_RCVBUFFORCE, unix.SO_SNDBUFFORCE} {
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, opt, socketBuffer) // the forced ones need privileges
	}
	if err := unix.Bind(fd, &unix.SockaddrInet4{Port: int(local.Port()), Addr: local.Addr().As4()}); err != nil {
		_ = unix.Close(fd)
		return nil, fmt.Errorf("bind udp %v: %w", local, err)
	}
	name, err := unix.Getsockname(fd)
	if err != nil {
		_ = unix.Close(fd)
		return nil, os.NewSyscallError("getsockname", err)
	}
	in4 := name.(*unix.SockaddrInet4)
	u := &udpSocket{
		sock: fd, side: s, to: rawAddress(to),
		local:   netip.AddrPortFrom(netip.AddrFrom4(in4.Addr), uint16(in4.Port)),
		inBytes: make([]byte, datagrams*datagramSize),
	}
	for i := range u.in {
		u.inVec[i].Base = &u.inBytes[i*datagramSize]
		u.inVec[i].SetLen(datagramSize)
		u.in[i].hdr.Name = (*byte)(unsafe.Pointer(&u.inFrom[i]))
		u.in[i].hdr.Iov = &u.inVec[i]
		u.in[i].hdr.SetIovlen(1)
	}
	return u, nil
}

func rawAddress(a netip.AddrPort) unix.RawSockaddrInet4 {
	raw := unix.RawSockaddrInet4{Family: unix.AF_INET, Addr: a.Addr().As4()}
	port := (*[2]byte)(unsafe.Pointer(&raw.Port))
	port[0], port[1] = byte(a.Port()>>8), byte(a.Port())
	return raw
}

func (u *udpSocket) fd() int        { return u.sock }
func (u *udpSocket) open() []byte   { return u.arena }
func (u *udpSocket) waiting() bool  { return u.stuck }
func (u *udpSocket) close()         { _ = unix.Close(u.sock) }
func (u *udpSocket) mark() (b bool) { b, u.touched = !u.touched, true; return b }

func (u *udpSocket) done(b []byte) {
	u.out = append(u.out, datagram{len(u.arena), len(b), u.to})
	u.arena = b
}

func (u *udpSocket) ready() error {
	element := u.to
	defer func() { u.to = element }()
	for {
		for i := range u.in {
			u.in[i].hdr.Namelen = unix.SizeofSockaddrInet4
		}
		n, _, errno := unix.RawSyscall6(unix.SYS_RECVMMSG, uintptr(u.sock), uintptr(unsafe.Pointer(&u.in[0])), datagrams,
			unix.MSG_DONTWAIT, 0, 0)
		switch errno {
		case 0:
		case unix.EAGAIN, unix.EINTR:
			return nil
		case unix.ECONNREFUSED: // a port that was closed for a moment
			continue
		default:
			return os.NewSyscallError("recvmmsg", errno)
		}
		for i := range int(n) {
			b := u.inBytes[i*datagramSize:][:u.in[i].len]
			if _, err := u.msg.index(b); err != nil || u.msg.callID.to == 0 {
				continue
			}
			u.to = u.inFrom[i]
			u.side.handle(u, &u.msg)
		}
		if n < datagrams {
			return nil
		}
	}
}

func (u *udpSocket) flush() error {
	u.touched, u.stuck = false, false
	sent := 0
	for sent < len(u.out) {
		batch := u.out[sent:min(len(u.out), sent+datagrams)]
		for i := range batch {
			d := &batch[i]
			u.outV[i].Base = &u.arena[d.from]
			u.outV[i].SetLen(d.to - d.from)
			u.outH[i].hdr = unix.Msghdr{Name: (*byte)(unsafe.Pointer(&d.dest)), Namelen: unix.SizeofSockaddrInet4, Iov: &u.outV[i]}
			u.outH[i].hdr.SetIovlen(1)
		}
		n, _, errno := unix.RawSyscall6(unix.SYS_SENDMMSG, uintptr(u.sock), uintptr(unsafe.Pointer(&u.outH[0])), uintptr(len(batch)),
			unix.MSG_DONTWAIT, 0, 0)
		switch errno {
		case 0:
			sent += int(n)
		case unix.EINTR, unix.ECONNREFUSED:
		case unix.EAGAIN:
			u.stuck = true
			u.out = append(u.out[:0], u.out[sent:]...)
			return nil
		default:
			return os.NewSyscallError("sendmmsg", errno)
		}
	}
	u.out, u.arena = u.out[:0], u.arena[:0]
	return nil
}
