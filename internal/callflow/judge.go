package callflow

import (
	"fmt"
	"strings"
	"time"
)

// judge finds the state of the call, whether it is done, and the sentence that stands first: outcome, who ended it, on
// which hop, why.
func (f *Flow) judge(gateway string, k *call) {
	j := judgement{Flow: f, call: k, gateway: gateway, first: k.legs[0]}
	for _, l := range k.legs {
		if l.Direction == In {
			j.first = l
			break
		}
	}
	for _, l := range k.legs {
		if l != j.first {
			j.others = append(j.others, l)
		}
	}
	if j.first.ask.method != "" {
		j.judgeRequest()
		return
	}
	f.State = j.state()
	f.Sentence = j.sentence()
	f.Done = j.done()
	if v := &j.first.invite; v.code/100 == 2 {
		f.Duration = k.last.Sub(v.finalAt)
		if !v.at.IsZero() {
			f.Setup = v.finalAt.Sub(v.at)
		}
		if l := j.ender(); l != nil {
			f.Duration = l.invite.byeAt.Sub(v.finalAt)
		}
	}
}

type judgement struct {
	*Flow
	call    *call
	gateway string
	first   *leg // whose INVITE began the call
	others  []*leg
}

func (j *judgement) state() State {
	v := &j.first.invite
	switch {
	case v.at.IsZero() && v.code == 0 && j.refused() != nil:
		return StateRefused
	case v.code == 0 && j.first.failure != "":
		return StateFailed
	case v.code == 0:
		return StateRinging
	case v.code/100 == 2 && j.ender() != nil:
		return StateEnded
	case v.code/100 == 2:
		return StateAnswered
	case v.code == 486 || v.code == 600:
		return StateBusy
	case v.code == 487 && v.cancelled:
		return StateCancelled
	}
	return StateFailed
}

// ender is the leg on which the first BYE went.
func (j *judgement) ender() *leg {
	var first *leg
	for _, l := range j.call.legs {
		if l.invite.bye && (first == nil || l.invite.byeAt.Before(first.invite.byeAt)) {
			first = l
		}
	}
	return first
}

// refused is the last leg whose hop was refused.
func (j *judgement) refused() *leg {
	for i := len(j.call.legs) - 1; i >= 0; i-- {
		if l := j.call.legs[i]; l.conn != nil && l.conn.refused != nil {
			return l
		}
	}
	return nil
}

// done reports whether nothing more is expected on any leg.
func (j *judgement) done() bool {
	switch j.State {
	case StateRinging, StateAnswered:
		return false
	case StateRefused:
		return true
	}
	for _, l := range j.call.legs {
		v := &l.invite
		switch {
		case l.failure != "" && l.conn != nil && l.conn.ready == nil && l.conn.refused == nil:
			return false // its handshake has failed, and why is still to come
		case v.at.IsZero() || v.timeout != "" || l.failure != "":
		case v.code == 0 || !v.acked || v.bye && !v.byeDone:
			return false
		case v.code/100 == 2 && !v.bye:
			return false
		}
	}
	return true
}

func (j *judgement) name(l *leg) string { return j.Lifelines[l.Lifeline].Name }

// party names who sent something on a leg.
func (j *judgement) party(l *leg, out bool) string {
	if out {
		return "the " + j.gateway
	}
	return j.name(l)
}

func (j *judgement) sentence() string {
	var s string
	v := &j.first.invite
	switch j.State {
	case StateRinging:
		s = j.ringing()
	case StateAnswered:
		s = j.answered()
	case StateEnded:
		l := j.ender()
		why := ","
		if l.invite.byeOut && strings.HasPrefix(l.invite.timeout, "no ACK ") {
			why = ": " + l.invite.timeout + ";"
		}
		s = fmt.Sprintf("ended by %s on hop %s after %s%s %s",
			j.party(l, l.invite.byeOut), l.Name, Span(l.invite.byeAt.Sub(v.finalAt)), why, j.answered())
	case StateCancelled:
		s = fmt.Sprintf("cancelled by %s on hop %s%s",
			j.party(j.first, v.cancelOut), j.first.Name, v.after(v.cancelAt))
		if l := j.ringingLeg(); l != nil {
			s += ", while " + j.name(l) + " was ringing"
		}
	case StateRefused:
		s = j.refusal(j.refused())
	default:
		s = j.failed()
	}
	return strings.ToUpper(s[:1]) + s[1:]
}

