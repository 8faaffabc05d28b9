package b2bua

import (
	"time"

	"github.com/sallyport-sip/sallyport/internal/callflow"
	"github.com/sallyport-sip/sallyport/sip"
	"github.com/sallyport-sip/sallyport/sip/transaction"
	"github.com/sallyport-sip/sallyport/sip/transport"
	"github.com/sallyport-sip/sallyport/sip/ua"
)

// state is where a call is in its life.
type state uint8

const (
	trying   state = iota // targets are tried, nobody has answered
	answered              // a 2xx went to the caller
	over                  // refused, cancelled or ended: only late messages are dealt with
)

// Call is two legs joined. Owned by the shard.
type Call struct {
	Number uint64

	engine *Engine
	calls  *calls
	state  state
	in     *Leg // the caller
	out    *Leg // the target that has answered, or the one that is tried; nil before the first

	setup   *setup      // the INVITE that began the call
	answers []*answer   // INVITEs answered with a 2xx whose ACK may still come or be owed
	passing []*exchange // requests inside the dialogs without a final response yet
	usages  []*subscription
	waiting int               // farewells under way: BYE and CANCEL without a final response
	owed    int               // farewells that could not be sent at once
	gone    bool              // not counted any more
	lingers time.Time         // until then a call that is over is kept for what comes late
	timer   transaction.Timer // for that, and before for what is watched
	watched *watched          // once it was answered
	facts   *facts            // for its record, until that is written and the call is shed
}

func (e *Engine) newCall(s *ua.Shard) *Call {
	c := &Call{Number: e.NextNumber(), engine: e, calls: e.shards[s.Index()], facts: &facts{}}
	c.calls.shard = s
	c.calls.all[c] = struct{}{}
	e.live.Add(1)
	return c
}

// record keeps an event of one of the call's legs.
func (c *Call) record(kind callflow.Kind, l *Leg, code int, reason string) {
	ev := callflow.Call{
		Number: c.Number, Direction: callflow.In, CallID: l.callID, Peer: l.Peer.Name, Code: code,
	}
	if l.out {
		ev.Direction = callflow.Out
	}
	if l.Flow.Conn != nil {
		ev.Connection = l.Flow.Conn.ID()
	}
	c.engine.ways.Record(kind, ev, reason)
}

// request is a request inside one of the call's dialogs.
func (c *Call) request(s *ua.Shard, f *fork, tx *ua.ServerTx, p *transport.Packet) {
	if err := f.received(p); err != nil {
		if err.Err != nil {
			c.record(callflow.Noted, f.leg, err.Code, err.Err.Error())
		}
		s.Reply(tx, err)
		return
	}
	f.leg.follow(s, p)
	switch {
	case p.Msg.Method() == sip.BYE:
		c.bye(s, f, tx, p.Msg)
	case c.state != over && f.left, c.state == over && !c.outlives(f, p.Msg):
		s.Reply(tx, &sip.StatusError{Code: 481})
	default:
		c.cross(s, f, tx, p)
	}
}

// uncount takes a call off the number of live ones.
func (c *Call) uncount() {
	if !c.gone {
		c.gone = true
		c.engine.live.Add(-1)
	}
}

// finish lets go of a call that is over, once its last farewell is answered and no
// subscription is left. Its tags are forgotten then: until that, a BYE that crosses
// ours gets its 200. While a 2xx may still come, what that needs is kept.
func (c *Call) finish() {
	if c.state != over || c.waiting > 0 {
		return
	}
	now := c.calls.shard.Now()
	if !c.gone {
		c.lingers = now.Add(c.late())
	}
	c.uncount()
	c.expire(now)
	until := c.subscribed()
	if until.Before(c.lingers) {
		until = c.lingers
	}
	if until.After(now) {
		c.timer.Owner = c
		c.timer.Fire = func(owner any, _ time.Time) { owner.(*Call).finish() }
		c.calls.shard.Schedule(&c.timer, until.Sub(now))
		return
	}
	c.calls.shard.Stop(&c.timer)
	if c.owed > 0 {
		return // who is owed a BYE may come back with a request in its dialog
	}
	c.shed()
	if c.setup.done() {
		delete(c.calls.all, c)
		if c.out != nil {
			c.out.forget()
		}
	}
}

// shed drops what no late message needs. A 2xx of the target, for 64*T1, needs its
// leg, and the ACK if it was one for the first time.
func (c *Call) shed() {
	c.in.forget()
	c.in.forks, c.in.winner, c.in.first, c.in.hop = nil, nil, nil, nil
	if c.out != nil {
		c.out.hop = nil
	}
	for _, n := range c.answers {
		n.near, n.server, n.ok = nil, nil, nil
	}
	c.facts, c.watched = nil, nil
	u := c.setup
	u.server, u.targets, u.spared, u.cause, u.held = nil, nil, nil, nil, nil
}

// late is for how long a message may come that was sent before the call was
// over: T4, where datagrams overtake one another (RFC 3261 §17.1.2.2).
func (c *Call) late() time.Duration {
	for _, l := range [...]*Leg{c.in, c.out} {
		if l != nil && l.Flow.Conn != nil && !l.Flow.Conn.Transport().Reliable() {
			return c.calls.shard.Server().Timers.T4
		}
	}
	return 0
}
