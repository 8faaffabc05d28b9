package relay

import (
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/sallyport-sip/sallyport/internal/callflow"
	"github.com/sallyport-sip/sallyport/internal/cross"
	"github.com/sallyport-sip/sallyport/internal/events"
	"github.com/sallyport-sip/sallyport/internal/peer"
	"github.com/sallyport-sip/sallyport/internal/redact"
	"github.com/sallyport-sip/sallyport/sip"
	"github.com/sallyport-sip/sallyport/sip/dialog"
	"github.com/sallyport-sip/sallyport/sip/resolve"
	"github.com/sallyport-sip/sallyport/sip/transaction"
	"github.com/sallyport-sip/sallyport/sip/transport"
	"github.com/sallyport-sip/sallyport/sip/ua"
)

// firstCSeq is the CSeq number of the request that opens a leg towards a target.
const firstCSeq = 1

// attempt is the try to reach one target at one of its addresses: a connection,
// and the request on it. Owned by the shard.
type attempt struct {
	request *request
	to      *peer.Peer
	at      netip.AddrPort // of its addresses; not valid while connecting
	leg     *leg
	next    peer.Next // to the target's next address; nil: none is left
	before  *failure  // at its last address; nil at the first
	until   time.Time // this address is down until then; zero: it is not
	branch  []byte
	bytes   []byte
	flow    ua.Flow      // that the request left on
	large   bool         // it is too large for UDP, and bytes is what would go by that
	tx      *ua.ClientTx // nil before, and when the transaction is over
	began   time.Time    // with the connecting
	timer   transaction.Timer
	heard   bool // a provisional response came
	again   bool // the request was sent once more, on a new connection
	silent  bool // nothing was heard of the target in time
	quit    bool // nobody waits for this attempt any more, unless it brings a 2xx
}

// failure is what was wrong with an address of a target.
type failure struct {
	until time.Time // the target is down until then if no other address is better; zero: it is well
	why   string
}

// begin reaches for the target, and sets the time within which something has to be
// heard. connect leads to it: to its first address, or to the next.
func (a *attempt) begin(s *ua.Shard, connect peer.Next) {
	r := a.request
	a.began = s.Now()
	a.leg = &leg{
		Hop:    cross.Hop{Peer: a.to, Secure: a.to.Scheme(r.secure) == "sips"},
		number: r.number, out: true, callID: string(s.NewCallID()), tag: string(s.NewTag()),
	}
	a.timer.Owner = a
	a.timer.Fire = func(owner any, _ time.Time) { owner.(*attempt).expire(s) }
	s.Schedule(&a.timer, a.to.ResponseTimeout)
	connect(s, a.connected)
}

// connected is a peer.Connected.
func (a *attempt) connected(s *ua.Shard, flow ua.Flow, next peer.Next, err error) {
	if a.quit {
		return
	}
	a.at, a.next = flow.Addr, next
	switch {
	case err != nil && a.before != nil && errors.Is(err, resolve.ErrEnd):
		a.exhausted(s)
		return
	case err != nil:
		a.unreachable(s, err)
		return
	}
	r := a.request
	if a.leg.Secure && !flow.Conn.Transport().Secure() {
		a.unreachable(s, cross.ErrPlain)
		return
	}
	a.leg.Flow = flow
	a.leg.Place = r.engine.ways.Place(a.to, flow.Conn)
	a.leg.Place.Keep = false // nobody here would hear the promise, which only calls ask for (RFC 6223 §4.2)
	r.home.legs[a.leg.tag] = a.leg
	r.engine.record(callflow.LegCreated, a.leg, 0, fmt.Sprintf("target %d of %d: %s", r.asked, len(r.targets), a.name()))
	a.branch = s.NewBranch()
	a.bytes = a.build()
	if r.sub != nil && r.sub.state != terminated {
		r.sub.toward(s, a.leg)
	}
	a.send(s, flow)
}

// send sends the request, over TCP when it is too large for UDP.
func (a *attempt) send(s *ua.Shard, flow ua.Flow) {
	leave := func(s *ua.Shard, on ua.Flow, b []byte) {
		if !a.quit && !a.request.final {
			a.flow = on
			a.tx = s.Request(on, a.request.method, a.branch, b, a)
		}
	}
	if a.large = peer.TooLarge(flow, a.bytes); a.large {
		a.request.engine.ways.Fit(s, a.to, flow, a.bytes, leave)
		return
	}
	leave(s, flow, a.bytes)
}

