package ua

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/netip"
	"sync/atomic"

	"github.com/sallyport-sip/sallyport/sip"
	"github.com/sallyport-sip/sallyport/sip/transaction"
	"github.com/sallyport-sip/sallyport/sip/transport"
)

// Request is a request that a Handler serves. Its methods may be called from
// any goroutine, but not after ServeSIP has returned.
type Request struct {
	// Msg is the request. It is valid until ServeSIP returns; who keeps more of it
	// copies that, or all of it with Clone.
	Msg *sip.Message

	ss     *sessions
	shard  *Shard
	tx     *ServerTx
	method sip.Method
	ctx    context.Context
	cancel context.CancelCauseFunc
	inside *Call // the call that the request came in
	made   *Call // the call that an INVITE makes when it is accepted

	answered  atomic.Bool // it has a final response; set in the shard
	cancelled bool        // and the 487 is on its way; owned by the shard
	tag       []byte      // our To tag; owned by the shard
}

// newRequest makes what the handler gets. It is answered with refusal when its
// dialog cannot be made.
func newRequest(ss *sessions, s *Shard, tx *ServerTx, p *transport.Packet, inside *Call) (r *Request, refusal *sip.StatusError) {
	r = &Request{ss: ss, shard: s, tx: tx, method: p.Msg.Method(), inside: inside, tag: s.NewTag()}
	tx.Tag = r.tag
	parent := ss.ctx
	switch {
	case inside != nil:
		parent = inside.ctx
		inside.pending[r] = struct{}{}
	case r.method == sip.INVITE:
		var err error
		if r.made, err = newServerCall(ss, s, p, r.tag); err != nil {
			return nil, statusOf(err)
		}
		parent = r.made.ctx
		r.made.pending[r] = struct{}{}
	}
	r.ctx, r.cancel = context.WithCancelCause(parent)
	r.Msg = p.Msg.Clone()
	tx.User = r
	return r, nil
}

func statusOf(err error) *sip.StatusError {
	if status, ok := errors.AsType[*sip.StatusError](err); ok {
		return status
	}
	return &sip.StatusError{Code: 500, Err: err}
}

// Conn is the connection that the request came on.
func (r *Request) Conn() *transport.Conn { return r.tx.Conn() }

// Source is the address that the request came from.
func (r *Request) Source() netip.AddrPort { return r.tx.Source() }

// TLS is the state of the connection's TLS, nil without it. It must not be
// changed.
func (r *Request) TLS() *tls.ConnectionState { return r.tx.Conn().TLS() }

// Identity is who is on the other side, as the server's Identify hook found; without
// that hook its Names are the SIP domains and addresses that the certificate
// proved. See Proves.
func (r *Request) Identity() transport.Identity { return r.tx.Conn().Identity() }

// Call is the call that the request came in, nil outside of one.
func (r *Request) Call() *Call { return r.inside }

// Context ends when ServeSIP returns or nobody waits for the answer any more:
// by a CANCEL to an INVITE (its cause is ErrCancelled then), by the end of the
// call that the request came in or that Accept made of it, or by the server's end.
func (r *Request) Context() context.Context { return r.ctx }

// Reply sends a response: any number of provisional ones, 101 to 199, and one
// final. The library has sent the 100 for an INVITE; what accepts an INVITE is
// Accept, not Reply. It returns ErrAnswered, ErrCancelled or ErrServerClosed
// when there is nothing to be answered any more.
func (r *Request) Reply(code int, options ...Option) error {
	x, err := gather(options)
	switch {
	case err != nil:
		return err
	case code < 101 || code > 699:
		return fmt.Errorf("ua: reply with status %d: want one from 101 to 699", code)
	case code/100 == 2 && r.method == sip.INVITE:
		return errors.New("ua: a 2xx to an INVITE makes a call: use Accept")
	}
	return r.ss.in(r.shard, func(s *Shard) error {
		_, err := r.respond(s, code, x)
		return err
	})
}

