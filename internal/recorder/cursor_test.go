package recorder

import (
	"bytes"
	"testing"

	"github.com/sallyport-sip/sallyport/internal/callflow"
)

// A cursor gives each event that comes after it was made, once and in order, with its bytes.
func TestCursorGivesEachEventOnce(t *testing.T) {
	r := New(Config{Bytes: 1 << 20})
	fill(r, 10)
	c := r.Cursor()
	if got := c.Next(); got != nil {
		t.Fatalf("%d events from before", len(got))
	}
	for round := range 3 {
		sent := fill(r, 300)
		var got [][]byte
		var last uint64
		for events := c.Next(); events != nil; events = c.Next() {
			if len(events) > batch {
				t.Fatalf("%d events at once", len(events))
			}
			for _, e := range events {
				if last != 0 && e.Seq != last+1 {
					t.Fatalf("event %d after %d", e.Seq, last)
				}
				if last = e.Seq; e.Kind == callflow.Message {
					if e.Link == nil || e.Link.ID != 1 {
						t.Fatalf("event %d has link %v", e.Seq, e.Link)
					}
					got = append(got, bytes.Clone(e.Raw)) // which is good until the next batch only
				}
			}
		}
		if len(got) != len(sent) {
			t.Fatalf("round %d: %d messages, want %d", round, len(got), len(sent))
		}
		for i := range sent {
			if !bytes.Equal(got[i], sent[i]) {
				t.Fatalf("message %d is %q, want %q", i, got[i], sent[i])
			}
		}
	}
	if c.Lost() != 0 {
		t.Errorf("%d lost", c.Lost())
	}
}

// Who reads too slowly loses the oldest and is told how many.
func TestCursorTooSlow(t *testing.T) {
	r := New(Config{Bytes: 64 << 10})
	c := r.Cursor()
	const messages = 2000
	fill(r, messages)
	n := 0
	for events := c.Next(); events != nil; events = c.Next() {
		n += len(events)
	}
	if all := messages + messages/10; n == 0 || c.Lost() == 0 || n+int(c.Lost()) != all {
		t.Errorf("%d read and %d lost, want %d in all", n, c.Lost(), all)
	}
}
