package export

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/sallyport-sip/sallyport/internal/callflow"
)

// TestDrawingSaysWhatTheLadderSays compares the two, and wants each row's lines together and in order.
func TestDrawingSaysWhatTheLadderSays(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) < 10 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		archive, err := txtar.ParseFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range (callflow.Builder{}).Build(parseScript(t, string(archive.Files[0].Data))) {
			for _, o := range []Options{{}, {Width: 130}, {ASCII: true, FoldTLS: true}} {
				var want bytes.Buffer
				if err := Ladder(&want, f, o); err != nil {
					t.Fatal(err)
				}
				d := Draw(f, o)
				var got strings.Builder
				last := 0
				for _, part := range [][]Line{d.Heading, d.Lifelines, d.Rows} {
					for i := range part {
						got.WriteString(part[i].text(false) + "\n")
					}
				}
				for _, line := range d.Rows {
					if line.Row < last || line.Row < 1 || line.Row > len(f.Rows) {
						t.Errorf("%s: row %d after %d", file, line.Row, last)
					}
					last = line.Row
				}
				if got.String() != want.String() {
					t.Errorf("%s: got\n%s\nwant\n%s", file, got.String(), want.String())
				}
			}
		}
	}
}

// TestWideCharactersKeepTheColumns: a name in characters of two columns, or with marks over its letters, moves no lifeline.
func TestWideCharactersKeepTheColumns(t *testing.T) {
	t.Parallel()
	f := &callflow.Flow{
		ID: "1", Sentence: "Answered", Start: time.Unix(0, 0),
		Lifelines: []callflow.Lifeline{{Name: "電話機"}, {Name: "gateway", Gateway: true}, {Name: "e\u0301t\u0301e\u0301"}},
		Legs:      []*callflow.Leg{{Name: "A"}},
		Rows: []callflow.Row{
			{Number: 1, Kind: callflow.RowSIP, To: 1, Label: "INVITE 日本語日本語日本語日本語日本語"},
			{Number: 2, Kind: callflow.RowNote, From: 1, To: 1, Label: strings.Repeat("長い文章", 30)},
			{Number: 3, Kind: callflow.RowSIP, From: 1, To: 2, Label: "👨‍👩‍👧 🇩🇪 👍🏽"},
		},
	}
	d := Draw(f, Options{})
	for _, part := range [][]Line{d.Lifelines, d.Rows} {
		for _, line := range part {
			text := line.text(false)
			if n := Width(text); n > 80 {
				t.Errorf("%d columns: %s", n, text)
			}
			for i, r := range line.Cells {
				if (r == after) != (i > 0 && line.Cells[i-1] != after && Columns(line.Cells[i-1]) == 2) {
					t.Errorf("cell %d is not whole in %q", i, text)
				}
			}
		}
	}
	for _, i := range []int{0, len(d.Rows) - 1} {
		for _, at := range d.Columns {
			if d.Rows[i].Cells[at] != '│' {
				t.Errorf("no lifeline in column %d of %q", at, d.Rows[i].text(false))
			}
		}
	}
}

// TestTimesAndOpenHops draws one flow by each of Times, and with hops folded and unfolded one by one.
func TestTimesAndOpenHops(t *testing.T) {
	t.Parallel()
	archive, err := txtar.ParseFile("testdata/answered-tls13.txtar")
	if err != nil {
		t.Fatal(err)
	}
	f := callflow.Builder{}.Build(parseScript(t, string(archive.Files[0].Data)))[0]
	text := func(o Options) string {
		var b bytes.Buffer
		if err := Ladder(&b, f, o); err != nil {
			t.Fatal(err)
		}
		return b.String()
	}
	for times, want := range map[Times]string{
		TimesDelta:  "\n+2.4s         │                            │<────── 200 OK (SDP) ",
		TimesOfDay:  "\n20:05:26.029  │                            │<────── 200 OK (SDP) ",
		TimesSince:  "\n 2.4s         │                            │<────── 200 OK (SDP) ",
		TimesScaled: "\n              │                            │                            │\n+2.4s         │                            │<────── 200 OK (SDP) ",
	} {
		if got := text(Options{Times: times, FoldTLS: true}); !strings.Contains(got, want) {
			t.Errorf("times %d: no %s in\n%s", times, want, got)
		}
	}
	count := func(o Options) int { return strings.Count(text(o), "ClientHello") }
	for _, tt := range []struct {
		o    Options
		want int
	}{
		{Options{}, 2}, {Options{FoldTLS: true}, 0}, {Options{FoldTLS: true, Open: map[int]bool{1: true}}, 1},
		{Options{Open: map[int]bool{0: false}}, 1},
	} {
		if got := count(tt.o); got != tt.want {
			t.Errorf("%+v: %d handshakes are open, want %d", tt.o, got, tt.want)
		}
	}
}
