package store

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestFullDisk fills the disk under calls: they go on, one alarm says so, and every record follows when there is room.
func TestFullDisk(t *testing.T) {
	for _, tt := range []struct {
		name   string
		err    error
		torn   int
		remedy string
	}{
		{"full", syscall.ENOSPC, 0, "free some space"},
		{"full in the midst of a write", syscall.ENOSPC, 700, "free some space"},
		{"read-only", syscall.EROFS, 0, "mount the file system for writing"},
		{"faulty", syscall.EIO, 100, "the system's log"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir, d, a := t.TempDir(), &disk{}, &alarm{}
			s := open(t, dir, Options{OpenFile: d.open, Alarm: a.raise})
			first := life(s, 1, Opened)
			durable(t, s, sample(s.NewID(), 2, Ended))
			d.set(tt.err, tt.torn)
			var ids []string
			for n := range 20 {
				ids = append(ids, life(s, 10+n, Opened, Answered))
			}
			s.Put(sample(first, 1, Ended))
			soon(t, "there is an alarm", func() bool { return len(a.all()) == 1 })
			told := make(chan error, 1)
			s.PutDurable(sample(s.NewID(), 3, Ended), func(err error) { told <- err })
			if err := <-told; !errors.Is(err, tt.err) {
				t.Errorf("PutDurable got %v, want %v", err, tt.err)
			}
			if st := s.Stats(); !st.Failing || st.Waiting == 0 || st.Lost != 0 {
				t.Errorf("stats %+v", st)
			}
			if err := a.all()[0]; !errors.Is(err, tt.err) || !strings.Contains(err.Error(), dir) || !strings.Contains(err.Error(), tt.remedy) {
				t.Errorf("the alarm says %v", err)
			}
			d.set(nil, 0)
			soon(t, "the alarm is over", func() bool { return len(a.all()) == 2 })
			if a.all()[1] != nil {
				t.Errorf("the alarm changed to %v, want none", a.all()[1])
			}
			kill(t, s)
			got := list(t, dir, Filter{Oldest: true})
			want := append(append([]State{Ended, Ended}, slices.Repeat([]State{Answered}, len(ids))...), Ended)
			if !slices.Equal(states(got), want) {
				t.Errorf("found %v, want %v", states(got), want)
			}
			if st := s.Stats(); st.Failing || st.Waiting != 0 {
				t.Errorf("stats afterwards %+v", st)
			}
		})
	}
}

// TestWriteThatFailsWakesWaiters fails the very write that somebody waits for, and its sync.
func TestWriteThatFailsWakesWaiters(t *testing.T) {
	dir, d := t.TempDir(), &disk{}
	s := open(t, dir, Options{OpenFile: d.open})
	for _, set := range []func(error){
		func(err error) { d.set(err, 0) },
		func(err error) { d.mu.Lock(); d.nosync = err; d.mu.Unlock() },
	} {
		set(syscall.EIO)
		done := make(chan error, 1)
		s.PutDurable(sample(s.NewID(), 1, Ended), func(err error) { done <- err })
		if err := <-done; !errors.Is(err, syscall.EIO) {
			t.Errorf("got %v, want the disk's error", err)
		}
		set(nil)
		soon(t, "the disk is used again", func() bool { return !s.Stats().Failing })
	}
}

// TestMemoryIsBounded puts more than memory may take while the disk takes nothing.
func TestMemoryIsBounded(t *testing.T) {
	dir, d, a := t.TempDir(), &disk{}, &alarm{}
	const room = 1 << 20
	s := open(t, dir, Options{OpenFile: d.open, Alarm: a.raise, memory: room})
	d.set(syscall.ENOSPC, 0)
	c := sample(s.NewID(), 1, Ended)
	c.In.Text = strings.Repeat("x", maxText)
	s.Put(c)
	soon(t, "there is an alarm", func() bool { return len(a.all()) == 1 })
	put := 1
	for ; s.Stats().Lost == 0 && put < 100000; put++ {
		c.ID = s.NewID()
		s.Put(c)
		if put%20 == 0 {
			time.Sleep(time.Millisecond) // the writer gathers
		}
	}
	if st := s.Stats(); st.Lost == 0 || st.Waiting > 2*room+room/8 {
		t.Fatalf("after %d records: %+v", put, st)
	}
	soon(t, "the alarm tells of the loss", func() bool { all := a.all(); return strings.Contains(all[len(all)-1].Error(), "the oldest are lost") })
	lost := s.Stats().Lost
	d.set(nil, 0)
	soon(t, "all are written", func() bool { return s.Stats().Waiting == 0 })
	kill(t, s)
	got := list(t, dir, Filter{Limit: 1})
	if len(got) != 1 || got[0].ID != c.ID && lost == s.Stats().Lost {
		t.Errorf("the newest record is not there, %d are lost", s.Stats().Lost)
	}
}

