package b2bua

import (
	"errors"
	"slices"

	"github.com/sallyport-sip/sallyport/internal/callflow"
	"github.com/sallyport-sip/sallyport/sip"
	"github.com/sallyport-sip/sallyport/sip/ua"
)

var errNoDialog = errors.New("its 2xx has no To tag or no Contact that could be used")

// bye is a BYE from one leg: it is answered at once, and the other leg gets one.
func (c *Call) bye(s *ua.Shard, f *fork, tx *ua.ServerTx, m *sip.Message) {
	s.Reply(tx, &sip.StatusError{Code: 200})
	f.left = true // also if early: its 2xx may have been overtaken
	reason := string(m.First(sip.HdrReason))
	switch {
	case c.state == over:
		c.spare(s, f)
	case c.state == answered:
		if f == c.in.winner || f == c.out.winner {
			c.hangUp(s, f, reason, "BYE from "+f.leg.peer.Name)
		}
	case f.leg == c.in:
		// The caller ends an early dialog (RFC 3261 §15): as good as a CANCEL.
		c.record(callflow.Noted, c.in, 0, "the caller ended the early dialog")
		c.ended(c.in, 487, reason, "the caller ended the early dialog")
		c.setup.abandon(s, reason)
		c.setup.refuse(s, &sip.StatusError{Code: 487})
	}
	// The callee "MUST NOT send a BYE on early dialogs" (RFC 3261 §15): the INVITE
	// of one that does still needs a final response.
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

// end ends an answered call or gives one up that is not, for a reason of ours.
// left is the dialog that needs no BYE, if any.
func (c *Call) end(s *ua.Shard, left *fork, why string) {
	switch c.state {
	case trying:
		c.record(callflow.Noted, c.in, 0, why)
		c.ended(nil, 503, "", why)
		c.setup.abandon(s, "")
		c.setup.refuse(s, &sip.StatusError{Code: 503, Header: "Retry-After: 10"})
	case answered:
		if left != nil {
			left.left = true
		}
		c.hangUp(s, nil, "", why)
	}
}

// hangUp sends BYE to each leg of an answered call that has not left by itself,
// and gives up what still crosses between them.
func (c *Call) hangUp(s *ua.Shard, by *fork, reason, why string) {
	c.state = over
	leg := c.in
	if by != nil {
		leg = by.leg
		c.ended(leg, 200, reason, why)
	} else {
		c.ended(nil, 200, reason, why)
	}
	c.record(callflow.Noted, leg, 0, why)
	for len(c.passing) > 0 {
		x := c.passing[0]
		if x.method == sip.INVITE {
			x.fail(s, 487)
		} else {
			x.fail(s, 481)
		}
	}
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
			n.bye = &reason
			c.waiting++
		}
	}
	for _, f := range [...]*fork{c.in.winner, c.out.winner} {
		if !f.left {
			c.sayBye(s, f, reason)
		}
	}
	c.finish()
}

// sayBye sends a BYE, with the Reason of the other leg's if that had one
// (RFC 3326).
func (c *Call) sayBye(s *ua.Shard, f *fork, reason string) {
	f.left = true
	var extra func(*sip.Builder)
	if reason != "" {
		extra = func(b *sip.Builder) { b.Header("Reason", reason) }
	}
	w := &bye{farewell: farewell{call: c}, fork: f}
	w.bytes, w.branch = f.request(s, sip.BYE, f.dialog.NextSeq(), nil, extra)
	c.waiting++
	w.send(s)
}

// bye is a BYE of ours.
type bye struct {
	farewell
	fork          *fork
	bytes, branch []byte
	repeated      bool
}

func (w *bye) send(s *ua.Shard) {
	w.fork.leg.reach(s, w.fork, func(s *ua.Shard, flow ua.Flow, err error) {
		if err != nil {
			w.call.record(callflow.TargetFailed, w.fork.leg, 503, "BYE not sent: "+err.Error())
			w.call.engine.log.Warn("BYE not sent: the call ends at our side only", "call", w.call.Number, "peer", w.fork.leg.peer.Name, "cause", err)
			w.farewell.ClientDone(s, nil, err)
			return
		}
		s.Request(flow, sip.BYE, w.branch, w.bytes, w)
	})
}

// ClientDone makes the BYE a ua.ClientUser.
func (w *bye) ClientDone(s *ua.Shard, tx *ua.ClientTx, err error) {
	if !w.over && !w.repeated && w.fork.leg.lost(err) {
		w.repeated = true
		w.send(s)
		return
	}
	w.farewell.ClientDone(s, tx, err)
}

// farewell waits for the final response to a BYE or CANCEL, whatever it is.
type farewell struct {
	call *Call
	over bool
}

// Response makes the farewell a ua.ClientUser.
func (w *farewell) Response(s *ua.Shard, tx *ua.ClientTx, m *sip.Message) {
	if m.StatusCode() >= 200 {
		w.ClientDone(s, tx, nil)
	}
}

// ClientDone makes the farewell a ua.ClientUser.
func (w *farewell) ClientDone(*ua.Shard, *ua.ClientTx, error) {
	if !w.over {
		w.over = true
		w.call.waiting--
		w.call.finish()
	}
}
