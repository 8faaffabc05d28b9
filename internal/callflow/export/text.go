package export

import (
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/sallyport-sip/sallyport/internal/callflow"
)

// Text draws each flow as a ladder: the sentence, the lifelines with names and addresses, and one line per row. Solid
// arrows are SIP, dashed TLS, dotted the transport connection, heavy ones with a cross refused or lost.
func Text(w io.Writer, flows []*callflow.Flow, o Options) error {
	for i, f := range flows {
		if i > 0 {
			if _, err := io.WriteString(w, "\n"); err != nil {
				return err
			}
		}
		if err := Ladder(w, f, o); err != nil {
			return err
		}
	}
	return nil
}

// Ladder draws one flow.
func Ladder(w io.Writer, f *callflow.Flow, o Options) error {
	l := newLadder(f, o)
	if !o.Bare {
		l.heading()
	}
	l.lifelines()
	l.body()
	var text strings.Builder
	for i := range l.out {
		text.WriteString(l.out[i].text(o.Colour))
		text.WriteByte('\n')
	}
	_, err := io.WriteString(w, text.String())
	return err
}

// body draws the rows.
func (l *ladder) body() {
	for i := range l.Rows {
		r := &l.Rows[i]
		l.number = r.Number
		for range r.Pause {
			if l.o.Times == TimesScaled {
				l.print(l.bare())
			}
		}
		if r.IsArrow() {
			l.arrow(r)
		} else {
			l.words(r)
		}
		for _, text := range r.Detail {
			l.below(r, StyleFaint, text)
		}
	}
}

const (
	gutter    = 10 // for the time, with a blank behind it
	minWidth  = 60
	dayGutter = 13 // for the time of day
	maxGap    = 30 // between lifelines
	minGap    = 14 // where there is less room, columns are folded
	minWords  = 56 // narrower than this, a row of words begins further left
	minMargin = 16 // narrower than this, the right margin holds no notes
)

type ladder struct {
	*View
	g      *glyphs
	width  int
	gutter int
	at     []int // where each column of the view stands

	number int // of the row that is drawn; 0 before the first
	out    []Line
}

func newLadder(f *callflow.Flow, o Options) *ladder {
	l := &ladder{g: &unicodeGlyphs, width: o.Width, gutter: gutter}
	if o.ASCII {
		l.g = &asciiGlyphs
	}
	if l.width == 0 {
		l.width = 80
	}
	l.width = max(l.width, minWidth)
	o.Numbers = o.Numbers || !o.Bare && len(f.Findings) > 0
	if o.Times == TimesOfDay && o.Numbers {
		l.gutter = dayGutter
	}
	first := l.gutter + 4
	room := l.width - first - 8
	if o.Columns == 0 {
		o.Columns = room/minGap + 1
	}
	l.View = NewView(f, o)
	gap := maxGap
	if n := len(l.Columns); n > 1 {
		gap = min(gap, room/(n-1))
	}
	for i := range l.Columns {
		l.at = append(l.at, first+i*max(gap, minGap))
	}
	l.width = max(l.width, l.at[len(l.at)-1]+1)
	return l
}

func (l *ladder) print(c *Line) {
	c.Row = l.number
	l.out = append(l.out, *c)
}

// heading is the verdict sentence, and below it what else is to be known before the rows.
func (l *ladder) heading() {
	for n, head := range l.Heading() {
		if n > 0 {
			l.under(head.Style, head.Text)
			continue
		}
		for i, line := range wrap(l.g.clean(head.Text), l.width-2) {
			c := blank(l.width)
			c.put(min(2*i, 2), head.Style, line)
			l.print(c)
		}
	}
}

// under prints a line below the heading.
func (l *ladder) under(s Style, text string) {
	for _, line := range wrap(l.g.clean(text), l.width-2) {
		c := blank(l.width)
		c.put(2, s, line)
		l.print(c)
	}
}

// lifelines prints names and addresses, each centred over its line.
func (l *ladder) lifelines() {
	names, addresses := blank(l.width), blank(l.width)
	room := 2 * (l.at[0] - 1)
	if len(l.at) > 1 {
		room = l.at[1] - l.at[0] - 2
	}
	for i, c := range l.Columns {
		cut := l.g.shorten
		if c.Gateway || len(c.Lifelines) > 1 || strings.Contains(c.Address, ", ") {
			cut = l.g.cut
		}
		l.centre(names, i, StyleBold, cut(l.g.clean(c.Name), room))
		l.centre(addresses, i, StyleFaint, cut(l.g.clean(c.Address), room))
	}
	l.print(names)
	l.print(addresses)
	l.print(l.bare())
}

func (l *ladder) centre(c *Line, i int, s Style, text string) {
	n := Width(text)
	c.put(max(0, min(l.at[i]-n/2, l.width-n)), s, text)
}

// bare is a line with nothing but lifelines.
func (l *ladder) bare() *Line {
	c := blank(l.width)
	for _, at := range l.at {
		c.put(at, StyleFaint, string(l.g.lifeline))
	}
	return c
}

