package gateway

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/sallyport-sip/sallyport/sip"
	"github.com/sallyport-sip/sallyport/sip/dialog"
	"github.com/sallyport-sip/sallyport/sip/transaction"
	"github.com/sallyport-sip/sallyport/sip/transport"
	"github.com/sallyport-sip/sallyport/sip/ua"
)

// request takes a request in the line's dialog.
func (l *line) request(s *ua.Shard, tx *ua.ServerTx, packet *transport.Packet) {
	m := packet.Msg
	l.note(s, "<- %s", m.Method())
	if err := l.d.Receive(m); err != nil {
		l.note(s, "500: %v", err)
		s.Reply(tx, &sip.StatusError{Code: 500})
		return
	}
	l.flow = ua.Flow{Conn: packet.Conn, Addr: packet.Source}
	if l.over && m.Method() != sip.BYE {
		s.Reply(tx, &sip.StatusError{Code: 481})
		return
	}
	switch m.Method() {
	case sip.BYE:
		s.Reply(tx, &sip.StatusError{Code: 200})
		if !l.caller && l.final == 0 { // of an early dialog: RFC 3261 §15.1.2
			l.refuse(s, 487)
			return
		}
		l.end(s, "they hang up")
	case sip.INVITE:
		l.theirs(s, tx, m)
	case sip.UPDATE:
		switch {
		case l.updated != nil:
			s.Reply(tx, &sip.StatusError{Code: 500, Header: "Retry-After: 1"})
		case describes(m) && (l.updating != nil && l.updating.offers || l.inviting != nil):
			s.Reply(tx, &sip.StatusError{Code: 491})
		case describes(m) && l.invited != nil:
			s.Reply(tx, &sip.StatusError{Code: 500, Header: "Retry-After: 1"})
		default:
			l.d.Refresh(m)
			l.reply(s, tx, describes(m))
		}
	case sip.PRACK:
		l.acknowledged1xx(s, tx, m)
	default:
		l.reply(s, tx, false)
	}
}

func describes(m *sip.Message) bool { return len(m.Body()) > 0 }

// reply answers a request other than INVITE with 200.
func (l *line) reply(s *ua.Shard, tx *ua.ServerTx, describes bool) {
	var b sip.Builder
	tx.Response(&b, 200, "", nil, 1024)
	if dialog.Refreshes(tx.Method()) {
		l.p.contact(&b)
	}
	s.Respond(tx, 200, finish(&b, describes))
}

// theirs is a re-INVITE of the other side (RFC 3261 §14.2).
func (l *line) theirs(s *ua.Shard, tx *ua.ServerTx, m *sip.Message) {
	switch {
	case l.inviting != nil || l.unacked != nil || l.updating != nil && l.updating.offers:
		l.note(s, "491")
		s.Reply(tx, &sip.StatusError{Code: 491})
		return
	case l.invited != nil || len(l.oks) > 0:
		l.note(s, "500")
		s.Reply(tx, &sip.StatusError{Code: 500, Header: "Retry-After: 1"})
		return
	}
	cseq, _ := m.CSeq()
	target, _ := dialog.Target(m)
	l.invited, l.seq = tx, cseq.Seq
	tx.User = &invited{l, target}
	if l.p.holdReinvite {
		l.respond(s, tx, 180, false, nil)
		return
	}
	l.agree(s)
}

// agree answers the re-INVITE that waits.
func (l *line) agree(s *ua.Shard) {
	if tx := l.invited; tx != nil && !l.over {
		l.invited = nil
		if t := tx.User.(*invited).target; t != "" {
			l.d.Target = t
		}
		l.accept(s, tx, l.seq)
	}
}

// disagree refuses it, and the session stays as it was.
func (l *line) disagree(s *ua.Shard, code int) {
	if tx := l.invited; tx != nil {
		l.invited = nil
		l.respond(s, tx, code, false, nil)
	}
}

type invited struct {
	l      *line
	target string
}

func (v *invited) MayCancel(*ua.Shard, *ua.ServerTx, *transport.Packet) bool { return true }

