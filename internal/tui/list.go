package tui

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sallyport-sip/sallyport/internal/api"
	"github.com/sallyport-sip/sallyport/internal/callflow"
)

// mostListed is how many flows the list holds. Beyond that the oldest go.
const mostListed = 100_000

// listTop is the line at which the flows begin, and listFoot how many lines stand below them.
const (
	listTop  = 3
	listFoot = 3
)

// A list is the view of all calls, and what is known of them: the oldest first. An entry is never changed, but replaced, so that
// what was on the screen when the view was paused stays.
type list struct {
	cursor
	all    []*callflow.Summary
	byID   map[string]*callflow.Summary
	held   []*callflow.Summary // what is shown while the view is paused
	paused bool
	follow bool   // the cursor stays on the newest
	names  bool   // peers instead of users
	older  string // the place in history to go on from
	asked  bool   // for older ones
	whole  bool   // there are no older ones
	left   int    // columns scrolled away
	page   int    // lines there are for flows
}

func newList() *list { return &list{byID: map[string]*callflow.Summary{}, follow: true, page: 1} }

// shown are the flows that the screen shows, the oldest first.
func (l *list) shown() []*callflow.Summary {
	if l.paused {
		return l.held
	}
	return l.all
}

// older orders flows as the list does.
func older(a, b *callflow.Summary) int {
	return cmp.Or(a.Start.Compare(b.Start), cmp.Compare(a.ID, b.ID))
}

// hold keeps what is shown as it is, or lets it go.
func (l *list) hold(paused bool) {
	chosen := l.chosen()
	l.paused, l.held = paused, nil
	if paused {
		l.held = slices.Clone(l.all)
	}
	l.keep(chosen)
}

// chosen is the flow under the cursor; nil when there is none.
func (l *list) chosen() *callflow.Summary {
	if shown := l.shown(); l.at < len(shown) {
		return shown[l.at]
	}
	return nil
}

// keep puts the cursor back on a flow after the list has changed, or on the newest when it follows that.
func (l *list) keep(f *callflow.Summary) {
	shown := l.shown()
	switch {
	case l.follow && !l.paused:
		l.at = len(shown) - 1
	case f != nil:
		l.at, _ = slices.BinarySearchFunc(shown, f, older)
	}
	l.settle(len(shown), l.page)
}

// take takes in what has changed.
func (l *list) take(m *model, msg flowsMsg) {
	chosen := l.chosen()
	if msg.reset {
		l.all, l.byID, l.older, l.whole, l.asked = nil, map[string]*callflow.Summary{}, "", false, false
	}
	for _, id := range msg.gone {
		l.remove(id)
	}
	for i := range msg.changed {
		l.put(&msg.changed[i])
	}
	if n := len(l.all) - mostListed; n > 0 {
		for _, f := range l.all[:n] {
			delete(l.byID, f.ID)
		}
		l.all = slices.Delete(l.all, 0, n)
	}
	if m.paused {
		m.waiting += len(msg.changed) + len(msg.gone)
		return
	}
	l.keep(chosen)
}

// put adds a flow, or replaces what was known of it.
func (l *list) put(f *callflow.Summary) {
	if old := l.byID[f.ID]; old != nil {
		if old.Start.Equal(f.Start) {
			i, _ := slices.BinarySearchFunc(l.all, old, older)
			l.all[i], l.byID[f.ID] = f, f
			return
		}
		l.remove(f.ID)
	}
	i, _ := slices.BinarySearchFunc(l.all, f, older)
	l.all, l.byID[f.ID] = slices.Insert(l.all, i, f), f
}

func (l *list) remove(id string) {
	if old := l.byID[id]; old != nil {
		i, _ := slices.BinarySearchFunc(l.all, old, older)
		l.all = slices.Delete(l.all, i, i+1)
		delete(l.byID, id)
	}
}

// takeOlder takes in flows of the history.
func (l *list) takeOlder(m *model, msg olderMsg) {
	l.asked = false
	if msg.err != nil {
		m.say("Older calls cannot be had: %v", msg.err)
		return
	}
	l.older, l.whole = msg.next, msg.next == ""
	chosen := l.chosen()
	for i := range msg.flows {
		if len(l.all) >= mostListed {
			l.whole = true
			break
		}
		if l.byID[msg.flows[i].ID] == nil {
			l.put(&msg.flows[i])
		}
	}
	l.keep(chosen)
}

// troubled reports a flow that somebody should look at.
func troubled(f *callflow.Summary) bool {
	switch f.State {
	case callflow.StateFailed, callflow.StateRefused, callflow.StateUnanswered:
		return true
	}
	return len(f.Findings) > 0 || f.Reason != ""
}