// stamp writes the time of a row, and its number.
func (l *ladder) stamp(c *Line, r *ViewRow) {
	s, at := StyleFaint, 1
	switch {
	case l.o.Times == TimesOfDay:
		at = 0
	case strings.HasPrefix(r.Time, "+"), strings.HasPrefix(r.Time, "-"):
		at = 0
		if r.Pause > 0 {
			s = StylePlain
		}
	}
	c.put(at, s, r.Time)
	l.numbered(c, r)
}

// numbered writes the number of a row before the first lifeline.
func (l *ladder) numbered(c *Line, r *ViewRow) {
	if l.o.Numbers {
		text := strconv.Itoa(r.Number)
		c.put(max(l.gutter, l.at[0]-1-len(text)), StyleFaint, text)
	}
}

func (l *ladder) arrow(r *ViewRow) {
	c := l.bare()
	s := rowStyle(&r.Row)
	if r.Mark == Up {
		l.lead(c, r, StyleGood)
	} else {
		l.lead(c, r, s)
	}
	left, right := l.at[r.left], l.at[r.right]
	back := left > right
	if back {
		left, right = right, left
	}
	left, right = left+1, right-1
	c.fill(left, right, s, l.g.line(s))
	head := '>'
	if back {
		head = '<'
	}
	if r.Bad {
		head = l.g.cross
	}
	room := right - left - 3
	text := l.g.cut(l.label(r), room)
	if text != "" {
		text = " " + text + " "
	}
	n := Width(text)
	c.put(left+(right-left+1-n)/2, s, text)
	if back {
		c.put(left, s, string(head))
	} else {
		c.put(right, s, string(head))
	}
	l.margin(c, r.Note)
	l.print(c)
}

// label is the text of a row. That of a folded one begins with the sign for it; its time and how it came out stand at the
// left, or in it where the left has another time.
func (l *ladder) label(r *ViewRow) string {
	if r.Folded == 0 {
		return l.g.clean(r.Label)
	}
	text := " " + l.g.clean(r.Label)
	if !l.leads() && r.Mark != NoMark {
		text = l.mark(r.Mark) + text
		if r.Took > 0 {
			text += " " + callflow.Span(r.Took)
		}
	}
	return l.g.fold + text
}

// leads reports whether a hop's outcome stands at the left of its row.
func (l *ladder) leads() bool { return l.o.Times == TimesDelta || l.o.Times == TimesScaled }

func (l *ladder) mark(m Mark) string {
	switch m {
	case Up:
		return string(l.g.tick)
	case Open:
		return "?"
	}
	return string(l.g.fail)
}

// margin puts a note at the right of the last lifeline when there is room for one.
func (l *ladder) margin(c *Line, note string) {
	from := l.at[len(l.at)-1] + 3
	if room := l.width - from; note != "" && room >= minMargin {
		c.put(from, StyleFaint, l.g.cut(l.g.clean(note), room))
	}
}

// words prints a row that is no arrow: at its lifeline when there is room for a sentence, else at the first one.
func (l *ladder) words(r *ViewRow) {
	s := StyleFaint
	switch {
	case r.Bad:
		s = StyleBad
	case r.Kind == callflow.RowSummary && !r.Open:
		s = StyleGood
	case r.Kind == callflow.RowRemedy:
		s = StyleBold
	}
	n := len(l.out)
	l.below(r, s, r.Label)
	if n < len(l.out) {
		l.lead(&l.out[n], r, s)
	}
}

// below prints text at the lifeline of a row.
func (l *ladder) below(r *ViewRow, s Style, text string) {
	start := l.at[r.left] + 2
	if l.width-start < minWords {
		start = l.at[0] + 2
	}
	for _, line := range wrap(l.g.clean(text), l.width-start) {
		c := l.bare()
		for j := start - 1; j < min(start+Width(line)+1, l.width); j++ {
			if j >= start || !l.isLifeline(j) {
				c.put(j, StylePlain, " ")
			}
		}
		c.put(start, s, line)
		l.print(c)
	}
}

func (l *ladder) isLifeline(column int) bool {
	return slices.Contains(l.at, column)
}

// lead is what stands in the gutter: the time, and of a hop a tick or a cross and how long it took.
func (l *ladder) lead(c *Line, r *ViewRow, s Style) {
	if r.Mark == NoMark || !l.leads() {
		l.stamp(c, r)
		return
	}
	text := l.mark(r.Mark)
	if r.Took > 0 {
		text += " " + callflow.Span(r.Took)
	}
	c.put(0, s, text)
	l.numbered(c, r)
}

func rowStyle(r *callflow.Row) Style {
	switch {
	case r.Bad:
		return StyleBad
	case r.Kind == callflow.RowTCP:
		return StyleTCP
	case r.Kind == callflow.RowTLS || r.Kind == callflow.RowData:
		return StyleTLS
	}
	return StyleSIP
}
