package export

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"html"
	"io"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-sip/sallyport/internal/callflow"
)

// written is what a format makes of flows.
func written(t testing.TB, format string, flows []*callflow.Flow, o Options) string {
	t.Helper()
	f, err := Lookup(format)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := f.Write(&b, flows, o); err != nil {
		t.Fatal(format, err)
	}
	return b.String()
}

var (
	umlNumber     = regexp.MustCompile(`<U\+([0-9A-F]{4,6})>`)
	mermaidNumber = regexp.MustCompile(`#([0-9]+);`)
	blanks        = regexp.MustCompile(`\s+`)
)

// numbers turns what pattern finds back into the characters that it stands for.
func numbers(pattern *regexp.Regexp, base int, s string) string {
	return pattern.ReplaceAllStringFunc(s, func(found string) string {
		n, err := strconv.ParseInt(pattern.FindStringSubmatch(found)[1], base, 32)
		if err != nil {
			return "?"
		}
		return string(rune(n))
	})
}

// plainWords is what a reader of a rendered format sees, in its order.
var plainWords = map[string]func(string) string{
	"text": func(s string) string { return s },
	"svg":  html.UnescapeString,
	"html": html.UnescapeString,
	"plantuml": func(s string) string {
		s = strings.ReplaceAll(s, `\\`, "\x00")
		s = strings.ReplaceAll(s, `\n`, " ")
		return numbers(umlNumber, 16, strings.ReplaceAll(s, "\x00", `\`))
	},
	"mermaid": func(s string) string { return numbers(mermaidNumber, 10, strings.ReplaceAll(s, "<br/>", " ")) },
}

// TestAllFormatsSayTheSame wants each row of the view in each format, in order and in the same words, and the sentence
// before them.
func TestAllFormatsSayTheSame(t *testing.T) {
	t.Parallel()
	for file, flows := range scripted(t) {
		for _, f := range flows {
			for _, o := range []Options{{}, {FoldTLS: true}} {
				v := NewView(f, o)
				for format, plain := range plainWords {
					rest := blanks.ReplaceAllString(plain(written(t, format, []*callflow.Flow{f}, o)), " ")
					look := []string{"call " + f.ID + ": " + f.Sentence[:20]}
					for i := range v.Rows {
						look = append(look, certain(format, &v.Rows[i]))
					}
					for _, words := range look {
						_, after, ok := strings.Cut(rest, blanks.ReplaceAllString(words, " "))
						if !ok {
							t.Errorf("%s, call %s as %s, fold %v: no %q in the rest, %.300s", file, f.ID, format, o.FoldTLS, words, rest)
							break
						}
						rest = after
					}
				}
			}
		}
	}
}

// certain are the words of a row that a format certainly has: in text a label is cut where an arrow is short.
func certain(format string, r *ViewRow) string {
	if format != "text" {
		return r.Label
	}
	return head(r.Label, 8)
}

// TestAddressesOfRows wants each row of the view under its address in the picture, and each row of the flow in the page.
func TestAddressesOfRows(t *testing.T) {
	t.Parallel()
	id := regexp.MustCompile(`(id|href)="#?(call/[^"]*)"`)
	f := scripted(t)["answered-tls13.txtar"][0]
	o := Options{FoldTLS: true}
	var shown, all []string
	for _, r := range NewView(f, o).Rows {
		shown = append(shown, Address(f, r.Number))
	}
	for _, r := range f.Rows {
		all = append(all, Address(f, r.Number))
	}
	found := func(format, which string) (list []string) {
		for _, m := range id.FindAllStringSubmatch(written(t, format, []*callflow.Flow{f}, o), -1) {
			if m[1] == which {
				list = append(list, m[2])
			}
		}
		return list
	}
	if got := found("svg", "id"); !slices.Equal(got, shown) {
		t.Errorf("the picture has %q, want %q", got, shown)
	}
	if got := found("html", "href"); !slices.Equal(got, shown) {
		t.Errorf("the picture of the page leads to %q, want %q", got, shown)
	}
	if got := found("html", "id"); !slices.Equal(got, all) {
		t.Errorf("the page has %q, want %q", got, all)
	}
	if shown[1] != "call/41/row/13" {
		t.Errorf("the INVITE is %s", shown[1])
	}
}

// hostile is a flow that has a text from the network wherever one may stand.
func hostile(s string) *callflow.Flow {
	raw := []byte("INVITE sip:" + s + " SIP/2.0\r\nSubject: " + s + "\r\n\r\n" + s)
	cert := &callflow.Certificate{Subject: s, Issuer: s, Names: []string{s}, NotAfter: time.Unix(1, 0), Chain: 1}
	step := &callflow.Step{Name: "Certificate", ServerName: s, Offered: []string{s}, Suite: s, Note: s, Certificate: cert, Alert: callflow.Alert{Name: s}}
	at := time.Unix(1e9, 0)
	return &callflow.Flow{
		ID: s, State: callflow.State(s), Sentence: s, From: s, To: s, Start: at, Joins: []callflow.Edge{{A: s, B: s, Evidence: s, Words: s}}, Session: s,
		Security: &callflow.Security{Word: s, Why: s, Claims: []string{s}, Hops: []callflow.HopSecurity{{Peer: s, Transport: s}}},
		Findings: []callflow.Finding{{Code: s, Severity: callflow.Severity(s), Sentence: s, Rows: []int{1}, Remedy: s, Reference: s}},
		Related:  []callflow.Relation{{Kind: s, Flow: s, Row: 1}},
		Legs: []*callflow.Leg{{Name: s, Peer: s, CallID: s, Direction: callflow.In, Hop: callflow.Hop{
			Link: &callflow.Link{ID: 1, Inbound: true, Transport: s, Listener: s, Peer: s, Remote: netip.MustParseAddrPort("[2001:db8::1]:5061"),
				TLS: &callflow.TLS{Version: s, Suite: s, Group: s, PeerNames: []string{s}}},
			Handshake: []callflow.HopStep{{Step: step}},
			Verdicts:  []callflow.Verdict{{Reason: s, KnownBy: s, Remedy: s}, {ByGateway: true, Accepted: true, Reason: s, KnownBy: s}},
		}}},
		Lifelines: []callflow.Lifeline{{Name: s, Address: s}, {Name: "gateway", Gateway: true}},
		Rows: []callflow.Row{
			{Number: 1, At: at, Kind: callflow.RowTCP, To: 1, Label: s, Note: s, Leg: 0},
			{Number: 2, At: at, Kind: callflow.RowTLS, To: 1, Label: s, Note: s, Leg: 0, Step: step},
			{Number: 3, At: at, Kind: callflow.RowSummary, Label: s, Note: s, Leg: 0},
			{Number: 4, At: at, Since: 3 * time.Second, Kind: callflow.RowSIP, From: 1, Label: s, Note: s, Leg: 0, Raw: raw},
			{Number: 5, At: at, Since: 3 * time.Second, Kind: callflow.RowKind(s), Label: s, Note: s, Leg: -1, Bad: true},
		},
	}
}

// attacks are texts that would do something in one of the formats.
var attacks = []string{
	"<script>alert(1)</script>", `" onload="alert(1)`, "' onclick='alert(1)", "</title></style></text></svg><img src=x onerror=alert(1)>",
	"]]><!--", "-->", "&lt;b&gt; &amp; &#60;i&#62;", "javascript:alert(1)", "url(http://evil.example/x)", "@import 'http://evil.example'",
	"\n@enduml\n@startuml\n!include /etc/passwd\n", "%getenv(\"HOME\")", "%load_json(\"/etc/passwd\")", "$x", "!include http://evil.example",
	"[[http://evil.example link]]", "<img:http://evil.example/x.png>", "<&people>", "**b** //i// __u__ --s-- \"\"m\"\" ~~w~~", "/' comment '/", "' comment",
	`back\slash \n \t \\n`, "\"quoted\" as p1", "end", "End\nend", "wrap: x", "nowrap:y", "%% comment", "%%{init: {'securityLevel':'loose'}}%%",
	"a; p1->>p2: b", "#quot;#59;", "#9829;", "`code`", "$$x^2$$", "p1->>p2: x\nNote over p1: y", "click p1 href", "<br/>", "\x1b[2J\x00\x07\u202e\u2028\u200b\ufffe\uffff\xff",
	"{}{}|||", "====", "...", "...5 minutes...", "== x ==", "--", "->x", strings.Repeat("long ", 400), strings.Repeat("x", 5000), "", " ", ":", "電話機 e\u0301",
	"@{ \"type\": \"database\" }", "end note", "endlegend", "|| x ||", "* item", "# item", "----", "<U+0041>", "#65;",
}

// TestTextFromTheNetworkStaysText has a text of each kind wherever a flow may have one. No format takes it for anything else.
func TestTextFromTheNetworkStaysText(t *testing.T) {
	t.Parallel()
	for _, s := range attacks {
		checkHostile(t, s)
	}
}

// FuzzFormats looks for texts that one of the formats takes for more than text.
func FuzzFormats(f *testing.F) {
	for _, s := range attacks {
		if len(s) < 200 {
			f.Add(s)
		}
	}
	f.Fuzz(func(t *testing.T, s string) { checkHostile(t, s) })
}

func checkHostile(t testing.TB, s string) {
	t.Helper()
	flow := hostile(s)
	for _, o := range []Options{{}, {FoldTLS: true}} {
		flows := []*callflow.Flow{flow}
		checkMarkup(t, s, written(t, "svg", flows, o), "svg title style rect g text path")
		page := written(t, "html", flows, o)
		_, page, _ = strings.Cut(page, "\n") // the document type
		checkMarkup(t, s, page, "html head meta title style body main article h1 h2 p div svg g text path rect a table tr th td details summary span pre")
		checkLines(t, s, umlLines, written(t, "plantuml", flows, o))
		checkLines(t, s, mermaidLines, written(t, "mermaid", flows, o))
	}
}

// checkMarkup wants well-formed markup of the elements that the format writes, no handler, and no reference to anything but
// rows of the same page.
func checkMarkup(t testing.TB, s, text, elements string) {
	t.Helper()
	d := xml.NewDecoder(strings.NewReader(text))
	d.AutoClose, d.Strict = []string{"meta"}, true
	d.Strict = strings.HasPrefix(text, "<svg")
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatalf("%q: %v in\n%s", s, err, text)
		}
		switch e := token.(type) {
		case xml.StartElement:
			if !slices.Contains(strings.Fields(elements), e.Name.Local) {
				t.Fatalf("%q: there is an element %s", s, e.Name.Local)
			}
			for _, a := range e.Attr {
				switch name := a.Name.Local; {
				case name == "href" && !strings.HasPrefix(a.Value, "#call/"), name == "src", name == "style", strings.HasPrefix(name, "on"):
					t.Fatalf("%q: <%s %s=%q>", s, e.Name.Local, name, a.Value)
				}
			}
		case xml.Comment, xml.Directive, xml.ProcInst:
			t.Fatalf("%q: %T", s, token)
		}
	}
}

