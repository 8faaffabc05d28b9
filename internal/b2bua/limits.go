package b2bua

import (
	"fmt"

	"github.com/sallyport-sip/sallyport/internal/config"
	"github.com/sallyport-sip/sallyport/internal/peer"
	"github.com/sallyport-sip/sallyport/sip"
	"github.com/sallyport-sip/sallyport/sip/ua"
)

// admit counts a call on a target's load. false means that the target is full,
// and u.cause says so.
func (u *setup) admit(s *ua.Shard, p *peer.Peer) bool {
	lim := &p.Limits
	over := p.State.Out.Begin(s.Now(), lim.CallsOut, lim.RateOut)
	switch over {
	case peer.Within:
		u.call.facts.loaded = p
		return true
	case peer.TooMany:
		u.cause = above(p, u.call.in.place, "no target has room for another call",
			fmt.Errorf("peer %s: its limit calls_out, %d, is reached", p.Name, lim.CallsOut))
	case peer.TooFast:
		u.cause = above(p, u.call.in.place, "no target takes more calls in this second",
			fmt.Errorf("peer %s: its limit rate_out, %d a second, is reached", p.Name, lim.RateOut))
	}
	return false
}

// welcome counts a call on its caller's load, or refuses it.
func (e *Engine) welcome(s *ua.Shard, inv Invite) *sip.StatusError {
	p, lim := inv.From, &inv.From.Limits
	switch p.State.In.Begin(s.Now(), lim.CallsIn, lim.RateIn) {
	case peer.TooMany:
		return above(p, e.ways.Place(p, inv.Packet.Conn), "too many calls at once",
			fmt.Errorf("peer %s: its limit calls_in, %d, is reached", p.Name, lim.CallsIn))
	case peer.TooFast:
		return above(p, e.ways.Place(p, inv.Packet.Conn), "too many calls in this second",
			fmt.Errorf("peer %s: its limit rate_in, %d a second, is reached", p.Name, lim.RateIn))
	}
	return nil
}

// above is the refusal of a call above a limit of a peer. The caller hears in a
// Warning what is the matter (RFC 3261 §20.43), and no name or number.
func above(p *peer.Peer, place peer.Place, warning string, why error) *sip.StatusError {
	code := int(p.Limits.RefuseWith)
	if code == 0 {
		code = int(config.RefuseUnavailable)
	}
	return &sip.StatusError{Code: code, Header: fmt.Sprintf("Warning: 399 %s %q", place.HostPort, warning), Err: why}
}

// unload takes the call off the load of a target that was not answered.
func (c *Call) unload(p *peer.Peer) {
	if c.facts.loaded == p {
		c.facts.loaded = nil
		p.State.Out.Done(false)
	}
}

// leave takes the call off the load of both peers.
func (c *Call) leave() {
	answered := !c.facts.answered.IsZero()
	c.in.peer.State.In.Done(answered)
	if c.facts.loaded != nil {
		c.facts.loaded.State.Out.Done(answered)
		c.facts.loaded = nil
	}
}