func (j *judgement) ringing() string {
	if l := j.ringingLeg(); l != nil {
		return fmt.Sprintf("ringing at %s on hop %s", j.name(l), l.Name)
	}
	if j.first.invite.at.IsZero() {
		return "hop " + j.first.Name + " is being set up"
	}
	return "being set up, no answer yet"
}

func (j *judgement) ringingLeg() *leg {
	for i := len(j.others) - 1; i >= 0; i-- {
		if j.others[i].invite.ringing {
			return j.others[i]
		}
	}
	if len(j.others) == 0 && j.first.invite.ringing {
		return j.first
	}
	return nil
}

// after is how long after the INVITE something was; empty when the recording begins later than the call.
func (v *invite) after(t time.Time) string {
	if v.at.IsZero() {
		return ""
	}
	return " after " + Span(t.Sub(v.at))
}

func (j *judgement) answered() string {
	v := &j.first.invite
	after := v.after(v.finalAt)
	for _, l := range j.others {
		if l.invite.code/100 == 2 {
			return fmt.Sprintf("answered by %s on hop %s%s", j.name(l), l.Name, after)
		}
	}
	return fmt.Sprintf("answered by %s on hop %s%s", j.party(j.first, v.codeOut), j.first.Name, after)
}

// failed tells a final answer of 300 and above: what the first leg got, and what happened on every other leg.
func (j *judgement) failed() string {
	v := &j.first.invite
	status := strings.TrimSpace(fmt.Sprintf("%d %s", v.code, v.reason))
	word := "failed"
	if j.State == StateBusy {
		word = "busy"
	}
	var causes []string
	var last *leg
	for _, l := range j.others {
		if c := j.cause(l); c != "" {
			causes, last = append(causes, c), l
		}
	}
	switch {
	case v.code == 0:
		return "failed: " + j.first.failure
	case last == nil:
		return fmt.Sprintf("%s: %s answered %s on hop %s%s",
			word, j.party(j.first, v.codeOut), status, j.first.Name, j.why())
	case last.invite.code != v.code:
		word += " with " + status
	}
	return word + ": " + strings.Join(causes, "; ")
}

// cause is why a leg beside the first one failed; empty when it did not.
func (j *judgement) cause(l *leg) string {
	v := &l.invite
	switch {
	case v.code >= 300:
		return fmt.Sprintf("%s answered %d %s on hop %s", j.name(l), v.code, v.reason, l.Name)
	case l.conn != nil && l.conn.refused != nil:
		return j.hopFailure(l)
	case v.timeout != "":
		return fmt.Sprintf("no answer from %s on hop %s, %s", j.name(l), l.Name, v.timeout)
	case l.failure != "":
		return fmt.Sprintf("hop %s to %s failed: %s", l.Name, j.name(l), l.failure)
	}
	return ""
}

// why is the gateway's own reason, when it said one.
func (j *judgement) why() string {
	for i := len(j.call.rows) - 1; i >= 0; i-- {
		if d := &j.call.rows[i]; d.Kind == RowNote && (d.leg == nil || d.leg == j.first) && d.Label != "" {
			return ": " + d.Label
		}
	}
	return ""
}

// refusal is "refused by the gateway on hop A from 192.0.2.77: its certificate expired".
func (j *judgement) refusal(l *leg) string {
	where := "hop " + l.Name + j.toward(l)
	v := l.conn.refuser()
	switch {
	case v == nil:
		return "refused: " + where + " failed, " + l.conn.refused.Reason
	case v.KnownBy == Unknown:
		return "refused: " + where + " failed, " + v.Reason
	case v.ByGateway:
		return "refused by the " + j.gateway + " on " + where + ": " + v.Reason
	}
	return "refused by " + j.name(l) + " on hop " + l.Name + ": " + v.Reason
}

func (j *judgement) toward(l *leg) string {
	if l.Direction == Out {
		return " to " + j.name(l)
	}
	return " from " + j.name(l)
}

// hopFailure is "hop B to trunk-1 was refused by the gateway: its certificate expired".
func (j *judgement) hopFailure(l *leg) string {
	c := l.conn
	hop := "hop " + l.Name + j.toward(l)
	v := c.refuser()
	switch {
	case v == nil:
		return hop + " failed: " + c.refused.Reason
	case v.KnownBy == Unknown:
		return hop + " failed: " + v.Reason
	case v.ByGateway:
		return hop + " was refused by the " + j.gateway + ": " + v.Reason
	}
	return hop + " was refused by " + j.name(l) + ": " + v.Reason
}
