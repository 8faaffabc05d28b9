package cli

import (
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// pages are those whose keys, commands and tests are checked. True: each row of its tables about another product must
// name a test.
var pages = map[string]bool{"from-an-img-2020.md": true, "certificates.md": false}

var (
	ticked   = regexp.MustCompile("`([^`\n]+)`")
	keyPath  = regexp.MustCompile(`^(listeners|identities|trust|policies|profiles|peers|defaults|limits|resolver|admin)\.[a-zA-Z_.]+$`)
	testName = regexp.MustCompile(`^Test[A-Z][A-Za-z0-9]*$`)
	shell    = regexp.MustCompile("(?s)```sh\n(.*?)```")
)

// Every key, command and test that a page names exists.
func TestPagesNameWhatExists(t *testing.T) {
	t.Parallel()
	keys, err := os.ReadFile("../../docs/reference/config.md")
	if err != nil {
		t.Fatal(err)
	}
	tests := testNames(t)
	for page, rows := range pages {
		text, err := os.ReadFile(filepath.Join("../../docs/howto", page))
		if err != nil {
			t.Fatal(err)
		}
		named := map[string]int{}
		for _, block := range shell.FindAllStringSubmatch(string(text), -1) {
			for line := range strings.Lines(strings.ReplaceAll(block[1], "\\\n", " ")) {
				named["command"]++
				wantsCommand(t, page, strings.TrimSpace(line))
			}
		}
		for _, m := range ticked.FindAllStringSubmatch(string(text), -1) {
			switch {
			case strings.HasPrefix(m[1], "sallyport ") && !strings.HasSuffix(m[1], "…"):
				named["command"]++
				wantsCommand(t, page, m[1])
			case keyPath.MatchString(m[1]):
				named["key"]++
				if !strings.Contains(string(keys), "### `"+m[1]+"`\n") {
					t.Errorf("%s: there is no key %s", page, m[1])
				}
			case testName.MatchString(m[1]):
				named["test"]++
				if !tests[m[1]] {
					t.Errorf("%s: there is no %s", page, m[1])
				}
			}
		}
		if named["command"] < 10 || rows && (named["key"] < 20 || named["test"] < 20) {
			t.Errorf("%s: only %v were found in it", page, named)
		}
		if rows {
			wantsWholeRows(t, page, string(text))
		}
	}
}

// wantsWholeRows wants of each statement a key or a sentence, a command and a test.
func wantsWholeRows(t *testing.T, page, text string) {
	t.Helper()
	for line := range strings.Lines(text) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		if !strings.HasPrefix(line, "|") || len(cells) != 4 || strings.HasPrefix(line, "| the IMG") || strings.HasPrefix(line, "|---") {
			continue
		}
		for i, want := range []string{"", "", "`sallyport ", "`Test"} {
			if strings.TrimSpace(cells[i]) == "" || !strings.Contains(cells[i], want) {
				t.Errorf("%s: no %q in cell %d of %s", page, want, i+1, line)
			}
		}
	}
}

// What is not known about the IMG is never told as known.
func TestPageOfTheIMGTellsNoGuesses(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../docs/howto/from-an-img-2020.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, guess := range []string{"TLS_RSA", "AES_128_CBC_SHA", "3DES", "AES128-SHA", "DES-CBC3"} {
		if strings.Contains(string(text), guess) {
			t.Errorf("%q is a guess about the two suites of the IMG", guess)
		}
	}
	if flat := strings.Join(strings.Fields(string(text)), " "); !strings.Contains(flat, "**not known** to us") ||
		!strings.Contains(flat, "which two cipher suites it has, and the default names of its three PEM files") {
		t.Error("the page does not say what is not known")
	}
}

// wantsCommand parses a line as the program would, up to where it would begin to work.
func wantsCommand(t *testing.T, page, line string) {
	t.Helper()
	words := strings.Fields(strings.ReplaceAll(line, `"`, ""))
	if len(words) < 2 || words[0] != "sallyport" {
		t.Errorf("%s: %q is no command of ours", page, line)
		return
	}
	a := &app{stdin: strings.NewReader(""), stdout: io.Discard, stderr: io.Discard, getenv: func(string) string { return "" }}
	root := a.root()
	c, rest, err := root.Find(words[1:])
	if err == nil && (c == root || c.HasSubCommands()) && len(rest) > 0 {
		err = unknownCommand(c, rest[0])
	}
	if err == nil {
		c.InitDefaultHelpFlag()
		err = c.ParseFlags(rest)
	}
	if err == nil && len(rest) > 0 && c.Args != nil && !strings.Contains(line, "\"") {
		err = c.Args(c, c.Flags().Args())
	}
	if err != nil {
		t.Errorf("%s: %s: %v", page, line, err)
	}
}

// testNames are those of the whole module, as they stand in its files.
func testNames(t *testing.T) map[string]bool {
	t.Helper()
	function := regexp.MustCompile(`(?m)^func (Test[A-Za-z0-9_]+)\(t \*testing\.T\)`)
	all := map[string]bool{}
	err := filepath.WalkDir("../..", func(path string, d fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		text, err := os.ReadFile(path)
		for _, m := range function.FindAllSubmatch(text, -1) {
			all[string(m[1])] = true
		}
		return err
	})
	if err != nil || len(all) < 100 {
		t.Fatalf("%d tests found: %v", len(all), err)
	}
	return all
}