// name is the target, with the address where a name has led to it.
func (a *attempt) name() string {
	if !a.to.Named || !a.at.IsValid() {
		return a.to.Name
	}
	return fmt.Sprintf("%s at %v", a.to.Name, a.at)
}

// build writes the request to the target.
func (a *attempt) build() []byte {
	r, l := a.request, a.leg
	ruri, _ := sip.ParseURI(r.msg.RequestURI())
	var b sip.Builder
	b.Reset(make([]byte, 0, len(r.msg.Bytes())+512))
	b.Request(r.method, []byte(cross.Target(a.to, l.Secure, ruri.User)))
	l.Place.Via(&b, a.branch)
	b.HeaderInt("Max-Forwards", int64(r.hops))
	from := cross.From(r.msg, l.Place, l.Secure)
	to := dialog.Party{URI: cross.URI(l.Secure, ruri.User, cross.Host(a.to.URI.Host))}
	if r.sub != nil {
		l.uac = &dialog.UAC{
			CallID: l.callID, LocalTag: l.tag, Local: from, Remote: to, Seq: firstCSeq,
			RequestURI: cross.Target(a.to, l.Secure, ruri.User), Secure: l.Secure,
		}
	}
	name := ""
	if from.Display != "" {
		name = from.Display + " "
	}
	b.Header("From", name, "<", from.URI, ">;tag=", l.tag)
	b.Header("To", "<", to.URI, ">")
	b.Header("Call-ID", l.callID)
	b.CSeq(firstCSeq, r.method)
	if dialog.Refreshes(r.method) {
		l.Place.Contact(&b, l.Secure)
	}
	cross.Headers(&b, r.msg, l.across(r.in))
	return b.Finish(r.msg.Body())
}

// expire gives up a target that has been silent for too long. The last one may be
// silent until the sender's transaction ends.
func (a *attempt) expire(s *ua.Shard) {
	if a.quit || a.heard || a.next == nil && !a.request.left() {
		return
	}
	if a.tx == nil {
		a.unreachable(s, fmt.Errorf("no connection within %v", a.to.ResponseTimeout))
		return
	}
	a.unanswered(s, fmt.Errorf("no response within %v", a.to.ResponseTimeout))
}

// giveUp ends the waiting for the attempt. What its transaction may still bring is
// looked at: a 2xx that comes before the next target's answer is as good.
func (a *attempt) giveUp(s *ua.Shard) {
	a.quit = true
	s.Stop(&a.timer)
	if a.tx == nil {
		a.forget()
	}
}

// forget lets go of the leg's tag, unless a subscription goes on with it.
func (a *attempt) forget() {
	if a.leg.sub == nil {
		delete(a.request.home.legs, a.leg.tag)
	}
}

// Response makes the attempt a ua.ClientUser.
func (a *attempt) Response(s *ua.Shard, _ *ua.ClientTx, m *sip.Message) {
	r, code := a.request, m.StatusCode()
	a.judge(s, code)
	switch {
	case code < 200:
		a.heard = true
	case r.final, a.quit && (r.sub != nil || code >= 300 && r.attempt != nil):
		// Late. Of a subscription that a given-up target made, the first NOTIFY gets
		// a 481, which ends it there.
	case !a.quit && passesOn(code) && (a.next != nil || r.left()):
		a.busy(s, m)
		a.lost(s, &sip.StatusError{Code: code, Reason: string(m.Reason()), Err: fmt.Errorf("answered %d %s", code, redact.Text(string(m.Reason())))})
	default:
		a.busy(s, m)
		r.pass(s, a, m)
	}
}

// passesOn says whether a final response is worth another target, as for calls.
func passesOn(code int) bool { return code == 503 || code == 408 || code == 504 }

// ClientDone makes the attempt a ua.ClientUser.
func (a *attempt) ClientDone(s *ua.Shard, _ *ua.ClientTx, err error) {
	a.tx = nil
	switch {
	case err == nil || a.quit || a.request.final:
		a.forget()
	case errors.Is(err, transaction.ErrTransport):
		a.cutOff(s, err)
	default: // timer F
		a.unanswered(s, err)
	}
}

