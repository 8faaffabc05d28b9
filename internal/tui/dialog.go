package tui

import (
	"errors"
	"fmt"
	"strings"

	"github.com/sallyport-sip/sallyport/internal/callflow/export"
)

// A dialog asks how a call is to be written to a file.
type dialog struct {
	flow   string
	format int // of export.Formats
	path   editor
	typed  bool // the name of the file is the user's own
}

// extensions are what files of a format are called, where that is not the format's name.
var extensions = map[string]string{"text": "txt", "plantuml": "puml", "mermaid": "mmd"}

func newDialog(flow string) *dialog {
	d := &dialog{flow: flow}
	d.rename()
	return d
}

// rename proposes a name for the file.
func (d *dialog) rename() {
	if d.typed {
		return
	}
	format := export.Formats()[d.format].Name
	ext := extensions[format]
	if ext == "" {
		ext = format
	}
	d.path.set("call-" + d.flow + "." + ext)
}

func (d *dialog) key(m *model, key, text string) {
	n := len(export.Formats())
	switch key {
	case "up":
		d.format = (d.format + n - 1) % n
		d.rename()
	case "down", "tab":
		d.format = (d.format + 1) % n
		d.rename()
	case "esc":
		m.dialog = nil
	case "enter":
		m.dialog = nil
		m.export(d.flow, export.Formats()[d.format].Name, string(d.path.text))
	default:
		d.path.key(key, text)
		d.typed = true
	}
}

func (d *dialog) draw(m *model, s *screen) {
	formats := export.Formats()
	width, height := 64, len(formats)+7
	x, y := (s.width-width)/2, max(1, (s.height-height)/2)
	edge := []rune("┌─┐│└┘")
	if m.ascii {
		edge = []rune("+-+|++")
	}
	for i := range height {
		s.clear(x, y+i, x+width)
		s.set(x, y+i, plain, edge[3])
		s.set(x+width-1, y+i, plain, edge[3])
	}
	across := strings.Repeat(string(edge[1]), width-2)
	s.put(x, y, plain, string(edge[0])+across+string(edge[2]))
	s.put(x, y+height-1, plain, string(edge[4])+across+string(edge[5]))
	s.put(x+2, y, bold, " Write call "+d.flow+" to a file ")
	for i, f := range formats {
		sign := "  "
		if i == d.format {
			sign = "> "
		}
		s.putIn(x+3, y+2+i, x+width-2, plain, sign+fmt.Sprintf("%-9s %s", f.Name, f.About))
		if i == d.format {
			s.choose(x+3, y+2+i, x+width-2)
		}
	}
	at := s.put(x+3, y+3+len(formats), bold, "file: ")
	d.path.draw(s, at, y+3+len(formats), x+width-2)
	s.putIn(x+3, y+5+len(formats), x+width-2, faint, "up down format   Enter write   Esc leave it")
}

// export has a flow written to a file.
func (m *model) export(flow, format, path string) {
	if strings.TrimSpace(path) == "" {
		m.say("Nothing was written: the file has no name.")
		return
	}
	m.say("Writing %s.", path)
	m.source.ask(askExport{flow, format, path})
}

// exportCommand is export behind ":".
func (m *model) exportCommand(rest string) {
	format, path, _ := strings.Cut(rest, " ")
	if _, err := export.Lookup(format); err != nil {
		m.say("%v", err)
		return
	}
	flow := m.ladder.id
	if !m.isOpen(m.ladder) {
		f := m.list.chosen()
		if f == nil {
			m.say("There is no call to write.")
			return
		}
		flow = f.ID
	}
	m.export(flow, format, strings.TrimSpace(path))
}

// exported says what came of it.
func (m *model) exported(msg exportedMsg) {
	if msg.err != nil {
		m.say("Nothing was written: %v", msg.err)
		return
	}
	m.say("Written: %s, %d bytes.", msg.path, msg.size)
}

// errNoFlow is the answer for a flow that a source does not have.
var errNoFlow = errors.New("there is no such call, or it is kept no longer")
