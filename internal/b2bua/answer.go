package b2bua

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/sallyport-sip/sallyport/internal/callflow"
	"github.com/sallyport-sip/sallyport/internal/cross"
	"github.com/sallyport-sip/sallyport/sip"
	"github.com/sallyport-sip/sallyport/sip/transaction"
	"github.com/sallyport-sip/sallyport/sip/ua"
)

// answer is an INVITE that was answered with a 2xx, from then until its
// transactions are over: the 2xx is sent again on one leg until the ACK comes
// (RFC 6026 §7.1), and the ACK goes on to the other leg, again for each 2xx
// that comes again there. Owned by the shard.
type answer struct {
	call   *Call
	near   *fork // where the INVITE came from
	far    *fork // where it went to
	server *ua.ServerTx

	nearSeq, farSeq uint32

	ok       []byte // the 2xx on the near leg
	code     int
	timer    transaction.Timer
	interval time.Duration
	lasts    time.Time // when it is given up
	acked    bool      // the near leg's ACK came, or is not waited for any more
	waits    *ackWait  // once something had to be sent again; see ackwatch.go
	ack      []byte    // the ACK on the far leg, once it was sent
	bye      *parting  // the BYE on the near leg that waits for its ACK
}

// begin sends the 2xx to the near leg and waits for its ACK.
func (n *answer) begin(s *ua.Shard) {
	cfg := s.Server().Timers
	n.interval = cfg.T1
	n.lasts = s.Now().Add(64 * cfg.T1)
	n.timer.Owner = n
	n.timer.Fire = func(owner any, _ time.Time) { owner.(*answer).resend(s) }
	s.Respond(n.server, n.code, n.ok)
	s.Schedule(&n.timer, n.interval)
}

// resend sends the 2xx again: "The 2xx response is passed to the transport with
// an interval that starts at T1 seconds and doubles for each retransmission
// until it reaches T2 seconds" (RFC 3261 §13.3.1.4), on any transport.
func (n *answer) resend(s *ua.Shard) {
	if !s.Now().Before(n.lasts) {
		n.unacknowledged(s)
		return
	}
	n.missed()
	n.repeat(s)
	n.interval = min(2*n.interval, s.Server().Timers.T2)
	n.warn(s)
	s.Schedule(&n.timer, min(n.interval, n.lasts.Sub(s.Now())))
}

// unacknowledged ends a call whose 2xx got no ACK: "If the server retransmits
// the 2xx response for 64*T1 seconds without receiving an ACK, the dialog is
// confirmed, but the session SHOULD be terminated" (RFC 3261 §13.3.1.4).
func (n *answer) unacknowledged(s *ua.Shard) {
	cause := n.cause()
	n.call.record(callflow.TimedOut, n.near.leg, 0, "no ACK to the 2xx in "+callflow.Span(n.since(s)))
	n.settled(s)
	n.acknowledge(s, nil)
	n.call.engine.log.Warn("no ACK came to a 2xx: the call is ended", n.words(&cause)...)
	n.call.endFor(s, nil, 408, cause.Sentence(n.near.leg.Peer.Name))
}

// acknowledged deals with the ACK to a 2xx.
func (c *Call) acknowledged(s *ua.Shard, f *fork, m *sip.Message) {
	cseq, err := m.CSeq()
	if err != nil {
		return
	}
	for _, n := range c.answers {
		if n.near == f && n.nearSeq == cseq.Seq && !n.acked {
			n.acknowledge(s, m)
			n.settled(s)
			return
		}
	}
	c.calls.refused(f.leg.callID, "its CSeq number is "+strconv.FormatUint(uint64(cseq.Seq), 10)+", which is no INVITE's that waits for one")
}

// settled notes that the near leg's ACK is not waited for any more, and sends
// the BYE that was.
func (n *answer) settled(s *ua.Shard) {
	s.Stop(&n.timer)
	n.found()
	n.acked, n.ok = true, nil
	if p := n.bye; p != nil {
		n.bye = nil
		n.call.waiting--
		n.call.sayBye(s, n.near, *p)
	}
}

// acknowledge sends the ACK on to the far leg, once. m is the near leg's, nil
// when there is none: the far leg gets one all the same, so that it stops
// sending its 2xx.
func (n *answer) acknowledge(s *ua.Shard, m *sip.Message) {
	if n.ack == nil {
		ack, _ := n.far.request(s, draft{method: sip.ACK, seq: n.farSeq, across: m})
		n.far.transmit(s, ack)
		n.ack = bytes.Clone(ack) // without the room behind it: it is kept for 64*T1
		n.far.offering = false   // its offer in the 2xx, if it made one
	}
}

// transmit sends an ACK in a dialog.
func (f *fork) transmit(s *ua.Shard, ack []byte) {
	f.leg.reach(s, f, func(s *ua.Shard, flow ua.Flow, err error) {
		if err == nil {
			s.Transmit(flow, ack)
		}
	})
}

// again deals with a 2xx that came once more, to an INVITE of ours in a dialog:
// it gets its ACK once more, if there is one yet, and a new one when nobody
// remembers the answer.
func (c *Call) again(s *ua.Shard, far *fork, seq uint32) {
	for _, n := range c.answers {
		if n.far == far && n.farSeq == seq {
			if n.ack != nil {
				far.transmit(s, n.ack)
				n.inVain()
			}
			return
		}
	}
	ack, _ := far.request(s, draft{method: sip.ACK, seq: seq})
	far.transmit(s, ack)
}

// dropAnswer forgets the answer to an INVITE whose 2xx will not come again. One
// that still waits for an ACK stays until then.
func (c *Call) dropAnswer(far *fork, seq uint32) {
	c.answers = slices.DeleteFunc(c.answers, func(n *answer) bool {
		return n.far == far && n.farSeq == seq && n.acked
	})
}

// answered deals with a 2xx to the INVITE of an attempt. The first one makes
// the call; the others are of dialogs that nobody wants.
func (a *attempt) answered(s *ua.Shard, m *sip.Message) {
	u, c := a.setup, a.setup.call
	if u.final || u.attempt != a || u.held != nil {
		a.leg.accepted(s, m, a.cancel)
		return
	}
	f := u.fork(s, a, m)
	if f == nil {
		a.leg.accepted(s, m, reasonFor(502))
		cause := &sip.StatusError{Code: 502, Err: errNoDialog}
		if fault := a.leg.fault(m); fault != nil {
			cause = cross.NotAllowed(c.in.Place, fmt.Errorf("it answered %d, and %w", m.StatusCode(), fault))
		}
		u.lost(s, a.leg, cause)
		return
	}
	if f.left {
		// One side has ended this dialog meanwhile, and the 2xx has ended the others:
		// who forked the INVITE cancels them.
		a.leg.accepted(s, m, a.cancel)
		u.desert(s, a.leg, "")
		return
	}
	cseq, _ := u.invite.CSeq()
	n := &answer{
		call: c, near: f.joined, far: f, server: u.server,
		nearSeq: cseq.Seq, farSeq: inviteCSeq, code: m.StatusCode(),
	}
	var b sip.Builder
	u.server.Response(&b, m.StatusCode(), string(m.Reason()), []byte(f.joined.dialog.ID.LocalTag), roomFor(m))
	c.in.dialogHeaders(&b, u.invite)
	cross.Headers(&b, m, c.in.across(a.leg))
	f.spoke()
	n.ok = b.Finish(m.Body())
	f.joined.responded(sip.INVITE, m)
	u.hold(s, n, m)
}
