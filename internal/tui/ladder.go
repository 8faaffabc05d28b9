package tui

import (
	"slices"

	"github.com/sallyport-sip/sallyport/internal/callflow"
	"github.com/sallyport-sip/sallyport/internal/callflow/export"
)

const (
	gutter       = 10  // columns of the times, which never scroll away
	wideGap      = 26  // columns between lifelines, when they need not all be on the screen
	besideFrom   = 116 // columns of a terminal that has the pane at the right
	paneWidth    = 42
	paneHeight   = 7
	leastLadder  = 60 // columns that a pane at the right leaves
	leastRows    = 4  // lines that a pane below leaves
	headShare    = 6  // one line in so many is the heading's
	lifelineRows = 2  // names and addresses
)

// colouring is what the colours of SIP arrows tell.
type colouring int

// The colourings, in the order of the key.
const (
	byKind colouring = iota
	byMethod
	byLeg
	byStatus
	byConnection
	colourings
)

var colouringWords = [colourings]string{"kind", "method", "leg", "status", "connection"}

// A ladder is the view of one flow.
type ladder struct {
	id      string         // as it was asked for; empty before the first
	flow    *callflow.Flow // nil until it has come
	waiting *callflow.Flow // came while the view was paused
	err     error
	goal    int // row to go to when the flow comes; 0: where it failed

	row  int // number of the chosen row
	top  int // first line of the rows that is on the screen
	left int // columns scrolled away

	times     export.Times
	colouring colouring
	compress  bool
	addresses bool // in place of names
	media     bool
	sdp       bool
	firstLeg  bool // only that one
	follow    bool
	open      map[int]bool // legs, as export.Options.Open
	openAll   bool

	noPane  bool
	more    int // lines or columns that the pane has more than usual
	paneTop int
	marked  *mark

	drawn   export.Drawing
	drawnOf drawnOf
	page    int // lines there are for rows
}

// A mark is a message that was marked.
type mark struct {
	flow string // its id
	row  int
}

// drawnOf is what a drawing depends on. A change of open makes a new drawing by anew.
type drawnOf struct {
	flow                                        *callflow.Flow
	width                                       int
	times                                       export.Times
	compress, addresses, media, sdp, first, all bool
	ascii                                       bool
}

func newLadder() *ladder { return &ladder{open: map[int]bool{}, page: 1} }

// openFlow opens a ladder at a row; row 0 is where it failed, else the first.
func (m *model) openFlow(id string, row int) {
	l := m.ladder
	m.show(l)
	if l.id == id && l.flow != nil {
		if row > 0 {
			l.choose(row)
		}
		m.follow(watched{m.watched.filter, id})
		return
	}
	l.id, l.flow, l.waiting, l.err, l.goal, l.left, l.paneTop = id, nil, nil, nil, row, 0, 0
	l.open = map[int]bool{}
	l.drawnOf = drawnOf{}
	m.follow(watched{m.watched.filter, id})
}

// take takes in the flow as it is now.
func (l *ladder) take(m *model, msg flowMsg) {
	switch {
	case msg.id != l.id:
		return
	case msg.err != nil:
		if l.err = msg.err; l.flow != nil {
			m.say("This call cannot be had any more: %v", msg.err)
		}
		return
	case m.paused && l.flow != nil:
		l.waiting = msg.flow
		m.waiting++
		return
	}
	l.set(m, msg.flow)
}

func (l *ladder) set(m *model, f *callflow.Flow) {
	first, last := l.flow == nil, l.flow != nil && l.row == lastRow(l.flow)
	l.flow, l.err, l.waiting = f, nil, nil
	l.draw80(m)
	switch {
	case first && l.goal > 0:
		if !l.choose(l.goal) {
			m.say("Call %s has no row %d; it has %d.", f.ID, l.goal, len(f.Rows))
			l.choose(l.failing())
		}
	case first:
		l.choose(l.failing())
	case last && l.follow:
		l.choose(lastRow(f))
	}
	l.settle()
}

func lastRow(f *callflow.Flow) int {
	if len(f.Rows) == 0 {
		return 0
	}
	return f.Rows[len(f.Rows)-1].Number
}

// hold lets in what came while the view was paused.
func (l *ladder) hold(m *model, paused bool) {
	if !paused && l.waiting != nil {
		l.set(m, l.waiting)
	}
}

// failing is the row at which the flow failed, else the first.
func (l *ladder) failing() int {
	if v := l.drawn.View; v.Cursor < len(v.Rows) {
		return v.Rows[v.Cursor].Number
	}
	return 0
}

