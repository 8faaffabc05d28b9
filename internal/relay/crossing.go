package relay

import (
	"errors"
	"fmt"
	"time"

	"github.com/sallyport-sip/sallyport/internal/callflow"
	"github.com/sallyport-sip/sallyport/internal/cross"
	"github.com/sallyport-sip/sallyport/internal/peer"
	"github.com/sallyport-sip/sallyport/sip"
	"github.com/sallyport-sip/sallyport/sip/dialog"
	"github.com/sallyport-sip/sallyport/sip/transaction"
	"github.com/sallyport-sip/sallyport/sip/transport"
	"github.com/sallyport-sip/sallyport/sip/ua"
)

// exchange is a request inside the dialogs of a subscription that crosses from one
// leg to the other. Owned by the shard.
type exchange struct {
	sub      *subscription
	from, to *leg
	method   sip.Method
	server   *ua.ServerTx

	bytes, branch []byte // of the request on the other leg
	large         bool   // they are too large for UDP
	again         int    // how often it was sent again, on another connection
	target        string // where the sender moves to when the request is accepted

	last  bool          // of a NOTIFY: the subscription ends with it
	span  time.Duration // of a NOTIFY: how long the subscription lasts; of a SUBSCRIBE: how long it shall
	final bool          // the sender has a final response, or never will
}

// cross passes a request on to the other leg.
func (b *subscription) cross(s *ua.Shard, l *leg, tx *ua.ServerTx, m *sip.Message) {
	to := b.near
	if l == b.near {
		to = b.far
	}
	if err := b.refusal(l, to, m); err != nil {
		b.engine.counts.add(tx.Method(), NoDialog)
		s.Reply(tx, err)
		return
	}
	x := &exchange{sub: b, from: l, to: to, method: tx.Method(), server: tx}
	x.target, _ = dialog.Target(m)
	switch x.method {
	case sip.NOTIFY:
		x.last, x.span = cross.Notice(m)
	case sip.SUBSCRIBE:
		x.span = cross.Lasting(m)
	}
	tx.User = x
	b.passing++
	b.engine.open.Add(1)
	x.build(s, m)
	x.send(s)
}

// allowed is what crosses in the dialogs of a subscription.
const allowed = "Allow: SUBSCRIBE, NOTIFY, MESSAGE, OPTIONS"

// refusal says why a request does not cross, nil when it does.
func (b *subscription) refusal(from, to *leg, m *sip.Message) *sip.StatusError {
	if n, ok := m.MaxForwards(); ok && n == 0 {
		return &sip.StatusError{Code: 483}
	}
	switch m.Method() {
	case sip.SUBSCRIBE:
		if from != b.near {
			return &sip.StatusError{Code: 481}
		}
		if !b.matches(m, b.nearID) {
			// "If a notifier receives a SUBSCRIBE request for a new subscription on an
			// existing dialog, it MAY ... respond to the SUBSCRIBE request with a 403
			// (Forbidden) response." (RFC 6665 §4.5.2)
			return &sip.StatusError{Code: 403, Err: errors.New("one more subscription in the same dialog")}
		}
	case sip.NOTIFY:
		if from != b.far || !b.matches(m, firstCSeq) {
			return &sip.StatusError{Code: 481}
		}
	case sip.MESSAGE, sip.OPTIONS:
	default:
		return &sip.StatusError{Code: 405, Header: allowed}
	}
	switch {
	case to == nil || to.dialog == nil:
		return &sip.StatusError{Code: 481}
	case b.passing >= maxPassing:
		return cross.Later()
	}
	return nil
}

// build writes the request of the other leg.
func (x *exchange) build(s *ua.Shard, m *sip.Message) {
	l := x.to
	l.Settle(x.sub.engine.ways)
	var fields []byte
	if x.sub.refer && x.method == sip.NOTIFY {
		fields = cross.ReferEvent(m, x.sub.nearID)
	} else if x.sub.refer {
		fields = cross.ReferEvent(m, firstCSeq)
	}
	hops := 69
	if n, ok := m.MaxForwards(); ok {
		hops = n - 1
	}
	var b sip.Builder
	b.Reset(make([]byte, 0, len(m.Bytes())+768))
	l.dialog.Start(&b, x.method)
	x.branch = s.NewBranch()
	l.Place.Via(&b, x.branch)
	b.HeaderInt("Max-Forwards", int64(hops))
	l.dialog.Headers(&b, x.method, l.dialog.NextSeq())
	if dialog.Refreshes(x.method) {
		l.Place.Contact(&b, l.Secure || l.dialog.SIPS())
	}
	b.Raw(fields)
	var but []sip.HeaderID
	if fields != nil {
		but = append(but, sip.HdrEvent)
	}
	cross.Headers(&b, m, l.across(x.from), but...)
	x.bytes = b.Finish(m.Body())
}

func (x *exchange) send(s *ua.Shard) {
	x.to.Reach(s, x.sub.engine.ways, x.to.dialog, func(s *ua.Shard, flow ua.Flow, err error) {
		if err != nil {
			x.sub.engine.record(callflow.TargetFailed, x.to, 503, err.Error())
			x.done(s, 503, nil)
			return
		}
		x.fit(s, flow)
	})
}

