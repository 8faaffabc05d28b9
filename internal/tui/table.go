package tui

import "strings"

// A table is a view of lines with columns, of which one is chosen. What the lines are is its owner's.
type table struct {
	cursor
	left int
	page int
}

// A tableRow is one line of a table.
type tableRow struct {
	look  look
	cells []string
	more  []styled // what is to be said of it, below the table when it is chosen
	open  func(m *model)
}

// key moves, opens and scrolls.
func (t *table) key(m *model, a action, rows []tableRow) bool {
	if t.move(a, len(rows), t.page) {
		return true
	}
	switch a {
	case actLeft:
		t.left = max(0, t.left-8)
	case actRight:
		t.left = min(t.left+8, 200)
	case actOpen:
		if t.at < len(rows) && rows[t.at].open != nil {
			rows[t.at].open(m)
		}
	case actNextProblem, actPreviousProblem:
		step := 1
		if a == actPreviousProblem {
			step = -1
		}
		for i := t.at + step; i >= 0 && i < len(rows); i += step {
			if rows[i].look == bad || rows[i].look == warning {
				t.at = i
				t.settle(len(rows), t.page)
				return true
			}
		}
		m.say("There is no further problem in this list.")
	default:
		return false
	}
	return true
}

func (t *table) search(text string, rows []tableRow) bool {
	for n := range rows {
		i := (t.at + 1 + n) % len(rows)
		if holds(text, rows[i].cells...) {
			t.at = i
			t.settle(len(rows), t.page)
			return true
		}
	}
	return false
}

// tableMore is how many lines below a table say more about the chosen row.
const tableMore = 7

// draw draws the heads at line y and the rows below. The last column takes what room there is.
func (t *table) draw(m *model, s *screen, y int, heads []string, widths []int, rows []tableRow, empty string) {
	bottom := s.height - 1 - tableMore
	t.page = max(1, bottom-y-1)
	t.settle(len(rows), t.page)
	line := func(y int, l look, cells []string) {
		x := 2 - t.left
		for i, text := range cells {
			if i >= len(widths) {
				s.putCut(x, y, s.width-x, l, text)
				break
			}
			s.putCut(x, y, widths[i]-1, l, text)
			x += widths[i]
		}
		s.clear(0, y, 2)
	}
	line(y, bold, heads)
	for i := 0; i < t.page && t.top+i < len(rows); i++ {
		r := &rows[t.top+i]
		line(y+1+i, r.look, r.cells)
		if r.look == bad || r.look == warning {
			s.set(1, y+1+i, r.look, '!')
		}
		if t.top+i == t.at {
			s.set(0, y+1+i, bold, '>')
			s.choose(0, y+1+i, s.width)
		}
	}
	if len(rows) == 0 {
		for i, text := range wrap(empty, s.width-4) {
			s.put(2, y+1+i, faint, text)
		}
		return
	}
	bar := "─"
	if m.ascii {
		bar = "-"
	}
	s.put(0, bottom, faint, strings.Repeat(bar, s.width))
	for i, more := range wrapLines(rows[t.at].more, s.width-2) {
		if i < tableMore-1 {
			s.put(1, bottom+1+i, more.look, more.text)
		}
	}
}
