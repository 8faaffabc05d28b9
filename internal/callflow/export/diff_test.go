package export

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/sallyport-sip/sallyport/internal/callflow"
)

// twoMessages is a flow with two messages, on two hops.
func twoMessages(a, b string) *callflow.Flow {
	crlf := func(s string) []byte { return []byte(strings.ReplaceAll(s, "\n", "\r\n")) }
	return &callflow.Flow{
		ID:        "41",
		Lifelines: []callflow.Lifeline{{Name: "phone"}, {Name: "gateway", Gateway: true}, {Name: "trunk"}},
		Legs:      []*callflow.Leg{{Name: "A"}, {Name: "B", Lifeline: 2}},
		Rows: []callflow.Row{
			{Number: 1, Kind: callflow.RowSIP, To: 1, Label: "INVITE (SDP)", Raw: crlf(a)},
			{Number: 2, Kind: callflow.RowNote, Label: "route", Leg: -1},
			{Number: 3, Kind: callflow.RowSIP, From: 1, To: 2, Leg: 1, Label: "INVITE (SDP)", Raw: crlf(b)},
		},
	}
}

const inviteA = `INVITE sip:bob@gw.example SIP/2.0
Via: SIP/2.0/TLS a;branch=z9hG4bK1, SIP/2.0/TLS z
v: SIP/2.0/UDP y
From: "A" <sip:alice@a.test;b=1;a=2>;tag=f;x=1
To: <sip:bob@b.test>
Call-ID: a1
CSeq: 1 INVITE
Allow: INVITE, ACK,BYE
Supported: 100rel,
 Timer
X-Thing: a;b;c
x-same:  one   two
Subject: a;b
Max-Forwards: 70
Content-Type: application/sdp
Content-Length: 62

v=0
o=- 1 1 IN IP4 192.0.2.1
s=-
m=audio 4000 RTP/AVP 8 0
`

const inviteB = `INVITE sip:bob@trunk.example SIP/2.0
X-Same: one two
Max-Forwards: 69
Call-ID: b1
Via: SIP/2.0/TLS g;branch=z9hG4bK2
To: <sip:bob@b.test>
f: "A" <sip:alice@a.test;b=1;a=2>;x=1;tag=f
CSeq: 1 INVITE
Allow: BYE, INVITE, REFER
k: timer, 100REL
X-Thing: b;a;c
Subject: b;a
Content-Type: application/sdp
Content-Length: 80

v=0
o=- 9 1 IN IP4 10.0.0.1
s=-
c=IN IP4 10.0.0.1
m=audio 4000 RTP/AVP 8 0
`

// TestWhatTheGatewayChanged wants each difference and no more: neither the order of headers, nor that of a set, nor that of
// parameters, nor a compact name, nor blanks are one.
func TestWhatTheGatewayChanged(t *testing.T) {
	t.Parallel()
	d, err := DiffRows(twoMessages(inviteA, inviteB), 1, 3)
	if err != nil {
		t.Fatal(err)
	}
	want := []DiffChange{
		{PartStart, "", OpChanged, "INVITE sip:bob@gw.example SIP/2.0", "INVITE sip:bob@trunk.example SIP/2.0"},
		{PartHeader, "Via", OpChanged, "SIP/2.0/TLS a;branch=z9hG4bK1", "SIP/2.0/TLS g;branch=z9hG4bK2"},
		{PartHeader, "Via", OpRemoved, "SIP/2.0/TLS z", ""},
		{PartHeader, "Via", OpRemoved, "SIP/2.0/UDP y", ""},
		{PartHeader, "Call-ID", OpChanged, "a1", "b1"},
		{PartHeader, "Allow", OpRemoved, "ACK", ""},
		{PartHeader, "Allow", OpAdded, "", "REFER"},
		{PartHeader, "X-Thing", OpChanged, "a;b;c", "b;a;c"},
		{PartHeader, "Subject", OpChanged, "a;b", "b;a"},
		{PartHeader, "Max-Forwards", OpChanged, "70", "69"},
		{PartHeader, "Content-Length", OpChanged, "62", "80"},
		{PartSDP, "o", OpChanged, "o=- 1 1 IN IP4 192.0.2.1", "o=- 9 1 IN IP4 10.0.0.1"},
		{PartSDP, "c", OpAdded, "", "c=IN IP4 10.0.0.1"},
	}
	if !slices.Equal(d.Changes, want) {
		t.Errorf("got\n%s\nwant\n%s", listed(d.Changes), listed(want))
	}
	if same := []string{"From", "To", "CSeq", "Supported", "x-same", "Content-Type"}; !slices.Equal(d.Same, same) {
		t.Errorf("the same: %q, want %q", d.Same, same)
	}
	if d.A.Address != "call/41/row/1" || d.B.Hop != "B" || d.B.To != "trunk" {
		t.Errorf("sides %+v, %+v", d.A, d.B)
	}
}

