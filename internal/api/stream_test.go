package api

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sallyport-sip/sallyport/internal/callflow"
	"github.com/sallyport-sip/sallyport/internal/filter"
)

// source is a recorder whose flows a test sets.
type source struct {
	mu    sync.Mutex
	flows []*callflow.Flow
	news  map[chan struct{}]bool
	built []time.Time
	takes time.Duration // for a build
}

func (s *source) Flows() []*callflow.Flow {
	time.Sleep(s.takes)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.built = append(s.built, time.Now())
	return slices.Clone(s.flows)
}

func (s *source) Flow(id string) *callflow.Flow {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range s.flows {
		if f.ID == id {
			return f
		}
	}
	return nil
}

func (s *source) Subscribe() (<-chan struct{}, func()) {
	c := make(chan struct{}, 1)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.news == nil {
		s.news = map[chan struct{}]bool{}
	}
	s.news[c] = true
	return c, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.news, c)
	}
}

// set says which flows there are: "41 ringing".
func (s *source) set(lines ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.flows = nil
	for _, line := range lines {
		id, state, _ := strings.Cut(line, " ")
		s.flows = append(s.flows, &callflow.Flow{ID: id, State: callflow.State(state)})
	}
	for c := range s.news {
		select {
		case c <- struct{}{}:
		default:
		}
	}
}

// page is what a reader of a stream has got. It can stop taking.
type page struct {
	mu   sync.Mutex
	text strings.Builder
	gate chan struct{} // nil: open
}

func (p *page) Write(b []byte) (int, error) {
	p.mu.Lock()
	gate := p.gate
	p.mu.Unlock()
	if gate != nil {
		<-gate
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.text.Write(b)
}

// shut lets the reader take nothing any more, until the function that it returns is called.
func (p *page) shut() (open func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	gate := make(chan struct{})
	p.gate = gate
	return func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.gate = nil
		close(gate)
	}
}

// read returns the events that came since it was called last, in short, and the last id.
func (p *page) read(t *testing.T) (events []string, id string) {
	t.Helper()
	synctest.Wait()
	p.mu.Lock()
	text := p.text.String()
	p.text.Reset()
	p.mu.Unlock()
	for block := range strings.SplitSeq(strings.TrimSuffix(text, "\n\n"), "\n\n") {
		var name, data string
		for line := range strings.SplitSeq(block, "\n") {
			key, value, _ := strings.Cut(line, ": ")
			switch key {
			case "id":
				id = value
			case "event":
				name = value
			case "data":
				data = value
			case "":
				name = "comment"
			}
		}
		switch name {
		case "flows":
			var c FlowChanges
			if err := json.Unmarshal([]byte(data), &c); err != nil {
				t.Fatalf("%v: %s", err, data)
			}
			var line strings.Builder
			line.WriteString("flows")
			slices.SortFunc(c.Changed, func(a, b callflow.Summary) int { return strings.Compare(a.ID, b.ID) })
			for _, s := range c.Changed {
				line.WriteString(fmt.Sprintf(" %s %s", strings.TrimPrefix(s.ID, "r-"), s.State))
			}
			if slices.Sort(c.Gone); len(c.Gone) > 0 {
				line.WriteString(" gone " + strings.ReplaceAll(strings.Join(c.Gone, " "), "r-", ""))
			}
			events = append(events, line.String())
		case "flow":
			var doc struct {
				Calls []struct{ ID, State string }
			}
			if err := json.Unmarshal([]byte(data), &doc); err != nil || len(doc.Calls) != 1 {
				t.Fatalf("%v: %s", err, data)
			}
			events = append(events, "flow "+strings.TrimPrefix(doc.Calls[0].ID, "r-")+" "+doc.Calls[0].State)
		case "status":
			var s StreamStatus
			if err := json.Unmarshal([]byte(data), &s); err != nil {
				t.Fatalf("%v: %s", err, data)
			}
			events = append(events, fmt.Sprintf("status %d failed", s.Failed))
		case "":
		default:
			events = append(events, name)
		}
	}
	return events, id
}

func (p *page) want(t *testing.T, want ...string) (id string) {
	t.Helper()
	got, id := p.read(t)
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	return id
}

// reader opens a stream on a feed; end closes it.
func reader(t *testing.T, f *feed, open, last string, wanted ...*filter.Filter) (p *page, end func()) {
	t.Helper()
	p = &page{}
	news, err := f.join(open)
	if err != nil {
		t.Fatal(err)
	}
	st := &flowStream{feed: f, w: p, news: news, open: open, key: "k"}
	for _, w := range wanted {
		st.filter = w
	}
	st.resume(last)
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { st.run(ctx, nil, func() bool { return true }) })
	return p, func() {
		cancel()
		running.Wait()
		f.leave(news, open)
	}
}

