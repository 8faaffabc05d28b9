package b2bua

import (
	"slices"

	"github.com/sallyport-sip/sallyport/internal/callflow"
	"github.com/sallyport-sip/sallyport/sip"
	"github.com/sallyport-sip/sallyport/sip/ua"
)

// The 2xx that makes a call is held until its record is on the disk, where the
// configuration asks for that; else it leaves at once. While it is held the
// caller still hears the call ring: it may give up, and so may the callee.

// hold keeps the answer of the target from the caller until the record is kept.
// m is the target's 2xx.
func (u *setup) hold(s *ua.Shard, n *answer, m *sip.Message) {
	c := u.call
	u.held = n
	c.answers = append(c.answers, n)
	c.out.winner = n.far
	c.facts.timed = m.Has(sip.HdrSessionExpires)
	c.taken(s, n.code, func(s *ua.Shard) {
		if u.held == n {
			u.held = nil
			u.connect(s, n)
		}
	})
}

// connect makes the call: the 2xx goes to the caller.
func (u *setup) connect(s *ua.Shard, n *answer) {
	c := u.call
	c.state = answered
	c.in.Peer.State.In.Answered()
	c.out.Peer.State.Out.Answered()
	n.near.dialog.Confirm()
	c.in.winner = n.near
	for _, lost := range c.in.forks {
		if lost != n.near {
			lost.joined = nil // what comes in it from now on gets 481
		}
	}
	u.final = true
	u.invite.Release()
	u.invite = nil
	n.begin(s)
	c.tellAnswered(n.code)
	c.watch(s)
}

// holds says whether the dialog is one of an answer that is held.
func (u *setup) holds(f *fork) bool { return u.held != nil && (f == u.held.near || f == u.held.far) }

// leave deals with a BYE in the dialogs of an answer that is held: the caller
// never hears of it.
func (u *setup) leave(s *ua.Shard, f *fork, m *sip.Message) {
	c, code, why := u.call, 487, "the caller ended the early dialog"
	if f.leg.out {
		code, why = 480, "the callee hung up before its answer was passed on"
	}
	c.record(callflow.Noted, f.leg, 0, why)
	c.ended(f.leg, code, reasonOf(m), why)
	u.drop(s, parting{across: m, reason: reasonOf(m)})
	u.refuse(s, &sip.StatusError{Code: code})
}

// drop gives up an answer that is held: the target gets its ACK, and a BYE.
func (u *setup) drop(s *ua.Shard, p parting) {
	n := u.held
	if n == nil {
		return
	}
	u.held = nil
	c := u.call
	n.acknowledge(s, nil)
	n.acked = true
	if !n.far.left {
		c.sayBye(s, n.far, p)
	}
	if u.attempt == nil || u.attempt.tx == nil { // its 2xx cannot come again
		c.answers = slices.DeleteFunc(c.answers, func(other *answer) bool { return other == n })
	}
}
