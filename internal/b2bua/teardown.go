package b2bua

import (
	"errors"
	"slices"

	"github.com/sallyport-sip/sallyport/internal/callflow"
	"github.com/sallyport-sip/sallyport/sip"
	"github.com/sallyport-sip/sallyport/sip/ua"
)

var errNoDialog = errors.New("its 2xx has no To tag or no Contact that could be used")

// parting is what a BYE of ours says besides its dialog: what crosses of the
// other leg's, or why the gateway ends the call.
type parting struct {
	across *sip.Message // the other leg's BYE; nil when there was none
	reason string       // the value of Reason, empty when there is none (RFC 3326)
}

func partingOf(m *sip.Message) parting { return parting{m, reasonOf(m)} }

// kept is the parting for a BYE that is sent later.
func (p parting) kept() *parting {
	if p.across != nil {
		p.across = p.across.Clone()
	}
	return &p
}

// bye is a BYE from one leg: it is answered at once, and the other leg gets one.
func (c *Call) bye(s *ua.Shard, f *fork, tx *ua.ServerTx, m *sip.Message) {
	s.Reply(tx, &sip.StatusError{Code: 200})
	again := f.left
	f.left = true
	switch {
	case c.state == over:
		c.spare(s, f)
	case again:
	case c.state == answered:
		if f == c.in.winner || f == c.out.winner {
			c.hangUp(s, f, partingOf(m), "BYE from "+f.leg.Peer.Name)
		}
	case c.setup.holds(f):
		c.setup.leave(s, f, m)
	default:
		c.early(s, f, m)
	}
}

// early is a BYE on an early dialog. The caller may end one of several so: then
// that fork alone is told, and the others go on ringing. With the last one the
// call is over: as good as a CANCEL (RFC 3261 §15). The callee "MUST NOT send a
// BYE on early dialogs"; of one that does no answer is waited for, and its INVITE
// is cancelled.
func (c *Call) early(s *ua.Shard, f *fork, m *sip.Message) {
	far := f.partner()
	if far == nil {
		return // it was over already
	}
	switch {
	case !c.setup.attempt.ringing(f):
		c.setup.desert(s, f.leg, reasonOf(m))
	case f.leg == c.in:
		c.record(callflow.Noted, c.in, 0, "the caller ended one of several early dialogs")
		c.sayBye(s, far, partingOf(m))
	default:
		far.left = true
	}
}

// ringing says whether the attempt has an early dialog but that of f.
func (a *attempt) ringing(f *fork) bool {
	for _, g := range a.leg.forks {
		if g != f && g.joined != f && !g.left {
			return true
		}
	}
	return false
}

// spare takes back the BYE that waits for the ACK of a side which has sent its
// own instead.
func (c *Call) spare(s *ua.Shard, f *fork) {
	for _, n := range c.answers {
		if n.near == f && n.bye != nil {
			n.bye = nil
			c.waiting--
			n.settled(s)
		}
	}
	c.finish()
}

// end ends an answered call, or gives one up that is not, because the gateway
// has to.
func (c *Call) end(s *ua.Shard, left *fork, why string) { c.endFor(s, left, 503, why) }

// endFor ends an answered call or gives one up that is not, for a reason of ours
// that status names. left is the dialog that needs no BYE, if any.
func (c *Call) endFor(s *ua.Shard, left *fork, status int, why string) {
	reason := reasonFor(status)
	switch c.state {
	case trying:
		c.record(callflow.Noted, c.in, 0, why)
		c.ended(nil, 503, reason, why)
		c.setup.abandon(s, reason)
		c.setup.refuse(s, &sip.StatusError{Code: 503, Header: "Retry-After: 10"})
	case answered:
		if left != nil {
			left.left = true
		}
		c.hangUp(s, nil, parting{reason: reason}, why)
	}
}

// hangUp sends BYE to each leg of an answered call that has not left by itself,
// and gives up what still crosses between them.
func (c *Call) hangUp(s *ua.Shard, by *fork, p parting, why string) {
	c.state = over
	leg := c.in
	if by != nil {
		leg = by.leg
		c.ended(leg, 200, p.reason, why)
	} else {
		c.ended(nil, 200, p.reason, why)
	}
	c.record(callflow.Noted, leg, 0, why)
	c.interrupt(s)
	for _, n := range slices.Clone(c.answers) {
		n.acknowledge(s, nil)
		switch {
		case n.acked:
		case n.near.left:
			n.settled(s)
		default:
			// "... the callee's UA MUST NOT send a BYE on a confirmed dialog until it has
			// received an ACK for its 2xx response or until the server transaction times
			// out" (RFC 3261 §15).
			n.near.left = true
			n.bye = p.kept()
			c.waiting++
		}
	}
	for _, f := range [...]*fork{c.in.winner, c.out.winner} {
		if !f.left {
			c.sayBye(s, f, p)
		}
	}
	c.finish()
}

// interrupt answers what still crosses when the session ends: "The UAS MUST still
// respond to any pending requests received for that dialog. It is RECOMMENDED
// that a 487 (Request Terminated) response be generated to those pending
// requests" (RFC 3261 §15.1.2). Requests of a subscription go on.
func (c *Call) interrupt(s *ua.Shard) {
	for _, x := range slices.Clone(c.passing) {
		switch x.method {
		case sip.REFER, sip.SUBSCRIBE, sip.NOTIFY:
		default:
			x.fail(s, 487)
		}
	}
}

// sayBye sends a BYE.
func (c *Call) sayBye(s *ua.Shard, f *fork, p parting) {
	f.left = true
	w := &farewell{call: c, leg: f.leg, fork: f, method: sip.BYE}
	d := draft{method: sip.BYE, seq: f.dialog.NextSeq(), across: p.across}
	if p.across == nil && p.reason != "" {
		d.fields = []byte("Reason: " + p.reason + "\r\n")
	}
	w.bytes, w.branch = f.request(s, d)
	c.waiting++
	w.send(s)
}