func bubble(t *testing.T, test func(t *testing.T, s *source, f *feed)) {
	synctest.Test(t, func(t *testing.T) {
		s := &source{}
		f := newFeed(s, "r", func(*StreamStatus) {})
		test(t, s, f)
		f.close()
	})
}

// A stream begins with all that there is, and then has what changes, what is gone, the ladder that is open, the status once a
// second, and a comment every 15 s.
func TestStreamTellsWhatChanges(t *testing.T) {
	bubble(t, func(t *testing.T, s *source, f *feed) {
		s.set("1 ended", "2 ringing")
		p, end := reader(t, f, "2", "")
		p.want(t, "reset", "flows 1 ended 2 ringing", "flow 2 ringing", "status 0 failed")
		time.Sleep(restAtLeast)
		s.set("1 ended", "2 failed", "3 ringing")
		p.want(t, "flows 2 failed 3 ringing", "flow 2 failed")
		time.Sleep(restAtLeast)
		s.set("2 failed", "3 ringing")
		p.want(t, "flows gone 1")
		time.Sleep(statusEvery - 2*restAtLeast)
		p.want(t, "status 1 failed")
		time.Sleep(restAtLeast)
		s.set("3 ringing")
		p.want(t, "flows gone 2") // the ladder stays as it was seen last
		time.Sleep(keepAlive - statusEvery - restAtLeast)
		if got, _ := p.read(t); !slices.Contains(got, "comment") || strings.Count(strings.Join(got, ","), "status") != 14 {
			t.Errorf("got %q", got)
		}
		end()
		synctest.Wait()
		if len(f.ladders) != 0 || len(f.streams) != 0 || f.stop != nil || len(s.news) != 0 {
			t.Errorf("something is left: %+v", f)
		}
	})
}

// What a filter does not want is not told, and what it does not want any more is gone.
func TestStreamIsFiltered(t *testing.T) {
	bubble(t, func(t *testing.T, s *source, f *feed) {
		s.set("1 ended", "2 ringing", "3 failed")
		wanted, err := filter.Parse("-state:ended", filter.Options{For: filter.Flows})
		if err != nil {
			t.Fatal(err)
		}
		p, end := reader(t, f, "", "", wanted)
		p.want(t, "reset", "flows 2 ringing 3 failed", "status 1 failed")
		time.Sleep(restAtLeast)
		s.set("1 ended", "2 ended", "3 failed", "4 ringing")
		p.want(t, "flows 4 ringing gone 2")
		end()
	})
}

// Who comes back with the last id gets what changed meanwhile, also when nobody looked; who comes with another gets all.
func TestStreamResumes(t *testing.T) {
	bubble(t, func(t *testing.T, s *source, f *feed) {
		s.set("1 ended", "2 ringing", "3 ended")
		p, end := reader(t, f, "", "")
		id := p.want(t, "reset", "flows 1 ended 2 ringing 3 ended", "status 0 failed")
		end()
		s.set("1 ended", "2 answered", "4 ringing")
		p, end = reader(t, f, "", id)
		again := p.want(t, "flows 2 answered 4 ringing gone 3", "status 0 failed")
		end()
		if again == id {
			t.Errorf("the id is still %s", id)
		}
		p, end = reader(t, f, "", again)
		p.want(t, "status 0 failed")
		end()
		for _, other := range []string{"", "nonsense", "x" + again, again + "x", strings.Replace(again, ".", ".9", 1)} {
			p, end = reader(t, f, "", other)
			p.want(t, "reset", "flows 1 ended 2 answered 4 ringing", "status 0 failed")
			end()
		}
	})
}

// A reader that takes nothing holds up nobody. When it takes again, it gets what it missed at once, or begins anew when that was
// too much.
func TestSlowStreamHoldsUpNobody(t *testing.T) {
	bubble(t, func(t *testing.T, s *source, f *feed) {
		s.set("1 ringing")
		slow, endSlow := reader(t, f, "", "")
		slow.want(t, "reset", "flows 1 ringing", "status 0 failed")
		quick, endQuick := reader(t, f, "", "")
		quick.read(t)
		again := slow.shut()
		for _, state := range []string{"answered", "ended", "failed"} {
			time.Sleep(statusEvery)
			s.set("1 " + state)
			if got, _ := quick.read(t); !slices.Contains(got, "flows 1 "+state) {
				t.Errorf("got %q, want 1 %s", got, state)
			}
		}
		again()
		// At most one of the lines that it did not take comes late; what changed meanwhile is told in one.
		got, _ := slow.read(t)
		got = slices.DeleteFunc(got, func(line string) bool { return strings.HasPrefix(line, "status") || line == "flows 1 answered" })
		if !slices.Equal(got, []string{"flows 1 failed"}) {
			t.Errorf("got %q, want one line of what became of the call", got)
		}

		again = slow.shut()
		for round := range 3 {
			time.Sleep(restAtLeast)
			var many []string
			for i := range maxGone/2 + 1 {
				many = append(many, strconv.Itoa(10+round*maxGone+i)+" ended")
			}
			s.set(many...)
			quick.read(t)
		}
		time.Sleep(restAtLeast)
		s.set("7 ended")
		synctest.Wait()
		again()
		got, _ = slow.read(t)
		if i := slices.Index(got, "reset"); i < 0 || got[i+1] != "flows 7 ended" {
			t.Errorf("got %.300q", got)
		}
		if len(f.gone) > maxGone {
			t.Errorf("%d departures are kept", len(f.gone))
		}
		endSlow()
		endQuick()
	})
}

