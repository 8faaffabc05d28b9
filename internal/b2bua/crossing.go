package b2bua

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/sallyport-sip/sallyport/internal/callflow"
	"github.com/sallyport-sip/sallyport/internal/cross"
	"github.com/sallyport-sip/sallyport/internal/peer"
	"github.com/sallyport-sip/sallyport/sip"
	"github.com/sallyport-sip/sallyport/sip/dialog"
	"github.com/sallyport-sip/sallyport/sip/transaction"
	"github.com/sallyport-sip/sallyport/sip/transport"
	"github.com/sallyport-sip/sallyport/sip/ua"
)

// exchange is a request inside a dialog that crosses from one leg to the other:
// a re-INVITE, PRACK, UPDATE, INFO or anything else but BYE. Owned by the shard.
type exchange struct {
	call   *Call
	near   *fork // where the request came from
	far    *fork // where it goes to
	method sip.Method
	server *ua.ServerTx
	client *ua.ClientTx

	bytes, branch []byte // of the request on the far leg
	sent          []byte // bytes as they left, which differ over TCP instead of UDP
	again         int    // how often it was sent again, on another connection

	nearSeq, farSeq uint32
	target          string // where the near side moves to when the request is accepted

	usage   *subscription // that it belongs to, if any
	last    bool          // of a NOTIFY: the subscription ends with it
	expires time.Duration // of a NOTIFY: how long the subscription lasts

	reason     string // the Reason of the CANCEL that is due
	cancelled  bool
	rang       bool
	cancelSent bool
	final      bool // the near leg has a final response
}

// cross passes a request on to the other leg.
func (c *Call) cross(s *ua.Shard, f *fork, tx *ua.ServerTx, p *transport.Packet) {
	m := p.Msg
	far := f.partner()
	if far == nil {
		s.Reply(tx, &sip.StatusError{Code: 481})
		return
	}
	if n, ok := m.MaxForwards(); ok && n == 0 {
		s.Reply(tx, &sip.StatusError{Code: 483})
		return
	}
	if err := cmp.Or(c.glare(f, m), c.busy(m.Method()), c.crowded(s, m.Method())); err != nil {
		s.Reply(tx, err)
		return
	}
	if m.Method() == sip.REFER && bytes.Contains(bytes.ToLower(m.First(sip.HdrReferTo)), []byte("replaces=")) {
		// It names a dialog that only this leg's side knows.
		s.Reply(tx, &sip.StatusError{Code: 501, Reason: "Attended Transfer Not Supported"})
		return
	}
	down, err := cross.Refers(m, f.leg.Peer, far.leg.Peer, f.leg.Secure, f.leg.Place)
	if err != nil {
		c.record(callflow.Noted, f.leg, err.Code, err.Err.Error())
		s.Reply(tx, err)
		return
	}
	if down {
		c.record(callflow.Noted, f.leg, 0, f.leg.Peer.Name+" refers from a sips: call to a sip: URI; whether to follow is for who is referred to say (RFC 5630 §5.1.1.3)")
	}
	cseq, _ := m.CSeq()
	x := &exchange{call: c, near: f, far: far, method: m.Method(), server: tx, nearSeq: cseq.Seq}
	d := draft{method: x.method, across: m}
	switch x.method {
	case sip.PRACK:
		rack, err := far.leg.rack(m)
		if err != nil {
			s.Reply(tx, err)
			return
		}
		d.fields = rack
	case sip.NOTIFY:
		x.usage = c.subscriptionOf(far, f, m)
		x.last, x.expires = cross.Notice(m)
		d.fields = x.usage.eventAcross(m)
	case sip.SUBSCRIBE:
		d.fields = c.subscriptionOf(f, far, m).eventAcross(m)
	}
	if d.fields != nil {
		d.but = sip.HdrEvent
	}
	x.farSeq = far.dialog.NextSeq()
	x.target, _ = dialog.Target(m)
	if x.method == sip.INVITE {
		far.leg.round = round{x.nearSeq, x.farSeq}
	}
	c.subscribe(s, x, m)
	f.requested(m)
	tx.User = x
	c.passing = append(c.passing, x)
	d.seq = x.farSeq
	x.bytes, x.branch = far.request(s, d)
	x.send(s)
}

