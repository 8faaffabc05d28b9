package b2bua

import (
	"fmt"
	"strings"
	"time"

	"github.com/sallyport-sip/sallyport/internal/callflow"
	"github.com/sallyport-sip/sallyport/internal/cross"
	"github.com/sallyport-sip/sallyport/internal/peer"
	"github.com/sallyport-sip/sallyport/internal/redact"
	"github.com/sallyport-sip/sallyport/internal/trust"
	"github.com/sallyport-sip/sallyport/sip"
	"github.com/sallyport-sip/sallyport/sip/ua"
)

// What makes the gateway go on to the next target, and what it believes of the
// one that failed.
//
// RFC 3263 §4.3 names three failures that another server may make good: the
// transport failed, nothing came in time, and 503. Two responses say the same of
// a hop further on, 408 and 504, and so the next target is asked after them too;
// the one that gave them is well. A 500 is the word of whoever was called, which
// a second target would only repeat; it and all other responses cross, 6xx above
// all: that is for all targets (RFC 3261 §21.6).
//
// A target that could not be reached, that was silent, or that answered 503 is
// down: for its profile's down_for, or as long as the 503 says. Where its name has
// several addresses that is true of the address, and the next one is asked first, as
// a leg of its own; the target is down when the last one has failed. The targets of a
// call are asked in the order of the route: first those that are up, or whose
// time is over. When none of them takes the call, those that are down are asked
// all the same, in the same order: better to try than to refuse.

// passesOn says whether a response to the INVITE is worth another target.
func passesOn(code int) bool { return code == 503 || code == 408 || code == 504 }

// tryNext reaches for the next target, or tells the caller why there is none.
func (u *setup) tryNext(s *ua.Shard) {
	u.attempt = nil
	to, passed := u.pick(s)
	if passed != "" {
		u.call.record(callflow.Noted, u.call.in, 0, strings.TrimPrefix(passed, "; "))
	}
	u.try(s, to)
}

// try asks a target.
func (u *setup) try(s *ua.Shard, to *peer.Peer) {
	if to == nil {
		u.fail(s)
		return
	}
	u.asked++
	u.call.tellRouted(to)
	u.attempt = &attempt{setup: u, to: to}
	u.attempt.begin(s, func(s *ua.Shard, done peer.Connected) { u.call.engine.ways.Connect(s, to, done) })
}

// failure is what was wrong with an address of a target.
type failure struct {
	cause *sip.StatusError
	class peer.Class
	until time.Time // the target is down until then if no other address is better; zero: it is well
	why   string
}

// exhausted goes on to the next target when a name turned out to have no further
// address.
func (u *setup) exhausted(s *ua.Shard, a *attempt) {
	a.quit = true
	s.Stop(&a.timer)
	if f := a.before; !f.until.IsZero() && a.to.State.Failed(a.began, s.Now(), f.until, f.why) {
		u.call.record(callflow.Noted, u.call.out, 0, fmt.Sprintf("%s is down: %s", a.to.Name, f.why))
		u.call.engine.log.Warn("peer is down", "peer", a.to.Name, "cause", f.why)
		u.call.engine.tellTurned(a.to, false, f.why)
	}
	u.call.unload(a.to, a.before.class)
	u.tryNext(s)
}

// pick chooses the next target, nil when there is none, and says which ones it
// passes over and why. It counts the call on the target's load.
func (u *setup) pick(s *ua.Shard) (to *peer.Peer, passed string) {
	now := s.Now()
	for u.next < len(u.targets) {
		p := u.targets[u.next]
		u.next++
		switch {
		case !p.State.Ready(now):
			u.spared = append(u.spared, p)
			passed += passedOver(p, downFor(p, now))
		case !u.admit(s, p):
			passed += passedOver(p, u.cause.Err.Error())
		case !p.State.Ask(now, p.DownFor): // another call tries it just now
			u.call.facts.loaded = nil
			p.State.Out.Undo(p.Limits.RateOut)
			u.spared = append(u.spared, p)
			passed += passedOver(p, downFor(p, now))
		default:
			return p, passed
		}
	}
	for len(u.spared) > 0 {
		p := u.spared[0]
		u.spared = u.spared[1:]
		u.last = true
		if u.admit(s, p) {
			return p, passed + "; " + p.Name + " is asked all the same: no other target is left"
		}
		passed += passedOver(p, u.cause.Err.Error())
	}
	return nil, passed
}

func passedOver(p *peer.Peer, why string) string { return "; " + p.Name + " is passed over: " + why }

// downFor says why a peer is down and for how long.
func downFor(p *peer.Peer, now time.Time) string {
	d := p.State.Down()
	if d == nil {
		return "it was down until now"
	}
	return fmt.Sprintf("down for another %v, %s", d.Until.Sub(now).Round(time.Millisecond), d.Why)
}

// left says whether there is a target that was not asked yet.
func (u *setup) left() bool { return u.next < len(u.targets) || len(u.spared) > 0 }

// more says whether there is a target that is as good as the one under way, so
// that its silence is not worth waiting for.
func (u *setup) more(now time.Time) bool {
	for _, p := range u.targets[u.next:] {
		if p.State.Ready(now) {
			return true
		}
	}
	return u.last && len(u.spared) > 0
}