// What a line may be. T is text in which nothing means anything.
var (
	umlLines = lineForms(`(?:[^<%$~\[\]{}|&"`+"`"+`^!\\]|<U\+[0-9A-F]{4,6}>|\\\\|\\n)*`, []string{
		"@startuml", "@enduml", "hide footbox", "autonumber( [0-9]+)?", "title T", `participant "T" as p[0-9]+`, "== TLS hop T ==",
		"group TLS hop T", "end", `\.\.\.[0-9.hms]+\.\.\.`, "note over p[0-9]+ : T", "note right : T",
		`p[0-9]+ (->|-->|-\[#[0-9a-f]{6}\]>x?) p[0-9]+ : T`,
	})
	mermaidLines = lineForms(`(?:[^#;%<&"`+"`"+`\\${}]|#[0-9]+;|<br/>)*`, []string{
		"sequenceDiagram", "autonumber( [0-9]+)?", `box rgba\(100, 116, 139, 0.12\)`, "participant p[0-9]+ as T", "end",
		`rect rgba\(15, 118, 110, 0.12\)`, "Note over p[0-9]+(,p[0-9]+)?: T", "Note right of p[0-9]+: T", "p[0-9]+(->>|-->>|-x)p[0-9]+: T",
	})
)

func lineForms(text string, forms []string) *regexp.Regexp {
	return regexp.MustCompile(`^ *(?:` + strings.ReplaceAll(strings.Join(forms, "|"), "T", text) + `)$`)
}