// How many requests may cross at once in a call's dialogs, and how many INVITEs may
// have been answered within 64*T1: far more than any device has, and no way to make
// the gateway keep, and search, as many as one likes.
const (
	maxPassing = 64
	maxAnswers = 32
)

// busy refuses a request when too many others cross.
func (c *Call) busy(method sip.Method) *sip.StatusError {
	if len(c.passing) >= maxPassing || method == sip.INVITE && len(c.answers) >= maxAnswers {
		return cross.Later()
	}
	return nil
}

func (x *exchange) send(s *ua.Shard) {
	x.far.leg.reach(s, x.far, func(s *ua.Shard, flow ua.Flow, err error) {
		if x.final {
			return
		}
		if err != nil {
			x.call.record(callflow.TargetFailed, x.far.leg, 503, err.Error())
			x.fail(s, 503)
			return
		}
		x.fit(s, flow)
	})
}

// fit sends the request, over TCP when it is too large for UDP.
func (x *exchange) fit(s *ua.Shard, flow ua.Flow) {
	leave := func(s *ua.Shard, on ua.Flow, b []byte) {
		if !x.final {
			x.sent = b
			x.client = s.Request(on, x.method, x.branch, b, x)
		}
	}
	if peer.TooLarge(flow, x.bytes) {
		x.call.engine.ways.Fit(s, x.far.leg.Peer, flow, x.bytes, leave)
		return
	}
	leave(s, flow, x.bytes)
}

// rack writes the RAck of a PRACK to the leg: the response number is the far
// side's own and passes, the INVITE's CSeq number is the leg's (RFC 3262 §7.2).
// One that names no INVITE that the leg has seen has nothing to acknowledge.
func (l *Leg) rack(m *sip.Message) ([]byte, *sip.StatusError) {
	number, rest, ok := bytes.Cut(bytes.TrimSpace(m.First(sip.HdrRAck)), []byte(" "))
	seq, _, _ := bytes.Cut(bytes.TrimLeft(rest, " "), []byte(" "))
	n, err := strconv.ParseUint(string(seq), 10, 32)
	switch {
	case !ok || err != nil:
		return nil, &sip.StatusError{Code: 400, Reason: "Bad Request: RAck"}
	case uint32(n) != l.round.nearSeq:
		return nil, &sip.StatusError{Code: 481}
	}
	return fmt.Appendf(nil, "RAck: %s %d INVITE\r\n", number, l.round.farSeq), nil
}

// Response makes the exchange a ua.ClientUser.
func (x *exchange) Response(s *ua.Shard, _ *ua.ClientTx, m *sip.Message) {
	code := m.StatusCode()
	if code < 200 {
		x.rang = true
		if x.cancelled {
			x.sendCancel(s)
		}
	}
	if code == 100 {
		return
	}
	if x.final {
		if code >= 200 && code < 300 && x.method == sip.INVITE {
			x.call.again(s, x.far, x.farSeq)
		}
		return
	}
	x.accept(m)
	x.near.responded(x.method, m)
	x.pass(s, m)
	if code < 200 {
		return
	}
	x.call.notified(s, x, code, m)
	if x.fatal(code) {
		var left *fork
		if code == 481 {
			left = x.far // who does not know the dialog needs no BYE
		}
		x.call.endFor(s, left, code, fmt.Sprintf("%s answered %d to %s", x.far.leg.Peer.Name, code, x.method))
	}
}

// accept moves the remote targets of both dialogs when a target refresh request
// is accepted: by a 2xx, or an INVITE by a reliable 1xx. One that is refused
// changes nothing (RFC 3261 §14.1).
func (x *exchange) accept(m *sip.Message) {
	code := m.StatusCode()
	if code >= 300 || code < 200 && !m.Has(sip.HdrRSeq) {
		return
	}
	if x.target != "" {
		x.near.dialog.Target = x.target
	}
	if err := x.far.leg.fault(m); err != nil {
		x.call.record(callflow.Noted, x.far.leg, code, "its target stays where it was: "+err.Error())
	} else {
		x.far.dialog.Refresh(m) // that of the 2xx; one that is no target is as good as none
	}
	if code >= 200 {
		x.call.refreshed(x.method, m)
	}
}

