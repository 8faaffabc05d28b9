package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sallyport-sip/sallyport/internal/callflow"
	"github.com/sallyport-sip/sallyport/internal/filter"
)

const (
	// keepAlive is how often a stream has a comment, so that nobody between takes it for dead.
	keepAlive = 15 * time.Second
	// writeStream is how long a reader may take nothing before its stream ends. It may come back and resume.
	writeStream = 30 * time.Second
	// someChanged is how many flows one event has at most.
	someChanged = 500
)

// stream is GET /api/v1/stream: server-sent events, as HTML has them, with what changes. Which there are is said in
// docs/reference/api.md.
func (s *Server) stream(w http.ResponseWriter, r *http.Request) {
	wanted, err := s.filterOf(r, filter.Flows)
	if err != nil {
		badQuery(w, err)
		return
	}
	id := r.URL.Query().Get("flow")
	var first []byte
	if id != "" && s.gateway.Recorder().Flow(id) == nil {
		f, err := s.findFlow(r.Context(), id)
		if err != nil {
			s.noFlow(w, err)
			return
		}
		first = document(f) // it is over, and memory has it no more
	}
	news, err := s.feed.join(id)
	if err != nil {
		w.Header().Set("Retry-After", "10")
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	defer s.feed.leave(news, id)
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("X-Accel-Buffering", "no")
	c := http.NewResponseController(w)
	c.SetReadDeadline(time.Time{}) // the server's is for the request, which has come
	st := &flowStream{feed: s.feed, w: &flushing{w, c}, news: news, open: id, filter: wanted, first: first, key: streamKey(r)}
	st.resume(r.Header.Get("Last-Event-ID"))
	st.run(r.Context(), ending(r), func() bool { return isLocal(r) || s.refusal(r) == nil })
}

// streamStatus is how the gateway does, but for what is counted from flows.
func (s *Server) streamStatus(st *StreamStatus) {
	st.Calls = s.gateway.Calls()
	for range s.gateway.Conns() {
		st.Connections++
	}
	ring := s.gateway.Recorder().Stats()
	st.Ring, st.Dropped = float64(ring.Bytes*1000/ring.Bound)/10, ring.Dropped
}

// flushing writes each event at once, and gives up a reader that takes nothing for writeStream.
type flushing struct {
	w http.ResponseWriter
	c *http.ResponseController
}

func (f *flushing) Write(b []byte) (int, error) {
	if err := f.c.SetWriteDeadline(time.Now().Add(writeStream)); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return 0, err
	}
	n, err := f.w.Write(b)
	if err == nil {
		err = f.c.Flush()
	}
	return n, err
}

// endingKey has in the context of a request a channel that is closed when its address is being closed.
type endingKey struct{}

func ending(r *http.Request) <-chan struct{} {
	c, _ := r.Context().Value(endingKey{}).(chan struct{})
	return c
}

// streamKey tells streams apart that ask for different things: what one was told does not help another.
func streamKey(r *http.Request) string {
	q := r.URL.Query()
	h := fnv.New32a()
	io.WriteString(h, q.Get("filter"))
	return strconv.FormatUint(uint64(h.Sum32()), 36)
}

// A flowStream is one reader of the feed. It belongs to its request's goroutine.
type flowStream struct {
	feed  *feed
	w     io.Writer
	news  <-chan struct{}
	open  string // the id of the ladder that it shows; empty: none
	first []byte // that ladder, when it is told once and not followed
	key   string

	filter *filter.Filter

	version uint64 // of the flows that it has told
	anew    bool   // it has to begin anew
	changed uint64 // of the ladder
	seconds uint64 // of the status
}

// resume goes on after the event with that id, or else begins anew.
func (st *flowStream) resume(last string) {
	st.anew = true
	epoch, rest, _ := strings.Cut(last, ".")
	version, key, _ := strings.Cut(rest, ".")
	n, err := strconv.ParseUint(version, 10, 64)
	if err == nil && epoch == st.feed.epoch && key == st.key {
		st.version, st.anew = n, false
	}
}

// eventID is the id of an event after which nothing up to a version has to be told again.
func (st *flowStream) eventID() string {
	return st.feed.epoch + "." + strconv.FormatUint(st.version, 10) + "." + st.key
}

