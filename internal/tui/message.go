package tui

import (
	"fmt"
	"strings"

	"github.com/sallyport-sip/sallyport/internal/callflow"
	"github.com/sallyport-sip/sallyport/internal/callflow/export"
)

// A message is the view of one SIP message, or of what differs between two.
type message struct {
	pager
}

func (v *message) one(m *model, f *callflow.Flow, r *callflow.Row) {
	*v = message{pager: pager{title: fmt.Sprintf("%s  %s > %s", export.Address(f, r.Number), f.Lifelines[r.From].Name, f.Lifelines[r.To].Name), page: 1}}
	v.lines = append(v.lines, inspectFindings(f, r)...)
	for i, line := range messageLines(r.Raw) {
		l := plain
		if i == 0 {
			l = bold
		}
		v.lines = append(v.lines, styled{l, line})
	}
	m.show(v)
}

// inspectFindings are what findings say of a row.
func inspectFindings(f *callflow.Flow, r *callflow.Row) (lines []styled) {
	for i := range f.Findings {
		for _, n := range f.Findings[i].Rows {
			if n == r.Number {
				lines = append(append(lines, findingLines(&f.Findings[i])...), styled{plain, ""})
			}
		}
	}
	return lines
}

// messageLines are a message's lines as they are.
func messageLines(raw []byte) []string {
	return strings.Split(strings.TrimRight(strings.ReplaceAll(string(raw), "\r\n", "\n"), "\n"), "\n")
}

// compare shows what differs between the messages of two rows, as the text export does.
func (v *message) compare(m *model, f *callflow.Flow, a, b int) {
	d, err := export.DiffRows(f, a, b)
	if err != nil {
		m.say("These two cannot be compared: %v", err)
		return
	}
	*v = message{pager: pager{title: "- " + d.A.Address + "  + " + d.B.Address, page: 1}}
	for line := range export.DiffLines(d, export.Options{ASCII: m.ascii, Width: m.width - 2}) {
		v.lines = append(v.lines, styled{look(line.Styles[0]), strings.TrimRight(strings.ReplaceAll(string(line.Cells), "\x00", ""), " ")})
	}
	m.show(v)
}
