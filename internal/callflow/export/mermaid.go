package export

import (
	"fmt"
	"io"
	"regexp"
	"strings"

	"github.com/sallyport-sip/sallyport/internal/callflow"
)

// What a diagram in Mermaid holds at most: renderers refuse more than 50,000 characters of it.
const (
	mermaidRows = 300
	mermaidText = 45000
)

// Mermaid writes one sequence diagram, or, of several flows, one after the other as Markdown has them. Its numbers are those
// of the rows.
func Mermaid(w io.Writer, flows []*callflow.Flow, o Options) error {
	var all strings.Builder
	for _, f := range flows {
		d := &diagram{View: NewView(f, o), leg: -1}
		d.mermaid()
		if len(flows) > 1 {
			fmt.Fprintf(&all, "```mermaid\n%s```\n", d.out.String())
		} else {
			all.WriteString(d.out.String())
		}
	}
	if len(flows) == 0 {
		all.WriteString("sequenceDiagram\n    participant p1 as no calls\n")
	}
	_, err := io.WriteString(w, all.String())
	return err
}

func (d *diagram) mermaid() {
	d.printf("sequenceDiagram\n    autonumber\n")
	for i, c := range d.Columns {
		name := mermaidWords(or(Clean(c.Name, false), "?"))
		if c.Address != "" {
			name += "<br/>" + mermaidWords(unicodeGlyphs.cut(Clean(c.Address, false), diagramNote))
		}
		if c.Gateway {
			d.printf("    box rgba(100, 116, 139, 0.12)\n")
		}
		d.printf("    participant %s as %s\n", alias(i), name)
		if c.Gateway {
			d.printf("    end\n")
		}
	}
	all := alias(0) + "," + alias(len(d.Columns)-1)
	if len(d.Columns) == 1 {
		all = alias(0)
	}
	var head []string
	for _, h := range d.Heading() {
		head = append(head, h.Text)
	}
	d.mermaidNote("over "+all, head, diagramTitle)
	d.next = 1
	for i := range d.Rows {
		if i == mermaidRows || d.out.Len() > mermaidText {
			d.mermaidClose()
			d.mermaidNote("over "+all, []string{fmt.Sprintf("%d more rows, from row %d on, are left out: renderers of this format draw no more",
				len(d.Rows)-i, d.Rows[i].Number)}, diagramTitle)
			return
		}
		d.mermaidRow(&d.Rows[i], all)
	}
	d.mermaidClose()
}

func (d *diagram) mermaidRow(r *ViewRow, all string) {
	if d.leg >= 0 && (!isHandshake(r) || r.Leg != d.leg) {
		d.mermaidClose()
	}
	if r.Pause > 0 {
		d.mermaidNote("over "+all, []string{callflow.Span(r.Gap) + " later"}, diagramTitle)
	}
	if d.leg < 0 && isHandshake(r) {
		d.leg = r.Leg
		d.printf("    rect rgba(15, 118, 110, 0.12)\n")
		d.mermaidNote("over "+alias(min(r.left, r.right))+","+alias(max(r.left, r.right)), []string{"TLS hop " + d.Legs[r.Leg].Name}, diagramNote)
	}
	if !r.IsArrow() || r.left == r.right {
		d.mermaidNote("over "+alias(r.left), append([]string{wordsOf(r)}, r.Detail...), diagramNote)
		return
	}
	if r.Number != d.next {
		d.printf("    autonumber %d\n", r.Number)
	}
	d.next = r.Number + 1
	arrow := "->>"
	switch {
	case r.Bad:
		arrow = "-x"
	case isResponse(r) || r.Kind == callflow.RowTLS || r.Kind == callflow.RowTCP || r.Kind == callflow.RowData:
		arrow = "-->>"
	}
	d.printf("    %s%s%s: %s\n", alias(r.left), arrow, alias(r.right), mermaidWords(Clean(r.Words(sign), false)))
	if r.Note != "" {
		d.mermaidNote("right of "+alias(max(r.left, r.right)), []string{r.Note}, diagramNote)
	}
}

func (d *diagram) mermaidClose() {
	if d.leg >= 0 {
		d.printf("    end\n")
		d.leg = -1
	}
}

func (d *diagram) mermaidNote(where string, texts []string, width int) {
	var lines []string
	for _, text := range texts {
		for _, line := range wrap(Clean(text, false), width) {
			lines = append(lines, mermaidWords(line))
		}
	}
	if len(lines) == 0 {
		lines = []string{"#32;"}
	}
	d.printf("    Note %s: %s\n", where, strings.Join(lines, "<br/>"))
}

// What Mermaid takes for words of its own within text, wherever they stand.
var mermaidKeyword = regexp.MustCompile(`(?i)\bend\b|^(no)?wrap:`)

// mermaidWords keeps text from being anything else to Mermaid: no end of a statement or a block, no comment, directive,
// formula, markup or entity. Such a character is written by its number.
func mermaidWords(s string) string {
	s = mermaidKeyword.ReplaceAllStringFunc(s, func(word string) string {
		return "\x00" + word // its first character is written by its number
	})
	var b strings.Builder
	masked := false
	for _, r := range s {
		switch {
		case r == 0:
			masked = true
			continue
		case masked || strings.ContainsRune("#;%<&\"`\\${}", r):
			fmt.Fprintf(&b, "#%d;", r)
		default:
			b.WriteRune(r)
		}
		masked = false
	}
	return b.String()
}
