package b2bua

import (
	"time"

	"github.com/sallyport-sip/sallyport/internal/cross"
	"github.com/sallyport-sip/sallyport/sip"
	"github.com/sallyport-sip/sallyport/sip/dialog"
	"github.com/sallyport-sip/sallyport/sip/ua"
)

// subscription is a usage that shares its dialogs with the session: that of a
// REFER, or of a SUBSCRIBE (RFC 5057 §4.2). It outlives the session: a BYE ends
// the INVITE usage alone, and NOTIFYs still cross until one of them says that
// the subscription has ended, or until its time is over. Owned by the shard.
type subscription struct {
	subscriber *fork
	notifier   *fork
	event      string // package and id, as the subscriber names them, in lower case
	refer      bool   // a REFER made it
	// A REFER's CSeq number is the id of its subscription (RFC 3515 §2.4.6), and it
	// is another one on each leg.
	nearSeq, farSeq uint32
	until           time.Time // it is over then, if nothing is heard before
}

// maxUsages is how many subscriptions a call may have at once.
const maxUsages = 32

// longest is how long a subscription may keep the dialogs of a call that is
// over, whatever its notifier says.
const longest = time.Hour

// outlives says whether a request goes on crossing when the session is over:
// one of a subscription in the same dialogs.
func (c *Call) outlives(f *fork, m *sip.Message) bool {
	switch {
	case f.partner() == nil:
		return false
	case m.Method() == sip.NOTIFY:
		return c.subscriptionOf(f.joined, f, m) != nil
	case m.Method() == sip.SUBSCRIBE:
		return c.subscriptionOf(f, f.joined, m) != nil
	}
	return false
}

// crowded refuses a REFER or SUBSCRIBE when the call has too many subscriptions.
func (c *Call) crowded(s *ua.Shard, method sip.Method) *sip.StatusError {
	if method != sip.REFER && method != sip.SUBSCRIBE || len(c.usages) < maxUsages {
		return nil
	}
	if c.expire(s.Now()); len(c.usages) < maxUsages {
		return nil
	}
	return cross.Later()
}

// subscribe notes the subscription that a REFER or SUBSCRIBE from the exchange's
// near side makes or renews.
func (c *Call) subscribe(s *ua.Shard, x *exchange, m *sip.Message) {
	// "... the subscriber ... will wait for a NOTIFY for 64*T1" (RFC 6665, timer N).
	until := s.Now().Add(64 * s.Server().Timers.T1)
	switch x.method {
	case sip.REFER:
		x.usage = &subscription{
			subscriber: x.near, notifier: x.far, event: "refer", refer: true,
			nearSeq: x.nearSeq, farSeq: x.farSeq, until: until,
		}
	case sip.SUBSCRIBE:
		if x.usage = c.subscriptionOf(x.near, x.far, m); x.usage != nil {
			return
		}
		x.usage = &subscription{subscriber: x.near, notifier: x.far, event: cross.Event(m), until: until}
	default:
		return
	}
	c.usages = append(c.usages, x.usage)
}

// subscriptionOf finds the subscription that a message from its subscriber or
// its notifier names; nil when there is none.
func (c *Call) subscriptionOf(subscriber, notifier *fork, m *sip.Message) *subscription {
	event := cross.Event(m)
	id, isRefer := cross.ReferID(event)
	for _, u := range c.usages {
		switch {
		case u.subscriber != subscriber || u.notifier != notifier:
		case !u.refer && u.event == event:
			return u
		case !u.refer || !isRefer:
		case id == 0: // the first one may leave its id out
			return u
		case m.Method() == sip.NOTIFY && id == u.farSeq, m.Method() == sip.SUBSCRIBE && id == u.nearSeq:
			return u
		}
	}
	return nil
}

// eventAcross is the Event header on the far leg: the id of a REFER's
// subscription is that leg's CSeq number. nil leaves it as it is.
func (u *subscription) eventAcross(m *sip.Message) []byte {
	if u == nil || !u.refer {
		return nil
	}
	if m.Method() == sip.SUBSCRIBE {
		return cross.ReferEvent(m, u.farSeq)
	}
	return cross.ReferEvent(m, u.nearSeq)
}

// notified takes note of the end of a NOTIFY, SUBSCRIBE or REFER: code is its
// final response's, 408 when there was none. m is that response, nil without.
func (c *Call) notified(s *ua.Shard, x *exchange, code int, m *sip.Message) {
	u := x.usage
	if u == nil {
		return
	}
	failed := code >= 300 && x.method == sip.REFER || dialog.EffectOf(code) != dialog.EndsTransaction
	switch {
	case failed, x.last, code < 300 && x.method == sip.REFER && cross.NoSubscription(m):
		c.unsubscribe(u)
	case x.method == sip.NOTIFY:
		u.until = s.Now().Add(min(max(x.expires, 64*s.Server().Timers.T1), longest))
	}
	c.finish()
}

// unsubscribe ends a subscription.
func (c *Call) unsubscribe(u *subscription) {
	for i := range c.usages {
		if c.usages[i] == u {
			c.usages = append(c.usages[:i], c.usages[i+1:]...)
			return
		}
	}
}

// subscribed says until when subscriptions keep the dialogs of a call; the zero
// time when there are none.
func (c *Call) subscribed() (until time.Time) {
	for _, u := range c.usages {
		if u.until.After(until) {
			until = u.until
		}
	}
	return until
}

// expire forgets subscriptions that nothing was heard of in time.
func (c *Call) expire(now time.Time) {
	kept := c.usages[:0]
	for _, u := range c.usages {
		if u.until.After(now) {
			kept = append(kept, u)
		}
	}
	clear(c.usages[len(kept):])
	c.usages = kept
}
