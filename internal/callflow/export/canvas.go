package export

import (
	"strings"
	"unicode/utf8"
)

// style is how a stretch of a line looks: which character draws it and which colour it has.
type style uint8

const (
	plain style = iota
	faint
	styleTCP
	styleTLS
	styleSIP
	styleBad
	styleGood
	styleBold
)

var colours = [...]string{
	plain: "", faint: "\x1b[2m", styleTCP: "\x1b[2m", styleTLS: "\x1b[36m", styleSIP: "\x1b[34m",
	styleBad: "\x1b[31m", styleGood: "\x1b[32m", styleBold: "\x1b[1m",
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

func (g *glyphs) line(s style) []rune {
	switch s {
	case styleTCP:
		return g.tcp
	case styleTLS:
		return g.tls
	case styleBad:
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
		case r < 0x20 || r >= 0x7f && r < 0xa0 || r == utf8.RuneError || isInvisible(r):
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
	r := []rune(s)
	if len(r) <= n {
		return s
	}
	dots := []rune(g.ellipsis)
	if n <= len(dots) {
		return string(r[:max(n, 0)])
	}
	return string(r[:n-len(dots)]) + g.ellipsis
}

// canvas is one line of a ladder.
type canvas struct {
	cells  []rune
	styles []style
}

func newCanvas(width int) *canvas {
	c := &canvas{cells: make([]rune, width), styles: make([]style, width)}
	for i := range c.cells {
		c.cells[i] = ' '
	}
	return c
}

// put writes text at a column; what is beyond the right edge is lost.
func (c *canvas) put(at int, s style, text string) {
	for _, r := range text {
		if at >= 0 && at < len(c.cells) {
			c.cells[at], c.styles[at] = r, s
		}
		at++
	}
}

// fill repeats a pattern over the columns from..to, both included. Patterns are aligned to the line, so that rows below
// each other look alike.
func (c *canvas) fill(from, to int, s style, pattern []rune) {
	for i := from; i <= to; i++ {
		c.cells[i], c.styles[i] = pattern[(i-from)%len(pattern)], s
	}
}

// String is the line without trailing blanks.
func (c *canvas) text(colour bool) string {
	end := len(c.cells)
	for end > 0 && c.cells[end-1] == ' ' {
		end--
	}
	if !colour {
		return string(c.cells[:end])
	}
	var b strings.Builder
	var now string
	for i, r := range c.cells[:end] {
		if want := colours[c.styles[i]]; want != now && r != ' ' {
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
		for utf8.RuneCountInString(word) > n { // a word that never fits: fingerprints, long names
			if line != "" {
				lines, line = append(lines, line), ""
			}
			r := []rune(word)
			lines, word = append(lines, string(r[:n])), string(r[n:])
		}
		switch {
		case line == "":
			line = word
		case utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) <= n:
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
