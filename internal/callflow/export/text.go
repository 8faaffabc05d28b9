package export

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

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
	rows := l.rows()
	for i := range rows {
		if k := rows[i].Kind; !l.o.Bare || k != callflow.RowCause && k != callflow.RowRemedy {
			l.number = rows[i].Number
			l.pause(&rows[i])
			l.row(&rows[i])
		}
	}
}

const (
	gutter    = 10 // for the time, with a blank behind it
	minWidth  = 60
	maxGap    = 30 // between lifelines
	minWords  = 56 // narrower than this, a row of words begins further left
	minMargin = 16 // narrower than this, the right margin holds no notes
)

type ladder struct {
	*callflow.Flow
	o     Options
	g     *glyphs
	width int
	at    []int // the column of each lifeline
	last  time.Duration
	begun bool

	number int // of the row that is drawn; 0 before the first
	out    []Line
}

func newLadder(f *callflow.Flow, o Options) *ladder {
	l := &ladder{Flow: f, o: o, g: &unicodeGlyphs, width: o.Width}
	if o.ASCII {
		l.g = &asciiGlyphs
	}
	if l.width == 0 {
		l.width = 80
	}
	l.width = max(l.width, minWidth)
	first := gutter + 4
	gap := maxGap
	if n := len(f.Lifelines); n > 1 {
		gap = min(gap, (l.width-first-8)/(n-1))
	}
	for i := range f.Lifelines {
		l.at = append(l.at, first+i*max(gap, 6))
	}
	l.width = max(l.width, l.at[len(l.at)-1]+1)
	return l
}

func (l *ladder) print(c *Line) {
	c.Row = l.number
	l.out = append(l.out, *c)
}

// heading is the verdict sentence, and below it who called whom and how the legs are known to be one call.
func (l *ladder) heading() {
	s := StyleGood
	switch l.State {
	case callflow.StateRefused, callflow.StateFailed:
		s = StyleBad
	case callflow.StateRinging, callflow.StateBusy, callflow.StateCancelled, callflow.StateUnanswered:
		s = StyleBold
	}
	title := fmt.Sprintf("call %s: %s.", l.ID, l.Sentence)
	for i, line := range wrap(l.g.clean(title), l.width-2) {
		c := blank(l.width)
		c.put(min(2*i, 2), s, line)
		l.print(c)
	}
	parts := []string{l.Start.UTC().Format("2006-01-02 15:04:05.000Z")}
	if l.From != "" || l.To != "" {
		parts = append(parts, l.From+" > "+l.To)
	}
	switch n := len(l.Legs); {
	case n > 1 && l.JoinedBy != "":
		parts = append(parts, fmt.Sprintf("%d legs joined by %s", n, l.JoinedBy))
	case n > 1:
		parts = append(parts, fmt.Sprintf("%d legs", n))
	}
	l.under(StyleFaint, strings.Join(parts, ", "))
	l.security()
}

