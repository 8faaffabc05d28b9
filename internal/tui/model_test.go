package tui

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"

	"github.com/sallyport-sip/sallyport/internal/api"
	"github.com/sallyport-sip/sallyport/internal/callflow"
	"github.com/sallyport-sip/sallyport/internal/callflow/export"
)

// someCalls are n calls that ended well, one a second.
func someCalls(n int) (all []callflow.Summary) {
	for i := range n {
		all = append(all, callflow.Summary{ID: fmt.Sprint(i + 1), Number: uint64(i + 1), State: callflow.StateEnded, Sentence: "Ended by phone",
			From: "alice@a.test", To: fmt.Sprintf("+49%d@b.test", i), Start: noon.Add(time.Duration(i) * time.Second), Done: true,
			Peers: []string{"phone", "trunk-1"}, Legs: 2, Hops: []string{"13m", "udp"}, DurationMicros: 1e6})
	}
	return all
}

// TestTheListFollowsAndIsHeld: the cursor stays on the newest until it is moved, then on its call; pause holds the picture and counts.
func TestTheListFollowsAndIsHeld(t *testing.T) {
	t.Parallel()
	s := live(t, 80, 24, nil)
	s.wants("No call yet")
	calls := someCalls(30)
	s.tell(flowsMsg{changed: calls[:20]})
	if got := s.list.chosen().ID; got != "20" {
		t.Errorf("the cursor is on %s, want the newest", got)
	}
	s.press("up")
	s.tell(flowsMsg{changed: calls[20:22]})
	if got := s.list.chosen().ID; got != "19" {
		t.Errorf("the cursor went to %s", got)
	}
	s.press("A")
	s.tell(flowsMsg{changed: calls[22:23]})
	if got := s.list.chosen().ID; got != "23" {
		t.Errorf("with autoscroll the cursor is on %s", got)
	}
	s.press("p")
	failed := calls[22]
	failed.State, failed.Sentence = callflow.StateFailed, "Failed for a reason"
	s.tell(flowsMsg{changed: append(calls[23:24:24], failed), gone: []string{"1"}})
	s.wants("paused, 3 waiting", "23 of 23")
	s.lacks("FAILED", "Failed for a reason")
	s.press("p")
	s.wants("FAILED", "23 of 23", "live ●")
	s.lacks("paused")
	if s.list.byID["1"] != nil || s.list.all[0].ID != "2" {
		t.Error("the call that is gone is still there")
	}
}

