package export

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-sip/sallyport/internal/callflow"
)

// TestEveryRowIsInTheView wants each row of each script shown once: itself, or by the row that stands for its hop; and
// wants the same in each drawing, whatever is folded.
func TestEveryRowIsInTheView(t *testing.T) {
	t.Parallel()
	for file, flows := range scripted(t) {
		for _, f := range flows {
			for _, o := range []Options{{}, {FoldTLS: true}, {Open: map[int]bool{0: false, 1: false}}, {Compress: true, Columns: 3}} {
				v := NewView(f, o)
				shown := 0
				for _, r := range v.Rows {
					shown += max(r.Folded, 1)
				}
				if shown != len(f.Rows) {
					t.Errorf("%s call %s: %d rows are shown, of %d", file, f.ID, shown, len(f.Rows))
				}
				for i := range f.Rows {
					if at := v.At(i + 1); at < 0 {
						t.Errorf("%s call %s: row %d is nowhere", file, f.ID, i+1)
					}
				}
				if len(v.Columns) > 3 && o.Columns == 3 {
					t.Errorf("%s call %s: %d columns", file, f.ID, len(v.Columns))
				}
			}
		}
	}
}

// TestTheCursorBeginsWhereItFailed wants the alert or the dial of the hop that was refused, and the first row of a good call.
func TestTheCursorBeginsWhereItFailed(t *testing.T) {
	t.Parallel()
	want := map[string]string{
		"answered-tls13.txtar":      "TLS 1.3 10 steps",
		"failed-hop-b.txtar":        "Alert 42 bad_certificate",
		"refused-by-peer.txtar":     "Alert 48 unknown_ca",
		"refused-by-us-tls12.txtar": "Alert 40 handshake_failure",
		"refused-by-us-tls13.txtar": "Alert 42 bad_certificate",
	}
	flows := scripted(t)
	for file, label := range want {
		v := NewView(flows[file][0], Options{FoldTLS: true})
		if got := v.Rows[v.Cursor]; !strings.Contains(got.Label, label) {
			t.Errorf("%s: the cursor is on %q, want %q", file, got.Label, label)
		}
	}
}

// TestAClosedHopIsOneRow wants version, steps, time and a sign in it, whatever stands at the left.
func TestAClosedHopIsOneRow(t *testing.T) {
	t.Parallel()
	f := scripted(t)["answered-tls13.txtar"][0]
	v := NewView(f, Options{FoldTLS: true})
	var closed []string
	for i := range v.Rows {
		if r := &v.Rows[i]; r.Folded > 0 {
			closed = append(closed, r.Words(Mark.String))
		}
	}
	if want := []string{"TLS 1.3 10 steps 3.1ms up", "TLS 1.3 10 steps 4.1ms up"}; !slices.Equal(closed, want) {
		t.Errorf("got %q, want %q", closed, want)
	}
	if v.Rows[0].Note != "hop A up: 1.3 AES-256-GCM X25519 mutual peer=phone" {
		t.Errorf("note %q", v.Rows[0].Note)
	}
	text := drawn(t, f, Options{FoldTLS: true, Times: TimesOfDay, Width: 100})
	if want := "▸✓ TLS 1.3 10 steps 3.1ms"; !strings.Contains(text, want) {
		t.Errorf("no %s in\n%s", want, text)
	}
}

// TestWhatIsNotConfirmedSaysSo: a TLS 1.3 server may refuse us after we were done.
func TestWhatIsNotConfirmedSaysSo(t *testing.T) {
	t.Parallel()
	f := scripted(t)["refused-by-peer.txtar"][0]
	v := NewView(f, Options{})
	var marks []Mark
	for _, r := range v.Rows {
		if r.Mark != NoMark {
			marks = append(marks, r.Mark)
			if want := r.Mark == Failed && r.Leg == 1; (len(r.Detail) > 0) != want {
				t.Errorf("%q has the verdicts %q", r.Label, r.Detail)
			}
		}
	}
	if want := []Mark{Open, Failed, Failed}; !slices.Equal(marks, want) {
		t.Errorf("marks %v, want %v", marks, want)
	}
}

