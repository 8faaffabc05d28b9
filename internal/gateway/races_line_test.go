package gateway

import (
	"crypto/tls"
	"fmt"
	"strings"
	"time"

	"github.com/sallyport-sip/sallyport/sip"
	"github.com/sallyport-sip/sallyport/sip/dialog"
	"github.com/sallyport-sip/sallyport/sip/transaction"
	"github.com/sallyport-sip/sallyport/sip/transport"
	"github.com/sallyport-sip/sallyport/sip/ua"
)

type tlsState = tls.ConnectionState

// line is one call of a phone's. Owned by the phone's shard.
type line struct {
	p      *phone
	caller bool
	flow   ua.Flow
	d      *dialog.Dialog // the session's, or the early one that was heard of last
	uac    *dialog.UAC    // of a caller
	log    []string

	// The INVITE that began it.
	tx        *ua.ClientTx // of a caller, until it is over
	server    *ua.ServerTx // of a callee
	forked    *[]*line     // of a callee: all that ring for the INVITE
	invite    *sip.Message // of a caller: what a CANCEL repeats
	branch    []byte
	seq       uint32
	rang      bool // a caller heard a 1xx
	giveUp    bool // a CANCEL is wanted
	cancelled bool // and was sent
	final     int  // what the INVITE came to

	known bool // of a callee: the caller has the dialog, its PRACK or ACK says so

	up   bool // there is, or was, a session
	over bool
	bye  *ua.ClientTx // of our BYE, until it is over

	oks      []*twoxx          // ours that have no ACK yet
	acks     map[string][]byte // that we sent, by the tag and CSeq of the 2xx
	unacked  func()            // sends the ACK that is held
	unpraced []func()          // send the PRACKs that are held
	promised *promise          // our reliable 1xx
	left1xx  map[string]bool   // reliable ones that have their PRACK

	inviting *amendment   // our INVITE in the dialog
	invited  *ua.ServerTx // theirs, until we answer it
	updating *amendment
	updated  *ua.ServerTx
	tries    int
	wanted   int // changes that were asked for and have not come to an end
}

// note keeps what happened, for whoever looks at a failure.
func (l *line) note(s *ua.Shard, format string, args ...any) {
	l.log = append(l.log, s.Now().Format("04:05.000 ")+fmt.Sprintf(format, args...))
}

func (l *line) story() string { return "    " + strings.Join(l.log, "\n    ") }

// left says what has not come to its end.
func (l *line) left() string {
	switch {
	case l.caller && l.tx != nil && l.final == 0:
		return "its INVITE has no final response"
	case !l.caller && l.final == 0 && !l.over:
		return "it is left ringing"
	case l.up && !l.over:
		return "it has a session that nobody ended"
	case len(l.oks) > 0 && !l.over:
		return "its 2xx has no ACK"
	case l.bye != nil:
		return "its BYE is under way"
	}
	return ""
}

// end ends the line at this side.
func (l *line) end(s *ua.Shard, why string) {
	if l.over {
		return
	}
	l.note(s, "over: %s", why)
	l.over = true
	for _, o := range l.oks {
		s.Stop(&o.timer)
	}
	l.oks = nil
	if l.promised != nil {
		s.Stop(&l.promised.timer)
	}
	for _, tx := range []*ua.ServerTx{l.invited, l.updated} {
		if tx != nil {
			s.Reply(tx, &sip.StatusError{Code: 487}) // RFC 3261 §15.1.2
		}
	}
	l.invited, l.updated = nil, nil
}

// call begins a call.
func (p *phone) call(s *ua.Shard, offers bool) *line {
	l := &line{p: p, caller: true, flow: p.flow, seq: 100, acks: map[string][]byte{}, left1xx: map[string]bool{}}
	p.lines = append(p.lines, l)
	l.uac = &dialog.UAC{
		CallID: string(s.NewCallID()), LocalTag: string(s.NewTag()), Seq: l.seq, RequestURI: number,
		Local: dialog.Party{URI: "sip:" + p.name + "@phones.example"}, Remote: dialog.Party{URI: number},
	}
	b := p.begin()
	b.Request(sip.INVITE, []byte(number))
	l.branch = s.NewBranch()
	p.via(&b, l.branch)
	b.Header("From", "<", l.uac.Local.URI, ">;tag=", l.uac.LocalTag)
	b.Header("To", "<", number, ">")
	b.Header("Call-ID", l.uac.CallID)
	b.CSeq(l.seq, sip.INVITE)
	p.contact(&b)
	b.Header("Supported", "100rel")
	text := finish(&b, offers)
	l.invite, _ = sip.Parse(append([]byte(nil), text...))
	l.note(s, "INVITE")
	l.tx = s.Request(l.flow, sip.INVITE, l.branch, text, (*invitation)(l))
	return l
}