// TestTheListKeepsTheOrderOfStarts whatever comes first, replaces and forgets.
func TestTheListKeepsTheOrderOfStarts(t *testing.T) {
	t.Parallel()
	s := live(t, 80, 24, nil)
	calls := someCalls(10)
	for _, i := range []int{5, 2, 9, 0, 1, 8, 7, 3, 4, 6} {
		s.tell(flowsMsg{changed: calls[i : i+1]})
	}
	moved := calls[0]
	moved.Start = noon.Add(time.Hour) // its beginning was lost
	s.tell(flowsMsg{changed: []callflow.Summary{moved}, gone: []string{"5", "nobody"}})
	var got []string
	for _, f := range s.list.all {
		got = append(got, f.ID)
	}
	if want := []string{"2", "3", "4", "6", "7", "8", "9", "10", "1"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	s.tell(flowsMsg{reset: true, changed: calls[:1]})
	if len(s.list.all) != 1 || len(s.list.byID) != 1 {
		t.Errorf("after a reset there are %d", len(s.list.all))
	}
}

// TestOlderCallsAreAskedForAtTheTop, once at a time, from the oldest there is on, until there are none.
func TestOlderCallsAreAskedForAtTheTop(t *testing.T) {
	t.Parallel()
	s := live(t, 80, 24, nil)
	calls := someCalls(40)
	s.tell(flowsMsg{changed: calls[20:]})
	s.press("home", "up", "up")
	if len(s.asked) != 1 {
		t.Fatalf("asked %v, want one question", s.asked)
	}
	if q := s.asked[0].(askOlder); q.before != api.Cursor(&calls[20]) {
		t.Errorf("asked for what is before %q", q.before)
	}
	s.tell(olderMsg{flows: calls[10:25], next: "further"})
	if got := s.list.chosen().ID; got != "21" || len(s.list.all) != 30 {
		t.Errorf("the cursor is on %s of %d", got, len(s.list.all))
	}
	s.press("home")
	if q := s.asked[1].(askOlder); q.before != "further" {
		t.Errorf("asked for what is before %q", q.before)
	}
	s.tell(olderMsg{err: errors.New("no such file")})
	s.wants("Older calls cannot be had: no such file")
	s.press("up")
	s.tell(olderMsg{flows: calls[:10]})
	s.press("home")
	if len(s.asked) != 3 || len(s.list.all) != 40 {
		t.Errorf("%d questions, %d calls", len(s.asked), len(s.list.all))
	}
}

// TestTheListIsBounded: the oldest go.
func TestTheListIsBounded(t *testing.T) {
	t.Parallel()
	s := live(t, 80, 24, nil)
	calls := someCalls(mostListed + 10)
	s.tell(flowsMsg{changed: calls[:mostListed]})
	s.tell(flowsMsg{changed: calls[mostListed:]})
	if len(s.list.all) != mostListed || len(s.list.byID) != mostListed || s.list.all[0].ID != "11" {
		t.Errorf("%d calls, the first is %s", len(s.list.all), s.list.all[0].ID)
	}
}

// TestALadderGoesOnWhileTheListDoes: the open call changes, its cursor stays on its row, the list goes on behind it, and a held one waits.
func TestALadderGoesOnWhileTheListDoes(t *testing.T) {
	t.Parallel()
	whole := fixture(t, "answered-tls13")[0]
	part := *whole
	part.Rows, part.Sentence = whole.Rows[:30], "Ringing at trunk-1 on hop B"
	s := live(t, 80, 24, []*callflow.Flow{&part})
	s.press("enter")
	if got := s.wanted[len(s.wanted)-1]; got != (watched{"", "41"}) {
		t.Fatalf("watched %v", got)
	}
	s.wants("Fetching this call")
	s.tell(flowMsg{id: "40", flow: whole}) // of a call that was opened before
	s.wants("Fetching this call")
	s.tell(flowMsg{id: "41", flow: &part})
	s.wants("Ringing at trunk-1")
	s.press("end")
	row := s.ladder.row
	s.tell(flowsMsg{changed: someCalls(3)})
	s.tell(flowMsg{id: "41", flow: whole})
	s.wants("Ended by phone")
	if s.ladder.row != row || len(s.list.all) != 4 {
		t.Errorf("row %d, want %d; %d calls", s.ladder.row, row, len(s.list.all))
	}
	s.press("p")
	s.tell(flowMsg{id: "41", flow: &part})
	s.wants("Ended by phone", "paused, 1 waiting")
	s.press("p")
	s.wants("Ringing at trunk-1")
	s.press("A")
	s.tell(flowMsg{id: "41", flow: whole})
	if got := s.ladder.row; got != len(whole.Rows) {
		t.Errorf("with autoscroll the cursor is on row %d of %d", got, len(whole.Rows))
	}
	s.press("esc")
	if got := s.wanted[len(s.wanted)-1]; got != (watched{}) {
		t.Errorf("after Esc %v is watched", got)
	}
	s.press("q")
	if !s.left {
		t.Error("q in the list does not leave")
	}
}

// TestAFailedHopOpensByItself and the cursor is where it failed, for each of the ways to fail.
func TestAFailedHopOpensByItself(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"failed-hop-b": "Alert 42 bad_certificate", "refused-by-peer": "Alert 48 unknown_ca",
		"refused-by-us-tls13": "Alert 42 bad_certificate",
	} {
		flows := fixture(t, name)
		s := live(t, 80, 24, flows)
		s.press("home", "enter")
		s.serve(flows)
		if r := s.ladder.chosen(); r == nil || r.Label != want {
			t.Errorf("%s: the cursor is on %+v, want %s", name, r, want)
		}
		if n := strings.Count(s.text(), want[:8]); n < 2 { // the row and the pane
			t.Errorf("%s: the row is not on the screen:\n%s", name, s.text())
		}
	}
}

// TestFoldsAndAddresses: v folds one hop, V all; an address unfolds what it names; one that is not there says so.
func TestFoldsAndAddresses(t *testing.T) {
	t.Parallel()
	flows := fixture(t, "answered-tls13")
	s := live(t, 80, 50, flows)
	open := func(at string) {
		s.press(":", strconvQuote(at), "enter")
		s.serve(flows)
	}
	handshakes := func() int { return strings.Count(strings.Join(s.rowsOnly(), "\n"), "ClientHello") }
	open("41")
	if handshakes() != 0 {
		t.Error("hops that came up are open")
	}
	s.press("v")
	if handshakes() != 1 {
		t.Errorf("%d are open after v", handshakes())
	}
	s.press("v", "V")
	if handshakes() != 2 {
		t.Errorf("%d are open after V", handshakes())
	}
	s.press("V")
	open("call/41/row/4")
	if r := s.ladder.chosen(); r.Number != 4 || handshakes() != 1 {
		t.Errorf("row %d, %d open", r.Number, handshakes())
	}
	open("call/41/row/999")
	open("call/9/row/1")
	s.wants("This call cannot be shown: there is no such call")
	s.press("esc")
	open("call/41/row/x")
	s.wants(`"call/41/row/x" is neither an address`)
}

