package callflow

import (
	"fmt"
	"strings"
	"time"
)

// stillness is how long silence has to last until it says something.
const stillness = 2 * time.Second

// silent is an INVITE that nobody said a word to, not even 100.
func (s *study) silent(l *half) (invite *heard, copies int) {
	m := l.initialInvite()
	if m == nil || !m.out || m.Link == nil || l.conn != nil && l.conn.refused != nil {
		return nil, 0
	}
	for i := range s.Rows {
		if r := &s.Rows[i]; r.Kind == RowSIP && r.Leg >= 0 && s.legs[r.Leg] == l && r.To == r.gateway(s) && r.Seq > m.Seq {
			return nil, 0
		}
	}
	waited := s.Rows[len(s.Rows)-1].At.Sub(m.At)
	if c := l.conn; c != nil && c.closed != nil {
		waited = min(waited, c.closed.At.Sub(m.At))
	}
	n := len(l.copies(m))
	if gone := l.failure != "" || l.invite.timeout != ""; n <= 3 && !gone || waited < stillness {
		return nil, 0
	}
	return m, n
}

// gateway is the index of the gateway's lifeline.
func (r *Row) gateway(s *study) int {
	for i := range s.Lifelines {
		if s.Lifelines[i].Gateway {
			return i
		}
	}
	return -1
}

// maxDatagram is what a request over UDP may have where the path's MTU is not known: "within 200 bytes of the path MTU,
// or ... larger than 1300 bytes" (RFC 3261 §18.1.1).
const maxDatagram = 1300

func silentPeer(large bool) func(*study, *half) []found {
	return func(s *study, l *half) []found {
		m, n := s.silent(l)
		if m == nil || (m.detail.size > maxDatagram && m.Link.Transport == "udp") != large {
			return nil
		}
		rows := rowsOf(l.copies(m)...)
		for _, r := range l.rows {
			if r.Kind == RowTimeout {
				rows = append(rows, r.Number)
			}
		}
		times := plural(n, "INVITE")
		if large {
			return one(rows, "%s said nothing to %s of %d bytes on %s over UDP: datagrams above %d bytes are fragmented, and fragments are often dropped",
				l.name, times, m.detail.size, l.on(), maxDatagram)
		}
		return one(rows, "%s said nothing to %s on %s over %s, not even 100: either nothing arrives there or nothing comes back", l.name, times, l.on(), m.Link.Transport)
	}
}

// storm is a message that is sent again and again.
const storm = 3

func repeated(s *study, l *half) (all []found) {
	for _, m := range l.msgs {
		if m.Repeat != storm || s.explained(l, m) {
			continue
		}
		copies := l.copies(m)
		first, last := copies[0], copies[len(copies)-1]
		all = append(all, found{
			sentence: fmt.Sprintf("%s sent %s to %s on %s %s within %s: %s", s.sender(m), strings.TrimSuffix(first.label(), " (SDP)"), s.receiver(m), l.on(),
				times(len(copies)), Span(last.At.Sub(first.At)), lacks[m.request]),
			rows: rowsOf(copies...),
		})
	}
	return all
}

var lacks = map[bool]string{true: "no answer to it arrives in time", false: "its ACK does not arrive"}

// explained reports a repeated message whose own finding says more.
func (s *study) explained(l *half, m *heard) bool {
	for _, k := range s.lacking {
		if k.side == l && k.ok.cseq == m.cseq {
			return true
		}
	}
	silent, _ := s.silent(l)
	answer := !m.request && m.method != "INVITE"                  // as often as its request
	rings := !m.request && m.code < 200                           // as often as it likes (RFC 3261 §13.3.1.1)
	accepted := m.method == "INVITE" && m.code/100 == 2 && !m.out // our ACK is in vain
	return m.method == "ACK" || answer || rings || accepted || silent != nil && m.request && m.cseq == silent.cseq
}

// glare are requests for the same dialog that cross again and again.
func glare(s *study, l *half) []found {
	no := l.of(func(m *heard) bool { return !m.request && m.code == 491 })
	if len(no) < 2 {
		return nil
	}
	return one(rowsOf(no...), "%s refused with 491 on %s: both sides change the call at the same moment, again and again", plural(len(no), string(no[0].method)+" request"), l.on())
}

// forkedAnswers are several 2xx to one INVITE, from several who picked up.
func forkedAnswers(s *study, l *half) []found {
	invite := l.initialInvite()
	if invite == nil || !invite.out {
		return nil
	}
	tags := map[string]bool{}
	var oks []*heard
	for _, m := range l.responses(invite) {
		if m.code/100 == 2 && !tags[m.toTag] {
			tags[m.toTag] = true
			oks = append(oks, m)
		}
	}
	if len(oks) < 2 {
		return nil
	}
	return one(rowsOf(oks...), "%d of those that %s rang answered on %s: the first has the call, the gateway acknowledged the others and hung up on them", len(oks), l.name, l.on())
}

// unracked is a reliable provisional response that got no PRACK.
func unracked(s *study, l *half) []found {
	m := l.first(func(m *heard) bool { return !m.request && m.detail.reliable && m.code > 100 && m.code < 200 })
	if m == nil || !m.out && s.passedOn(l) {
		return nil
	}
	if l.first(func(p *heard) bool { return p.request && p.method == "PRACK" }) != nil {
		return nil
	}
	copies := l.copies(m)
	if len(copies) < storm {
		return nil
	}
	return one(rowsOf(copies...), "%s sent %d %s on %s reliably %s, and %s sent no PRACK", s.sender(m), m.code, m.phrase(), l.on(), times(len(copies)), s.receiver(m))
}

// passedOn reports whether another leg has a reliable response of ours: then the PRACK is to come from there.
func (s *study) passedOn(from *half) bool {
	for _, l := range s.legs {
		if l != from && l.first(func(m *heard) bool { return m.out && m.detail.reliable }) != nil {
			return true
		}
	}
	return false
}

// unreliable is early media that was to be reliable and was not.
func unreliable(s *study, l *half) []found {
	invite := l.initialInvite()
	if invite == nil || !lists(invite.detail.require, "100rel") {
		return nil
	}
	for _, m := range l.responses(invite) {
		if m.code > 100 && m.code < 200 && !m.detail.reliable {
			return one(rowsOf(invite, m), "%s requires 100rel on %s, and %s sent %d %s without it", s.sender(invite), l.on(), s.sender(m), m.code, m.phrase())
		}
	}
	return nil
}

// skew is how far a clock may be off before it matters.
const skew = time.Minute

// clockOff compares Date with when the message came.
func clockOff(s *study, l *half) []found {
	m := l.first(func(m *heard) bool { return !m.out && !m.detail.date.IsZero() && m.At.Sub(m.detail.date).Abs() > skew })
	if m == nil {
		return nil
	}
	off := m.At.Sub(m.detail.date)
	word := "behind"
	if off < 0 {
		word = "ahead of"
	}
	return one(rowsOf(m), "the clock of %s is %s %s ours by the Date of its %s on %s", l.name, Span(off.Abs()), word, m.method, l.on())
}
