package b2bua

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"

	"github.com/sallyport-sip/sallyport/internal/callflow"
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
	repeated      bool   // it was sent once more, on a new connection

	nearSeq, farSeq uint32
	cancelled       bool
	rang            bool
	cancelSent      bool
	final           bool // the near leg has a final response
}

// cross passes a request on to the other leg.
func (c *Call) cross(s *ua.Shard, f *fork, tx *ua.ServerTx, p *transport.Packet) {
	m := p.Msg
	if f.joined == nil {
		s.Reply(tx, &sip.StatusError{Code: 481})
		return
	}
	if n, ok := m.MaxForwards(); ok && n == 0 {
		s.Reply(tx, &sip.StatusError{Code: 483})
		return
	}
	if m.Method() == sip.INVITE {
		if err := c.glare(f); err != nil {
			s.Reply(tx, err)
			return
		}
	}
	if m.Method() == sip.REFER && bytes.Contains(bytes.ToLower(m.First(sip.HdrReferTo)), []byte("replaces=")) {
		// It names a dialog that only this leg's side knows.
		s.Reply(tx, &sip.StatusError{Code: 501, Reason: "Attended Transfer Not Supported"})
		return
	}
	cseq, _ := m.CSeq()
	x := &exchange{
		call: c, near: f, far: f.joined, method: m.Method(), server: tx,
		nearSeq: cseq.Seq, farSeq: f.joined.dialog.NextSeq(),
	}
	tx.User = x
	c.passing = append(c.passing, x)
	x.bytes, x.branch = x.far.request(s, x.method, x.farSeq, m, x.rack(m))
	x.send(s)
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
		x.client = s.Request(flow, x.method, x.branch, x.bytes, x)
	})
}

// glare refuses an INVITE in a dialog while another is under way. "A UAS that
// receives a second INVITE before it sends the final response to a first INVITE
// ... on the same dialog MUST return a 500 ... and MUST include a Retry-After
// header field with a randomly chosen value of between 0 and 10 seconds." "A
// UAS that receives an INVITE on a dialog while an INVITE it had sent on that
// dialog is in progress MUST return a 491" (RFC 3261 §14.2); the same while one
// was answered and has no ACK yet.
func (c *Call) glare(f *fork) *sip.StatusError {
	second := &sip.StatusError{Code: 500, Header: fmt.Sprintf("Retry-After: %d", rand.IntN(11))}
	if c.state == trying && f.leg == c.in {
		return second
	}
	for _, x := range c.passing {
		if x.method == sip.INVITE && x.near == f {
			return second
		} else if x.method == sip.INVITE {
			return &sip.StatusError{Code: 491}
		}
	}
	if c.state == trying || slices.ContainsFunc(c.answers, func(n *answer) bool { return !n.acked }) {
		return &sip.StatusError{Code: 491}
	}
	return nil
}

// rack writes the RAck of a PRACK: the response number is the target's own and
// passes, the INVITE's CSeq number is that of the far leg (RFC 3262 §7.2).
func (x *exchange) rack(m *sip.Message) func(*sip.Builder) {
	value := m.First(sip.HdrRAck)
	if value == nil {
		return nil
	}
	number, _, _ := bytes.Cut(value, []byte(" "))
	seq := x.call.inviteSeq(x.far.leg)
	return func(b *sip.Builder) { b.Header("RAck", string(number), fmt.Sprintf(" %d INVITE", seq)) }
}

// inviteSeq is the CSeq number of the INVITE under way towards a leg.
func (c *Call) inviteSeq(l *Leg) uint32 {
	for _, x := range c.passing {
		if x.method == sip.INVITE && x.far.leg == l {
			return x.farSeq
		}
	}
	return inviteCSeq
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
	if code >= 200 && code < 300 {
		x.far.dialog.Refresh(m)
	}
	x.pass(s, m)
	if x.fatal(code) {
		var left *fork
		if code == 481 {
			left = x.far // who does not know the dialog needs no BYE
		}
		x.call.end(s, left, fmt.Sprintf("%s answered %d to %s", x.far.leg.peer.Name, code, x.method))
	}
}

// fatal says whether a final response means that the call is over at the far
// leg. A 481 to another method ends another usage of the dialog (RFC 5057 §5.1),
// that to a PRACK none at all: it only knew no such 1xx (RFC 3262 §3).
func (x *exchange) fatal(code int) bool {
	switch x.method {
	case sip.INVITE, sip.UPDATE, sip.INFO:
		return dialog.Ends(code) && x.far == x.far.leg.winner
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
		l.place.contact(&b, l.secure)
	}
	copyAcross(&b, m, l.place)
	out := b.Finish(m.Body())
	if x.method == sip.INVITE && code >= 200 && code < 300 {
		x.close()
		n := &answer{
			call: x.call, near: x.near, far: x.far, server: x.server,
			nearSeq: x.nearSeq, farSeq: x.farSeq, code: code, ok: out,
		}
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
func (x *exchange) Cancelled(s *ua.Shard, _ *ua.ServerTx, _ *transport.Packet) {
	if x.method != sip.INVITE {
		return
	}
	x.cancelled = true
	if x.rang {
		x.sendCancel(s)
	}
}

func (x *exchange) sendCancel(s *ua.Shard) {
	if x.cancelSent || x.client == nil || x.final {
		return
	}
	x.cancelSent = true
	l, d := x.far.leg, x.far.dialog
	b := newBuilder(512)
	d.Start(&b, sip.CANCEL)
	l.place.via(&b, x.branch)
	b.HeaderInt("Max-Forwards", 70)
	d.Headers(&b, sip.CANCEL, x.farSeq)
	x.call.waiting++
	s.Request(x.client.Flow(), sip.CANCEL, x.branch, b.Finish(nil), &farewell{call: x.call})
	s.CancelSent(x.client)
}

// ServerDone makes the exchange a ua.ServerUser. That no ACK came for a 2xx is
// the answer's to see.
func (x *exchange) ServerDone(*ua.Shard, *ua.ServerTx, error) {}

// ClientDone makes the exchange a ua.ClientUser.
func (x *exchange) ClientDone(s *ua.Shard, _ *ua.ClientTx, err error) {
	x.client = nil
	x.call.dropAnswer(x.far, x.farSeq)
	if err == nil || x.final {
		return
	}
	if !x.repeated && !x.rang && x.far.leg.lost(err) {
		x.repeated = true
		x.send(s)
		return
	}
	code := 503
	if errors.Is(err, transaction.ErrTimeout) {
		code = 408
	}
	x.call.record(callflow.TimedOut, x.far.leg, code, fmt.Sprintf("no answer to %s: %v", x.method, err))
	x.fail(s, code)
	if x.fatal(code) {
		x.call.end(s, nil, fmt.Sprintf("%s did not answer %s", x.far.leg.peer.Name, x.method))
	}
}
