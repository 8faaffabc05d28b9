package b2bua

import (
	"errors"
	"net/netip"
	"strings"

	"github.com/sallyport-sip/sallyport/internal/peer"
	"github.com/sallyport-sip/sallyport/sip"
	"github.com/sallyport-sip/sallyport/sip/dialog"
	"github.com/sallyport-sip/sallyport/sip/transaction"
	"github.com/sallyport-sip/sallyport/sip/transport"
	"github.com/sallyport-sip/sallyport/sip/ua"
)

// Leg is one INVITE usage with a peer, and its dialogs. Owned by the shard.
type Leg struct {
	call   *Call
	peer   *peer.Peer
	out    bool // we called the peer
	secure bool // sips:
	place  peer.Place
	flow   ua.Flow // the connection that the dialogs live on

	waiting []func(*ua.Shard, ua.Flow, error) // for the connection that is being made

	callID   string
	localTag string // of the first dialog; a leg out has no other
	forks    []*fork
	winner   *fork // the dialog that was answered
	round    round // the last INVITE that crossed to the leg

	first *dialog.Dialog // of a caller: what each of its dialogs begins as a copy of
	uac   *dialog.UAC    // of a target: its INVITE, and the dialogs that it made

	hop *hop // for the call's record, until the call is shed
}

// fork is one dialog of a leg: a peer that forks makes several, and the caller
// sees each under a To tag of its own.
type fork struct {
	leg    *Leg
	dialog *dialog.Dialog
	joined *fork // the dialog on the other leg that it is joined with; nil when there is none any more
	left   bool  // a BYE was sent or received

	offering  bool // its peer's offer crossed and has no answer yet; see glare.go
	described bool // a response to its INVITE has had a description
}

// partner is the dialog on the other leg that a request goes to; nil when
// either of the two is over.
func (f *fork) partner() *fork {
	if f.joined == nil || f.joined.joined != f {
		return nil
	}
	return f.joined
}

// maxForks is how many early dialogs a target's INVITE may make: who forks to more
// is no proxy. As many again may be answered that were not heard of before.
const maxForks = 64

// response gives a response to the INVITE of a target to its dialogs: it returns
// the one that it makes or belongs to, nil when there is none or when there are
// too many.
func (l *Leg) response(m *sip.Message) (d *dialog.Dialog, created bool) {
	most := maxForks
	if m.StatusCode() >= 200 {
		most *= 2
	}
	if to, err := m.To(); err != nil || len(l.forks) >= most && l.uac.Find(string(to.Tag())) == nil {
		return nil, false
	}
	d, created, err := l.uac.Response(m)
	if err != nil {
		return nil, false
	}
	return d, created
}

// unwanted returns the dialog of a 2xx that has to be ended. One whose Contact or
// Record-Route cannot be used is ended where the INVITE went. nil is for one too
// many.
func (l *Leg) unwanted(m *sip.Message) *fork {
	to, _ := m.To()
	d, _ := l.response(m)
	if d == nil {
		d = l.uac.Find(string(to.Tag()))
	}
	if d == nil {
		if len(l.forks) >= 2*maxForks {
			return nil
		}
		d = l.uac.Unusable(string(to.Tag()))
	}
	f := l.fork([]byte(d.ID.LocalTag), []byte(d.ID.RemoteTag))
	if f == nil {
		f = &fork{leg: l, dialog: d}
		l.forks = append(l.forks, f)
	}
	return f
}

// fork returns the dialog with these tags, nil when there is none.
func (l *Leg) fork(local, remote []byte) *fork {
	for _, f := range l.forks {
		if f.dialog.ID.LocalTag == string(local) && f.dialog.ID.RemoteTag == string(remote) {
			return f
		}
	}
	return nil
}

// remember lets in-dialog requests with one of our tags find the leg.
func (l *Leg) remember(tag string) { l.call.calls.tags[tag] = l }

// forget ends that: from now on they get 481.
func (l *Leg) forget() {
	delete(l.call.calls.tags, l.localTag)
	for _, f := range l.forks {
		delete(l.call.calls.tags, f.dialog.ID.LocalTag)
	}
}

// round is an INVITE that crossed: its CSeq numbers on the leg that it came from
// and on the one that it went to. A PRACK names it by the first (RFC 3262 §7.2).
type round struct{ nearSeq, farSeq uint32 }

// received takes note of a request in the dialog: its CSeq must be higher than
// the last one's (RFC 3261 §12.2.2), and its Contact such that it can become the
// remote target.
func (f *fork) received(m *sip.Message) *sip.StatusError {
	err := f.dialog.Receive(m)
	if err == nil {
		_, err = dialog.Target(m)
	}
	if status, ok := errors.AsType[*sip.StatusError](err); ok {
		return status
	}
	return nil
}

