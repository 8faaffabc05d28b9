package b2bua

import (
	"github.com/sallyport-sip/sallyport/internal/callflow"
	"github.com/sallyport-sip/sallyport/sip"
	"github.com/sallyport-sip/sallyport/sip/transport"
	"github.com/sallyport-sip/sallyport/sip/ua"
)

// MayCancel makes the setup a ua.ServerUser: a CANCEL counts only when it comes
// from the leg's peer.
func (u *setup) MayCancel(_ *ua.Shard, _ *ua.ServerTx, p *transport.Packet) bool {
	return u.call.in.is(p)
}

// is says whether a packet comes from the leg's peer.
func (l *Leg) is(p *transport.Packet) bool {
	return l.call.engine.ways.From(l.Peer, p)
}

// Cancelled makes the setup a ua.ServerUser: the caller gives up.
func (u *setup) Cancelled(s *ua.Shard, _ *ua.ServerTx, p *transport.Packet) {
	c := u.call
	if u.final {
		return // it crossed our final response, which stands (RFC 3261 §9.2)
	}
	c.record(callflow.Noted, c.in, 0, "the caller gave up")
	c.ended(c.in, 487, reasonOf(p.Msg), "the caller gave up")
	u.abandon(s, reasonOf(p.Msg))
	u.refuse(s, &sip.StatusError{Code: 487})
}

// desert ends a call whose last early dialog one side has left with a BYE.
func (u *setup) desert(s *ua.Shard, by *Leg, reason string) {
	code, why := 487, "the caller ended the early dialog"
	if by.out {
		code, why = 480, "the callee ended its early dialog"
	}
	u.call.record(callflow.Noted, by, 0, why)
	u.call.ended(by, code, reason, why)
	u.abandon(s, reason)
	u.refuse(s, &sip.StatusError{Code: code})
}

// abandon stops the attempt under way. reason is the value of the Reason header
// that the target's CANCEL or BYE carries, if any (RFC 3326).
func (u *setup) abandon(s *ua.Shard, reason string) {
	a := u.attempt
	if a == nil {
		return
	}
	a.quit, a.cancel = true, reason
	a.sendCancel(s)
}

// sendCancel sends the CANCEL of an attempt, once, and not before its first
// provisional response: "If no provisional response has been received, the
// CANCEL request MUST NOT be sent" (RFC 3261 §9.1). A 2xx that comes instead
// gets ACK and BYE.
func (a *attempt) sendCancel(s *ua.Shard) {
	if a.sent || !a.rang || a.bytes == nil {
		return
	}
	a.sent = true
	w := &farewell{call: a.leg.call, leg: a.leg, flow: a.flow, bytes: cancelOf(a.bytes, a.cancel), branch: a.branch}
	w.cancel(s, a.tx)
}

// cancel sends the CANCEL of an INVITE. tx is the INVITE's transaction, nil when
// that is over.
func (w *farewell) cancel(s *ua.Shard, tx *ua.ClientTx) {
	w.method = sip.CANCEL
	w.call.waiting++
	w.send(s)
	if tx != nil {
		s.CancelSent(tx)
	}
}

// cancelOf writes the CANCEL of an INVITE: "The Request-URI, Call-ID, To, the
// numeric part of CSeq, and From header fields in the CANCEL request MUST be
// identical to those in the request being cancelled, including tags", so are its
// topmost Via and its Routes (RFC 3261 §9.1).
func cancelOf(invite []byte, reason string) []byte {
	m, err := sip.Parse(invite)
	if err != nil {
		panic("b2bua: an INVITE of ours cannot be read: " + err.Error())
	}
	defer m.Release()
	b := newBuilder(512)
	b.Request(sip.CANCEL, m.RequestURI())
	for f := range m.Fields() {
		switch f.ID {
		case sip.HdrVia, sip.HdrRoute, sip.HdrFrom, sip.HdrTo, sip.HdrCallID, sip.HdrSessionID:
			b.Field(f)
		}
	}
	b.HeaderInt("Max-Forwards", 70)
	cseq, _ := m.CSeq()
	b.CSeq(cseq.Seq, sip.CANCEL)
	if reason != "" {
		b.Header("Reason", reason)
	}
	return b.Finish(nil)
}
