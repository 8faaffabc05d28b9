package ship

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sallyport-sip/sallyport/internal/events"
	"github.com/sallyport-sip/sallyport/internal/store"
)

// rig is a store and what ships its records. It waits for real, because the store has files and goroutines of its own.
type rig struct {
	*testing.T
	dir string
	s   *store.Store

	mu     sync.Mutex
	alarms []string
}

func newRig(t *testing.T) *rig {
	r := &rig{T: t, dir: t.TempDir()}
	r.open()
	t.Cleanup(func() { r.s.Close() })
	return r
}

func (r *rig) open() {
	var err error
	if r.s, err = store.Open(r.dir, store.Options{}); err != nil {
		r.Fatal(err)
	}
}

func (r *rig) ship(targets ...Target) *Shipping {
	note := func(text string) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.alarms = append(r.alarms, text)
	}
	s := New(r.dir, Options{Version: "v1", Raise: func(name, text, _ string) { note("raised " + name + ": " + text) }, Clear: func(name string) { note("cleared " + name) }})
	s.Apply(targets)
	r.Cleanup(s.Close)
	return s
}

// call puts a call that is over, and returns its ID.
func (r *rig) call(called string) string {
	id, now := r.s.NewID(), time.Now()
	c := store.CDR{ID: id, State: store.Opened, Caller: "anna", Called: called, Began: now, In: store.Leg{Peer: "office"}}
	r.s.Put(&c)
	c.State, c.Ended, c.Cause = store.Refused, now, store.Cause{SIP: 486, Text: "busy"}
	done := make(chan error, 1)
	r.s.PutDurable(&c, func(err error) { done <- err })
	if err := <-done; err != nil {
		r.Fatal(err)
	}
	return id
}

// soon waits until f says yes.
func (r *rig) soon(what string, f func() bool) {
	r.Helper()
	for end := time.Now().Add(time.Minute); !f(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			r.Fatalf("%s: not within a minute; alarms %q", what, r.alarms)
		}
	}
}

// standing waits until a target has a place to go on from.
func (r *rig) standing(s *Shipping, name string) {
	r.Helper()
	r.soon("a cursor", func() bool { _, err := os.Stat(s.cursor(name)); return err == nil })
}

// called are the called numbers in lines of JSON.
func called(t *testing.T, b []byte) []string {
	var all []string
	for line := range bytes.Lines(b) {
		var c store.CDR
		if err := json.Unmarshal(line, &c); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		all = append(all, c.Called)
	}
	return all
}

func file(r *rig) ([]string, string) {
	path := filepath.Join(r.dir, "calls.jsonl")
	b, _ := os.ReadFile(path)
	return called(r.T, b), path
}

// Records go to a file, each once, also over a restart of the gateway and of the shipping.
func TestShipToAFile(t *testing.T) {
	r := newRig(t)
	r.call("before") // which is not sent
	target := Target{Name: "f", Path: filepath.Join(r.dir, "calls.jsonl"), Rotate: 1 << 30}
	s := r.ship(target)
	r.standing(s, "f")
	want := []string{"1", "2"}
	r.call("1")
	r.call("2")
	has := func() bool { got, _ := file(r); return len(got) >= len(want) }
	r.soon("two calls", has)
	s.Close()
	r.call("3") // while nobody ships
	if err := r.s.Close(); err != nil {
		t.Fatal(err)
	}
	r.open()
	r.call("4")
	s = r.ship(target)
	want = append(want, "3", "4")
	r.soon("four calls", has)
	r.call("5")
	want = append(want, "5")
	r.soon("five calls", has)
	if got, _ := file(r); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	r.soon("they count", func() bool { return s.Sent()["f"] == 3 })
}

// A file that is full, or moved away, is begun anew; one that ends within a line gets a new line.
func TestFileIsBegunAnew(t *testing.T) {
	dir := t.TempDir()
	f := &fileSink{filepath.Join(dir, "calls.jsonl"), 10, 0}
	for range 4 {
		if err := f.send(t.Context(), []byte("0123456\n"), 0); err != nil {
			t.Fatal(err)
		}
	}
	names, _ := filepath.Glob(filepath.Join(dir, "calls-*Z*.jsonl"))
	if len(names) != 1 {
		t.Errorf("files %q", names)
	}
	os.Remove(f.path)
	os.WriteFile(f.path, []byte("torn"), 0o600)
	if err := f.send(t.Context(), []byte("next\n"), 0); err != nil {
		t.Fatal(err)
	}
	if b, _ := os.ReadFile(f.path); string(b) != "torn\nnext\n" {
		t.Errorf("got %q", b)
	}
	a := f.aside(time.Unix(0, 0))
	os.WriteFile(a, nil, 0o600)
	if b := f.aside(time.Unix(0, 0)); a == b || !strings.HasSuffix(b, ".2.jsonl") {
		t.Errorf("twice %q, %q", a, b)
	}
}