// run tells what is new until the reader is gone, may not read any more, or the address is being closed.
func (st *flowStream) run(ctx context.Context, ending <-chan struct{}, may func() bool) {
	alive := time.NewTicker(keepAlive)
	defer alive.Stop()
	if st.first != nil && st.event("flow", "", st.first) != nil {
		return
	}
	for {
		var err error
		select {
		case <-ctx.Done():
			return
		case <-ending:
			return
		case <-alive.C:
			_, err = io.WriteString(st.w, ": so that nobody takes this stream for dead\n\n")
		case <-st.news:
			if !may() {
				return
			}
			err = st.tell()
		}
		if err != nil {
			return
		}
	}
}

// tell writes what is newer than what was told.
func (st *flowStream) tell() error {
	news, ladder, status := st.look()
	if news != nil {
		if err := st.tellFlows(st.judge(news)); err != nil {
			return err
		}
	}
	if ladder != nil {
		if err := st.event("flow", "", ladder); err != nil {
			return err
		}
	}
	if status == nil {
		return nil
	}
	return st.json("status", "", status)
}

// look takes from the feed what is newer.
func (st *flowStream) look() (news *flowNews, ladder []byte, status *StreamStatus) {
	f := st.feed
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.stale && (st.anew || st.version != f.version) {
		news = st.newer()
	}
	if l := f.ladders[st.open]; l != nil && l.changed != st.changed {
		st.changed, ladder = l.changed, l.doc
	}
	if !f.stale && f.seconds != st.seconds {
		st.seconds = f.seconds
		now := f.now
		status = &now
	}
	return news, ladder, status
}

// flowNews are flows that have changed, before the filter.
type flowNews struct {
	changed []told
	gone    []string
}

// judge applies the filter. What does not fit it is gone for this reader, whether it had it or not.
func (st *flowStream) judge(n *flowNews) *FlowChanges {
	c := &FlowChanges{Changed: []callflow.Summary{}, Gone: append([]string{}, n.gone...)}
	for i := range n.changed {
		switch t := &n.changed[i]; {
		case st.filter.Flow(t.flow):
			c.Changed = append(c.Changed, t.line)
		case !st.anew:
			c.Gone = append(c.Gone, t.line.ID)
		}
	}
	return c
}

// newer are the flows that have changed since the version that was told, or all of them when that is too long ago. The caller
// holds the feed's mu.
func (st *flowStream) newer() *flowNews {
	f := st.feed
	if st.version < f.missing || st.version > f.version {
		st.anew = true
	}
	since := st.version
	if st.anew {
		since = 0
	}
	n := &flowNews{}
	for _, t := range f.known {
		if t.version > since {
			n.changed = append(n.changed, *t)
		}
	}
	if !st.anew {
		for _, d := range f.gone {
			if d.version > since {
				n.gone = append(n.gone, d.id)
			}
		}
	}
	st.version = f.version
	return n
}

// tellFlows writes changes, a part at a time. Only the last part has an id: who was cut off before it gets all of them again.
func (st *flowStream) tellFlows(c *FlowChanges) error {
	slices.SortFunc(c.Changed, func(a, b callflow.Summary) int { return a.Newer(&b) })
	if st.anew {
		if err := st.event("reset", "", []byte("{}")); err != nil {
			return err
		}
	} else if len(c.Changed) == 0 && len(c.Gone) == 0 {
		return nil
	}
	for len(c.Changed) > someChanged {
		if err := st.json("flows", "", FlowChanges{Changed: c.Changed[:someChanged], Gone: []string{}}); err != nil {
			return err
		}
		c.Changed = c.Changed[someChanged:]
	}
	st.anew = false
	return st.json("flows", st.eventID(), c)
}

func (st *flowStream) json(name, id string, doc any) error {
	b, err := json.Marshal(doc)
	if err != nil {
		return err
	}
	return st.event(name, id, b)
}

// event writes one event with data on one line.
func (st *flowStream) event(name, id string, data []byte) error {
	b := make([]byte, 0, len(data)+64)
	if id != "" {
		b = append(b, "id: "+id+"\n"...)
	}
	b = fmt.Appendf(b, "event: %s\ndata: %s\n\n", name, data)
	_, err := st.w.Write(b)
	return err
}
