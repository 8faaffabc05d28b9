package b2bua

import (
	"fmt"

	"github.com/sallyport-sip/sallyport/internal/cross"
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
		u.cause = cross.Above(p, u.call.in.Place, "no target has room for another call",
			fmt.Errorf("peer %s: its limit calls_out, %d, is reached", p.Name, lim.CallsOut))
	case peer.TooFast:
		u.cause = cross.Above(p, u.call.in.Place, "no target takes more calls in this second",
			fmt.Errorf("peer %s: its limit rate_out, %d a second, is reached", p.Name, lim.RateOut))
	}
	return false
}

// welcome counts a call on its caller's load, or refuses it.
func (e *Engine) welcome(s *ua.Shard, inv Invite) *sip.StatusError {
	p, lim := inv.From, &inv.From.Limits
	switch p.State.In.Begin(s.Now(), lim.CallsIn, lim.RateIn) {
	case peer.TooMany:
		return cross.Above(p, e.ways.Place(p, inv.Packet.Conn), "too many calls at once",
			fmt.Errorf("peer %s: its limit calls_in, %d, is reached", p.Name, lim.CallsIn))
	case peer.TooFast:
		return cross.Above(p, e.ways.Place(p, inv.Packet.Conn), "too many calls in this second",
			fmt.Errorf("peer %s: its limit rate_in, %d a second, is reached", p.Name, lim.RateIn))
	}
	return nil
}

// unload takes the call off the load of a target that was not answered.
func (c *Call) unload(p *peer.Peer, how peer.Class) {
	if c.facts.loaded == p {
		c.facts.loaded = nil
		p.State.Out.Failed(how)
	}
}

// leave takes the call off the load of both peers. by is the leg whose side ended it, status the final response to the caller.
func (c *Call) leave(by *Leg, status int) {
	answered := !c.facts.answered.IsZero()
	how := peer.ClassOf(status)
	if by == c.in {
		how = peer.Cancelled
	}
	done := func(l *peer.Load) {
		if answered {
			l.Done()
		} else {
			l.Failed(how)
		}
	}
	done(&c.in.Peer.State.In)
	if c.facts.loaded != nil {
		done(&c.facts.loaded.State.Out)
		c.facts.loaded = nil
	}
	c.engine.times.observe(c, answered, how)
}
