package ua

import (
	"context"
	"errors"
	"strings"

	"github.com/sallyport-sip/sallyport/sip"
	"github.com/sallyport-sip/sallyport/sip/dialog"
	"github.com/sallyport-sip/sallyport/sip/transaction"
)

// InviteOptions says whom to call. URI or To has to be set. From and To are
// URIs, or have a display name and the URI in angle brackets.
type InviteOptions struct {
	URI     string // Request-URI; that of To when empty
	To      string // URI when empty
	From    string // a URI of our address when empty
	Contact string // value of Contact; our address when empty
	// OnProgress gets each provisional response but 100, in order, in the goroutine
	// that called Invite. The message is its own. One that is slow misses some.
	OnProgress func(*sip.Message)
}

// maxProgress is how many provisional responses wait for a slow OnProgress.
const maxProgress = 16

// Invite calls somebody and waits for the call. The first 2xx makes it; those of
// other forks are acknowledged and hung up. The errors: a *ResponseError when
// the call was refused; that of the connection; one of transaction's when there
// was no answer; or that of ctx, which cancels the call by the rules of RFC 3261
// §9.1: Invite returns at once, and a 2xx that still comes is acknowledged and
// hung up.
//
// The server needs a Handler or none, not a ShardHandler, which would get the
// other side's requests in the call.
func (srv *Server) Invite(ctx context.Context, to Target, opts InviteOptions, options ...Option) (*Call, error) {
	x, err := gather(options)
	if err != nil {
		return nil, err
	}
	if srv.shards != nil && srv.sessions == nil {
		return nil, errors.New("ua: a server with a ShardHandler keeps no calls: send the INVITE with Shard.Request")
	}
	out := Outgoing{Method: sip.INVITE, URI: opts.URI, To: opts.To, From: opts.From, Contact: opts.Contact}
	if err := out.complete(); err != nil {
		return nil, err
	}
	var call *Call
	err = srv.reach(ctx, to, out.URI, func(to Target) (err error) {
		call, err = srv.invite(ctx, to, out, x, opts.OnProgress)
		return err
	})
	return call, err
}

// invite sends the INVITE to one server.
func (srv *Server) invite(ctx context.Context, to Target, out Outgoing, x *extras, onProgress func(*sip.Message)) (*Call, error) {
	if err := to.fits(out.URI); err != nil {
		return nil, err
	}
	conn, err := srv.Connect(ctx, to)
	if err != nil {
		return nil, unreached{err}
	}
	o := &outgoing{
		ss: srv.sessions, target: to, flow: Flow{conn, to.Addr},
		acks:     map[string]*ack{},
		progress: make(chan *sip.Message, maxProgress),
		waiter:   waiter{result: make(chan outcome, 1)},
	}
	shard := srv.shards[srv.pick("")]
	if err := srv.sessions.in(shard, func(s *Shard) error { return o.start(s, out, x) }); err != nil {
		return nil, err
	}
	return o.wait(ctx, shard, onProgress)
}

// wait serves OnProgress until the call is made or not.
func (o *outgoing) wait(ctx context.Context, shard *Shard, onProgress func(*sip.Message)) (*Call, error) {
	for {
		select {
		case m := <-o.progress:
			if onProgress != nil {
				onProgress(m)
			}
			continue
		default:
		}
		select {
		case m := <-o.progress:
			if onProgress != nil {
				onProgress(m)
			}
		case result := <-o.result:
			for len(o.progress) > 0 && onProgress != nil {
				onProgress(<-o.progress)
			}
			return result.call, result.err
		case <-ctx.Done():
			// When the server has ended there is nothing left to cancel.
			_ = o.ss.in(shard, func(s *Shard) error {
				o.abandon(s)
				return nil
			})
			return nil, context.Cause(ctx)
		case <-shard.ended:
			return nil, ErrServerClosed
		}
	}
}

// outgoing is an INVITE of ours and all that becomes of it, until timer M has
// passed. Owned by the shard.
type outgoing struct {
	waiter
	withdrawal
	ss       *sessions
	target   Target
	flow     Flow
	contact  string
	uac      *dialog.UAC
	login    extras          // credentials of the INVITE, which its ACK repeats
	acks     map[string]*ack // by remote tag
	progress chan *sip.Message
	winner   *Call
	settled  bool
	given    bool // up: nobody waits for the call any more
}

