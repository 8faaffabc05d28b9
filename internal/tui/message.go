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

// compare shows what differs between two messages.
func (v *message) compare(m *model, f *callflow.Flow, a *callflow.Row, g *callflow.Flow, b *callflow.Row) {
	*v = message{pager: pager{title: fmt.Sprintf("- %s  + %s", export.Address(f, a.Number), export.Address(g, b.Number)), page: 1}}
	same := 0
	for _, d := range diff(messageLines(a.Raw), messageLines(b.Raw)) {
		l := plain
		switch d.sign {
		case '-':
			l = bad
		case '+':
			l = good
		default:
			same++
		}
		v.lines = append(v.lines, styled{l, string(d.sign) + " " + d.text})
	}
	head := fmt.Sprintf("%d of %d lines are in both; - is only in row %d, + only in row %d.", same, len(v.lines), a.Number, b.Number)
	if same == len(v.lines) {
		head = "The two messages are the same."
	}
	v.lines = append([]styled{{bold, head}, {plain, ""}}, v.lines...)
	m.show(v)
}

// A difference is a line of one text (-), of the other (+), or of both (blank).
type difference struct {
	sign rune
	text string
}

// mostCompared bounds the work of comparing, in pairs of lines; messages have a few dozen.
const mostCompared = 1 << 22

// diff compares two texts by a longest common subsequence of their lines. Texts that are too long for that are shown one after the
// other.
func diff(a, b []string) (all []difference) {
	if len(a)*len(b) > mostCompared {
		for _, line := range a {
			all = append(all, difference{'-', line})
		}
		for _, line := range b {
			all = append(all, difference{'+', line})
		}
		return all
	}
	common := make([][]int, len(a)+1) // common[i][j]: lines that a[i:] and b[j:] have in common
	for i := range common {
		common[i] = make([]int, len(b)+1)
	}
	for i := len(a) - 1; i >= 0; i-- {
		for j := len(b) - 1; j >= 0; j-- {
			if common[i][j] = max(common[i+1][j], common[i][j+1]); a[i] == b[j] {
				common[i][j] = common[i+1][j+1] + 1
			}
		}
	}
	i, j := 0, 0
	for i < len(a) || j < len(b) {
		switch {
		case i < len(a) && j < len(b) && a[i] == b[j]:
			all = append(all, difference{' ', a[i]})
			i, j = i+1, j+1
		case j == len(b) || i < len(a) && common[i+1][j] >= common[i][j+1]:
			all = append(all, difference{'-', a[i]})
			i++
		default:
			all = append(all, difference{'+', b[j]})
			j++
		}
	}
	return all
}
