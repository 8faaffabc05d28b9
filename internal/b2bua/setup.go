package b2bua

import (
	"errors"
	"fmt"

	"github.com/sallyport-sip/sallyport/internal/callflow"
	"github.com/sallyport-sip/sallyport/internal/cross"
	"github.com/sallyport-sip/sallyport/internal/peer"
	"github.com/sallyport-sip/sallyport/sip"
	"github.com/sallyport-sip/sallyport/sip/transaction"
	"github.com/sallyport-sip/sallyport/sip/transport"
	"github.com/sallyport-sip/sallyport/sip/ua"
)

// setup is the INVITE that begins a call: the caller's server transaction, and
// one attempt after the other to find a target that answers. Owned by the shard.
type setup struct {
	call    *Call
	server  *ua.ServerTx
	invite  *sip.Message // the caller's, kept until nobody will see it any more
	hops    int          // Max-Forwards for the next leg
	secure  bool
	targets []*peer.Peer
	next    int              // of targets
	spared  []*peer.Peer     // targets passed over for being down, which are asked last
	last    bool             // those are asked now
	asked   int              // targets so far
	attempt *attempt         // the one under way; nil after the last
	open    int              // attempts whose transaction is not over, those given up too
	cause   *sip.StatusError // why the last target failed
	held    *answer          // the answer that waits for its record; see hold.go
	final   bool             // the caller has a final response
}

// Invite is a request to begin a call that has passed every check.
type Invite struct {
	Tx      *ua.ServerTx
	Packet  *transport.Packet
	From    *peer.Peer
	Targets []*peer.Peer
	Secure  bool   // the Request-URI is a sips: one
	SIPS    bool   // the caller's dialogs are sips:, for the Request-URI or what cross.Begins says
	Hops    int    // Max-Forwards for the next leg
	Route   string // the row of the routes that decided
	Why     string // the route decision, for the flow
}

// Start makes a call and tries its first target. The error refuses an INVITE
// that is above a limit of its caller or cannot make a dialog.
func (e *Engine) Start(s *ua.Shard, inv Invite) error {
	if err := e.welcome(s, inv); err != nil {
		return err
	}
	c := e.newCall(s)
	in, err := newCaller(s, c, inv)
	if err != nil {
		inv.From.State.In.Undo(inv.From.Limits.RateIn)
		delete(c.calls.all, c)
		c.uncount()
		return err
	}
	c.in = in
	c.setup = &setup{
		call: c, server: inv.Tx, invite: inv.Packet.Msg.Clone(),
		hops: inv.Hops, secure: inv.Secure, targets: inv.Targets,
	}
	inv.Tx.User, inv.Tx.Tag = c.setup, []byte(in.localTag)
	c.began(s, inv)
	c.record(callflow.LegCreated, c.in, 0, "call from "+inv.From.Name)
	to, passed := c.setup.pick(s)
	c.record(callflow.RouteDecided, c.in, 0, inv.Why+passed)
	c.setup.try(s, to)
	return nil
}

// done says that neither a late response nor a result can come any more.
func (u *setup) done() bool { return u.final && u.open == 0 }

// fail answers the caller after the last target has failed.
func (u *setup) fail(s *ua.Shard) {
	cause := u.cause
	if cause == nil {
		cause = &sip.StatusError{Code: 480}
	}
	why := "no target is left"
	if cause.Err != nil {
		why = cause.Err.Error()
	}
	u.call.ended(nil, cause.Code, "", why)
	u.refuse(s, &sip.StatusError{Code: cause.Code, Reason: cause.Reason, Header: cause.Header})
}

// refuse ends the call with a final response of ours.
func (u *setup) refuse(s *ua.Shard, e *sip.StatusError) {
	var b sip.Builder
	u.server.Response(&b, e.Code, e.Phrase(), []byte(u.call.in.localTag), len(e.Header)+2+cross.SessionRoom)
	if e.Header != "" {
		b.Raw([]byte(e.Header + "\r\n"))
	}
	u.call.in.answering().Own(&b)
	u.finally(s, e.Code, b.Finish(nil))
}

