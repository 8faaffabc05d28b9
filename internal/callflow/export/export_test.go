package export

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/sallyport-sip/sallyport/internal/callflow"
)

// TestAnyPartOfAStory builds and draws what is left of each script when its beginning is gone, or any events are: a ring
// forgets, and a queue drops. Ladders stay within their width.
func TestAnyPartOfAStory(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatal(err)
	}
	random := rand.New(rand.NewPCG(1, 2))
	for _, file := range files {
		archive, err := txtar.ParseFile(file)
		if err != nil {
			t.Fatal(err)
		}
		all := parseScript(t, string(archive.Files[0].Data))
		for i := range all {
			draw(t, file, all[i:])
			draw(t, file, all[:i])
			var some []callflow.Event
			for _, e := range all {
				if random.IntN(3) > 0 {
					some = append(some, e)
				}
			}
			draw(t, file, some)
		}
	}
}

func draw(t *testing.T, file string, events []callflow.Event) {
	t.Helper()
	ids := map[string]bool{}
	for _, f := range (callflow.Builder{}).Build(events) {
		if ids[f.ID] || f.Sentence == "" || len(f.Rows) == 0 || len(f.Legs) == 0 {
			t.Errorf("%s: flow %q twice or empty: %+v", file, f.ID, f)
		}
		ids[f.ID] = true
		for _, o := range []Options{{}, {ASCII: true, Width: 60}, {FoldTLS: true, Width: 200}} {
			var b bytes.Buffer
			if err := Ladder(&b, f, o); err != nil {
				t.Fatal(err)
			}
			width := max(o.Width, 80)
			if o.Width == 60 {
				width = 60
			}
			for line := range strings.Lines(b.String()) {
				if n := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); n > width {
					t.Errorf("%s: %d columns, want at most %d: %s", file, n, width, line)
				}
				if o.ASCII && strings.IndexFunc(line, func(r rune) bool { return r > 0x7e }) >= 0 {
					t.Errorf("%s: not ASCII: %s", file, line)
				}
			}
		}
	}
}

// TestTextFromTheNetworkIsCleaned keeps a peer from writing to the terminal of who looks at its call.
func TestTextFromTheNetworkIsCleaned(t *testing.T) {
	t.Parallel()
	f := &callflow.Flow{
		ID: "1", Sentence: "Failed: \x1b[2Jphone answered 400 \u202eno\u0085", From: "a\r\nb", Start: time.Unix(0, 0),
		Lifelines: []callflow.Lifeline{{Name: "ph\x07one"}, {Name: "gateway", Gateway: true}},
		Legs:      []*callflow.Leg{{Name: "A"}},
		Rows: []callflow.Row{
			{Kind: callflow.RowSIP, To: 1, Label: "400 \x1b]0;x\x07", Note: "\x1b[31m"},
			{Kind: callflow.RowNote, Label: "\x9bnote\xff"},
		},
	}
	for _, o := range []Options{{}, {ASCII: true}} {
		var b bytes.Buffer
		if err := Text(&b, []*callflow.Flow{f}, o); err != nil {
			t.Fatal(err)
		}
		if s := b.String(); !utf8.ValidString(s) || strings.ContainsAny(s, "\x1b\x07\r\u0085\u009b\u202e") {
			t.Errorf("got %q", s)
		}
	}
}

func TestLookup(t *testing.T) {
	t.Parallel()
	for _, f := range Formats() {
		got, err := Lookup(f.Name)
		if err != nil || got.Name != f.Name || got.Write == nil {
			t.Errorf("%s: %v", f.Name, err)
		}
	}
	if _, err := Lookup("svgg"); err == nil || !strings.Contains(err.Error(), "text, json, svg, html, plantuml, mermaid, pcapng") {
		t.Errorf("got %v, want the names that exist", err)
	}
}

type broken struct{}

var errBroken = errors.New("broken pipe")

func (broken) Write([]byte) (int, error) { return 0, errBroken }

func TestErrorsOfTheWriterAreReturned(t *testing.T) {
	t.Parallel()
	f := &callflow.Flow{Lifelines: []callflow.Lifeline{{}}}
	for _, format := range Formats() {
		if err := format.Write(broken{}, []*callflow.Flow{f, f}, Options{}); !errors.Is(err, errBroken) {
			t.Errorf("%s: got %v", format.Name, err)
		}
	}
}
