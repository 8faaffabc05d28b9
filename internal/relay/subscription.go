package relay

import (
	"errors"
	"fmt"
	"time"

	"github.com/sallyport-sip/sallyport/internal/callflow"
	"github.com/sallyport-sip/sallyport/internal/cross"
	"github.com/sallyport-sip/sallyport/sip"
	"github.com/sallyport-sip/sallyport/sip/dialog"
	"github.com/sallyport-sip/sallyport/sip/transaction"
	"github.com/sallyport-sip/sallyport/sip/transport"
	"github.com/sallyport-sip/sallyport/sip/ua"
)

// subscription is a SUBSCRIBE, or a REFER outside of any dialog, that was relayed:
// a dialog with the subscriber and one with the notifier (RFC 6665 §4). Owned by
// the shard.
//
//	           | SUBSCRIBE, REFER
//	           v
//	      +---------+   refused, or timer N
//	      | pending |----------------------.
//	      +---------+                      |
//	           | NOTIFY                    |
//	           v                           v
//	      +---------+   terminated,   +------------+
//	.-----| active  |---------------->| terminated |
//	'---->|         |   481 and such, +------------+
//	NOTIFY+---------+   time is over
//	SUBSCRIBE
//
// The first NOTIFY makes the notifier's dialog, or the 2xx, whichever comes first:
// datagrams overtake one another (RFC 6665 §4.4.1). Where the SUBSCRIBE was forked,
// the first notifier has the subscription and NOTIFYs of the others get a 481,
// which ends theirs.
type subscription struct {
	engine *Engine
	home   *home
	number uint64

	near    *leg     // the subscriber's
	far     *leg     // the notifier's; nil while no target is connected
	request *request // the SUBSCRIBE while it is under way, then nil

	named  string // the Event header of the subscriber
	event  string // its package and id
	refer  bool   // a REFER made it: its id is the CSeq number, another one on each leg
	nearID uint32

	asked   time.Duration // for how long the subscriber wants it
	state   state
	lasts   time.Time // until then by the word of the notifier; zero: it has not said
	timer   transaction.Timer
	passing int // requests inside the dialogs without a final response yet
}

// state is where a subscription is in its life.
type state uint8

const (
	pending    state = iota // no NOTIFY yet: it has until timer N
	active                  // it lasts as long as the notifier says
	terminated              // over: it is found no more
)

// How many subscriptions there may be, and how many requests at once inside one:
// subscriptions are the only thing that is relayed and stays. One takes 1.2 KB besides
// the text of its two dialogs. A peer without a limit of its own may not have all of
// them.
const (
	maxSubscriptions = 100_000
	maxOfOnePeer     = maxSubscriptions / 2
	maxPassing       = 16
	maxText          = 4 << 10 // bytes of a dialog: its identity, its target and its route set
)

// text is how many bytes of what the other side has written a dialog keeps.
func text(d *dialog.Dialog) int {
	n := len(d.ID.CallID) + len(d.ID.RemoteTag) + len(d.Target)
	for _, p := range [...]dialog.Party{d.Local, d.Remote} {
		n += len(p.Display) + len(p.URI)
	}
	for _, r := range d.Routes {
		n += len(r)
	}
	return n
}

// errText refuses a message that makes a dialog larger.
var errText = &sip.StatusError{Code: 513, Err: errors.New("its Contact, its Record-Route and what else a dialog keeps are more than 4 KB")}

// subscribes says whether a request makes a subscription.
func subscribes(method sip.Method) bool { return method == sip.SUBSCRIBE || method == sip.REFER }

