package tui

import (
	"slices"

	"github.com/sallyport-sip/sallyport/internal/callflow"
	"github.com/sallyport-sip/sallyport/internal/callflow/export"
)

func (l *ladder) key(m *model, a action) bool {
	if l.flow == nil {
		return false
	}
	defer l.draw80(m)
	switch a {
	case actUp, actDown, actPageUp, actPageDown, actHome, actEnd:
		l.move(a)
	case actLeft:
		l.left = max(0, l.left-l.step())
	case actRight:
		width, _, _ := l.area(m)
		if len(l.drawn.Rows) > 0 {
			beyond := max(0, len(l.drawn.Rows[0].Cells)-width)
			l.left = min(l.left+l.step(), (beyond+l.step()-1)/l.step()*l.step())
		}
	case actOpen:
		m.openRow()
	case actMark:
		l.mark(m)
	case actNextProblem, actPreviousProblem:
		l.problem(m, a)
	case actExport:
		m.dialog = newDialog(l.flow.ID)
	case actWhy:
		m.pages.show(m, "why these legs are one call", whyLines(l.flow))
	case actFold:
		l.fold(m)
	case actFoldAll:
		l.openAll = !l.openAll
		l.open = map[int]bool{}
		l.anew()
	default:
		return l.setting(m, a)
	}
	return true
}

// setting handles the keys that change how the ladder is drawn.
func (l *ladder) setting(m *model, a action) bool {
	onOff := func(what string, on *bool) {
		*on = !*on
		m.say("%s: %s.", what, map[bool]string{true: "on", false: "off"}[*on])
	}
	switch a {
	case actTime:
		l.times = (l.times + 1) % (export.TimesScaled + 1)
		m.say("Times: %s.", []string{"since the row above", "of day, UTC", "since the start", "since the row above, with gaps"}[l.times])
	case actColour:
		l.colouring = (l.colouring + 1) % colourings
		m.say("Colour by %s.", colouringWords[l.colouring])
		l.anew()
	case actCompress:
		onOff("All columns on the screen", &l.compress)
		l.left = 0
	case actNames:
		onOff("Addresses in place of names", &l.addresses)
	case actMedia:
		onOff("Rows for media", &l.media)
		l.sayNoSDP(m, l.media)
	case actSDP:
		onOff("SDP in the arrows", &l.sdp)
		l.sayNoSDP(m, l.sdp)
	case actLegs:
		l.firstLeg = !l.firstLeg
		m.say("%s", map[bool]string{true: "Only leg " + l.flow.Legs[0].Name + " is shown.", false: "All joined legs are shown."}[l.firstLeg])
		l.left = 0
	case actAutoscroll:
		onOff("Follow the newest row", &l.follow)
		if l.follow {
			l.choose(lastRow(l.flow))
		}
	case actDetail:
		l.noPane = !l.noPane
	case actBigger:
		l.more = min(l.more+1, 60)
	case actSmaller:
		l.more = max(l.more-1, -4)
	default:
		return false
	}
	return true
}

// sayNoSDP tells who has asked for media that no message of this call has any.
func (l *ladder) sayNoSDP(m *model, on bool) {
	if on && !slices.ContainsFunc(l.flow.Rows, func(r callflow.Row) bool { return len(mediaOf(r.Raw)) > 0 }) {
		m.say("No message of this call has a session description with media.")
	}
}

// step is how far a key scrolls to the side: one column of the ladder.
func (l *ladder) step() int {
	if at := l.drawn.Columns; len(at) > 1 {
		return at[1] - at[0]
	}
	return 8
}

func (l *ladder) move(a action) {
	numbers := l.visible()
	if len(numbers) == 0 {
		return
	}
	c := cursor{at: max(0, slices.Index(numbers, l.row))}
	c.move(a, len(numbers), l.page)
	l.row, l.paneTop = numbers[c.at], 0
	l.settle()
}

// fold folds or unfolds the handshake of the hop that the chosen row is of.
func (l *ladder) fold(m *model) {
	r := l.chosen()
	if r == nil || r.Leg < 0 {
		m.say("This row belongs to no hop.")
		return
	}
	if len(l.flow.Legs[r.Leg].Hop.Handshake) == 0 {
		m.say("Hop %s has no handshake in this call.", l.flow.Legs[r.Leg].Name)
		return
	}
	open, said := l.open[r.Leg]
	if !said {
		open = l.openAll || l.flow.Legs[r.Leg].Hop.Refused
	}
	l.open[r.Leg] = !open
	l.anew()
}

// problem moves to the next row that is bad or that a finding names.
func (l *ladder) problem(m *model, a action) {
	var rows []int
	for _, i := range l.drawn.View.Problems() {
		rows = append(rows, l.drawn.View.Rows[i].Number)
	}
	if a == actPreviousProblem {
		slices.Reverse(rows)
	}
	for _, n := range rows {
		if a == actNextProblem && n > l.row || a == actPreviousProblem && n < l.row {
			l.choose(n)
			return
		}
	}
	m.say("There is no further problem in this call.")
}

// mark marks a message; the second mark shows what differs.
func (l *ladder) mark(m *model) {
	r := l.chosen()
	if r == nil || len(r.Raw) == 0 {
		m.say("Only messages can be compared, and this row is none.")
		return
	}
	if was := l.marked; was != nil && was.flow == l.flow.ID && was.row != r.Number {
		l.marked = nil
		m.message.compare(m, l.flow, was.row, r.Number)
		return
	}
	if l.marked != nil && l.marked.flow == l.flow.ID {
		l.marked = nil
		m.say("The mark is gone.")
		return
	}
	l.marked = &mark{l.flow.ID, r.Number}
	m.say("Marked. Space on another message of this call shows what differs.")
}

// openRow opens what the chosen row stands for.
func (m *model) openRow() {
	l := m.ladder
	r := l.chosen()
	switch {
	case r == nil:
	case len(r.Raw) > 0:
		m.message.one(m, l.flow, r)
	case l.isFolded():
		l.open[r.Leg] = true
		l.anew()
	default:
		m.pages.show(m, export.Address(l.flow, r.Number), inspect(l.flow, l.described()))
	}
}
