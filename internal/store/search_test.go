package store

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

// TestSearchFindsAllAndNothingElse compares what a search finds, by the filters of the parts and by columns, with what looking at each record
// finds.
func TestSearchFindsAllAndNothingElse(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, Options{})
	var all []*CDR
	for i := range 3 * partCalls {
		c := sample(s.NewID(), i, Ended)
		c.Run, c.Call = "k3f9qz", uint64(i)
		switch {
		case i%97 == 5:
			c.State, c.Cause = Refused, Cause{SIP: 503, Text: "expired"}
			c.Out[0].Code, c.Out[0].Reason = 0, "certificate_expired"
			c.Called = fmt.Sprintf("+86%09d", i)
		case i%31 == 7: // the first target refused, the second answered
			c.Out = append([]Leg{{Peer: "branch", CallID: fmt.Sprintf("lost-%d", i), Code: 486}}, c.Out...)
		case i == 1000:
			c.Run = ""
		}
		all = append(all, c)
		s.Put(c)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for _, f := range []Filter{
		{Number: "+86*"}, {Number: "+860000*"}, {Number: "+86000000005"}, {Number: "+8*"}, {Number: "+*"}, {Number: "*"}, {Number: "+4930123*"}, {Number: "+861*"},
		{Number: "+860000000050000*"}, {Reason: "503"}, {Reason: "486"}, {Reason: "48"}, {Reason: "certificate_expired"}, {Reason: "certificate"},
		{Reason: "q850:16", Limit: 5}, {Reason: "q850:17"}, {Reason: "unknown_ca"}, {Flow: "k3f9qz-5"}, {Flow: "k3f9qz-1000"}, {Flow: "-1000"}, {Flow: "k3f9qz-9999"},
		{Flow: "zzzzzz-5"}, {Flow: "5"}, {Number: "+86*", Reason: "503", Peer: "acme", Limit: 7}, {CallID: "lost-7", Reason: "486"}, {Peer: "branch", Oldest: true, Limit: 3},
	} {
		var want, got []string
		for _, c := range all {
			if f.wants(c) {
				want = append(want, c.ID)
			}
		}
		if !f.Oldest {
			slices.Reverse(want)
		}
		if f.Limit > 0 {
			want = want[:min(len(want), f.Limit)]
		}
		for c, err := range Query(dir, f) {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, c.ID)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%+v finds %d, want %d", f, len(got), len(want))
		}
	}
	if f := (Filter{Reason: "503"}); !f.wants(all[5]) || f.wants(all[6]) {
		t.Error("the test does not tell calls apart")
	}
}

// TestSearchInAnOlderTable: what an older program has left is found by what it has, before a gateway has brought it up to date and after.
func TestSearchInAnOlderTable(t *testing.T) {
	dir := t.TempDir()
	d := older(t, dir, 2)
	c := sample(FormatID(1<<40), 1, Ended)
	c.State, c.Cause = Refused, Cause{SIP: 503}
	p := newPart(0)
	p.add(1<<40, c)
	if err := d.exec("INSERT INTO parts VALUES (0, ?, 1, ?, ?, ?)", p.last, p.from, p.to, p.bloom); err != nil {
		t.Fatal(err)
	}
	if err := d.exec("INSERT INTO calls VALUES (?, ?, 1, 'refused', ?, NULL, NULL, ?, ?, '', 'office', '', 'acme', '', 1, '', 503, 0, '', ?)",
		int64(1<<40), c.ID, c.Began.UnixMilli(), c.Caller, c.Called, string(appendJSON(nil, c))); err != nil {
		t.Fatal(err)
	}
	look := func(when string) {
		t.Helper()
		for _, tt := range []struct {
			f    Filter
			want int
		}{{Filter{Number: c.Caller[:6] + "*"}, 1}, {Filter{Reason: "503"}, 1}, {Filter{Reason: "404"}, 0}, {Filter{Flow: "k3f9qz-1"}, 0}, {Filter{Number: "+1*"}, 0}} {
			n := 0
			for _, err := range Query(dir, tt.f) {
				if err != nil {
					t.Fatal(when, err)
				}
				n++
			}
			if n != tt.want {
				t.Errorf("%s: %+v finds %d, want %d", when, tt.f, n, tt.want)
			}
		}
	}
	look("before")
	s := open(t, dir, Options{Now: func() time.Time { return c.Began.Add(time.Hour) }})
	look("after")
	shut(t, s)
}
