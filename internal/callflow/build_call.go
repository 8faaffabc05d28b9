package callflow

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sallyport-sip/sallyport/sip"
)

// invite is what is known of a leg's INVITE usage: enough for the state of its call (RFC 3261 §13, §15).
type invite struct {
	recorded  bool // its LegCreated has passed
	at        time.Time
	cseq      uint32
	ringing   bool
	code      int // final status, 0 until it came
	reason    string
	codeOut   bool
	finalAt   time.Time
	acked     bool
	cancelled bool
	cancelOut bool
	cancelAt  time.Time
	bye       bool
	byeOut    bool
	byeAt     time.Time
	byeDone   bool
	timeout   string
}

// message gives a SIP message to its leg, and its connection to the call when it is the first on it.
func (w *walk) message(e *Event) {
	m, ok := read(e.Raw)
	var c *conn
	if e.Link != nil {
		c = w.connOf(e.Link)
	}
	var l *leg
	if ok {
		l = w.legOf(e, &m, c)
	}
	if c != nil {
		first := !c.used
		c.used = true
		if l != nil {
			w.travel(e, l, c, first)
		}
	}
	if l == nil {
		return
	}
	k := l.call
	if l == k.legs[0] && k.from == "" && m.request {
		k.from, k.to = m.from, m.to
	}
	if m.session != "" && e.Out == (l.Direction == Out) {
		l.session = cmp.Or(l.session, m.session)
		k.flow.Session = cmp.Or(k.flow.Session, m.session)
	}
	for _, n := range m.names {
		n.seq = e.Seq
		k.names = append(k.names, n)
	}
	row := Row{Kind: RowSIP, Seq: e.Seq, At: e.At, Label: m.label(), Raw: e.Raw, Link: e.Link, Remote: e.Remote}
	key := m.key(e.Out)
	if n := l.seen[key]; n > 0 {
		row.Repeat = n
		row.Label += " repeat " + strconv.Itoa(n)
		row.Note = "retransmission"
	} else {
		l.invite.see(e, &m)
		l.ask.see(e, &m, !l.invite.at.IsZero() || l.invite.code > 0)
	}
	l.seen[key]++
	k.last = e.At
	if !l.remote.IsValid() {
		l.remote = e.Remote
	}
	if l.conn == nil && c != nil {
		l.conn = c
	}
	k.add(draft{Row: row, leg: l, conn: c, sip: &m, out: e.Out})
}

// overtaken is how many rows back a request looks for an answer of its own.
const overtaken = 16

// add puts a message last; but a request whose answer is there already goes above it. That happens when two goroutines
// report at the same time, and an answer is never drawn above its request.
func (k *call) add(d draft) {
	at := len(k.rows)
	for i := len(k.rows) - 1; i >= max(0, len(k.rows)-overtaken) && d.sip.request && d.Repeat == 0; i-- {
		r := &k.rows[i]
		if r.sip != nil && r.leg == d.leg && r.out != d.out && !r.sip.request && r.sip.cseq == d.sip.cseq && r.sip.method == d.sip.method {
			at = i
		}
	}
	if at < len(k.rows) {
		d.Seq, d.At = k.rows[at].Seq, k.rows[at].At
	}
	k.rows = slices.Insert(k.rows, at, d)
}

// legOf finds the leg of a message by its Call-ID. Two legs share one only when the gateway called itself, or tried two
// targets with one Call-ID; see fits.
func (w *walk) legOf(e *Event, m *message, c *conn) *leg {
	legs := w.legs[m.callID]
	if len(legs) == 0 {
		if !m.initial() {
			return nil
		}
		k := w.newCall(Unjoined(m.callID))
		l := w.newLeg(k, In, "", m.callID, 0)
		if e.Out {
			l.Direction = Out
		}
		if e.Link != nil {
			l.Peer = e.Link.Peer
		}
		return l
	}
	best, most := legs[0], -1
	for _, l := range legs {
		if score := l.fits(e, m, c); score > most {
			best, most = l, score
		}
	}
	return best
}

