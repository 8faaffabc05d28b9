package export

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/sallyport-sip/sallyport/internal/callflow"
)

// PlantUML writes one sequence diagram for each flow. Its numbers are those of the rows.
func PlantUML(w io.Writer, flows []*callflow.Flow, o Options) error {
	for _, f := range flows {
		d := &diagram{View: NewView(f, o), leg: -1}
		d.plantuml()
		if _, err := io.WriteString(w, d.out.String()); err != nil {
			return err
		}
	}
	if len(flows) == 0 {
		_, err := io.WriteString(w, "@startuml\ntitle no calls\n@enduml\n")
		return err
	}
	return nil
}

// A diagram is a sequence diagram in somebody's language, under construction.
type diagram struct {
	*View
	out    strings.Builder
	next   int // the number that the next arrow would get by itself
	leg    int // whose handshake the group that is open belongs to; -1: none is open
	opened map[int]bool
}

func (d *diagram) printf(format string, a ...any) { fmt.Fprintf(&d.out, format, a...) }

// alias is how a column is called within the diagram.
func alias(column int) string { return fmt.Sprintf("p%d", column+1) }

const (
	diagramTitle = 100 // characters of a line
	diagramNote  = 60
)

func (d *diagram) plantuml() {
	d.printf("@startuml\n")
	d.printf("hide footbox\nautonumber\n")
	var title []string
	for _, h := range d.Heading() {
		for _, line := range wrap(Clean(h.Text, false), diagramTitle) {
			title = append(title, umlText(line))
		}
	}
	d.printf("title %s\n", strings.Join(title, `\n`))
	for i, c := range d.Columns {
		name := umlText(or(Clean(c.Name, false), "?"))
		if c.Address != "" {
			name += `\n` + umlText(unicodeGlyphs.cut(Clean(c.Address, false), diagramNote))
		}
		d.printf("participant \"%s\" as %s\n", name, alias(i))
	}
	d.next = 1
	for i := range d.Rows {
		r := &d.Rows[i]
		d.umlGroup(r)
		if r.Pause > 0 {
			d.printf("...%s...\n", umlText(callflow.Span(r.Gap)))
		}
		if r.IsArrow() && r.left != r.right {
			d.umlArrow(r)
		} else {
			d.umlNote("note over "+alias(r.left), append([]string{wordsOf(r)}, r.Detail...))
		}
	}
	d.umlClose()
	d.printf("@enduml\n")
}

// wordsOf is the label of a row that is no arrow; of a hop with the sign for how it came out.
func wordsOf(r *ViewRow) string {
	if r.Mark == NoMark {
		return r.Label
	}
	s := sign(r.Mark) + " "
	if r.Took > 0 {
		s += callflow.Span(r.Took) + " "
	}
	return s + r.Label
}

// isHandshake reports whether a row belongs to the group of its hop's handshake.
func isHandshake(r *ViewRow) bool {
	return r.Leg >= 0 && r.Folded == 0 && r.IsArrow() && (r.Kind == callflow.RowTLS || r.Kind == callflow.RowData)
}

// umlGroup opens and closes the groups of handshakes. The first one of a hop has a divider.
func (d *diagram) umlGroup(r *ViewRow) {
	if d.leg >= 0 && (!isHandshake(r) || r.Leg != d.leg) {
		d.umlClose()
	}
	if d.leg < 0 && isHandshake(r) {
		d.leg = r.Leg
		name := umlText(Clean(d.Legs[r.Leg].Name, false))
		if !d.opened[r.Leg] {
			d.printf("== TLS hop %s ==\n", name)
			if d.opened == nil {
				d.opened = map[int]bool{}
			}
			d.opened[r.Leg] = true
		}
		d.printf("group TLS hop %s\n", name)
	}
}

func (d *diagram) umlClose() {
	if d.leg >= 0 {
		d.printf("end\n")
		d.leg = -1
	}
}

func (d *diagram) umlArrow(r *ViewRow) {
	if r.Number != d.next {
		d.printf("autonumber %d\n", r.Number)
	}
	d.next = r.Number + 1
	arrow := "->"
	switch {
	case r.Bad:
		arrow = "-[#b91c1c]>x"
	case r.Kind == callflow.RowTLS || r.Kind == callflow.RowData:
		arrow = "-[#0f766e]>"
	case r.Kind == callflow.RowTCP:
		arrow = "-[#6b7280]>"
	case isResponse(r):
		arrow = "-->"
	}
	d.printf("%s %s %s : %s\n", alias(r.left), arrow, alias(r.right), umlText(Clean(r.Words(sign), false)))
	if r.Note != "" {
		d.umlNote("note right", []string{r.Note})
	}
}

func isResponse(r *ViewRow) bool {
	return r.Kind == callflow.RowSIP && r.Label != "" && r.Label[0] >= '0' && r.Label[0] <= '9'
}

func (d *diagram) umlNote(where string, texts []string) {
	var lines []string
	for _, text := range texts {
		for _, line := range wrap(Clean(text, false), diagramNote) {
			lines = append(lines, umlText(line))
		}
	}
	if len(lines) == 0 {
		lines = []string{" "}
	}
	d.printf("%s : %s\n", where, strings.Join(lines, `\n`))
}

// umlText keeps text from being anything else to PlantUML: no variable or function of its preprocessor, which could read
// files where it is rendered, no markup, link, picture, comment or end of a string. Such a character is written by its number.
func umlText(s string) string {
	var b strings.Builder
	last := rune(0)
	for i, r := range s {
		switch {
		case r == '\\':
			b.WriteString(`\\`)
		case strings.ContainsRune("<%$~[]{}|&\"`^!", r) || r < 0x20 || r == utf8.RuneError,
			strings.ContainsRune("*/_-'=.+", r) && r == last, // markup is of pairs
			r == '\'' && (last == '/' || i == 0), r == '/' && last == '\'',
			i == 0 && strings.ContainsRune("*=-.:;#@>", r):
			fmt.Fprintf(&b, "<U+%04X>", r)
			r = 0
		default:
			b.WriteRune(r)
		}
		last = r
	}
	return b.String()
}
