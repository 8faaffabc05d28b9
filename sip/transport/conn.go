package transport

import (
	"crypto/tls"
	"errors"
	"net/netip"
	"sync/atomic"
	"time"
)

// Errors that callers test for.
var (
	// ErrClosed is returned for a connection that has ended or is ending.
	ErrClosed = errors.New("connection is closed")
	// ErrQueueFull ends a stream whose other side does not read, and is returned
	// for a datagram that the socket could not take.
	ErrQueueFull = errors.New("the other side reads too slowly: too much waits to be sent")
	// ErrTooManyConns refuses an inbound connection over the limit.
	ErrTooManyConns = errors.New("too many connections")
	// ErrTooManyHandshakes refuses an inbound connection that waited for its turn.
	ErrTooManyHandshakes = errors.New("too many TLS handshakes at once")
	// ErrShutdown ends connections when the endpoint closes.
	ErrShutdown = errors.New("the gateway is shutting down")
	// ErrTooLarge is returned for a message that no datagram can carry.
	ErrTooLarge = errors.New("message does not fit a UDP datagram: use TCP or TLS")
)

// Conn is a stream connection, or the socket of a UDP listener. All methods may
// be called by several goroutines at once, and none waits for the network.
type Conn struct {
	info     ConnInfo
	tls      *tls.ConnectionState
	start    time.Time // of the handshake
	opened   time.Time
	standing atomic.Pointer[standing]
	used     atomic.Bool
	link     link
}

// link is what carries a connection's bytes.
type link interface {
	send(b []byte, to netip.AddrPort) (first bool, err error)
	flush()
	close(reason error)
	alive() bool
	confirmed() bool
}

// Send copies a message to what is pending; Flush sends it. On UDP it goes to
// an address, a stream has only one other end and ignores it. first says that
// nothing was pending before, so that the caller who gets it owes a Flush.
//
// The error is ErrClosed; ErrQueueFull, which also ends a stream; or on UDP
// ErrTooLarge.
func (c *Conn) Send(b []byte, to netip.AddrPort) (first bool, err error) {
	return c.link.send(b, to)
}

// Flush seals and writes what is pending, in as few records and system calls as
// it takes. When another goroutine is just doing that it also takes what this
// one left, and Flush returns at once.
func (c *Conn) Flush() { c.link.flush() }

// Close ends the connection for a reason of ours, which goes to the Closed
// hook. What is pending is still sent, then close_notify on TLS, then the end
// of the stream. It does not wait, and only the first call counts.
func (c *Conn) Close(reason error) { c.link.close(reason) }

// Alive says whether Send can still succeed.
func (c *Conn) Alive() bool { return c.link.alive() }

// Confirmed says whether the other side is known to have accepted our
// certificate. A TLS 1.3 client knows that only from the server's first record
// after the handshake; all others know it from the start.
func (c *Conn) Confirmed() bool { return c.link.confirmed() }

// ID names the connection; no other of this endpoint ever has the same.
func (c *Conn) ID() uint64 { return c.info.ID }

// Transport is how the connection carries messages.
func (c *Conn) Transport() Transport { return c.info.Transport }

// Info is what was known when the connection was made.
func (c *Conn) Info() ConnInfo { return c.info }

// TLS is the state after the handshake, nil on UDP and TCP. It must not be
// changed.
func (c *Conn) TLS() *tls.ConnectionState { return c.tls }

// Opened is when the handshake was over.
func (c *Conn) Opened() time.Time { return c.opened }

// HandshakeStart is when the TLS handshake began: after connecting, and for an
// inbound connection after it waited for its turn. Without TLS it is Opened.
func (c *Conn) HandshakeStart() time.Time { return c.start }

// HandshakeTime is how long the TLS handshake took, 0 without TLS.
func (c *Conn) HandshakeTime() time.Duration { return c.opened.Sub(c.start) }

// ConnectTime is how long it took to connect before any handshake, 0 for a
// connection that we did not dial.
func (c *Conn) ConnectTime() time.Duration {
	if c.info.Inbound {
		return 0
	}
	return c.start.Sub(c.info.Begun)
}

// First is true for the one who asks first: the call that the connection is new
// for. For all later ones it is one that was there.
func (c *Conn) First() bool { return !c.used.Swap(true) }

func (c *Conn) String() string { return c.info.String() }
