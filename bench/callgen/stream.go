//go:build linux

package main

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

const readSize = 64 << 10

// stream is a TCP connection, with TLS on it or not. It is made ready (connected, handshake done) in an ordinary
// goroutine and owned by the loop from then on.
type stream struct {
	wire    *wire
	tls     *tls.Conn // nil on TCP
	side    side
	local   netip.AddrPort
	in      []byte // plain text that came
	inEnd   int
	out     []byte // plain text to write
	touched bool
	msg     message
}

// newStream takes over nc, whose handshake, if any, was made on w.
func newStream(w *wire, t *tls.Conn, s side) (*stream, error) {
	local := w.Conn.LocalAddr().(*net.TCPAddr).AddrPort()
	if err := w.takeOver(); err != nil {
		return nil, err
	}
	return &stream{wire: w, tls: t, side: s, local: local, in: make([]byte, readSize)}, nil
}

func (s *stream) fd() int        { return s.wire.sock }
func (s *stream) open() []byte   { return s.out }
func (s *stream) done(b []byte)  { s.out = b }
func (s *stream) waiting() bool  { return len(s.wire.out) > 0 }
func (s *stream) close()         { _ = unix.Close(s.wire.sock) }
func (s *stream) mark() (b bool) { b, s.touched = !s.touched, true; return b }

func (s *stream) ready() error {
	if err := s.wire.fill(); err != nil {
		return err
	}
	var from io.Reader = s.wire
	if s.tls != nil {
		from = s.tls
	}
	for {
		n, err := from.Read(s.in[s.inEnd:])
		s.inEnd += n
		if herr := s.messages(); herr != nil {
			return herr
		}
		if err == errAgain {
			return nil
		}
		if err == io.EOF {
			return errClosed
		}
		if err != nil {
			return err
		}
	}
}

// messages hands on every whole message and moves the rest to the front.
func (s *stream) messages() error {
	from := 0
	for from < s.inEnd {
		n, err := s.msg.next(s.in[from:s.inEnd])
		if err != nil {
			return err
		}
		if n == 0 {
			break
		}
		from += n
		if s.msg.raw != nil {
			s.side.handle(s, &s.msg)
		}
	}
	if s.inEnd == len(s.in) && from == 0 {
		return fmt.Errorf("message larger than %d bytes", len(s.in))
	}
	s.inEnd = copy(s.in, s.in[from:s.inEnd])
	return nil
}

func (s *stream) flush() error {
	s.touched = false
	if len(s.out) > 0 {
		var err error
		if s.tls != nil {
			_, err = s.tls.Write(s.out)
		} else {
			_, err = s.wire.Write(s.out)
		}
		if err != nil {
			return err
		}
		s.out = s.out[:0]
	}
	return s.wire.flush()
}

// wire is the connection under TLS. Until takeOver it is the ordinary blocking one; then reads come from a buffer that
// fill has filled, and say errAgain when it is empty, and writes are collected for one flush. crypto/tls bears a
// temporary error of its connection: it keeps what it has of a record and goes on at the next Read.
type wire struct {
	net.Conn
	sock int // -1 until taken over
	in   []byte
	from int
	end  int
	eof  bool
	out  []byte
}

func newWire(nc net.Conn) *wire { return &wire{Conn: nc, sock: -1} }

func (w *wire) takeOver() error {
	raw, err := w.Conn.(*net.TCPConn).SyscallConn()
	if err != nil {
		return err
	}
	if cerr := raw.Control(func(fd uintptr) { w.sock, err = unix.FcntlInt(fd, unix.F_DUPFD_CLOEXEC, 0) }); cerr != nil {
		return cerr
	}
	if err != nil {
		return os.NewSyscallError("fcntl", err)
	}
	w.in = make([]byte, readSize)
	return w.Conn.Close() // leaves the runtime's poller; the copy keeps the socket
}

// fill reads what the socket has, in one call.
func (w *wire) fill() error {
	if w.from == w.end {
		w.from, w.end = 0, 0
	}
	if w.end == len(w.in) {
		return nil
	}
	n, _, errno := unix.RawSyscall(unix.SYS_READ, uintptr(w.sock), uintptr(unsafe.Pointer(&w.in[w.end])), uintptr(len(w.in)-w.end))
	switch {
	case errno == unix.EAGAIN, errno == unix.EINTR:
	case errno != 0:
		return os.NewSyscallError("read", errno)
	case n == 0:
		w.eof = true
	default:
		w.end += int(n)
	}
	return nil
}

func (w *wire) Read(b []byte) (int, error) {
	if w.sock < 0 {
		return w.Conn.Read(b)
	}
	if w.from == w.end {
		if w.eof {
			return 0, io.EOF
		}
		return 0, errAgain
	}
	n := copy(b, w.in[w.from:w.end])
	w.from += n
	return n, nil
}

func (w *wire) Write(b []byte) (int, error) {
	if w.sock < 0 {
		return w.Conn.Write(b)
	}
	w.out = append(w.out, b...)
	return len(b), nil
}

func (w *wire) flush() error {
	for len(w.out) > 0 {
		n, _, errno := unix.RawSyscall(unix.SYS_WRITE, uintptr(w.sock), uintptr(unsafe.Pointer(&w.out[0])), uintptr(len(w.out)))
		switch errno {
		case 0:
			w.out = w.out[:copy(w.out, w.out[n:])]
		case unix.EINTR:
		case unix.EAGAIN:
			return nil
		default:
			return os.NewSyscallError("write", errno)
		}
	}
	return nil
}

// again is the temporary error of a socket that has nothing more to read now.
type again struct{}

var errAgain net.Error = again{}

func (again) Error() string   { return "nothing more to read now" }
func (again) Timeout() bool   { return true }
func (again) Temporary() bool { return true }
