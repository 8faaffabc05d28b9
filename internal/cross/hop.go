package cross

import (
	"errors"
	"net/netip"
	"strings"

	"github.com/sallyport-sip/sallyport/internal/events"
	"github.com/sallyport-sip/sallyport/internal/peer"
	"github.com/sallyport-sip/sallyport/sip"
	"github.com/sallyport-sip/sallyport/sip/dialog"
	"github.com/sallyport-sip/sallyport/sip/transaction"
	"github.com/sallyport-sip/sallyport/sip/transport"
	"github.com/sallyport-sip/sallyport/sip/ua"
)

// Ways are how peers are reached.
type Ways interface {
	// Connect finds or dials a connection to a peer, under the peer's policy.
	// done is called in the shard, perhaps before Connect returns.
	Connect(s *ua.Shard, p *peer.Peer, done peer.Connected)
	// Return does the same for what went on at a flow whose connection has gone:
	// it tries the same address first, by the same transport.
	Return(s *ua.Shard, p *peer.Peer, was ua.Flow, done peer.Connected)
	// Fit gives the connection and the bytes by which a request to a peer leaves,
	// which flow and b would be if it were not too large for UDP. done is called in the
	// shard, perhaps before Fit returns.
	Fit(s *ua.Shard, p *peer.Peer, flow ua.Flow, b []byte, done func(*ua.Shard, ua.Flow, []byte))
	// Unfit tells that a connection of Fit's was lost before any response came.
	Unfit(s *ua.Shard, p *peer.Peer, cause error)
	// Owns says whether the peer is recognised at an address on UDP, so that
	// its requests may be sent there.
	Owns(p *peer.Peer, addr netip.AddrPort, listener string) bool
	// Place returns our address towards a peer. c is the connection that its
	// leg lives on.
	Place(p *peer.Peer, c *transport.Conn) peer.Place
	// PlaceOn does the same for a connection that is still to be made.
	PlaceOn(p *peer.Peer, t transport.Transport) peer.Place
	// Emit tells applications of an event. It copies what it needs, and never
	// waits.
	Emit(e *events.Event)
}

// Hop is what the dialogs of one leg live on: a connection with its peer, which
// may go and be replaced without ending them. Owned by the shard.
type Hop struct {
	Peer   *peer.Peer
	Secure bool // sips:
	Place  peer.Place
	Flow   ua.Flow
	Watch  Watcher // nil: nobody wants to know

	Session UUID // of who is behind the leg, as its last message had it

	waiting []func(*ua.Shard, ua.Flow, error) // for the connection that is being made
}

// Watcher is told on which connections a hop's messages go, beside the first.
type Watcher interface{ Moved(ua.Flow) }

func (h *Hop) moved(to ua.Flow) {
	if h.Watch != nil && to.Conn != nil {
		h.Watch.Moved(to)
	}
}

// Reach gives the flow for the next request in a dialog of the hop: the
// connection that the dialog lives on, or when that has gone a new one to the
// address where it was, or another one of the peer's, under its names and policy.
// What waits for a new one leaves in order. A connection by which the peer itself has
// come back will do as well: it proved the same names. d is nil for what belongs to no
// dialog yet.
func (h *Hop) Reach(s *ua.Shard, ways Ways, d *dialog.Dialog, done func(*ua.Shard, ua.Flow, error)) {
	old := h.Flow.Conn
	if !old.Alive() && !h.tied(d) {
		if conn := s.Server().Instead(old); conn != nil && old.Info().Inbound && conn.Info().Inbound {
			// Who connects to us, and has come back, may be out of our reach otherwise.
			h.Flow = ua.Flow{Conn: conn}
			h.moved(h.Flow)
		}
	}
	secure := h.Secure || d != nil && d.SIPS()
	if h.Flow.Conn.Alive() {
		if secure && !h.Flow.Conn.Transport().Secure() {
			done(s, ua.Flow{}, ErrPlain)
			return
		}
		h.release(s, h.Flow, nil)
		flow := h.Flow
		if d != nil && !flow.Conn.Transport().Reliable() {
			flow.Addr = h.address(ways, d)
		}
		done(s, flow, nil)
		return
	}
	if secure && !h.Peer.Secure() {
		done(s, ua.Flow{}, ErrPlain)
		return
	}
	if h.tied(d) {
		done(s, ua.Flow{}, errBrowser)
		return
	}
	if len(h.waiting) >= maxWaiting {
		done(s, ua.Flow{}, errCrowded)
		return
	}
	if h.waiting = append(h.waiting, done); len(h.waiting) > 1 {
		return
	}
	ways.Return(s, h.Peer, h.Flow, peer.AnyAddress(func(s *ua.Shard, flow ua.Flow, _ peer.Next, err error) {
		if err != nil {
			if conn := s.Server().Instead(old); conn != nil {
				flow, err = ua.Flow{Conn: conn}, nil
			}
		}
		if err == nil && secure && !flow.Conn.Transport().Secure() {
			err = ErrPlain
		}
		if len(h.waiting) == 0 {
			return // the peer was faster
		}
		if err == nil {
			h.Flow = flow
			h.moved(flow)
		}
		h.release(s, flow, err)
	}))
}

