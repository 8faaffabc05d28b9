package export

import (
	"fmt"
	"io"
	"strings"
)

// DiffText writes a diff for a terminal: what was is marked with -, what became of it with +.
func DiffText(w io.Writer, d *Diff, o Options) error {
	var b strings.Builder
	for i := range DiffLines(d, o) {
		b.WriteString(i.text(o.Colour))
		b.WriteByte('\n')
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// DiffLines is a diff in lines of cells, for who puts it on a screen of its own.
func DiffLines(d *Diff, o Options) func(yield func(*Line) bool) {
	g, width := &unicodeGlyphs, o.Width
	if o.ASCII {
		g = &asciiGlyphs
	}
	if width == 0 {
		width = 80
	}
	width = max(width, minWidth)
	return func(yield func(*Line) bool) {
		put := func(s Style, first, rest, text string) bool {
			for i, line := range wrap(g.clean(text), width-len(first)) {
				if i > 0 {
					first = rest
				}
				c := blank(width)
				c.put(0, s, first)
				c.put(len(first), s, line)
				if !yield(c) {
					return false
				}
			}
			return true
		}
		if !put(StyleBold, "", "  ", "call "+d.Flow+": "+d.A.words()+" against "+d.B.words()) {
			return
		}
		if len(d.Changes) == 0 && !put(StyleGood, "", "  ", "They say the same.") {
			return
		}
		last := ""
		for _, c := range d.Changes {
			title := c.Part
			if c.Part == PartHeader {
				title = c.Name
			}
			if title != last && !put(StyleFaint, "", "  ", title) {
				return
			}
			last = title
			if c.Op != OpAdded && !put(StyleBad, "  - ", "    ", c.A+emptied(c.A)) || c.Op != OpRemoved && !put(StyleGood, "  + ", "    ", c.B+emptied(c.B)) {
				return
			}
		}
		if len(d.Same) > 0 {
			put(StyleFaint, "", "  ", fmt.Sprintf("the same in both: %s", strings.Join(d.Same, ", ")))
		}
	}
}

// emptied stands for a line or value without anything in it.
func emptied(s string) string {
	if strings.TrimSpace(s) == "" {
		return "(empty)"
	}
	return ""
}

func (s *DiffSide) words() string {
	text := fmt.Sprintf("row %d, %s, %s > %s", s.Row, s.Label, s.From, s.To)
	if s.Hop != "" {
		text += " on hop " + s.Hop
	}
	return text
}
