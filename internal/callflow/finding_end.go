package callflow

import (
	"fmt"
	"strings"
	"time"
)

// answerOf is the 2xx that made the call up on a leg, seen on it.
func (l *half) answerOf() *heard { return l.answer(l.initialInvite()) }

// bye is the first BYE of a leg.
func (l *half) bye() *heard {
	return l.first(func(m *heard) bool { return m.request && m.method == "BYE" })
}

// endedAt32 is a BYE when 64*T1 are over: who hangs up then has not had an ACK, or thinks so.
func endedAt32(s *study) []found {
	if len(s.lacking) > 0 {
		return nil // that is the reason, and has a finding of its own
	}
	var first *heard
	for _, l := range s.legs {
		if b := l.bye(); b != nil && (first == nil || b.Seq < first.Seq) {
			first = b
		}
	}
	if first == nil || first.out {
		return nil // why the gateway ended it, it says itself
	}
	ok := first.side.answerOf()
	if ok == nil {
		return nil
	}
	lasted := first.At.Sub(ok.At)
	if lasted < 30*time.Second || lasted > 34*time.Second {
		return nil
	}
	guess := "its ACK, or that of the gateway, may not have arrived"
	if first.side.out {
		guess = "it may not have had our ACK"
	}
	return one(rowsOf(ok, first), "%s hung up on %s %s after the answer, which is when 64*T1 are over: %s", s.sender(first), first.side.on(), Span(lasted), guess)
}

// noRefresh is a session timer that nobody kept: the call ends when it runs out.
func noRefresh(s *study, l *half) []found {
	ok := l.answerOf()
	if ok == nil || ok.detail.session == 0 {
		return nil
	}
	refreshed := l.first(func(m *heard) bool {
		return m.request && m.Seq > ok.Seq && m.toTag != "" && (m.method == "INVITE" || m.method == "UPDATE")
	})
	end := l.bye()
	if refreshed != nil || end == nil {
		return nil
	}
	// "... this is the minimum of 32 seconds and one third of the session interval" (RFC 4028 §10).
	early := ok.detail.session - min(32*time.Second, ok.detail.session/3)
	lasted := end.At.Sub(ok.At)
	if lasted < early-time.Second {
		return nil
	}
	who := "nobody was named to refresh it"
	switch ok.detail.refresher {
	case "uac":
		who = "the one to refresh it was who called"
	case "uas":
		who = "the one to refresh it was who was called"
	}
	return one(rowsOf(ok, end), "%s ended the call on %s after %s: a session timer of %s was agreed and never refreshed; %s",
		s.sender(end), l.on(), Span(lasted), seconds(ok.detail.session), who)
}

// shortSession is a session timer that the other side finds too short, more than once or for good.
func shortSession(s *study, l *half) []found {
	refused := l.of(func(m *heard) bool { return !m.request && m.code == 422 })
	if len(refused) == 0 || refused[0].out && len(s.legs) > 1 { // then the other hop says whose it is
		return nil
	}
	last := refused[len(refused)-1]
	if len(refused) < 2 && l.first(func(m *heard) bool { return m.request && m.method == last.method && m.Seq > last.Seq }) != nil {
		return nil
	}
	asked := "no time"
	if req := l.request(last); req != nil && req.detail.session > 0 {
		asked = seconds(req.detail.session)
	}
	least := "none"
	if last.detail.least > 0 {
		least = seconds(last.detail.least)
	}
	return one(rowsOf(refused...), "%s refused the session timer on %s with 422 %s: %s asked, %s at least wanted",
		s.sender(last), l.on(), times(len(refused)), asked, least)
}

// slowAnswer is a caller who heard nothing for long.
func slowAnswer(s *study) []found {
	if len(s.legs) == 0 || s.legs[0].out {
		return nil
	}
	l := s.legs[0]
	invite := l.initialInvite()
	if invite == nil {
		return nil
	}
	first := l.first(func(m *heard) bool {
		return !m.request && m.method == "INVITE" && m.cseq == invite.cseq && m.code > 100 && (m.code < 300 || m.code == 486)
	})
	if first == nil || first.At.Sub(invite.At) < 5*time.Second {
		return nil
	}
	var parts []string
	rows := rowsOf(invite, first)
	for _, b := range s.legs[1:] {
		req := b.initialInvite()
		if req == nil {
			continue
		}
		for _, m := range b.responses(req) {
			if m.code > 100 {
				parts = append(parts, fmt.Sprintf("%s had the INVITE for %s of it", b.name, Span(m.At.Sub(req.At))))
				rows = append(rows, rowsOf(req, m)...)
				break
			}
		}
	}
	why := ""
	if len(parts) > 0 {
		why = ": " + strings.Join(parts, ", ")
	}
	return one(rows, "%s heard nothing for %s%s", l.name, Span(first.At.Sub(invite.At)), why)
}

// lostConnection is a connection that ended under a call that was up.
func lostConnection(_ *study, l *half) (all []found) {
	ok := l.answerOf()
	c := l.conn
	if ok == nil || c == nil || c.closed == nil || c.closed.Seq < ok.Seq || c.link.Transport == "udp" {
		return nil
	}
	if b := l.bye(); b != nil && b.Seq < c.closed.Seq {
		return nil
	}
	for _, r := range l.rows {
		if r.Seq == c.closed.Seq {
			return one(append(rowsOf(ok), r.Number), "connection #%d of %s on %s ended %s after the answer, while the call was up%s",
				c.link.ID, l.name, l.on(), Span(c.closed.At.Sub(ok.At)), closedWords("", c.closed.Reason))
		}
	}
	return nil
}
