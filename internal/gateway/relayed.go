package gateway

import (
	"errors"
	"fmt"

	"github.com/sallyport-sip/sallyport/internal/cross"
	"github.com/sallyport-sip/sallyport/internal/peer"
	"github.com/sallyport-sip/sallyport/internal/relay"
	"github.com/sallyport-sip/sallyport/internal/route"
	"github.com/sallyport-sip/sallyport/sip"
	"github.com/sallyport-sip/sallyport/sip/transport"
	"github.com/sallyport-sip/sallyport/sip/ua"
)

// capabilities answers OPTIONS to the gateway, and relays one to somebody behind it.
func (g *Gateway) capabilities(s *ua.Shard, tx *ua.ServerTx, p *transport.Packet, from *peer.Peer) error {
	uri, err := sip.ParseURI(p.Msg.RequestURI())
	switch {
	case err != nil:
		return err
	case !uri.SIP() && !uri.Is("tel"):
		return &sip.StatusError{Code: 416}
	case len(uri.User) > 0 && !g.isUs(string(uri.HostName()), uri.Port):
		return g.relayed(s, tx, p, from)
	}
	return g.aboutUs()
}

// relayed passes a request on that belongs to no call, or says why not.
func (g *Gateway) relayed(s *ua.Shard, tx *ua.ServerTx, p *transport.Packet, from *peer.Peer) error {
	method := tx.Method()
	if !from.Relays(method) {
		return g.refused(p, from, relay.NotAllowed, notRelayed(method, from))
	}
	w, err := g.way(p, from, method, g.relay.Looped(s, p.Msg))
	if err != nil {
		return g.refused(p, from, reasonOf(w, err), err)
	}
	if cross.Unbacked(p.Msg, from) {
		w.Why += "; who it is from is what " + from.Name + " says: it has no asserts that would back it"
	}
	for _, to := range w.Targets {
		down, refusal := cross.Refers(p.Msg, from, to, w.secure, g.Place(from, p.Conn))
		if refusal != nil {
			return g.refused(p, from, relay.SIPS, refusal)
		}
		if down {
			w.Why += "; it refers to a sip: URI, and whether to follow is for who is referred to say (RFC 5630 §5.1.1.3)"
			break
		}
	}
	return g.relay.Start(s, relay.Request{
		Tx: tx, Packet: p, From: from, Targets: w.Targets, Secure: w.secure, SIPS: w.sips, Hops: w.hops, Why: w.Why,
	})
}

// notRelayed is the response to a request that the sender's profile does not let
// cross. NOTIFY and INFO belong into dialogs (RFC 6665 §4.1.3, RFC 6086 §4.2.2), and
// there is none.
func notRelayed(method sip.Method, from *peer.Peer) *sip.StatusError {
	e := &sip.StatusError{Code: 403, Err: fmt.Errorf("peer %s: its profile's relay does not have %s", from.Name, method)}
	if method == sip.NOTIFY || method == sip.INFO {
		e.Code = 481
	}
	return e
}

// refused records that a request is not relayed, and returns why.
func (g *Gateway) refused(p *transport.Packet, from *peer.Peer, why relay.Outcome, err error) error {
	g.relay.Refused(p, from, why, err)
	return err
}

// reasonOf names a refusal of way for the counters.
func reasonOf(w way, err error) relay.Outcome {
	status, _ := errors.AsType[*sip.StatusError](err)
	switch {
	case errors.Is(err, cross.ErrClaim):
		return relay.Unbacked
	case err == errStopping:
		return relay.Draining
	case status != nil && (status.Code == 482 || status.Code == 483):
		return relay.Hopless
	case w.Outcome == route.SIPSNotAllowed, w.Outcome == route.SIPSRequired:
		return relay.SIPS
	}
	return relay.NoRoute
}
