package export

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/sallyport-sip/sallyport/internal/callflow"
)

// HTML writes one page that needs nothing else: the picture of each flow, and below it what an inspector shows, which is
// each hop with what it agreed and what both sides decided, and each row with its message or certificate. It has no script,
// refers to nothing outside, and forbids its reader's browser to fetch anything. It opens from a file.
func HTML(w io.Writer, flows []*callflow.Flow, o Options) error {
	title := "No calls"
	if len(flows) > 0 {
		title = "call " + flows[0].ID + ": " + flows[0].Sentence
	}
	style := themes(":root") + svgStyle + htmlStyle
	sum := sha256.Sum256([]byte(style))
	p := &page{}
	p.printf("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"+
		"<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'sha256-%s'; base-uri 'none'; form-action 'none'\">\n"+
		"<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<meta name=\"referrer\" content=\"no-referrer\">\n"+
		"<title>%s</title>\n<style>%s</style>\n</head>\n<body>\n<main>\n", base64.StdEncoding.EncodeToString(sum[:]), escape(title), style)
	for _, f := range flows {
		p.flow(f, o)
	}
	p.printf("</main>\n</body>\n</html>\n")
	_, err := io.WriteString(w, p.out.String())
	return err
}

const htmlStyle = `body{margin:0;background:var(--bg);color:var(--fg);font:15px/1.45 system-ui,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif}
main{max-width:75rem;margin:0 auto;padding:1.5rem}
h1{font-size:1.35rem;margin:.2rem 0}
h2{font-size:1.05rem;margin:2rem 0 .5rem}
p{margin:.15rem 0}
h1.bad,p.bad,summary.bad{color:var(--bad)}h1.good,p.good{color:var(--good)}p.faint{color:var(--faint)}p.strong{font-weight:600}
.finding,.remedy{border-left:4px solid var(--rule);padding-left:.75rem}
.finding.bad{border-color:var(--bad)}
.remedy{margin-bottom:.6rem}
.picture{overflow-x:auto;margin:1rem -1.5rem}
.picture a{text-decoration:none}
.picture a:focus .hit{fill:var(--box)}
table{border-collapse:collapse;margin:.4rem 0 1rem}
th,td{text-align:left;vertical-align:top;padding:.2rem 1rem .2rem 0;overflow-wrap:anywhere}
th{color:var(--faint);font-weight:400;white-space:nowrap}
details{border-top:1px solid var(--rule)}
summary{cursor:pointer;padding:.3rem 0;font-variant-numeric:tabular-nums}
summary .n{display:inline-block;min-width:2.4rem;color:var(--faint)}
summary .t{display:inline-block;min-width:6rem;color:var(--faint)}
.body{padding:.2rem 0 .8rem 2.4rem}
.body:target{outline:2px solid var(--tls);outline-offset:4px}
pre{background:var(--box);padding:.8rem;overflow-x:auto;margin:.4rem 0;font:13px/1.45 ui-monospace,Menlo,Consolas,"DejaVu Sans Mono",monospace}
code{font-family:ui-monospace,Menlo,Consolas,"DejaVu Sans Mono",monospace}
@media print{details:not([open])>*{display:block}.picture{overflow:visible}}
`

// A page is HTML under construction.
type page struct{ out strings.Builder }

// printf writes markup; what comes from a flow is escaped by the caller.
func (p *page) printf(format string, a ...any) { fmt.Fprintf(&p.out, format, a...) }

func (p *page) flow(f *callflow.Flow, o Options) {
	picture := newPicture(f, o)
	picture.links = true
	p.printf("<article>\n")
	for i, h := range picture.Heading() {
		tag, class := "p", strings.TrimSpace(string(h.Kind)+" "+svgClasses[h.Style])
		if i == 0 {
			tag = "h1"
		}
		p.printf("<%s class=%q>%s</%s>\n", tag, class, escape(h.Text), tag)
	}
	picture.ladder()
	p.printf("<div class=\"picture\"><svg xmlns=\"http://www.w3.org/2000/svg\" class=\"flow\" width=\"%d\" height=\"%d\" viewBox=\"0 0 %d %d\">\n%s</svg></div>\n",
		picture.width, picture.y, picture.width, picture.y, picture.out.String())
	p.printf("<h2>Hops</h2>\n")
	for i := range f.Legs {
		p.hop(f, i)
	}
	if edges := Why(f); len(edges) > 0 {
		p.printf("<h2>Why these legs are one call</h2>\n<table>\n")
		for _, e := range edges {
			p.field(e.Legs, e.Evidence)
		}
		p.printf("</table>\n")
	}
	p.printf("<h2>Rows</h2>\n")
	shown := map[int]string{}
	for i := range picture.Rows {
		r := &picture.Rows[i]
		if r.Folded > 0 {
			shown[r.Number] = r.Words(Mark.String)
		}
	}
	for i := range f.Rows {
		p.row(f, &f.Rows[i], shown[f.Rows[i].Number])
	}
	p.printf("</article>\n")
}

