package b2bua

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/sallyport-sip/sallyport/internal/callflow"
	"github.com/sallyport-sip/sallyport/internal/cross"
	"github.com/sallyport-sip/sallyport/internal/peer"
	"github.com/sallyport-sip/sallyport/sip"
	"github.com/sallyport-sip/sallyport/sip/transaction"
	"github.com/sallyport-sip/sallyport/sip/transport"
	"github.com/sallyport-sip/sallyport/sip/ua"
)

// farewell is a BYE or a CANCEL of ours, until its final response, whatever that
// is. The other side must hear it, or it goes on talking, or ringing, to nobody:
// when its connection goes it is sent again on another, where a CANCEL still finds
// its INVITE by the branch (RFC 3261 §9.2), and when there is no way to the peer it
// is owed; see owing.
type farewell struct {
	call   *Call
	leg    *Leg
	fork   *fork // whose dialog a BYE ends; nil for a CANCEL
	method sip.Method

	flow          ua.Flow // the one that a CANCEL's INVITE left on: it goes "to the same destination" (RFC 3261 §9.1)
	bytes, branch []byte

	again int       // how often it was sent again
	until time.Time // when it is given up; zero while it could be sent
	over  bool
}

func (w *farewell) send(s *ua.Shard) {
	if w.flow.Conn != nil && w.flow.Conn.Alive() {
		s.Request(w.flow, w.method, w.branch, w.bytes, w)
		return
	}
	w.leg.reach(s, w.fork, func(s *ua.Shard, flow ua.Flow, err error) {
		switch {
		case w.over:
		case err != nil:
			w.unsent(s, err)
		default:
			w.flow = ua.Flow{} // of the INVITE no more
			s.Request(flow, w.method, w.branch, w.bytes, w)
		}
	})
}

// Response makes the farewell a ua.ClientUser.
func (w *farewell) Response(s *ua.Shard, _ *ua.ClientTx, m *sip.Message) {
	if m.StatusCode() >= 200 {
		w.done()
	}
}

// ClientDone makes the farewell a ua.ClientUser.
func (w *farewell) ClientDone(s *ua.Shard, tx *ua.ClientTx, err error) {
	switch {
	case w.over || !cross.Lost(tx, err):
		w.done()
	case w.again < cross.Resends:
		w.again++
		w.send(s)
	default:
		w.unsent(s, err)
	}
}

// done ends it.
func (w *farewell) done() {
	if w.over {
		return
	}
	w.over = true
	if w.until.IsZero() {
		w.call.waiting--
	} else {
		w.call.owed--
	}
	w.call.finish()
}

// unsent deals with a farewell for which there is no way to the peer now. From
// then on its call does not count as a live one: the session is over, and who
// stops the gateway does not wait for a peer that is down.
func (w *farewell) unsent(s *ua.Shard, err error) {
	c := w.call
	if w.until.IsZero() && !errors.Is(err, cross.ErrPlain) {
		lasts := 64 * s.Server().Timers.T1
		w.until = s.Now().Add(lasts)
		c.waiting--
		c.owed++
		c.record(callflow.Noted, w.leg, 0, fmt.Sprintf("%s not sent yet, it is tried again for %v: %v", w.method, lasts, err))
		c.engine.log.Warn(string(w.method)+" not sent yet: it is tried again", "call", c.Number, "peer", w.leg.Peer.Name, "for", lasts, "cause", err)
		c.finish()
	}
	if !s.Now().Before(w.until) || !c.calls.owe(s, w) {
		w.giveUp(err)
	}
}

// giveUp leaves the other side to find out by itself.
func (w *farewell) giveUp(err error) {
	c := w.call
	c.record(callflow.TargetFailed, w.leg, 503, fmt.Sprintf("%s not sent: %v", w.method, err))
	c.engine.log.Warn(string(w.method)+" not sent: the call ends at our side only", "call", c.Number, "peer", w.leg.Peer.Name, "cause", err)
	w.done()
}

// owing is what is owed to a peer that cannot be reached: for 64*T1 each, with one
// try for all of them, after T1 first and then at intervals that double up to T2,
// as a datagram that nobody answers would be sent (RFC 3261 §17.1.2.2). Owned by
// the shard.
type owing struct {
	calls    *calls
	peer     *peer.Peer
	all      []*farewell
	timer    transaction.Timer
	interval time.Duration
	next     time.Time // the next try
	trying   bool
	cause    error // of the last one
}

