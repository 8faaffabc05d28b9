package callflow

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

// A finding is what a check saw in one flow. The checks are the rows of the table below; each is one function, in a file by
// theme: finding_ack.go, finding_end.go, finding_media.go, finding_nat.go, finding_route.go, finding_auth.go,
// finding_refusal.go, finding_repeat.go and finding_tls.go. They look at messages that were read already, keep nothing
// and know no clock: what is late is known by what came after it.
//
// A check speaks only of what the flow shows. It stands beside the verdict, which is the flow's sentence, and never takes
// its place.

// A Check is one row of the table.
type Check struct {
	Code      string
	Severity  Severity
	What      string // what it means, for the page of checks
	Remedy    string // what to do, unless the flow lets the check say it better
	Reference string
	find      func(*study) []found
}

// found is what a check saw once.
type found struct {
	sentence string
	rows     []int
	remedy   string // empty: the check's
}

// Checks returns the table, in the order of its page.
func Checks() []Check { return slices.Clone(table) }

// How much of one flow is told: a flow with more is told by these, too.
const (
	maxFindings = 40 // of a flow
	maxAlike    = 4  // of one check
	maxEvidence = 24 // rows of one finding
)

// findings runs the checks over a flow that is drawn and judged.
func (w *walk) findings(k *call) []Finding {
	s := newStudy(w, k)
	var all []Finding
	for _, c := range table {
		for i, f := range c.find(s) {
			if i == maxAlike {
				break
			}
			slices.Sort(f.rows)
			f.rows = slices.Compact(f.rows)
			if len(f.rows) == 0 {
				continue
			}
			all = append(all, Finding{
				Code: c.Code, Severity: c.Severity, Sentence: s.begin(f.sentence),
				Rows: f.rows[:min(len(f.rows), maxEvidence)], Remedy: cmp.Or(f.remedy, c.Remedy), Reference: c.Reference,
			})
		}
	}
	slices.SortStableFunc(all, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(rank(a.Severity), rank(b.Severity)), cmp.Compare(a.Rows[0], b.Rows[0]))
	})
	return all[:min(len(all), maxFindings)]
}

// begin writes the first letter of a sentence large, unless it is that of a name.
func (s *study) begin(sentence string) string {
	for _, l := range s.legs {
		if strings.HasPrefix(sentence, l.name+" ") {
			return sentence
		}
	}
	return strings.ToUpper(sentence[:1]) + sentence[1:]
}

func rank(s Severity) int { return slices.Index([]Severity{Problem, Warning, Hint}, s) }

// A study is a flow as the checks see it.
type study struct {
	*Flow
	walk    *walk
	gateway string
	legs    []*half
	ours    map[string]bool // hosts by which the gateway is known in this flow
	lacking []*lack         // 2xx of ours without ACK
}

// A half is a leg with its messages.
type half struct {
	*leg
	name string // of the peer
	msgs []*heard
	out  bool   // the gateway called
	rows []*Row // words and handshake steps of the leg
}

// A heard is one message of a leg.
type heard struct {
	*message
	*Row
	side *half
	out  bool // the gateway sent it
}

func newStudy(w *walk, k *call) *study {
	s := &study{Flow: k.flow, walk: w, gateway: w.gateway, ours: map[string]bool{}}
	for i, l := range k.legs {
		s.legs = append(s.legs, &half{leg: l, name: k.flow.Lifelines[l.Lifeline].Name, out: l.Direction == Out})
		if c := l.conn; c != nil && c.link.Local.IsValid() {
			s.ours[c.link.Local.Addr().Unmap().String()] = true
		}
		for j := range k.flow.Rows {
			if r := &k.flow.Rows[j]; r.Leg == i && r.Kind != RowSIP {
				s.legs[i].rows = append(s.legs[i].rows, r)
			}
		}
	}
	for i := range k.rows {
		d, r := &k.rows[i], &k.flow.Rows[i]
		if d.sip == nil || d.sip.detail == nil || r.Leg < 0 {
			continue
		}
		l := s.legs[r.Leg]
		l.msgs = append(l.msgs, &heard{message: d.sip, Row: r, side: l, out: d.out})
		if d.out {
			s.ours[d.sip.detail.contact.host] = true
			if d.sip.request {
				s.ours[d.sip.detail.via.host] = true
			}
		}
	}
	delete(s.ours, "")
	s.lacking = s.lacks()
	return s
}

