package main

import (
	"bytes"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

func TestCites(t *testing.T) {
	const text = `// Package x follows RFC 3261 §17.1 and, in part,
// RFC 6026 §7.1, §7.2.
package x

// See §8.1.
var a = "RFC 5922 §7.2: names"

/* RFC 8866
   §5.14 */
var b = 1 // RFC 3261 §A: the timers; no section of RFC 4028
// and §10 of it, by RFC
// 3261 §9.
`
	got := citesOf("x.go", []byte(text))
	want := []cite{
		{3261, "17.1", "x.go:1"}, {6026, "7.1", "x.go:2"}, {6026, "7.2", "x.go:2"},
		{5922, "7.2", "x.go:6"}, {0, "8.1", "x.go:5"}, {8866, "5.14", "x.go:9"},
		{3261, "A", "x.go:10"}, {4028, "10", "x.go:11"}, {3261, "9", "x.go:12"},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
}

func TestProblem(t *testing.T) {
	ix, err := parseIndex("# comment\n3261 17.1 Client Transaction\n")
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		c    cite
		want string
	}{
		{cite{3261, "17.1", ""}, ""},
		{cite{3261, "17.9", ""}, "RFC 3261 has no §17.9"},
		{cite{0, "17.1", ""}, "§17.1 names no RFC"},
		{cite{8446, "99", ""}, ""}, // not in the index: unverified
	} {
		if got := ix.problem(tt.c); got != tt.want {
			t.Errorf("%v: got %q, want %q", tt.c, got, tt.want)
		}
	}
}

func TestParseIndexErrors(t *testing.T) {
	for _, text := range []string{"3261 17.1", "SIP 17.1 Client Transaction", "3261 1 Introduction\n3261 1 Introduction"} {
		if _, err := parseIndex(text); err == nil {
			t.Errorf("no error for %q", text)
		}
	}
}

func TestHeadings(t *testing.T) {
	const text = `
   1. Introduction .......... 1
1.  Introduction
   2.  a numbered list
7.  Not the next
1.1  Scope of
2 Behaviour
2.1 Client
2.1.1 Request
3. Security
Appendix A.  Timers
A.1.  Values
B - Grammar
`
	got := headings([]byte(text))
	want := []heading{
		{"1", "Introduction"}, {"1.1", "Scope of"}, {"2", "Behaviour"}, {"2.1", "Client"}, {"2.1.1", "Request"},
		{"3", "Security"}, {"A", "Timers"}, {"A.1", "Values"}, {"B", "Grammar"},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
}

func TestRun(t *testing.T) {
	root := t.TempDir()
	put := func(name, text string) {
		t.Helper()
		name = filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	put("rfc/index.txt", "3261 9.1 Client Behavior\n3261 9.2 Server Behavior\n3261 9.10 Other\n")
	put("sip/cancel.go", "package sip\n\n// RFC 3261 §9.10, §9.2 and RFC 8446 §4.\n")
	put("docs/reference/rfc.md", "")
	var out bytes.Buffer
	if err := run(&out, root, false); err == nil || !strings.Contains(err.Error(), "out of date") {
		t.Errorf("stale page: %v", err)
	}
	if err := run(&out, root, true); err != nil {
		t.Fatal(err)
	}
	if err := run(&out, root, false); err != nil {
		t.Errorf("fresh page: %v", err)
	}
	got, err := os.ReadFile(filepath.Join(root, page))
	if err != nil {
		t.Fatal(err)
	}
	const link = "[sip/cancel.go](../../sip/cancel.go)\n"
	for _, want := range []string{"## RFC 3261\n\n- §9.2 Server Behavior: " + link + "- §9.10 Other: " + link, "### RFC 8446\n\n- §4: " + link} {
		if !strings.Contains(string(got), want) {
			t.Errorf("the page lacks %q:\n%s", want, got)
		}
	}
	put("sip/cancel.go", "package sip\n\n// RFC 3261 §9.3.\n")
	out.Reset()
	if err := run(&out, root, false); err == nil || out.String() != "sip/cancel.go:3: RFC 3261 has no §9.3\n" {
		t.Errorf("wrong citation: %v, printed %q", err, out.String())
	}
}
