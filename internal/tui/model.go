package tui

import (
	"fmt"
	"slices"
	"time"

	tea "charm.land/bubbletea/v2"

	"github.com/sallyport-sip/sallyport/internal/api"
)

// The least terminal that everything fits in.
const (
	minWidth  = 80
	minHeight = 24
)

// A view is one of the pages. The model has one of each and a stack of those that are open.
type view interface {
	key(m *model, a action) bool // reports whether the action means something here
	draw(m *model, s *screen)    // between the heading that it draws itself and the last line
	hints() string               // keys for the last line
	search(m *model, text string) bool
}

// A model is all that the terminal shows. It belongs to Bubble Tea's loop: Update changes it, View draws it, and nothing in either
// waits.
type model struct {
	source source
	name   string // of the source, for the heading
	live   bool   // the source is a running gateway
	ascii  bool

	width, height int
	now           time.Time // of the last status
	status        api.StreamStatus
	link          linkMsg
	linked        bool   // the gateway has been reached at least once
	secrets       string // for which peers TLS secrets are kept; shown on every page as long as it lasts
	paused        bool
	waiting       int // changes since then
	watched       watched

	list        *list
	ladder      *ladder
	message     *message
	connections *connections
	findings    *findings
	pages       *pager
	open        []view // the last one is shown; the first is the list

	prompt *prompt // takes the keys while it is there
	dialog *dialog // likewise
	note   string  // for the last line, until the next key
	sought string  // what was searched for last
}

func newModel(src source, o Options) *model {
	m := &model{source: src, name: o.Name, live: o.Live, ascii: o.ASCII, now: o.Now}
	m.list = newList()
	m.ladder = newLadder()
	m.message, m.connections, m.findings, m.pages = &message{}, &connections{}, &findings{}, &pager{}
	m.open = []view{m.list}
	m.watched.filter = o.Filter
	return m
}

// Init begins to follow the source.
func (m *model) Init() tea.Cmd {
	m.source.watch(m.watched)
	return nil
}

// top is the view that is shown.
func (m *model) top() view { return m.open[len(m.open)-1] }

// show opens a view, or goes back to it when it is open already.
func (m *model) show(v view) {
	for i, o := range m.open {
		if o == v {
			m.open = m.open[:i+1]
			return
		}
	}
	m.open = append(m.open, v)
}

// back closes the view that is shown, unless it is the list.
func (m *model) back() {
	if len(m.open) > 1 {
		m.open = m.open[:len(m.open)-1]
	}
	if !m.isOpen(m.ladder) && m.watched.flow != "" {
		m.follow(watched{m.watched.filter, ""})
	}
}

func (m *model) isOpen(v view) bool {
	return slices.Contains(m.open, v)
}

// follow tells the source what is looked at.
func (m *model) follow(w watched) {
	if w != m.watched {
		m.watched = w
		m.source.watch(w)
	}
}

// say puts a sentence on the last line.
func (m *model) say(format string, args ...any) { m.note = fmt.Sprintf(format, args...) }

// Update takes in one message.
func (m *model) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	switch msg := msg.(type) {
	case tea.WindowSizeMsg:
		m.width, m.height = msg.Width, msg.Height
	case tea.KeyPressMsg:
		return m, m.pressed(msg)
	case tea.PasteMsg:
		if m.prompt != nil {
			m.prompt.insert(msg.Content)
		}
	case flowsMsg:
		if msg.filter == m.watched.filter {
			m.list.take(m, msg)
		}
	case olderMsg:
		if msg.filter == m.watched.filter {
			m.list.takeOlder(m, msg)
		}
	case flowMsg:
		m.ladder.take(m, msg)
	case statusMsg:
		m.now, m.status = msg.at, msg.status
	case linkMsg:
		m.link = msg
		m.linked = m.linked || msg.err == nil
	case secretsMsg:
		m.secrets = msg.text
	case connectionsMsg:
		m.connections.take(msg)
	case findingsMsg:
		m.findings.take(m, msg)
	case exportedMsg:
		m.exported(msg)
	}
	return m, nil
}