// field is one line of a table; an empty text is none.
func (p *page) field(name, text string) {
	if text != "" {
		p.printf("<tr><th>%s</th><td>%s</td></tr>\n", escape(name), escape(text))
	}
}

// hop shows a leg with its connection and what both sides decided about it.
func (p *page) hop(f *callflow.Flow, leg int) {
	l := f.Legs[leg]
	p.printf("<table>\n")
	p.field("hop "+l.Name, map[callflow.Direction]string{callflow.In: "from ", callflow.Out: "to "}[l.Direction]+f.Lifelines[l.Lifeline].Name)
	p.field("Call-ID", l.CallID)
	if c := l.Hop.Link; c != nil {
		p.field("connection", fmt.Sprintf("#%d, %s, %s here, %s there", c.ID, c.Transport, or(address(c.Local), "no address"), or(address(c.Remote), "no address")))
		if r := l.Hop.Reused; r != nil {
			p.field("reused", fmt.Sprintf("another call had opened it %s before; call %d on it", callflow.Span(r.Age), r.Nth))
		}
		if t := c.TLS; t != nil {
			p.field("TLS", strings.Join(nonEmpty(t.Version, t.Suite, t.Group), ", "))
			p.field("certificates", map[bool]string{true: "of both sides", false: "not of both sides"}[t.Mutual])
			p.field("verified names", strings.Join(t.PeerNames, ", "))
		}
	}
	for i := range l.Hop.Verdicts {
		d := &l.Hop.Verdicts[i]
		who := f.Lifelines[l.Lifeline].Name
		if d.ByGateway {
			who = "the gateway"
		}
		text := VerdictWords(d)
		if d.Reason != "" && !d.Accepted && !d.Undecided {
			text += ": " + d.Reason
		}
		p.field("verdict by "+who, text)
		p.field("fix", d.Remedy)
	}
	p.printf("</table>\n")
}

// row shows one row whole. Going to its address opens it.
func (p *page) row(f *callflow.Flow, r *callflow.Row, folded string) {
	class := ""
	if r.Bad {
		class = " class=\"bad\""
	}
	way := f.Lifelines[r.From].Name
	if r.IsArrow() {
		way += " → " + f.Lifelines[r.To].Name
	}
	p.printf("<details><summary%s><span class=\"n\">%d</span> <span class=\"t\">%s</span> %s: %s</summary>\n<div class=\"body\" id=%q>\n<table>\n",
		class, r.Number, callflow.Span(r.Since), escape(way), escape(r.Label), escape(Address(f, r.Number)))
	p.field("address", Address(f, r.Number))
	p.field("at", r.At.UTC().Format(time.RFC3339Nano))
	p.field("drawn as", folded)
	p.field("note", r.Note)
	if s := r.Step; s != nil {
		p.step(s)
	}
	p.printf("</table>\n")
	if len(r.Raw) > 0 {
		p.printf("<pre>%s</pre>\n", escape(strings.ReplaceAll(string(r.Raw), "\r\n", "\n")))
	}
	p.printf("</div></details>\n")
}

// step shows what a handshake message says.
func (p *page) step(s *callflow.Step) {
	p.field("message", s.Name)
	if s.Encrypted {
		p.field("content", "encrypted, not read")
	}
	if s.Length > 0 {
		p.field("length", fmt.Sprintf("%d bytes", s.Length))
	}
	p.field("offers", strings.Join(s.Offered, ", "))
	p.field("version", s.Version)
	p.field("suite", s.Suite)
	p.field("group", s.Group)
	p.field("SNI", s.ServerName)
	if s.Alert.Name != "" {
		p.field("alert", fmt.Sprintf("%d %s", s.Alert.Code, s.Alert.Name))
	}
	if c := s.Certificate; c != nil {
		p.field("subject", or(c.Subject, "none"))
		p.field("names", strings.Join(c.Names, ", "))
		p.field("issuer", c.Issuer)
		if c.SelfSigned {
			p.field("signed", "by itself")
		}
		if !c.NotAfter.IsZero() {
			p.field("valid", c.NotBefore.UTC().Format(time.DateTime)+" to "+c.NotAfter.UTC().Format(time.DateTime)+" UTC")
		}
		if c.Chain > 0 {
			p.field("certificates", fmt.Sprintf("%d in the message", c.Chain))
		}
	}
}

func or(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

func nonEmpty(words ...string) (all []string) {
	for _, w := range words {
		if w != "" {
			all = append(all, w)
		}
	}
	return all
}
