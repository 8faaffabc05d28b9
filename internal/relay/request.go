package relay

import (
	"errors"
	"fmt"
	"strings"

	"github.com/sallyport-sip/sallyport/internal/callflow"
	"github.com/sallyport-sip/sallyport/internal/cross"
	"github.com/sallyport-sip/sallyport/internal/peer"
	"github.com/sallyport-sip/sallyport/sip"
	"github.com/sallyport-sip/sallyport/sip/transaction"
	"github.com/sallyport-sip/sallyport/sip/transport"
	"github.com/sallyport-sip/sallyport/sip/ua"
)

// request is one request that crosses: the sender's server transaction, and one
// attempt after the other to find a target that answers. Owned by the shard.
//
// All attempts together have the 64*T1 of the sender's transaction (RFC 4321
// §1.2): when that is over nobody waits for an answer. Which failures lead on to
// the next target is as for calls: no connection, silence for the profile's
// response_timeout, 503, 408 and 504. A 100 is proof enough that somebody deals
// with the request, and ends the failover.
type request struct {
	engine *Engine
	home   *home
	number uint64
	server *ua.ServerTx
	method sip.Method
	msg    *sip.Message // the sender's, kept until nobody will see it any more
	in     *leg
	sub    *subscription // that it makes; nil when it makes none
	hops   int           // Max-Forwards for the next hop
	secure bool

	targets []*peer.Peer
	next    int
	spared  []*peer.Peer // targets passed over for being down, which are asked last
	asked   int
	attempt *attempt         // the one under way; nil after the last
	cause   *sip.StatusError // why the last target failed; nil while none did
	silent  bool             // and it said nothing at all
	final   bool             // the sender has a final response, or never will
}

// Start relays a request. The error refuses one that is above a limit of its
// sender.
func (e *Engine) Start(s *ua.Shard, q Request) error {
	if err := e.welcome(s, q); err != nil {
		e.Refused(q.Packet, q.From, Limited, err.Err)
		return err
	}
	r := &request{
		engine: e, home: e.shards[s.Index()], number: e.ways.NextNumber(),
		server: q.Tx, method: q.Tx.Method(), msg: q.Packet.Msg.Clone(),
		hops: q.Hops, secure: q.Secure, targets: q.Targets,
	}
	r.in = &leg{
		Hop: cross.Hop{
			Peer: q.From, Secure: q.SIPS, Place: e.ways.Place(q.From, q.Packet.Conn),
			Flow: ua.Flow{Conn: q.Packet.Conn, Addr: q.Packet.Source},
		},
		number: r.number, callID: string(q.Packet.Msg.CallID()), tag: string(s.NewTag()),
	}
	if subscribes(r.method) {
		if err := r.subscribe(s, q.Packet.Conn.Transport().Secure()); err != nil {
			r.msg.Release()
			why := Limited
			if err.Code == 400 {
				why = Malformed
			}
			e.Refused(q.Packet, q.From, why, err)
			return err
		}
	}
	q.Tx.User, q.Tx.Tag = r, []byte(r.in.tag)
	e.open.Add(1)
	r.home.requests[r] = struct{}{}
	e.record(callflow.LegCreated, r.in, 0, fmt.Sprintf("%s from %s", r.method, q.From.Name))
	to, passed := r.pick(s)
	e.record(callflow.RouteDecided, r.in, 0, q.Why+passed)
	r.try(s, to)
	return nil
}

// welcome counts a request on the rate of its sender, or refuses it.
func (e *Engine) welcome(s *ua.Shard, q Request) *sip.StatusError {
	p, lim := q.From, &q.From.Limits
	if p.State.In.Pace(s.Now(), lim.RateIn) {
		return nil
	}
	return above(e.ways.Place(p, q.Packet.Conn), "too many requests in this second",
		fmt.Errorf("peer %s: its limit rate_in, %d a second, is reached", p.Name, lim.RateIn))
}

// above is the refusal of a request above a limit: 503 whatever refuse_with says,
// because nobody is busy.
func above(place peer.Place, warning string, why error) *sip.StatusError {
	return &sip.StatusError{Code: 503, Header: fmt.Sprintf("Warning: 399 %s %q", place.HostPort, warning), Err: why}
}

