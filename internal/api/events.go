package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/sallyport-sip/sallyport/internal/events"
)

const (
	maxEventReaders = 32
	// eventsAlive is how often a reader hears of us when nothing happens.
	eventsAlive = 15 * time.Second
	// eventsPause is how long events gather that go to a reader together.
	eventsPause = 20 * time.Millisecond
	// eventsWithin is how long a reader may take nothing.
	eventsWithin = 10 * time.Second
	// retryEvents is after how long a reader shall come back.
	retryEvents = 2 * time.Second
)

// streamEvents is GET /api/v1/events: what happens, as server-sent events, until the reader goes. With Last-Event-ID, or
// ?after=, it goes on after that event.
func (s *Server) streamEvents(w http.ResponseWriter, r *http.Request) {
	want, err := s.selectionOf(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	if s.readers.Add(1) > maxEventReaders {
		s.readers.Add(-1)
		w.Header().Set("Retry-After", "10")
		http.Error(w, fmt.Sprintf("there are %d readers of events already: close one, or come back later", maxEventReaders), http.StatusServiceUnavailable)
		return
	}
	defer s.readers.Add(-1)
	after := r.Header.Get("Last-Event-ID")
	if after == "" {
		after = r.URL.Query().Get("after")
	}
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	defer context.AfterFunc(s.ending, cancel)()
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("X-Accel-Buffering", "no") // proxies pass it on at once
	e := eventStream{w: w, control: http.NewResponseController(w), want: want, may: func() bool { return isLocal(r) || s.refusal(r) == nil }}
	e.control.SetReadDeadline(time.Time{}) // that of the server is for requests, and would end the stream
	fmt.Fprintf(&e.b, "retry: %d\n: events of run %s\n\n", retryEvents.Milliseconds(), s.gateway.Events().Run())
	err = e.run(ctx, s.gateway.Events(), after)
	switch {
	case s.ending.Err() != nil:
		e.end("the gateway stops, or serves its API elsewhere")
	case errors.Is(err, errNoLonger):
		e.end(err.Error())
	case errors.Is(err, errBehind):
		s.cut.Add(1)
		e.end(err.Error())
		s.log.Warn("reader of events is cut", "source", r.RemoteAddr, "cause", err)
	case errors.Is(err, os.ErrDeadlineExceeded):
		s.cut.Add(1)
		s.log.Warn("reader of events is cut", "source", r.RemoteAddr, "cause", fmt.Sprintf("it took nothing for %v", eventsWithin))
	}
}

// selectionOf reads ?types= and ?peer=.
func (s *Server) selectionOf(r *http.Request) (want events.Selection, err error) {
	q := r.URL.Query()
	for key := range q {
		switch key {
		case "types", "peer", "after":
		default:
			return want, fmt.Errorf("there is no parameter %q: events are chosen by types=call.*,peer.down and by peer=NAME, and after=ID says where to go on", key)
		}
	}
	for _, list := range q["types"] {
		want.Types = append(want.Types, strings.Split(list, ",")...)
	}
	for _, name := range q["peer"] {
		if s.gateway.Peer(name) == nil {
			return want, fmt.Errorf("there is no peer %q", name)
		}
		want.Peers = append(want.Peers, name)
	}
	return want, want.Check()
}

var errBehind = errors.New("events came faster than the reader takes them: come back with the last ID, choose fewer types, or read faster")

var errNoLonger = errors.New("who reads is signed out, or the token is the gateway's no longer: sign in again")

// eventStream is one reader of events.
type eventStream struct {
	w       http.ResponseWriter
	control *http.ResponseController
	want    events.Selection
	may     func() bool  // the reader still may
	b       bytes.Buffer // what was not written yet
}

// run writes events until ctx ends, or the reader can not keep up.
func (e *eventStream) run(ctx context.Context, hub *events.Hub, after string) error {
	reader := hub.Reader()
	if after != "" {
		var gap *events.Event
		if reader, gap = hub.After(after); gap != nil {
			e.add(gap)
		}
	}
	room := make([]events.Event, 64)
	for {
		if err := e.flush(); err != nil {
			return err
		}
		n, gap, err := e.next(ctx, reader, room)
		if err != nil {
			return err
		}
		if !e.may() {
			return errNoLonger
		}
		for i := range room[:n] {
			if e.want.Wants(&room[i]) {
				e.add(&room[i])
			}
		}
		if gap != nil {
			e.b.Reset()
			e.add(gap)
			if err := e.flush(); err != nil {
				return err
			}
			return errBehind
		}
		if n < len(room) {
			pause(ctx, eventsPause)
		}
	}
}

// next waits for events. When none come for long, the reader gets a comment instead.
func (e *eventStream) next(ctx context.Context, r *events.Reader, room []events.Event) (n int, gap *events.Event, err error) {
	patience, cancel := context.WithTimeout(ctx, eventsAlive)
	defer cancel()
	n, gap, err = r.Read(patience, room)
	if err != nil && ctx.Err() == nil {
		e.b.WriteString(": nothing happens\n\n")
		return 0, nil, nil
	}
	return n, gap, err
}

func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

func (e *eventStream) add(ev *events.Event) {
	data, err := json.Marshal(ev)
	if err != nil {
		panic("api: an event cannot be written: " + err.Error())
	}
	fmt.Fprintf(&e.b, "id: %s\nevent: %s\ndata: %s\n\n", ev.ID, ev.Type, data)
}

// flush writes what there is.
func (e *eventStream) flush() error {
	if e.b.Len() == 0 {
		return nil
	}
	e.control.SetWriteDeadline(time.Now().Add(eventsWithin)) // an error: then the server's own counts
	if _, err := e.w.Write(e.b.Bytes()); err != nil {
		return err
	}
	e.b.Reset()
	return e.control.Flush()
}

// end says why no more comes, to who still listens.
func (e *eventStream) end(why string) {
	data, _ := json.Marshal(map[string]string{"reason": why})
	e.b.Reset()
	fmt.Fprintf(&e.b, "event: end\ndata: %s\n\n", data)
	e.flush()
}
