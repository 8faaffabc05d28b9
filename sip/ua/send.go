package ua

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/sallyport-sip/sallyport/sip"
	"github.com/sallyport-sip/sallyport/sip/transaction"
)

// Outgoing is a request outside any dialog. URI or To has to be set. From and To
// are URIs, or have a display name and the URI in angle brackets.
type Outgoing struct {
	Method  sip.Method
	URI     string // Request-URI; that of To when empty
	To      string // URI when empty
	From    string // a URI of our address when empty
	Contact string // value of Contact; none when empty
	// CallID and CSeq continue what an earlier request began, such as a
	// registration; a new Call-ID and 1 when they are zero.
	CallID string
	CSeq   uint32
}

// Send sends a request other than INVITE in a transaction of its own and
// returns the final response, whatever its code; the message is the caller's.
// The error says that there was none: that of the connection, of ctx, or one of
// transaction's. When ctx ends, nobody waits for the response any more; a
// request other than INVITE cannot be cancelled (RFC 3261 §9.1).
func (srv *Server) Send(ctx context.Context, to Target, out Outgoing, options ...Option) (*sip.Message, error) {
	x, err := gather(options)
	if err != nil {
		return nil, err
	}
	switch out.Method {
	case sip.INVITE, sip.ACK, sip.CANCEL, "":
		return nil, fmt.Errorf("ua: send %q: an INVITE is sent by Invite; ACK and CANCEL are the library's", out.Method)
	}
	if err := out.complete(); err != nil {
		return nil, err
	}
	var m *sip.Message
	err = srv.reach(ctx, to, out.URI, func(to Target) (err error) {
		if m != nil {
			m.Release() // of a server that was busy
		}
		m, err = srv.send(ctx, to, out, x)
		if err == nil && m.StatusCode() == 503 {
			return errUnavailable
		}
		return err
	})
	if err == errUnavailable { // by all of them
		err = nil
	}
	return m, err
}

// send sends the request to one server.
func (srv *Server) send(ctx context.Context, to Target, out Outgoing, x *extras) (*sip.Message, error) {
	if err := to.fits(out.URI); err != nil {
		return nil, err
	}
	conn, err := srv.Connect(ctx, to)
	if err != nil {
		return nil, unreached{err}
	}
	w := &waiter{result: make(chan outcome, 1)}
	shard := srv.pick(out.CallID)
	sent := srv.Do(shard, func(s *Shard) {
		if s.quit {
			w.settle(outcome{err: ErrServerClosed})
			return
		}
		f := Flow{conn, to.Addr}
		b, branch := srv.build(s, f, &out, x)
		s.launch(f, to.Peer, out.Method, branch, b, w)
	})
	if !sent {
		return nil, ErrServerClosed
	}
	return srv.await(ctx, shard, w.result)
}

// outcome is what becomes of a request.
type outcome struct {
	msg  *sip.Message
	call *Call
	err  error
}

// waiter is the ClientUser of a request that somebody waits for.
type waiter struct {
	result chan outcome // takes one
}

func (w *waiter) settle(o outcome) {
	select {
	case w.result <- o:
	default: // it has one
	}
}

// left and still make the waiter a sender.
func (w *waiter) left(*ClientTx, Flow, []byte) {}
func (w *waiter) still(*Shard) bool            { return true }

// Response makes the waiter a ClientUser.
func (w *waiter) Response(_ *Shard, _ *ClientTx, m *sip.Message) {
	if m.StatusCode() >= 200 {
		w.settle(outcome{msg: m.Clone()})
	}
}

// ClientDone makes the waiter a ClientUser.
func (w *waiter) ClientDone(_ *Shard, _ *ClientTx, err error) {
	if err == nil {
		err = transaction.ErrTimeout // a transaction that ended has had its response
	}
	w.settle(outcome{err: err})
}

// await waits for a final response.
func (srv *Server) await(ctx context.Context, shard int, result <-chan outcome) (*sip.Message, error) {
	select {
	case o := <-result:
		return o.msg, o.err
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	case <-srv.shards[shard].ended:
	}
	select {
	case o := <-result:
		return o.msg, o.err
	default:
		return nil, ErrServerClosed
	}
}

// pick chooses the shard of a new request: that of its Call-ID, or the next.
func (srv *Server) pick(callID string) int {
	if callID != "" {
		return srv.shardOf([]byte(callID))
	}
	return int(srv.next.Add(1) % uint64(len(srv.shards)))
}

// complete fills in what was left out and checks the rest.
func (out *Outgoing) complete() (err error) {
	if out.URI == "" && out.To == "" {
		return errors.New("ua: a request needs a URI or a To")
	}
	if out.To == "" {
		out.To = out.URI
	}
	if out.To, err = nameAddr("To", out.To); err != nil {
		return err
	}
	if out.URI == "" {
		a, err := sip.ParseAddress([]byte(out.To))
		if err != nil {
			return fmt.Errorf("ua: To: %w", err)
		}
		out.URI = string(a.RawURI)
	}
	if _, err := sip.ParseURI([]byte(out.URI)); err != nil {
		return fmt.Errorf("ua: URI %s: %w", out.URI, err)
	}
	if out.From != "" {
		if out.From, err = nameAddr("From", out.From); err != nil {
			return err
		}
	}
	if !oneLine(out.Contact) || !oneLine(out.CallID) || !oneLine(string(out.Method)) {
		return errors.New("ua: Contact, CallID or Method has a line break or another control character in it")
	}
	if out.CSeq == 0 {
		out.CSeq = 1
	}
	return nil
}

// nameAddr puts a bare URI into angle brackets, so that its parameters stay its
// own, and checks the whole.
func nameAddr(header, v string) (string, error) {
	if !strings.Contains(v, "<") {
		v = "<" + v + ">"
	}
	a, err := sip.ParseAddress([]byte(v))
	if err != nil {
		return "", fmt.Errorf("ua: %s %s: %w", header, v, err)
	}
	if _, err := a.URI(); err != nil {
		return "", fmt.Errorf("ua: %s %s: %w", header, v, err)
	}
	if a.Tag() != nil || !oneLine(v) {
		return "", fmt.Errorf("ua: %s %q: the tag is the library's, and a line break does not belong there", header, v)
	}
	return v, nil
}

// build writes a request outside any dialog. It fills in the Call-ID and From
// that were left open.
func (srv *Server) build(s *Shard, f Flow, out *Outgoing, x *extras) (b, branch []byte) {
	if out.CallID == "" {
		out.CallID = string(s.NewCallID())
	}
	if out.From == "" {
		out.From = "<sip:" + srv.place(f) + ">"
	}
	branch = s.NewBranch()
	var w sip.Builder
	w.Reset(make([]byte, 0, x.size()))
	w.Request(out.Method, []byte(out.URI))
	srv.via(&w, f, branch)
	w.Header("Max-Forwards", "70")
	w.Header("From", out.From, ";tag=", string(s.NewTag()))
	w.Header("To", out.To)
	w.Header("Call-ID", out.CallID)
	w.CSeq(out.CSeq, out.Method)
	if out.Contact != "" {
		w.Header("Contact", out.Contact)
	}
	return x.finish(&w), branch
}