// tryNext reaches for the next target, or tells the sender why there is none.
func (r *request) tryNext(s *ua.Shard) {
	r.attempt = nil
	to, passed := r.pick(s)
	if passed != "" {
		r.engine.record(callflow.Noted, r.in, 0, strings.TrimPrefix(passed, "; "))
	}
	r.try(s, to)
}

// try asks a target.
func (r *request) try(s *ua.Shard, to *peer.Peer) {
	if to == nil {
		r.fail(s)
		return
	}
	r.asked++
	r.attempt = &attempt{request: r, to: to}
	r.attempt.begin(s, func(s *ua.Shard, done peer.Connected) { r.engine.ways.Connect(s, to, done) })
}

// pick chooses the next target, nil when there is none, and says which ones it
// passes over and why: those above their rate, and those that are down, which are
// asked when no other is left.
func (r *request) pick(s *ua.Shard) (to *peer.Peer, passed string) {
	now := s.Now()
	over := func(p *peer.Peer, why string) {
		passed += "; " + p.Name + " is passed over: " + why
	}
	for r.next < len(r.targets) {
		p := r.targets[r.next]
		r.next++
		switch {
		case !p.State.Ready(now):
			r.spared = append(r.spared, p)
			over(p, "it is down")
		case !r.admit(s, p):
			over(p, r.cause.Err.Error())
		case !p.State.Ask(now, p.DownFor):
			p.State.Out.Undo(p.Limits.RateOut)
			r.spared = append(r.spared, p)
			over(p, "it is down, and tried just now")
		default:
			return p, passed
		}
	}
	for len(r.spared) > 0 {
		p := r.spared[0]
		r.spared = r.spared[1:]
		if r.admit(s, p) {
			return p, passed + "; " + p.Name + " is asked all the same: no other target is left"
		}
		over(p, r.cause.Err.Error())
	}
	return nil, passed
}

// admit counts the request on the rate of a target.
func (r *request) admit(s *ua.Shard, p *peer.Peer) bool {
	if p.State.Out.Pace(s.Now(), p.Limits.RateOut) {
		return true
	}
	r.cause = above(r.in.Place, "no target takes more requests in this second",
		fmt.Errorf("peer %s: its limit rate_out, %d a second, is reached", p.Name, p.Limits.RateOut))
	return false
}

// left says whether there is a target that was not asked yet.
func (r *request) left() bool { return r.next < len(r.targets) || len(r.spared) > 0 }

// fail answers the sender after the last target has failed. "An element that can
// not respond before the transaction expires will not send a final response at
// all" (RFC 4320 §4.2): what the last one was silent to gets none from us; what still
// comes of it until then crosses.
func (r *request) fail(s *ua.Shard) {
	if r.cause == nil {
		r.cause = &sip.StatusError{Code: 480, Err: errors.New("no target is left")}
	}
	if r.silent {
		r.engine.record(callflow.Noted, r.in, 0, "nobody answered in time, so there is no answer of ours (RFC 4320 §4.2)")
		return
	}
	if r.cause.Code == 408 {
		r.cause = &sip.StatusError{Code: 504, Err: r.cause.Err} // as in pass
	}
	r.refuse(s, r.cause, Unreachable)
}

// refuse answers the sender with a final response of ours.
func (r *request) refuse(s *ua.Shard, e *sip.StatusError, o Outcome) {
	if r.final {
		return
	}
	s.Reply(r.server, &sip.StatusError{Code: e.Code, Reason: e.Reason, Header: e.Header})
	r.over(s, o)
}

// over ends the request: the sender has its final response, or gets none.
func (r *request) over(s *ua.Shard, o Outcome) {
	if r.final {
		return
	}
	r.final = true
	r.engine.open.Add(-1)
	r.engine.counts.add(r.method, o)
	delete(r.home.requests, r)
	if r.attempt != nil {
		r.attempt.giveUp(s)
		r.attempt = nil
	}
	if r.sub != nil {
		r.unsubscribed(s, o)
	}
	r.msg.Release()
	r.msg, r.targets, r.spared, r.cause = nil, nil, nil, nil
}

