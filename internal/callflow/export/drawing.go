package export

import "github.com/sallyport-sip/sallyport/internal/callflow"

// A Drawing is a ladder in lines of cells, for who puts it on a screen of its own. It says the same as Ladder.
type Drawing struct {
	Heading   []Line // the sentence, and what stands below it
	Lifelines []Line // names, addresses, and the lines begin
	Rows      []Line // in order; a row may take several
	Columns   []int  // where each column of the view stands
	View      *View  // what is drawn
}

// A Line is one line of a Drawing. Each cell is one column; the one behind a character that takes two is 0.
type Line struct {
	Row    int // number of the row that it belongs to; 0 for none
	Cells  []rune
	Styles []Style // of each cell
}

// Draw draws one flow.
func Draw(f *callflow.Flow, o Options) Drawing {
	l := newLadder(f, o)
	d := Drawing{Columns: l.at, View: l.View}
	part := func(to *[]Line, draw func()) {
		l.out = nil
		draw()
		*to = l.out
	}
	part(&d.Heading, l.heading)
	part(&d.Lifelines, l.lifelines)
	part(&d.Rows, l.body)
	return d
}

// Clean makes text from the network fit for a terminal: one line, no control characters, nothing that joins, turns or hides
// what stands beside it, and with ascii nothing else but US-ASCII.
func Clean(s string, ascii bool) string {
	if ascii {
		return asciiGlyphs.clean(s)
	}
	return unicodeGlyphs.clean(s)
}