func checkLines(t testing.TB, s string, forms *regexp.Regexp, text string) {
	t.Helper()
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		if !forms.MatchString(line) {
			t.Fatalf("%q: a line is %q", s, line)
		}
		_, said, ok := strings.Cut(line, ": ")
		if !ok {
			_, said, _ = strings.Cut(line, " as ")
		}
		for part := range strings.SplitSeq(said, "<br/>") {
			if m := mermaidKeyword.FindString(part); m != "" && forms == mermaidLines {
				t.Fatalf("%q: the word %q in %q", s, m, line)
			}
		}
	}
}

// TestMermaidDrawsNoMoreThanRenderersDo wants a long flow cut, and the number of the rows that are left out.
func TestMermaidDrawsNoMoreThanRenderersDo(t *testing.T) {
	t.Parallel()
	for _, label := range []string{"INFO", strings.Repeat("INFO ", 200)} {
		f := forked(1)
		for i := range 1000 {
			f.Rows = append(f.Rows, callflow.Row{Number: 3 + i, Kind: callflow.RowSIP, From: 0, To: 1, Label: label})
		}
		text := written(t, "mermaid", []*callflow.Flow{f}, Options{})
		arrows := strings.Count(text, "->>")
		if len(text) > 50000 || !strings.Contains(text, fmt.Sprintf("%d more rows, from row %d on, are left out", len(f.Rows)-arrows, arrows+1)) {
			t.Errorf("%d characters with %d arrows, which end with %s", len(text), arrows, text[len(text)-200:])
		}
	}
}