// Flows are built for all streams together, and after that nobody builds any for fifty times as long.
func TestStreamsPaceThemselves(t *testing.T) {
	bubble(t, func(t *testing.T, s *source, f *feed) {
		s.takes = 20 * time.Millisecond
		s.set("1 ringing")
		var ends []func()
		for range 5 {
			_, end := reader(t, f, "", "")
			ends = append(ends, end)
		}
		began := time.Now()
		for i := range 10000 {
			time.Sleep(time.Millisecond)
			s.set("1 " + strconv.Itoa(i))
		}
		busy := time.Duration(len(s.built)) * s.takes
		if share := float64(busy) / float64(time.Since(began)); len(s.built) < 9 || share > 0.021 {
			t.Errorf("%d builds, %.3f of the time", len(s.built), share)
		}
		for _, end := range ends {
			end()
		}
	})
}

func TestStreamsAreBounded(t *testing.T) {
	bubble(t, func(t *testing.T, s *source, f *feed) {
		var all []chan struct{}
		for range maxStreams {
			news, err := f.join("")
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, news)
		}
		if _, err := f.join(""); err != errManyStreams {
			t.Errorf("one more: %v", err)
		}
		for _, news := range all {
			f.leave(news, "")
		}
		f.close()
		if _, err := f.join(""); err != errLeaving {
			t.Errorf("after the end: %v", err)
		}
	})
}

// open opens a stream over HTTP and returns its lines, until it ends.
func open(t *testing.T, c *http.Client, url, bearer string) (lines <-chan string) {
	t.Helper()
	r, err := http.NewRequest("GET", url, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+bearer)
	answer, err := c.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	if got := answer.Header.Get("Content-Type"); answer.StatusCode != 200 || got != "text/event-stream" {
		t.Fatalf("%s: %s, %s", url, answer.Status, got)
	}
	c0 := make(chan string)
	go func() {
		defer close(c0)
		defer answer.Body.Close()
		for s := bufio.NewScanner(answer.Body); s.Scan(); {
			c0 <- s.Text()
		}
	}()
	return c0
}

func until(t *testing.T, lines <-chan string, prefix string) string {
	t.Helper()
	for line := range lines {
		if strings.HasPrefix(line, prefix) {
			return line
		}
	}
	t.Fatalf("the stream ended before %q", prefix)
	return ""
}

// drained reads until the stream ends.
func drained(lines <-chan string) {
	for range lines {
	}
}

// A stream ends with the server, and with the token that opened it.
func TestStreamOverHTTP(t *testing.T) {
	s, dir := started(t, guarded)
	secure := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	defer secure.CloseIdleConnections()
	record(s, 41)
	local, url := Local(filepath.Join(dir, "data")), "https://"+s.Addr()+"/api/v1/stream"
	for status, target := range map[int]string{401: url, 404: "http://gateway/api/v1/stream?flow=77"} {
		c := secure
		if status == 404 {
			c = local
		}
		answer, err := c.Get(target)
		if err != nil {
			t.Fatal(err)
		}
		if answer.Body.Close(); answer.StatusCode != status {
			t.Errorf("%s: got %s, want %d", target, answer.Status, status)
		}
	}
	far, near := open(t, secure, url, token), open(t, local, "http://gateway/api/v1/stream?flow=41", "")
	until(t, near, "event: flow")
	until(t, far, "event: flows")
	if line := until(t, far, "data: "); !strings.Contains(line, `"number":41`) {
		t.Errorf("got %s", line)
	}
	if err := os.WriteFile(filepath.Join(dir, "token"), []byte("another-token-of-this-api"), 0o600); err != nil {
		t.Fatal(err)
	}
	if r := s.gateway.Reload(); len(r.Problems) > 0 {
		t.Fatal(r.Problems)
	}
	drained(far)
	until(t, near, "event: status")
	closed := make(chan error)
	go func() { closed <- s.Close(context.Background()) }()
	drained(near)
	if err := <-closed; err != nil {
		t.Error(err)
	}
}