func listed(changes []DiffChange) string {
	var b strings.Builder
	for _, c := range changes {
		fmt.Fprintf(&b, "%+v\n", c)
	}
	return b.String()
}

// TestTheOrderOfAHeadersValuesCounts: Via, Route and Record-Route are ways, and another order is another way.
func TestTheOrderOfAHeadersValuesCounts(t *testing.T) {
	t.Parallel()
	head := "BYE sip:a SIP/2.0\nCall-ID: x\n"
	for _, c := range []struct {
		a, b string
		want int
	}{
		{"Route: <sip:a>, <sip:b>\n", "Route: <sip:b>\nRoute: <sip:a>\n", 2},
		{"Route: <sip:a>, <sip:b>\n", "Route: <sip:a>\nRoute: <sip:b>\n", 0},
		{"Require: a, b\n", "Require: B\nRequire: A\n", 0},
		{"Allow: BYE\n", "Allow: bye\n", 2},
		{"To: <sip:a;x=1;y=2>\n", "To: <sip:a;y=2;x=1>\n", 1},
		{"To: <sip:a>;x=\"1;2\";y\n", "To: <sip:a> ; Y;x=\"1;2\"\n", 0},
	} {
		d, err := DiffRows(twoMessages(head+c.a+"\n", head+c.b+"\n"), 1, 3)
		if err != nil || len(d.Changes) != c.want {
			t.Errorf("%q against %q: %v, %d changes, want %d:\n%s", c.a, c.b, err, len(d.Changes), c.want, listed(d.Changes))
		}
	}
}

// TestDiffsThatCannotBe names the row and the cause.
func TestDiffsThatCannotBe(t *testing.T) {
	t.Parallel()
	f := twoMessages(inviteA, inviteB)
	for _, c := range []struct {
		a, b int
		want string
	}{
		{1, 2, `row 2 of call 41, "route", is no SIP message`},
		{4, 1, "call 41 has no row 4; its rows are 1 to 3"},
		{1, 0, "no row 0"},
	} {
		if d, err := DiffRows(f, c.a, c.b); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%d, %d: got %+v, %v", c.a, c.b, d, err)
		}
	}
}

// TestDiffText wants it as it is printed.
func TestDiffText(t *testing.T) {
	t.Parallel()
	text := func(a, b string, o Options) string {
		d, err := DiffRows(twoMessages(a, b), 1, 3)
		if err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		if err := DiffText(&out, d, o); err != nil {
			t.Fatal(err)
		}
		return out.String()
	}
	got := text(inviteA, inviteB, Options{Width: 100})
	for _, want := range []string{
		"call 41: row 1, INVITE (SDP), phone > gateway on hop A against row 3, INVITE (SDP), gateway > trunk\n  on hop B\n",
		"start line\n  - INVITE sip:bob@gw.example SIP/2.0\n  + INVITE sip:bob@trunk.example SIP/2.0\nVia\n  - SIP/2.0/TLS a;",
		"SDP\n  - o=- 1 1 IN IP4 192.0.2.1\n  + o=- 9 1 IN IP4 10.0.0.1\n  + c=IN IP4 10.0.0.1\nthe same in both: From, To,",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no\n%s\nin\n%s", want, got)
		}
	}
	if got := text(inviteA, inviteA, Options{ASCII: true}); !strings.Contains(got, "They say the same.") {
		t.Errorf("got %s", got)
	}
	if got := text("BYE sip:\x1b[2J SIP/2.0\n\n", "BYE x SIP/2.0\n\n", Options{}); strings.Contains(got, "\x1b") {
		t.Errorf("got %q", got)
	}
}

// FuzzDiff wants that applying the changes of any two messages is possible: each value that is gone was in the first, each
// that came is in the second, a message against itself has none, and the work is bounded.
func FuzzDiff(f *testing.F) {
	f.Add(inviteA, inviteB)
	f.Add("a\n\n", strings.Repeat("b: c\n", 50)+"\nbody")
	f.Fuzz(func(t *testing.T, a, b string) {
		flow := twoMessages(a, b)
		if len(flow.Rows[0].Raw) == 0 || len(flow.Rows[2].Raw) == 0 {
			return
		}
		if d, err := DiffRows(flow, 1, 1); err != nil || len(d.Changes) > 0 {
			t.Fatalf("against itself: %v\n%s", err, listed(d.Changes))
		}
		d, err := DiffRows(flow, 1, 3)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range d.Changes {
			if c.Op == OpAdded != (c.A == "") && c.B != "" && c.A != "" || c.Op == "" || c.Part == "" {
				t.Errorf("%+v", c)
			}
		}
		if _, err := json.Marshal(d); err != nil {
			t.Error(err)
		}
		if err := DiffText(&bytes.Buffer{}, d, Options{Width: 60}); err != nil {
			t.Error(err)
		}
	})
}
