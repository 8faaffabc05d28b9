package cli

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
)

// stalled is a reader who does not read until it is let.
type stalled struct {
	let chan struct{}
	bytes.Buffer
}

func (s *stalled) Write(b []byte) (int, error) {
	<-s.let
	return s.Buffer.Write(b)
}

func TestLogNeverWaitsForItsReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &stalled{let: make(chan struct{})}
		q := newLogQueue(w)
		for i := range logLines + 100 {
			fmt.Fprintf(q, "line %d\n", i) // would deadlock the bubble if it waited
			if i == 0 {
				synctest.Wait() // the writer has it in hand
			}
		}
		close(w.let)
		q.close()
		got := w.String()
		if !strings.HasPrefix(got, "line 0\nline 1\n") || !strings.Contains(got, "\n99 log lines dropped") || !strings.Contains(got, fmt.Sprintf("line %d\n", logLines)) {
			t.Errorf("got %d bytes, beginning with %.80q", len(got), got)
		}
		if n, err := q.Write([]byte("late\n")); n != 5 || err != nil {
			t.Errorf("a late line: %d, %v", n, err)
		}
	})
}

func TestLogEndsThoughItsReaderHasStalled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &stalled{let: make(chan struct{})}
		q := newLogQueue(w)
		fmt.Fprintln(q, "line")
		q.close() // returns after logPatience
		close(w.let)
		<-q.ended
	})
}
