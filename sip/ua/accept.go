package ua

import (
	"time"

	"github.com/sallyport-sip/sallyport/sip"
	"github.com/sallyport-sip/sallyport/sip/transaction"
)

// accept is a 2xx of ours to an INVITE or re-INVITE that waits for its ACK. It
// is sent again "with an interval that starts at T1 seconds and doubles for
// each retransmission until it reaches T2 seconds", on every transport, because
// a hop behind the first may be unreliable (RFC 3261 §13.3.1.4). Owned by the
// shard.
type accept struct {
	call     *Call
	shard    *Shard
	tx       *ServerTx
	response []byte
	seq      uint32 // CSeq of the INVITE, and of its ACK
	timer    transaction.Timer
	interval time.Duration
	left     time.Duration // until 64*T1 have passed
	then     func(*Shard)  // what waits for the ACK
}

// accepted notes that an INVITE was answered with response.
func (c *Call) accepted(s *Shard, r *Request, response []byte) {
	c.dialog.Confirm()
	if c.state == early {
		c.state = unacknowledged
	}
	c.register(s)
	cseq, _ := r.Msg.CSeq()
	a := &accept{
		call: c, shard: s, tx: r.tx, response: response, seq: cseq.Seq,
		interval: c.ss.srv.Timers.T1, left: 64 * c.ss.srv.Timers.T1,
	}
	a.timer.Owner, a.timer.Fire = a, sendAgain
	c.accepts = append(c.accepts, a)
	a.wait()
}

func (a *accept) wait() {
	a.shard.Schedule(&a.timer, min(a.interval, a.left))
}

func sendAgain(owner any, _ time.Time) {
	a := owner.(*accept)
	s := a.shard
	a.left -= min(a.interval, a.left)
	if a.left == 0 {
		a.call.abandon(s)
		return
	}
	a.interval = min(2*a.interval, a.call.ss.srv.Timers.T2)
	s.Respond(a.tx, 200, a.response)
	a.wait()
}

// ackReceived ends the retransmissions of one 2xx. Further ACKs, to each copy
// of it, mean nothing.
func (c *Call) ackReceived(s *Shard, m *sip.Message) {
	cseq, _ := m.CSeq()
	for i, a := range c.accepts {
		if a.seq != cseq.Seq {
			continue
		}
		s.Stop(&a.timer)
		c.accepts = append(c.accepts[:i], c.accepts[i+1:]...)
		c.confirm(m)
		if a.then != nil && len(c.accepts) == 0 {
			a.then(s)
		}
		return
	}
}

// abandon ends a call whose 2xx got no ACK: "the dialog is confirmed, but the
// session SHOULD be terminated. This is accomplished with a BYE."
func (c *Call) abandon(s *Shard) {
	for _, a := range c.accepts {
		s.Stop(&a.timer)
	}
	c.accepts = nil
	c.byeErr = ErrNoAck
	c.state = leaving
	c.sayBye(s, &extras{}, ErrNoAck)
}
