package tui

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/sallyport-sip/sallyport/internal/api"
	"github.com/sallyport-sip/sallyport/internal/callflow"
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
