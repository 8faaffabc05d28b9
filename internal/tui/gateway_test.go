package tui

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	tea "charm.land/bubbletea/v2"

	"github.com/sallyport-sip/sallyport/internal/callflow/export"
	"github.com/sallyport-sip/sallyport/internal/memnet"
)

// A fakeAPI is the API of a gateway whose answers the test gives. It lives in a bubble.
type fakeAPI struct {
	t       *testing.T
	client  *http.Client
	streams chan *fakeStream // as they are asked for

	mu      sync.Mutex // guards what follows
	answers map[string]string
	told    []tea.Msg
}

// answer has a path answered from now on.
func (f *fakeAPI) answer(path, text string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.answers[path] = text
}

// A fakeStream is one request for the stream.
type fakeStream struct {
	filter, flow, last, token string
	send                      chan string // closed: the stream ends
	gone                      <-chan struct{}
}

func newFakeAPI(t *testing.T) (*fakeAPI, func()) {
	f := &fakeAPI{t: t, streams: make(chan *fakeStream, 8), answers: map[string]string{}}
	network, at := memnet.New(memnet.Options{}), netip.MustParseAddrPort("10.0.0.1:80")
	l, err := network.Listen(t.Context(), at)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(f.serve)}
	var running sync.WaitGroup
	running.Go(func() { server.Serve(l) })
	transport := &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return network.Dial(ctx, netip.MustParseAddrPort("10.0.0.2:0"), at)
	}}
	f.client = &http.Client{Transport: transport}
	return f, func() {
		server.Close()
		running.Wait()
	}
}

func (f *fakeAPI) serve(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != "/api/v1/stream" {
		f.mu.Lock()
		text, ok := f.answers[r.URL.Path]
		f.mu.Unlock()
		if !ok {
			http.Error(w, "there is no "+r.URL.Path, http.StatusNotFound)
			return
		}
		io.WriteString(w, text)
		return
	}
	q := r.URL.Query()
	if q.Get("flow") == "99" {
		http.Error(w, `there is no flow "99"`, http.StatusNotFound)
		return
	}
	s := &fakeStream{filter: q.Get("filter"), flow: q.Get("flow"), last: r.Header.Get("Last-Event-ID"), token: r.Header.Get("Authorization"),
		send: make(chan string, 8), gone: r.Context().Done()}
	if s.token == "Bearer wrong" {
		http.Error(w, "the request brings no valid token", http.StatusUnauthorized)
		return
	}
	f.streams <- s
	w.(http.Flusher).Flush()
	for {
		select {
		case text, open := <-s.send:
			if !open {
				return
			}
			io.WriteString(w, text)
			w.(http.Flusher).Flush()
		case <-r.Context().Done():
			return
		}
	}
}

func (f *fakeAPI) tell(msg tea.Msg) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.told = append(f.told, msg)
}

// heard are what the source has told since the last time, in words.
func (f *fakeAPI) heard() string {
	synctest.Wait()
	f.mu.Lock()
	defer f.mu.Unlock()
	var all []string
	for _, msg := range f.told {
		switch msg := msg.(type) {
		case flowsMsg:
			text := "flows"
			if msg.reset {
				text = "reset"
			}
			for _, s := range msg.changed {
				text += " " + s.ID
			}
			for _, id := range msg.gone {
				text += " -" + id
			}
			all = append(all, text)
		case flowMsg:
			if msg.err != nil {
				all = append(all, fmt.Sprintf("no flow %s: %v", msg.id, msg.err))
			} else {
				all = append(all, "flow "+msg.flow.ID)
			}
		case statusMsg:
			all = append(all, fmt.Sprintf("status %d", msg.status.Calls))
		case linkMsg:
			if msg.err == nil {
				all = append(all, "connected")
			} else {
				all = append(all, fmt.Sprintf("again in %v: %v", msg.again, msg.err))
			}
		default:
			all = append(all, fmt.Sprintf("%T", msg))
		}
	}
	f.told = nil
	return strings.Join(all, "; ")
}

