package ua

import (
	"context"
	"errors"
	"time"

	"github.com/sallyport-sip/sallyport/sip"
	"github.com/sallyport-sip/sallyport/sip/dialog"
	"github.com/sallyport-sip/sallyport/sip/transport"
)

// Call is an INVITE's dialog, whoever called. Its methods may be called from
// any goroutine.
type Call struct {
	ss     *sessions
	shard  *Shard
	id     dialog.ID
	conn   *transport.Conn
	ctx    context.Context // ends with the call
	cancel context.CancelCauseFunc

	confirmed   chan struct{} // closed when the ACK has come, or been sent
	answer      []byte        // the other side's answer; see Answer
	contentType string

	// Owned by the shard.
	state    callState
	listed   bool // in home.calls
	dialog   *dialog.Dialog
	flow     Flow    // where the dialog lives
	target   *Target // how to reach the other side again, nil when it called
	contact  string  // our Contact value
	pending  map[*Request]struct{}
	accepts  []*accept // our 2xx that have no ACK yet
	inviting bool      // a re-INVITE of ours has no final response yet
	byeErr   error     // what became of our BYE
}

// callState is how far a call is.
type callState uint8

const (
	early          callState = iota + 1 // an INVITE came that has no final response yet
	unacknowledged                      // our 200 went out, no ACK has come yet
	confirmed                           // there is a session
	leaving                             // we want to hang up
	over                                // nothing is sent or taken any more
)

func newCall(ss *sessions, s *Shard, d *dialog.Dialog, flow Flow, state callState) *Call {
	c := &Call{
		ss: ss, shard: s, id: d.ID, conn: flow.Conn, dialog: d, flow: flow, state: state,
		confirmed: make(chan struct{}),
		pending:   map[*Request]struct{}{},
	}
	c.ctx, c.cancel = context.WithCancelCause(ss.ctx)
	return c
}

// newServerCall makes the call that an INVITE will be when it is accepted.
func newServerCall(ss *sessions, s *Shard, p *transport.Packet, tag []byte) (*Call, error) {
	d, err := dialog.NewUAS(p.Msg, string(tag), p.Conn.Transport().Secure())
	if err != nil {
		return nil, err
	}
	c := newCall(ss, s, d, Flow{p.Conn, p.Source}, early)
	uri, err := sip.ParseURI(p.Msg.RequestURI())
	if err != nil {
		uri = sip.URI{}
	}
	c.contact = ss.srv.contact(c.flow, string(uri.User), uri.Is("sips"))
	return c, nil
}

// CallID, LocalTag and RemoteTag identify the call's dialog (RFC 3261 §12).
func (c *Call) CallID() string { return c.id.CallID }

// LocalTag is the tag that we gave the dialog.
func (c *Call) LocalTag() string { return c.id.LocalTag }

// RemoteTag is the tag that the other side gave the dialog.
func (c *Call) RemoteTag() string { return c.id.RemoteTag }

// Conn is the connection on which the call was made.
func (c *Call) Conn() *transport.Conn { return c.conn }

// Context ends with the call. Its cause is ErrHungUp, ErrPeerHungUp or what Err
// returns.
func (c *Call) Context() context.Context { return c.ctx }

// Done is closed when the call is over.
func (c *Call) Done() <-chan struct{} { return c.ctx.Done() }

// Err is nil while the call lasts and when it was ended by a BYE of either
// side. Otherwise it says why it ended: ErrNoAck, ErrCancelled, ErrServerClosed,
// a *ResponseError, or one of transaction's.
func (c *Call) Err() error {
	if c.ctx.Err() == nil {
		return nil
	}
	err := context.Cause(c.ctx)
	if errors.Is(err, ErrHungUp) || errors.Is(err, ErrPeerHungUp) {
		return nil
	}
	return err
}

// Confirmed is closed when a call that we accepted has its ACK. It is closed
// from the start for a call that we placed.
func (c *Call) Confirmed() <-chan struct{} { return c.confirmed }

// Answer is the body, with its Content-Type, of the 2xx to our INVITE; or of
// the ACK to our 2xx, an answer when the INVITE came without an offer, once
// Confirmed is closed. It must not be changed.
func (c *Call) Answer() (contentType string, body []byte) {
	select {
	case <-c.confirmed:
		return c.contentType, c.answer
	default:
		return "", nil
	}
}

// register lets requests find the call.
func (c *Call) register(s *Shard) {
	if !c.listed && c.state != over {
		c.listed = true
		c.ss.home(s).calls[c.id] = c
	}
}

// confirm notes that the three-way handshake is over, and its last body.
func (c *Call) confirm(m *sip.Message) {
	if c.state == early || c.state == unacknowledged {
		c.state = confirmed
	}
	select {
	case <-c.confirmed:
		return
	default:
	}
	c.contentType = string(m.First(sip.HdrContentType))
	c.answer = append([]byte(nil), m.Body()...)
	close(c.confirmed)
}

// end ends the call at our side. Requests that wait for an answer get a 487
// (RFC 3261 §15.1.2).
func (c *Call) end(s *Shard, cause error) {
	if c.state == over {
		return
	}
	c.state = over
	c.dialog.Terminate()
	if c.listed {
		delete(c.ss.home(s).calls, c.id)
	}
	for _, a := range c.accepts {
		s.Stop(&a.timer)
	}
	c.accepts = nil
	for r := range c.pending {
		r.terminate(s, cause)
	}
	c.cancel(cause)
}