// ack is the ACK to a 2xx, sent again for each copy of that. b is nil until it
// could be sent once.
type ack struct {
	flow Flow
	b    []byte
}

func (o *outgoing) start(s *Shard, out Outgoing, x *extras) error {
	srv := o.ss.srv
	if out.Contact == "" && !x.has("Contact") {
		sips := len(out.URI) > 5 && strings.EqualFold(out.URI[:5], "sips:")
		out.Contact = srv.contact(o.flow, userOf(out.From), sips)
	}
	o.contact = out.Contact
	for _, f := range x.fields {
		switch {
		case strings.EqualFold(f.name, "Contact"):
			o.contact = f.value
		case strings.EqualFold(f.name, "Authorization"), strings.EqualFold(f.name, "Proxy-Authorization"):
			o.login.fields = append(o.login.fields, f)
		}
	}
	b, branch := srv.build(s, o.flow, &out, x)
	m, err := sip.Parse(b)
	defer m.Release()
	if err == nil {
		err = m.Check()
	}
	if err != nil {
		return err
	}
	if o.uac, err = dialog.NewUAC(m, o.target.Transport.Secure()); err != nil {
		return err
	}
	o.branch = branch
	s.launch(o.flow, o.target.Peer, sip.INVITE, branch, b, o)
	return nil
}

// left and still make outgoing a sender.
func (o *outgoing) left(tx *ClientTx, f Flow, b []byte) { o.withdrawal.left(tx, f, b) }
func (o *outgoing) still(*Shard) bool                   { return !o.given }

func userOf(nameAddr string) string {
	a, err := sip.ParseAddress([]byte(nameAddr))
	if err != nil {
		return ""
	}
	u, err := a.URI()
	if err != nil {
		return ""
	}
	return string(u.User)
}

func (o *outgoing) settle(r outcome) {
	o.settled = true
	o.waiter.settle(r)
}

// Response makes outgoing a ClientUser.
func (o *outgoing) Response(s *Shard, _ *ClientTx, m *sip.Message) {
	switch code := m.StatusCode(); {
	case code < 200:
		o.provisional(s)
		if code > 100 && !o.given {
			select {
			case o.progress <- m.Clone():
			default:
			}
		}
	case code < 300:
		o.accepted(s, m)
	default:
		o.tx = nil
		o.settle(outcome{err: newResponseError(m)})
	}
}

// ClientDone makes outgoing a ClientUser.
func (o *outgoing) ClientDone(_ *Shard, _ *ClientTx, err error) {
	o.tx = nil
	if !o.settled {
		if err == nil {
			err = transaction.ErrTimeout
		}
		o.settle(outcome{err: err})
	}
}

// accepted acknowledges a 2xx, each copy and that of each fork (RFC 3261
// §13.2.2.4). The first one makes the call.
func (o *outgoing) accepted(s *Shard, m *sip.Message) {
	o.tx = nil // too late for a CANCEL
	d, _, err := o.uac.Response(m)
	if err != nil {
		// Nobody can be told: the ACK has nowhere to go.
		if !o.settled {
			o.settle(outcome{err: err})
		}
		return
	}
	if a := o.acks[d.ID.RemoteTag]; a != nil {
		a.again(s)
		return
	}
	call := newCall(o.ss, s, d, o.flow, confirmed)
	call.target, call.contact = &o.target, o.contact
	call.register(s)
	call.confirm(m)
	a := &ack{}
	o.acks[d.ID.RemoteTag] = a
	call.acknowledge(s, o.uac.Seq, &o.login, a)
	if o.winner == nil && !o.given {
		o.winner = call
		o.settle(outcome{call: call})
		return
	}
	call.hangUp(s, &extras{}, ErrHungUp)
}

// abandon withdraws the INVITE, or hangs up what it has made meanwhile.
func (o *outgoing) abandon(s *Shard) {
	o.given = true
	if o.winner != nil {
		o.winner.hangUp(s, &extras{}, ErrHungUp)
		return
	}
	o.withdraw(s)
}
