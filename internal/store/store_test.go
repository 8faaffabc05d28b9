package store

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

// life puts the states of one call.
func life(s *Store, n int, all ...State) string {
	id := s.NewID()
	for _, state := range all {
		s.Put(sample(id, n, state))
	}
	return id
}

func TestLivesOfRecords(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, Options{})
	var ids []string
	for n, all := range [][]State{{Opened, Answered, Ended}, {Opened, Answered}, {Opened}, {Refused}} {
		ids = append(ids, life(s, n, all...))
	}
	want := []State{Ended, Answered, Opened, Refused}
	durable(t, s, sample(s.NewID(), 9, Ended))
	if got := states(list(t, dir, Filter{Oldest: true, Limit: 4})); !slices.Equal(got, want) {
		t.Errorf("from the journal: %v, want %v", got, want)
	}
	shut(t, s)
	if got := states(list(t, dir, Filter{Oldest: true, Limit: 4})); !slices.Equal(got, want) {
		t.Errorf("from the table: %v, want %v", got, want)
	}
	s = open(t, dir, Options{})
	got := list(t, dir, Filter{Oldest: true, Limit: 4})
	if now := states(got); !slices.Equal(now, []State{Ended, Interrupted, Interrupted, Refused}) {
		t.Errorf("after a restart: %v", now)
	}
	whole := sample(ids[0], 0, Ended)
	if !reflect.DeepEqual(got[0], whole) {
		t.Errorf("got  %+v\nwant %+v", got[0], whole)
	}
	if c := got[1]; c.ID != ids[1] || c.EndedBy != "gateway" || !c.Ended.IsZero() || !strings.Contains(c.Cause.Text, "after 2026-03-01 08:") {
		t.Errorf("interrupted: %+v", c)
	}
	if id := s.NewID(); id <= ids[3] {
		t.Errorf("the new run gives the ID %s, the last one gave %s", id, ids[3])
	}
}

// TestKilled ends runs as kill -9 does, at any point of the way to the table, and wants every record that was durable
// exactly once.
func TestKilled(t *testing.T) {
	dir := t.TempDir()
	want := map[string]bool{}
	for run := range 8 {
		o := Options{}
		if run%2 == 0 {
			o.moveAfter = time.Millisecond
		}
		s := open(t, dir, o)
		var all []*CDR
		for n := range 50 {
			c := sample(s.NewID(), n, Opened)
			s.Put(c)
			if n%5 != 0 {
				c.State = Ended
			}
			want[c.ID] = n%5 == 0
			all = append(all, c)
		}
		durable(t, s, all...)
		if run%2 == 0 { // after it was moved, too
			soon(t, "the journal is in the table", func() bool { return rows(t, dir) == len(want) })
		}
		if run%3 == 0 {
			wantOnce(t, dir, want, Opened) // while it runs
		}
		kill(t, s)
		for id, still := range want {
			want[id] = still && slices.ContainsFunc(all, func(c *CDR) bool { return c.ID == id })
		}
		wantOnce(t, dir, want, Opened) // when nobody runs
		for id := range want {
			want[id] = false
		}
	}
}

// rows is how many there are in the table.
func rows(t *testing.T, dir string) int {
	t.Helper()
	d, err := openReader(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	n, err := d.number("SELECT count(*) FROM calls")
	if err != nil {
		t.Fatal(err)
	}
	return int(n)
}

// wantOnce wants each record of want once, and the true ones in that state.
func wantOnce(t *testing.T, dir string, want map[string]bool, state State) {
	t.Helper()
	seen := map[string]int{}
	for _, c := range list(t, dir, Filter{}) {
		seen[c.ID]++
		if want[c.ID] != (c.State == state) {
			t.Errorf("%s is %s", c.ID, c.State)
		}
	}
	for id := range want {
		if seen[id] != 1 {
			t.Errorf("%s is there %d times", id, seen[id])
		}
	}
	if len(seen) != len(want) {
		t.Errorf("%d records, want %d", len(seen), len(want))
	}
}

// Who called whom is for the owner alone, whatever the mode of the directory.
func TestNobodyElseMayRead(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("files have no mode bits there")
	}
	dir := t.TempDir()
	s := open(t, dir, Options{})
	s.Put(sample(s.NewID(), 1, Ended))
	files, err := os.ReadDir(dir)
	if err != nil || len(files) < 4 {
		t.Fatalf("%v: %v", files, err)
	}
	for _, f := range files {
		if info, err := f.Info(); err != nil || info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s: %v, %v", f.Name(), info.Mode(), err)
		}
	}
}