// names says whether a response to a method carries our Contact.
func (c *Call) names(method sip.Method) bool { return dialog.Refreshes(method) }

// receive takes a request into the dialog's order. The refusal says what is
// wrong with it.
func (c *Call) receive(s *Shard, p *transport.Packet) *sip.StatusError {
	if err := c.dialog.Receive(p.Msg); err != nil {
		return statusOf(err)
	}
	if !c.flow.Conn.Alive() {
		c.flow = Flow{p.Conn, p.Source} // the other side has come back on a new one
	}
	if p.Msg.Method() == sip.BYE {
		return nil
	}
	switch {
	case c.state == leaving:
		return &sip.StatusError{Code: 481}
	case p.Msg.Method() != sip.INVITE:
	case c.inviting:
		return &sip.StatusError{Code: 491} // RFC 3261 §14.2
	default:
		for r := range c.pending {
			if r.method == sip.INVITE {
				// "... MUST return a 500 ... and MUST include a Retry-After header
				// field with a randomly chosen value of between 0 and 10 seconds"
				return &sip.StatusError{Code: 500, Header: "Retry-After: " + string('0'+s.NewTag()[0]%10)}
			}
		}
	}
	return nil
}

// byeReceived ends the call after the BYE was answered. In an early dialog it
// stands for a CANCEL (RFC 3261 §15).
func (c *Call) byeReceived(s *Shard) {
	if c.state == early {
		c.end(s, ErrCancelled)
		return
	}
	c.end(s, ErrPeerHungUp)
}

// Bye hangs up and waits until the other side has answered that, or ctx ends;
// the BYE goes out in any case. A call that we accepted and that has no ACK yet
// is hung up as soon as it has one (RFC 3261 §15). The error says that ctx ended
// first, or that the BYE got no answer; a call that is over has none.
func (c *Call) Bye(ctx context.Context, options ...Option) error {
	x, err := gather(options)
	if err != nil {
		return err
	}
	err = c.ss.in(c.shard, func(s *Shard) error {
		if c.state == early {
			return ErrNoCall
		}
		c.hangUp(s, x, ErrHungUp)
		return nil
	})
	if err != nil {
		return err
	}
	select {
	case <-c.ctx.Done():
		if cause := context.Cause(c.ctx); errors.Is(cause, ErrServerClosed) {
			return cause
		}
		return c.byeErr
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// hangUp sends the BYE, or lets the ACK send it.
func (c *Call) hangUp(s *Shard, x *extras, cause error) {
	switch c.state {
	case unacknowledged, confirmed:
	default:
		return
	}
	c.state = leaving
	if len(c.accepts) == 0 {
		c.sayBye(s, x, cause)
		return
	}
	for _, a := range c.accepts {
		a.then = func(s *Shard) { c.sayBye(s, x, cause) }
	}
}

// sayBye sends a BYE. Whatever comes back ends the call (RFC 3261 §15.1.1).
func (c *Call) sayBye(s *Shard, x *extras, cause error) {
	c.ask(s, sip.BYE, x, func(s *Shard, m *sip.Message, err error) {
		if err != nil && c.byeErr == nil && c.state != over {
			c.byeErr = err
		}
		c.end(s, cause)
	})
}

// minute bounds a dial that nobody waits for.
const minute = time.Minute

// reach gives the flow for the next request of the dialog: the connection that
// it lives on, whatever port a Route names; when that has gone another one of
// the same peer, else a new one: to the target that was called, or what
// Server.Reconnect makes. Who opened a WebSocket has to come back by itself.
func (c *Call) reach(s *Shard, done func(*Shard, Flow, error)) {
	if c.flow.Conn.Alive() {
		done(s, c.ss.srv.nextHop(c.flow, c.dialog.NextHop()), nil)
		return
	}
	if browser(c.flow.Conn) {
		done(s, Flow{}, transport.ErrClosed)
		return
	}
	if conn := c.ss.srv.Instead(c.flow.Conn); conn != nil {
		c.flow = Flow{Conn: conn}
		done(s, c.flow, nil)
		return
	}
	if peer := c.conn.Identity().Peer; c.target == nil && peer != "" && c.ss.srv.Reconnect != nil {
		c.ss.srv.Reconnect(s, peer, func(s *Shard, conn *transport.Conn) {
			if conn == nil {
				done(s, Flow{}, transport.ErrClosed)
				return
			}
			c.flow = Flow{Conn: conn}
			done(s, c.flow, nil)
		})
		return
	}
	if c.target == nil {
		done(s, Flow{}, transport.ErrClosed)
		return
	}
	ok := s.Go(func() func(*Shard) {
		ctx, stop := context.WithTimeout(c.ss.ctx, minute)
		defer stop()
		conn, err := c.ss.srv.Connect(ctx, *c.target)
		return func(s *Shard) {
			if err == nil {
				c.flow.Conn = conn
			}
			done(s, c.flow, err)
		}
	})
	if !ok {
		done(s, Flow{}, ErrOverload)
	}
}
