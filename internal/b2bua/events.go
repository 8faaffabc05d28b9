package b2bua

import (
	"errors"

	"github.com/sallyport-sip/sallyport/internal/events"
	"github.com/sallyport-sip/sallyport/internal/peer"
	"github.com/sallyport-sip/sallyport/internal/trust"
	"github.com/sallyport-sip/sallyport/sip"
)

// What applications are told of a call (docs/reference/events.md). Each event is put together in one value of the shard's
// and copied by who takes it, so that telling costs no memory of its own.

// event begins an event of a call. It is valid until the shard begins another.
func (c *Call) event(t events.Type) *events.Event {
	f, e := c.facts, &c.calls.event
	*e = events.Event{Type: t, At: c.calls.shard.Now()}
	e.Call = events.Call{
		ID: f.id, Number: c.Number, Session: f.session, From: c.in.Peer.Name, Caller: f.caller, Called: f.called, Route: f.route, CallID: c.in.callID,
	}
	if h := c.in.hop; h != nil && h.link != nil {
		e.Call.Connection = h.link.id
	}
	if c.out != nil {
		e.Call.To, e.Call.OutCallID = c.out.Peer.Name, c.out.callID
	}
	return e
}

func (c *Call) emit(e *events.Event) { c.engine.ways.Emit(e) }

// tellRouted says which target is asked.
func (c *Call) tellRouted(to *peer.Peer) {
	e := c.event(events.CallRouted)
	e.Call.To, e.Call.OutCallID = to.Name, ""
	c.emit(e)
}

// tellFailed says that a target has failed, or one of its addresses.
func (c *Call) tellFailed(l *Leg, cause *sip.StatusError, text string) {
	f := &events.Failure{Code: cause.Code, Text: text, Hop: "out", Peer: l.Peer.Name, Address: l.hop.remote}
	if k := l.hop.link; k != nil {
		f.Address = k.remote
	}
	f.TLS, f.Remedy = reasonOfTLS(cause.Err)
	c.facts.failed = f
	e := c.event(events.CallTargetFailed)
	e.Call.To, e.Call.OutCallID, e.Failure = l.Peer.Name, l.callID, *f
	c.emit(e)
}

// reasonOfTLS is the code of the reason why TLS failed, and what to do; empty when it did not.
func reasonOfTLS(err error) (code, remedy string) {
	if err == nil {
		return "", ""
	}
	if r, ok := errors.AsType[*trust.Refusal](err); ok {
		return string(r.Code), r.Remedy
	}
	return string(trust.CodeOf(err)), ""
}

// tellProgress says that a provisional response went to the caller: each code once for each target.
func (a *attempt) tellProgress(code int) {
	if code <= 100 || code > 199 {
		return
	}
	i := code - 100
	if bit := uint64(1) << (i % 64); a.told[i/64]&bit != 0 {
		return
	} else {
		a.told[i/64] |= bit
	}
	c, t := a.setup.call, events.CallProgress
	if code == 180 {
		t = events.CallRinging
	}
	e := c.event(t)
	e.Status = code
	c.emit(e)
}

// tellAnswered says that the 2xx went to the caller.
func (c *Call) tellAnswered(code int) {
	e := c.event(events.CallAnswered)
	e.Status = code
	e.End.Setup = c.facts.answered.Sub(c.facts.began)
	e.End.Verdict, _ = c.judge()
	c.emit(e)
}

// tellUnacknowledged says that no ACK comes.
func (c *Call) tellUnacknowledged(l *Leg, text, remedy string) {
	if c.facts == nil || c.facts.over {
		return
	}
	e := c.event(events.AckMissing)
	e.Failure = events.Failure{Text: text, Remedy: remedy, Hop: "out", Peer: l.Peer.Name}
	if !l.out {
		e.Failure.Hop = "in"
	}
	c.emit(e)
}

// tellEnded says how a call ended. by is the leg whose side ended it, nil when that was the gateway; status the final
// response to the INVITE.
func (c *Call) tellEnded(by *Leg, status int, reason, why, verdict string) {
	f, cause := c.facts, q850(reason)
	e := c.event(events.CallEnded)
	e.At = c.calls.shard.Now()
	e.End = events.End{By: sideOf(by), Q850: cause, Reason: reason, Text: why, Verdict: verdict}
	switch {
	case !f.answered.IsZero():
		e.End.Setup, e.End.Duration = f.answered.Sub(f.began), e.At.Sub(f.answered)
	case by != nil && by == c.in:
		e.Type = events.CallCancelled
	default:
		e.Type = unsuccessful(status, cause, c.in.hop.to180 != 0)
		if f.failed != nil {
			e.Failure = *f.failed
		}
		if by != nil {
			e.Failure = events.Failure{Hop: "out", Peer: by.Peer.Name}
			if k := by.hop.link; k != nil {
				e.Failure.Address = k.remote
			}
		}
		e.Failure.Code, e.Failure.Q850, e.Failure.Reason, e.Failure.Text = status, cause, reason, why
	}
	c.emit(e)
}

// sideOf is the word for who ended a call.
func sideOf(by *Leg) string {
	switch {
	case by == nil:
		return "gateway"
	case by.out:
		return "callee"
	}
	return "caller"
}

// unsuccessful is the type of the end of a call that nobody answered. Cause 17 of Q.850 is "user busy", 18 "no user
// responding", 19 "no answer from user (user alerted)".
func unsuccessful(status, q850 int, rang bool) events.Type {
	switch {
	case status == 486 || status == 600 || q850 == 17:
		return events.CallBusy
	case q850 == 18 || q850 == 19, rang && (status == 408 || status == 480 || status == 504):
		return events.CallNoAnswer
	}
	return events.CallFailed
}

// tellTurned says that a peer is asked again, or not for a while.
func (e *Engine) tellTurned(p *peer.Peer, up bool, why string) {
	e.ways.Emit(events.Turned(p.Name, up, why))
}