// TestMemoryKeepsNewestStates gives a record so many states that only its newest one has room.
func TestMemoryKeepsNewestStates(t *testing.T) {
	dir, d := t.TempDir(), &disk{}
	const room = 1 << 20
	s := open(t, dir, Options{OpenFile: d.open, memory: room})
	d.set(syscall.ENOSPC, 0)
	c := sample(s.NewID(), 1, Opened)
	c.In.Text = strings.Repeat("x", maxText)
	early := life(s, 1, Opened)
	for n := range 2000 { // 5 MB
		s.Put(c)
		if n%20 == 0 {
			soon(t, "the writer gathers", func() bool { s.mu.Lock(); defer s.mu.Unlock(); return len(s.pending) < room/8 })
		}
	}
	if st := s.Stats(); st.Lost > 0 || st.Waiting > 2*room {
		t.Errorf("stats %+v", st)
	}
	d.set(nil, 0)
	soon(t, "all are written", func() bool { return s.Stats().Waiting == 0 })
	if got := list(t, dir, Filter{Oldest: true}); len(got) != 2 || got[1].ID != early {
		t.Errorf("found %d records, want 2", len(got))
	}
}

// TestTableFull lets the database grow no further: records stay in the journal, with an alarm, and follow.
func TestTableFull(t *testing.T) {
	dir, a := t.TempDir(), &alarm{}
	shut(t, open(t, dir, Options{}))
	s := open(t, dir, Options{Alarm: a.raise, moveAfter: time.Millisecond})
	if err := s.m.d.exec("PRAGMA max_page_count = 1"); err != nil { // until it is opened again; its goroutine rests
		t.Fatal(err)
	}
	var all []*CDR
	for n := range 200 {
		all = append(all, sample(s.NewID(), n, Ended))
	}
	durable(t, s, all...)
	soon(t, "the alarm came and went", func() bool { return len(a.all()) == 2 })
	if err := a.all()[0]; !errors.Is(err, errFull) || !strings.Contains(err.Error(), "wait in the journal") || a.all()[1] != nil {
		t.Errorf("the alarm says %v", a.all())
	}
	soon(t, "all are in the table", func() bool { return rows(t, dir) == len(all) })
}

// TestReserveKeepsEntries lets files grow that hold entries up to anywhere.
func TestReserveKeepsEntries(t *testing.T) {
	for _, end := range []int{0, 1, 5000, growBy - 1, growBy, growBy + 1, 2*growBy + 5000} {
		f, err := openFile(filepath.Join(t.TempDir(), "journal"))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		held := bytes.Repeat([]byte("x"), end)
		if _, err := f.WriteAt(held, 0); err != nil {
			t.Fatal(err)
		}
		g := &segment{file: f, end: int64(end)}
		for range 2 {
			g.reserve(int64(end) + 100)
			g.size = 0
		}
		got := make([]byte, end+100)
		if _, err := f.ReadAt(got, 0); err != nil || !bytes.Equal(got[:end], held) {
			t.Errorf("up to %d: %v, or other bytes than before", end, err)
		}
	}
}

// TestFullAtStart starts on a disk that is full: the store takes records, and what an earlier run left waits, too.
func TestFullAtStart(t *testing.T) {
	dir, a := t.TempDir(), &alarm{}
	s := open(t, dir, Options{})
	before := life(s, 1, Opened)
	durable(t, s, sample(s.NewID(), 2, Ended))
	kill(t, s)
	if err := os.Rename(dir+"/"+tableName, dir+"/kept"); err != nil {
		t.Fatal(err)
	}
	// A directory in the place of the table is as good as a disk without room for it.
	if err := os.Mkdir(dir+"/"+tableName, 0o700); err != nil {
		t.Fatal(err)
	}
	s = open(t, dir, Options{Alarm: a.raise, probe: func(string) error { return syscall.ENOSPC }})
	after := life(s, 3, Opened, Ended)
	durable(t, s, sample(s.NewID(), 4, Ended))
	soon(t, "there is an alarm", func() bool { return len(a.all()) == 1 })
	if err := os.Remove(dir + "/" + tableName); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(dir+"/kept", dir+"/"+tableName); err != nil {
		t.Fatal(err)
	}
	soon(t, "the alarm is over", func() bool { return len(a.all()) == 2 })
	got := list(t, dir, Filter{Oldest: true})
	if !slices.Equal(states(got), []State{Interrupted, Ended, Ended, Ended}) || got[0].ID != before || got[2].ID != after {
		t.Errorf("found %v", states(got))
	}
}
