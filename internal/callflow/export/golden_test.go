package export

import (
	"bytes"
	"flag"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/sallyport-sip/sallyport/internal/callflow"
)

var update = flag.Bool("update", false, "rewrite the goldens")

// formatOf are the sections that are a whole document.
var formatOf = map[string]func(io.Writer, []*callflow.Flow, Options) error{
	"flow.json": JSON, "picture.svg": SVG, "page.html": HTML, "flow.puml": PlantUML, "flow.mmd": Mermaid,
}

// scripts are the files of all scripts: of testdata, which others draw too, and of testdata/rules.
func scripts(t testing.TB) []string {
	t.Helper()
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) < 10 {
		t.Fatalf("scripts: got %d files, %v", len(files), err)
	}
	rules, err := filepath.Glob("testdata/rules/*.txtar")
	if err != nil || len(rules) == 0 {
		t.Fatalf("scripts of rules: got %d files, %v", len(rules), err)
	}
	return append(files, rules...)
}

// TestGoldens draws each script of testdata in every way. The first file of an archive is the script, the others are
// what is wanted of it; a missing one is not compared.
func TestGoldens(t *testing.T) {
	t.Parallel()
	draw := map[string]Options{
		"ladder.txt": {},
		"wide.txt":   {Width: 130},
		"ascii.txt":  {ASCII: true},
		"folded.txt": {FoldTLS: true},
		"colour.txt": {Colour: true, FoldTLS: true},
	}
	files := scripts(t)
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			archive, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			flows := callflow.Builder{}.Build(parseScript(t, string(archive.Files[0].Data)))
			compared := 0
			for i := range archive.Files[1:] {
				want := &archive.Files[1+i]
				var got bytes.Buffer
				if format, whole := formatOf[want.Name]; whole {
					err = format(&got, flows, Options{FoldTLS: want.Name != "flow.json"})
				} else if o, ok := draw[want.Name]; ok {
					err = Text(&got, flows, o)
				} else {
					t.Fatalf("no way of drawing %q", want.Name)
				}
				if err != nil {
					t.Fatal(err)
				}
				compared++
				switch {
				case *update:
					want.Data = got.Bytes()
				case !bytes.Equal(got.Bytes(), want.Data):
					t.Errorf("%s: got\n%s\nwant\n%s", want.Name, got.Bytes(), want.Data)
				}
			}
			if compared == 0 {
				t.Error("nothing was compared")
			}
			if *update {
				if err := os.WriteFile(file, txtar.Format(archive), 0o644); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}