func (p *phone) begin() sip.Builder {
	var b sip.Builder
	b.Reset(make([]byte, 0, 1024))
	return b
}

func (p *phone) via(b *sip.Builder, branch []byte) {
	b.Header("Via", "SIP/2.0/", p.over.Via(), " ", p.addr.String(), ";branch=", string(branch), ";rport")
	b.Header("Max-Forwards", "70")
}

func (p *phone) contact(b *sip.Builder) {
	b.Header("Contact", "<sip:", p.name, "@", p.addr.String(), ";transport=", p.over.String(), ">")
}

// finish ends a message, with a description or without a body.
func finish(b *sip.Builder, describes bool) []byte {
	if !describes {
		return b.Finish(nil)
	}
	b.Header("Content-Type", "application/sdp")
	return b.Finish([]byte(offer))
}

// invitation is the caller's INVITE.
type invitation line

// Response makes invitation a ua.ClientUser.
func (c *invitation) Response(s *ua.Shard, _ *ua.ClientTx, m *sip.Message) {
	l, code := (*line)(c), m.StatusCode()
	if l.final >= 200 && code < 200 {
		return
	}
	l.note(s, "<- %d", code)
	switch {
	case code < 200:
		l.rang = true
		if d, _, err := l.uac.Response(m); err == nil && d != nil {
			l.d = d
			if m.Has(sip.HdrRSeq) {
				l.reliable(s, d, m)
			}
		}
		if l.giveUp {
			l.cancel(s)
		}
	case code < 300:
		l.answered(s, m)
	default:
		l.final = code
		l.end(s, fmt.Sprint("refused with ", code))
	}
}

// ClientDone makes invitation a ua.ClientUser.
func (c *invitation) ClientDone(s *ua.Shard, _ *ua.ClientTx, err error) {
	l := (*line)(c)
	l.tx = nil
	if l.final == 0 {
		l.final = 408
		l.end(s, fmt.Sprint("no answer: ", err))
	}
}

// answered deals with a 2xx to the first INVITE. The first is the session; those of
// other dialogs get ACK and BYE (RFC 3261 §13.2.2.4).
func (l *line) answered(s *ua.Shard, m *sip.Message) {
	d, _, err := l.uac.Response(m)
	if err != nil || d == nil {
		l.note(s, "a 2xx without a dialog: %v", err)
		return
	}
	key := fmt.Sprint(d.ID.RemoteTag, " ", l.seq)
	if ack, ok := l.acks[key]; ok {
		if ack != nil {
			l.transmit(s, ack)
		}
		return
	}
	if l.final == 0 {
		l.final = m.StatusCode()
	}
	if l.over || l.up && l.d != d {
		l.acks[key] = l.write(s, d, sip.ACK, l.seq, false, nil)
		l.transmit(s, l.acks[key])
		l.quit(s, d)
		return
	}
	l.d, l.up, l.final = d, true, m.StatusCode()
	l.acks[key] = nil
	ack := func() {
		l.unacked = nil
		l.acks[key] = l.write(s, d, sip.ACK, l.seq, false, nil)
		l.note(s, "ACK")
		l.transmit(s, l.acks[key])
		if l.giveUp && !l.over { // its CANCEL was too late
			l.hangUp(s)
		}
	}
	if l.p.holdAck {
		l.unacked = ack
		return
	}
	ack()
}

