package tui

import (
	"strings"

	"charm.land/lipgloss/v2"

	"github.com/sallyport-sip/sallyport/internal/callflow/export"
)

// look is how a cell looks. The first ones are the export package's styles; what a look says, a character or a word says too.
type look uint8

const (
	plain = look(export.StylePlain)
	faint = look(export.StyleFaint)
	bad   = look(export.StyleBad)
	good  = look(export.StyleGood)
	bold  = look(export.StyleBold)
)

// Looks of our own.
const (
	warning = look(32) + iota
	hue1    // of the palette for "colour by"
	hue2
	hue3
	hue4
	hue5
	hue6
	looks // how many there are

	// chosen is added to the look of the line that the cursor is on.
	chosen look = 0x80
)

// hues are the palette for "colour by".
var hues = [...]look{hue1, hue2, hue3, hue4, hue5, hue6}

// painted is what lipgloss makes of each look. Bubble Tea leaves out of it what the terminal cannot show.
var painted = func() (all [2 * looks]lipgloss.Style) {
	base := lipgloss.NewStyle().Inline(true)
	colour := map[look]string{
		look(export.StyleTLS): "6", look(export.StyleSIP): "4", bad: "1", good: "2", warning: "3",
		hue1: "2", hue2: "3", hue3: "4", hue4: "5", hue5: "6", hue6: "1",
	}
	for l := range looks {
		s := base
		if c := colour[l]; c != "" {
			s = s.Foreground(lipgloss.Color(c))
		}
		switch l {
		case faint, look(export.StyleTCP):
			s = s.Faint(true)
		case bold:
			s = s.Bold(true)
		}
		all[l], all[looks+l] = s, s.Faint(false).Reverse(true)
	}
	return all
}()

// A screen is what is shown, in cells. Text that it is given is cleaned here, so that nothing from the network reaches the
// terminal but characters that take one column or two.
type screen struct {
	width, height int
	ascii         bool
	cells         []rune // a cell behind a character of two columns is 0
	looks         []look
}

func newScreen(width, height int, ascii bool) *screen {
	s := &screen{width: width, height: height, ascii: ascii, cells: make([]rune, width*height), looks: make([]look, width*height)}
	for i := range s.cells {
		s.cells[i] = ' '
	}
	return s
}

// put writes text from column x on, and returns the column behind it. What is outside of the screen is lost.
func (s *screen) put(x, y int, l look, text string) int { return s.putIn(x, y, s.width, l, text) }

// putIn is put up to column end.
func (s *screen) putIn(x, y, end int, l look, text string) int {
	if y < 0 || y >= s.height {
		return x
	}
	end = min(end, s.width)
	for _, r := range export.Clean(text, s.ascii) {
		n := export.Columns(r)
		if x+n > end {
			return end
		}
		second := rune(0)
		if n == 2 && x == -1 {
			second = ' ' // half of it is outside
		}
		s.set(x, y, l, r)
		if n == 2 {
			s.set(x+1, y, l, second)
		}
		x += n
	}
	return x
}

// set writes one cell. Half of a character that it covers goes.
func (s *screen) set(x, y int, l look, r rune) {
	if x < 0 || y < 0 || x >= s.width || y >= s.height {
		return
	}
	i := y*s.width + x
	if s.cells[i] == 0 && r != 0 && x > 0 {
		s.cells[i-1] = ' '
	}
	if x+1 < s.width && s.cells[i+1] == 0 && r != 0 {
		s.cells[i+1] = ' '
	}
	s.cells[i], s.looks[i] = r, l
}

// putCut writes text into n columns, and marks with dots that it was longer.
func (s *screen) putCut(x, y, n int, l look, text string) {
	s.putIn(x, y, x+n, l, cut(export.Clean(text, s.ascii), n, s.ascii))
}

// putRight writes text so that it ends before column end.
func (s *screen) putRight(end, y int, l look, text string) {
	s.put(max(0, end-export.Width(export.Clean(text, s.ascii))), y, l, text)
}

// line draws cells of a ladder: those from column from on, into n columns.
func (s *screen) line(x, y, n, from int, line *export.Line) {
	for i := 0; i < n && from+i < len(line.Cells); i++ {
		r := line.Cells[from+i]
		if r == 0 && i == 0 || i == n-1 && export.Columns(r) == 2 {
			r = ' '
		}
		s.set(x+i, y, look(line.Styles[from+i]), r)
	}
}

// choose marks the line that the cursor is on, from column x up to end.
func (s *screen) choose(x, y, end int) {
	for i := max(x, 0); i < min(end, s.width) && y >= 0 && y < s.height; i++ {
		s.looks[y*s.width+i] |= chosen
	}
}

// clear empties columns x to end of a line.
func (s *screen) clear(x, y, end int) {
	for i := x; i < end; i++ {
		s.set(i, y, plain, ' ')
	}
}

// row is one line as it is, without its looks.
func (s *screen) row(y int) string {
	var b strings.Builder
	for _, r := range s.cells[y*s.width : (y+1)*s.width] {
		if r != 0 {
			b.WriteRune(r)
		}
	}
	return strings.TrimRight(b.String(), " ")
}

// text is the screen without looks, for the tests.
func (s *screen) text() string {
	var b strings.Builder
	for y := range s.height {
		b.WriteString(s.row(y) + "\n")
	}
	return b.String()
}

// painted is the screen for the terminal.
func (s *screen) painted() string {
	var b, run strings.Builder
	for y := range s.height {
		if y > 0 {
			b.WriteByte('\n')
		}
		end := s.lineEnd(y)
		for x := 0; x < end; {
			l := s.looks[y*s.width+x]
			for ; x < end && s.looks[y*s.width+x] == l; x++ {
				if r := s.cells[y*s.width+x]; r != 0 {
					run.WriteRune(r)
				}
			}
			at := l &^ chosen
			if l&chosen != 0 {
				at += looks
			}
			if at == plain {
				b.WriteString(run.String())
			} else {
				b.WriteString(painted[at].Render(run.String()))
			}
			run.Reset()
		}
	}
	return b.String()
}

// lineEnd is the column behind the last that shows anything.
func (s *screen) lineEnd(y int) int {
	end := s.width
	for end > 0 && s.cells[y*s.width+end-1] == ' ' && s.looks[y*s.width+end-1]&chosen == 0 {
		end--
	}
	return end
}

// cut shortens cleaned text to n columns.
func cut(text string, n int, ascii bool) string {
	if export.Width(text) <= n {
		return text
	}
	dots := "…"
	if ascii {
		dots = ".."
	}
	n -= export.Width(dots)
	for i, r := range text {
		if n -= export.Columns(r); n < 0 {
			return text[:i] + dots
		}
	}
	return text
}

// wrap breaks text into lines of at most n columns, at blanks where there are any.
func wrap(text string, n int) (lines []string) {
	line, used := "", 0
	flush := func() {
		if line != "" {
			lines, line, used = append(lines, line), "", 0
		}
	}
	for word := range strings.FieldsSeq(text) {
		for w := export.Width(word); w > n; w = export.Width(word) { // a word that never fits
			flush()
			end, room := 0, max(n, 2)
			for i, r := range word {
				if room -= export.Columns(r); room < 0 {
					break
				}
				end = i + len(string(r))
			}
			lines, word = append(lines, word[:end]), word[end:]
		}
		if word == "" {
			continue
		}
		w := export.Width(word)
		switch {
		case used == 0:
			line, used = word, w
		case used+1+w <= n:
			line, used = line+" "+word, used+1+w
		default:
			flush()
			line, used = word, w
		}
	}
	flush()
	return lines
}
