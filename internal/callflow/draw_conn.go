package callflow

import (
	"slices"
	"strconv"
)

// hidden reports a record that was drawn as application data before it was known to be the alert by which a TLS 1.3
// server refuses our certificate: it does so under the keys of application data.
func (c *conn) hidden(e *Event) bool {
	return c.refused != nil && c.ready != nil && !c.link.Inbound && !e.Step.ByGateway &&
		e.Step.Name == NameApplicationData && e.Step.Number == 0
}

// settleOrder puts what the peer sent before it could know of our alert above that alert. We read it later, because a
// handshake stops reading when it fails; but no cause of it is below.
func (c *conn) settleOrder() {
	alert := -1
	for i := 0; i < len(c.events); i++ {
		e := c.events[i]
		switch {
		case e.Kind != HandshakeStep:
		case alert < 0 && e.Step.ByGateway && e.Step.Name == NameAlert && e.Step.Alert.Fatal:
			alert = i
		case alert >= 0 && !e.Step.ByGateway && e.Step.Name != NameAlert:
			early := *e
			early.Seq, early.At = c.events[alert].Seq, c.events[alert].At
			c.events = slices.Insert(slices.Delete(c.events, i, i+1), alert, &early)
			alert++
		}
	}
}

// connRows draws a connection in the call that opened it: the transport connection, each handshake step, the verdict,
// and the close.
func (w *walk) connRows(k *call, c *conn) []draft {
	var rows []draft
	peer := k.flow.Lifelines[c.leg.Lifeline].Name
	sender := func(byGateway bool) string {
		if byGateway {
			return w.gateway
		}
		return peer
	}
	refuser := c.refuser()
	arrow := func(e *Event, out bool, r Row) {
		r.Seq, r.At = e.Seq, e.At
		rows = append(rows, draft{Row: r, leg: c.leg, out: out})
	}
	words := func(e *Event, r Row) {
		r.Seq, r.At = e.Seq, e.At
		rows = append(rows, draft{Row: r, leg: c.leg, note: true})
	}
	for _, e := range c.events {
		switch e.Kind {
		case Opened:
			arrow(e, !c.link.Inbound, Row{Kind: RowTCP, Label: "TCP",
				Note: "connection #" + strconv.FormatUint(c.link.ID, 10)})
		case HandshakeStep:
			if c.hidden(e) {
				continue
			}
			arrow(e, e.Step.ByGateway, c.stepRow(e, sender(e.Step.ByGateway), refuser))
			if c.believes(e, refuser) {
				words(e, Row{Kind: RowNote, Label: peer + " believes the handshake is complete here"})
			}
		case Ready:
			if c.link.TLS != nil {
				words(e, Row{Kind: RowSummary, Label: c.upWords(w.gateway, peer), Open: !c.confirmed(), Took: since(e, c.opened)})
			}
		case Refused:
			if c.opened == nil && !c.link.Inbound {
				arrow(e, true, Row{Kind: RowTCP, Label: "TCP", Bad: true, Note: e.Reason})
			}
			last := c.lastWord(e)
			words(last, Row{Kind: RowSummary, Label: c.refusedWords(e, refuser, sender), Bad: true, Took: since(last, c.opened)})
			for _, r := range c.causes(refuser) {
				words(last, r)
			}
		case Closed:
			if c.refused == nil {
				w.closeRows(c, e, arrow, words)
			}
		}
	}
	return rows
}

// refuser is the first verdict that refuses; nil when the handshake is good, or ended without one.
func (c *conn) refuser() *Verdict {
	for _, v := range c.judged {
		if !v.Accepted && !v.Undecided {
			return v
		}
	}
	return nil
}

// lastWord is where a refusal is drawn: below the last step of a handshake that an alert ended. The connection itself
// ends later, when the other side has had time to read the alert.
func (c *conn) lastWord(refused *Event) *Event {
	last := refused
	for _, e := range c.events {
		if e.Kind == HandshakeStep && c.alerted() {
			last = e
		}
	}
	return last
}

// confirmed reports whether the peer is known to have accepted. A TLS 1.3 client finishes first and does not know
// before the server's first record (RFC 8446 §4.4.4).
func (c *conn) confirmed() bool {
	for _, v := range c.judged {
		if !v.ByGateway && v.Accepted {
			return true
		}
	}
	return false
}

// unconfirmed reports whether we, as TLS 1.3 client, are up and have heard nothing since.
func (c *conn) unconfirmed() bool {
	return c.ready != nil && c.refused == nil && !c.link.Inbound && c.link.TLS != nil && c.link.TLS.Version == "1.3" && !c.confirmed()
}

// numbered is the step as it is drawn: only what is known to be TLS 1.2 or older has numbers.
func (c *conn) numbered(s *Step) *Step {
	if s.Number == 0 || c.link.TLS != nil && c.link.TLS.Version != "" && c.link.TLS.Version != "1.3" {
		return s
	}
	plain := *s
	plain.Number = 0
	return &plain
}

func (c *conn) stepRow(e *Event, sender string, refuser *Verdict) Row {
	s := c.numbered(e.Step)
	r := Row{Kind: RowTLS, Label: s.label(), Note: s.note(sender), Step: s, Bad: s.Name == NameAlert && s.Alert.Fatal}
	switch s.Name {
	case NameProblem:
		r.Kind, r.Bad = RowData, true
		return r
	case NameApplicationData:
		r.Kind = RowData
	default:
		return r
	}
	switch {
	case c.refused != nil && !s.ByGateway && refuser != nil && refuser.ByGateway:
		r.Label, r.Bad = "application data (unread)", true
		r.Note = "sent before the verdict arrived, lost"
	case s.Number == 0 && !s.ByGateway && !c.link.Inbound:
		r.Note = "the first record of " + sender + " confirms the handshake"
	}
	return r
}

