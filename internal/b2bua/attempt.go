package b2bua

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"time"

	"github.com/sallyport-sip/sallyport/internal/callflow"
	"github.com/sallyport-sip/sallyport/internal/cross"
	"github.com/sallyport-sip/sallyport/internal/peer"
	"github.com/sallyport-sip/sallyport/internal/redact"
	"github.com/sallyport-sip/sallyport/sip"
	"github.com/sallyport-sip/sallyport/sip/resolve"
	"github.com/sallyport-sip/sallyport/sip/transaction"
	"github.com/sallyport-sip/sallyport/sip/transport"
	"github.com/sallyport-sip/sallyport/sip/ua"
)

// attempt is the try to reach one target: a connection, and the INVITE on it.
// Owned by the shard.
type attempt struct {
	setup  *setup
	to     *peer.Peer
	at     netip.AddrPort // of its addresses; not valid while connecting
	next   peer.Next      // leads to its next address, nil when there is none
	before *failure       // at its last address; nil at the first
	until  time.Time      // this address is down until then; zero: it is not
	leg    *Leg           // nil while connecting
	branch []byte
	flow   ua.Flow           // that the INVITE left on
	bytes  []byte            // the INVITE, until its final response
	whole  []byte            // the same for UDP, when it is too large for that
	tx     *ua.ClientTx      // nil before, and when the transaction is over
	began  time.Time         // with the connecting
	timer  transaction.Timer // see expire
	keep   bool              // its Via asks whether the target answers keep-alives
	again  bool              // the INVITE was sent once more, on a new connection
	rang   bool              // a provisional response came, so a CANCEL may go (RFC 3261 §9.1)
	heard  time.Time         // the first one, or the last above 100: timer C counts from it (RFC 3261 §16.7 step 2)
	cancel string            // the Reason of a CANCEL that is due or sent; see cancel.go
	quit   bool              // nobody waits for this attempt any more
	sent   bool              // the CANCEL went out
	told   [2]uint64         // provisional responses of which applications were told, a bit for each from 100 on
}

// begin reaches for the target. connect leads to it: to its first address, or to
// the next.
func (a *attempt) begin(s *ua.Shard, connect peer.Next) {
	a.began = s.Now()
	a.timer.Owner = a
	a.timer.Fire = func(owner any, _ time.Time) { owner.(*attempt).expire() }
	s.Schedule(&a.timer, min(a.to.ResponseTimeout, a.to.AnswerTimeout))
	connect(s, func(s *ua.Shard, flow ua.Flow, next peer.Next, err error) {
		if a.quit || a.setup.final {
			return
		}
		a.at, a.next = flow.Addr, next
		switch {
		case err != nil && a.before != nil && errors.Is(err, resolve.ErrEnd):
			a.setup.exhausted(s, a)
		case err != nil:
			a.unreachable(s, err)
		default:
			a.send(s, flow)
		}
	})
}

// send sends the INVITE to a target that is connected.
func (a *attempt) send(s *ua.Shard, flow ua.Flow) {
	u, c := a.setup, a.setup.call
	a.leg = c.newTarget(s, a.to, flow, u.secure)
	a.leg.hop.on(c.calls, flow)
	if a.leg.Secure && !flow.Conn.Transport().Secure() {
		a.unreachable(s, cross.ErrPlain)
		return
	}
	c.record(callflow.LegCreated, a.leg, 0, fmt.Sprintf("target %d of %d: %s", u.asked, len(u.targets), a.name()))
	if a.before != nil {
		c.record(callflow.Noted, a.leg, 0, "the next address: "+a.name())
	}
	a.branch = s.NewBranch()
	a.keep = a.leg.Place.Keep
	a.bytes = a.invite(u.invite)
	a.leg.Place.Keep = false // it is asked by what begins a dialog only (RFC 6223 §4.2)
	a.request(s, flow)
}

// name is the target, with the address where a name has led to it.
func (a *attempt) name() string {
	if !a.named() {
		return a.to.Name
	}
	return fmt.Sprintf("%s at %v", a.to.Name, a.at)
}

// named says whether a name has led to the address.
func (a *attempt) named() bool { return a.to.Named && a.at.IsValid() }

func (a *attempt) request(s *ua.Shard, flow ua.Flow) {
	if !peer.TooLarge(flow, a.bytes) {
		a.leave(s, flow)
		return
	}
	a.whole = a.bytes
	a.setup.call.engine.ways.Fit(s, a.to, flow, a.bytes, func(s *ua.Shard, on ua.Flow, b []byte) {
		if a.quit || a.setup.final || a.leg.winner != nil {
			return
		}
		a.bytes = b
		if on != flow {
			a.leg.hop.on(a.setup.call.calls, on)
		}
		a.leave(s, on)
	})
}

func (a *attempt) leave(s *ua.Shard, flow ua.Flow) {
	a.flow = flow
	a.setup.open++
	a.returns(s)
	a.tx = s.Request(flow, sip.INVITE, a.branch, a.bytes, a)
}

// promised takes note of the answer to our question whether the target answers
// keep-alives (RFC 6223 §4.3).
func (a *attempt) promised(m *sip.Message) {
	if !a.keep {
		return
	}
	a.keep = false
	via, err := m.Via()
	if err != nil {
		return
	}
	if value, ok := via.Params.Get("keep"); ok && len(value) > 0 {
		if n, err := strconv.ParseUint(string(value), 10, 16); err == nil {
			a.flow.Conn.Agree(time.Duration(n) * time.Second)
		}
	}
}

