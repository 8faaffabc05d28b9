package export

import (
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/sallyport-sip/sallyport/internal/callflow"
)

// SVG draws the flows below each other in one picture: text that can be selected, light or dark as the reader's screen is,
// no script, no font and nothing else from elsewhere. Each row is a group whose id and title begin with its address.
func SVG(w io.Writer, flows []*callflow.Flow, o Options) error {
	var body strings.Builder
	width, y := svgLeft, 0
	for _, f := range flows {
		p := newPicture(f, o)
		p.heading()
		p.ladder()
		fmt.Fprintf(&body, "<g transform=\"translate(0 %d)\">\n%s</g>\n", y, p.out.String())
		y += p.y + svgPad
		width = max(width, p.width)
	}
	title := "no calls"
	if len(flows) > 0 {
		title = "call " + flows[0].ID + ": " + flows[0].Sentence
	}
	_, err := fmt.Fprintf(w, "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"flow\" width=\"%d\" height=\"%d\" viewBox=\"0 0 %d %d\" role=\"img\">\n"+
		"<title>%s</title>\n<style>%s%s</style>\n<rect class=\"page\" width=\"100%%\" height=\"100%%\"/>\n%s</svg>\n",
		width, y, width, y, escape(title), themes(":root"), svgStyle, body.String())
	return err
}

// Sizes in pixels.
const (
	svgPad    = 24
	svgLeft   = 104 // for the time
	svgNumber = 44  // of it, for the number of the row
	svgRow    = 30
	svgLine   = 18 // of text
	svgNotes  = 64 // characters of a note at most
)

// themes are the colours, for a light screen, a dark one, and paper.
func themes(root string) string {
	return root + `{--bg:#fff;--fg:#1b1f27;--faint:#5c6675;--rule:#c3cad5;--box:#f2f5f9;--tcp:#6b7280;--tls:#0f766e;--sip:#1d4ed8;--bad:#b91c1c;--good:#15803d;color-scheme:light dark}
@media screen and (prefers-color-scheme:dark){` + root + `{--bg:#13161b;--fg:#e7eaef;--faint:#9aa5b4;--rule:#3a424e;--box:#1d222a;--tcp:#9ca3af;--tls:#5eead4;--sip:#93c5fd;--bad:#ff8f8f;--good:#86efac}}
`
}

const svgStyle = `svg.flow{font:13px system-ui,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif;font-variant-numeric:tabular-nums}
svg.flow text{fill:var(--fg);white-space:pre}
.page{fill:var(--bg)}
svg.flow .sentence{font-size:16px;font-weight:600}
svg.flow .name{font-weight:600;text-anchor:middle}
svg.flow .address{font-size:11px;fill:var(--faint);text-anchor:middle}
.box{fill:var(--box);stroke:var(--rule)}
.box.gateway{stroke:var(--fg);stroke-width:1.5}
.life{stroke:var(--rule);stroke-width:1.5}
svg.flow .label{text-anchor:middle;paint-order:stroke;stroke:var(--bg);stroke-width:5px;stroke-linejoin:round}
svg.flow .words{paint-order:stroke;stroke:var(--bg);stroke-width:5px;stroke-linejoin:round}
svg.flow .time,svg.flow .number,svg.flow .note{fill:var(--faint);font-size:12px}
svg.flow .number,svg.flow .time{text-anchor:end}
.arrow{fill:none;stroke:var(--sip);stroke-width:1.5}
.head{fill:var(--sip)}
.tcp .arrow{stroke:var(--tcp);stroke-dasharray:1.5 4}.tcp .head{fill:var(--tcp)}
.tls .arrow{stroke:var(--tls);stroke-dasharray:7 4}.tls .head{fill:var(--tls)}
.bad .arrow{stroke:var(--bad);stroke-width:2.5;stroke-dasharray:none}
svg.flow .bad .label,svg.flow .bad .words,svg.flow text.bad{fill:var(--bad)}
svg.flow .good .words,svg.flow text.good,svg.flow .good .time{fill:var(--good)}
svg.flow text.strong,svg.flow .strong .words{font-weight:600}
svg.flow text.faint,svg.flow .faint .words{fill:var(--faint)}
svg.flow .bad .time{fill:var(--bad)}
.fold{fill:var(--bg);stroke:var(--tls)}
.row:target .hit,.row:hover .hit{fill:var(--box)}
.hit{fill:transparent}
`

// A picture is one flow as SVG.
type picture struct {
	*View
	x     []int // of each column
	width int
	notes int // where they begin
	y     int
	links bool // each row leads to its place in the page around it, and has no id of its own
	out   strings.Builder
}