func (v *invited) Cancelled(s *ua.Shard, tx *ua.ServerTx, _ *transport.Packet) {
	v.l.note(s, "<- CANCEL")
	if v.l.invited == tx {
		v.l.disagree(s, 487)
	}
}

func (v *invited) ServerDone(*ua.Shard, *ua.ServerTx, error) {}

// amendment is a re-INVITE or UPDATE of ours.
type amendment struct {
	l            *line
	method       sip.Method
	offers       bool
	seq          uint32
	tx           *ua.ClientTx
	text, branch []byte
	rang, quit   bool
	sentAgain    bool
	ack          []byte
}

// change sends one, unless another is under way (RFC 3261 §14.1, RFC 3311 §5.1).
func (l *line) change(s *ua.Shard, method sip.Method, offers bool) {
	if l.over || l.d == nil || l.inviting != nil || l.updating != nil || l.invited != nil || len(l.oks) > 0 || l.unacked != nil {
		return
	}
	if method == sip.INVITE && !l.up || !l.caller && !l.known {
		return
	}
	l.wanted++
	ch := &amendment{l: l, method: method, offers: offers, seq: l.d.NextSeq()}
	if method == sip.INVITE {
		l.inviting = ch
	} else {
		l.updating = ch
	}
	ch.text, ch.branch = l.writeBranch(s, l.d, method, ch.seq, offers, nil)
	l.note(s, "%s", method)
	ch.launch(s)
}

func (ch *amendment) launch(s *ua.Shard) {
	ch.l.p.reach(s, ch.l.flow, func(s *ua.Shard, f ua.Flow) {
		if f.Conn == nil {
			ch.ClientDone(s, nil, transaction.ErrTransport)
			return
		}
		ch.l.flow = f
		ch.tx = s.Request(f, ch.method, ch.branch, ch.text, ch)
	})
}

// giveUp cancels a re-INVITE.
func (ch *amendment) giveUp(s *ua.Shard) {
	ch.quit = true
	if !ch.rang || ch.tx == nil || ch.method != sip.INVITE {
		return
	}
	m, _ := sip.Parse(append([]byte(nil), ch.text...))
	b := ch.l.p.begin()
	b.Request(sip.CANCEL, m.RequestURI())
	for f := range m.Fields() {
		switch f.ID {
		case sip.HdrVia, sip.HdrFrom, sip.HdrTo, sip.HdrCallID, sip.HdrMaxForwards, sip.HdrRoute:
			b.Field(f)
		}
	}
	b.CSeq(ch.seq, sip.CANCEL)
	ch.l.note(s, "CANCEL")
	s.Request(ch.tx.Flow(), sip.CANCEL, ch.branch, b.Finish(nil), ignored{})
	s.CancelSent(ch.tx)
}

func (ch *amendment) done() {
	if ch.l.inviting == ch {
		ch.l.inviting = nil
	}
	if ch.l.updating == ch {
		ch.l.updating = nil
	}
}

// Response makes the change a ua.ClientUser.
func (ch *amendment) Response(s *ua.Shard, _ *ua.ClientTx, m *sip.Message) {
	l, code := ch.l, m.StatusCode()
	l.note(s, "<- %d to %s", code, ch.method)
	switch {
	case code < 200:
		ch.rang = true
		if ch.quit {
			ch.giveUp(s)
		}
	case code < 300:
		if ch.ack == nil {
			ch.done()
			l.wanted--
			l.d.Refresh(m)
		}
		if ch.method == sip.INVITE {
			if ch.ack == nil {
				ch.ack = l.write(s, l.d, sip.ACK, ch.seq, false, nil)
			}
			l.transmit(s, ch.ack)
		}
	default:
		ch.done()
		ch.failed(s, code)
	}
}

