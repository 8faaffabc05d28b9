package filter

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// The page has each key as it is, and its examples are filters.
func TestPage(t *testing.T) {
	b, err := os.ReadFile("../../docs/reference/filter.md")
	if err != nil {
		t.Fatal(err)
	}
	page := string(b)
	_, rows, _ := strings.Cut(page, "| key | values | flows | calls | handshakes | example | meaning |\n|---|---|---|---|---|---|---|\n")
	rows, _, _ = strings.Cut(rows, "\n\n")
	var want strings.Builder
	mark := map[bool]string{true: "x"}
	for i := range keys {
		k := &keys[i]
		fmt.Fprintf(&want, "| `%s` | %s | %s | %s | %s | `%s` | %s |\n", k.name, k.kind, mark[k.of(Flows)], mark[k.of(Calls)], mark[k.of(Handshakes)], k.example, k.about)
		if _, err := Parse(k.example, options(0)); err != nil {
			t.Errorf("%s: %v", k.example, err)
		}
	}
	if rows+"\n" != want.String() {
		t.Errorf("docs/reference/filter.md has other rows than the table; they are:\n%s", want.String())
	}
	for i := range keys {
		if k := &keys[i]; k.kind == enumerated && len(k.words()) < 20 && !strings.Contains(page, "`"+k.name+"`: `"+strings.Join(k.words(), "`, `")+"`") {
			t.Errorf("the page lacks: - `%s`: `%s`", k.name, strings.Join(k.words(), "`, `"))
		}
	}
	for name, key := range aliases {
		if !strings.Contains(page, "`"+name+"` for `"+key+"`") {
			t.Errorf("the page lacks `%s` for `%s`", name, key)
		}
	}
	for line := range strings.Lines(page) {
		if text, ok := strings.CutPrefix(line, "    "); ok {
			if _, err := Parse(strings.TrimSpace(text), Options{Now: now, Saved: map[string]string{"night": "since:22:00"}}); err != nil {
				t.Errorf("%s%v", line, err)
			}
		}
	}
}