func strconvQuote(s string) string { return fmt.Sprintf("%q", s) }

// rowsOnly are the lines of the picture above the pane.
func (s *stage) rowsOnly() []string {
	lines := strings.Split(s.text(), "\n")
	if i := slices.IndexFunc(lines, func(l string) bool { return strings.HasPrefix(l, "── call/") }); i > 0 {
		lines = lines[:i]
	}
	return lines
}

// TestProblemsAreFoundFromRowToRow: ! and @ go through what is bad and what findings name.
func TestProblemsAreFoundFromRowToRow(t *testing.T) {
	t.Parallel()
	f := *fixture(t, "answered-tls13")[0]
	f.Findings = []callflow.Finding{{Code: "no-ack", Severity: callflow.Problem, Sentence: "phone sent no ACK", Rows: []int{30, 34}, Remedy: "look at its Contact", Reference: "RFC 3261 §13.3.1.4"},
		{Code: "late", Severity: callflow.Warning, Sentence: "it took long", Rows: []int{14}}}
	s := live(t, 80, 40, []*callflow.Flow{&f})
	s.press("enter")
	s.serve([]*callflow.Flow{&f})
	var rows []int
	for range 4 {
		rows = append(rows, s.ladder.row)
		s.press("!")
	}
	if want := []int{14, 30, 34, 34}; !slices.Equal(rows, want) {
		t.Errorf("got %v, want %v", rows, want)
	}
	s.wants("There is no further problem in this call", "problem: phone sent no ACK", "fix      look at its Contact", "no-ack, RFC 3261 §13.3.1.4")
	s.press("@")
	if s.ladder.row != 30 {
		t.Errorf("@ goes to row %d", s.ladder.row)
	}
	s.press("F", "down")
	s.wants("findings in call 41", "warning: it took long", "call/41/row/14")
	s.press("enter")
	if s.ladder.row != 14 || s.top() != view(s.ladder) {
		t.Errorf("Enter goes to row %d", s.ladder.row)
	}
}

// TestFindingsOfAllCalls asks for the calls that have any, the newest first, and goes to the row of one.
func TestFindingsOfAllCalls(t *testing.T) {
	t.Parallel()
	f := *fixture(t, "answered-tls13")[0]
	f.Findings = []callflow.Finding{{Code: "no-ack", Severity: callflow.Problem, Sentence: "phone sent no ACK", Rows: []int{30}}}
	flows := []*callflow.Flow{forked(1), &f}
	s := live(t, 80, 24, flows)
	s.press("F")
	if q, ok := s.asked[0].(askFindings); !ok || !slices.Equal(q.flows, []string{"41"}) {
		t.Fatalf("asked %v", s.asked)
	}
	s.wants("Fetching them")
	s.serve(flows)
	s.wants("findings in all calls", "!problem  41      no-ack", "phone sent no ACK")
	s.press("enter")
	s.serve(flows)
	if s.ladder.row != 30 {
		t.Errorf("the cursor is on row %d", s.ladder.row)
	}
	s = live(t, 80, 24, []*callflow.Flow{forked(1)})
	s.press("F")
	s.wants("Nothing was found wrong here")
}

// TestWideFlowsScrollWithTheGatewayPinned: every picture of a call to eight targets has the gateway's column, wherever it is
// scrolled to, and each target is on one of them. IPv6 addresses keep their columns.
func TestWideFlowsScrollWithTheGatewayPinned(t *testing.T) {
	t.Parallel()
	f := forked(8)
	s := live(t, 80, 24, []*callflow.Flow{f})
	s.press("enter")
	s.serve([]*callflow.Flow{f})
	seen := map[string]bool{}
	last := -1
	for s.ladder.left != last {
		last = s.ladder.left
		wellMade(t, s)
		text := s.text()
		if !strings.Contains(text, "gateway") {
			t.Errorf("no gateway, %d columns to the right:\n%s", s.ladder.left, text)
		}
		for _, line := range strings.Split(text, "\n")[5:9] {
			if last > 0 && strings.HasPrefix(line, "+") && []rune(line)[s.ladder.before()+1] != '│' {
				t.Errorf("the gateway's line is not at its edge: %s", line)
			}
		}
		for i := range 8 {
			if strings.Contains(text, fmt.Sprintf("trunk-%d", i+1)) {
				seen[fmt.Sprint(i)] = true
			}
		}
		s.press("right")
	}
	if len(seen) != 8 {
		t.Errorf("seen %v of 8", seen)
	}
	s.press("s")
	if s.ladder.left != 0 || len(s.ladder.drawn.Rows[0].Cells) > 80 {
		t.Errorf("s leaves %d columns", len(s.ladder.drawn.Rows[0].Cells))
	}
	s.press("s", "a")
	s.wants("[2001:db8::1:1]:5061")
	s.press("right")
	s.wants("[2001:db8::1:1]:5061", "[2001:db8::1:2]:5061")
}

