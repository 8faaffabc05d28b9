package b2bua

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/sallyport-sip/sallyport/internal/callflow"
	"github.com/sallyport-sip/sallyport/sip"
	"github.com/sallyport-sip/sallyport/sip/transaction"
	"github.com/sallyport-sip/sallyport/sip/ua"
)

// An answered call ends when it has lasted as long as its peers' limits let it,
// and when one side does not know it any more, which an OPTIONS inside the
// dialog finds out (RFC 3261 §12.2.1.2, RFC 5057 §5). Where a session timer runs
// the sides find it out themselves (RFC 4028), and are not asked. Both share one
// timer of the call.

// watched is what an answered call waits for. Times are since the answer; 0 is
// never.
type watched struct {
	ends  time.Duration // it has lasted long enough
	asked [2]asked      // the caller and the target
}

// asked is one side that is asked whether it knows the call.
type asked struct {
	every time.Duration
	next  time.Duration
	under bool  // an OPTIONS is under way
	lost  uint8 // how often in a row it could not be reached
}

// unreached is how often in a row a side may be out of reach. It is tried again
// a minute later: a peer that starts anew knows its calls no more, or comes back
// with them, but does not answer for a while.
const (
	unreached = 3
	retry     = time.Minute
)

// watch begins to watch a call that was answered.
func (c *Call) watch(s *ua.Shard) {
	w := new(watched)
	c.watched = w
	for i, l := range [...]*Leg{c.in, c.out} {
		if longest := l.Peer.Limits.LongestCall.Duration; longest > 0 && (w.ends == 0 || longest < w.ends) {
			w.ends = longest
		}
		if every := l.Peer.KeepAlive; every > 0 {
			// Calls that began together are not asked together.
			w.asked[i] = asked{every: every, next: every/2 + rand.N(every/2+1)}
		}
	}
	c.timer.Owner = c
	c.timer.Fire = func(owner any, _ time.Time) { owner.(*Call).look() }
	c.wait(s)
}

// wait sets the timer for what comes next.
func (c *Call) wait(s *ua.Shard) {
	next := c.watched.ends
	for _, k := range c.watched.asked {
		if k.next > 0 && (next == 0 || k.next < next) {
			next = k.next
		}
	}
	if next > 0 {
		s.Schedule(&c.timer, max(c.facts.answered.Add(next).Sub(s.Now()), 0))
	}
}

// look does what it is time for.
func (c *Call) look() {
	if c.state != answered {
		return
	}
	s := c.calls.shard
	age := s.Now().Sub(c.facts.answered)
	if c.watched.ends > 0 && age >= c.watched.ends {
		c.hangUp(s, nil, parting{reason: tooLong}, fmt.Sprintf("the call has lasted %v, its longest_call", c.watched.ends))
		return
	}
	for i, l := range [...]*Leg{c.in, c.out} {
		k := &c.watched.asked[i]
		if k.next == 0 || age < k.next {
			continue
		}
		k.next = age + k.every
		if !c.facts.timed && !k.under {
			k.under = true
			c.ask(s, l.winner, k)
		}
	}
	c.wait(s)
}

// tooLong is the Reason of the BYE to a call that has lasted long enough: Q.850
// has no cause of its own for it, 31 is "normal, unspecified".
const tooLong = `Q.850;cause=31;text="the call has lasted as long as it may"`

// ask asks a side whether it knows the call.
func (c *Call) ask(s *ua.Shard, f *fork, k *asked) {
	q := &question{call: c, fork: f, asked: k}
	b, branch := f.request(s, draft{method: sip.OPTIONS, seq: f.dialog.NextSeq(), fields: []byte("Accept: application/sdp\r\n")})
	f.leg.reach(s, f, func(s *ua.Shard, flow ua.Flow, err error) {
		if err != nil {
			q.over(s, 0, err)
			return
		}
		s.Request(flow, sip.OPTIONS, branch, b, q)
	})
}

// question is an OPTIONS of ours inside a dialog.
type question struct {
	call  *Call
	fork  *fork
	asked *asked // nil when it is answered
}

// Response makes the question a ua.ClientUser.
func (q *question) Response(s *ua.Shard, _ *ua.ClientTx, m *sip.Message) {
	if m.StatusCode() >= 200 {
		q.over(s, m.StatusCode(), nil)
	}
}

// ClientDone makes the question a ua.ClientUser.
func (q *question) ClientDone(s *ua.Shard, _ *ua.ClientTx, err error) {
	code := 0
	if errors.Is(err, transaction.ErrTimeout) {
		code = 408
	}
	q.over(s, code, err)
}

// over judges the answer: the final status code, 408 for none in time, or 0 with
// the error of a side that could not be reached.
func (q *question) over(s *ua.Shard, code int, err error) {
	k, c, f := q.asked, q.call, q.fork
	if k == nil {
		return
	}
	q.asked, k.under = nil, false
	if c.state != answered {
		return
	}
	name := f.leg.Peer.Name
	switch {
	case code == 481:
		c.endFor(s, f, 481, name+" does not know the call any more") // so it needs no BYE
	case code == 408:
		c.endFor(s, nil, 408, name+" does not answer whether it knows the call")
	case code > 0:
		k.lost = 0 // whatever it says, it knows the dialog
	case k.lost+1 >= unreached:
		c.endFor(s, nil, 503, fmt.Sprintf("%s cannot be reached: %v", name, err))
	default:
		k.lost++
		c.record(callflow.Noted, f.leg, 0, fmt.Sprintf("%s could not be asked whether it knows the call: %v", name, err))
		k.next = min(k.next, s.Now().Add(retry).Sub(c.facts.answered))
		c.wait(s)
	}
}

// refreshed takes note of the 2xx to an INVITE or UPDATE inside the dialogs,
// which says anew whether a session timer runs (RFC 4028 §7.2).
func (c *Call) refreshed(method sip.Method, m *sip.Message) {
	if c.facts != nil && (method == sip.INVITE || method == sip.UPDATE) {
		c.facts.timed = m.Has(sip.HdrSessionExpires)
	}
}
