package tui

import (
	"fmt"
	"slices"
	"strings"
)

// A pager is the view of a text: help, statistics, a row with all that is known of it.
type pager struct {
	title string
	lines []styled
	top   int
	found int // line that the search is at, from 1
	page  int
	n     int // lines when they are wrapped
}

// show opens a text.
func (p *pager) show(m *model, title string, lines []styled) {
	*p = pager{title: title, lines: lines, page: 1}
	m.show(p)
}

func (p *pager) key(_ *model, a action) bool {
	switch a {
	case actUp:
		p.top--
	case actDown, actOpen:
		p.top++
	case actPageUp:
		p.top -= max(1, p.page-1)
	case actPageDown, actMark:
		p.top += max(1, p.page-1)
	case actHome:
		p.top = 0
	case actEnd:
		p.top = p.n
	default:
		return false
	}
	p.top = max(0, min(p.top, p.n-p.page))
	return true
}

func (p *pager) search(m *model, text string) bool {
	lines := wrapLines(p.lines, m.width-2)
	for n := range lines {
		i := (p.found + n) % len(lines)
		if holds(text, lines[i].text) {
			p.found = i + 1
			p.top = max(0, min(i, len(lines)-p.page))
			return true
		}
	}
	return false
}

func (p *pager) hints() string { return "Esc back  up down PgUp PgDn scroll  / search  ? help" }

func (p *pager) draw(m *model, s *screen) {
	m.heading(s, bold, p.title)
	lines := wrapLines(p.lines, s.width-2)
	p.page, p.n = s.height-3, len(lines)
	p.top = max(0, min(p.top, p.n-p.page))
	for i := 0; i < p.page && p.top+i < len(lines); i++ {
		s.put(1, 2+i, lines[p.top+i].look, lines[p.top+i].text)
		if p.top+i+1 == p.found {
			s.choose(0, 2+i, s.width)
		}
	}
	if p.n > p.page {
		s.putRight(s.width-1, 1, faint, fmt.Sprintf("lines %d to %d of %d", p.top+1, min(p.top+p.page, p.n), p.n))
	}
}

// helpLines are all keys.
func helpLines() (lines []styled) {
	for _, b := range bindings {
		lines = append(lines, styled{plain, fmt.Sprintf("%-11s  %s", b.shown, b.words)})
	}
	add := func(l look, text string) { lines = append(lines, styled{l, text}) }
	add(plain, "")
	add(bold, "Commands behind :")
	for _, c := range commands() {
		add(plain, fmt.Sprintf("%-20s  %s", c.usage, c.words))
	}
	add(plain, "")
	add(bold, "Signs")
	add(plain, "13m is TLS 1.3 with certificates of both sides, 12 TLS 1.2 with the server's alone; udp and tcp are plain; a cross or an x before it says that the hop was refused.")
	add(plain, "! a call or row to look at   * marked   < or > the cursor")
	add(plain, "Arrows: solid SIP, dashed TLS, dotted the connection, heavy with a cross refused or lost.")
	return lines
}

// A tally counts by a word.
type tally map[string]int

// lines are the counts, the greatest first, with bars.
func (t tally) lines(title string, ascii bool) []styled {
	type one struct {
		word string
		n    int
	}
	var all []one
	most := 1
	for word, n := range t {
		all = append(all, one{word, n})
		most = max(most, n)
	}
	slices.SortFunc(all, func(a, b one) int {
		if a.n != b.n {
			return b.n - a.n
		}
		return strings.Compare(a.word, b.word)
	})
	lines := []styled{{bold, title}}
	const shown = 12
	for i, o := range all {
		if i == shown {
			lines = append(lines, styled{faint, fmt.Sprintf("  and %d more", len(all)-shown)})
			break
		}
		bar := "█"
		if ascii {
			bar = "#"
		}
		lines = append(lines, styled{plain, fmt.Sprintf("  %-24s %7d  %s", cut(o.word, 24, ascii), o.n, strings.Repeat(bar, (o.n*24+most-1)/most))})
	}
	if len(all) == 0 {
		lines = append(lines, styled{faint, "  none"})
	}
	return append(lines, styled{plain, ""})
}
