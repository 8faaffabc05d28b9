package tui

import (
	"strings"

	"github.com/sallyport-sip/sallyport/internal/callflow/export"
)

// What a prompt asks for.
type promptKind int

const (
	promptSearch promptKind = iota
	promptFilter
	promptGo
)

var promptHeads = [...]string{promptSearch: "/", promptFilter: "filter: ", promptGo: ":"}

// A prompt is the last line while something is typed into it.
type prompt struct {
	kind  promptKind
	line  editor
	wrong string // what is wrong with it; then the cursor is where
}

func newPrompt(kind promptKind, text string) *prompt {
	p := &prompt{kind: kind}
	if kind != promptSearch {
		p.line.set(text)
	}
	return p
}

func (p *prompt) insert(text string) { p.line.insert(text) }

// key takes a key: Enter does what was typed, Esc forgets it.
func (p *prompt) key(m *model, key, text string) {
	p.wrong = ""
	switch key {
	case "enter":
		m.prompt = nil
		m.answer(p)
	case "esc":
		m.prompt = nil
	default:
		p.line.key(key, text)
	}
}

func (p *prompt) draw(s *screen, y int) {
	x := s.put(1, y, bold, promptHeads[p.kind])
	p.line.draw(s, x, y, s.width-1)
	if p.wrong != "" {
		lines := wrap(p.wrong, s.width-4)
		for i, line := range lines {
			s.clear(0, y-len(lines)+i, s.width)
			s.putCut(2, y-len(lines)+i, s.width-3, bad, line)
		}
	}
}

// answer does what was typed.
func (m *model) answer(p *prompt) {
	text := strings.TrimSpace(string(p.line.text))
	switch p.kind {
	case promptSearch:
		if text == "" {
			text = m.sought
		}
		if m.sought = text; text != "" && !m.top().search(m, text) {
			m.say("%q is nowhere in what is shown here.", text)
		}
	case promptFilter:
		m.setFilter(text)
	case promptGo:
		m.command(text)
	}
}

// setFilter lists only what fits; one that is wrong is shown with the place.
func (m *model) setFilter(text string) {
	if err := CheckFilter(text, m.live, m.now); err != nil {
		m.prompt = newPrompt(promptFilter, text)
		m.prompt.wrong = err.Error()
		m.prompt.line.at = min(filterPlace(err), len(m.prompt.line.text))
		return
	}
	if text != m.watched.filter {
		m.list.take(m, flowsMsg{reset: true})
	}
	m.follow(watched{text, m.watched.flow})
	if m.top() != m.list && text != "" {
		m.say("The list of calls has this filter now: Esc goes there.")
	}
}

// An editor is one line that is typed.
type editor struct {
	text []rune
	at   int
}

// mostTyped is how many characters a line takes.
const mostTyped = 1000

func (e *editor) set(text string) { e.text, e.at = []rune(text), len([]rune(text)) }

func (e *editor) insert(text string) {
	for _, r := range export.Clean(text, false) {
		if len(e.text) < mostTyped {
			e.text = append(e.text[:e.at], append([]rune{r}, e.text[e.at:]...)...)
			e.at++
		}
	}
}

// key takes a key as most shells do.
func (e *editor) key(key, text string) {
	switch key {
	case "left", "ctrl+b":
		e.at = max(0, e.at-1)
	case "right", "ctrl+f":
		e.at = min(len(e.text), e.at+1)
	case "home", "ctrl+a":
		e.at = 0
	case "end", "ctrl+e":
		e.at = len(e.text)
	case "backspace", "ctrl+h":
		if e.at > 0 {
			e.text = append(e.text[:e.at-1], e.text[e.at:]...)
			e.at--
		}
	case "delete", "ctrl+d":
		if e.at < len(e.text) {
			e.text = append(e.text[:e.at], e.text[e.at+1:]...)
		}
	case "ctrl+u":
		e.text, e.at = e.text[e.at:], 0
	case "ctrl+k":
		e.text = e.text[:e.at]
	case "ctrl+w":
		from := e.at
		for from > 0 && e.text[from-1] == ' ' {
			from--
		}
		for from > 0 && e.text[from-1] != ' ' {
			from--
		}
		e.text, e.at = append(e.text[:from], e.text[e.at:]...), from
	default:
		e.insert(text)
	}
}

// draw shows the line between two columns, scrolled so that the cursor is on the screen.
func (e *editor) draw(s *screen, x, y, end int) {
	from := max(0, e.at-(end-x-2))
	for _, r := range e.text[from:e.at] {
		x = s.putIn(x, y, end, plain, string(r))
	}
	under := " "
	if e.at < len(e.text) {
		under = string(e.text[e.at])
	}
	next := s.putIn(x, y, end, plain, under)
	s.choose(x, y, next)
	if e.at < len(e.text) {
		s.putIn(next, y, end, plain, string(e.text[e.at+1:]))
	}
}
