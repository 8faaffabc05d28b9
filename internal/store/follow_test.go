package store

import (
	"context"
	"slices"
	"testing"
	"time"
)

// Who goes on after a change gets what came since, also what a restart found interrupted, and nothing twice.
func TestFollowFrom(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, Options{})
	first, cut, last := s.NewID(), s.NewID(), s.NewID()
	durable(t, s, sample(first, 1, Ended))
	durable(t, s, sample(cut, 2, Opened))
	follow := func(after uint64, n int) (got []Followed) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		for c, err := range FollowFrom(ctx, dir, after, func(uint64) {}, Filter{}) {
			if err != nil {
				t.Fatal(err)
			}
			if got = append(got, c); len(got) == n {
				return got
			}
		}
		t.Fatalf("after %d: %d changes, want %d", after, len(got), n)
		return nil
	}
	got := follow(1, 2)
	if got[0].ID != first || got[1].ID != cut || got[1].Entry <= got[0].Entry {
		t.Errorf("got %s and %s", got[0].ID, got[1].ID)
	}
	seen := got[1].Entry
	shut(t, s)
	s = open(t, dir, Options{})
	durable(t, s, sample(last, 3, Ended))
	got = follow(seen, 2)
	var states []State
	for _, c := range got {
		states = append(states, c.State)
	}
	if got[0].ID != cut || got[1].ID != last || !slices.Equal(states, []State{Interrupted, Ended}) {
		t.Errorf("got %s, %s as %q", got[0].ID, got[1].ID, states)
	}
	if again := follow(got[0].Entry, 1); again[0].ID != last {
		t.Errorf("after the first of them: %s", again[0].ID)
	}
}