// forked is a call from a phone to n targets, one after the other.
func forked(n int) *callflow.Flow {
	f := &callflow.Flow{ID: "7", State: callflow.StateFailed, Sentence: "Failed: nobody answered", Start: noon, From: "a@a.test", To: "b@b.test",
		Lifelines: []callflow.Lifeline{{Name: "phone", Address: "[2001:db8::1:ffff]:5061"}, {Name: "gateway", Gateway: true}},
		Legs:      []*callflow.Leg{{Name: "A", Direction: callflow.In, Peer: "phone", CallID: "a"}}}
	row := func(from, to, leg int, label string) {
		f.Rows = append(f.Rows, callflow.Row{Number: len(f.Rows) + 1, Kind: callflow.RowSIP, At: noon, Since: time.Duration(len(f.Rows)) * time.Millisecond,
			From: from, To: to, Leg: leg, Label: label, Raw: []byte(label + " sip:b SIP/2.0\r\nCSeq: 1 INVITE\r\n\r\n")})
	}
	row(0, 1, 0, "INVITE")
	for i := range n {
		at := len(f.Lifelines)
		f.Lifelines = append(f.Lifelines, callflow.Lifeline{Name: fmt.Sprintf("trunk-%d", i+1), Address: netip.AddrPortFrom(netip.MustParseAddr(fmt.Sprintf("2001:db8::1:%d", i+1)), 5061).String()})
		f.Legs = append(f.Legs, &callflow.Leg{Name: string(rune('B' + i)), Direction: callflow.Out, Peer: fmt.Sprintf("trunk-%d", i+1), CallID: fmt.Sprint(i), Lifeline: at})
		row(1, at, i+1, "INVITE")
		row(at, 1, i+1, "503 Service Unavailable")
	}
	return f
}

// TestSettingsOfALadder: each key changes the picture as it says.
func TestSettingsOfALadder(t *testing.T) {
	t.Parallel()
	f := *fixture(t, "answered-tls13")[0]
	f.Rows = slices.Clone(f.Rows)
	for i := range f.Rows {
		if strings.HasSuffix(f.Rows[i].Label, "(SDP)") {
			head, _, _ := strings.Cut(string(f.Rows[i].Raw), "\r\n\r\n")
			f.Rows[i].Raw = []byte(head + "\r\n\r\nv=0\r\nc=IN IP4 192.0.2.10\r\nm=audio 4000 RTP/SAVP 0 96\r\na=rtpmap:96 opus/48000/2\r\nm=video 0 RTP/AVP 31\r\nc=IN IP6 2001:db8::1\r\n")
		}
	}
	flows := []*callflow.Flow{&f}
	s := live(t, 80, 40, flows)
	s.press("enter")
	s.serve(flows)
	s.press("t")
	s.lacks("── call/41")
	s.press("d")
	s.wants("INVITE (audio 192.0.")
	s.press("d", "m")
	s.wants("media: audio 192.0.2.10:4000 RTP/SAVP PCMU opus", "media: video [2001:db8::1]:0 RTP/AVP 31")
	s.press("m")
	s.lacks("media: audio")
	s.press("x")
	s.wants("Only leg A is shown", "not shown: hop B")
	s.lacks("203.0.113.9")
	s.press("f4")
	s.wants("All joined legs are shown", "203.0.113.9")
	s.press("a")
	s.lacks("trunk-1             ")
	s.press("a", "w", "w")
	s.wants("Times: since the start", "\n 2.4s ")
	s.press("c", "c")
	s.wants("Colour by leg")
	looks := map[look]bool{}
	for i := range s.ladder.drawn.Rows {
		for _, l := range s.ladder.drawn.Rows[i].Styles {
			if look(l) >= hue1 {
				looks[look(l)] = true
			}
		}
	}
	if len(looks) != 2 {
		t.Errorf("two legs have %d colours", len(looks))
	}
	s.press("t")
	before := s.ladder.page
	s.press("9", "9")
	if s.ladder.page != before-2 {
		t.Errorf("9 leaves %d lines of %d", s.ladder.page, before)
	}
	s.press("0", "0")
	if s.ladder.page != before {
		t.Errorf("0 leaves %d lines of %d", s.ladder.page, before)
	}
}

