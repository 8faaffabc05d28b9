package api

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sallyport-sip/sallyport/internal/events"
	"github.com/sallyport-sip/sallyport/internal/gateway"
)

// pipes is a net.Listener whose connections have no network and no buffer.
type pipes struct {
	conns chan net.Conn
	done  chan struct{}
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error { close(p.done); return nil }

func (p *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipe"} }

// streaming runs f in a bubble with a server and the gateway whose events it streams.
func streaming(t *testing.T, f func(t *testing.T, g *gateway.Gateway, s *Server, open func(path string, header ...string) *stream)) {
	synctest.Test(t, func(t *testing.T) {
		g, _ := running(t, "")
		s := newServer(g, Options{})
		p := &pipes{make(chan net.Conn), make(chan struct{})}
		l := &listener{Listener: p}
		s.serve(l, s.Handler(true))
		s.move(l)
		f(t, g, s, func(path string, header ...string) *stream {
			ours, theirs := net.Pipe()
			p.conns <- theirs
			t.Cleanup(func() { ours.Close() })
			fmt.Fprintf(ours, "GET %s HTTP/1.1\r\nHost: localhost\r\n%s\r\n", path, strings.Join(header, ""))
			answer, err := http.ReadResponse(bufio.NewReader(ours), nil)
			if err != nil {
				t.Fatal(err)
			}
			return &stream{t, ours, answer, bufio.NewReader(answer.Body)}
		})
		s.Close(context.Background())
	})
}

type stream struct {
	t      *testing.T
	conn   net.Conn
	answer *http.Response
	*bufio.Reader
}

// block reads one event or comment.
func (s *stream) block() string {
	s.t.Helper()
	var lines []string
	for {
		line, err := s.ReadString('\n')
		if err != nil {
			return "ended: " + err.Error()
		}
		if line = strings.TrimSuffix(line, "\n"); line == "" {
			return strings.Join(lines, "\n")
		}
		lines = append(lines, line)
	}
}

// want reads blocks, of which each begins with one of the texts.
func (s *stream) want(texts ...string) {
	s.t.Helper()
	for _, text := range texts {
		if got := s.block(); !strings.HasPrefix(got, text) {
			s.t.Errorf("got %q, want %q", got, text)
		}
	}
}

func emit(g *gateway.Gateway, types ...events.Type) {
	for _, t := range types {
		g.Emit(&events.Event{Type: t, Call: events.Call{From: "office", To: "acme"}})
	}
}

func TestEventsAreStreamed(t *testing.T) {
	streaming(t, func(t *testing.T, g *gateway.Gateway, s *Server, open func(string, ...string) *stream) {
		run := g.Events().Run()
		emit(g, events.CallStarted) // before the reader came
		all, busy := open("/api/v1/events"), open("/api/v1/events?types=call.busy,peer.*&peer=acme")
		for _, r := range []*stream{all, busy} {
			if got := r.answer.Header.Get("Content-Type"); r.answer.StatusCode != 200 || got != "text/event-stream" {
				t.Fatalf("status %d, type %q", r.answer.StatusCode, got)
			}
			r.want("retry: 2000\n: events of run " + run)
		}
		emit(g, events.CallRinging, events.CallBusy)
		g.Emit(events.Turned("office", false, "it burns"))
		g.Emit(events.Turned("acme", false, "it burns"))
		all.want("id: "+run+"-2\nevent: call.ringing\ndata: {\"version\":1,\"id\":\""+run+"-2\",\"type\":\"call.ringing\",\"at\":\"2000-01-01T00:00:00Z\",\"call\":{\"from\":\"office\",\"to\":\"acme\",",
			"id: "+run+"-3\nevent: call.busy", "id: "+run+"-4\nevent: peer.down", "id: "+run+"-5\nevent: peer.down")
		busy.want("id: "+run+"-3\n", "id: "+run+"-5\nevent: peer.down\ndata: {\"version\":1,\"id\":\""+run+"-5\",\"type\":\"peer.down\",\"at\":\"2000-01-01T00:00:00Z\",\"peer\":\"acme\",\"why\":\"it burns\"}")

		// Nothing happens, for longer than the server's own times.
		began := time.Now()
		for range 20 {
			all.want(": nothing happens")
			busy.want(": nothing happens")
		}
		if took := time.Since(began); took < 19*eventsAlive || took > 21*eventsAlive {
			t.Errorf("20 comments took %v", took)
		}
		emit(g, events.CallBusy)
		all.want("id: " + run + "-6")

		// Who comes back goes on.
		again := open("/api/v1/events", "Last-Event-ID: "+run+"-1\r\n")
		again.want("retry", "id: "+run+"-2", "id: "+run+"-3", "id: "+run+"-4", "id: "+run+"-5", "id: "+run+"-6")
		other := open("/api/v1/events?types=call.ringing&after=else-7")
		other.want("retry", "id: "+run+"-0\nevent: events.lost\ndata: {\"version\":1,\"id\":\""+run+"-0\",\"type\":\"events.lost\"", "id: "+run+"-2")

		// A server that closes says so, and waits for nobody.
		done := make(chan struct{})
		go func() { s.Close(t.Context()); close(done) }()
		for _, r := range []*stream{again, other} {
			r.want("event: end\ndata: {\"reason\":\"the gateway stops, or serves its API elsewhere\"}", "ended: EOF")
		}
		io.Copy(io.Discard, all)
		io.Copy(io.Discard, busy)
		<-done
	})
}

func TestEventsTooOldOrTooFast(t *testing.T) {
	streaming(t, func(t *testing.T, g *gateway.Gateway, s *Server, open func(string, ...string) *stream) {
		run := g.Events().Run()
		slow, hung := open("/api/v1/events"), open("/api/v1/events")
		slow.want("retry")
		hung.want("retry")
		emit(g, events.CallStarted)
		slow.want("id: " + run + "-1")
		emit(g, slices.Repeat([]events.Type{events.CallStarted}, 100)...)
		time.Sleep(time.Second) // both are being written to
		emit(g, slices.Repeat([]events.Type{events.CallStarted}, events.Kept)...)
		got := slow.block()
		for strings.Contains(got, "event: call.started") {
			got = slow.block()
		}
		if !strings.Contains(got, "event: events.lost") || !strings.Contains(got, `"why":"the reader was too slow"`) {
			t.Errorf("the slow one got %q", got)
		}
		slow.want("event: end\ndata: {\"reason\":\"events came faster", "ended: EOF")

		old := open("/api/v1/events", "Last-Event-ID: "+run+"-1\r\n")
		old.want("retry")
		if got := old.block(); !strings.Contains(got, `"lost":{"count":100,"after":"`+run+`-1","why":"that event is too old`) {
			t.Errorf("got %q", got)
		}
		old.want("id: " + run + "-102\n")
		old.conn.Close()

		time.Sleep(eventsWithin + time.Second)
		synctest.Wait()
		if n := s.readers.Load(); n != 0 {
			t.Errorf("%d readers are left", n)
		}
		if got := s.cut.Load(); got != 2 {
			t.Errorf("%d readers were cut, want 2", got)
		}
	})
}

func TestEventsAreAskedForInTheRightWay(t *testing.T) {
	g, _ := running(t, "")
	s := newServer(g, Options{})
	for query, want := range map[string]string{
		"types=call.bussy":      `there is no event "call.bussy": write a type such as "call.failed", or the beginning of some such as "call.*"` + "\n",
		"peer=nobody":           `there is no peer "nobody"` + "\n",
		"type=call.busy":        `there is no parameter "type": events are chosen by types=call.*,peer.down and by peer=NAME, and after=ID says where to go on` + "\n",
		"types=call.busy,foo.*": `there is no event "foo.*": write a type such as "call.failed", or the beginning of some such as "call.*"` + "\n",
	} {
		w := httptest.NewRecorder()
		s.Handler(true).ServeHTTP(w, httptest.NewRequest("GET", "/api/v1/events?"+query, nil))
		if w.Code != 400 || w.Body.String() != want {
			t.Errorf("%s: got %d %q, want %q", query, w.Code, w.Body, want)
		}
	}
	s.readers.Store(maxEventReaders)
	w := httptest.NewRecorder()
	s.Handler(true).ServeHTTP(w, httptest.NewRequest("GET", "/api/v1/events", nil))
	if w.Code != 503 || w.Header().Get("Retry-After") == "" || s.readers.Load() != maxEventReaders {
		t.Errorf("reader %d got %d %q", maxEventReaders+1, w.Code, w.Body)
	}
}