// drawn is the text of one flow.
func drawn(t testing.TB, f *callflow.Flow, o Options) string {
	t.Helper()
	var b bytes.Buffer
	if err := Ladder(&b, f, o); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// forked is a call to n targets of which the first two got something, the second most.
func forked(n int) *callflow.Flow {
	f := &callflow.Flow{
		ID: "7", Sentence: "Failed", Start: time.Unix(0, 0),
		Lifelines: []callflow.Lifeline{{Name: "phone"}, {Name: "gateway", Gateway: true}},
		Legs:      []*callflow.Leg{{Name: "A"}},
	}
	row := func(r callflow.Row) {
		r.Number = len(f.Rows) + 1
		f.Rows = append(f.Rows, r)
	}
	row(callflow.Row{Kind: callflow.RowSIP, To: 1, Label: "INVITE"})
	for i := range n {
		line := len(f.Lifelines)
		f.Lifelines = append(f.Lifelines, callflow.Lifeline{Name: fmt.Sprintf("trunk-%d", i+1)})
		f.Legs = append(f.Legs, &callflow.Leg{Name: string(rune('B' + i)), Lifeline: line})
		for range min(i+1, 2) {
			if i < 2 {
				row(callflow.Row{Kind: callflow.RowSIP, From: 1, To: line, Leg: i + 1, Label: "INVITE"})
			}
		}
		if i >= 2 {
			row(callflow.Row{Kind: callflow.RowNote, From: 1, To: 1, Leg: i + 1, Label: "hop to nobody"})
		}
	}
	return f
}

// TestWideFlowsFoldTheirColumns: the gateway keeps its own, what has no room shares one and is named in its labels, and
// what got nothing is left out when that is asked for.
func TestWideFlowsFoldTheirColumns(t *testing.T) {
	t.Parallel()
	f := forked(8)
	names := func(o Options) (names []string) {
		for _, c := range NewView(f, o).Columns {
			names = append(names, c.Name)
		}
		return names
	}
	for _, c := range []struct {
		o    Options
		want []string
	}{
		{Options{Columns: 4}, []string{"phone", "gateway", "trunk-2", "7 others"}},
		{Options{Columns: 1}, []string{"gateway", "trunk-2", "8 others"}},
		{Options{Compress: true}, []string{"phone", "gateway", "trunk-1", "trunk-2"}},
		{Options{Compress: true, Columns: 3}, []string{"gateway", "trunk-2", "2 others"}},
		{Options{Compress: true, Hide: map[int]bool{1: true}}, []string{"phone", "gateway", "trunk-2"}},
		{Options{Hide: map[int]bool{3: true, 4: true, 5: true, 6: true, 7: true, 8: true}}, []string{"phone", "gateway", "trunk-1", "trunk-2"}},
	} {
		if got := names(c.o); !slices.Equal(got, c.want) {
			t.Errorf("%+v: columns %q, want %q", c.o, got, c.want)
		}
	}
	text := drawn(t, f, Options{Columns: 4, Width: 120})
	for _, want := range []string{"7 others", "trunk-1: INVITE", "hop to nobody"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	if text := drawn(t, f, Options{}); !strings.Contains(text, "6 others") {
		t.Errorf("80 columns have room for more than five lifelines in\n%s", text)
	}
	text = drawn(t, f, Options{Compress: true, Hide: map[int]bool{1: true}})
	for _, want := range []string{"not shown: hop B", "nothing was sent to them: trunk-3, trunk-4"} {
		if !strings.Contains(strings.Join(strings.Fields(text), " "), want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
}

// TestNamesThatDifferAtTheirEndsDoNotLookTheSame: two long IPv6 addresses have a column each, and each its own words.
func TestNamesThatDifferAtTheirEndsDoNotLookTheSame(t *testing.T) {
	t.Parallel()
	f := forked(2)
	f.Lifelines[2].Name, f.Lifelines[3].Name = "2001:db8:1234:5678:9abc:def0:1111:0001", "2001:db8:1234:5678:9abc:def0:1111:0002"
	text := drawn(t, f, Options{})
	for _, want := range []string{"1:0001", "1:0002"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
}

// TestTheHeadingBeginsWithTheSentence wants its order, and rows with numbers where a finding names them.
func TestTheHeadingBeginsWithTheSentence(t *testing.T) {
	t.Parallel()
	f := forked(1)
	f.Security = &callflow.Security{Word: callflow.Plain, Why: "no TLS", Claims: []string{"nothing"}}
	f.Findings = []callflow.Finding{
		{Code: "no-ack", Severity: callflow.Problem, Sentence: "There was no ACK.", Rows: []int{2, 1}, Remedy: "send one", Reference: "RFC 3261 §13.3.1.4"},
		{Code: "x", Severity: callflow.Hint, Sentence: "It is late", Rows: []int{1}},
	}
	f.Related = []callflow.Relation{{Kind: "transferred to", Flow: "9", Row: 2}}
	f.Rows[1].Since, f.Rows[0].Since = -3*time.Second, 0
	var kinds []HeadKind
	var texts []string
	for _, h := range NewView(f, Options{}).Heading() {
		kinds, texts = append(kinds, h.Kind), append(texts, h.Text)
	}
	want := []HeadKind{HeadSentence, HeadWho, HeadSecurity, HeadClaims, HeadFinding, HeadRemedy, HeadFinding, HeadRelated, HeadNote}
	if !slices.Equal(kinds, want) {
		t.Errorf("got %q, want %q", kinds, want)
	}
	for _, want := range []string{
		"problem: There was no ACK (rows 2, 1; RFC 3261 §13.3.1.4)", "fix: send one", "hint: It is late (row 1)",
		"transferred to call 9, row 2", "set back by 3.0s before row 2",
	} {
		if !strings.Contains(strings.Join(texts, "\n"), want) {
			t.Errorf("no %q in %q", want, texts)
		}
	}
	if text := drawn(t, f, Options{}); !strings.Contains(text, "2 │") {
		t.Errorf("no number of a row in\n%s", text)
	}
	if got := Address(f, 17); got != "call/7/row/17" {
		t.Errorf("address %q", got)
	}
}

// TestWhyLegsAreOneCall wants the evidence of each leg.
func TestWhyLegsAreOneCall(t *testing.T) {
	t.Parallel()
	f := scripted(t)["refused-by-peer.txtar"][0]
	f.Related = []callflow.Relation{{Kind: "replaces", Flow: "12", Row: 7}}
	f.Joins = append(f.Joins, callflow.Edge{A: "A", B: "C", Evidence: callflow.BySessionID, Score: 97, Words: "both have 5f3c"})
	var got []string
	for _, e := range Why(f) {
		got = append(got, e.Legs+": "+e.Evidence)
	}
	want := []string{
		"A + B: the gateway's record: routed by rule 1 (exact)", "A + C: the gateway's record: failed over from trunk-1 (exact)",
		"A + C: Session-ID (RFC 7989): both have 5f3c (97 of 100 sure)", "related: replaces call 12; another call, not joined with this one, as row 7 tells",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}
