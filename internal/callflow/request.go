package callflow

import (
	"fmt"
	"strings"
	"time"

	"github.com/sallyport-sip/sallyport/sip"
)

// ask is what is known of a leg that no INVITE began: of its first request, and of
// the subscription that a SUBSCRIBE or REFER makes (RFC 6665).
type ask struct {
	method   sip.Method // empty for the leg of a call
	at       time.Time
	cseq     uint32
	code     int // final status, 0 until it came
	reason   string
	codeOut  bool
	finalAt  time.Time
	notified int // NOTIFYs
	ended    time.Time
}

// see follows it with one message that is no retransmission. begun says that the leg
// has seen an INVITE.
func (a *ask) see(e *Event, m *message, begun bool) {
	switch {
	case a.method == "" && !begun && m.request && m.toTag == "" && m.method != sip.INVITE && m.method != sip.CANCEL && m.method != sip.ACK:
		a.method, a.at, a.cseq = m.method, e.At, m.cseq
	case a.method == "":
	case !m.request && m.method == a.method && m.cseq == a.cseq && m.code >= 200 && a.code == 0:
		a.code, a.reason, a.codeOut, a.finalAt = m.code, strings.TrimSpace(m.phrase()), e.Out, e.At
	case m.request && m.method == sip.NOTIFY:
		a.notified++
		if m.terminated && a.ended.IsZero() {
			a.ended = e.At
		}
	}
}

// subscribes says whether the request makes a subscription that NOTIFYs follow.
func (a *ask) subscribes() bool { return a.method == sip.SUBSCRIBE || a.method == sip.REFER }

// judgeRequest is judge for what is no call.
func (j *judgement) judgeRequest() {
	a := &j.first.ask
	switch {
	case a.code == 0 && j.first.invite.timeout != "":
		j.State = StateUnanswered
	case a.code == 0 && !a.ended.IsZero():
		j.State = StateEnded // its NOTIFY was faster than its answer
	case a.code == 0:
		j.State = StateSending
	case a.code >= 300:
		j.State = StateFailed
	case a.subscribes() && a.ended.IsZero():
		j.State = StateSubscribed
	case a.subscribes():
		j.State = StateEnded
	default:
		j.State = StateDelivered
	}
	s := j.requestSentence()
	j.Sentence = strings.ToUpper(s[:1]) + s[1:]
	j.Done = j.State != StateSending && j.State != StateSubscribed
	if j.State == StateEnded && a.code > 0 {
		j.Duration = max(a.ended.Sub(a.finalAt), 0)
	}
}

func (j *judgement) requestSentence() string {
	a := &j.first.ask
	switch j.State {
	case StateSending:
		return fmt.Sprintf("%s under way, no answer yet", a.method)
	case StateUnanswered:
		return fmt.Sprintf("%s not answered by anybody: %s", a.method, j.first.invite.timeout)
	case StateFailed:
		for _, l := range j.others {
			if l.ask.code >= 300 {
				return fmt.Sprintf("%s refused: %s answered %d %s on hop %s", a.method, j.name(l), l.ask.code, l.ask.reason, l.Name)
			}
		}
		var s strings.Builder
		s.WriteString(fmt.Sprintf("%s refused: %s answered %d %s on hop %s", a.method, j.party(j.first, a.codeOut), a.code, a.reason, j.first.Name))
		for _, l := range j.others {
			if c := j.cause(l); c != "" {
				s.WriteString("; " + c)
			}
		}
		if len(j.others) == 0 {
			s.WriteString(j.why())
		}
		return s.String()
	case StateSubscribed:
		return fmt.Sprintf("%s accepted%s, %s so far", a.method, j.by(), notifies(a.notified))
	case StateEnded:
		return fmt.Sprintf("subscription ended after %s, %s, accepted%s", Span(j.lasted()), notifies(a.notified), j.by())
	}
	return fmt.Sprintf("%s delivered%s", a.method, j.by())
}

// by is who gave the final 2xx, on which hop, and after how long.
func (j *judgement) by() string {
	a := &j.first.ask
	after := " after " + Span(a.finalAt.Sub(a.at))
	if a.at.IsZero() || a.code == 0 {
		after = ""
	}
	for _, l := range j.others {
		if l.ask.code/100 == 2 {
			return fmt.Sprintf(" by %s on hop %s%s", j.name(l), l.Name, after)
		}
	}
	return after
}

func (j *judgement) lasted() time.Duration {
	a := &j.first.ask
	if a.at.IsZero() {
		return 0
	}
	return a.ended.Sub(a.at)
}

func notifies(n int) string {
	if n == 1 {
		return "1 NOTIFY"
	}
	return fmt.Sprintf("%d NOTIFYs", n)
}
