package b2bua

import (
	"time"

	"github.com/sallyport-sip/sallyport/internal/callflow"
	"github.com/sallyport-sip/sallyport/sip"
	"github.com/sallyport-sip/sallyport/sip/transaction"
	"github.com/sallyport-sip/sallyport/sip/transport"
	"github.com/sallyport-sip/sallyport/sip/ua"
)

// An INVITE of ours can lose its transaction while its target goes on: the
// connection died while it rang, or nothing was heard in time. What the target says
// then, by another connection or late, belongs to no transaction. It is found by
// the From tag that we gave and by the Call-ID, for as long as a 2xx is sent again
// (64*T1, RFC 3261 §13.3.1.4): nobody is left ringing, and nobody talks to nobody.

// astray is an attempt without a transaction and without a final response.
type astray struct {
	*attempt
	timer transaction.Timer
}

// maxAstray is how many of them a shard remembers; further ones are forgotten at
// once.
const maxAstray = 4096

// strays remembers the attempt for what may still come.
func (a *attempt) strays(s *ua.Shard) {
	c := a.leg.call.calls
	if len(c.astray) >= maxAstray {
		return
	}
	e := &astray{attempt: a}
	e.timer.Owner = e
	e.timer.Fire = func(owner any, _ time.Time) { delete(c.astray, owner.(*astray).leg.localTag) }
	c.astray[a.leg.localTag] = e
	s.Schedule(&e.timer, 64*s.Server().Timers.T1)
}

// returns ends that: the INVITE has a transaction again.
func (a *attempt) returns(s *ua.Shard) {
	c := a.leg.call.calls
	if e := c.astray[a.leg.localTag]; e != nil {
		s.Stop(&e.timer)
		delete(c.astray, a.leg.localTag)
	}
}

// Stray deals with a 1xx or 2xx to an INVITE of ours whose transaction is gone. It
// says whether it was one of ours.
func (e *Engine) Stray(s *ua.Shard, p *transport.Packet) bool {
	from, err := p.Msg.From()
	if err != nil {
		return false
	}
	tag, c := from.Tag(), e.shards[s.Index()]
	l, a := c.tags[string(tag)], c.astray[string(tag)]
	if a != nil {
		l = a.leg
	}
	if l == nil || string(p.Msg.CallID()) != l.callID || !l.is(p) {
		return false
	}
	cseq, err := p.Msg.CSeq()
	switch {
	case err != nil:
		return false
	case !l.out || cseq.Seq != inviteCSeq:
		return l.strayInside(s, p.Msg, cseq.Seq)
	case a != nil:
		l.follow(s, p)
		a.stray(s, p.Msg)
	case p.Msg.StatusCode() >= 200:
		l.accepted(s, p.Msg, "")
	}
	return true
}

// strayInside is a response to an INVITE inside a dialog.
func (l *Leg) strayInside(s *ua.Shard, m *sip.Message, seq uint32) bool {
	from, _ := m.From()
	to, err := m.To()
	if err != nil {
		return false
	}
	f := l.fork(from.Tag(), to.Tag())
	if f != nil && m.StatusCode() >= 200 {
		l.call.again(s, f, seq)
	}
	return f != nil
}

// stray is a response of the target to an INVITE without a transaction. When a new
// connection is being made for it that is not needed any more; when the target was
// given up it has to hear of it.
func (a *attempt) stray(s *ua.Shard, m *sip.Message) {
	if a.setup.attempt == a && !a.quit && !a.setup.final {
		a.Response(s, nil, m)
		return
	}
	if m.StatusCode() < 200 {
		a.rang = true
		a.sendCancel(s)
		return
	}
	if a.bytes != nil { // the first one
		a.bytes = nil
		a.leg.call.record(callflow.Noted, a.leg, m.StatusCode(), a.to.Name+" answered when nobody waited for it any more")
	}
	a.leg.accepted(s, m, a.cancel)
}

// accepted acknowledges a 2xx to the leg's INVITE. That of any dialog but the
// call's is of one that nobody wants: it gets its ACK each time that it comes, and a
// BYE once (RFC 3261 §13.2.2.4).
func (l *Leg) accepted(s *ua.Shard, m *sip.Message, reason string) {
	to, err := m.To()
	if err != nil {
		return
	}
	if w := l.winner; w != nil && string(to.Tag()) == w.dialog.ID.RemoteTag {
		l.call.again(s, w, inviteCSeq)
		return
	}
	f := l.unwanted(m)
	if f == nil {
		return
	}
	l.call.again(s, f, inviteCSeq)
	if !f.left {
		l.call.sayBye(s, f, parting{reason: reason})
	}
}