func (l *list) key(m *model, a action) bool {
	shown := l.shown()
	if l.move(a, len(shown), l.page) {
		l.follow = l.follow && l.at == len(shown)-1
		if l.at == 0 && a != actDown {
			l.askOlder(m)
		}
		return true
	}
	switch a {
	case actOpen:
		if f := l.chosen(); f != nil {
			m.openFlow(f.ID, 0)
		}
	case actLeft:
		l.left = max(0, l.left-8)
	case actRight:
		l.left = min(l.left+8, 200)
	case actAutoscroll:
		l.follow = !l.follow
		l.keep(l.chosen())
		m.say("%s", map[bool]string{true: "The cursor follows the newest call.", false: "The cursor stays where it is."}[l.follow])
	case actNames:
		l.names = !l.names
	case actNextProblem, actPreviousProblem:
		l.problem(m, a)
	case actExport:
		if f := l.chosen(); f != nil {
			m.dialog = newDialog(f.ID)
		}
	case actWhy:
		m.say("Enter opens a call; y there says why its legs are one.")
	case actBack:
		if m.watched.filter != "" {
			m.setFilter("")
		}
	default:
		return false
	}
	return true
}

// askOlder asks for what history has before the first flow.
func (l *list) askOlder(m *model) {
	if m.live && !l.asked && !l.whole && !l.paused {
		l.asked = true
		before := l.older
		if before == "" && len(l.all) > 0 {
			before = api.Cursor(l.all[0])
		}
		m.source.ask(askOlder{m.watched.filter, before})
	}
}

// problem moves to the next flow that has one.
func (l *list) problem(m *model, a action) {
	shown, step := l.shown(), 1
	if a == actPreviousProblem {
		step = -1
	}
	for i := l.at + step; i >= 0 && i < len(shown); i += step {
		if troubled(shown[i]) {
			l.at, l.follow = i, false
			l.settle(len(shown), l.page)
			return
		}
	}
	m.say("There is no further problem in this list.")
}

func (l *list) search(_ *model, text string) bool {
	shown := l.shown()
	for n := range shown {
		i := (l.at + 1 + n) % len(shown)
		f := shown[i]
		if holds(text, f.ID, f.From, f.To, f.Sentence, string(f.State), f.Reason, strings.Join(f.Peers, " "), strings.Join(f.Findings, " ")) {
			l.at, l.follow = i, false
			l.settle(len(shown), l.page)
			return true
		}
	}
	return false
}

// holds reports whether one of the texts has a part, in whatever case.
func holds(part string, texts ...string) bool {
	part = strings.ToLower(part)
	return slices.ContainsFunc(texts, func(t string) bool { return strings.Contains(strings.ToLower(t), part) })
}

func (l *list) hints() string {
	return "Enter ladder  f filter  / find  ! problem  n connections  F findings  ? help"
}

// leastReason is how much room the reason wants; with less the line at the bottom has to do.
const leastReason = 12

// listColumns are the columns: each with its heading and its width in a terminal of 80 columns; from and to take what there is beyond.
var listColumns = []struct {
	head  string
	width int
}{{"#", 8}, {"start", 13}, {"from", 16}, {"to", 16}, {"hops", 11}, {"state", 12}, {"reason", 0}}

func (l *list) draw(m *model, s *screen) {
	l.status(m, s)
	l.page = s.height - listTop - listFoot
	shown := l.shown()
	l.settle(len(shown), l.page)
	if l.follow && !l.paused {
		l.at = max(0, len(shown)-1)
		l.settle(len(shown), l.page)
	}
	widths := l.widths(s.width)
	x := 2 - l.left
	for i, c := range listColumns {
		s.putCut(x, 2, widths[i]-1, bold, c.head)
		x += widths[i]
	}
	s.clear(0, 2, 2)
	for y := 0; y < l.page && l.top+y < len(shown); y++ {
		l.line(m, s, listTop+y, shown[l.top+y], widths)
		if l.top+y == l.at {
			s.set(0, listTop+y, bold, '>')
			s.choose(0, listTop+y, s.width)
		}
	}
	if len(shown) == 0 {
		s.putCut(2, listTop+1, s.width-4, faint, l.nothing(m))
	}
	if f := l.chosen(); f != nil {
		lines := wrap(f.Sentence+".", s.width-2)
		for i := 0; i < 2 && i < len(lines); i++ {
			text := lines[i]
			if i == 1 && len(lines) > 2 {
				text = strings.Join(lines[1:], " ")
			}
			s.putCut(1, s.height-listFoot+i, s.width-2, stateLook(f), text)
		}
	}
}

// nothing says why the list is empty.
func (l *list) nothing(m *model) string {
	switch {
	case m.watched.filter != "":
		return "No call fits this filter. Esc takes it away."
	case m.live && (m.link.err != nil || m.now.IsZero()):
		return "Waiting for the gateway."
	case m.live:
		return "No call yet. What comes is listed here at once."
	}
	return "There is no call in this file."
}