// subscribe makes the subscription of a request.
func (r *request) subscribe(s *ua.Shard, tls bool) *sip.StatusError {
	e, p := r.engine, r.in.Peer
	most := int64(p.Limits.Subscriptions)
	if most == 0 {
		most = maxOfOnePeer
	}
	if p.State.Subscriptions.Add(1) > most {
		p.State.Subscriptions.Add(-1)
		return above(r.in.Place, "too many subscriptions", fmt.Errorf("peer %s: its limit subscriptions, %d, is reached", p.Name, most))
	}
	d, err := dialog.NewUAS(r.msg, r.in.tag, tls)
	if err == nil && text(d)+len(r.msg.First(sip.HdrEvent)) > maxText {
		err = errText
	}
	if err == nil && e.subscriptions.Add(1) > maxSubscriptions {
		e.subscriptions.Add(-1)
		err = above(r.in.Place, "too many subscriptions", errors.New("the gateway holds as many subscriptions as it can"))
	}
	if err != nil {
		p.State.Subscriptions.Add(-1)
		status, _ := errors.AsType[*sip.StatusError](err)
		return status
	}
	cseq, _ := r.msg.CSeq()
	b := &subscription{
		engine: e, home: r.home, number: r.number, near: r.in, request: r,
		named: string(r.msg.First(sip.HdrEvent)), event: cross.Event(r.msg), nearID: cseq.Seq, asked: cross.Lasting(r.msg),
	}
	if r.method == sip.REFER { // its Expires is its own
		b.refer, b.named, b.event, b.asked = true, "refer", "refer", time.Hour
	}
	r.in.dialog, r.in.sub, r.sub = d, b, b
	r.home.legs[r.in.tag] = r.in
	r.home.subscriptions[b] = struct{}{}
	b.timer.Owner = b
	b.timer.Fire = func(owner any, _ time.Time) { owner.(*subscription).expire(s) }
	b.wait(s)
	return nil
}

// toward joins the leg of a target that is asked now.
func (b *subscription) toward(s *ua.Shard, l *leg) {
	l.Peer.State.Notifying.Add(1)
	b.far, l.sub = l, b
	b.wait(s)
}

// leave lets go of the leg of a target that was given up: what it says gets 481.
func (b *subscription) leave(l *leg) {
	if b.far == l && b.state != terminated {
		b.far, l.sub = nil, nil
		l.Peer.State.Notifying.Add(-1)
	}
}

// wait sets the timer. A subscriber waits for the first NOTIFY for 64*T1
// (RFC 6665 §4.1.2.4, timer N); an active subscription has as long again after
// its time, for its last NOTIFY.
func (b *subscription) wait(s *ua.Shard) {
	until := s.Now()
	if b.state == active && b.lasts.After(until) {
		until = b.lasts
	}
	s.Schedule(&b.timer, until.Add(64*s.Server().Timers.T1).Sub(s.Now()))
}

// accepted takes a 2xx to the SUBSCRIBE or REFER. The error is of a response that
// makes no dialog.
func (b *subscription) accepted(s *ua.Shard, m *sip.Message) error {
	b.request = nil
	if b.far.dialog == nil {
		if err := b.far.fault(m); err != nil {
			return err
		}
		d, _, err := b.far.uac.Response(m)
		if err == nil && text(d) > maxText {
			err = errText
		}
		if err != nil {
			return err
		}
		b.far.dialog = d
	}
	b.near.dialog.Confirm()
	if to, err := m.To(); err == nil && string(to.Tag()) == b.far.dialog.ID.RemoteTag {
		b.renewed(s, m)
	} // else it is of another notifier than the one whose NOTIFY came first
	return nil
}

// renewed takes from a 2xx for how long the subscription lasts now. One that was
// taken back waits for its last NOTIFY. A 2xx that does not say grants what was asked
// for.
func (b *subscription) renewed(s *ua.Shard, m *sip.Message) {
	span, ok := cross.Expires(m)
	if !ok {
		span = b.asked
	}
	b.lasts = s.Now().Add(span)
	b.wait(s)
}

// notified takes what a NOTIFY says that the subscriber has accepted.
func (b *subscription) notified(s *ua.Shard, span time.Duration) {
	b.state = active
	if span > 0 {
		b.lasts = s.Now().Add(span)
	}
	b.wait(s)
}

// expire ends a subscription whose time is over. The subscriber of one that was
// active hears of it, as from a notifier (RFC 6665 §4.2.2).
func (b *subscription) expire(s *ua.Shard) {
	switch {
	case b.passing > 0 || b.request != nil:
		b.wait(s)
	case b.state == pending:
		b.over(s, "no NOTIFY came in time")
	default:
		b.tell(s, "timeout")
		b.over(s, "its time is over, and nobody renewed it")
	}
}

