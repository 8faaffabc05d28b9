package tui

import (
	"fmt"
	"slices"
	"strings"

	"github.com/sallyport-sip/sallyport/internal/callflow"
)

// mostFindings is how many flows the view of findings asks for whole, the newest that have any.
const mostFindings = 200

// findings is the view of all that is wrong: in the flows of the list, or opened from a ladder in that one.
type findings struct {
	table
	rows []tableRow
	of   string // the flow; empty: all
	more int    // flows with findings beyond mostFindings
	came bool
	err  error
}

// showFindings opens the view.
func (m *model) showFindings() {
	v := m.findings
	*v = findings{table: table{page: 1}}
	if m.isOpen(m.ladder) && m.ladder.flow != nil {
		v.of = m.ladder.flow.ID
		v.take(m, findingsMsg{flows: []*callflow.Flow{m.ladder.flow}})
		m.show(v)
		return
	}
	var ids []string
	shown := m.list.shown()
	for _, f := range slices.Backward(shown) {
		if len(f.Findings) > 0 {
			ids = append(ids, f.ID)
		}
	}
	if v.more = len(ids) - mostFindings; v.more > 0 {
		ids = ids[:mostFindings]
	}
	m.show(v)
	if len(ids) == 0 {
		v.came = true
		return
	}
	m.source.ask(askFindings{ids})
}

func (v *findings) take(_ *model, msg findingsMsg) {
	v.came, v.err, v.rows = true, msg.err, nil
	for _, f := range msg.flows {
		for i := range f.Findings {
			v.rows = append(v.rows, findingRow(f, &f.Findings[i]))
		}
	}
}

func findingRow(f *callflow.Flow, found *callflow.Finding) tableRow {
	row := 0
	if len(found.Rows) > 0 {
		row = found.Rows[0]
	}
	var rows []string
	for _, n := range found.Rows {
		rows = append(rows, fmt.Sprintf("call/%s/row/%d", f.ID, n))
	}
	more := append(findingLines(found), styled{faint, "rows     " + strings.Join(rows, " ")})
	return tableRow{look: severityLook(found.Severity), cells: []string{string(found.Severity), shortID(f.ID), found.Code, found.Sentence}, more: more,
		open: func(m *model) { m.openFlow(f.ID, row) }}
}

func (v *findings) key(m *model, a action) bool { return v.table.key(m, a, v.rows) }

func (v *findings) search(_ *model, text string) bool { return v.table.search(text, v.rows) }

func (v *findings) hints() string {
	return "Esc back  Enter to the row that shows it  ! next problem  / search  ? help"
}

func (v *findings) draw(m *model, s *screen) {
	title := "findings in all calls of the list"
	if v.of != "" {
		title = "findings in call " + v.of
	}
	if v.more > 0 {
		title += fmt.Sprintf(", the newest %d calls with any; %d more", mostFindings, v.more)
	}
	m.heading(s, bold, title)
	empty := "Nothing was found wrong here."
	switch {
	case v.err != nil:
		empty = fmt.Sprintf("They cannot be had: %v", v.err)
	case !v.came:
		empty = "Fetching them."
	}
	v.table.draw(m, s, 2, []string{"how bad", "call", "check", "what"}, []int{9, 8, 24}, v.rows, empty)
}