// What is owed is sent a few at a time, so that neither the shard is held nor the
// connection's queue overflows.
const (
	settleAtOnce = 100
	settleEvery  = 5 * time.Millisecond
)

// settle sends what is owed to a peer that can be reached again.
func (o *owing) settle(s *ua.Shard) {
	n := min(len(o.all), settleAtOnce)
	some := o.all[:n:n]
	o.all = o.all[n:]
	o.calls.owed -= n
	if len(o.all) == 0 {
		delete(o.calls.owing, o.peer)
		s.Stop(&o.timer)
	} else {
		o.interval = s.Server().Timers.T1
		o.next = s.Now().Add(settleEvery)
		o.wait(s)
	}
	for _, w := range some {
		w.send(s)
	}
}

// follow is Follow, and sends what is owed when the leg has moved.
func (l *Leg) follow(s *ua.Shard, p *transport.Packet) {
	was := l.Flow.Conn
	if l.Follow(s, p); l.Flow.Conn != was {
		l.pay(s)
	}
}

// pay sends what is owed to one leg, which has come back by itself.
func (l *Leg) pay(s *ua.Shard) {
	o := l.call.calls.owing[l.Peer]
	if o == nil {
		return
	}
	var some []*farewell
	o.all = slices.DeleteFunc(o.all, func(w *farewell) bool {
		if w.leg != l {
			return false
		}
		some = append(some, w)
		return true
	})
	o.calls.owed -= len(some)
	if len(o.all) == 0 {
		delete(o.calls.owing, o.peer)
		s.Stop(&o.timer)
	}
	for _, w := range some {
		w.send(s)
	}
}

// maxOwed is how many farewells a shard keeps for peers out of reach; what comes
// then is given up at once.
const maxOwed = 8192

// owe keeps a farewell until its peer can be reached. False means that there are
// too many.
func (c *calls) owe(s *ua.Shard, w *farewell) bool {
	if c.owed >= maxOwed {
		return false
	}
	c.owed++
	o := c.owing[w.leg.Peer]
	if o == nil {
		o = &owing{calls: c, peer: w.leg.Peer, interval: s.Server().Timers.T1}
		o.next = s.Now().Add(o.interval)
		o.timer.Owner = o
		o.timer.Fire = func(owner any, _ time.Time) { owner.(*owing).look() }
		c.owing[w.leg.Peer] = o
	}
	o.all = append(o.all, w)
	o.wait(s)
	return true
}

// wait sets the timer for the next try, or for the next one to be given up.
func (o *owing) wait(s *ua.Shard) {
	at := o.all[0].until
	for _, w := range o.all {
		if w.until.Before(at) {
			at = w.until
		}
	}
	if !o.trying && o.next.Before(at) {
		at = o.next
	}
	s.Schedule(&o.timer, max(at.Sub(s.Now()), 0))
}

// look does what it is time for.
func (o *owing) look() {
	s := o.calls.shard
	o.expire(s)
	if len(o.all) == 0 {
		return
	}
	if !o.trying && !s.Now().Before(o.next) {
		o.try(s)
		return
	}
	o.wait(s)
}

// expire gives up what has been tried for long enough.
func (o *owing) expire(s *ua.Shard) {
	var late []*farewell
	o.all = slices.DeleteFunc(o.all, func(w *farewell) bool {
		if s.Now().Before(w.until) {
			return false
		}
		late = append(late, w)
		return true
	})
	o.calls.owed -= len(late)
	if len(o.all) == 0 {
		delete(o.calls.owing, o.peer)
	}
	for _, w := range late {
		w.giveUp(o.cause)
	}
}

// try looks whether the peer can be reached again, and then sends all.
func (o *owing) try(s *ua.Shard) {
	o.trying = true
	first := o.all[0]
	first.leg.reach(s, first.fork, func(s *ua.Shard, _ ua.Flow, err error) {
		o.trying = false
		if len(o.all) == 0 {
			return // given up meanwhile
		}
		if err != nil {
			o.cause = err
			o.interval = min(2*o.interval, s.Server().Timers.T2)
			o.next = s.Now().Add(o.interval)
			o.wait(s)
			return
		}
		o.settle(s)
	})
	if o.trying {
		o.wait(s) // for what is to be given up
	}
}