// lost gives a target up, or an address of it, and goes on to the next.
func (u *setup) lost(s *ua.Shard, l *Leg, cause *sip.StatusError) {
	c := u.call
	u.cause = cause
	reason := cause.Error()
	if cause.Err != nil {
		reason = cause.Err.Error()
	}
	a := u.attempt
	a.quit = true
	s.Stop(&a.timer)
	l.hop.text, l.hop.reason = reason, string(trust.CodeOfHop(cause.Err))
	c.facts.given = append(c.facts.given, *l.hop)
	c.record(callflow.TargetFailed, l, cause.Code, reason)
	c.tellFailed(l, cause, reason)
	c.engine.log.Warn("target failed", "call", c.Number, "peer", l.Peer.Name, "address", a.at, "status", cause.Code, "cause", reason)
	l.forget()
	for _, f := range l.forks {
		if f.joined != nil {
			f.joined.joined = nil // its early dialogs are over (RFC 3261 §12.3)
		}
	}
	if a.next != nil { // the same call at the same target, so its load stays
		u.attempt = &attempt{setup: u, to: a.to, before: &failure{cause: cause, class: l.hop.class(cause), until: a.until, why: reason}}
		u.attempt.begin(s, a.next)
		return
	}
	c.unload(l.Peer, l.hop.class(cause))
	u.tryNext(s)
}

// class is how a target failed: 503 is the gateway's own word for one that it cannot reach.
func (h *hop) class(cause *sip.StatusError) peer.Class {
	if h.code == 0 && cause.Code == 503 {
		return peer.Unreachable
	}
	return peer.ClassOf(cause.Code)
}

// unreachable gives up a target that took no INVITE, or has gone with it.
func (a *attempt) unreachable(s *ua.Shard, err error) {
	if a.leg == nil {
		a.leg = a.setup.call.newTarget(s, a.to, ua.Flow{}, a.setup.secure)
		a.leg.hop.on(a.setup.call.calls, ua.Flow{Addr: a.at})
	}
	if cross.Ours(err) {
		a.next = nil
	} else {
		a.down(s, s.Now().Add(a.to.DownFor), err.Error())
	}
	if a.rang { // it may do so still
		a.cancel = reasonFor(503)
		a.sendCancel(s)
	}
	a.setup.lost(s, a.leg, &sip.StatusError{Code: 503, Header: a.setup.warning(err), Err: err})
}

// warning is the Warning for a next hop with which TLS failed (RFC 3261 §20.43), empty for any other error. It says why in the public
// words of the reason, without a name of anybody. There is no Reason header: RFC 3326 §2 allows it only where the status code says so.
func (u *setup) warning(err error) string {
	code := trust.CodeOf(err)
	if code == "" {
		return ""
	}
	return fmt.Sprintf("Warning: 399 %s %q", u.call.in.Place.HostPort, "no TLS with the next hop: "+trust.Public(code))
}

// silent gives up a target of which nothing was heard. No CANCEL may go before
// its first provisional response (RFC 3261 §9.1): it goes when one comes.
func (a *attempt) silent(s *ua.Shard, err error) {
	a.cancel = reasonFor(408)
	a.down(s, s.Now().Add(a.to.DownFor), err.Error())
	a.setup.lost(s, a.leg, &sip.StatusError{Code: 408, Err: err})
}

// unanswered gives up a target that rang, or said at least that it tries.
func (a *attempt) unanswered(s *ua.Shard, err error) {
	if a.leg == nil {
		a.unreachable(s, err)
		return
	}
	a.cancel, a.next = reasonFor(408), nil // whoever is called would ring again
	a.sendCancel(s)
	a.setup.lost(s, a.leg, &sip.StatusError{Code: 408, Err: err})
}

// busy takes note of a 503: the target is not asked for as long as it says
// (RFC 3261 §20.33), at most cross.MaxRetryAfter; else for its profile's down_for.
func (a *attempt) busy(s *ua.Shard, m *sip.Message) {
	span, why := a.to.DownFor, "answered 503 "+redact.Text(string(m.Reason()))
	if after, ok := cross.RetryAfter(m); ok {
		span = min(after, cross.MaxRetryAfter)
		why += fmt.Sprintf(", retry after %v", after)
	}
	a.down(s, s.Now().Add(span), why)
}

// down notes that the target is not to be asked for a time, or where it has
// further addresses that it is not to be asked at this one.
func (a *attempt) down(s *ua.Shard, until time.Time, why string) {
	a.until = until
	if a.named() && a.to.State.FailedAt(a.at, s.Now(), until) && a.next != nil {
		a.news(fmt.Sprintf("is down at %v", a.at), why)
	}
	if a.next != nil {
		return
	}
	if a.to.State.Failed(a.began, s.Now(), until, why) {
		a.news("is down", why)
		a.setup.call.engine.tellTurned(a.to, false, why)
	}
}

// judge notes that the target is well: it answered, and not with a 503. A 100
// may come from one that will say 503 next.
func (a *attempt) judge(s *ua.Shard, code int) {
	if code <= 100 || code == 503 {
		return
	}
	if a.to.State.AnsweredAt(a.at) && a.to.State.Up() {
		a.news(fmt.Sprintf("is up again at %v", a.at), fmt.Sprintf("it answered %d", code))
	}
	if a.to.State.Answered(a.began, s.Now()) {
		why := fmt.Sprintf("it answered %d", code)
		a.news("is up again", why)
		a.setup.call.engine.tellTurned(a.to, true, why)
	}
}

// news tells of a change of the target's health.
func (a *attempt) news(what, why string) {
	c := a.setup.call
	c.record(callflow.Noted, a.leg, 0, fmt.Sprintf("%s %s: %s", a.to.Name, what, why))
	c.engine.log.Warn("peer "+what, "peer", a.to.Name, "cause", why)
}
