package callflow

import (
	"fmt"
	"strings"
	"time"
)

// A lack is a 2xx of ours to an INVITE that no ACK ended, with the cause that its flow shows.
type lack struct {
	side  *half
	ok    *heard
	cause Cause
	rows  []int
}

// late is how many copies of a 2xx say that its ACK is missing and not just slow: the fourth leaves 7.5 s after the first.
const late = 4

// lacks finds them.
func (s *study) lacks() (all []*lack) {
	for _, l := range s.legs {
		for _, ok := range l.of(func(m *heard) bool { return m.out && !m.request && m.method == "INVITE" && m.code/100 == 2 }) {
			if k := s.lackOf(l, ok); k != nil {
				all = append(all, k)
			}
		}
	}
	return all
}

func (s *study) lackOf(l *half, ok *heard) *lack {
	copies := l.copies(ok)
	if len(copies) <= late {
		return nil
	}
	u := Unacknowledged{Peer: l.name, Transport: l.transport(), contact: ok.detail.contact, routes: ok.detail.recorded}
	u.to = schemeOf([]byte(ok.detail.toURI))
	if req := l.request(ok); req != nil && req.Remote.IsValid() {
		u.Remote = req.Remote
	} else if l.conn != nil {
		u.Remote = l.conn.link.Remote
	}
	if l.conn != nil && (l.conn.link.Inbound || l.conn.link.Transport == "udp") {
		u.Local = l.conn.link.Local
	}
	k := &lack{side: l, ok: ok, rows: rowsOf(ok, copies[len(copies)-1])}
	last := copies[len(copies)-1]
	for _, m := range l.msgs {
		if m.method != "ACK" || m.out || m.Seq < ok.Seq {
			continue
		}
		why := ackFault(ok, m)
		if why == "" && last.At.Sub(m.At) < time.Second {
			return nil // it came, only late
		}
		u.Refused = why
		if why == "" {
			u.Refused = "it is in its dialog, and came " + by(m)
		}
		k.rows = append(k.rows, m.Number)
	}
	for _, r := range l.rows {
		if why, is := strings.CutPrefix(r.Label, "ACK refused: "); is && r.Seq > ok.Seq {
			u.Refused, k.rows = why, append(k.rows, r.Number)
		}
		if strings.HasPrefix(r.Label, "no ACK from ") || r.Kind == RowTimeout {
			k.rows = append(k.rows, r.Number)
		}
		if r.Kind == RowTCP && r.From == r.To && r.Seq > ok.Seq && r.Seq < last.Seq {
			k.rows = append(k.rows, r.Number)
		}
	}
	if c := l.conn; c != nil && c.closed != nil && c.closed.Seq < last.Seq {
		u.Gone = strings.TrimSuffix(fmt.Sprintf("#%d, %s", c.link.ID, c.closed.Reason), ", ")
	}
	k.cause = u.Judge()
	return k
}

// ackFault says why an ACK is none for a 2xx; empty: its dialog and number fit.
func ackFault(ok, ack *heard) string {
	switch {
	case ack.toTag != ok.toTag:
		return fmt.Sprintf("it is of another dialog, its To tag is %s and that of the 2xx is %s", orMissing(ack.toTag), ok.toTag)
	case ack.fromTag != ok.fromTag:
		return fmt.Sprintf("it is of another dialog, its From tag is %s and that of the INVITE is %s", orMissing(ack.fromTag), ok.fromTag)
	case ack.cseq != ok.cseq:
		return fmt.Sprintf("its CSeq number is %d, and the INVITE's was %d", ack.cseq, ok.cseq)
	}
	return ""
}

func orMissing(tag string) string {
	if tag == "" {
		return "missing"
	}
	return tag
}

// by says by which way a message came.
func by(m *heard) string {
	if m.Link == nil {
		return "by an unknown way"
	}
	s := "over " + m.Link.Transport
	if m.Remote.IsValid() {
		s += " from " + m.Remote.String()
	}
	return s
}

// noAck is the check for one cause.
func noAck(code string) func(*study) []found {
	return func(s *study) (all []found) {
		for _, k := range s.lacking {
			if k.cause.Code == code {
				n := len(k.side.copies(k.ok)) - 1
				all = append(all, found{
					sentence: fmt.Sprintf("%s on %s has not acknowledged the %d, which was sent %d times again: %s", k.side.name, k.side.on(), k.ok.code, n, k.cause.Why),
					rows:     k.rows, remedy: k.cause.Remedy,
				})
			}
		}
		return all
	}
}

// ackInVain is a 2xx that comes again and again although our ACK went out.
func ackInVain(s *study, l *half) (all []found) {
	for _, ok := range l.of(func(m *heard) bool { return !m.out && !m.request && m.method == "INVITE" && m.code/100 == 2 }) {
		var acks []*heard
		for _, m := range l.msgs {
			if m.method == "ACK" && m.out && m.cseq == ok.cseq && m.toTag == ok.toTag {
				acks = append(acks, m)
			}
		}
		if len(acks) == 0 {
			continue
		}
		n := 0
		for _, m := range l.copies(ok) {
			if m.Seq > acks[0].Seq {
				n++
			}
		}
		if n < late {
			continue
		}
		ack := acks[0]
		why := "the ACK is for " + ack.detail.uri.uri + ", the Contact of that 2xx"
		switch {
		case hiddenFrom(ack.detail.uri.addr, l.source().addr):
			why += ", which is a private address, while " + l.name + " is at " + l.source().addr.String()
		case len(ack.detail.routes) > 0:
			why += ", by the route " + ack.detail.routes[0].uri
		}
		all = append(all, found{
			sentence: fmt.Sprintf("%s on %s has sent its %d %d times again after our ACK, which does not reach it: %s", l.name, l.on(), ok.code, n, why),
			rows:     append(rowsOf(ok, l.copies(ok)[len(l.copies(ok))-1]), rowsOf(acks...)...),
		})
	}
	return all
}