// believes reports whether the peer thinks, after this step, that all is well, although we refuse it: in TLS 1.3 the
// client is done when it has sent its Finished (RFC 8446 §4.4.4).
func (c *conn) believes(e *Event, refuser *Verdict) bool {
	return c.refused != nil && c.link.Inbound && refuser != nil && refuser.ByGateway &&
		c.link.TLS != nil && c.link.TLS.Version == "1.3" && e.Step.Name == "Finished" && !e.Step.ByGateway
}

func (c *conn) upWords(gateway, peer string) string {
	switch {
	case c.refused != nil:
		return "hop " + c.leg.Name + " complete for the " + gateway + ", not confirmed by " + peer
	case !c.confirmed():
		return "hop " + c.leg.Name + " up, not yet confirmed by " + peer + ": " + tlsWords(c.link)
	}
	return "hop " + c.leg.Name + " up: " + tlsWords(c.link)
}

func (c *conn) refusedWords(e *Event, v *Verdict, name func(bool) string) string {
	hop := "hop " + c.leg.Name
	switch {
	case v == nil:
		return hop + " failed: " + e.Reason
	case v.KnownBy == Unknown:
		return hop + " failed: " + v.Reason
	case v.ByGateway:
		return hop + " refused by the " + name(true) + ": " + v.Reason
	}
	return hop + " refused by " + name(false) + ": " + v.Reason
}

// causes are the rows below a refusal: what was presented, what may lie behind a peer's alert, and the remedy.
func (c *conn) causes(v *Verdict) []Row {
	if v == nil {
		return nil
	}
	var rows []Row
	for _, e := range c.events {
		if e.Kind == HandshakeStep && e.Step.ByGateway != v.ByGateway && e.Step.Certificate != nil {
			rows = append(rows, Row{Kind: RowCause, Label: "presented " + e.Step.Certificate.words()})
			break
		}
	}
	var why []*Verdict
	for _, o := range c.judged {
		if !o.Accepted && !o.Undecided && o.ByGateway == v.ByGateway {
			why = append(why, o)
		}
	}
	for i, o := range why {
		if o != v {
			rows = append(rows, Row{Kind: RowCause, Label: "cause (" + o.KnownBy + "): " + o.Reason})
		}
		again := slices.ContainsFunc(why[i+1:], func(later *Verdict) bool { return later.Remedy == o.Remedy })
		if o.Remedy != "" && !again {
			rows = append(rows, Row{Kind: RowRemedy, Label: "fix: " + o.Remedy})
		}
	}
	return rows
}

// closeSteps are the close_notify alerts of a TLS connection, that of who ended the connection first.
func closeSteps(e *Event) []*Step {
	if !e.Notify.Known || e.Link.TLS == nil {
		return nil
	}
	number := 0
	if e.Link.TLS.Version == "1.2" {
		number = 15
	}
	notify := func(byGateway bool) *Step {
		return &Step{ByGateway: byGateway, Name: NameAlert, Number: number, Encrypted: true,
			Alert: Alert{Code: 0, Name: "close_notify"}}
	}
	var steps []*Step
	for _, byGateway := range []bool{e.Notify.ByGateway, !e.Notify.ByGateway} {
		if byGateway && e.Notify.Sent || !byGateway && e.Notify.Received {
			steps = append(steps, notify(byGateway))
		}
	}
	return steps
}

func (w *walk) closeRows(c *conn, e *Event, arrow func(*Event, bool, Row), words func(*Event, Row)) {
	if e.Link.TLS == nil || !e.Notify.Known {
		words(e, Row{Kind: RowTCP, Label: closedWords("hop "+c.leg.Name+" closed", e.Reason)})
		return
	}
	steps := closeSteps(e)
	for i, s := range steps {
		note := e.Reason
		if i > 0 {
			note = ""
		}
		label := "close_notify"
		if s.Number > 0 {
			label = strconv.Itoa(s.Number) + " " + label
		}
		arrow(e, s.ByGateway, Row{Kind: RowTLS, Label: label, Note: note, Step: s})
	}
	if len(steps) == 0 {
		label := "close_notify missing"
		if e.Link.TLS.Version == "1.2" {
			label = "15 " + label
		}
		words(e, Row{Kind: RowTLS, Bad: true, Label: closedWords("hop "+c.leg.Name+": "+label, e.Reason)})
	}
}

// lostRows tell of connections that ended under the call and are drawn elsewhere, because another call had opened them.
func (k *call) lostRows() []draft {
	var last uint64 // of its messages
	for _, d := range k.rows {
		if d.sip != nil {
			last = max(last, d.Seq)
		}
	}
	up := slices.ContainsFunc(k.legs, func(l *leg) bool { return l.invite.code/100 == 2 && !l.invite.bye })
	var rows []draft
	for _, l := range k.legs {
		c := l.conn
		if c == nil || c.owner == k || c.closed == nil || c.refused != nil || c.closed.Seq < l.created || c.closed.Seq > last && !up {
			continue
		}
		rows = append(rows, draft{leg: l, note: true, Row: Row{
			Kind: RowTCP, Seq: c.closed.Seq, At: c.closed.At, Label: closedWords("hop "+l.Name+" closed", c.closed.Reason),
		}})
	}
	return rows
}

func closedWords(what, reason string) string {
	if reason == "" {
		return what
	}
	return what + ": " + reason
}