// fits says how well a message suits a leg with its Call-ID. An INVITE, its ACK and its CANCEL go from who began the leg;
// what may go either way is told apart by the connection; and a new INVITE belongs to the latest record before it.
func (l *leg) fits(e *Event, m *message, c *conn) (score int) {
	switch m.method {
	case sip.INVITE, sip.ACK, sip.CANCEL:
		if (l.Direction == Out) == (m.request == e.Out) {
			score += 4
		}
	}
	if c != nil && l.conn == c {
		score += 2
	}
	if m.initial() && l.conn == nil && l.created <= e.Seq {
		score++
	}
	return score
}

// travel notes on which connection a leg's message went.
func (w *walk) travel(e *Event, l *leg, c *conn, first bool) {
	k := l.call
	switch {
	case c.link.Transport == "udp" || k.used[c.link.ID]:
		return
	case first && c.owner == nil && c.opened != nil:
		w.own(c, l)
		return
	}
	k.used[c.link.ID] = true
	c.calls++
	reuse := &Reuse{Age: e.At.Sub(c.link.Opened)}
	switch {
	case l.nthOn == c.link.ID:
		reuse.Nth = l.nth
	case l.nth == 0 && c.opened != nil && !w.some:
		reuse.Nth = c.calls
	}
	if l.Hop.Reused == nil {
		l.Hop.Reused = reuse
	}
	k.rows = append(k.rows, draft{
		Row: Row{Kind: RowReused, Seq: e.Seq, At: e.At, Label: reuseLabel(l, c, reuse), Note: tlsWords(c.link)},
		leg: l, note: true,
	})
}

func reuseLabel(l *leg, c *conn, r *Reuse) string {
	s := "hop " + l.Name + " reused connection #" + strconv.FormatUint(c.link.ID, 10)
	if !c.link.Opened.IsZero() {
		s += ", " + Span(r.Age) + " old"
	}
	if r.Nth > 0 {
		s += ", " + ordinal(r.Nth) + " call on it"
	}
	return s
}

func ordinal(n int) string {
	suffix := "th"
	if n/10%10 != 1 {
		switch n % 10 {
		case 1:
			suffix = "st"
		case 2:
			suffix = "nd"
		case 3:
			suffix = "rd"
		}
	}
	return strconv.Itoa(n) + suffix
}

// record takes in what the gateway says about a call.
func (w *walk) record(e *Event) {
	if e.Call.Number == 0 {
		w.remark(e)
		return
	}
	k := w.numbered(e)
	if k.last.IsZero() {
		k.last = e.At
	}
	switch e.Kind {
	case LegCreated:
		w.created(k, e)
	case Assessed:
		k.flow.Security = e.Call.Security
	case RouteDecided:
		k.note(e, nil, RowRoute, "route: "+e.Reason, false)
	case TargetFailed:
		w.targetFailed(k, e)
	case TimedOut:
		l := w.find(k, e)
		if l != nil {
			l.invite.timeout = e.Reason
		}
		k.note(e, l, RowTimeout, "timeout: "+e.Reason, true)
	case Noted:
		k.note(e, w.find(k, e), RowNote, e.Reason, false)
	}
}

// remark puts what the gateway says about an INVITE that became no call below that INVITE.
func (w *walk) remark(e *Event) {
	legs := w.legs[e.Call.CallID]
	if e.Kind != Noted || len(legs) == 0 {
		return
	}
	l := legs[len(legs)-1]
	l.call.note(e, l, RowNote, e.Reason, false)
}

func (w *walk) created(k *call, e *Event) {
	l := w.addLeg(k, e)
	l.invite.recorded, l.why = true, cmp.Or(l.why, e.Reason)
	if c := w.conns[e.Call.Connection]; c != nil && l.conn == nil {
		l.conn = c
		if c.owner == nil && !c.used && !c.link.Inbound && c.opened != nil {
			w.own(c, l) // it was dialled for this leg before the leg was recorded
		}
	}
}