// reach gives the flow for the next request in a dialog of the leg: the
// connection that the dialog lives on, or when that has gone a new one to the
// address where it was, or another one of the peer's, under its names and policy. What waits for a new
// one leaves in order. A connection by which the peer itself has come back will
// do as well: it proved the same names.
func (l *Leg) reach(s *ua.Shard, f *fork, done func(*ua.Shard, ua.Flow, error)) {
	old := l.flow.Conn
	if !old.Alive() && !l.tied(f) {
		if conn := s.Server().Instead(old); conn != nil && old.Info().Inbound && conn.Info().Inbound {
			// Who connects to us, and has come back, may be out of our reach otherwise.
			l.flow = ua.Flow{Conn: conn}
		}
	}
	if l.flow.Conn.Alive() {
		l.release(s, l.flow, nil)
		flow := l.flow
		if f != nil && !flow.Conn.Transport().Reliable() {
			flow.Addr = l.address(f)
		}
		done(s, flow, nil)
		return
	}
	if l.secure && !l.peer.Secure() {
		done(s, ua.Flow{}, errPlain)
		return
	}
	if l.tied(f) {
		done(s, ua.Flow{}, errBrowser)
		return
	}
	if l.waiting = append(l.waiting, done); len(l.waiting) > 1 {
		return
	}
	l.call.engine.ways.Return(s, l.peer, l.flow, peer.AnyAddress(func(s *ua.Shard, flow ua.Flow, _ peer.Next, err error) {
		if err != nil {
			if conn := s.Server().Instead(old); conn != nil {
				flow, err = ua.Flow{Conn: conn}, nil
			}
		}
		if len(l.waiting) == 0 {
			return // the peer was faster
		}
		if err == nil {
			l.flow = flow
		}
		l.release(s, flow, err)
	}))
}

// tied says whether the other side of a dialog is on one WebSocket and nowhere
// else: its Contact has a host under .invalid, because a browser does not know its
// own (RFC 7118 §B.1). Another connection of the peer's may be that of another
// browser; only a request by which it comes back itself moves the leg.
func (l *Leg) tied(f *fork) bool {
	if !l.flow.Conn.Transport().WebSocket() {
		return false
	}
	if f == nil {
		return l.peer.URI.Unreachable()
	}
	uri, err := sip.ParseURI([]byte(f.dialog.NextHop()))
	host := strings.ToLower(string(uri.HostName()))
	return err == nil && (host == "invalid" || strings.HasSuffix(host, ".invalid"))
}

var errBrowser = errors.New("its WebSocket has gone, and nobody can connect to a browser (RFC 7118 §B.1)")

// release lets what waits for a connection go on, in the order in which it came.
func (l *Leg) release(s *ua.Shard, flow ua.Flow, err error) {
	all := l.waiting
	l.waiting = nil
	for _, done := range all {
		done(s, flow, err)
	}
}

// follow moves the leg to the connection of a request in its dialog when its own
// has gone: the peer has come back, and what waited for a connection to it need not
// wait any more. From TLS it does not move to anything less.
func (l *Leg) follow(s *ua.Shard, p *transport.Packet) {
	if !l.flow.Conn.Alive() && (p.Conn.Transport().Secure() || !l.flow.Conn.Transport().Secure()) {
		l.flow = ua.Flow{Conn: p.Conn, Addr: p.Source}
		l.release(s, l.flow, nil)
	}
}

// resends is how often a request is sent again because its connection has gone.
// More than once: who loses one connection to a peer may lose the next one found
// at the same moment.
const resends = 3

// lost says whether a request failed because its connection has gone, so that it
// is worth to be sent again, as it is, on a new one: if it did arrive, that is a
// retransmission.
func lost(tx *ua.ClientTx, err error) bool {
	return errors.Is(err, transaction.ErrTransport) && !tx.Flow().Conn.Alive()
}

// settle moves the leg to where a new connection will be made, before a request
// is written, when its own has gone.
func (l *Leg) settle() {
	if !l.flow.Conn.Alive() {
		l.place = l.call.engine.ways.PlaceOn(l.peer, l.again())
	}
}

// again is the transport of that connection.
func (l *Leg) again() transport.Transport {
	if l.flow.Conn.Info().Inbound {
		return l.peer.Transport
	}
	return l.flow.Conn.Transport()
}

// errPlain keeps a sips: dialog from going on over a hop that is not TLS
// (RFC 3261 §26.2.2).
var errPlain = errors.New("its TLS connection has gone, and the peer's uri is not a TLS one")

// address is where a request in a dialog goes on UDP: to the next hop that the
// dialog names when that is an address of the peer's, else to where the peer's
// messages came from.
func (l *Leg) address(f *fork) netip.AddrPort {
	uri, err := sip.ParseURI([]byte(f.dialog.NextHop()))
	if err != nil {
		return l.flow.Addr
	}
	addr, err := netip.ParseAddr(string(uri.HostName()))
	if err != nil {
		return l.flow.Addr
	}
	port := uri.Port
	if port == 0 {
		port = 5060
	}
	to := netip.AddrPortFrom(addr.Unmap(), port)
	if !l.call.engine.ways.Owns(l.peer, to, l.flow.Conn.Info().Listener) {
		return l.flow.Addr
	}
	return to
}