func TestSecondGateway(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, Options{})
	if _, err := Open(dir, Options{}); err == nil || !strings.Contains(err.Error(), "a gateway that runs already writes there") {
		t.Errorf("the second one got %v", err)
	}
	shut(t, s)
	open(t, dir, Options{})
}

func TestNewerTable(t *testing.T) {
	dir := t.TempDir()
	shut(t, open(t, dir, Options{}))
	d, err := openDB(dir, "rw")
	if err != nil {
		t.Fatal(err)
	}
	if err := d.exec(fmt.Sprintf("PRAGMA user_version = %d", len(schema)+1)); err != nil {
		t.Fatal(err)
	}
	d.Close()
	if _, err := Open(dir, Options{}); err == nil || !strings.Contains(err.Error(), "newer sallyport") {
		t.Errorf("Open: %v", err)
	}
	for _, err := range Query(dir, Filter{}) {
		if err == nil || !strings.Contains(err.Error(), "newer sallyport") {
			t.Errorf("Query: %v", err)
		}
	}
}

func TestNothingThere(t *testing.T) {
	for _, dir := range []string{t.TempDir(), filepath.Join(t.TempDir(), "none")} {
		n := 0
		for c, err := range Query(dir, Filter{}) {
			n++
			if c != nil || err == nil {
				t.Errorf("%v, %v, want an error", c, err)
			}
		}
		if n != 1 {
			t.Errorf("%d pairs, want one", n)
		}
	}
	dir := t.TempDir()
	open(t, dir, Options{})
	if got := list(t, dir, Filter{}); len(got) != 0 {
		t.Errorf("found %v in a new store", got)
	}
}

// TestFilters asks for the same records when they are in the table, in the journal, and in both.
func TestFilters(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, Options{})
	at := time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC)
	var all []*CDR
	for n := range 1300 {
		c := sample(s.NewID(), n, Ended)
		c.Began = at.Add(time.Duration(n) * time.Second)
		switch {
		case n%100 == 1:
			c.State = Refused
		case n%100 == 2:
			c.State = Interrupted
		}
		if n == 700 { // tried two targets
			c.Out = append([]Leg{{Peer: "backup", CallID: "tried@gw", Code: 503}}, c.Out...)
		}
		if n == 42 {
			c.Caller, c.Called = "+4930", "+49301"
		}
		all = append(all, c)
	}
	check := func(t *testing.T) {
		for _, f := range []Filter{
			{}, {Limit: 7}, {Since: at.Add(time.Second * 1200)}, {Since: at.Add(100 * time.Second), Until: at.Add(200 * time.Second)},
			{Number: all[900].Caller}, {Number: all[900].Called}, {Number: "+4930"}, {Number: "+4930*", Limit: 3}, {Number: "+49301*"}, {Number: "nobody"}, {Number: "*", Limit: 2},
			{Peer: "office"}, {Peer: "backup"}, {Peer: "nobody"}, {CallID: "tried@gw"}, {CallID: all[77].In.CallID}, {CallID: all[77].Out[0].CallID},
			{State: Refused}, {State: Refused, Limit: 4}, {Failed: true}, {Failed: true, Peer: "acme", Since: at.Add(1000 * time.Second)},
		} {
			for _, f.Oldest = range []bool{true, false} {
				var want []*CDR
				for _, c := range all {
					if f.wants(c) {
						want = append(want, c)
					}
				}
				if !f.Oldest {
					slices.Reverse(want)
				}
				if f.Limit > 0 {
					want = want[:min(f.Limit, len(want))]
				}
				got := list(t, dir, f)
				if !slices.EqualFunc(got, want, func(a, b *CDR) bool { return a.ID == b.ID && a.State == b.State }) {
					t.Errorf("%+v: found %d, want %d", f, len(got), len(want))
				}
			}
		}
	}
	half := len(all) / 2
	durable(t, s, all[:half]...)
	shut(t, s)
	s = open(t, dir, Options{})
	all[3].State = Refused // a row that the journal replaces
	durable(t, s, append(all[half:], all[3])...)
	t.Run("both", check)
	kill(t, s)
	t.Run("killed", check)
	shut(t, open(t, dir, Options{}))
	t.Run("table", check)
}

