package tui

import (
	"fmt"
	"slices"
	"strings"

	"github.com/sallyport-sip/sallyport/internal/callflow"
	"github.com/sallyport-sip/sallyport/internal/callflow/export"
)

func (l *ladder) draw(m *model, s *screen) {
	if l.flow == nil {
		m.heading(s, bold, "call "+l.id)
		text := "Fetching this call."
		if l.err != nil {
			text = fmt.Sprintf("This call cannot be shown: %v. Esc goes back to the list.", l.err)
		}
		for i, line := range wrap(text, s.width-4) {
			s.put(2, 2+i, plain, line)
		}
		return
	}
	l.draw80(m)
	width, pane, below := l.area(m)
	y := l.drawHeading(m, s)
	bottom := s.height - 1
	if below {
		bottom -= pane
	}
	l.page = max(1, bottom-y-lifelineRows)
	l.settle()
	for i := 0; i < lifelineRows && i < len(l.drawn.Lifelines); i++ {
		l.drawLine(s, y+i, width, &l.drawn.Lifelines[i], true)
	}
	y += lifelineRows
	for i := 0; i < l.page && l.top+i < len(l.drawn.Rows); i++ {
		line := &l.drawn.Rows[l.top+i]
		l.drawLine(s, y+i, width, line, false)
		l.signs(s, y+i, width, line, i == 0 || l.drawn.Rows[l.top+i-1].Row != line.Row)
	}
	switch {
	case pane == 0:
	case below:
		l.drawPane(m, s, 0, bottom, s.width, s.height-1, true)
	default:
		l.drawPane(m, s, width, y-lifelineRows, s.width, s.height-1, false)
	}
}

// drawHeading draws as much of the heading as there is room for, and returns the line below it.
func (l *ladder) drawHeading(m *model, s *screen) int {
	n := min(len(l.drawn.Heading), max(2, s.height/headShare))
	right := ""
	if m.live && (m.paused || m.link.err != nil) {
		right = m.sourceWords()
	}
	for i := range n {
		s.line(0, i, s.width, 0, &l.drawn.Heading[i])
	}
	if right != "" {
		s.putRight(s.width, 0, warning, "  "+right)
	}
	return n
}

// signs marks the chosen row, marked messages and rows that a finding names.
func (l *ladder) signs(s *screen, y, width int, line *export.Line, first bool) {
	if line.Row == l.row {
		s.choose(0, y, width)
		if first {
			s.set(width-1, y, bold|chosen, '<')
		}
	}
	switch {
	case !first:
	case l.marked != nil && l.marked.flow == l.flow.ID && l.marked.row == line.Row:
		s.set(l.before(), y, bold, '*')
	case slices.ContainsFunc(l.flow.Findings, func(f callflow.Finding) bool { return slices.Contains(f.Rows, line.Row) }):
		s.set(l.before(), y, bad, '!')
	}
}

// drawLine draws a line of the ladder: the times, then what is not scrolled away, with the gateway's column pinned at the edge that it
// would have left by. names says that it is one of those above the lifelines.
func (l *ladder) drawLine(s *screen, y, width int, line *export.Line, names bool) {
	first := l.drawn.Columns[0]
	i := slices.IndexFunc(l.drawn.View.Columns, func(c export.Column) bool { return c.Gateway })
	gateway := l.drawn.Columns[max(i, 0)]
	switch {
	case l.left == 0:
		s.line(0, y, width, 0, line)
	case names:
		s.line(0, y, width, l.left, line)
	default:
		s.line(0, y, first, 0, line)
		s.line(first, y, width-first, first+l.left, line)
	}
	x := first
	switch {
	case i < 0 || gateway >= first+l.left && gateway-l.left < width-1:
		return
	case gateway-l.left >= width-1:
		x = width - 2
	}
	if !names {
		s.line(x, y, 1, gateway, line)
		return
	}
	half := l.step() / 2
	s.clear(x-half, y, x+half)
	for j := x - half; j < x+half; j++ {
		if at := gateway + j - x; at >= 0 && at < len(line.Cells) {
			s.set(j, y, look(line.Styles[at]), line.Cells[at])
		}
	}
}

// before is the column before the first lifeline.
func (l *ladder) before() int { return l.drawn.Columns[0] - 1 }

// drawPane draws what is to be said of the chosen row, in the columns x to end and the lines y to bottom.
func (l *ladder) drawPane(m *model, s *screen, x, y, end, bottom int, below bool) {
	title := ""
	r := l.described()
	if r != nil {
		title = export.Address(l.flow, r.Number)
	}
	if below {
		bar := "─"
		if m.ascii {
			bar = "-"
		}
		s.put(x, y, faint, strings.Repeat(bar, end-x))
		s.put(x+2, y, bold, " "+title+" ")
		x, y = x+1, y+1
	} else {
		for i := y; i < bottom; i++ {
			bar := '┃'
			if m.ascii {
				bar = '|'
			}
			s.set(x, i, faint, bar)
			s.clear(x+1, i, end)
		}
		x += 2
		s.put(x, y, bold, title)
		y++
	}
	if r == nil {
		return
	}
	lines := wrapLines(inspect(l.flow, r), end-x)
	for i := 0; y+i < bottom && i < len(lines); i++ {
		if y+i == bottom-1 && i < len(lines)-1 {
			s.putIn(x, y+i, end, faint, fmt.Sprintf("%d more lines: Enter shows all", len(lines)-i))
			return
		}
		s.putIn(x, y+i, end, lines[i].look, lines[i].text)
	}
}

// A styled text is one line of a page, or several when it is wrapped.
type styled struct {
	look look
	text string
}

// wrapLines breaks lines of more than n columns; what they begin with, blanks and a word, stays free below.
func wrapLines(lines []styled, n int) (all []styled) {
	for _, line := range lines {
		text := export.Clean(line.text, false)
		if export.Width(text) <= n {
			all = append(all, styled{line.look, text})
			continue
		}
		indent := len(text) - len(strings.TrimLeft(text, " "))
		if i := strings.Index(text[indent:], "  "); i > 0 && indent+i < 24 { // "subject  CN=…"
			indent += i + len(text[indent+i:]) - len(strings.TrimLeft(text[indent+i:], " "))
		}
		indent = min(indent, n/2)
		head := text[:indent]
		for _, part := range wrap(text[indent:], n-indent) {
			all = append(all, styled{line.look, head + part})
			head = strings.Repeat(" ", indent)
		}
	}
	return all
}