// fatal says whether a final response, a 408 standing for none, means that the
// session is over at the far leg. Those of another usage do not, nor any to a
// PRACK, whose 481 only says that there was no such 1xx (RFC 3262 §3), nor to a
// MESSAGE or OPTIONS: that one request was not for this side. An INFO is of the
// session, but its contents may be refused in any words.
func (x *exchange) fatal(code int) bool {
	if x.far != x.far.leg.winner {
		return false
	}
	switch x.method {
	case sip.INVITE, sip.UPDATE:
		return dialog.EndsSession(code)
	case sip.INFO:
		return dialog.Ends(code)
	}
	return false
}

// pass sends a response on to the near leg.
func (x *exchange) pass(s *ua.Shard, m *sip.Message) {
	code, reason := m.StatusCode(), string(m.Reason())
	if code == 401 || code == 407 {
		code, reason = 403, ""
	}
	l := x.near.leg
	var b sip.Builder
	x.server.Response(&b, code, reason, nil, roomFor(m))
	if dialog.Refreshes(x.method) && code < 300 {
		l.Place.Contact(&b, l.Secure)
	}
	cross.Headers(&b, m, l.across(x.far.leg))
	out := b.Finish(m.Body())
	if x.method == sip.INVITE && code >= 200 && code < 300 {
		x.close()
		n := &answer{
			call: x.call, near: x.near, far: x.far, server: x.server,
			nearSeq: x.nearSeq, farSeq: x.farSeq, code: code, ok: out,
		}
		x.call.answers = append(x.call.answers, n)
		n.begin(s)
		return
	}
	if code >= 200 {
		x.close()
	}
	s.Respond(x.server, code, out)
}

// fail answers the near leg ourselves.
func (x *exchange) fail(s *ua.Shard, code int) {
	if !x.final {
		x.near.void(x.method)
		x.close()
		s.Reply(x.server, &sip.StatusError{Code: code})
	}
}

// close notes that the near leg gets its final response now.
func (x *exchange) close() {
	x.final = true
	c := x.call
	if i := slices.Index(c.passing, x); i >= 0 {
		c.passing = slices.Delete(c.passing, i, i+1)
	}
}

// MayCancel makes the exchange a ua.ServerUser.
func (x *exchange) MayCancel(_ *ua.Shard, _ *ua.ServerTx, p *transport.Packet) bool {
	return x.near.leg.is(p)
}

// Cancelled makes the exchange a ua.ServerUser: a re-INVITE is given up, and
// what the far leg then answers crosses as usual. "A CANCEL request has no impact
// on the processing of transactions with any other method" (RFC 3261 §9.2).
func (x *exchange) Cancelled(s *ua.Shard, _ *ua.ServerTx, p *transport.Packet) {
	if x.method != sip.INVITE {
		return
	}
	x.cancelled, x.reason = true, reasonOf(p.Msg)
	if x.rang {
		x.sendCancel(s)
	}
}

func (x *exchange) sendCancel(s *ua.Shard) {
	if x.cancelSent || x.client == nil || x.final {
		return
	}
	x.cancelSent = true
	w := &farewell{call: x.call, leg: x.far.leg, flow: x.client.Flow(), bytes: cancelOf(x.sent, x.reason), branch: x.branch}
	w.cancel(s, x.client)
}

// ServerDone makes the exchange a ua.ServerUser. That no ACK came for a 2xx is
// the answer's to see.
func (x *exchange) ServerDone(*ua.Shard, *ua.ServerTx, error) {}

// ClientDone makes the exchange a ua.ClientUser.
func (x *exchange) ClientDone(s *ua.Shard, tx *ua.ClientTx, err error) {
	x.client = nil
	x.call.dropAnswer(x.far, x.farSeq)
	if err == nil || x.final {
		return
	}
	if x.again < cross.Resends && cross.Lost(tx, err) {
		x.again++
		if to := x.far.leg.Peer; to.Transport == transport.UDP && tx.Flow().Conn.Transport() == transport.TCP && !x.rang {
			x.call.engine.ways.Unfit(s, to, err)
		}
		x.send(s)
		return
	}
	code := 503
	if errors.Is(err, transaction.ErrTimeout) {
		code = 408
	}
	x.call.record(callflow.TimedOut, x.far.leg, code, fmt.Sprintf("no answer to %s: %v", x.method, err))
	x.fail(s, code)
	x.call.notified(s, x, code, nil)
	if x.fatal(code) {
		x.call.endFor(s, nil, code, fmt.Sprintf("%s did not answer %s", x.far.leg.Peer.Name, x.method))
	}
}