// pressed is Update for a key.
func (m *model) pressed(msg tea.KeyPressMsg) tea.Cmd {
	key := msg.Keystroke()
	if msg.Text != "" && msg.Text != " " {
		key = msg.Text
	}
	a := actionOf[key]
	m.note = ""
	switch {
	case a == actInterrupt:
		return tea.Quit
	case m.tooSmall():
		if a == actQuit {
			return tea.Quit
		}
	case m.prompt != nil:
		m.prompt.key(m, key, msg.Text)
	case m.dialog != nil:
		m.dialog.key(m, key, msg.Text)
	case a == actQuit && len(m.open) == 1:
		return tea.Quit
	case m.top().key(m, a):
	default:
		return m.common(a)
	}
	return nil
}

// common is what keys mean in every view that does not give them another meaning.
func (m *model) common(a action) tea.Cmd {
	switch a {
	case actBack, actQuit:
		m.back()
	case actHelp:
		m.pages.show(m, "help", helpLines())
	case actStatistics:
		m.pages.show(m, "statistics", m.list.statistics(m.ascii))
	case actConnections:
		m.show(m.connections)
		m.source.ask(askConnections{})
	case actFindings:
		m.showFindings()
	case actSearch:
		m.prompt = newPrompt(promptSearch, m.sought)
	case actFilter:
		m.prompt = newPrompt(promptFilter, m.watched.filter)
	case actGo:
		m.prompt = newPrompt(promptGo, "")
	case actPause:
		m.pause()
	}
	return nil
}

// pause holds the picture, or lets it go on.
func (m *model) pause() {
	m.paused, m.waiting = !m.paused, 0
	m.list.hold(m.paused)
	m.ladder.hold(m, m.paused)
}

func (m *model) tooSmall() bool { return m.width < minWidth || m.height < minHeight }

// View draws the screen.
func (m *model) View() tea.View {
	v := tea.NewView(m.screen().painted())
	v.AltScreen = true
	v.WindowTitle = "sallyport watch"
	return v
}

// screen draws what is shown, in cells.
func (m *model) screen() *screen {
	s := newScreen(max(m.width, 1), max(m.height, 1), m.ascii)
	if m.tooSmall() {
		if m.width > 0 {
			for i, line := range wrap(fmt.Sprintf("This terminal has %d columns and %d lines; sallyport watch needs %d and %d. Make it larger, or q to leave.",
				m.width, m.height, minWidth, minHeight), m.width) {
				s.put(0, i, plain, line)
			}
		}
		return s
	}
	m.top().draw(m, s)
	m.foot(s)
	if m.dialog != nil {
		m.dialog.draw(m, s)
	}
	return s
}

// foot is the last line: a prompt, a sentence, what the gateway's state is, or keys.
func (m *model) foot(s *screen) {
	y := s.height - 1
	s.clear(0, y, s.width)
	switch {
	case m.prompt != nil:
		m.prompt.draw(s, y)
	case m.note != "":
		s.putCut(1, y, s.width-2, bold, m.note)
	case m.live && m.link.err != nil:
		s.putCut(1, y, s.width-2, bad, m.lost())
	case m.secrets != "":
		s.putCut(1, y, s.width-2, warning, "! "+m.secrets)
	default:
		s.putCut(1, y, s.width-2, faint, m.top().hints())
	}
}

// lost says that the gateway cannot be reached.
func (m *model) lost() string {
	what := "Not connected"
	if m.linked {
		what = "Connection lost"
	}
	return fmt.Sprintf("%s, trying again in %d s: %v", what, max(1, int(m.link.again.Round(time.Second)/time.Second)), m.link.err)
}

// heading is the first line of a view: what it is at the left, how the source does at the right.
func (m *model) heading(s *screen, l look, text string) {
	right := m.sourceWords()
	s.putRight(s.width-1, 0, faint, right)
	s.putCut(1, 0, s.width-len(right)-4, l, text)
}

// sourceWords say where the calls come from and how that does.
func (m *model) sourceWords() string {
	switch {
	case !m.live:
		return m.name
	case m.paused:
		return fmt.Sprintf("paused, %d waiting", m.waiting)
	case m.link.err != nil:
		return "not connected"
	case m.now.IsZero():
		return "connecting"
	}
	return m.now.UTC().Format(time.TimeOnly)
}
