package store

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// sample is a record as a call over TLS on both hops leaves it.
func sample(id string, n int, state State) *CDR {
	began := time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC).Add(time.Duration(n) * 10 * time.Millisecond)
	c := &CDR{
		ID: id, Call: uint64(n), State: state, Route: "to acme",
		Caller: fmt.Sprintf("+4930%07d", n*7919%10000000), Called: fmt.Sprintf("+4989%07d", n*104729%10000000),
		Began: began, Verdict: "hop-by-hop",
		In: Leg{
			Peer: "office", CallID: fmt.Sprintf("%016x@192.0.2.7", uint64(n)*0x9e3779b97f4a7c15), Transport: "tls", Remote: "192.0.2.7:49152", Connection: 7,
			TLS: &TLS{Version: "1.3", Suite: "TLS_AES_128_GCM_SHA256", Group: "X25519MLKEM768", Mutual: true, Identity: []string{"sip:office.example"}, Handshake: 3 * time.Millisecond},
		},
		Out: []Leg{{
			Peer: "acme", CallID: fmt.Sprintf("%016x%016x", uint64(n)*0xbf58476d1ce4e5b9, n), Transport: "tls", Remote: "198.51.100.3:5061", Connection: 8,
			TLS:   &TLS{Version: "1.3", Suite: "TLS_AES_128_GCM_SHA256", Group: "X25519MLKEM768", Mutual: true, Identity: []string{"acme.example"}, Handshake: 9 * time.Millisecond},
			To100: 2 * time.Millisecond, To180: 40 * time.Millisecond,
		}},
	}
	if state != Opened {
		c.Out[0].Code, c.Out[0].To200, c.Cause.SIP = 200, 3*time.Second, 200
		c.Answered = began.Add(3 * time.Second)
	}
	if state == Ended {
		c.Ended, c.EndedBy = began.Add(63*time.Second), "caller"
		c.Cause = Cause{SIP: 200, Q850: 16, Reason: `Q.850;cause=16;text="Normal call clearing"`, Text: "the caller hung up"}
	}
	return c
}

// open opens a store and closes it when the test ends.
func open(t testing.TB, dir string, o Options) *Store {
	t.Helper()
	s, err := Open(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { shut(t, s) })
	return s
}

// older makes the table of an older program.
func older(t *testing.T, dir string, version int) *db {
	t.Helper()
	d, err := openDB(dir, "rwc")
	if err == nil {
		err = d.exec(strings.Join(schema[:version], ";") + fmt.Sprintf("; PRAGMA user_version = %d", version))
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, journalNames[0]), nil, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

// shut closes a store, if it is open.
func shut(t testing.TB, s *Store) {
	t.Helper()
	s.mu.Lock()
	closed := s.closed
	s.mu.Unlock()
	if closed {
		return
	}
	if err := s.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
}

// kill ends a store as kill -9 ends its process: nothing that is not in a file by now gets there.
func kill(t testing.TB, s *Store) {
	t.Helper()
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	close(s.stop)
	s.writing.Wait()
	s.moving.Wait()
	s.w.close()
	s.m.close()
	s.lock.Close()
}

// durable puts records and returns when they are on the disk.
func durable(t testing.TB, s *Store, all ...*CDR) {
	t.Helper()
	done := make(chan error, len(all))
	for _, c := range all {
		s.PutDurable(c, func(err error) { done <- err })
	}
	for range all {
		if err := <-done; err != nil {
			t.Fatalf("PutDurable: %v", err)
		}
	}
}

// list returns what a query finds.
func list(t testing.TB, dir string, f Filter) []*CDR {
	t.Helper()
	var found []*CDR
	for c, err := range Query(dir, f) {
		if err != nil {
			t.Fatal(err)
		}
		found = append(found, c)
	}
	return found
}

// states returns the records' states, in order.
func states(all []*CDR) []State {
	var found []State
	for _, c := range all {
		found = append(found, c.State)
	}
	return found
}

// soon waits until something is so.
func soon(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain until %s", what)
		}
	}
}

// A disk makes files that fail when it is told to.
type disk struct {
	mu     sync.Mutex // guards the following
	full   error      // what writes end with; nil: they succeed
	torn   int        // bytes that a failing write leaves in the file
	syncs  int
	nosync error
}

func (d *disk) set(full error, torn int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.full, d.torn = full, torn
}

func (d *disk) open(name string) (File, error) {
	f, err := openFile(name)
	return &diskFile{File: f, d: d}, err
}

type diskFile struct {
	File
	d *disk
}

func (f *diskFile) WriteAt(b []byte, off int64) (int, error) {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	if f.d.full == nil {
		return f.File.WriteAt(b, off)
	}
	n, _ := f.File.WriteAt(b[:min(len(b), f.d.torn)], off)
	return n, f.d.full
}

func (f *diskFile) Sync() error {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	f.d.syncs++
	if f.d.nosync != nil {
		return f.d.nosync
	}
	return f.File.Sync()
}

// An alarm collects what Options.Alarm is called with.
type alarm struct {
	mu   sync.Mutex // guards told
	told []error
}

func (a *alarm) raise(err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.told = append(a.told, err)
}

func (a *alarm) all() []error {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.told)
}
