package b2bua

import (
	"bytes"
	"fmt"
	"time"

	"github.com/sallyport-sip/sallyport/internal/callflow"
	"github.com/sallyport-sip/sallyport/sip"
	"github.com/sallyport-sip/sallyport/sip/transport"
	"github.com/sallyport-sip/sallyport/sip/ua"
)

// The ACK watchdog. A 2xx without ACK is the fault that looks like a good call for 32 seconds and then ends by itself, so
// it is named while the call is up, with the probable cause: by what the 2xx gave the caller to find the way, by its
// connection, and by ACKs that did come and were refused. callflow.Unacknowledged judges; here is what it is judged by.

// ackWithin is how long after the 2xx its missing ACK is named at the latest.
const ackWithin = 8 * time.Second

// ackWait is what the watchdog knows of one 2xx. Owned by the shard.
type ackWait struct {
	warned  bool
	refused string // why the last ACK that came was refused
	gone    string // why the connection has gone that the INVITE came by
	repeats int    // how often the far leg's 2xx came again after the ACK
}

// since is how long ago the 2xx was sent first.
func (n *answer) since(s *ua.Shard) time.Duration {
	return s.Now().Sub(n.lasts.Add(-64 * s.Server().Timers.T1))
}

// missed notes that the 2xx has to be sent again, so that an ACK that cannot be taken is found by its Call-ID.
func (n *answer) missed() {
	if n.waits == nil {
		n.waits = &ackWait{}
	}
	if n.waits.gone == "" && !n.server.Conn().Alive() {
		n.waits.gone = n.server.Conn().String()
	}
	n.call.calls.unack[n.near.leg.callID] = n
}

// found ends that.
func (n *answer) found() {
	if c := n.call.calls; c.unack[n.near.leg.callID] == n {
		delete(c.unack, n.near.leg.callID)
	}
}

// repeat sends the 2xx again: on the connection of the INVITE, and when that has gone on the one that the dialog lives on,
// which is a new one to the peer if it has none (RFC 3261 §13.3.1.4, §18.2.2).
func (n *answer) repeat(s *ua.Shard) {
	if n.waits.gone == "" {
		s.Respond(n.server, n.code, n.ok)
		return
	}
	n.near.leg.reach(s, n.near, func(s *ua.Shard, flow ua.Flow, err error) {
		if err == nil && !n.acked {
			s.Transmit(flow, n.ok)
		}
	})
}

// warn names the missing ACK once, before the 2xx would be sent later than ackWithin.
func (n *answer) warn(s *ua.Shard) {
	if n.waits.warned || n.since(s)+n.interval <= ackWithin {
		return
	}
	n.waits.warned = true
	cause := n.cause()
	n.call.engine.missing.add(n.near.leg.Peer.Name, cause.Code)
	after := callflow.Span(n.since(s))
	n.call.record(callflow.Noted, n.near.leg, 0, fmt.Sprintf("%s, %s after it; fix: %s", cause.Sentence(n.near.leg.Peer.Name), after, cause.Remedy))
	n.call.engine.log.Warn("no ACK to a 2xx", n.words(&cause)...)
	n.call.tellUnacknowledged(n.near.leg, cause.Sentence(n.near.leg.Peer.Name), cause.Remedy)
}

// words are the attributes of a log line about the missing ACK.
func (n *answer) words(cause *callflow.Cause) []any {
	return []any{"call", n.call.Number, "peer", n.near.leg.Peer.Name, "code", cause.Code, "cause", cause.Why, "remedy", cause.Remedy}
}

// cause judges why no ACK comes. It is not asked once that is settled.
func (n *answer) cause() callflow.Cause {
	l := n.near.leg
	info := n.server.Conn().Info()
	u := callflow.Unacknowledged{Peer: l.Peer.Name, Remote: n.server.Source(), Transport: info.Transport.String()}
	if info.Inbound || !info.Transport.Reliable() {
		u.Local = info.Local
	}
	if n.waits != nil {
		u.Gone, u.Refused = n.waits.gone, n.waits.refused
	}
	if m, err := sip.Parse(n.ok); err == nil {
		u.Read(m)
		m.Release()
	}
	return u.Judge()
}

// refused notes why an ACK was refused to a 2xx that waits for one.
func (c *calls) refused(callID, why string) {
	if n := c.unack[callID]; n != nil && n.waits.refused != why {
		n.waits.refused = why
		n.call.record(callflow.Noted, n.near.leg, 0, "ACK refused: "+why)
	}
}

// stranger is an ACK of no dialog: when its Call-ID is that of a 2xx that waits for one, it says why the two do not fit.
func (c *calls) stranger(p *transport.Packet) {
	n := c.unack[string(p.Msg.CallID())]
	if n == nil {
		return
	}
	from, err := p.Msg.From()
	if err != nil {
		return
	}
	to, err := p.Msg.To()
	if err != nil {
		return
	}
	id := &n.near.dialog.ID
	why := ""
	switch {
	case string(to.Tag()) != id.LocalTag:
		why = fmt.Sprintf("it is of another dialog, its To tag is %s and that of the 2xx is %s", tagWord(to.Tag()), id.LocalTag)
	case string(from.Tag()) != id.RemoteTag:
		why = fmt.Sprintf("it is of another dialog, its From tag is %s and that of the INVITE is %s", tagWord(from.Tag()), id.RemoteTag)
	default:
		why = fmt.Sprintf("it came from %v over %v, which is not known as %s", p.Source, p.Conn.Transport(), n.near.leg.Peer.Name)
	}
	c.refused(n.near.leg.callID, why)
}

// tagWord is a tag of the other side's as a person may read it: bounded, and never empty.
func tagWord(tag []byte) string {
	if len(tag) == 0 {
		return "missing"
	}
	return string(bytes.ToValidUTF8(tag[:min(len(tag), 64)], nil))
}

// vain is how many copies of a 2xx after our ACK are more than loss: the fourth comes 7.5 s after the first.
const vain = 4

// inVain takes note of a 2xx of the far leg's that comes again although the ACK went out: that does not arrive.
func (n *answer) inVain() {
	if n.waits == nil {
		n.waits = &ackWait{}
	}
	if n.waits.repeats++; n.waits.repeats != vain {
		return
	}
	l := n.far.leg
	target := n.far.dialog.Target
	why := fmt.Sprintf("%s has sent its 2xx %d times again: our ACK for %s does not arrive there", l.Peer.Name, vain, target)
	if hop := n.far.dialog.NextHop(); hop != target {
		why += ", which goes by the route " + hop
	}
	n.call.record(callflow.Noted, l, 0, why)
	n.call.engine.log.Warn("a 2xx comes again and again after its ACK", "call", n.call.Number, "peer", l.Peer.Name, "cause", why)
}