// TestThePageNeedsNothing wants no address of anything outside, and a policy that allows only its own style.
func TestThePageNeedsNothing(t *testing.T) {
	t.Parallel()
	page := written(t, "html", scripted(t)["failed-hop-b.txtar"], Options{})
	for _, never := range []string{"<script", "<link", "<img", "src=", "@import", "url(", "javascript:", " style="} {
		if strings.Contains(page, never) {
			t.Errorf("the page has %s", never)
		}
	}
	if outside := regexp.MustCompile(`https?://[^"]*`).FindAllString(page, -1); len(slices.Compact(outside)) != 1 || outside[0] != "http://www.w3.org/2000/svg" {
		t.Errorf("the page names %q", outside)
	}
	for _, want := range []string{"default-src 'none'; style-src 'sha256-", "CN=Trunk CA 4", "Call-ID: a1", "refused, own decision", "trunk-1 must renew it"} {
		if !strings.Contains(html.UnescapeString(page), want) {
			t.Errorf("the page has no %s", want)
		}
	}
}

// TestPicturesOfNothing wants a document of each format also for no calls.
func TestPicturesOfNothing(t *testing.T) {
	t.Parallel()
	for _, format := range []string{"svg", "html", "plantuml", "mermaid"} {
		if got := strings.ToLower(written(t, format, nil, Options{})); !strings.Contains(got, "no calls") {
			t.Errorf("%s: %s", format, got)
		}
	}
}

// TestDiagramsSayHowLongAPauseWas wants the length of a pause between two rows, whatever time a ladder has at its left.
func TestDiagramsSayHowLongAPauseWas(t *testing.T) {
	t.Parallel()
	f := hostile("x")
	f.Rows = []callflow.Row{
		{Number: 1, Kind: callflow.RowSIP, To: 1, Leg: -1, Label: "INVITE"},
		{Number: 2, Kind: callflow.RowSIP, To: 1, Leg: -1, Label: "PRACK", Since: 3 * time.Second},
		{Number: 3, Kind: callflow.RowSIP, To: 1, Leg: -1, Label: "BYE", Since: 7 * time.Second},
	}
	for times := range Times(len(timesNames)) {
		for format, want := range map[string]string{"plantuml": "\n...4.0s...\n", "mermaid": ": 4.0s later\n"} {
			if got := written(t, format, []*callflow.Flow{f}, Options{Times: times}); !strings.Contains(got, want) {
				t.Errorf("%s, times %s: no %q in %s", format, timesNames[times], want, got)
			}
		}
	}
}