func newPicture(f *callflow.Flow, o Options) *picture {
	p := &picture{View: NewView(f, o)}
	gap, note := 190, 0
	for i := range p.Rows {
		r := &p.Rows[i]
		if r.IsArrow() && (r.left-r.right == 1 || r.right-r.left == 1) {
			gap = max(gap, textWidth(r.Words(sign))+56)
		}
		if r.Note != "" && r.IsArrow() {
			note = max(note, min(Width(r.Note), svgNotes))
		}
	}
	for _, c := range p.Columns {
		gap = max(gap, textWidth(c.Name)+24, textWidth(c.Address)+16)
	}
	gap = min(gap, 340)
	first := svgPad + svgLeft + 70
	for i := range p.Columns {
		p.x = append(p.x, first+i*gap)
	}
	p.notes = p.x[len(p.x)-1] + 24
	p.width = max(p.notes+textWidth(strings.Repeat("n", note)), p.x[len(p.x)-1]+110, 640) + svgPad
	p.y = svgPad
	return p
}

// textWidth is about how wide text is.
func textWidth(s string) int { return Width(s) * 68 / 10 }

func sign(m Mark) string {
	return [...]string{"", "✓", "?", "✗"}[m]
}

var svgClasses = [...]string{
	StylePlain: "", StyleFaint: "faint", StyleTCP: "tcp", StyleTLS: "tls", StyleSIP: "sip", StyleBad: "bad", StyleGood: "good", StyleBold: "strong",
}

// text writes one line.
func (p *picture) text(x, y int, class, text string) {
	fmt.Fprintf(&p.out, "<text x=\"%d\" y=\"%d\" class=%q>%s</text>\n", x, y, class, escape(text))
}

func (p *picture) heading() {
	for i, h := range p.Heading() {
		class, n := svgClasses[h.Style], (p.width-2*svgPad)*10/70
		if i == 0 {
			class, n = "sentence "+class, (p.width-2*svgPad)*10/94
		}
		for _, line := range wrap(Clean(h.Text, false), max(n, 20)) {
			p.y += svgLine
			p.text(svgPad, p.y, class, line)
		}
		if i == 0 {
			p.y += 4
		}
	}
	p.y += svgPad
}

// ladder draws lifelines and rows.
func (p *picture) ladder() {
	for i, c := range p.Columns {
		w := max(textWidth(c.Name)+24, min(textWidth(c.Address)+16, 320), 90)
		class := "box"
		if c.Gateway {
			class += " gateway"
		}
		fmt.Fprintf(&p.out, "<rect class=%q x=\"%d\" y=\"%d\" width=\"%d\" height=\"40\" rx=\"6\"/>\n", class, p.x[i]-w/2, p.y, w)
		p.text(p.x[i], p.y+17, "name", unicodeGlyphs.shorten(Clean(c.Name, false), 44))
		p.text(p.x[i], p.y+33, "address", unicodeGlyphs.shorten(Clean(c.Address, false), 46))
	}
	p.y += 40
	top := p.y
	rows := p.rows()
	p.y += 14
	for _, x := range p.x {
		fmt.Fprintf(&p.out, "<path class=\"life\" d=\"M%d %dV%d\"/>\n", x, top, p.y)
	}
	p.out.WriteString(rows)
}

// rows draws them apart, because the lifelines go below and their length is known only then.
func (p *picture) rows() string {
	before := p.out.String()
	p.out.Reset()
	p.y += 10
	for i := range p.Rows {
		r := &p.Rows[i]
		if p.o.Times == TimesScaled {
			p.y += r.Pause * svgRow
		}
		p.row(r)
	}
	rows := p.out.String()
	p.out.Reset()
	p.out.WriteString(before)
	return rows
}

