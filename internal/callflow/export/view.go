package export

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sallyport-sip/sallyport/internal/callflow"
)

// A View is what a ladder shows of a flow: which rows, in which columns, and with what time beside each. Every rendering
// draws one, so that they have the same rows in the same words. What a view leaves out it says in its heading.
type View struct {
	*callflow.Flow
	Columns []Column
	Place   []int // of each lifeline of the flow, its place in Columns
	Rows    []ViewRow
	Cursor  int // where a reader begins: the row at which it failed, else the first; an index of Rows

	gateway int // its place in Columns
	o       Options
}

// A Column is one vertical line: a lifeline, or several that were folded into one.
type Column struct {
	Name      string
	Address   string
	Gateway   bool
	Lifelines []int
}

// A ViewRow is a row as it is shown. Its number is that of the flow's row, or of the first one that it stands for.
type ViewRow struct {
	callflow.Row
	Time   string        // by Options.Times; empty for rows of one flight
	Gap    time.Duration // since the row above; less than 0 when the clock was set back
	Pause  int           // how much time passed before it: 1 a second, 2 ten, 3 a minute
	Mark   Mark          // of a hop
	Folded int           // how many rows it stands for; 0 for itself
	Detail []string      // lines below it: of a hop, what each side decided
	left   int           // columns
	right  int
	until  time.Duration // since the flow's first event: when the last of what it stands for was
}

// Words are what stands in a row: of a folded one with its time and, in a word or a sign, how it came out.
func (r *ViewRow) Words(sign func(Mark) string) string {
	s := r.Label
	if r.Folded == 0 {
		return s
	}
	if r.Took > 0 {
		s += " " + callflow.Span(r.Took)
	}
	if r.Mark != NoMark {
		s += " " + sign(r.Mark)
	}
	return s
}

// A Mark says how a hop came out.
type Mark uint8

// The marks.
const (
	NoMark Mark = iota
	Up          // both sides accepted
	Open        // sent, not confirmed: the other side has not said whether it accepts
	Failed
)

// String is the mark in words.
func (m Mark) String() string {
	return [...]string{"", "up", "sent, not confirmed", "failed"}[m]
}

// NewView chooses what of a flow is shown.
func NewView(f *callflow.Flow, o Options) *View {
	v := &View{Flow: f, o: o}
	v.Rows = v.folded()
	v.columns()
	v.stamp()
	for i := range v.Rows {
		r := &v.Rows[i]
		r.left, r.right = v.Place[r.From], v.Place[r.To]
		if names := v.Columns[max(r.left, r.right)]; len(names.Lifelines) > 1 {
			r.Label = v.Lifelines[max(r.From, r.To)].Name + ": " + r.Label
		} else if names := v.Columns[min(r.left, r.right)]; len(names.Lifelines) > 1 {
			r.Label = v.Lifelines[min(r.From, r.To)].Name + ": " + r.Label
		}
	}
	v.Cursor = v.cursor()
	return v
}

// Address is how a row is named everywhere: call/41/row/17.
func Address(f *callflow.Flow, row int) string {
	return "call/" + f.ID + "/row/" + strconv.Itoa(row)
}

// isOpen reports whether the handshake of a leg is shown step by step: one that failed is, unless somebody closed it.
func (v *View) isOpen(leg int) bool {
	if leg < 0 || leg >= len(v.Legs) {
		return true
	}
	if open, said := v.o.Open[leg]; said {
		return open
	}
	return !v.o.FoldTLS || v.Legs[leg].Hop.Refused
}

// folded are the flow's rows, with those of hidden legs left out, and with those that tell how a TLS connection came up
// made one where the hop is not open.
func (v *View) folded() []ViewRow {
	rows := make([]ViewRow, 0, len(v.Flow.Rows))
	first := map[int]int{} // leg: the place of the row that stands for its handshake
	for i := range v.Flow.Rows {
		r := &v.Flow.Rows[i]
		if r.Leg >= 0 && v.o.Hide[r.Leg] || v.o.Bare && (r.Kind == callflow.RowCause || r.Kind == callflow.RowRemedy) {
			continue
		}
		if v.isOpen(r.Leg) || !v.foldable(r) {
			rows = append(rows, v.shown(r))
			continue
		}
		at, begun := first[r.Leg]
		if !begun {
			at = len(rows)
			first[r.Leg] = at
			rows = append(rows, v.fold(r))
		}
		rows[at].Folded++
		if r.Kind == callflow.RowSummary || rows[at].Mark == NoMark {
			rows[at].until = max(rows[at].until, r.Since)
		}
	}
	return rows
}

func (v *View) shown(r *callflow.Row) ViewRow {
	s := ViewRow{Row: *r, Mark: markOf(r), until: r.Since}
	if s.Mark != NoMark && !v.o.Bare && v.lastWord(r) {
		s.Detail = v.verdicts(r.Leg, s.Mark == Open)
	}
	return s
}

// lastWord reports whether a hop's row is the last one: what seemed well may have been refused after all.
func (v *View) lastWord(r *callflow.Row) bool {
	for i := len(v.Flow.Rows) - 1; i >= 0; i-- {
		if last := &v.Flow.Rows[i]; last.Leg == r.Leg && last.Kind == callflow.RowSummary {
			return last.Number == r.Number
		}
	}
	return false
}

func markOf(r *callflow.Row) Mark {
	switch {
	case r.Kind != callflow.RowSummary:
		return NoMark
	case r.Bad:
		return Failed
	case r.Open:
		return Open
	}
	return Up
}

