//go:build linux && !noraw

package transport

import (
	"io"
	"net"
	"os"
	"syscall"
	"unsafe"
)

// Go tells its scheduler about an ordinary system call, and when the process
// was at rest that wakes the runtime's monitor thread as well, which then polls
// for a while. The calls here are made on non-blocking sockets, return at once,
// and say nothing to the scheduler. They are made inside syscall.RawConn, whose
// locks keep the descriptor open meanwhile and which does the waiting, so that
// deadlines and Close work as ever.

// rawSocket is a socket of the kernel.
type rawSocket struct {
	rc    syscall.RawConn
	stats *Stats

	// The functions are made once, their arguments and results stand here.
	reading func(fd uintptr) bool
	in      *inbox
	inN     int
	inErr   syscall.Errno

	trying, writing func(fd uintptr) bool
	out             []byte
	outErr          syscall.Errno
}

// newSocket takes the raw path when nc is a socket.
func newSocket(nc net.Conn, stats *Stats) socket {
	tc, ok := nc.(*net.TCPConn)
	if !ok {
		return &plainSocket{nc, stats}
	}
	rc, err := tc.SyscallConn()
	if err != nil {
		return &plainSocket{nc, stats}
	}
	s := &rawSocket{rc: rc, stats: stats}
	s.reading = s.readOnce
	s.trying = func(fd uintptr) bool { s.writeSome(fd); return true }
	s.writing = s.writeSome
	return s
}

func (s *rawSocket) direct() bool { return true }

func (s *rawSocket) read(in *inbox) (int, error) {
	s.in, s.inN, s.inErr = in, 0, 0
	err := s.rc.Read(s.reading)
	s.in = nil
	switch {
	case err != nil:
		return 0, err
	case s.inErr != 0:
		return 0, os.NewSyscallError("read", s.inErr)
	case s.inN == 0:
		return 0, io.EOF
	}
	return s.inN, nil
}

// readOnce says false when the socket has nothing: the caller then waits, and
// the buffer goes back meanwhile.
func (s *rawSocket) readOnce(fd uintptr) bool {
	p := s.in.space()
	for {
		n, _, errno := syscall.RawSyscall(syscall.SYS_READ, fd, uintptr(unsafe.Pointer(&p[0])), uintptr(len(p)))
		s.stats.Reads.Add(1)
		switch errno {
		case 0:
			s.inN = int(n)
			s.in.add(s.inN)
			return true
		case syscall.EINTR:
			continue
		case syscall.EAGAIN:
			s.in.rest()
			return false
		}
		s.inErr = errno
		return true
	}
}

func (s *rawSocket) try(b []byte) (int, error) {
	return s.put(b, s.trying)
}

func (s *rawSocket) write(b []byte) error {
	_, err := s.put(b, s.writing)
	return err
}

func (s *rawSocket) put(b []byte, how func(fd uintptr) bool) (int, error) {
	s.out, s.outErr = b, 0
	err := s.rc.Write(how)
	n := len(b) - len(s.out)
	s.out = nil
	if err == nil && s.outErr != 0 {
		err = os.NewSyscallError("write", s.outErr)
	}
	return n, err
}

// writeSome says false when the kernel takes no more for now.
func (s *rawSocket) writeSome(fd uintptr) bool {
	for len(s.out) > 0 {
		n, _, errno := syscall.RawSyscall(syscall.SYS_WRITE, fd, uintptr(unsafe.Pointer(&s.out[0])), uintptr(len(s.out)))
		s.stats.Writes.Add(1)
		switch errno {
		case 0:
			s.out = s.out[n:]
		case syscall.EINTR:
		case syscall.EAGAIN:
			return false
		default:
			s.outErr = errno
			return true
		}
	}
	return true
}