// maxWaiting is how much may wait for a hop's new connection: all that its dialogs
// may have under way, and more. A peer that sends the same 2xx over and over asks for
// as many ACKs.
const maxWaiting = 256

var errCrowded = errors.New("too much waits for the connection already")

// tied says whether the other side of a dialog is on one WebSocket and nowhere
// else: its Contact has a host under .invalid, because a browser does not know its
// own (RFC 7118 §B.1), or the peer is configured as such. Another connection of the peer's may be that of another
// browser; only a request by which it comes back itself moves the hop.
func (h *Hop) tied(d *dialog.Dialog) bool {
	if !h.Flow.Conn.Transport().WebSocket() || !h.Flow.Conn.Info().Inbound {
		return false
	}
	if d == nil || h.Peer.URI.Unreachable() {
		return h.Peer.URI.Unreachable()
	}
	uri, err := sip.ParseURI([]byte(d.NextHop()))
	host := strings.ToLower(string(uri.HostName()))
	return err == nil && (host == "invalid" || strings.HasSuffix(host, ".invalid"))
}

var errBrowser = errors.New("its WebSocket has gone, and nobody can connect to a browser (RFC 7118 §B.1)")

// release lets what waits for a connection go on, in the order in which it came.
func (h *Hop) release(s *ua.Shard, flow ua.Flow, err error) {
	all := h.waiting
	h.waiting = nil
	for _, done := range all {
		done(s, flow, err)
	}
}

// Follow moves the hop to the connection of a request in its dialog when its own
// has gone: the peer has come back, and what waited for a connection to it need not
// wait any more. From TLS it does not move to anything less.
func (h *Hop) Follow(s *ua.Shard, p *transport.Packet) {
	if p.Conn != h.Flow.Conn {
		h.moved(ua.Flow{Conn: p.Conn, Addr: p.Source})
	}
	if !h.Flow.Conn.Alive() && (p.Conn.Transport().Secure() || !h.Flow.Conn.Transport().Secure()) {
		h.Flow = ua.Flow{Conn: p.Conn, Addr: p.Source}
		h.release(s, h.Flow, nil)
	}
}

// Settle moves the hop to where a new connection will be made, before a request
// is written, when its own has gone.
func (h *Hop) Settle(ways Ways) {
	if !h.Flow.Conn.Alive() {
		h.Place = ways.PlaceOn(h.Peer, h.again())
	}
}

// again is the transport of that connection.
func (h *Hop) again() transport.Transport {
	if h.Flow.Conn.Info().Inbound {
		return h.Peer.Transport
	}
	return h.Flow.Conn.Transport()
}

// ErrPlain keeps what is sips: from leaving over a hop that is not TLS
// (RFC 3261 §26.2.2, RFC 5630 §5.3).
var ErrPlain = errors.New("it is sips:, and the hop that is left to the peer is not TLS")

// address is where a request in a dialog goes on UDP: to the next hop that the
// dialog names when that is an address of the peer's, else to where the peer's
// messages came from.
func (h *Hop) address(ways Ways, d *dialog.Dialog) netip.AddrPort {
	uri, err := sip.ParseURI([]byte(d.NextHop()))
	if err != nil {
		return h.Flow.Addr
	}
	addr, err := netip.ParseAddr(string(uri.HostName()))
	if err != nil {
		return h.Flow.Addr
	}
	port := uri.Port
	if port == 0 {
		port = 5060
	}
	to := netip.AddrPortFrom(addr.Unmap(), port)
	if !ways.Owns(h.Peer, to, h.Flow.Conn.Info().Listener) {
		return h.Flow.Addr
	}
	return to
}

// Resends is how often a request is sent again because its connection has gone.
// More than once: who loses one connection to a peer may lose the next one found
// at the same moment.
const Resends = 3

// Lost says whether a request failed because its connection has gone, so that it
// is worth to be sent again, as it is, on a new one: if it did arrive, that is a
// retransmission.
func Lost(tx *ua.ClientTx, err error) bool {
	return errors.Is(err, transaction.ErrTransport) && !tx.Flow().Conn.Alive()
}