// source is where the leg's peer sends from; not valid when that is not known.
func (l *half) source() (a place) {
	if l.conn != nil && l.conn.link.Remote.IsValid() {
		a.addr = l.conn.link.Remote.Addr().Unmap()
	} else if l.remote.IsValid() {
		a.addr = l.remote.Addr().Unmap()
	}
	return a
}

// transport is how the leg travels: udp, tcp, tls, ws or wss; empty: not known.
func (l *half) transport() string {
	if l.conn == nil {
		return ""
	}
	return l.conn.link.Transport
}

// plain reports a message that crossed without TLS.
func (m *heard) plain() bool { return m.Link != nil && m.Link.TLS == nil }

// on is "hop A".
func (l *half) on() string { return "hop " + l.Name }

// sender names who sent a message.
func (s *study) sender(m *heard) string {
	if m.out {
		return "the " + s.gateway
	}
	return m.side.name
}

// receiver names who it was for.
func (s *study) receiver(m *heard) string {
	if m.out {
		return m.side.name
	}
	return "the " + s.gateway
}

// of are the originals among the leg's messages for which want is true.
func (l *half) of(want func(*heard) bool) (all []*heard) {
	for _, m := range l.msgs {
		if m.Repeat == 0 && want(m) {
			all = append(all, m)
		}
	}
	return all
}

// first is the first of them; nil: there is none.
func (l *half) first(want func(*heard) bool) *heard {
	for _, m := range l.msgs {
		if m.Repeat == 0 && want(m) {
			return m
		}
	}
	return nil
}

// copies are a message and its retransmissions.
func (l *half) copies(of *heard) (all []*heard) {
	key := of.key(of.out)
	for _, m := range l.msgs {
		if m.key(m.out) == key {
			all = append(all, m)
		}
	}
	return all
}

// initialInvite is the last INVITE that began the leg: with credentials, if it had to be sent again with some.
func (l *half) initialInvite() (last *heard) {
	for _, m := range l.msgs {
		if m.Repeat == 0 && m.initial() {
			last = m
		}
	}
	return last
}

// answer is the first 2xx to an INVITE of the leg; nil: none.
func (l *half) answer(to *heard) *heard {
	if to == nil {
		return nil
	}
	return l.first(func(m *heard) bool {
		return !m.request && m.method == "INVITE" && m.cseq == to.cseq && m.out != to.out && m.code/100 == 2
	})
}

// responses are what came to a request, without copies.
func (l *half) responses(to *heard) []*heard {
	return l.of(func(m *heard) bool {
		return !m.request && m.method == to.method && m.cseq == to.cseq && m.out != to.out && m.Seq >= to.Seq
	})
}

// request is what a response answers: by its branch, else by its number, which another dialog of the leg may have used
// too. It is nil when the flow does not have it.
func (l *half) request(of *heard) (req *heard) {
	for _, m := range l.msgs {
		if m.request && m.Repeat == 0 && m.method == of.method && m.cseq == of.cseq && m.out != of.out && m.Seq <= of.Seq {
			if m.branch == of.branch {
				return m
			}
			req = m
		}
	}
	return req
}

func rowsOf(all ...*heard) (rows []int) {
	for _, m := range all {
		if m != nil {
			rows = append(rows, m.Number)
		}
	}
	return rows
}

// each runs a check over every leg.
func each(check func(*study, *half) []found) func(*study) []found {
	return func(s *study) (all []found) {
		for _, l := range s.legs {
			all = append(all, check(s, l)...)
		}
		return all
	}
}

func one(rows []int, format string, args ...any) []found {
	return []found{{sentence: fmt.Sprintf(format, args...), rows: rows}}
}

// seconds is a duration as figures of SIP have it: 1800 s.
func seconds(d time.Duration) string { return fmt.Sprintf("%d s", d/time.Second) }

// times is how often something happened, in words.
func times(n int) string {
	switch n {
	case 1:
		return "once"
	case 2:
		return "twice"
	}
	return fmt.Sprintf("%d times", n)
}
