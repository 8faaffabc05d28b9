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
	return l.call.engine.ways.From(l.peer, p)
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
	if a.sent || !a.rang || a.leg.winner != nil {
		return
	}
	a.sent = true
	l := a.leg
	b := newBuilder(512)
	b.Request(sip.CANCEL, []byte(l.uac.RequestURI))
	l.place.via(&b, a.branch)
	b.HeaderInt("Max-Forwards", 70)
	l.identify(&b, sip.CANCEL)
	if a.cancel != "" {
		b.Header("Reason", a.cancel)
	}
	l.call.waiting++
	w := &withdrawal{farewell: farewell{call: l.call}, leg: l, flow: l.flow, bytes: b.Finish(nil), branch: a.branch}
	w.send(s)
	if a.tx != nil {
		s.CancelSent(a.tx)
	}
}

// withdrawal is a CANCEL of ours. When its connection goes it is sent again on
// another: the target may be ringing still, and knows the INVITE by its branch
// wherever the CANCEL comes from (RFC 3261 §9.2).
type withdrawal struct {
	farewell
	leg           *Leg
	flow          ua.Flow // that of the INVITE: "to the same destination" (RFC 3261 §9.1)
	bytes, branch []byte
	again         int
}

func (w *withdrawal) send(s *ua.Shard) {
	if w.flow.Conn.Alive() {
		s.Request(w.flow, sip.CANCEL, w.branch, w.bytes, w)
		return
	}
	w.leg.reach(s, nil, func(s *ua.Shard, flow ua.Flow, err error) {
		if err != nil {
			w.call.record(callflow.TargetFailed, w.leg, 503, "CANCEL not sent: "+err.Error())
			w.farewell.ClientDone(s, nil, err)
			return
		}
		s.Request(flow, sip.CANCEL, w.branch, w.bytes, w)
	})
}

// ClientDone makes the CANCEL a ua.ClientUser.
func (w *withdrawal) ClientDone(s *ua.Shard, tx *ua.ClientTx, err error) {
	if !w.over && w.again < resends && w.leg.lost(err) {
		w.again++
		w.flow = w.leg.flow
		w.send(s)
		return
	}
	w.farewell.ClientDone(s, tx, err)
}
