package callflow

import (
	"fmt"
	"slices"
	"strings"
)

// Most refusals speak for themselves, and the flow's sentence quotes them. These checks add what to do.

// refusal is the first final response with one of the codes that a peer gave, or we did where no peer was asked.
func (s *study) refusal(l *half, codes ...int) *heard {
	return l.first(func(m *heard) bool {
		if m.request || m.out && len(s.legs) > 1 {
			return false
		}
		return slices.Contains(codes, m.code)
	})
}

// said is what the response says besides: its Warning.
func (m *heard) said() string {
	if m.detail.warning == "" {
		return ""
	}
	return "; it says: " + m.detail.warning
}

func malformed(s *study, l *half) []found {
	m := s.refusal(l, 400)
	if m == nil || m.out {
		return nil
	}
	return one(rowsOf(l.request(m), m), "%s finds our %s malformed on %s: 400 %s%s", l.name, m.method, l.on(), m.phrase(), m.said())
}

func bodyRefused(s *study, l *half) []found {
	m := s.refusal(l, 415)
	if m == nil {
		return nil
	}
	sent, takes := "", ""
	req := l.request(m)
	if req != nil && req.detail.typ != "" {
		sent = " of type " + req.detail.typ
	}
	if m.detail.accept != "" {
		takes = "; it takes " + m.detail.accept
	}
	return one(rowsOf(req, m), "%s does not take the body%s of the %s on %s%s", s.sender(m), sent, m.method, l.on(), takes)
}

func extensionRefused(s *study, l *half) []found {
	m := s.refusal(l, 420, 421)
	if m == nil {
		return nil
	}
	req := l.request(m)
	if m.code == 421 {
		return one(rowsOf(req, m), "%s demands the extension %s on %s, which the %s does not support", s.sender(m), orUnknown(m.detail.require), l.on(), m.method)
	}
	return one(rowsOf(req, m), "%s does not know the extension %s that the %s on %s requires", s.sender(m), orUnknown(m.detail.unsupported), m.method, l.on())
}

func orUnknown(s string) string {
	if s == "" {
		return "that it does not name"
	}
	return s
}

func overloaded(s *study, l *half) []found {
	m := s.refusal(l, 503)
	if m == nil || m.out || m.detail.retryAfter == 0 {
		return nil
	}
	return one(rowsOf(l.request(m), m), "%s is out of service on %s for %s by its own word: 503 %s", l.name, l.on(), seconds(m.detail.retryAfter), m.phrase())
}

func byeUnknown(s *study, l *half) []found {
	m := l.first(func(m *heard) bool {
		return !m.request && m.code == 481 && m.method != "CANCEL" && m.method != "PRACK" && m.method != "NOTIFY"
	})
	if m == nil || m.out && len(s.legs) > 1 {
		return nil
	}
	req := l.request(m)
	if req == nil || req.toTag == "" {
		return nil
	}
	if l.first(func(b *heard) bool { return b.request && b.method == "BYE" && b.Seq < m.Seq && b != req }) != nil {
		return nil // the call was over
	}
	return one(rowsOf(req, m), "%s does not know the call any more on %s: it answered 481 to %s, with the tags %s and %s", s.sender(m), l.on(), m.method, orMissing(m.fromTag), orMissing(m.toTag))
}

// targetsFailed are targets that were asked in vain before one took the call.
func targetsFailed(s *study) []found {
	up := false
	for _, l := range s.legs {
		up = up || l.out && l.answerOf() != nil
	}
	if !up {
		return nil // then the sentence says it
	}
	var names []string
	var rows []int
	for _, l := range s.legs {
		if !l.out || l.failure == "" {
			continue
		}
		names = append(names, l.name+" ("+l.failure+")")
		for i := range s.Rows {
			if r := &s.Rows[i]; r.Leg >= 0 && s.legs[r.Leg] == l && (r.Bad || r.Kind == RowSIP) {
				rows = append(rows, r.Number)
			}
		}
	}
	if len(rows) == 0 {
		return nil
	}
	return one(rows, "%s failed before another target took the call: %s", plural(len(names), "target"), strings.Join(names, "; "))
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// hopRefused is the evidence for the verdict on a handshake that failed, which is the sentence's or the ladder's to say.
func hopRefused(_ *study, l *half) []found {
	c := l.conn
	if c == nil || c.refused == nil {
		return nil
	}
	var rows []int
	var words []string
	after := ""
	for _, r := range l.rows {
		switch {
		case r.Kind == RowTLS && r.Bad, r.Kind == RowTCP && r.Bad:
			words = append(words, strings.TrimSpace("at "+r.Label+" "+r.Note))
		case r.Kind == RowCause:
			words = append(words, r.Label)
		case r.Kind == RowSummary && r.Bad && r.Took > 0:
			after = " after " + Span(r.Took)
		case !r.Bad && r.Kind != RowRemedy:
			continue
		}
		rows = append(rows, r.Number)
	}
	remedy := ""
	for _, v := range c.judged {
		if v.Remedy != "" {
			remedy = v.Remedy
			break
		}
	}
	if len(words) == 0 {
		words = []string{c.refused.Reason}
	}
	return []found{{sentence: fmt.Sprintf("no connection with %s on %s%s: %s", l.name, l.on(), after, strings.Join(words, "; ")), rows: rows, remedy: remedy}}
}