// finally sends the final response to the caller and ends the call's setup.
func (u *setup) finally(s *ua.Shard, code int, b []byte) {
	if u.final {
		return
	}
	u.final = true
	if u.attempt != nil {
		s.Stop(&u.attempt.timer)
		u.drop(s, parting{reason: u.attempt.cancel})
	}
	s.Respond(u.server, code, b)
	u.invite.Release()
	u.invite = nil
	u.call.ended(nil, code, "", sip.StatusText(code))
	if code >= 300 {
		u.call.state = over
		u.call.finish()
	}
}

// ServerDone ends the caller's INVITE transaction; it makes the setup a ua.ServerUser.
func (u *setup) ServerDone(s *ua.Shard, _ *ua.ServerTx, err error) {
	if err != nil && !errors.Is(err, transaction.ErrTransport) {
		u.call.record(callflow.TimedOut, u.call.in, 0, "the caller did not acknowledge the final response")
	}
}

// reject passes a target's refusal to the caller. A challenge was meant for us:
// the caller has no account there.
func (u *setup) reject(s *ua.Shard, a *attempt, m *sip.Message) {
	code, reason := m.StatusCode(), string(m.Reason())
	if code == 401 || code == 407 {
		u.call.record(callflow.Noted, a.leg, code, fmt.Sprintf("%s asked for credentials with %d, and none are configured", a.leg.Peer.Name, code))
		code, reason = 403, ""
	}
	u.call.ended(a.leg, code, reasonOf(m), fmt.Sprintf("%s answered %d %s", a.leg.Peer.Name, m.StatusCode(), m.Reason()))
	var b sip.Builder
	u.server.Response(&b, code, reason, u.tagFor(a, m), roomFor(m))
	if code == 503 {
		// Its Retry-After is about the target: a caller would hold it against us.
		cross.Headers(&b, m, u.call.in.across(a.leg), sip.HdrRetryAfter)
	} else {
		cross.Headers(&b, m, u.call.in.across(a.leg))
	}
	u.finally(s, code, b.Finish(m.Body()))
}

// tagFor is the To tag under which the caller sees a response's dialog.
func (u *setup) tagFor(a *attempt, m *sip.Message) []byte {
	if to, err := m.To(); err == nil {
		if f := a.leg.fork([]byte(a.leg.localTag), to.Tag()); f != nil {
			return []byte(f.joined.dialog.ID.LocalTag)
		}
	}
	return []byte(u.call.in.localTag)
}

// progress passes a provisional response to the caller.
func (u *setup) progress(s *ua.Shard, a *attempt, m *sip.Message) {
	tag := u.call.in.localTag
	f := u.fork(s, a, m)
	if f != nil {
		if f.left {
			return // the caller has ended that dialog
		}
		tag = f.joined.dialog.ID.LocalTag
		f.joined.responded(sip.INVITE, m)
	}
	var b sip.Builder
	u.server.Response(&b, m.StatusCode(), string(m.Reason()), []byte(tag), roomFor(m))
	u.call.in.dialogHeaders(&b, u.invite)
	cross.Headers(&b, m, u.call.in.across(a.leg))
	f.spoke()
	s.Respond(u.server, m.StatusCode(), b.Finish(m.Body()))
	u.call.in.hop.response(s.Now(), m.StatusCode())
	a.tellProgress(m.StatusCode())
}

// fork returns the dialog that a response to the INVITE belongs to, and makes
// it with its counterpart on the caller's leg when it is new; nil when the
// response makes none (RFC 3261 §12.1).
func (u *setup) fork(s *ua.Shard, a *attempt, m *sip.Message) *fork {
	d, created := a.leg.response(m)
	if d == nil {
		return nil
	}
	if !created {
		return a.leg.fork([]byte(d.ID.LocalTag), []byte(d.ID.RemoteTag))
	}
	f := &fork{leg: a.leg, dialog: d}
	a.leg.forks = append(a.leg.forks, f)
	f.joined = u.call.in.counterpart(s, f)
	return f
}
