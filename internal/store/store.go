package store

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"iter"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Options are what a store is opened with.
type Options struct {
	Now   func() time.Time // nil: time.Now
	Log   *slog.Logger     // nil: no log
	Alarm func(error)      // called when the disk takes no records, and with nil when it does again; nil: nobody
	Keep  time.Duration    // rows of calls that ended longer ago are deleted; 0: none
}

// A Store takes the records of a running gateway. It is safe for all shards.
type Store struct {
	o Options

	mu   sync.Mutex // guards the following
	file *os.File
	last int64 // the newest ID
}

// Open opens the store in dir, which must exist. Records that an earlier run
// left open become Interrupted.
func Open(dir string, o Options) (*Store, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	s := &Store{o: o}
	for c, err := range Query(dir, Filter{}) {
		if err != nil {
			return nil, err
		}
		if n, err := strconv.ParseInt(c.ID, 36, 64); err == nil {
			s.last = max(s.last, n)
		}
	}
	f, err := os.OpenFile(filepath.Join(dir, "cdr.jsonl"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	s.file = f
	for c, err := range Query(dir, Filter{}) {
		if err == nil && !c.State.Over() {
			c.State = Interrupted
			c.Cause.Text = "the gateway ended without being told to"
			s.Put(c)
		}
	}
	return s, nil
}

// NewID returns the ID of a new record: unique among all runs on the same
// directory, and sorted by time when sorted as text.
func (s *Store) NewID() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last = max(s.last+1, s.o.Now().UnixMilli()<<21)
	return strings.ToLower(strconv.FormatInt(s.last, 36))
}

// Put takes the newest state of a record, which replaces that with the same
// ID. It never waits for the disk; c is the caller's again when it returns.
func (s *Store) Put(c *CDR) { s.PutDurable(c, nil) }

// PutDurable is Put, and calls done, in any goroutine, when the record is on
// the disk, or with an error when the disk takes none.
func (s *Store) PutDurable(c *CDR, done func(error)) {
	line, err := json.Marshal(c)
	if err == nil {
		s.mu.Lock()
		_, err = s.file.Write(append(line, '\n'))
		s.mu.Unlock()
	}
	if done != nil {
		done(err)
	}
}

// Close returns when everything is on the disk.
func (s *Store) Close() error { return errors.Join(s.file.Sync(), s.file.Close()) }

// A Filter says which records are wanted: those of which everything that is
// set is so.
type Filter struct {
	Since, Until time.Time // when the call began; Until itself is not included
	Number       string    // caller or called; a prefix when it ends in *
	Peer         string    // of any leg
	CallID       string    // of any leg
	State        State
	Failed       bool // refused, or interrupted
	Oldest       bool // oldest first, else newest first
	Limit        int  // 0: all
}

// Query returns records of the store in dir, also while a gateway writes
// there.
func Query(dir string, f Filter) iter.Seq2[*CDR, error] {
	return func(yield func(*CDR, error) bool) {
		text, err := os.ReadFile(filepath.Join(dir, "cdr.jsonl"))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			yield(nil, err)
			return
		}
		newest := map[string]*CDR{}
		lines := bufio.NewScanner(bytes.NewReader(text))
		for lines.Scan() {
			c := &CDR{}
			if json.Unmarshal(lines.Bytes(), c) == nil {
				newest[c.ID] = c
			}
		}
		var all []*CDR
		for _, c := range newest {
			if f.wants(c) {
				all = append(all, c)
			}
		}
		slices.SortFunc(all, func(a, b *CDR) int { return strings.Compare(a.ID, b.ID) })
		if !f.Oldest {
			slices.Reverse(all)
		}
		for i, c := range all {
			if f.Limit > 0 && i >= f.Limit || !yield(c, nil) {
				return
			}
		}
	}
}

// Follow returns the states that records get from now on, until ctx ends.
func Follow(ctx context.Context, dir string, f Filter) iter.Seq2[*CDR, error] {
	return func(yield func(*CDR, error) bool) {
		seen := map[string]State{}
		for first := true; ; first = false {
			for c, err := range Query(dir, Filter{Oldest: true}) {
				fresh := err != nil || seen[c.ID] != c.State && f.wants(c)
				if err == nil {
					seen[c.ID] = c.State
				}
				if fresh && !first && !yield(c, err) {
					return
				}
			}
			select {
			case <-ctx.Done():
				return
			case <-time.After(200 * time.Millisecond):
			}
		}
	}
}

func (f Filter) wants(c *CDR) bool {
	legs := append([]Leg{c.In}, c.Out...)
	some := func(what string, of func(Leg) string) bool {
		return what == "" || slices.ContainsFunc(legs, func(l Leg) bool { return of(l) == what })
	}
	return (f.Since.IsZero() || !c.Began.Before(f.Since)) && (f.Until.IsZero() || c.Began.Before(f.Until)) &&
		(matches(f.Number, c.Caller) || matches(f.Number, c.Called)) &&
		some(f.Peer, func(l Leg) string { return l.Peer }) && some(f.CallID, func(l Leg) string { return l.CallID }) &&
		(f.State == "" || f.State == c.State) && (!f.Failed || c.State == Refused || c.State == Interrupted)
}

func matches(pattern, number string) bool {
	prefix, open := strings.CutSuffix(pattern, "*")
	return pattern == "" || number == prefix || open && strings.HasPrefix(number, prefix)
}