func (f *fakeAPI) wants(want string) {
	f.t.Helper()
	if got := f.heard(); got != want {
		f.t.Errorf("got  %s\nwant %s", got, want)
	}
}

// follow runs a source and returns it and what ends it.
func (f *fakeAPI) follow(token string) (Source, func()) {
	src := Gateway(f.client, "http://10.0.0.1/", token)
	ctx, cancel := context.WithCancel(f.t.Context())
	var running sync.WaitGroup
	running.Go(func() { src.run(ctx, f.tell) })
	return src, func() {
		cancel()
		running.Wait()
	}
}

// TestAGatewayIsFollowed: what the stream tells is told, a stream that breaks off is taken up after its last event, another call or filter
// is asked for at once, and nothing goes on after the end.
func TestAGatewayIsFollowed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f, closeAPI := newFakeAPI(t)
		defer closeAPI()
		src, end := f.follow("secret")
		defer end()
		src.watch(watched{})
		s := <-f.streams
		if s.token != "Bearer secret" || s.last != "" || s.flow != "" || s.filter != "" {
			t.Errorf("asked with %+v", s)
		}
		s.send <- ": nothing\n\nevent: reset\ndata: {}\n\nevent: flows\ndata: {\"changed\":[{\"id\":\"1\"},\ndata: {\"id\":\"2\"}],\"gone\":[]}\n\n"
		s.send <- "id: e.5.k\r\nevent: flows\r\ndata: {\"changed\":[],\"gone\":[\"1\"]}\r\n\r\nevent: status\ndata: {\"calls\":7}\n\nevent: of a newer gateway\ndata: x\n\n"
		f.wants("connected; reset 1 2; flows -1; status 7")

		close(s.send)
		f.wants("again in 1s: the gateway has ended the stream")
		if s = <-f.streams; s.last != "e.5.k" {
			t.Errorf("taken up after %q", s.last)
		}
		f.wants("connected")
		src.watch(watched{flow: "41"})
		<-s.gone
		if s = <-f.streams; s.flow != "41" || s.last != "e.5.k" {
			t.Errorf("asked with %+v", s)
		}
		var doc bytes.Buffer
		if err := export.JSON(&doc, fixture(t, "answered-tls13"), export.Options{}); err != nil {
			t.Fatal(err)
		}
		s.send <- "event: flow\ndata: " + strings.ReplaceAll(strings.TrimSpace(doc.String()), "\n", "\ndata: ") + "\n\n"
		s.send <- "event: flow\ndata: {\"version\":99}\n\n"
		if got := f.heard(); !strings.HasPrefix(got, "connected; flow 41; no flow 41: ") {
			t.Errorf("got %s", got)
		}

		src.watch(watched{flow: "99"})
		if s = <-f.streams; s.flow != "" || s.last != "e.5.k" {
			t.Errorf("asked with %+v", s)
		}
		f.wants("no flow 99: there is no such call, or it is kept no longer; connected")
		src.watch(watched{filter: "state:failed"})
		if s = <-f.streams; s.filter != "state:failed" || s.last != "" {
			t.Errorf("asked with %+v", s)
		}
		f.wants("connected")
		s.send <- "event: flows\ndata: [\n\n"
		if got := f.heard(); !strings.HasPrefix(got, "again in 1s: the gateway tells of calls in a form that this program does not know") {
			t.Errorf("got %s", got)
		}
	})
}

// TestAGatewayThatIsGoneIsWaitedFor, longer each time, and one that says nothing is taken for gone.
func TestAGatewayThatIsGoneIsWaitedFor(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f, closeAPI := newFakeAPI(t)
		src, end := f.follow("")
		defer end()
		src.watch(watched{})
		s := <-f.streams
		f.wants("connected")
		begun := time.Now()
		<-s.gone
		if d := time.Since(begun); d != longestSilence {
			t.Errorf("a silent stream was read for %v", d)
		}
		f.wants("again in 1s: the gateway has said nothing for 45 s")
		<-f.streams
		closeAPI()
		if got := f.heard(); !strings.HasPrefix(got, "connected; again in 1s: ") {
			t.Errorf("got %s", got)
		}
		var waits []string
		for range 6 {
			var again string
			for again == "" {
				time.Sleep(time.Second / 2)
				again = f.heard()
			}
			wait, _, _ := strings.Cut(again, ":")
			waits = append(waits, strings.TrimPrefix(wait, "again in "))
		}
		if got := strings.Join(waits, " "); got != "2s 4s 8s 15s 15s 15s" {
			t.Errorf("tried again after %s", got)
		}
	})
}