// fit sends the request, over TCP when it is too large for UDP.
func (x *exchange) fit(s *ua.Shard, flow ua.Flow) {
	leave := func(s *ua.Shard, on ua.Flow, b []byte) { s.Request(on, x.method, x.branch, b, x) }
	if x.large = peer.TooLarge(flow, x.bytes); x.large {
		x.sub.engine.ways.Fit(s, x.to.Peer, flow, x.bytes, leave)
		return
	}
	leave(s, flow, x.bytes)
}

// Response makes the exchange a ua.ClientUser.
func (x *exchange) Response(s *ua.Shard, _ *ua.ClientTx, m *sip.Message) {
	if code := m.StatusCode(); code >= 200 {
		x.done(s, code, m)
	}
}

// ClientDone makes the exchange a ua.ClientUser.
func (x *exchange) ClientDone(s *ua.Shard, tx *ua.ClientTx, err error) {
	switch {
	case err == nil:
	case x.again < cross.Resends && cross.Lost(tx, err):
		x.again++
		if x.large && tx.Flow().Conn.Transport() == transport.TCP {
			x.sub.engine.ways.Unfit(s, x.to.Peer, err)
		}
		x.send(s)
	case errors.Is(err, transaction.ErrTimeout):
		x.sub.engine.record(callflow.TimedOut, x.to, 0, fmt.Sprintf("no answer to %s: %v", x.method, err))
		x.done(s, 408, nil)
	default:
		x.sub.engine.record(callflow.TargetFailed, x.to, 503, err.Error())
		x.done(s, 503, nil)
	}
}

// done ends the exchange with the final response of the other leg, or with a code
// that stands for none: 408 when it said nothing, which is not passed on, or 503.
func (x *exchange) done(s *ua.Shard, code int, m *sip.Message) {
	b := x.sub
	b.passing--
	if code < 300 {
		if x.target != "" {
			x.from.dialog.Target = x.target
		}
		// That of the 2xx; one that is no target, or too long, is as good as none.
		if target, _ := dialog.Target(m); target != "" && x.to.fault(m) == nil && text(x.to.dialog)-len(x.to.dialog.Target)+len(target) <= maxText {
			x.to.dialog.Target = target
		}
	}
	switch {
	case x.final:
	case m != nil:
		x.pass(s, m)
	case code == 503:
		s.Reply(x.server, &sip.StatusError{Code: 503})
		x.close(Unreachable)
	default:
		x.close(Unanswered) // RFC 4320 §4.2
	}
	if b.state != terminated {
		x.settle(s, code, m)
	}
}

// settle draws from a final response what it means for the subscription.
func (x *exchange) settle(s *ua.Shard, code int, m *sip.Message) {
	b := x.sub
	switch {
	case x.method == sip.NOTIFY && x.last:
		b.over(s, "the notifier has ended it")
	case x.method == sip.NOTIFY && code < 300:
		b.notified(s, x.span)
	case x.method == sip.SUBSCRIBE && code < 300:
		b.asked = x.span
		b.renewed(s, m)
	case x.method == sip.SUBSCRIBE && code == 408:
		// "... the original subscription is still considered valid for the duration of
		// the most recently known "Expires" value" (RFC 6665 §4.1.2.2).
	case subscribing(x.method) && dialog.EffectOf(code) != dialog.EndsTransaction:
		b.over(s, fmt.Sprintf("%s answered %s with %d", x.to.Peer.Name, x.method, code))
	}
}

// subscribing says whether a method is of the subscription itself.
func subscribing(method sip.Method) bool { return method == sip.SUBSCRIBE || method == sip.NOTIFY }

// pass sends a final response on to the sender.
func (x *exchange) pass(s *ua.Shard, m *sip.Message) {
	code, reason, outcome := m.StatusCode(), string(m.Reason()), Rejected
	switch {
	case code < 300:
		outcome = Delivered
	case code < 400: // not followed, and no reason to end the subscription either
		code, reason = 500, ""
	case code == 401 || code == 407:
		code, reason = 403, ""
	case code == 408:
		code, reason = 504, "" // RFC 4320 §4.2
	}
	l := x.from
	var b sip.Builder
	x.server.Response(&b, code, reason, nil, len(m.Bytes()))
	if dialog.Refreshes(x.method) && code < 300 {
		l.Place.Contact(&b, l.Secure)
	}
	cross.Headers(&b, m, l.across(x.to))
	s.Respond(x.server, code, b.Finish(m.Body()))
	x.close(outcome)
}

// close notes that the sender has its final response, or never will.
func (x *exchange) close(o Outcome) {
	x.final = true
	x.sub.engine.open.Add(-1)
	x.sub.engine.counts.add(x.method, o)
}

// MayCancel makes the exchange a ua.ServerUser.
func (x *exchange) MayCancel(*ua.Shard, *ua.ServerTx, *transport.Packet) bool { return false }

// Cancelled makes the exchange a ua.ServerUser.
func (x *exchange) Cancelled(*ua.Shard, *ua.ServerTx, *transport.Packet) {}

// ServerDone makes the exchange a ua.ServerUser: after 64*T1 nobody waits for an
// answer any more.
func (x *exchange) ServerDone(_ *ua.Shard, _ *ua.ServerTx, err error) {
	if !x.final && errors.Is(err, transaction.ErrTimeout) {
		x.close(Unanswered)
	}
}
