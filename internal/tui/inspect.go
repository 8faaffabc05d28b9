package tui

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sallyport-sip/sallyport/internal/callflow"
	"github.com/sallyport-sip/sallyport/internal/callflow/export"
)

// inspect says all that is known of a row.
func inspect(f *callflow.Flow, r *callflow.Row) (lines []styled) {
	add := func(l look, format string, args ...any) {
		lines = append(lines, styled{l, fmt.Sprintf(format, args...)})
	}
	for _, found := range f.Findings {
		if slices.Contains(found.Rows, r.Number) {
			lines = append(lines, findingLines(&found)...)
		}
	}
	title := r.Label
	if r.IsArrow() {
		title = fmt.Sprintf("%s > %s: %s", f.Lifelines[r.From].Name, f.Lifelines[r.To].Name, r.Label)
	}
	l := bold
	if r.Bad {
		l = bad
	}
	add(l, "%s", title)
	if r.Note != "" {
		add(plain, "%s", r.Note)
	}
	if r.Repeat > 0 {
		add(plain, "the same as above, sent again: number %d", r.Repeat)
	}
	lines = append(lines, stepLines(r.Step)...)
	if r.Kind != callflow.RowSIP && r.Leg >= 0 {
		lines = append(lines, hopLines(&f.Legs[r.Leg].Hop, r)...)
	}
	for line := range strings.Lines(string(r.Raw)) {
		add(plain, "%s", strings.TrimRight(line, "\r\n"))
	}
	add(faint, "time     %s UTC, %s after the start", r.At.UTC().Format("15:04:05.000000"), callflow.Span(r.Since))
	if r.Leg >= 0 {
		add(faint, "leg      %s, Call-ID %s", f.Legs[r.Leg].Name, orDash(f.Legs[r.Leg].CallID))
	}
	return lines
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// severityLook is how a finding looks; it is named by a word too.
func severityLook(s callflow.Severity) look {
	switch s {
	case callflow.Problem:
		return bad
	case callflow.Warning:
		return warning
	}
	return bold
}

func findingLines(f *callflow.Finding) []styled {
	lines := []styled{{severityLook(f.Severity), fmt.Sprintf("%s: %s", f.Severity, f.Sentence)}}
	if f.Remedy != "" {
		lines = append(lines, styled{bold, "fix      " + f.Remedy})
	}
	ref := f.Code
	if f.Reference != "" {
		ref += ", " + f.Reference
	}
	return append(lines, styled{faint, "check    " + ref})
}

// stepLines are what one message of a handshake says.
func stepLines(s *callflow.Step) (lines []styled) {
	if s == nil {
		return nil
	}
	add := func(name, text string) {
		if text != "" {
			lines = append(lines, styled{plain, fmt.Sprintf("%-8s %s", name, text)})
		}
	}
	add("offers", strings.Join(s.Offered, ", "))
	add("SNI", s.ServerName)
	add("version", s.Version)
	add("suite", s.Suite)
	add("group", s.Group)
	if s.Name == callflow.NameAlert && s.Alert.Name != "" {
		add("alert", fmt.Sprintf("%d %s, %s", s.Alert.Code, s.Alert.Name, map[bool]string{true: "fatal", false: "warning"}[s.Alert.Fatal]))
	}
	if c := s.Certificate; c != nil {
		add("subject", c.Subject)
		add("names", strings.Join(c.Names, ", "))
		issuer := c.Issuer
		if c.SelfSigned {
			issuer = "itself: self-signed"
		}
		add("issuer", issuer)
		if !c.NotAfter.IsZero() {
			add("valid", c.NotBefore.UTC().Format(time.DateOnly)+" to "+c.NotAfter.UTC().Format(time.DateOnly))
		}
		if c.Chain > 0 {
			add("chain", fmt.Sprintf("%d in the message", c.Chain))
		}
	}
	if s.Encrypted {
		add("content", "encrypted on the wire")
	}
	if s.Length > 0 {
		add("length", fmt.Sprintf("%d bytes", s.Length))
	}
	return lines
}

// hopLines are what is known of the hop of a row that is not a message: the connection, what was agreed, and both verdicts.
func hopLines(h *callflow.Hop, r *callflow.Row) (lines []styled) {
	add := func(l look, format string, args ...any) {
		lines = append(lines, styled{l, fmt.Sprintf(format, args...)})
	}
	for i := range h.Verdicts {
		lines = append(lines, verdictLines(&h.Verdicts[i])...)
	}
	if k := h.Link; k != nil {
		way := "we opened it"
		if k.Inbound {
			way = "the peer opened it"
		}
		add(plain, "%-8s #%d, %s, %s", "conn", k.ID, k.Transport, way)
		if k.Remote.IsValid() {
			add(plain, "%-8s %s, ours %s", "remote", k.Remote, k.Local)
		}
		if t := k.TLS; t != nil && r.Kind != callflow.RowTLS {
			words := []string{"TLS " + t.Version, t.Suite, t.Group}
			if t.Mutual {
				words = append(words, "mutual")
			}
			if t.Resumed {
				words = append(words, "resumed")
			}
			add(plain, "%-8s %s", "agreed", strings.Join(slices.DeleteFunc(words, func(w string) bool { return w == "" || w == "TLS " }), ", "))
			if len(t.PeerNames) > 0 {
				add(plain, "%-8s %s", "proved", strings.Join(t.PeerNames, ", "))
			}
		}
	}
	return lines
}

// verdictLines are what one side decided, and how that is known.
func verdictLines(v *callflow.Verdict) []styled {
	who, what, l := "the peer", "REFUSED", bad
	if v.ByGateway {
		who = "the gateway"
	}
	switch {
	case v.Accepted:
		what, l = "ACCEPTED", good
	case v.Undecided:
		what, l = "did not have to decide", plain
	}
	lines := []styled{{l, fmt.Sprintf("verdict  by %s: %s", who, what)}}
	known := "known by " + v.KnownBy
	if v.Reason != "" {
		known += ": " + v.Reason
	}
	lines = append(lines, styled{plain, "         " + known})
	if v.Remedy != "" {
		lines = append(lines, styled{bold, "fix      " + v.Remedy})
	}
	return lines
}

// whyLines say why the legs of a flow are one call.
func whyLines(f *callflow.Flow) (lines []styled) {
	add := func(l look, format string, args ...any) {
		lines = append(lines, styled{l, fmt.Sprintf(format, args...)})
	}
	if len(f.Legs) == 1 {
		add(bold, "This flow has one leg, so nothing was joined.")
	} else {
		add(bold, "%d legs.", len(f.Legs))
	}
	add(plain, "")
	for _, leg := range f.Legs {
		way := "called the gateway"
		if leg.Direction == callflow.Out {
			way = "was called by the gateway"
		}
		add(plain, "leg %s    %s %s", leg.Name, orDash(leg.Peer), way)
		add(faint, "         Call-ID %s", orDash(leg.CallID))
		if k := leg.Hop.Link; k != nil {
			add(faint, "         connection #%d, %s", k.ID, k.Transport)
		}
	}
	if edges := export.Why(f); len(edges) > 0 {
		add(plain, "")
		for _, e := range edges {
			add(plain, "%-8s %s", e.Legs, e.Evidence)
		}
	}
	if s := f.Security; s != nil {
		add(plain, "")
		add(bold, "signalling %s: %s", s.Word, s.Why)
		for i := range s.Hops {
			add(plain, "         %s", s.Hops[i].Words())
		}
		for _, c := range s.Claims {
			add(faint, "claimed  %s", c)
		}
	}
	return lines
}