// TestAWrongTokenIsNamed, and what mends it.
func TestAWrongTokenIsNamed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f, closeAPI := newFakeAPI(t)
		defer closeAPI()
		src, end := f.follow("wrong")
		defer end()
		src.watch(watched{})
		f.wants("again in 1s: the gateway does not take this token: --token-file has to name the file of its admin.token_file")
		if err := Reach(t.Context(), f.client, "http://10.0.0.1", ""); err == nil || !strings.Contains(err.Error(), "http://10.0.0.1: the gateway answers 404 Not Found: there is no /api/v1/status") {
			t.Errorf("got %v", err)
		}
	})
}

// TestQuestionsAreAnswered from the API, and a file that is there is never written over.
func TestQuestionsAreAnswered(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	taken := filepath.Join(dir, "taken")
	if err := os.WriteFile(taken, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		f, closeAPI := newFakeAPI(t)
		defer closeAPI()
		src, end := f.follow("")
		defer end()
		var doc bytes.Buffer
		if err := export.JSON(&doc, fixture(t, "answered-tls13"), export.Options{}); err != nil {
			t.Fatal(err)
		}
		f.answer("/api/v1/flows", `{"version":1,"flows":[{"id":"7"}],"next":"n"}`)
		f.answer("/api/v1/flows/41", doc.String())
		f.answer("/api/v1/flows/41/export", "a ladder")
		f.answer("/api/v1/connections", `{"connections":[{"id":17,"calls":[41]}]}`)
		f.answer("/api/v1/certificates", `{"certificates":[{"name":"gw"}]}`)
		answer := func(q any) tea.Msg {
			src.ask(q)
			synctest.Wait()
			f.mu.Lock()
			defer f.mu.Unlock()
			if len(f.told) != 1 {
				t.Fatalf("%+v: %d answers", q, len(f.told))
			}
			msg := f.told[0]
			f.told = nil
			return msg
		}
		if msg := answer(askOlder{"x", "b"}).(olderMsg); msg.err != nil || msg.filter != "x" || len(msg.flows) != 1 || msg.next != "n" {
			t.Errorf("older: %+v", msg)
		}
		if msg := answer(askFindings{[]string{"41", "nobody"}}).(findingsMsg); len(msg.flows) != 1 || msg.err == nil {
			t.Errorf("findings: %+v", msg)
		}
		if msg := answer(askConnections{}).(connectionsMsg); msg.err == nil || !strings.Contains(msg.err.Error(), "/api/v1/handshakes") {
			t.Errorf("connections without handshakes: %v", msg.err)
		}
		f.answer("/api/v1/handshakes", `{"handshakes":[{"id":"a"}]}`)
		if msg := answer(askConnections{}).(connectionsMsg); msg.err != nil || len(msg.connections) != 1 || len(msg.certificates) != 1 || len(msg.handshakes) != 1 {
			t.Errorf("connections: %+v", msg)
		}
		path := filepath.Join(dir, "new.txt")
		if msg := answer(askExport{"41", "text", path}).(exportedMsg); msg.err != nil || msg.size != 8 {
			t.Errorf("export: %+v", msg)
		}
		if b, err := os.ReadFile(path); string(b) != "a ladder" {
			t.Errorf("written %q, %v", b, err)
		}
		if msg := answer(askExport{"41", "text", taken}).(exportedMsg); msg.err == nil || !strings.Contains(msg.err.Error(), "is there already") {
			t.Errorf("export over a file: %+v", msg)
		}
		if msg := answer(askExport{"42", "text", path}).(exportedMsg); msg.err == nil {
			t.Error("a call that is not there was exported")
		}
	})
	if b, _ := os.ReadFile(taken); string(b) != "mine" {
		t.Errorf("the file that was there is %q", b)
	}
}