// failed: 491 is tried again after a time, the owner of the Call-ID later than
// the other side (RFC 3261 §14.1); so is a 500 with Retry-After. What says that
// there is no dialog ends the session.
func (ch *amendment) failed(s *ua.Shard, code int) {
	l := ch.l
	wait := time.Duration(0)
	switch {
	case dialog.EndsSession(code) && l.up:
		l.end(s, fmt.Sprint("the other side answered ", code))
		l.quit(s, l.d)
	case code == 491 && l.caller:
		wait = l.p.between(2100*time.Millisecond, 4*time.Second)
	case code == 491:
		wait = l.p.between(0, 2*time.Second)
	case code == 500:
		wait = l.p.between(time.Second, 10*time.Second)
	}
	if wait == 0 {
		l.wanted--
		return
	}
	l.tries++
	l.p.after(s, wait, func() {
		l.wanted--
		if l.tries < 5 {
			l.change(s, ch.method, ch.offers)
		}
	})
}

// ClientDone makes the change a ua.ClientUser.
func (ch *amendment) ClientDone(s *ua.Shard, _ *ua.ClientTx, err error) {
	ch.tx = nil
	if err == nil || ch.l.over || ch.ack != nil || ch.l.inviting != ch && ch.l.updating != ch {
		return
	}
	if errors.Is(err, transaction.ErrTransport) && !ch.sentAgain && ch.l.p.over.Reliable() {
		ch.sentAgain = true
		ch.launch(s)
		return
	}
	ch.done()
	ch.failed(s, 408)
}

// info sends an INFO in the dialog.
func (l *line) info(s *ua.Shard) {
	if l.d != nil && !l.over && (l.caller || l.known) {
		l.send(s, sip.INFO, false, nil, ignored{})
	}
}

// promise is a reliable 1xx, sent again until its PRACK comes (RFC 3262 §3).
type promise struct {
	rseq  uint32
	timer transaction.Timer
}

// progress sends a reliable 183.
func (l *line) progress(s *ua.Shard) {
	if l.final != 0 || l.promised != nil || l.over {
		return
	}
	pr := &promise{rseq: 4000}
	l.promised = pr
	text := l.respond(s, l.server, 183, true, func(b *sip.Builder) {
		b.Header("Require", "100rel")
		b.HeaderInt("RSeq", int64(pr.rseq))
	})
	interval, ends := t1, s.Now().Add(lifetime)
	pr.timer.Fire = func(any, time.Time) {
		if !s.Now().Before(ends) {
			l.note(s, "no PRACK came")
			l.refuse(s, 504)
			return
		}
		s.Respond(l.server, 183, text)
		interval *= 2
		s.Schedule(&pr.timer, interval)
	}
	s.Schedule(&pr.timer, interval)
}

// acknowledged1xx takes a PRACK.
func (l *line) acknowledged1xx(s *ua.Shard, tx *ua.ServerTx, m *sip.Message) {
	pr := l.promised
	if pr == nil || string(m.First(sip.HdrRAck)) != fmt.Sprintf("%d %d INVITE", pr.rseq, l.seq) {
		s.Reply(tx, &sip.StatusError{Code: 481})
		return
	}
	s.Stop(&pr.timer)
	l.promised, l.known = nil, true
	l.reply(s, tx, false)
}

// reliable takes a reliable 1xx, and sends its PRACK once.
func (l *line) reliable(s *ua.Shard, d *dialog.Dialog, m *sip.Message) {
	rseq := string(m.First(sip.HdrRSeq))
	key := rseq + " " + d.ID.RemoteTag
	if l.left1xx[key] {
		return
	}
	l.left1xx[key] = true
	if _, err := strconv.Atoi(rseq); err != nil {
		l.note(s, "bad RSeq %q", rseq)
	}
	send := func() {
		text, branch := l.writeBranch(s, d, sip.PRACK, d.NextSeq(), false, func(b *sip.Builder) {
			b.Header("RAck", rseq, " ", fmt.Sprint(l.seq), " INVITE")
		})
		l.note(s, "PRACK")
		l.launch(s, sip.PRACK, branch, text, ignored{})
	}
	if l.p.holdPrack {
		l.unpraced = append(l.unpraced, send)
		return
	}
	send()
}

// prack sends what was held.
func (l *line) prack() {
	for _, send := range slices.Clone(l.unpraced) {
		send()
	}
	l.unpraced = nil
}