// TestTextFromTheNetworkIsCleaned: whatever a peer writes, nothing reaches the terminal but characters and our own colours.
func TestTextFromTheNetworkIsCleaned(t *testing.T) {
	t.Parallel()
	evil := "\x1b[2J\x1b]0;owned\x07\u009b31m\u202e\r\x7fbad\u200b"
	f := &callflow.Flow{ID: "1", State: callflow.State("failed" + evil), Sentence: "Failed" + evil, From: evil, To: evil, Start: noon, JoinedBy: evil, Session: evil,
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

// BenchmarkListOfTenThousand draws the list of 10,000 calls while they change: one change, one picture.
func BenchmarkListOfTenThousand(b *testing.B) {
	s := live(b, 120, 40, nil)
	calls := someCalls(10_000)
	s.tell(flowsMsg{changed: calls})
	for i := 0; b.Loop(); i++ {
		s.tell(flowsMsg{changed: calls[i%len(calls) : i%len(calls)+1]})
		s.press("up")
	}
}

// TestAFilterIsAskedForOrItsPlaceShown: one that is wrong stays in the prompt, with the cursor where it is wrong and what is.
func TestAFilterIsAskedForOrItsPlaceShown(t *testing.T) {
	t.Parallel()
	s := live(t, 80, 24, fixtures(t))
	s.press("f", `"state:failed stat:x"`, "enter")
	s.wants("filter: state:failed stat:x", "character 14", "filter: none")
	if s.prompt == nil || s.prompt.line.at != 13 || len(s.wanted) != 1 {
		t.Fatalf("the cursor is not at the place: %+v; watched %v", s.prompt, s.wanted)
	}
	s.press("delete", "delete", "delete", "delete", "delete", "delete", "backspace", "enter")
	if s.prompt != nil || s.wanted[1] != (watched{"state:failed", ""}) {
		t.Fatalf("watched %v", s.wanted)
	}
	s.wants("filter: state:failed", "No call fits this filter")
	s.tell(flowsMsg{filter: "", changed: someCalls(1)}) // of the stream before
	s.wants("0 of 0")
	s.tell(flowsMsg{filter: "state:failed", reset: true, changed: someCalls(2)})
	s.wants("2 of 2")
	s.press("f", "ctrl+u", `"@night"`, "enter")
	if got := s.wanted[2].filter; got != "@night" {
		t.Errorf("a saved filter of the gateway's is %q", got)
	}
	s.press("esc")
	if got := s.wanted[3].filter; got != "" {
		t.Errorf("Esc leaves the filter %q", got)
	}
}

// TestAConnectionLeadsToItsCalls by a filter that the language has.
func TestAConnectionLeadsToItsCalls(t *testing.T) {
	t.Parallel()
	s := live(t, 80, 24, nil)
	s.press("n")
	s.wants("Asking the gateway")
	s.serve(nil)
	s.press("enter")
	if got := s.wanted[len(s.wanted)-1].filter; got != "connection:17" || s.prompt != nil || s.top() != view(s.list) {
		t.Errorf("the filter is %q\n%s", got, s.text())
	}
	s.press("n")
	s.tell(connectionsMsg{err: errors.New("no route to host")})
	s.wants("They cannot be had now, and these are older: no route to host", "192.0.2.10:40112")
}

// TestIDsAreShownWithoutTheirRun, and the chosen one whole.
func TestIDsAreShownWithoutTheirRun(t *testing.T) {
	t.Parallel()
	for id, want := range map[string]string{"41": "41", "k3f9qz-41": "41", "conn-9": "conn-9", "leg-0a1b": "leg-0a1b", "k3f9qz-conn-9": "conn-9"} {
		if got := shortID(id); got != want {
			t.Errorf("%s: got %s, want %s", id, got, want)
		}
	}
	s := live(t, 80, 24, nil)
	call := someCalls(1)
	call[0].ID = "k3f9qz-1"
	s.tell(flowsMsg{changed: call})
	s.wants("> 1       20:05:24.000", "call k3f9qz-1, 1 of 1")
}