// TestTheModelAsksWithoutWaiting: the box takes what it can, and never blocks.
func TestTheModelAsksWithoutWaiting(t *testing.T) {
	t.Parallel()
	b := newMailbox()
	for i := range 3 * mostQuestions {
		b.ask(i)
		b.watch(watched{flow: fmt.Sprint(i)})
	}
	if len(b.questions) != mostQuestions || b.watches().flow != fmt.Sprint(3*mostQuestions-1) {
		t.Errorf("%d questions, watching %v", len(b.questions), b.watches())
	}
}

// TestLongEventsEndTheStream: nothing that a gateway sends grows without bound.
func TestLongEventsEndTheStream(t *testing.T) {
	t.Parallel()
	endless := io.MultiReader(strings.NewReader("data: "), zeros{})
	err := events(endless, func() {}, func(event) error { return nil })
	if err == nil || !strings.Contains(err.Error(), "more than 64 MiB") {
		t.Errorf("got %v", err)
	}
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = '0'
	}
	return len(b), nil
}

// TestAFileIsWatched: its calls, one of them, an export, and nothing that is not in it.
func TestAFileIsWatched(t *testing.T) {
	t.Parallel()
	flows := append(fixture(t, "answered-tls13"), fixture(t, "reused-busy")...)
	path := filepath.Join(t.TempDir(), "call.json")
	synctest.Test(t, func(t *testing.T) {
		f := &fakeAPI{t: t}
		src := File(flows)
		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { src.run(ctx, f.tell) })
		src.watch(watched{})
		f.wants("reset 41 1 2")
		src.watch(watched{filter: "state:busy"})
		f.wants("reset 2")
		src.watch(watched{flow: "41"})
		f.wants("reset 41 1 2; flow 41")
		src.watch(watched{flow: "3"})
		f.wants("no flow 3: there is no such call, or it is kept no longer")
		src.ask(askFindings{[]string{"2"}})
		src.ask(askExport{"41", "json", path})
		src.ask(askExport{"9", "json", path})
		f.wants("tui.findingsMsg; tui.exportedMsg; tui.exportedMsg")
		cancel()
		running.Wait()
	})
	written, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer written.Close()
	if again, err := export.Decode(written); err != nil || len(again) != 1 || again[0].ID != "41" {
		t.Errorf("exported %v, %v", again, err)
	}
}

// TestKeptSecretsAreShownOnEveryPage as long as the gateway keeps any.
func TestKeptSecretsAreShownOnEveryPage(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f, closeAPI := newFakeAPI(t)
		defer closeAPI()
		f.answer("/api/v1/status", `{"alarms":[{"name":"clock","text":"x"},{"name":"keys acme","text":"the TLS secrets of peer acme are kept"}]}`)
		_, end := f.follow("")
		f.wants("tui.secretsMsg")
		time.Sleep(secretsEvery)
		synctest.Wait()
		end()
		f.mu.Lock()
		defer f.mu.Unlock()
		if len(f.told) != 1 || f.told[0] != (secretsMsg{"the TLS secrets of peer acme are kept"}) {
			t.Errorf("told %v", f.told)
		}
	})
	s := live(t, 80, 24, fixtures(t))
	s.tell(secretsMsg{"the TLS secrets of peer acme are kept"})
	s.wants("! the TLS secrets of peer acme are kept")
	s.press("n")
	s.wants("! the TLS secrets of peer acme are kept")
	s.tell(secretsMsg{})
	s.lacks("TLS secrets")
}

// nobody is a client that reaches nobody.
func nobody() *http.Client {
	return &http.Client{Transport: &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) {
		return nil, errors.New("nobody answers")
	}}}
}