func TestFilterWants(t *testing.T) {
	c := sample("", 1, Ended)
	for _, tt := range []struct {
		name string
		f    Filter
		want bool
	}{
		{"all", Filter{}, true},
		{"from when it began", Filter{Since: c.Began}, true},
		{"after it began", Filter{Since: c.Began.Add(1)}, false},
		{"until it began", Filter{Until: c.Began}, false},
		{"the caller", Filter{Number: c.Caller}, true},
		{"the called", Filter{Number: c.Called}, true},
		{"part of a number", Filter{Number: c.Called[:5]}, false},
		{"prefix", Filter{Number: c.Called[:5] + "*"}, true},
		{"the caller's peer", Filter{Peer: "office"}, true},
		{"the target", Filter{Peer: "acme"}, true},
		{"another peer", Filter{Peer: "backup"}, false},
		{"the caller's Call-ID", Filter{CallID: c.In.CallID}, true},
		{"another Call-ID", Filter{CallID: "x"}, false},
		{"its state", Filter{State: Ended}, true},
		{"another state", Filter{State: Opened}, false},
		{"failed", Filter{Failed: true}, false},
	} {
		if got := tt.f.wants(c); got != tt.want {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
}

func TestFollow(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, Options{})
	life(s, 1, Opened, Ended)
	durable(t, s, sample(s.NewID(), 2, Ended))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	got := make(chan *CDR, 100)
	began, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		fo := &follower{dir: dir}
		if err := fo.begin(); err != nil { // as Follow does, so that the test knows when it stands at the end
			t.Error(err)
		}
		fo.close()
		close(began)
		for c, err := range Follow(ctx, dir, Filter{Peer: "acme"}) {
			if err != nil {
				t.Error(err)
				return
			}
			got <- c
		}
	}()
	<-began
	var first string
	soon(t, "the follower follows", func() bool { // what is put before it stands at the end is not told
		first = s.NewID()
		durable(t, s, sample(first, 3, Opened))
		select {
		case <-got:
			return true
		case <-time.After(2 * pollEvery):
			return false
		}
	})
	wantNext := func(id string, state State) {
		t.Helper()
		for {
			select {
			case c := <-got:
				if c.ID == id && c.State == state {
					return
				}
			case <-time.After(20 * time.Second):
				t.Fatalf("%s did not become %s", id, state)
			}
		}
	}
	s.Put(sample(first, 3, Answered))
	s.Put(sample(first, 3, Ended))
	wantNext(first, Answered)
	wantNext(first, Ended)
	still := life(s, 4, Opened)
	other := sample(s.NewID(), 5, Ended)
	other.Out = nil // of no peer that is followed
	durable(t, s, other)
	wantNext(still, Opened)
	kill(t, s)
	s = open(t, dir, Options{})
	last := life(s, 6, Ended)
	wantNext(still, Interrupted)
	wantNext(last, Ended)
	cancel()
	<-ended
	for range len(got) {
		if c := <-got; c.ID == other.ID {
			t.Error("the follower was told of a call that it does not follow")
		}
	}
}

func TestKeep(t *testing.T) {
	dir := t.TempDir()
	now := time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)
	s := open(t, dir, Options{Now: func() time.Time { return now }})
	var ids []string
	for n := range 2500 { // one every ten milliseconds from 08:00
		state := Ended
		if n == 5 {
			state = Answered
		}
		c := sample(FormatID(firstID(now.Add(-time.Hour+time.Duration(n)*10*time.Millisecond))+int64(n)), n, state)
		s.Put(c)
		ids = append(ids, c.ID)
	}
	shut(t, s)
	// Those that ended an hour before the 1800th did, which is 18 s and 63 s after 08:00, are deleted.
	now = time.Date(2026, 3, 1, 9, 1, 21, 0, time.UTC)
	s = open(t, dir, Options{Now: func() time.Time { return now }})
	s.m.before = 0
	kill(t, s) // so that the test can do what the goroutine does
	if err := s.m.open(); err != nil {
		t.Fatal(err)
	}
	defer s.m.close()
	s.o.Keep = time.Hour
	rounds := 1
	for s.m.sweep() < time.Second {
		rounds++
	}
	got := list(t, dir, Filter{Oldest: true})
	// The fifth was still up and became interrupted when the store was opened: it counts from when it began.
	if len(got) != 700 || got[0].ID != ids[1800] || rounds < 3 {
		t.Errorf("%d are kept, the first is %s, in %d rounds; want 700 from %s", len(got), got[0].ID, rounds, ids[1800])
	}
	if n, err := s.m.d.number("SELECT count(*) FROM parts"); err != nil || n != 2 {
		t.Errorf("%d parts are left, %v, want 2", n, err)
	}
}

func TestReadOnlyDirectory(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, Options{})
	id := life(s, 1, Ended)
	shut(t, s)
	os.Chmod(dir, 0o500)
	defer os.Chmod(dir, 0o700)
	if got := list(t, dir, Filter{}); len(got) != 1 || got[0].ID != id {
		t.Errorf("found %v", got)
	}
	if entries, _ := filepath.Glob(filepath.Join(dir, tableName+"-*")); len(entries) > 0 && os.Getuid() != 0 {
		t.Errorf("left %v", entries)
	}
}