func (p *picture) row(r *ViewRow) {
	address := Address(p.Flow, r.Number)
	attributes := fmt.Sprintf("id=%q", escape(address))
	if p.links {
		attributes = ""
		fmt.Fprintf(&p.out, "<a href=\"#%s\">", escape(address))
	}
	fmt.Fprintf(&p.out, "<g %s class=\"row %s\">\n<title>%s</title>\n", attributes, rowClass(r), escape(p.title(r, address)))
	height := svgRow
	var lines []string
	if !r.IsArrow() {
		room := max((p.width-svgPad-p.start(r))*10/66, 30)
		lines = wrap(Clean(r.Label, false), room)
		for _, d := range r.Detail {
			lines = append(lines, wrap(Clean(d, false), room)...)
		}
		height = max(len(lines), 1)*svgLine + 10
	}
	fmt.Fprintf(&p.out, "<rect class=\"hit\" x=\"0\" y=\"%d\" width=\"%d\" height=\"%d\"/>\n", p.y, p.width, height)
	base := p.y + 17
	if r.IsArrow() {
		base = p.y + 20
	}
	p.text(svgNumber, base, "number", strconv.Itoa(r.Number))
	p.text(svgPad+svgLeft, base, "time", p.left(r))
	if r.IsArrow() {
		p.arrow(r)
	} else {
		for i, line := range lines {
			p.text(p.start(r), p.y+17+i*svgLine, "words", line)
		}
	}
	p.out.WriteString("</g>")
	if p.links {
		p.out.WriteString("</a>")
	}
	p.out.WriteByte('\n')
	p.y += height
}

// start is where the words of a row begin: at its lifeline, and further left where there they would have little room.
func (p *picture) start(r *ViewRow) int {
	x := p.x[r.left]
	for i := r.left; i > 0 && p.width-x < 420; i-- {
		x = p.x[i-1]
	}
	return x + 12
}

// left is what stands at the left: the time, or of a hop how it came out and how long it took.
func (p *picture) left(r *ViewRow) string {
	if r.Mark == NoMark || p.o.Times == TimesOfDay || p.o.Times == TimesSince {
		return r.Time
	}
	if r.Took > 0 {
		return sign(r.Mark) + " " + callflow.Span(r.Took)
	}
	return sign(r.Mark)
}

// title is all that a row says, for who points at it.
func (p *picture) title(r *ViewRow, address string) string {
	var s strings.Builder
	s.WriteString(address + ": " + r.Words(Mark.String))
	if r.Folded > 1 {
		s.WriteString(fmt.Sprintf(", %d rows", r.Folded))
	}
	for _, more := range append([]string{r.Note}, r.Detail...) {
		if more != "" {
			s.WriteString("\n" + more)
		}
	}
	return s.String() + "\n" + r.At.UTC().Format("2006-01-02 15:04:05.000000Z") + ", " + callflow.Span(r.Since) + " since the first row"
}

func rowClass(r *ViewRow) string {
	class := svgClasses[rowStyle(&r.Row)]
	switch {
	case r.Bad:
		class += " bad"
	case r.Mark == Up:
		class += " good"
	case r.Kind == callflow.RowRemedy:
		class += " strong"
	case !r.IsArrow():
		class += " faint"
	}
	return class
}

func (p *picture) arrow(r *ViewRow) {
	from, to, y := p.x[r.left], p.x[r.right], p.y+22
	d := 1
	if to < from {
		d = -1
	}
	end := to - 2*d
	fmt.Fprintf(&p.out, "<path class=\"arrow\" d=\"M%d %dH%d\"/>\n", from+2*d, y, end-7*d)
	if r.Bad { // a cross
		fmt.Fprintf(&p.out, "<path class=\"arrow\" d=\"M%d %dl%d 10m0 -10l%d 10\"/>\n", end-12*d, y-5, 10*d, -10*d)
	} else {
		fmt.Fprintf(&p.out, "<path class=\"head\" d=\"M%d %dl%d -4.5v9z\"/>\n", end, y, -9*d)
	}
	text := r.Words(sign)
	if r.Folded > 0 {
		text = "▸ " + text
	}
	room := max(from-to, to-from)*10/68 - 2
	p.text((from+to)/2, p.y+16, "label", unicodeGlyphs.cut(Clean(text, false), room))
	if r.Note != "" {
		p.text(p.notes, p.y+20, "note", unicodeGlyphs.cut(Clean(r.Note, false), svgNotes))
	}
}

// escape makes text fit for XML and HTML, between tags and in quoted attributes: one that is not allowed there in any form
// becomes a question mark.
func escape(s string) string {
	var b strings.Builder
	for _, r := range s {
		switch {
		case r == '&':
			b.WriteString("&amp;")
		case r == '<':
			b.WriteString("&lt;")
		case r == '>':
			b.WriteString("&gt;")
		case r == '"':
			b.WriteString("&#34;")
		case r == '\'':
			b.WriteString("&#39;")
		case r == '\n' || r == '\t':
			b.WriteRune(r)
		case r < 0x20 || r >= 0x7f && r < 0xa0 || r == 0xfffd || r == 0xfffe || r == 0xffff || isInvisible(r):
			b.WriteByte('?')
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}
