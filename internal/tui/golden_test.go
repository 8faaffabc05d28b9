package tui

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/sallyport-sip/sallyport/internal/callflow"
	"github.com/sallyport-sip/sallyport/internal/callflow/export"
)

// TestGoldens presses the keys of each script of testdata and compares the pictures. The first file of an archive is the script:
// "size 80x24", "ascii", "file" for a file of flows in place of a gateway, "flows NAME…" of the export package's goldens, "key
// KEY…", and "shot NAME" for a picture that is wanted.
func TestGoldens(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) < 8 {
		t.Fatalf("%d goldens: %v", len(files), err)
	}
	for _, name := range files {
		t.Run(filepath.Base(name), func(t *testing.T) {
			t.Parallel()
			archive, err := txtar.ParseFile(name)
			if err != nil {
				t.Fatal(err)
			}
			got := &txtar.Archive{Comment: archive.Comment, Files: archive.Files[:1:1]}
			play(t, string(archive.Files[0].Data), func(shot, text string) {
				got.Files = append(got.Files, txtar.File{Name: shot, Data: []byte(text)})
			})
			if len(got.Files) < 2 {
				t.Fatal("no picture was taken")
			}
			if *update {
				if err := os.WriteFile(name, txtar.Format(got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if len(got.Files) != len(archive.Files) {
				t.Fatalf("%d pictures, want %d", len(got.Files)-1, len(archive.Files)-1)
			}
			for i, want := range archive.Files {
				if one := got.Files[i]; one.Name != want.Name || !bytes.Equal(one.Data, want.Data) {
					t.Errorf("%s: got\n%s\nwant %s\n%s", one.Name, one.Data, want.Name, want.Data)
				}
			}
		})
	}
}

// play plays one script.
func play(t *testing.T, script string, shot func(name, text string)) {
	t.Helper()
	width, height, o := 80, 24, Options{Live: true, Name: "gateway"}
	var flows []*callflow.Flow
	var s *stage
	for line := range strings.Lines(script) {
		words := strings.Fields(line)
		if len(words) == 0 || strings.HasPrefix(line, "#") {
			continue
		}
		if s == nil && words[0] != "size" && words[0] != "ascii" && words[0] != "file" && words[0] != "flows" {
			if flows == nil {
				flows = fixtures(t)
			}
			s = raise(t, width, height, o, flows)
		}
		switch words[0] {
		case "size":
			w, h, _ := strings.Cut(words[1], "x")
			width, _ = strconv.Atoi(w)
			height, _ = strconv.Atoi(h)
		case "ascii":
			o.ASCII = true
		case "file":
			o.Live, o.Name = false, words[1]
		case "flows":
			for _, name := range words[1:] {
				flows = append(flows, fixture(t, name)...)
			}
		case "key":
			for _, k := range words[1:] {
				s.press(k)
				s.serve(flows)
			}
		case "lost":
			s.tell(linkMsg{err: errSilence, again: 4e9})
		case "shot":
			wellMade(t, s)
			shot(words[1], s.text())
		default:
			t.Fatalf("no %q", words[0])
		}
	}
}

func raise(t *testing.T, width, height int, o Options, flows []*callflow.Flow) *stage {
	if o.Live {
		s := live(t, width, height, flows)
		s.ascii = o.ASCII
		return s
	}
	s := newStage(t, width, height, o)
	s.tell(flowsMsg{reset: true, changed: summaries(flows)})
	return s
}

// wellMade holds every picture to its size, to whole characters, and with ascii to US-ASCII.
func wellMade(t *testing.T, s *stage) {
	t.Helper()
	lines := strings.Split(strings.TrimSuffix(s.text(), "\n"), "\n")
	if len(lines) != s.height {
		t.Errorf("%d lines, want %d", len(lines), s.height)
	}
	for _, line := range lines {
		if n := export.Width(line); n > s.width {
			t.Errorf("%d columns, want at most %d: %s", n, s.width, line)
		}
		for _, r := range line {
			if s.ascii && r > 0x7e || r < 0x20 {
				t.Errorf("%q in %s", r, line)
			}
		}
	}
}
