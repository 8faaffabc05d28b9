package gateway

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"github.com/sallyport-sip/sallyport/internal/b2bua"
	"github.com/sallyport-sip/sallyport/internal/callflow"
	"github.com/sallyport-sip/sallyport/internal/cross"
	"github.com/sallyport-sip/sallyport/internal/peer"
	"github.com/sallyport-sip/sallyport/internal/route"
	"github.com/sallyport-sip/sallyport/sip"
	"github.com/sallyport-sip/sallyport/sip/transport"
	"github.com/sallyport-sip/sallyport/sip/ua"
)

// allow is what the gateway takes, inside of calls or outside.
const allow = "Allow: INVITE, ACK, CANCEL, BYE, OPTIONS, PRACK, UPDATE, INFO, MESSAGE, SUBSCRIBE, NOTIFY, PUBLISH, REFER"

// Request makes the gateway a ua.ShardHandler.
func (g *Gateway) Request(s *ua.Shard, tx *ua.ServerTx, p *transport.Packet) {
	err := g.serve(s, tx, p)
	if err == nil {
		return
	}
	status, ok := errors.AsType[*sip.StatusError](err)
	if !ok {
		status = &sip.StatusError{Code: 500, Err: err}
	}
	if status.Code >= 300 {
		g.log.Info("request refused", "method", tx.Method(), "source", p.Source, "status", status.Code, "cause", status)
		g.remark(p, status.Err)
	}
	s.Reply(tx, status)
}

// remark records why an INVITE becomes no call.
func (g *Gateway) remark(p *transport.Packet, why error) {
	if why != nil && p.Msg.Method() == sip.INVITE {
		g.Record(callflow.Noted, callflow.Call{Direction: callflow.In, CallID: string(p.Msg.CallID())}, why.Error())
	}
}

// Ack makes the gateway a ua.ShardHandler.
func (g *Gateway) Ack(s *ua.Shard, p *transport.Packet) { g.engine.Ack(s, p) }

// serve is the one switch over requests. What it returns becomes the response.
func (g *Gateway) serve(s *ua.Shard, tx *ua.ServerTx, p *transport.Packet) error {
	if err := hopDemands(p.Msg); err != nil {
		return err
	}
	to, err := p.Msg.To()
	if err != nil {
		return err
	}
	if to.Tag() != nil {
		if !g.relay.InDialog(s, tx, p) {
			g.engine.InDialog(s, tx, p)
		}
		return nil
	}
	from := g.peerOf(p)
	switch {
	case from == nil:
		return &sip.StatusError{Code: 403, Err: errors.New("the peer is gone since a reload")}
	case p.Conn.Retired():
		return &sip.StatusError{Code: 403, Err: errors.New("the connection only serves the calls it has, since a reload")}
	}
	switch tx.Method() {
	case sip.INVITE:
		return g.invite(s, tx, p, from)
	case sip.OPTIONS:
		return g.capabilities(s, tx, p, from)
	case sip.MESSAGE, sip.SUBSCRIBE, sip.PUBLISH, sip.REFER, sip.NOTIFY, sip.INFO:
		return g.relayed(s, tx, p, from)
	case sip.BYE, sip.PRACK, sip.UPDATE:
		return &sip.StatusError{Code: 481} // only inside a dialog
	case sip.REGISTER:
		return &sip.StatusError{Code: 405, Header: allow}
	}
	return &sip.StatusError{Code: 501, Header: allow}
}

// errStopping refuses calls while the gateway stops. It may be back soon.
var errStopping = &sip.StatusError{Code: 503, Header: "Retry-After: 10", Err: errors.New("the gateway stops")}

// invite begins a call, or keeps a record of why there is none.
func (g *Gateway) invite(s *ua.Shard, tx *ua.ServerTx, p *transport.Packet, from *peer.Peer) error {
	var row string
	err := g.answerable(p, from)
	if err == nil {
		row, err = g.begin(s, tx, p, from)
	}
	if err != nil {
		g.engine.Refused(s, p, from, row, err)
	}
	return err
}