// security is how secure the signalling was: the word and why, each hop, and what others claim.
func (l *ladder) security() {
	v := l.Security
	if v == nil {
		return
	}
	s := StyleBold
	switch v.Word {
	case callflow.Secured, callflow.HopByHop:
		s = StyleGood
	case callflow.Downgraded:
		s = StyleBad
	}
	l.under(s, "signalling "+v.Word+": "+v.Why)
	for i := range v.Hops {
		l.under(StyleFaint, v.Hops[i].Words())
	}
	if len(v.Claims) > 0 {
		l.under(StyleFaint, "claimed, not seen: "+strings.Join(v.Claims, "; "))
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
	for i, line := range l.Lifelines {
		l.centre(names, i, StyleBold, l.g.cut(l.g.clean(line.Name), room))
		l.centre(addresses, i, StyleFaint, l.g.cut(l.g.clean(line.Address), room))
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

func (l *ladder) row(r *callflow.Row) {
	if r.IsArrow() {
		l.arrow(r)
		return
	}
	l.words(r)
}

// stamp writes the time of a row, by Options.Times.
func (l *ladder) stamp(c *Line, r *callflow.Row) {
	d := r.Since - l.last
	switch {
	case l.o.Times == TimesOfDay:
		c.put(0, StyleFaint, r.At.UTC().Format("15:04:05.000"))
	case !l.begun:
		c.put(1, StyleFaint, "0.000")
	case l.o.Times == TimesSince:
		c.put(1, StyleFaint, callflow.Span(r.Since))
	case d >= 50*time.Microsecond:
		s := StyleFaint
		if d >= time.Second {
			s = StylePlain
		}
		c.put(0, s, "+"+callflow.Span(d))
	}
	l.begun, l.last = true, r.Since
}

// pause prints lines for the time that nothing happened before a row.
func (l *ladder) pause(r *callflow.Row) {
	if l.o.Times != TimesScaled || !l.begun {
		return
	}
	for _, d := range []time.Duration{time.Second, 10 * time.Second, time.Minute} {
		if r.Since-l.last >= d {
			l.print(l.bare())
		}
	}
}

func (l *ladder) arrow(r *callflow.Row) {
	c := l.bare()
	l.stamp(c, r)
	left, right := l.at[r.From], l.at[r.To]
	back := left > right
	if back {
		left, right = right, left
	}
	left, right = left+1, right-1
	s := rowStyle(r)
	c.fill(left, right, s, l.g.line(s))
	head := '>'
	if back {
		head = '<'
	}
	if r.Bad {
		head = l.g.cross
	}
	room := right - left - 3
	text := l.g.cut(l.g.clean(r.Label), room)
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

// margin puts a note at the right of the last lifeline when there is room for one.
func (l *ladder) margin(c *Line, note string) {
	from := l.at[len(l.at)-1] + 3
	if room := l.width - from; note != "" && room >= minMargin {
		c.put(from, StyleFaint, l.g.cut(l.g.clean(note), room))
	}
}

// words prints a row that is no arrow: at its lifeline when there is room for a sentence, else at the first one.
func (l *ladder) words(r *callflow.Row) {
	s := StyleFaint
	switch {
	case r.Bad:
		s = StyleBad
	case r.Kind == callflow.RowSummary && !r.Open:
		s = StyleGood
	case r.Kind == callflow.RowRemedy:
		s = StyleBold
	}
	text := l.g.clean(r.Label)
	start := l.at[r.From] + 2
	if l.width-start < minWords {
		start = l.at[0] + 2
	}
	for i, line := range wrap(text, l.width-start) {
		c := l.bare()
		for j := start - 1; j < min(start+Width(line)+1, l.width); j++ {
			if j >= start || !l.isLifeline(j) {
				c.put(j, StylePlain, " ")
			}
		}
		if i == 0 {
			l.lead(c, r, s)
		}
		c.put(start, s, line)
		l.print(c)
	}
}

func (l *ladder) isLifeline(column int) bool {
	return slices.Contains(l.at, column)
}

// lead is what stands in the gutter of a row of words: for a hop, a tick or a cross and how long it took.
func (l *ladder) lead(c *Line, r *callflow.Row, s Style) {
	if r.Kind != callflow.RowSummary {
		l.stamp(c, r)
		return
	}
	mark := l.g.tick
	switch {
	case r.Bad:
		mark = l.g.fail
	case r.Open:
		mark = '?'
	}
	text := string(mark)
	if r.Took > 0 {
		text += " " + callflow.Span(r.Took)
	}
	c.put(0, s, text)
	l.begun, l.last = true, r.Since
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

// isOpen reports whether the handshake of a leg is drawn whole.
func (l *ladder) isOpen(leg int) bool {
	if leg < 0 {
		return true
	}
	if open, said := l.o.Open[leg]; said {
		return open
	}
	return !l.o.FoldTLS || l.Legs[leg].Hop.Refused
}

// rows are the flow's, with the steps of each handshake that is not open folded into one.
func (l *ladder) rows() []callflow.Row {
	var rows []callflow.Row
	folded := map[int]bool{} // legs
	for _, r := range l.Rows {
		switch {
		case r.Kind != callflow.RowTLS && r.Kind != callflow.RowData || l.isOpen(r.Leg):
			rows = append(rows, r)
		case !folded[r.Leg] && r.Step != nil && r.Step.Name == "ClientHello":
			folded[r.Leg] = true
			r.Label = l.g.fold + fmt.Sprintf(" TLS %d steps", l.steps(r.Leg))
			rows = append(rows, r)
		}
	}
	return rows
}

// steps counts the handshake rows of a leg.
func (l *ladder) steps(leg int) (n int) {
	for _, s := range l.Legs[leg].Hop.Handshake {
		if s.Name != callflow.NameApplicationData && s.Name != callflow.NameAlert {
			n++
		}
	}
	return n
}