// foldable reports whether a row is part of how the leg's TLS connection came up or went well. What went wrong is never
// folded away.
func (v *View) foldable(r *callflow.Row) bool {
	if r.Bad || r.Leg >= len(v.Legs) {
		return false
	}
	switch r.Kind {
	case callflow.RowTLS, callflow.RowData, callflow.RowSummary:
		return true
	case callflow.RowTCP:
		return r.IsArrow() && len(v.Legs[r.Leg].Hop.Handshake) > 0
	case callflow.RowNote:
		return r.Step != nil
	}
	return false
}

// fold is the one row of a closed hop: version, steps, time, and how it came out.
func (v *View) fold(r *callflow.Row) ViewRow {
	leg := v.Legs[r.Leg]
	words := []string{"TLS"}
	if l := leg.Hop.Link; l != nil && l.TLS != nil && l.TLS.Version != "" {
		words[0] += " " + l.TLS.Version
	}
	words = append(words, strconv.Itoa(steps(leg))+" steps")
	s := ViewRow{Row: *r, until: r.Since}
	s.Kind, s.Step, s.Raw, s.Note, s.Took = callflow.RowTLS, nil, nil, "", 0
	for i := range v.Flow.Rows {
		if hop := &v.Flow.Rows[i]; hop.Leg == r.Leg && hop.Kind == callflow.RowSummary {
			s.Mark, s.Note, s.Open, s.Bad, s.Took = markOf(hop), hop.Label, hop.Open, hop.Bad, hop.Took
		}
	}
	s.Label = strings.Join(words, " ")
	if l := leg.Hop.Link; l != nil {
		s.From, s.To = v.gatewayLine(), leg.Lifeline
		if l.Inbound {
			s.From, s.To = s.To, s.From
		}
	}
	return s
}

func (v *View) gatewayLine() int {
	return max(0, slices.IndexFunc(v.Lifelines, func(l callflow.Lifeline) bool { return l.Gateway }))
}

// steps counts the handshake messages of a leg.
func steps(leg *callflow.Leg) (n int) {
	for _, s := range leg.Hop.Handshake {
		if s.Name != callflow.NameApplicationData && s.Name != callflow.NameAlert {
			n++
		}
	}
	return n
}

// cursor is the row at which it went wrong: of a refused hop the one above its verdict, which is the alert or the dial.
func (v *View) cursor() int {
	for i := range v.Rows {
		if r := &v.Rows[i]; r.Bad && (r.Kind == callflow.RowSummary || r.Kind == callflow.RowTimeout) {
			for j := i - 1; j >= 0 && v.Rows[j].Leg == r.Leg; j-- {
				if v.Rows[j].Bad && v.Rows[j].IsArrow() {
					return j
				}
			}
			return i
		}
	}
	if problems := v.Problems(); len(problems) > 0 {
		return problems[0]
	}
	return 0
}

// Problems are the rows that something is wrong with, and those that findings name, as indexes of Rows.
func (v *View) Problems() []int {
	named := map[int]bool{}
	for _, f := range v.Findings {
		if f.Severity != callflow.Hint {
			for _, n := range f.Rows {
				named[n] = true
			}
		}
	}
	var rows []int
	for i := range v.Rows {
		if r := &v.Rows[i]; r.Bad || named[r.Number] {
			rows = append(rows, i)
		}
	}
	return rows
}

// At is the place of the row with a number: itself, or the one that it was folded into; -1 when it is not shown.
func (v *View) At(number int) int {
	at := -1
	for i := range v.Rows {
		if v.Rows[i].Number <= number {
			at = i
		}
		if v.Rows[i].Number == number {
			return i
		}
	}
	if at < 0 || number > len(v.Flow.Rows) {
		return -1
	}
	leg := v.Flow.Rows[number-1].Leg
	for i := range v.Rows {
		if r := &v.Rows[i]; r.Folded > 0 && r.Leg == leg {
			return i
		}
	}
	return -1
}

// stamp sets the time that stands beside each row, and the pauses.
func (v *View) stamp() {
	last := time.Duration(0)
	for i := range v.Rows {
		r := &v.Rows[i]
		r.Gap = r.Since - last
		d := r.Gap
		switch {
		case v.o.Times == TimesOfDay:
			r.Time = r.At.UTC().Format("15:04:05.000")
		case i == 0 && r.Since == 0:
			r.Time = "0.000"
		case v.o.Times == TimesSince:
			r.Time = callflow.Span(r.Since)
		case d >= 50*time.Microsecond:
			r.Time = "+" + callflow.Span(d)
		case d <= -50*time.Microsecond:
			r.Time = callflow.Span(d)
		}
		for _, pause := range []time.Duration{time.Second, 10 * time.Second, time.Minute} {
			if i > 0 && d >= pause {
				r.Pause++
			}
		}
		last = r.until
	}
}

// setBack says where the clock was set back while the flow went on: order is causal first, and then no time fits.
func (v *View) setBack() string {
	for i := 1; i < len(v.Flow.Rows); i++ {
		this, before := &v.Flow.Rows[i], &v.Flow.Rows[i-1]
		if d := before.Since - this.Since; d > 0 {
			return fmt.Sprintf("the clock was set back by %s before row %d: rows stand in the order in which they happened, and times above and below it do not fit together",
				callflow.Span(d), this.Number)
		}
	}
	return ""
}
