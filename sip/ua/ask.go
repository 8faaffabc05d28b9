package ua

import (
	"context"
	"errors"
	"fmt"

	"github.com/sallyport-sip/sallyport/sip"
	"github.com/sallyport-sip/sallyport/sip/dialog"
	"github.com/sallyport-sip/sallyport/sip/transaction"
)

// Do sends a request in the call and returns its final response, whatever its
// code; the message is the caller's. A re-INVITE's 2xx is acknowledged and its
// Contact followed. A 481, and no answer at all, end the call (RFC 3261
// §12.2.1.2). When ctx ends a re-INVITE is cancelled, and nobody waits for
// another request any more. BYE has a method of its own.
func (c *Call) Do(ctx context.Context, method sip.Method, options ...Option) (*sip.Message, error) {
	x, err := gather(options)
	if err != nil {
		return nil, err
	}
	switch method {
	case sip.BYE, sip.ACK, sip.CANCEL, "":
		return nil, fmt.Errorf("ua: %q in a call: Bye hangs up; ACK and CANCEL are the library's", method)
	}
	result := make(chan outcome, 1)
	var q *question
	err = c.ss.in(c.shard, func(s *Shard) error {
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case c.state != unacknowledged && c.state != confirmed:
			return ErrNoCall
		case method == sip.INVITE && (c.inviting || c.answering()):
			return ErrInviting
		}
		q = c.ask(s, method, x, func(_ *Shard, m *sip.Message, err error) {
			o := outcome{err: err}
			if m != nil {
				o.msg = m.Clone()
			}
			result <- o
		})
		return nil
	})
	if err != nil {
		return nil, err
	}
	m, err := c.ss.srv.await(ctx, c.shard.index, result)
	if err != nil && ctx.Err() != nil && method == sip.INVITE {
		// When the server has ended there is nothing left to cancel.
		_ = c.ss.in(c.shard, func(s *Shard) error {
			q.withdraw(s)
			return nil
		})
	}
	return m, err
}

// answering says whether an INVITE of the other side has no final response, or
// a 2xx of ours no ACK: "a UAC MUST NOT initiate a new INVITE" then (RFC 3261
// §14.1).
func (c *Call) answering() bool {
	for r := range c.pending {
		if r.method == sip.INVITE {
			return true
		}
	}
	return len(c.accepts) > 0
}

// question is a request of ours in a call. Owned by the shard.
type question struct {
	withdrawal
	call   *Call
	method sip.Method
	seq    uint32
	login  extras
	ack    *ack // to the 2xx of a re-INVITE; its b is nil until it could be sent

	repeated bool // see repeat
	tell     func(*Shard, *sip.Message, error)
}

// ask sends a request in the call's dialog. tell is called once, with the final
// response or an error. It never is before ask returns, but with an error.
func (c *Call) ask(s *Shard, method sip.Method, x *extras, tell func(*Shard, *sip.Message, error)) *question {
	q := &question{call: c, method: method, tell: tell, seq: c.dialog.NextSeq()}
	if method == sip.INVITE {
		c.inviting = true
		for _, f := range x.fields {
			if f.name == "Authorization" || f.name == "Proxy-Authorization" {
				q.login.fields = append(q.login.fields, f)
			}
		}
	}
	c.reach(s, func(s *Shard, f Flow, err error) {
		switch {
		case err == nil && c.state == over:
			err = ErrNoCall
		case err == nil && c.dialog.Secure && !f.Conn.Transport().Secure():
			err = Target{Transport: f.Conn.Transport()}.fits(c.dialog.Target)
		}
		if err != nil {
			q.finish(s, nil, err)
			return
		}
		b, branch := c.write(s, f, method, q.seq, x)
		q.branch = branch
		s.launch(f, c.peer(), method, branch, b, q)
	})
	return q
}

// peer is the caller's name for the other side, perhaps empty.
func (c *Call) peer() string {
	if c.target != nil {
		return c.target.Peer
	}
	return c.conn.Identity().Peer
}

// still makes the question a sender.
func (q *question) still(s *Shard) bool {
	if q.call.state == over {
		q.finish(s, nil, ErrNoCall)
		return false
	}
	return true
}

