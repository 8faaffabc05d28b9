package callflow

import (
	"cmp"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
)

// draw finishes the flow of a call; nil when nothing happened that a row could show.
func (w *walk) draw(k *call) *Flow {
	if len(k.legs) == 0 {
		return nil
	}
	f := k.flow
	for _, l := range k.legs {
		f.Legs = append(f.Legs, l.Leg)
	}
	w.lifelines(k)
	for _, c := range w.order {
		if c.owner == k {
			k.rows = append(k.rows, w.connRows(k, c)...)
		}
	}
	k.rows = append(k.rows, k.lostRows()...)
	k.rows = slices.DeleteFunc(k.rows, func(d draft) bool {
		return d.weak && (d.leg.invite.code >= 300 || d.leg.conn != nil && d.leg.conn.owner == k && d.leg.conn.refused != nil)
	})
	if len(k.rows) == 0 {
		return nil
	}
	slices.SortStableFunc(k.rows, func(a, b draft) int { return cmp.Compare(a.Seq, b.Seq) })
	inTime(len(k.rows), func(i int) *time.Time { return &k.rows[i].At })
	f.Start = k.rows[0].At
	w.hops(k)
	w.place(k)
	f.From, f.To = k.from, k.to
	f.Joins = k.edges()
	f.judge(w.gateway, k)
	f.Findings = w.findings(k)
	return f
}

// lifelines puts who calls at the left of the gateway and who is called at its right. A peer with several legs on one
// side has one lifeline there, whatever its addresses.
func (w *walk) lifelines(k *call) {
	f := k.flow
	side := func(d Direction) {
		from := len(f.Lifelines)
		for _, l := range k.legs {
			if l.Direction != d {
				continue
			}
			name, address := w.peerName(k, l)
			at := slices.IndexFunc(f.Lifelines[from:], func(line Lifeline) bool { return line.Name == name })
			if at < 0 {
				at = len(f.Lifelines) - from
				f.Lifelines = append(f.Lifelines, Lifeline{Name: name})
			}
			l.Lifeline = from + at
			f.Lifelines[l.Lifeline].Address = withAddress(f.Lifelines[l.Lifeline].Address, address)
		}
	}
	side(In)
	k.gateway = len(f.Lifelines)
	f.Lifelines = append(f.Lifelines, Lifeline{Name: w.gateway, Address: ports(k), Gateway: true})
	side(Out)
}

// withAddress adds an address to those of a lifeline: a peer may be reached at several.
func withAddress(all, address string) string {
	switch {
	case address == "" || slices.Contains(strings.Split(all, ", "), address):
		return all
	case all == "":
		return address
	}
	return all + ", " + address
}

// peerName is the peer's name in the configuration, else the one in its certificate that was verified, else its address
// without the port.
func (w *walk) peerName(k *call, l *leg) (name, address string) {
	var remote netip.AddrPort
	name = l.Peer
	if l.conn != nil {
		remote = l.conn.link.Remote
		if name == "" {
			name = l.conn.link.Peer
		}
		if t := l.conn.link.TLS; name == "" && t != nil && len(t.PeerNames) > 0 {
			name = t.PeerNames[0]
		}
	}
	if !remote.IsValid() {
		remote = l.remote
	}
	if remote.IsValid() {
		address = remote.String()
		if name == "" {
			name = remote.Addr().Unmap().String()
		}
	}
	if name == "" {
		name = "unknown"
	}
	return name, address
}

// ports are the gateway's own: "5061 in, out 40988".
func ports(k *call) string {
	var s string
	for _, d := range []Direction{In, Out} {
		for _, l := range k.legs {
			if l.Direction != d || l.conn == nil || l.conn.link.Local.Port() == 0 || l.conn.neverOpened() {
				continue
			}
			port := strconv.Itoa(int(l.conn.link.Local.Port()))
			switch {
			case d == In:
				s = port + " in"
			case s != "":
				s += ", out " + port
			default:
				s = "out " + port
			}
			break
		}
	}
	return s
}

// neverOpened reports a dial that got no connection: it has no port of ours.
func (c *conn) neverOpened() bool { return c.refused != nil && c.opened == nil }

// hops copies to each leg what its connection tells.
func (w *walk) hops(k *call) {
	for _, l := range k.legs {
		c := l.conn
		if c == nil {
			continue
		}
		l.Hop.Link = c.link
		l.Hop.Refused = c.refused != nil
		for _, v := range c.judged {
			l.Hop.Verdicts = append(l.Hop.Verdicts, *v)
		}
		if c.owner != k || c.leg != l {
			continue
		}
		l.Hop.Handshake = c.handshake(k.flow.Start)
	}
}

// handshake lists a connection's handshake messages. Application data and close_notify are no part of it, except as the
// numbers 14 and 15 of TLS 1.2.
func (c *conn) handshake(start time.Time) []HopStep {
	var steps []HopStep
	var times []time.Time
	add := func(e *Event, s *Step) { steps, times = append(steps, HopStep{Step: s}), append(times, e.At) }
	for _, e := range c.events {
		switch {
		case e.Kind == HandshakeStep:
			s := c.numbered(e.Step)
			if s.Name != NameProblem && (s.Name != NameApplicationData || s.Number > 0) {
				add(e, s)
			}
		case e.Kind == Closed && c.refused == nil:
			for _, s := range closeSteps(e) {
				if s.Number > 0 {
					add(e, s)
				}
			}
		}
	}
	inTime(len(steps), func(i int) *time.Time { return &times[i] })
	for i := range steps {
		steps[i].Since = times[i].Sub(start)
	}
	return steps
}

// place turns drafts into rows: numbers, times since the start, lifelines.
func (w *walk) place(k *call) {
	f := k.flow
	for i, d := range k.rows {
		r := d.Row
		r.Number, r.Since, r.Leg = i+1, d.At.Sub(f.Start), -1
		r.From, r.To = k.gateway, k.gateway
		if d.leg != nil {
			r.Leg = slices.Index(k.legs, d.leg)
			switch {
			case d.note:
				r.From = min(d.leg.Lifeline, k.gateway)
				r.To = r.From
			case d.out:
				r.To = d.leg.Lifeline
			default:
				r.From = d.leg.Lifeline
			}
		} else if d.note {
			r.From, r.To = 0, 0
		}
		if d.conn != nil && d.out && d.conn.refused != nil && d.Seq < d.conn.refused.Seq {
			r.Bad, r.Note = true, "sent, not processed: the handshake was refused"
		}
		if d.conn != nil && d.out && d.conn.unconfirmed() {
			r.Note = "sent, not confirmed: " + f.Lifelines[d.leg.Lifeline].Name + " has not said that it accepts the handshake"
		}
		f.Rows = append(f.Rows, r)
	}
}

// inTime lets nothing be later than what comes after it, because order is causal first and clock second: two readers stamp
// what they saw a few microseconds apart, and what a failed handshake left unread is read after the alert that it came
// before. More than a second is a clock that was set back; that stays to be seen.
func inTime(n int, at func(int) *time.Time) {
	for i := n - 2; i >= 0; i-- {
		this, next := at(i), *at(i + 1)
		if late := this.Sub(next); late > 0 && late <= time.Second {
			*this = next
		}
	}
}

// since is how long after another event this one came, and 0 without it.
func since(e, from *Event) time.Duration {
	if from == nil {
		return 0
	}
	return e.At.Sub(from.At)
}
