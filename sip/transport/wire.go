package transport

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// recordHeader is the length of a TLS record's header (RFC 8446 §5.1).
const recordHeader = 5

// errNothing is what a wire's Read returns after the handshake when there are no
// more bytes. It is Temporary, so that tls.Conn comes again later as if nothing
// had happened: the reader waits on the socket itself, and so knows without a
// call whether another record is there.
var errNothing net.Error = nothing{}

type nothing struct{}

func (nothing) Error() string   { return "nothing to read" }
func (nothing) Timeout() bool   { return true }
func (nothing) Temporary() bool { return true }

// wire is the net.Conn under a tls.Conn. During the handshake its calls wait as
// usual; afterwards, from polled on, Read gives only what fill has read, and
// Write collects what take will give.
type wire struct {
	nc     net.Conn
	sock   socket
	polled atomic.Bool

	// The reader's.
	in      inbox
	header  [recordHeader]byte
	headerN int   // bytes of header seen
	left    int   // bytes of the record's body not yet handed over
	records int   // whole records handed over since the handshake
	end     error // why there is nothing more
	ended   bool  // the end was handed to TLS
	alert   plainAlert

	mu  sync.Mutex
	out *buffer // sealed records
}

func newWire(nc net.Conn, stats *Stats) *wire {
	return &wire{nc: nc, sock: newSocket(nc, stats)}
}

// poll ends the handshake's way of working.
func (w *wire) poll() {
	w.records = 0
	w.polled.Store(true)
}

// fill waits for the socket and reads once. Its error is kept, so that TLS
// learns of it too; but a deadline is the reader's own, which may go on.
func (w *wire) fill() error {
	_, err := w.sock.read(&w.in)
	if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
		w.end = err
	}
	return err
}

// Read hands over bytes of one record at a time.
func (w *wire) Read(p []byte) (int, error) {
	if w.in.empty() {
		if w.end == nil {
			w.in.rest()
			if w.polled.Load() {
				return 0, errNothing
			}
			if err := w.fill(); err != nil {
				w.ended = true
				return 0, err
			}
		} else {
			w.ended = true
			return 0, w.end
		}
	}
	b := w.in.bytes()
	n := w.cut(b[:min(len(b), len(p))])
	copy(p, b[:n])
	w.in.use(n)
	w.in.rest()
	return n, nil
}

// cut returns how many bytes of b belong to the record that is under way.
func (w *wire) cut(b []byte) int {
	n := 0
	if w.left == 0 {
		n = copy(w.header[w.headerN:], b)
		if w.headerN += n; w.headerN < recordHeader {
			return n
		}
		w.headerN = 0
		w.left = int(binary.BigEndian.Uint16(w.header[3:]))
		w.alert.begin(w.header)
	}
	body := min(w.left, len(b)-n)
	w.alert.take(b[n : n+body])
	if w.left -= body; w.left == 0 {
		w.records++
	}
	return n + body
}

// midRecord says whether a record was begun and not completed.
func (w *wire) midRecord() bool { return w.left > 0 || w.headerN > 0 }

// reset lets go of what nobody will read.
func (w *wire) reset() { w.in.clear() }

// Write collects, or during the handshake writes.
func (w *wire) Write(p []byte) (int, error) {
	if !w.polled.Load() {
		if err := w.sock.write(p); err != nil {
			return 0, err
		}
		return len(p), nil
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.out == nil {
		w.out = takeBuffer()
	}
	w.out.b = append(w.out.b, p...)
	return len(p), nil
}

// take returns the sealed records, nil when there are none. The caller drops
// the buffer.
func (w *wire) take() *buffer {
	w.mu.Lock()
	defer w.mu.Unlock()
	b := w.out
	w.out = nil
	return b
}

// size is how many bytes of sealed records there are to take.
func (w *wire) size() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.out == nil {
		return 0
	}
	return len(w.out.b)
}

// waiting says whether there are sealed records to take.
func (w *wire) waiting() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.out != nil
}

// discard reads and forgets, through the connection that TLS reads from, until
// the other side ends or a deadline passes: closing a socket with unread bytes
// would send a reset, which can overtake the alert that we sent last.
func (w *wire) discard(from io.Reader, most int) {
	p := takeBuffer()
	defer p.drop()
	for most > 0 {
		n, err := from.Read(p.b[:cap(p.b)])
		if err != nil {
			return
		}
		most -= n
	}
}

// Close closes the socket.
func (w *wire) Close() error { return w.nc.Close() }

// LocalAddr is that of the socket.
func (w *wire) LocalAddr() net.Addr { return w.nc.LocalAddr() }

// RemoteAddr is that of the socket.
func (w *wire) RemoteAddr() net.Addr { return w.nc.RemoteAddr() }

// SetDeadline is for the handshake only, see SetWriteDeadline.
func (w *wire) SetDeadline(t time.Time) error {
	if w.polled.Load() {
		return nil
	}
	return w.nc.SetDeadline(t)
}

// SetReadDeadline is for the handshake only: later the reader has its own.
func (w *wire) SetReadDeadline(t time.Time) error {
	if w.polled.Load() {
		return nil
	}
	return w.nc.SetReadDeadline(t)
}

// SetWriteDeadline is for the handshake only: later a write only collects, and
// tls.Conn sets a deadline of its own around close_notify.
func (w *wire) SetWriteDeadline(t time.Time) error {
	if w.polled.Load() {
		return nil
	}
	return w.nc.SetWriteDeadline(t)
}
