package tui

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-sip/sallyport/internal/callflow"
)

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
