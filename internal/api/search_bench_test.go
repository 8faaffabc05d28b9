package api

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/sallyport-sip/sallyport/internal/filter"
	"github.com/sallyport-sip/sallyport/internal/store"
)

var searchCalls = flag.Int("calls", 20_000, "recorded calls that BenchmarkSearchMillion searches; the goal of 200 ms is for 1000000")

// BenchmarkSearchMillion is the way from the text of a filter to the lines of a page of a hundred.
func BenchmarkSearchMillion(b *testing.B) {
	calls := *searchCalls
	dir, err := os.MkdirTemp("", "api")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { os.RemoveAll(dir) })
	fillRecords(b, dir, calls)
	s := pastServer(b, dir)
	one := calls / 3
	for _, q := range []struct {
		name, text string
		least      int
	}{
		{"newest", "", 100},
		{"number", fmt.Sprintf("number:+49%09d", one), 1},
		{"prefix of all", "to:+49*", 100},
		{"prefix of one", "number:+8613912*", 1},
		{"Call-ID", fmt.Sprintf("call-id:Out-%d@10.0.0.1", one), 1},
		{"peer of all", "peer:acme", 100},
		{"peer of one", "peer:branch", 1},
		{"TLS reason", "tls.reason:expired", 1},
		{"SIP cause", "code:486", 100},
		{"failed", "state:failed", 1},
		{"failed of a peer", "state:failed peer:branch", 1},
		{"id", fmt.Sprintf("id:past22-%d", one), 1},
		{"since", "since:30d", 100},
		{"since, none", "since:1m", 0},
	} {
		b.Run(q.name, func(b *testing.B) {
			for b.Loop() {
				f, err := filter.Parse(q.text, filter.Options{Now: time.Now(), For: filter.Flows})
				if err != nil {
					b.Fatal(err)
				}
				doc, err := s.searchFlows(context.Background(), &flowQuery{limit: 100, filter: f})
				if err != nil || len(doc.Flows) < q.least {
					b.Fatalf("%v, %d lines, want %d; cut %t", err, len(doc.Flows), q.least, doc.Cut)
				}
			}
		})
	}
}

// fillRecords makes a store of n calls, most of them good, one in a hundred busy, one failed.
func fillRecords(b *testing.B, dir string, n int) {
	b.Helper()
	now := time.Now().Add(-24 * time.Hour)
	data := filepath.Join(dir, "data")
	if err := os.Mkdir(data, 0o700); err != nil {
		b.Fatal(err)
	}
	s, err := store.Open(data, store.Options{Now: func() time.Time { return now }})
	if err != nil {
		b.Fatal(err)
	}
	for i := range n {
		now = now.Add(50 * time.Millisecond)
		c := &store.CDR{ID: s.NewID(), Call: uint64(i), Run: "past22", State: store.Ended, Caller: "alice", Called: fmt.Sprintf("+49%09d", i), Route: "out", EndedBy: "caller",
			Began: now, Answered: now.Add(time.Second), Ended: now.Add(time.Minute), Cause: store.Cause{SIP: 200, Text: "the caller hung up"}, Verdict: "secured",
			In:  store.Leg{Peer: "office", CallID: fmt.Sprintf("In-%d@10.0.0.2", i), Transport: "udp", Remote: "10.0.0.2:5060", Code: 200},
			Out: []store.Leg{{Peer: "acme", CallID: fmt.Sprintf("Out-%d@10.0.0.1", i), Transport: "tls", Remote: "10.0.0.1:5061", Code: 200}}}
		switch {
		case i == n/2:
			c.State, c.Answered, c.Cause = store.Refused, time.Time{}, store.Cause{SIP: 503, Text: "the certificate has expired"}
			c.Called, c.Out[0].Peer, c.Out[0].Code, c.Out[0].Reason = "+8613912345678", "branch", 0, "expired"
		case i%100 == 50:
			c.State, c.Answered, c.Cause = store.Refused, time.Time{}, store.Cause{SIP: 486, Text: "busy"}
		}
		if i%1000 == 999 { // no faster than they are written, lest one be lost
			done := make(chan error, 1)
			s.PutDurable(c, func(err error) { done <- err })
			if err := <-done; err != nil {
				b.Fatal(err)
			}
			continue
		}
		s.Put(c)
	}
	if err := s.Close(); err != nil {
		b.Fatal(err)
	}
}