// cancel gives the INVITE up: with a CANCEL when a 1xx has come (RFC 3261 §9.1),
// with a BYE when it is answered.
func (l *line) cancel(s *ua.Shard) {
	l.giveUp = true
	if l.tx == nil || l.final != 0 || !l.rang || l.cancelled {
		return
	}
	l.cancelled = true
	b := l.p.begin()
	b.Request(sip.CANCEL, l.invite.RequestURI())
	b.HeaderBytes("Via", l.invite.First(sip.HdrVia))
	b.Header("Max-Forwards", "70")
	for f := range l.invite.Fields() {
		switch f.ID {
		case sip.HdrFrom, sip.HdrTo, sip.HdrCallID:
			b.Field(f)
		}
	}
	b.CSeq(l.seq, sip.CANCEL)
	text := b.Finish(nil)
	l.note(s, "CANCEL")
	l.p.reach(s, l.flow, func(s *ua.Shard, f ua.Flow) {
		if f.Conn == nil || l.tx == nil {
			return
		}
		s.Request(f, sip.CANCEL, l.branch, text, ignored{})
		s.CancelSent(l.tx)
	})
}

// ignored is the user of a request whose response changes nothing.
type ignored struct{}

func (ignored) Response(*ua.Shard, *ua.ClientTx, *sip.Message) {}
func (ignored) ClientDone(*ua.Shard, *ua.ClientTx, error)      {}

// write writes a request in a dialog.
func (l *line) write(s *ua.Shard, d *dialog.Dialog, method sip.Method, seq uint32, describes bool, extra func(*sip.Builder)) []byte {
	text, _ := l.writeBranch(s, d, method, seq, describes, extra)
	return text
}

func (l *line) writeBranch(s *ua.Shard, d *dialog.Dialog, method sip.Method, seq uint32, describes bool, extra func(*sip.Builder)) (text, branch []byte) {
	b := l.p.begin()
	d.Start(&b, method)
	branch = s.NewBranch()
	l.p.via(&b, branch)
	d.Headers(&b, method, seq)
	if dialog.Refreshes(method) {
		l.p.contact(&b)
	}
	if extra != nil {
		extra(&b)
	}
	return finish(&b, describes), branch
}

func (l *line) transmit(s *ua.Shard, b []byte) {
	l.p.reach(s, l.flow, func(s *ua.Shard, f ua.Flow) {
		if f.Conn != nil {
			l.flow = f
			s.Transmit(f, b)
		}
	})
}

// send sends a request in the line's dialog.
func (l *line) send(s *ua.Shard, method sip.Method, describes bool, extra func(*sip.Builder), user ua.ClientUser) {
	text, branch := l.writeBranch(s, l.d, method, l.d.NextSeq(), describes, extra)
	l.note(s, "%s", method)
	l.launch(s, method, branch, text, user)
}

func (l *line) launch(s *ua.Shard, method sip.Method, branch, text []byte, user ua.ClientUser) {
	l.p.reach(s, l.flow, func(s *ua.Shard, f ua.Flow) {
		if f.Conn == nil {
			user.ClientDone(s, nil, transaction.ErrTransport)
			return
		}
		l.flow = f
		s.Request(f, method, branch, text, user)
	})
}

// hangUp ends a session, or as a caller an early dialog, with BYE.
func (l *line) hangUp(s *ua.Shard) {
	if l.d == nil || l.over {
		return
	}
	l.end(s, "we hang up")
	l.quit(s, l.d)
}

// quit sends the BYE of a dialog. What waits for an ACK would have to wait: that
// is for the test to see to.
func (l *line) quit(s *ua.Shard, d *dialog.Dialog) {
	text, branch := l.writeBranch(s, d, sip.BYE, d.NextSeq(), false, nil)
	l.note(s, "BYE")
	l.launch(s, sip.BYE, branch, text, &leaving{l: l, text: text, branch: branch})
}

// leaving is a BYE of ours. One whose connection was lost is sent once more.
type leaving struct {
	l            *line
	text, branch []byte
	again        bool
}

func (q *leaving) Response(s *ua.Shard, _ *ua.ClientTx, m *sip.Message) {
	q.l.note(s, "<- %d to BYE", m.StatusCode())
}

func (q *leaving) ClientDone(s *ua.Shard, _ *ua.ClientTx, err error) {
	if err != nil && !q.again && q.l.p.over.Reliable() {
		q.again = true
		q.l.launch(s, sip.BYE, q.branch, q.text, q)
	}
}