// choose puts the cursor on a row; one that is folded away is unfolded. It reports whether there is such a row.
func (l *ladder) choose(number int) bool {
	if l.flow == nil || number < 1 || number > len(l.flow.Rows) {
		return false
	}
	l.row, l.paneTop = number, 0
	if l.lineOf(number) < 0 { // folded away: open its hop
		if leg := l.flow.Rows[number-1].Leg; leg >= 0 {
			l.open[leg] = true
			l.anew()
		}
	}
	l.settle()
	return true
}

// lineOf is the first line of a row; -1 when it is not drawn.
func (l *ladder) lineOf(number int) int {
	return slices.IndexFunc(l.drawn.Rows, func(line export.Line) bool { return line.Row == number })
}

// chosen is the row under the cursor; nil without one.
func (l *ladder) chosen() *callflow.Row {
	if l.flow == nil || l.row < 1 || l.row > len(l.flow.Rows) {
		return nil
	}
	return &l.flow.Rows[l.row-1]
}

// isFolded reports whether the chosen row stands for all of a handshake.
func (l *ladder) isFolded() bool {
	at := l.drawn.View.At(l.row)
	return at >= 0 && l.drawn.View.Rows[at].Folded > 0
}

// described is the chosen row for the pane: of a folded hop what stands in the ladder, with what was agreed.
func (l *ladder) described() *callflow.Row {
	r := l.chosen()
	if r == nil || !l.isFolded() {
		return r
	}
	row := l.drawn.View.Rows[l.drawn.View.At(l.row)].Row
	row.Kind = callflow.RowSummary
	return &row
}

// visible are the numbers of the rows that are drawn, in order.
func (l *ladder) visible() (numbers []int) {
	for i := range l.drawn.View.Rows {
		numbers = append(numbers, l.drawn.View.Rows[i].Number)
	}
	return numbers
}

// settle keeps the chosen row among those that are drawn, and on the screen.
func (l *ladder) settle() {
	lines := l.drawn.Rows
	if len(lines) == 0 {
		l.top = 0
		return
	}
	first := l.lineOf(l.row)
	if first < 0 { // it was folded or hidden
		at := max(0, l.drawn.View.At(l.row))
		l.row = l.drawn.View.Rows[at].Number
		first = max(0, l.lineOf(l.row))
	}
	end := first
	for end+1 < len(lines) && lines[end+1].Row == l.row {
		end++
	}
	l.top = max(l.top, end-l.page+1)
	l.top = min(l.top, first)
	l.top = max(0, min(l.top, len(lines)-l.page))
}

func (l *ladder) hints() string {
	return "Esc list  Enter open  Space mark  v fold TLS  w time  y why  e export  ? help"
}

func (l *ladder) search(_ *model, text string) bool {
	if l.flow == nil {
		return false
	}
	rows := l.flow.Rows
	for n := range rows {
		r := &rows[(l.row+n)%len(rows)]
		if holds(text, r.Label, r.Note, string(r.Raw)) {
			return l.choose(r.Number)
		}
	}
	return false
}

// area is what the rows and the pane have: below says that the pane is below.
func (l *ladder) area(m *model) (width, pane int, below bool) {
	if l.noPane {
		return m.width, 0, false
	}
	if m.width >= besideFrom {
		pane = max(24, min(paneWidth+4*l.more, m.width-leastLadder))
		return m.width - pane, pane, false
	}
	return m.width, max(3, min(paneHeight+l.more, m.height-1-lifelineRows-leastRows-m.height/headShare)), true
}

// anew forgets the drawing.
func (l *ladder) anew() {
	l.drawnOf.flow = nil
	l.redraw()
}

// draw80 draws for the width that there is now; before the first picture that is the least.
func (l *ladder) draw80(m *model) {
	width, _, _ := l.area(m)
	want := drawnOf{l.flow, max(width, leastLadder), l.times, l.compress, l.addresses, l.media, l.sdp, l.firstLeg, l.openAll, m.ascii}
	if l.flow == nil || want == l.drawnOf {
		return
	}
	l.drawnOf = want
	l.redraw()
}

func (l *ladder) redraw() {
	if l.flow == nil {
		return
	}
	d := &l.drawnOf
	d.flow = l.flow
	o := export.Options{ASCII: d.ascii, FoldTLS: !d.all, Times: d.times, Width: d.width, Open: l.open, Compress: d.compress, Hide: map[int]bool{}}
	for i := 1; d.first && i < len(l.flow.Legs); i++ {
		o.Hide[i] = true
	}
	shaped := l.shape()
	if n := len(shaped.Lifelines); !d.compress && !d.first && n > 1 {
		o.Columns, o.Width = n, max(d.width, gutter+12+wideGap*(n-1))
	}
	l.drawn = export.Draw(shaped, o)
	l.colour(shaped)
	l.settle()
}