// repeat sends a request again, as it is, whose connection went before anything
// came back: the call outlives the connection, and if the request did arrive
// this is a retransmission.
func (q *question) repeat(s *Shard) {
	q.repeated = true
	q.call.reach(s, func(s *Shard, f Flow, err error) {
		switch {
		case err == nil && q.call.state == over:
			err = ErrNoCall
		case err == nil && q.call.dialog.Secure && !f.Conn.Transport().Secure():
			err = Target{Transport: f.Conn.Transport()}.fits(q.call.dialog.Target)
		}
		if err != nil {
			q.ClientDone(s, nil, err)
			return
		}
		q.flow = f
		q.tx = s.Request(f, q.method, q.branch, q.invite, q)
	})
}

// write writes a request or ACK of the dialog.
func (c *Call) write(s *Shard, f Flow, method sip.Method, seq uint32, x *extras) (b, branch []byte) {
	branch = s.NewBranch()
	var w sip.Builder
	w.Reset(make([]byte, 0, x.size()))
	c.dialog.Start(&w, method)
	c.ss.srv.via(&w, f, branch)
	w.Header("Max-Forwards", "70")
	c.dialog.Headers(&w, method, seq)
	if dialog.Refreshes(method) && !x.has("Contact") {
		w.Header("Contact", c.contact)
	}
	return x.finish(&w), branch
}

// acknowledge sends the ACK to a 2xx, with the INVITE's credentials (RFC 3261
// §13.2.2.4), and leaves it in a.
func (c *Call) acknowledge(s *Shard, seq uint32, login *extras, a *ack) {
	c.reach(s, func(s *Shard, f Flow, err error) {
		if err != nil {
			return // the other side will miss it, and hang up
		}
		a.flow = f
		a.b, _ = c.write(s, f, sip.ACK, seq, login)
		a.again(s)
	})
}

// again sends the ACK. A connection that is lost is noticed by the next
// request.
func (a *ack) again(s *Shard) {
	if a.b != nil {
		_ = s.Transmit(a.flow, a.b)
	}
}

// finish tells the outcome once.
func (q *question) finish(s *Shard, m *sip.Message, err error) {
	tell := q.tell
	if tell == nil {
		return
	}
	q.tell = nil
	q.tx = nil
	if q.method == sip.INVITE {
		q.call.inviting = false
	}
	tell(s, m, err)
}

// Response makes the question a ClientUser.
func (q *question) Response(s *Shard, _ *ClientTx, m *sip.Message) {
	code := m.StatusCode()
	if code < 200 {
		q.provisional(s)
		return
	}
	if code < 300 {
		q.good(s, m)
	}
	q.finish(s, m, nil)
	if q.method != sip.BYE && dialog.Ends(code) {
		q.call.fail(s, code == 408, newResponseError(m))
	}
}

// good is a 2xx.
func (q *question) good(s *Shard, m *sip.Message) {
	if q.method != sip.INVITE {
		// A Contact that cannot be used leaves the target as it was.
		_ = q.call.dialog.Refresh(m)
		return
	}
	if q.ack == nil {
		_ = q.call.dialog.Refresh(m)
		q.ack = &ack{}
		q.call.acknowledge(s, q.seq, &q.login, q.ack)
		return
	}
	q.ack.again(s)
}

// ClientDone makes the question a ClientUser.
func (q *question) ClientDone(s *Shard, _ *ClientTx, err error) {
	if err == nil {
		err = transaction.ErrTimeout
	}
	if q.tell != nil && !q.repeated && !q.ringing && errors.Is(err, transaction.ErrTransport) && !q.flow.Conn.Alive() {
		q.repeat(s)
		return
	}
	unanswered := q.tell != nil
	q.finish(s, nil, err)
	if unanswered && q.method != sip.BYE {
		q.call.fail(s, true, err)
	}
}

// fail ends a call whose dialog the other side does not know, or that does not
// answer any more; then it gets a BYE all the same.
func (c *Call) fail(s *Shard, bye bool, cause error) {
	switch {
	case c.state == over || c.state == leaving:
	case bye:
		c.byeErr = cause
		c.state = leaving
		c.sayBye(s, &extras{}, cause)
	default:
		c.end(s, cause)
	}
}