// begin begins a call. row is the one of the routes that decided, if one did.
func (g *Gateway) begin(s *ua.Shard, tx *ua.ServerTx, p *transport.Packet, from *peer.Peer) (row string, err error) {
	w, err := g.way(p, from, sip.INVITE, g.engine.Looped(s, p.Msg))
	if err != nil {
		return w.Row, err
	}
	return w.Row, g.engine.Start(s, b2bua.Invite{
		Tx: tx, Packet: p, From: from, Targets: w.Targets,
		Secure: w.secure, SIPS: w.sips, Hops: w.hops, Route: w.Row, Why: w.Why,
	})
}

// way is where a request outside of any dialog goes, and how.
type way struct {
	route.Decision
	secure bool // the Request-URI is a sips: one
	sips   bool // the sender's side of the dialog that it makes is sips:
	hops   int  // Max-Forwards for the next hop
}

// way finds the way of a request, or the response that says that there is none.
func (g *Gateway) way(p *transport.Packet, from *peer.Peer, method sip.Method, looped bool) (w way, err error) {
	if g.closing.Load() {
		return w, errStopping
	}
	w.hops = 70 // RFC 3261 §8.1.1.6
	if n, ok := p.Msg.MaxForwards(); ok {
		w.hops = n
	}
	if w.hops == 0 {
		return w, &sip.StatusError{Code: 483}
	}
	w.hops--
	if looped {
		return w, &sip.StatusError{Code: 482, Err: errors.New("one of our own requests came back")}
	}
	uri, err := sip.ParseURI(p.Msg.RequestURI())
	if err != nil {
		return w, err
	}
	if !uri.SIP() && !uri.Is("tel") {
		return w, &sip.StatusError{Code: 416}
	}
	w.secure = uri.Is("sips")
	left, refusal := cross.Claims(p.Msg, from, g.Place(from, p.Conn))
	if refusal != nil {
		return w, refusal
	}
	var room [64]byte // most users are shorter, and cost one allocation then
	w.Decision = g.snapshot.Load().routes.Decide(route.Facts{
		From: from, Method: method, SIPS: w.secure,
		User: string(sip.AppendUnescape(room[:0], uri.User)),
	})
	if w.secure && !p.Conn.Transport().Secure() {
		// Its dialog would have to go on over that hop.
		w.Decision = route.Decision{Outcome: route.SIPSNotAllowed, Why: "the request is sips: and came over " + p.Conn.Transport().String()}
	}
	if err := g.refusal(w.Decision, from, p); err != nil {
		return w, err
	}
	sips, refusal := cross.Begins(p.Msg, from, p.Conn.Transport(), g.Place(from, p.Conn))
	if refusal != nil {
		return w, refusal
	}
	w.sips = sips
	w.Why = g.snapshot.Load().told.with(w.Decision, from, cross.MadeBy(p.Msg)) + left
	return w, nil
}

// refusal is the response to a call that has no way on, nil when it has one.
// SIPS is never downgraded (RFC 5630 §5.3).
func (g *Gateway) refusal(d route.Decision, from *peer.Peer, p *transport.Packet) error {
	if d.Outcome == route.Routed {
		return nil
	}
	cause := fmt.Errorf("peer %s: %s", from.Name, d.Why)
	switch d.Outcome {
	case route.SIPSNotAllowed:
		return cross.NotAllowed(g.Place(from, p.Conn), cause)
	case route.SIPSRequired:
		return cross.Required(g.Place(from, p.Conn), cause)
	}
	return &sip.StatusError{Code: 404, Err: cause}
}

// aboutUs answers OPTIONS to the gateway itself (RFC 3261 §11.2).
func (g *Gateway) aboutUs() error {
	if g.closing.Load() {
		return errStopping // whoever asks whether we take calls shall see that we do not
	}
	return &sip.StatusError{Code: 200, Header: allow + "\r\nAccept: application/sdp"}
}

// isUs says whether a host, and its port if there is one, is what one of our
// listeners is reached at.
func (g *Gateway) isUs(host string, port uint16) bool {
	cfg := g.snapshot.Load().config
	for i := range cfg.Listeners {
		l := &cfg.Listeners[i]
		at := l.Advertised()
		if (port == 0 || port == at.Port || port == l.Listen.AddrPort.Port()) &&
			(strings.EqualFold(host, at.Host) || sameAddress(host, l.Listen.AddrPort.Addr())) {
			return true
		}
	}
	return false
}

func sameAddress(host string, addr netip.Addr) bool {
	a, err := netip.ParseAddr(host)
	return err == nil && a.Unmap() == addr.Unmap()
}