// widths gives from and to half each of what a wide terminal has beyond the others and the reason.
func (l *list) widths(width int) []int {
	var w []int
	for _, c := range listColumns {
		w = append(w, c.width)
	}
	more := width - minWidth
	w[2] += min(more/4, 16)
	w[3] += min(more/4, 16)
	if w[6] = width - 2 - w[0] - w[1] - w[2] - w[3] - w[4] - w[5] + l.left; w[6] < leastReason {
		w[6] = 0
	}
	return w
}

// status is the two lines at the top.
func (l *list) status(m *model, s *screen) {
	x := s.put(1, 0, bold, "calls")
	if m.live {
		dot, how := "●", good
		if m.ascii {
			dot = "*"
		}
		word := "live "
		switch {
		case m.link.err != nil || m.now.IsZero():
			word, dot, how = "not connected", "", bad
		case m.paused:
			word, dot, how = fmt.Sprintf("paused, %d waiting", m.waiting), "", warning
		}
		x = s.put(x+2, 0, how, word+dot)
		x = s.put(x+2, 0, plain, fmt.Sprintf("active %d", m.status.Calls))
		x = s.put(x+2, 0, countLook(m.status.Failed), fmt.Sprintf("failed %d", m.status.Failed))
		x = s.put(x+2, 0, countLook(m.status.Refused), fmt.Sprintf("tls refused %d", m.status.Refused))
		x = s.put(x+2, 0, countLook(int(min(m.status.Dropped, 1))), fmt.Sprintf("drop %d", m.status.Dropped))
		x = s.put(x+2, 0, plain, fmt.Sprintf("ring %.0f%%", m.status.Ring))
		if !m.now.IsZero() && x < s.width-10 {
			s.putRight(s.width-1, 0, faint, m.now.UTC().Format(time.TimeOnly))
		}
	} else {
		s.putCut(x+2, 0, s.width-x-4, plain, m.name)
	}
	filter := m.watched.filter
	if filter == "" {
		filter = "none"
	}
	count := fmt.Sprintf("%d of %d", min(l.at+1, len(l.shown())), len(l.shown()))
	if f := l.chosen(); f != nil && f.ID != shortID(f.ID) {
		count = "call " + f.ID + ", " + count
	}
	if l.follow && m.live {
		count += ", following"
	}
	s.putRight(s.width-1, 1, faint, count)
	s.putCut(1, 1, s.width-len(count)-4, plain, "filter: "+filter)
}

// countLook is how a count of something bad looks.
func countLook(n int) look {
	if n > 0 {
		return bad
	}
	return plain
}

func (l *list) line(m *model, s *screen, y int, f *callflow.Summary, widths []int) {
	from, to := f.From, f.To
	if l.names {
		from, to = peersOf(f)
	}
	if from == "" {
		from = "-"
	}
	if to == "" {
		to = "-"
	}
	x := 2 - l.left
	for i, text := range []string{shortID(f.ID), startWords(m.now, f.Start), from, to, m.hopWords(f.Hops), strings.ToUpper(string(f.State)), reasonWords(f)} {
		l := plain
		if i == 5 {
			l = stateLook(f)
		}
		s.putCut(x, y, widths[i]-1, l, text)
		x += widths[i]
	}
	s.clear(0, y, 2)
	if troubled(f) {
		s.set(1, y, bad, '!')
	}
}

// shortID is a flow's id without the run of the gateway before it: 41 of k3f9qz-41.
func shortID(id string) string {
	run, rest, found := strings.Cut(id, "-")
	if !found || run == "conn" || run == "leg" {
		return id
	}
	return rest
}

// peersOf are the names of who calls and who is called.
func peersOf(f *callflow.Summary) (from, to string) {
	if len(f.Peers) > 0 {
		from = f.Peers[0]
		to = strings.Join(f.Peers[1:], " ")
	}
	return from, to
}

// startWords is a time of today, or a day and a time.
func startWords(now, t time.Time) string {
	t = t.UTC()
	if !now.IsZero() && now.UTC().YearDay() != t.YearDay() {
		return t.Format("02 Jan 15:04")
	}
	return t.Format("15:04:05.000")
}

// hopWords are the hops in order: 13m>✗12.
func (m *model) hopWords(hops []string) string {
	all := strings.Join(hops, ">")
	if m.ascii {
		return all
	}
	return strings.ReplaceAll(">"+all, ">x", ">✗")[1:]
}

// reasonWords say why, where there is room.
func reasonWords(f *callflow.Summary) string {
	if !troubled(f) {
		return ""
	}
	return f.Sentence
}

// stateLook is how a state looks; its word says the same.
func stateLook(f *callflow.Summary) look {
	switch f.State {
	case callflow.StateFailed, callflow.StateRefused, callflow.StateUnanswered:
		return bad
	case callflow.StateAnswered, callflow.StateEnded, callflow.StateDelivered, callflow.StateSubscribed:
		if len(f.Findings) > 0 {
			return warning
		}
		return good
	case callflow.StateRinging, callflow.StateSending:
		return warning
	}
	return bold
}
