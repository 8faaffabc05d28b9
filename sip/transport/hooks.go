package transport

import (
	"crypto/tls"
	"net"
	"net/netip"
	"time"
)

// Hooks are the questions and news of an endpoint. Only Deliver is mandatory.
// They are called without any lock held, by the goroutine of the connection
// unless said otherwise.
type Hooks struct {
	// Deliver takes the messages of one read, in order. They belong to the
	// receiver from then on, the slice does not. It may wait: nothing more is read
	// from that connection meanwhile.
	Deliver func(batch []Packet)

	// AdmitConn accepts or refuses an inbound stream before any handshake, in the
	// accept goroutine.
	AdmitConn func(t Transport, local, remote netip.AddrPort) error

	// WrapConn may put a connection of its own between the socket and TLS, to see
	// records as they pass. Its Read must hand on what the inner Read returned,
	// errors included: after the handshake an error that is Temporary is the
	// ordinary way to say that nothing is there. Not called without TLS.
	WrapConn func(nc net.Conn, info ConnInfo) net.Conn

	// Identify says who is on the other side of a stream, after the handshake; st
	// is nil without TLS. An error refuses the connection. Without the hook, or when it
	// finds no peer, a connection we dialled has the peer we dialled.
	Identify func(info ConnInfo, st *tls.ConnectionState) (Identity, error)

	// Tap sees every message in clear. It must copy what it keeps. out and remote
	// say which way and to or from whom; it may be called by any goroutine.
	Tap func(c *Conn, out bool, remote netip.AddrPort, at time.Time, b []byte)

	// Upgraded tells how an HTTP request for a WebSocket ended, before Opened or
	// Refusing; err is nil when it is one now.
	Upgraded func(info ConnInfo, u Upgrade, err error)

	// Opened tells of a stream whose other side is identified, before its first
	// message.
	Opened func(c *Conn)

	// Confirmed tells that a TLS 1.3 server has accepted our certificate, see
	// Conn.Confirmed. For all other streams it directly follows Opened.
	Confirmed func(c *Conn)

	// Refusing tells at once of a stream that will not open: not admitted,
	// handshake failed, not identified, or a dial without success.
	Refusing func(info ConnInfo, err error)

	// Refused is the last news of such a stream, with the same error: what was
	// sent last has had its time to arrive, up to Limits.Linger with somebody who
	// does not close.
	Refused func(info ConnInfo, err error)

	// Closed is the last news of a stream that had opened.
	Closed func(c *Conn, why CloseReason)

	// Excess tells of a limit that somebody passed. It may be called by any
	// goroutine, must not wait, and is the place to count: an attack passes limits
	// often.
	Excess func(Excess)

	// Lost tells of a datagram that could not be sent.
	Lost func(c *Conn, to netip.AddrPort, err error)
}

func (h *Hooks) tap(c *Conn, out bool, remote netip.AddrPort, at time.Time, b []byte) {
	if h.Tap != nil {
		h.Tap(c, out, remote, at, b)
	}
}

func (h *Hooks) refusing(info ConnInfo, err error) {
	h.exceeded(info, info.Peer, err)
	if h.Refusing != nil {
		h.Refusing(info, err)
	}
}

func (h *Hooks) refused(info ConnInfo, err error) {
	if h.Refused != nil {
		h.Refused(info, err)
	}
}

func (h *Hooks) upgraded(info ConnInfo, u Upgrade, err error) {
	if h.Upgraded != nil {
		h.Upgraded(info, u, err)
	}
}

func (h *Hooks) lost(c *Conn, to netip.AddrPort, err error) {
	if h.Lost != nil {
		h.Lost(c, to, err)
	}
}

// identify asks who it is, and fills in the peer that we dialled.
func (h *Hooks) identify(info ConnInfo, st *tls.ConnectionState) (Identity, error) {
	var id Identity
	if h.Identify != nil {
		var err error
		if id, err = h.Identify(info, st); err != nil {
			return Identity{}, err
		}
	}
	if id.Peer == "" {
		id.Peer = info.Peer
	}
	return id, nil
}
