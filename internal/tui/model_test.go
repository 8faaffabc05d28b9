package tui

import (
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	tea "charm.land/bubbletea/v2"

	"github.com/sallyport-sip/sallyport/internal/callflow"
	"github.com/sallyport-sip/sallyport/internal/callflow/export"
)

// TestTextFromTheNetworkIsCleaned: whatever a peer writes, nothing reaches the terminal but characters and our own colours.
func TestTextFromTheNetworkIsCleaned(t *testing.T) {
	t.Parallel()
	evil := "\x1b[2J\x1b]0;owned\x07\u009b31m\u202e\r\x7fbad\u200b"
	f := &callflow.Flow{ID: "1", State: callflow.State("failed" + evil), Sentence: "Failed" + evil, From: evil, To: evil, Start: noon, Joins: []callflow.Edge{{A: evil, B: evil, Evidence: evil, Words: evil}}, Session: evil,
		Lifelines: []callflow.Lifeline{{Name: "phone" + evil, Address: evil}, {Name: "gateway", Gateway: true}},
		Legs: []*callflow.Leg{{Name: "A", Peer: evil, CallID: evil, Hop: callflow.Hop{Refused: true, Link: &callflow.Link{ID: 1, Transport: "tls", Peer: evil, TLS: &callflow.TLS{PeerNames: []string{evil}}},
			Verdicts: []callflow.Verdict{{Reason: evil, Remedy: evil}}}}},
		Rows: []callflow.Row{
			{Number: 1, At: noon, Kind: callflow.RowTLS, To: 1, Label: "Certificate" + evil, Note: evil, Step: &callflow.Step{Name: evil, ServerName: evil, Certificate: &callflow.Certificate{Subject: evil, Names: []string{evil}}}},
			{Number: 2, At: noon, Kind: callflow.RowSIP, To: 1, Label: "INVITE" + evil, Raw: []byte("INVITE sip:" + evil + " SIP/2.0\r\nSubject: " + evil + "\r\n\r\nv=0\r\nm=audio " + evil + " RTP/AVP 0\r\n\xff\xfe")},
		},
		Findings: []callflow.Finding{{Code: evil, Severity: callflow.Problem, Sentence: evil, Remedy: evil, Rows: []int{2}}},
		Related:  []callflow.Relation{{Kind: evil, Flow: evil, Row: 1}},
		Security: &callflow.Security{Word: evil, Why: evil, Claims: []string{evil}},
	}
	ours := regexp.MustCompile("\x1b\\[[0-9;]*m")
	for _, ascii := range []bool{false, true} {
		s := live(t, 80, 24, []*callflow.Flow{f})
		s.ascii = ascii
		look := func() {
			t.Helper()
			wellMade(t, s)
			left := ours.ReplaceAllString(s.screen().painted(), "")
			for _, r := range left {
				if r != '\n' && (r < 0x20 || r >= 0x7f && r < 0xa0 || r == 0x202e || r == 0x200b || ascii && r > 0x7e) {
					t.Fatalf("%q reaches the terminal: %q", r, left)
				}
			}
		}
		look()
		for _, k := range []string{"i", "esc", "F", "esc", "enter", "down", "enter", "esc", "space", "up", "y", "esc", "d", "m", "a", "e", "esc", "enter", "esc", "F", "esc", "n"} {
			s.press(k)
			s.serve([]*callflow.Flow{f})
			look()
		}
		s.tell(linkMsg{err: errors.New(evil)})
		s.tell(exportedMsg{err: errors.New(evil)})
		look()
		s.press(":")
		s.tell(tea.PasteMsg{Content: "filter " + evil})
		look()
		s.press("enter")
		look()
	}
}