// expire gives up a target that has been silent for too long, or has not
// answered. The last one that is left may be silent until timer B ends.
func (a *attempt) expire() {
	if a.quit || a.setup.final {
		return
	}
	s := a.setup.call.calls.shard
	after, quiet := s.Now().Sub(a.began), time.Duration(0)
	if a.rang {
		quiet = s.Now().Sub(a.heard)
	}
	// Just before that of the transaction, which would take no response to the
	// CANCEL's INVITE any more.
	timerC := s.Server().Timers.TimerC - s.Server().Timers.T1
	switch {
	case after >= a.to.AnswerTimeout:
		a.unanswered(s, fmt.Errorf("not answered within %v", a.to.AnswerTimeout))
	case quiet >= timerC:
		a.unanswered(s, fmt.Errorf("nothing more was heard for %v", timerC))
	case a.rang || a.next == nil && !a.setup.more(s.Now()):
		s.Schedule(&a.timer, min(a.to.AnswerTimeout-after, timerC-quiet))
	case a.leg == nil:
		a.unreachable(s, fmt.Errorf("no connection within %v", a.to.ResponseTimeout))
	default:
		a.silent(s, fmt.Errorf("no response within %v", a.to.ResponseTimeout))
	}
}

// Response makes the attempt a ua.ClientUser.
func (a *attempt) Response(s *ua.Shard, _ *ua.ClientTx, m *sip.Message) {
	code := m.StatusCode()
	a.leg.hop.response(s.Now(), code)
	if code > 100 {
		a.promised(m)
	}
	if code >= 200 {
		a.bytes = nil
	}
	a.judge(s, code)
	switch {
	case code < 200:
		if code > 100 || !a.rang {
			a.heard = s.Now()
		}
		a.rang = true
		if a.quit {
			a.sendCancel(s)
		} else if code > 100 {
			a.setup.progress(s, a, m)
		}
	case code < 300:
		s.Stop(&a.timer)
		a.answered(s, m)
	case !a.quit:
		s.Stop(&a.timer)
		a.refused(s, m)
	}
}

// ClientDone makes the attempt a ua.ClientUser.
func (a *attempt) ClientDone(s *ua.Shard, _ *ua.ClientTx, err error) {
	a.tx = nil
	a.setup.open--
	c := a.setup.call
	defer c.finish()
	if w := a.leg.winner; w != nil {
		c.dropAnswer(w, inviteCSeq)
	}
	if err != nil {
		a.strays(s)
	}
	switch {
	case err == nil || a.quit || a.setup.final:
	case errors.Is(err, transaction.ErrTransport):
		a.cutOff(s, err)
	case a.rang: // timer C: it may still be ringing
		a.unanswered(s, err)
	default: // timer B
		a.silent(s, err)
	}
}

// cutOff deals with a connection that ended under the INVITE. That alone says
// nothing about the target when it rang already, or when other calls had used the
// connection before, which may have ended just then in the ordinary way: the same
// INVITE goes out once more, on a new connection. If the first one did arrive,
// that is a retransmission (RFC 3261 §17.2.3), and the answer comes there. A TLS
// 1.3 server that has not sent a record yet has refused us: our certificate is
// judged after our first message was written.
func (a *attempt) cutOff(s *ua.Shard, err error) {
	conn := a.flow.Conn
	switch {
	case a.whole != nil && conn.Transport() == transport.TCP && !a.rang:
		a.setup.call.engine.ways.Unfit(s, a.to, err)
		a.bytes = a.whole
		a.reconnect(s)
	case !conn.Confirmed():
		how := "without an alert"
		if name := transport.AlertName(err); name != "" {
			how = "with " + name
		}
		a.unreachable(s, unconfirmed{fmt.Sprintf("peer %s ended TLS before it had sent anything, %s: most likely it refused our certificate", a.to.Name, how), err})
	case !a.again && conn.Transport().Reliable() && (a.rang || conn.Opened().Before(a.began)):
		a.reconnect(s)
	default:
		a.unreachable(s, err)
	}
}

// unconfirmed is the end of a TLS 1.3 connection before the server's first record, in words.
type unconfirmed struct {
	text string
	err  error
}

func (e unconfirmed) Error() string { return e.text }

func (e unconfirmed) Unwrap() error { return e.err }

// reconnect sends the INVITE once more, on a new connection.
func (a *attempt) reconnect(s *ua.Shard) {
	a.again = true
	a.setup.call.engine.ways.Return(s, a.to, a.leg.Flow, func(s *ua.Shard, flow ua.Flow, _ peer.Next, err error) {
		switch {
		case a.quit || a.setup.final || a.leg.winner != nil: // cancelled meanwhile, and the CANCEL finds its own way, or answered
		case err != nil:
			a.unreachable(s, err)
		default:
			a.leg.Flow = flow
			a.leg.hop.on(a.setup.call.calls, flow)
			a.request(s, flow)
		}
	})
}

// refused deals with a final response other than a 2xx.
func (a *attempt) refused(s *ua.Shard, m *sip.Message) {
	u, code := a.setup, m.StatusCode()
	cause := &sip.StatusError{Code: code, Reason: string(m.Reason()), Err: fmt.Errorf("answered %d %s", code, redact.Text(string(m.Reason())))}
	if code == 503 {
		a.busy(s, m)
	}
	switch {
	case code < 400:
		cause = cross.Redirected(m, a.leg.Secure, u.call.in.Place)
		a.next = nil
	case !passesOn(code) || a.next == nil && !u.left():
		u.reject(s, a, m)
		return
	}
	u.lost(s, a.leg, cause)
}