// over forgets the subscription: what comes for it now gets 481.
func (b *subscription) over(s *ua.Shard, why string) {
	if b.state == terminated {
		return
	}
	b.state = terminated
	s.Stop(&b.timer)
	delete(b.home.subscriptions, b)
	for _, l := range [...]*leg{b.near, b.far} {
		if l != nil {
			l.sub = nil
			delete(b.home.legs, l.tag)
		}
	}
	b.engine.subscriptions.Add(-1)
	b.near.Peer.State.Subscriptions.Add(-1)
	if b.far != nil {
		b.far.Peer.State.Notifying.Add(-1)
	}
	b.engine.record(callflow.Noted, b.near, 0, "the subscription is over: "+why)
}

// matches says whether a message is about the subscription (RFC 6665 §8.2.1).
func (b *subscription) matches(m *sip.Message, id uint32) bool {
	event := cross.Event(m)
	if !b.refer {
		return event == b.event
	}
	n, isRefer := cross.ReferID(event)
	return isRefer && (n == 0 || n == id)
}

// fault says why a response makes or moves no dialog of the leg: for the schemes of
// its URIs.
func (l *leg) fault(m *sip.Message) error { return cross.Moves(m, l.Secure, l.Flow.Conn.Transport()) }

// find returns the leg whose dialog a request is in, nil when there is none: its
// To tag is one of ours, the Call-ID fits, and it came from the leg's peer.
func (e *Engine) find(s *ua.Shard, p *transport.Packet) *leg {
	to, err := p.Msg.To()
	if err != nil {
		return nil
	}
	l := e.shards[s.Index()].legs[string(to.Tag())]
	if l == nil || l.sub == nil || string(p.Msg.CallID()) != l.callID {
		return nil
	}
	if !e.ways.From(l.Peer, p) {
		e.log.Warn("request in a dialog of another peer refused", "flow", l.number, "peer", l.Peer.Name, "source", p.Source)
		return nil
	}
	return l
}

// InDialog deals with a request inside the dialogs of a subscription. False means
// that it is in none.
func (e *Engine) InDialog(s *ua.Shard, tx *ua.ServerTx, p *transport.Packet) bool {
	l := e.find(s, p)
	if l == nil {
		return false
	}
	b := l.sub
	if err := b.receive(l, p); err != nil {
		if err.Err != nil {
			e.record(callflow.Noted, l, err.Code, err.Err.Error())
		}
		e.counts.add(tx.Method(), NoDialog)
		s.Reply(tx, err)
		return true
	}
	l.Follow(s, p)
	b.cross(s, l, tx, p.Msg)
	return true
}

// receive takes a request into the dialog of a leg, which a first NOTIFY makes.
func (b *subscription) receive(l *leg, p *transport.Packet) *sip.StatusError {
	m, over := p.Msg, p.Conn.Transport()
	from, err := m.From()
	if err == nil {
		err = cross.Moves(m, l.Secure, over)
	}
	switch {
	case l.Secure && !over.Secure():
		return cross.NotAllowed(l.Place, fmt.Errorf("%s is in a sips: dialog and came over %v", m.Method(), over))
	case err != nil:
		return &sip.StatusError{Code: 400, Err: err}
	case l.dialog == nil && m.Method() == sip.NOTIFY && b.matches(m, firstCSeq):
		d, err := dialog.NewUAS(m, l.tag, p.Conn.Transport().Secure())
		if err == nil && text(d) > maxText {
			err = errText
		}
		if err != nil {
			status, _ := errors.AsType[*sip.StatusError](err)
			return status
		}
		d.Local, d.Remote, d.Secure = l.uac.Local, l.uac.Remote, l.uac.Secure
		d.LocalSeq = dialog.Seq{Value: firstCSeq, Known: true}
		d.Confirm()
		l.dialog = d
		if b.request != nil && b.request.attempt != nil {
			b.request.attempt.heard = true
		}
		return nil
	case l.dialog == nil:
		return &sip.StatusError{Code: 481}
	case l.dialog.ID.RemoteTag != string(from.Tag()):
		return &sip.StatusError{Code: 481, Err: errors.New("the SUBSCRIBE was forked, and another notifier has the subscription")}
	}
	if err := l.dialog.Receive(m); err != nil {
		status, _ := errors.AsType[*sip.StatusError](err)
		return status
	}
	target, err := dialog.Target(m)
	if err == nil && text(l.dialog)-len(l.dialog.Target)+len(target) > maxText {
		err = errText
	}
	status, _ := errors.AsType[*sip.StatusError](err)
	return status
}