// TestEveryViewFitsEverySize draws every page at many sizes, also while it is resized.
func TestEveryViewFitsEverySize(t *testing.T) {
	t.Parallel()
	flows := append(fixtures(t), forked(6))
	s := live(t, 80, 24, flows)
	for _, keys := range [][]string{{}, {"enter"}, {"enter", "enter"}, {"e"}, {"n"}, {"n", "right"}, {"F"}, {"i"}, {"?"}, {"f"}, {"enter", "y"}, {":", `"call/57"`, "enter"}} {
		for _, ascii := range []bool{false, true} {
			s.press("esc", "esc", "esc", "esc")
			s.ascii = ascii
			for _, k := range keys {
				s.press(k)
				s.serve(flows)
			}
			for _, size := range [][2]int{{80, 24}, {81, 25}, {115, 24}, {116, 24}, {250, 24}, {80, 80}, {300, 100}, {79, 24}, {80, 23}, {10, 3}, {1, 1}, {80, 24}} {
				s.tell(tea.WindowSizeMsg{Width: size[0], Height: size[1]})
				wellMade(t, s)
			}
		}
	}
	s.tell(tea.WindowSizeMsg{Width: 60, Height: 10})
	s.wants("60 columns and 10 lines", "needs 80 and 24")
	s.press("q")
	if !s.left {
		t.Error("q does not leave a terminal that is too small")
	}
}

// TestEveryKeyDoesSomething: in some view each key of the table changes the picture, asks or leaves.
func TestEveryKeyDoesSomething(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, b := range bindings {
		for _, k := range b.keys {
			if seen[k] {
				t.Errorf("key %s has two meanings", k)
			}
			seen[k] = true
			if !doesSomething(t, k) {
				t.Errorf("%s (%s) does nothing anywhere", k, b.words)
			}
		}
	}
	for _, k := range []string{"up", "down", "left", "right", "h", "j", "k", "l", "pgup", "pgdown", "home", "end", "enter", "esc", "space", "/", "f3", "f", "f7", "w", "c", "m", "d", "t",
		"9", "0", "p", "A", "i", ":", "x", "f4", "v", "V", "y", "!", "@", "s", "a", "e", "f2", "n", "?", "f1"} {
		if !seen[k] {
			t.Errorf("%s is no key", k)
		}
	}
}

func doesSomething(t *testing.T, key string) bool {
	flows := append(fixtures(t), forked(6))
	for _, way := range [][]string{{}, {"up", "up"}, {"home"}, {"enter"}, {"home", "enter"}, {"home", "down", "enter", "down", "down"}, {"home", "enter", "end"}, {":", `"call/7"`, "enter", "right"}, {":", `"call/41/row/1"`, "enter"}} {
		s := live(t, 80, 24, flows)
		for _, k := range way {
			s.press(k)
			s.serve(flows)
		}
		before := s.screen().painted()
		msg, known := special[key]
		switch {
		case known:
			s.tell(msg)
		case strings.HasPrefix(key, "ctrl+"):
			s.tell(tea.KeyPressMsg{Code: rune(key[5]), Mod: tea.ModCtrl})
		default:
			s.press(key)
		}
		s.serve(flows)
		if s.left || s.screen().painted() != before {
			return true
		}
	}
	return false
}

// TestKeysArePagesToo: docs/howto/watch.md has the table of keys as it is here.
func TestKeysAreDocumented(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../docs/howto/watch.md")
	if err != nil {
		t.Fatal(err)
	}
	var want strings.Builder
	want.WriteString("| key | meaning |\n|---|---|\n")
	for _, b := range bindings {
		var keys []string
		for k := range strings.FieldsSeq(b.shown) {
			keys = append(keys, "`"+k+"`")
		}
		fmt.Fprintf(&want, "| %s | %s |\n", strings.Join(keys, " "), b.words)
	}
	if !strings.Contains(string(page), want.String()) {
		t.Errorf("docs/howto/watch.md has another table of keys than this:\n%s", want.String())
	}
	for _, c := range commands() {
		if !strings.Contains(string(page), "`:"+c.usage+"`") {
			t.Errorf("docs/howto/watch.md does not have the command %s", c.usage)
		}
	}
}

// TestAScreenHoldsWideCharacters whole, wherever they are cut.
func TestAScreenHoldsWideCharacters(t *testing.T) {
	t.Parallel()
	for x := -3; x < 12; x++ {
		s := newScreen(10, 1, false)
		s.put(x, 0, plain, "電話機")
		s.put(4, 0, plain, "|")
		line := s.row(0)
		if n := export.Width(line); n > 10 {
			t.Errorf("at %d: %d columns: %s", x, n, line)
		}
		for i, r := range s.cells {
			if wide := i > 0 && export.Columns(s.cells[i-1]) == 2; wide != (r == 0) {
				t.Errorf("at %d: cell %d is half a character: %q", x, i, line)
			}
		}
	}
}
