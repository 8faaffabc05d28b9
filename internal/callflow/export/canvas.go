package export

import (
	"strings"
	"unicode/utf8"
)

// Style is how a stretch of a line looks: which character draws it and which colour it has.
type Style uint8

// The styles. What a colour says, a character or a word says too.
const (
	StylePlain Style = iota
	StyleFaint
	StyleTCP
	StyleTLS
	StyleSIP
	StyleBad
	StyleGood
	StyleBold
)

var colours = [...]string{
	StylePlain: "", StyleFaint: "\x1b[2m", StyleTCP: "\x1b[2m", StyleTLS: "\x1b[36m", StyleSIP: "\x1b[34m",
	StyleBad: "\x1b[31m", StyleGood: "\x1b[32m", StyleBold: "\x1b[1m",
}

// glyphs are the characters of a ladder. An arrow's line is a pattern that repeats.
type glyphs struct {
	lifeline   rune
	tcp        []rune
	tls        []rune
	sip        []rune
	bad        []rune
	cross      rune
	tick       rune
	fail       rune
	fold       string
	ellipsis   string
	outOfASCII bool
}

var unicodeGlyphs = glyphs{
	lifeline: '│', tcp: []rune("·"), tls: []rune("╌"), sip: []rune("─"), bad: []rune("━"),
	cross: '✕', tick: '✓', fail: '✗', fold: "▸", ellipsis: "…", outOfASCII: true,
}

var asciiGlyphs = glyphs{
	lifeline: '|', tcp: []rune(". "), tls: []rune("- "), sip: []rune("-"), bad: []rune("="),
	cross: 'X', tick: '+', fail: 'X', fold: "+", ellipsis: "..",
}

func (g *glyphs) line(s Style) []rune {
	switch s {
	case StyleTCP:
		return g.tcp
	case StyleTLS:
		return g.tls
	case StyleBad:
		return g.bad
	}
	return g.sip
}

// clean makes text from the network fit for a terminal: one line, no control characters, and in ASCII nothing else.
func (g *glyphs) clean(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\t' || r == '\n':
			return ' '
		case r < 0x20 || r >= 0x7f && r < 0xa0 || r == utf8.RuneError || isInvisible(r) || isJoined(r):
			return '?'
		case r >= 0x80 && !g.outOfASCII:
			return '?'
		}
		return r
	}, s)
}

// isInvisible reports characters that turn or hide text around them.
func isInvisible(r rune) bool {
	return r >= 0x200b && r <= 0x200f || r >= 0x2028 && r <= 0x202e || r >= 0x2060 && r <= 0x206f || r == 0xfeff
}

// cut shortens text to n columns.
func (g *glyphs) cut(s string, n int) string {
	if Width(s) <= n {
		return s
	}
	if dots := Width(g.ellipsis); n > dots {
		return head(s, n-dots) + g.ellipsis
	}
	return head(s, n)
}

// shorten takes from the middle of a name or address what does not fit into n columns, so that two that differ only at
// their ends do not look the same.
func (g *glyphs) shorten(s string, n int) string {
	dots := Width(g.ellipsis)
	if Width(s) <= n || n < dots+4 {
		return g.cut(s, n)
	}
	tail := (n - dots) / 2
	from := len(s)
	for from > 0 {
		r, size := utf8.DecodeLastRuneInString(s[:from])
		if tail -= Columns(r); tail < 0 {
			break
		}
		from -= size
	}
	return head(s, n-dots-Width(s[from:])) + g.ellipsis + s[from:]
}

// head is as much of the beginning of a text as fits into n columns.
func head(s string, n int) string {
	for i, r := range s {
		if n -= Columns(r); n < 0 {
			return s[:i]
		}
	}
	return s
}

func blank(width int) *Line {
	c := &Line{Cells: make([]rune, width), Styles: make([]Style, width)}
	for i := range c.Cells {
		c.Cells[i] = ' '
	}
	return c
}

// put writes text at a column; what is beyond the right edge is lost.
func (c *Line) put(at int, s Style, text string) {
	for _, r := range text {
		n := Columns(r)
		if at >= 0 && at+n <= len(c.Cells) {
			c.Cells[at], c.Styles[at] = r, s
			if n == 2 {
				c.Cells[at+1], c.Styles[at+1] = after, s
			}
		}
		at += n
	}
}

// fill repeats a pattern over the columns from..to, both included. Patterns are aligned to the line, so that rows below
// each other look alike.
func (c *Line) fill(from, to int, s Style, pattern []rune) {
	for i := from; i <= to; i++ {
		c.Cells[i], c.Styles[i] = pattern[(i-from)%len(pattern)], s
	}
}

// text is the line without trailing blanks.
func (c *Line) text(colour bool) string {
	end := len(c.Cells)
	for end > 0 && c.Cells[end-1] == ' ' {
		end--
	}
	var b strings.Builder
	var now string
	for i, r := range c.Cells[:end] {
		if r == after {
			continue
		}
		if want := colours[c.Styles[i]]; colour && want != now && r != ' ' {
			if now != "" {
				b.WriteString("\x1b[0m")
			}
			b.WriteString(want)
			now = want
		}
		b.WriteRune(r)
	}
	if now != "" {
		b.WriteString("\x1b[0m")
	}
	return b.String()
}

// wrap breaks text into lines of at most n columns, at blanks where there are any.
func wrap(s string, n int) []string {
	var lines []string
	var line string
	for word := range strings.FieldsSeq(s) {
		for Width(word) > n { // a word that never fits: fingerprints, long names
			if line != "" {
				lines, line = append(lines, line), ""
			}
			first := head(word, max(n, 2))
			lines, word = append(lines, first), word[len(first):]
		}
		switch {
		case line == "":
			line = word
		case Width(line)+1+Width(word) <= n:
			line += " " + word
		default:
			lines, line = append(lines, line), word
		}
	}
	if line != "" {
		lines = append(lines, line)
	}
	return lines
}