// cutOff deals with a connection that ended under the request. When others had
// used it before, it may have ended just then in the ordinary way: the same request
// goes out once more, on a new connection. A TLS 1.3 server that has not sent a
// record yet has refused us: our certificate is judged after our first message was
// written.
func (a *attempt) cutOff(s *ua.Shard, err error) {
	conn := a.flow.Conn
	switch {
	case a.large && conn.Transport() == transport.TCP && !a.heard:
		a.request.engine.ways.Unfit(s, a.to, err)
		a.send(s, a.leg.Flow)
	case !conn.Confirmed():
		how := "without an alert"
		if name := transport.AlertName(err); name != "" {
			how = "with " + name
		}
		a.unreachable(s, fmt.Errorf("peer %s ended TLS before it had sent anything, %s: most likely it refused our certificate", a.to.Name, how))
	case !a.again && conn.Transport().Reliable() && conn.Opened().Before(a.began):
		a.again = true
		a.reconnect(s)
	default:
		a.unreachable(s, err)
	}
}

// reconnect sends the request once more, on a new connection to where it was sent.
func (a *attempt) reconnect(s *ua.Shard) {
	a.request.engine.ways.Return(s, a.to, a.leg.Flow, func(s *ua.Shard, flow ua.Flow, _ peer.Next, err error) {
		switch {
		case a.quit:
		case err != nil:
			a.unreachable(s, err)
		default:
			a.leg.Flow = flow
			a.send(s, flow)
		}
	})
}

// unreachable gives up a target that took no request.
func (a *attempt) unreachable(s *ua.Shard, err error) {
	if cross.Ours(err) {
		a.next = nil
	} else {
		a.down(s, s.Now().Add(a.to.DownFor), err.Error())
	}
	a.lost(s, &sip.StatusError{Code: 503, Err: err})
}

// unanswered gives up a target of which nothing was heard. It is not believed to
// be down for that: it may have had no answer itself, and then may not say so
// (RFC 4320 §4.2).
func (a *attempt) unanswered(s *ua.Shard, err error) {
	a.silent = true
	a.lost(s, &sip.StatusError{Code: 408, Err: err})
}

// lost goes on to the target's next address, or to the next target.
func (a *attempt) lost(s *ua.Shard, cause *sip.StatusError) {
	r, reason := a.request, cause.Err.Error()
	r.cause, r.silent = cause, a.silent
	if r.sub != nil {
		r.sub.leave(a.leg)
	}
	a.giveUp(s)
	r.engine.record(callflow.TargetFailed, a.leg, cause.Code, reason)
	r.engine.log.Warn("target failed", "method", r.method, "flow", r.number, "peer", a.to.Name, "address", a.at, "status", cause.Code, "cause", reason)
	if a.next == nil {
		r.tryNext(s)
		return
	}
	r.attempt = &attempt{request: r, to: a.to, before: &failure{until: a.until, why: reason}}
	r.attempt.begin(s, a.next)
}

// exhausted goes on to the next target when a name turned out to have no further
// address.
func (a *attempt) exhausted(s *ua.Shard) {
	a.giveUp(s)
	if f := a.before; !f.until.IsZero() && a.to.State.Failed(a.began, s.Now(), f.until, f.why) {
		a.news("is down", f.why)
		a.request.engine.ways.Emit(events.Turned(a.to.Name, false, f.why))
	}
	a.request.tryNext(s)
}

// busy takes note of a 503: the target is not asked for as long as it says
// (RFC 3261 §20.33), or for its profile's down_for.
func (a *attempt) busy(s *ua.Shard, m *sip.Message) {
	if m.StatusCode() != 503 {
		return
	}
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
	if a.to.Named && a.to.State.FailedAt(a.at, s.Now(), until) && a.next != nil {
		a.news(fmt.Sprintf("is down at %v", a.at), why)
	}
	if a.next == nil && a.to.State.Failed(a.began, s.Now(), until, why) {
		a.news("is down", why)
		a.request.engine.ways.Emit(events.Turned(a.to.Name, false, why))
	}
}

// judge notes that the target is well: it answered, and not with a 503.
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
		a.request.engine.ways.Emit(events.Turned(a.to.Name, true, why))
	}
}

// news tells of a change of the target's health.
func (a *attempt) news(what, why string) {
	e := a.request.engine
	e.record(callflow.Noted, a.leg, 0, fmt.Sprintf("%s %s: %s", a.to.Name, what, why))
	e.log.Warn("peer "+what, "peer", a.to.Name, "cause", why)
}