// A file that was written in an earlier period is begun anew, whatever its size.
func TestFileOfAPeriod(t *testing.T) {
	f := &fileSink{filepath.Join(t.TempDir(), "calls.jsonl"), 1 << 20, 24 * time.Hour}
	if err := f.send(t.Context(), []byte("line\n"), 0); err != nil {
		t.Fatal(err)
	}
	at := func(text string) time.Time {
		when, err := time.Parse(time.RFC3339, text)
		if err != nil {
			t.Fatal(err)
		}
		return when
	}
	written := at("2026-03-01T23:59:59Z")
	if err := os.Chtimes(f.path, written, written); err != nil {
		t.Fatal(err)
	}
	for now, want := range map[string]bool{"2026-03-01T23:59:59Z": false, "2026-03-02T00:00:00Z": true, "2026-03-02T01:30:00+02:00": false} {
		if got := f.done(at(now)); got != want {
			t.Errorf("at %s: got %v", now, got)
		}
	}
	if f.every = 0; f.done(at("2027-01-01T00:00:00Z")) {
		t.Error("without periods")
	}
}

// Over HTTP each batch is signed, and comes again until it is taken; a change of the target goes on where it was.
func TestShipOverHTTP(t *testing.T) {
	const secret = "correct-horse-battery"
	var mu sync.Mutex
	var got []string
	status, refused := 500, 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		body, _ := io.ReadAll(q.Body)
		mu.Lock()
		defer mu.Unlock()
		sum := q.Header.Get(events.HeaderSignature)
		at := strings.TrimPrefix(strings.Split(sum, ",")[0], "t=")
		var unix int64
		fmt.Sscan(at, &unix)
		if sum != events.Sign([]byte(secret), time.Unix(unix, 0), body) || q.Header.Get("Content-Type") != "application/x-ndjson" || q.Header.Get(HeaderBatch) == "" {
			t.Errorf("headers %v", q.Header)
		}
		if status != 200 {
			refused++
			w.WriteHeader(status)
			return
		}
		got = append(got, called(t, body)...)
	}))
	defer server.Close()
	r := newRig(t)
	target := Target{Name: "h", URL: server.URL + "/?key=hidden", Secret: []byte(secret), Timeout: 10 * time.Second}
	s := r.ship(target)
	r.standing(s, "h")
	r.call("1")
	r.soon("a refusal", func() bool { mu.Lock(); defer mu.Unlock(); return refused > 0 })
	r.soon("an alarm", func() bool { r.mu.Lock(); defer r.mu.Unlock(); return len(r.alarms) == 1 })
	if want := "raised cdr_ship h: records of calls are not sent to h: it answered 500 Internal Server Error"; r.alarms[0] != want {
		t.Errorf("got %q, want %q", r.alarms[0], want)
	}
	target.Timeout = 20 * time.Second
	mu.Lock()
	status = 200
	mu.Unlock()
	s.Apply([]Target{target})
	r.call("2")
	has := func(n int) func() bool {
		return func() bool { mu.Lock(); defer mu.Unlock(); return len(got) >= n }
	}
	r.soon("both calls", has(2))
	s.Apply(nil)
	if _, err := os.Stat(s.cursor("h")); err == nil {
		t.Error("the cursor of a target that is gone is still there")
	}
	mu.Lock()
	defer mu.Unlock()
	if !slices.Equal(got, []string{"1", "2"}) {
		t.Errorf("got %q", got)
	}
}

// Clear HTTP goes to this machine only, whatever a name leads to, and no error has the URL.
func TestPosterIsCareful(t *testing.T) {
	p := newPoster(Target{URL: "http://billing.example/?key=hidden", Timeout: time.Second}, Options{Dial: func(context.Context, string, string) (net.Conn, error) { return nil, io.EOF }})
	if err := p.send(t.Context(), nil, 1); err == nil || err.Error() != "clear HTTP is for loopback addresses only" {
		t.Errorf("got %v", err)
	}
}

// A cursor that is none is said, with what to do.
func TestCursorIsJudged(t *testing.T) {
	path := filepath.Join(t.TempDir(), "c")
	os.WriteFile(path, []byte("nonsense"), 0o600)
	if _, err := readCursor(path); err == nil || !strings.Contains(err.Error(), "remove it") {
		t.Errorf("got %v", err)
	}
	if at, err := readCursor(path + "none"); at != 0 || err != nil {
		t.Errorf("got %d, %v", at, err)
	}
}