// targetFailed finds the refused connection that explains it, when there is one.
func (w *walk) targetFailed(k *call, e *Event) {
	l := w.find(k, e)
	if l == nil {
		l = w.newLeg(k, Out, e.Call.Peer, e.Call.CallID, e.Seq)
		l.invite.recorded = true
	}
	l.failure, l.code = e.Reason, e.Call.Code
	c := w.conns[e.Call.Connection]
	if l.conn == nil && e.Call.Connection == 0 && l.invite.at.IsZero() {
		c = w.failedFor(l.Peer)
	}
	if l.conn == nil && c != nil {
		if c.owner == nil && !c.used {
			w.own(c, l)
		}
		l.conn = c
	}
	k.note(e, l, RowNote, "hop "+l.Name+" to "+l.Peer+" failed: "+e.Reason, true)
	k.rows[len(k.rows)-1].weak = true
}

// failedFor is the connection that a failed target was to have: the latest one to that peer that did not come up. It
// may not be refused yet, because an alert is given time to reach the other side before the connection ends; and it may
// be another call's, when both waited for one dial. One that failed and is nobody's is likeliest.
func (w *walk) failedFor(peer string) (found *conn) {
	most := 0
	for _, c := range w.order {
		if c.link.Inbound || c.link.Peer != peer || c.ready != nil || c.used {
			continue
		}
		likely := 1
		if c.refused != nil || c.alerted() {
			likely++
		}
		if c.owner == nil {
			likely += 2
		}
		if likely >= most {
			found, most = c, likely
		}
	}
	return found
}

// alerted reports whether an alert has ended the handshake.
func (c *conn) alerted() bool {
	return slices.ContainsFunc(c.events, func(e *Event) bool { return e.Kind == HandshakeStep && e.Step.Name == NameAlert })
}

// find is the leg that a record is about; nil when it is about the whole call.
func (w *walk) find(k *call, e *Event) *leg {
	for i := len(k.legs) - 1; i >= 0; i-- {
		l := k.legs[i]
		switch {
		case !l.begun():
		case e.Call.CallID != "" && l.CallID == e.Call.CallID && (e.Call.Peer == "" || e.Call.Peer == l.Peer):
			return l
		case e.Call.CallID == "" && e.Call.Peer != "" && l.Peer == e.Call.Peer && l.Direction == e.Call.Direction:
			return l
		}
	}
	return nil
}

func (k *call) note(e *Event, l *leg, kind RowKind, text string, bad bool) {
	k.rows = append(k.rows, draft{
		Row: Row{Kind: kind, Seq: e.Seq, At: e.At, Label: text, Bad: bad}, leg: l, note: true,
	})
}

// see follows the INVITE usage with one message that is no retransmission.
func (v *invite) see(e *Event, m *message) {
	switch {
	case m.request && m.method == sip.INVITE:
		switch {
		case m.toTag != "":
		case v.at.IsZero() && v.cseq == m.cseq: // its answer was reported first
			v.at = e.At
		case v.code == 0 || v.code >= 300: // the second time: with credentials, RFC 3261 §22.2
			v.at, v.cseq, v.code, v.ringing = e.At, m.cseq, 0, false
		}
	case m.request && m.method == sip.CANCEL:
		v.cancelled, v.cancelOut, v.cancelAt = true, e.Out, e.At
	case m.request && m.method == sip.ACK:
		v.acked = v.acked || m.cseq == v.cseq
	case m.request && m.method == sip.BYE:
		if v.code == 0 && !v.cancelled { // of an early dialog, RFC 3261 §15: as good as a CANCEL
			v.cancelled, v.cancelOut, v.cancelAt = true, e.Out, e.At
		}
		if !v.bye {
			v.bye, v.byeOut, v.byeAt = true, e.Out, e.At
		}
	case m.method == sip.INVITE && (m.cseq == v.cseq || v.at.IsZero()):
		v.cseq = m.cseq
		if m.code > 100 && m.code < 200 {
			v.ringing = true
		}
		if m.code >= 200 && v.code == 0 {
			v.code, v.reason, v.codeOut, v.finalAt = m.code, strings.TrimSpace(m.phrase()), e.Out, e.At
		}
	case !m.request && m.method == sip.BYE && m.code >= 200:
		v.byeDone = true
	}
}