// pass sends a target's final response on to the sender. A challenge was meant
// for us: the sender has no account there. A redirection is not followed.
func (r *request) pass(s *ua.Shard, a *attempt, m *sip.Message) {
	code, reason, outcome := m.StatusCode(), string(m.Reason()), Rejected
	switch {
	case code < 300:
		outcome = Delivered
		if r.sub != nil && !r.subscribed(s, a, m) {
			return
		}
	case code == 401 || code == 407:
		r.engine.record(callflow.Noted, a.leg, code, fmt.Sprintf("%s asked for credentials with %d, and none are configured", a.to.Name, code))
		code, reason = 403, ""
	case code < 400:
		e := cross.Redirected(m, a.leg.Secure, r.in.Place)
		r.engine.record(callflow.Noted, a.leg, code, e.Err.Error())
		r.refuse(s, e, Rejected)
		return
	case code == 408:
		// "A transaction-stateful SIP element MUST NOT send a response with
		// Status-Code of 408 to a non-INVITE request." (RFC 4320 §4.2)
		code, reason = 504, ""
	}
	var b sip.Builder
	r.server.Response(&b, code, reason, []byte(r.in.tag), len(m.Bytes()))
	var but []sip.HeaderID
	if code == 503 {
		// Its Retry-After is about the target: a sender would hold it against us.
		but = append(but, sip.HdrRetryAfter)
	}
	if r.sub != nil && code < 300 {
		for f := range r.msg.Fields() {
			if f.ID == sip.HdrRecordRoute {
				b.HeaderBytes("Record-Route", f.Value)
			}
		}
		r.in.Place.Contact(&b, r.in.Secure)
	}
	cross.Headers(&b, m, r.in.across(a.leg), but...)
	s.Respond(r.server, code, b.Finish(m.Body()))
	r.over(s, outcome)
}

// subscribed takes a 2xx that makes a subscription. False: it makes none that could
// be used, and the sender has been told.
func (r *request) subscribed(s *ua.Shard, a *attempt, m *sip.Message) bool {
	if r.sub.state == terminated {
		return true // a NOTIFY has ended it before the 2xx came
	}
	if err := r.sub.accepted(s, m); err != nil {
		r.engine.record(callflow.Noted, a.leg, m.StatusCode(), err.Error())
		refusal := &sip.StatusError{Code: 502}
		if a.leg.fault(m) != nil {
			refusal = cross.NotAllowed(r.in.Place, err)
		}
		r.refuse(s, refusal, Rejected)
		return false
	}
	if r.method == sip.REFER && cross.NoSubscription(m) {
		r.sub.over(s, "the other side wants none (RFC 4488)")
	}
	return true
}

// unsubscribed ends the subscription of a request that was not accepted. When a
// NOTIFY came before it, and the answer never did, that was answer enough.
func (r *request) unsubscribed(s *ua.Shard, o Outcome) {
	b := r.sub
	b.request = nil
	known := b.far != nil && b.far.dialog != nil
	if o != Delivered && !(o == Unanswered && known) {
		b.over(s, "the "+string(r.method)+" was not accepted")
	}
}

// MayCancel makes the request a ua.ServerUser: only an INVITE is cancelled
// (RFC 3261 §9.1).
func (r *request) MayCancel(*ua.Shard, *ua.ServerTx, *transport.Packet) bool { return false }

// Cancelled makes the request a ua.ServerUser.
func (r *request) Cancelled(*ua.Shard, *ua.ServerTx, *transport.Packet) {}

// ServerDone makes the request a ua.ServerUser: when 64*T1 have passed nobody
// waits for an answer any more.
func (r *request) ServerDone(s *ua.Shard, _ *ua.ServerTx, err error) {
	if r.final || !errors.Is(err, transaction.ErrTimeout) {
		return
	}
	r.engine.record(callflow.TimedOut, r.in, 0, fmt.Sprintf("no answer in %v: the sender waits no longer", 64*s.Server().Timers.T1))
	r.over(s, Unanswered)
}