// Accept answers an INVITE with 200 and sends that again until its ACK comes
// (RFC 3261 §13.3.1.4). The call lives on when ServeSIP returns. It ends with
// ErrNoAck when no ACK comes in 64*T1. For a re-INVITE it returns the call that
// exists. The errors are those of Reply.
func (r *Request) Accept(options ...Option) (*Call, error) {
	x, err := gather(options)
	switch {
	case err != nil:
		return nil, err
	case r.method != sip.INVITE:
		return nil, fmt.Errorf("ua: accept a %s: only an INVITE makes a call", r.method)
	}
	call := r.inside
	if call == nil {
		call = r.made
	}
	err = r.ss.in(r.shard, func(s *Shard) error {
		switch {
		case call.state == leaving:
			return ErrNoCall
		case r.made != nil && r.ss.draining.Load() && !r.answered.Load():
			r.refuse(s, unavailable)
			return ErrServerClosed
		}
		b, err := r.respond(s, 200, x)
		if err != nil {
			return err
		}
		call.accepted(s, r, b)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return call, nil
}

// respond writes and sends a response, in the shard while the caller waits.
func (r *Request) respond(s *Shard, code int, x *extras) ([]byte, error) {
	switch {
	case r.cancelled:
		return nil, ErrCancelled
	case r.answered.Load():
		return nil, ErrAnswered
	}
	var b sip.Builder
	r.tx.Response(&b, code, x.reason, r.tag, x.size())
	call := r.made
	if call == nil {
		call = r.inside
	}
	if call != nil && code < 300 && call.names(r.method) {
		if r.made != nil {
			recordRoutes(&b, r.Msg)
		}
		if !x.has("Contact") {
			b.Header("Contact", call.contact)
		}
	}
	out := x.finish(&b)
	if r.inside != nil && code/100 == 2 {
		if err := call.dialog.Refresh(r.Msg); err != nil {
			return nil, err
		}
	}
	if code >= 200 {
		r.finished(s)
	} else if r.made != nil {
		r.made.register(s) // an early dialog, which a BYE may end
	}
	if !s.Respond(r.tx, code, out) {
		return nil, ErrAnswered
	}
	if r.made != nil && code >= 300 {
		r.made.end(s, ErrNoCall)
	}
	return out, nil
}

// recordRoutes copies what makes the caller's route set (RFC 3261 §12.1.1).
func recordRoutes(b *sip.Builder, m *sip.Message) {
	for f := range m.Fields() {
		if f.ID == sip.HdrRecordRoute {
			b.HeaderBytes("Record-Route", f.Value)
		}
	}
}

// refuse sends a final response of the library's own, unless there is one.
func (r *Request) refuse(s *Shard, e *sip.StatusError) {
	if r.answered.Load() {
		return
	}
	r.finished(s)
	var b sip.Builder
	r.tx.Response(&b, e.Code, e.Phrase(), r.tag, len(e.Header)+2)
	if e.Header != "" {
		b.Raw([]byte(e.Header + "\r\n"))
	}
	s.Respond(r.tx, e.Code, b.Finish(nil))
	if r.made != nil {
		r.made.end(s, ErrNoCall)
	}
}

// finished notes that the request has its final response.
func (r *Request) finished(*Shard) {
	r.answered.Store(true)
	if call := r.inside; call != nil {
		delete(call.pending, r)
	} else if r.made != nil {
		delete(r.made.pending, r)
	}
}

// serve is the handler's goroutine.
func (r *Request) serve() {
	r.ss.handler.ServeSIP(r)
	if !r.answered.Load() {
		// The only error is the end of the server, and then nobody is answered.
		_ = r.ss.in(r.shard, func(s *Shard) error {
			r.refuse(s, &sip.StatusError{Code: 500})
			return nil
		})
	}
	r.end()
}

// end gives back what the request holds.
func (r *Request) end() {
	r.cancel(nil)
	r.Msg.Release()
	r.Msg = nil
}

// MayCancel makes the request a ServerUser.
func (r *Request) MayCancel(_ *Shard, _ *ServerTx, p *transport.Packet) bool {
	return sameParty(r.tx.Conn(), p.Conn)
}

// Cancelled makes the request a ServerUser: "the CANCEL request has no effect"
// once there is a final response (RFC 3261 §9.2).
func (r *Request) Cancelled(s *Shard, _ *ServerTx, _ *transport.Packet) {
	if r.method != sip.INVITE || r.answered.Load() || r.cancelled {
		return
	}
	r.cancelled = true
	if r.made != nil {
		r.made.end(s, ErrCancelled)
	} else {
		r.terminate(s, ErrCancelled)
	}
}

// terminate answers with 487 and tells the handler why.
func (r *Request) terminate(s *Shard, cause error) {
	r.cancelled = true
	r.cancel(cause)
	r.refuse(s, &sip.StatusError{Code: 487})
}

// ServerDone makes the request a ServerUser.
func (r *Request) ServerDone(s *Shard, _ *ServerTx, err error) {
	if r.answered.Load() {
		return
	}
	// Only a request other than INVITE ends without an answer, by its time.
	r.finished(s)
	if err == nil {
		err = transaction.ErrTimeout
	}
	r.cancel(err)
}