// ringing takes an INVITE that begins a call.
func (p *phone) ringing(s *ua.Shard, tx *ua.ServerTx, packet *transport.Packet) {
	d, err := dialog.NewUAS(packet.Msg, string(s.NewTag()), false)
	if err != nil {
		s.Reply(tx, &sip.StatusError{Code: 400})
		return
	}
	cseq, _ := packet.Msg.CSeq()
	all := new([]*line)
	for range 1 + p.forks {
		l := &line{
			p: p, d: d, server: tx, forked: all, seq: cseq.Seq, flow: ua.Flow{Conn: packet.Conn, Addr: packet.Source},
			acks: map[string][]byte{}, left1xx: map[string]bool{},
		}
		l.note(s, "<- INVITE")
		*all = append(*all, l)
		p.lines = append(p.lines, l)
		another := *d
		another.ID.LocalTag = string(s.NewTag())
		d = &another
	}
	tx.User = (*called)(all)
}

// called is the callee's side of the INVITE.
type called []*line

func (c *called) MayCancel(*ua.Shard, *ua.ServerTx, *transport.Packet) bool { return true }

func (c *called) Cancelled(s *ua.Shard, _ *ua.ServerTx, _ *transport.Packet) {
	for _, l := range *c {
		l.note(s, "<- CANCEL")
		l.refuse(s, 487)
	}
}

func (c *called) ServerDone(*ua.Shard, *ua.ServerTx, error) {}

// respond answers the first INVITE.
func (l *line) respond(s *ua.Shard, tx *ua.ServerTx, code int, describes bool, extra func(*sip.Builder)) []byte {
	var b sip.Builder
	tx.Response(&b, code, "", []byte(l.d.ID.LocalTag), 1024)
	if code < 300 {
		l.p.contact(&b)
	}
	if extra != nil {
		extra(&b)
	}
	text := finish(&b, describes)
	l.note(s, "%d", code)
	s.Respond(tx, code, text)
	return text
}

// ring sends a 180.
func (l *line) ring(s *ua.Shard) {
	if l.final == 0 {
		l.respond(s, l.server, 180, false, nil)
	}
}

// refuse answers with a failure. Of several that ring for one INVITE the last
// one's goes out, if nobody has answered (RFC 3261 §16.7).
func (l *line) refuse(s *ua.Shard, code int) {
	if l.final != 0 {
		return
	}
	l.final = code
	for _, other := range *l.forked {
		if other.final == 0 || other.final < 300 {
			l.end(s, fmt.Sprint("refused with ", code, ", which nobody hears"))
			return
		}
	}
	l.respond(s, l.server, code, false, nil)
	l.end(s, fmt.Sprint("refused with ", code))
}

// answer takes the call.
func (l *line) answer(s *ua.Shard) {
	if l.final != 0 || l.over {
		return
	}
	l.final, l.up = 200, true
	// Who forked the INVITE cancels the others, and some answer before they hear it.
	l.p.after(s, l.p.between(0, 300*time.Millisecond), func() {
		for _, other := range *l.forked {
			other.refuse(s, 487)
		}
	})
	l.d.Confirm()
	if l.promised != nil {
		s.Stop(&l.promised.timer) // "... MAY send a final response" (RFC 3262 §3)
		l.promised = nil
	}
	l.accept(s, l.server, l.seq)
}

// twoxx is a 2xx that is sent again until its ACK comes (RFC 3261 §13.3.1.4).
type twoxx struct {
	seq   uint32
	timer transaction.Timer
}

func (l *line) accept(s *ua.Shard, tx *ua.ServerTx, seq uint32) {
	text := l.respond(s, tx, 200, true, nil)
	o := &twoxx{seq: seq}
	l.oks = append(l.oks, o)
	interval, ends := t1, s.Now().Add(lifetime)
	o.timer.Fire = func(any, time.Time) {
		if !s.Now().Before(ends) {
			l.note(s, "no ACK came")
			l.hangUp(s)
			return
		}
		s.Respond(tx, 200, text)
		interval = min(2*interval, t2)
		s.Schedule(&o.timer, interval)
	}
	s.Schedule(&o.timer, interval)
}

// acknowledged takes the ACK to a 2xx.
func (l *line) acknowledged(s *ua.Shard, m *sip.Message) {
	cseq, _ := m.CSeq()
	for i, o := range l.oks {
		if o.seq == cseq.Seq {
			l.note(s, "<- ACK")
			l.known = true
			s.Stop(&o.timer)
			l.oks = append(l.oks[:i], l.oks[i+1:]...)
			return
		}
	}
}
