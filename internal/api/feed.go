package api

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"errors"
	"sync"
	"time"

	"github.com/sallyport-sip/sallyport/internal/callflow"
	"github.com/sallyport-sip/sallyport/internal/callflow/export"
)

const (
	// maxStreams is how many streams there are at once.
	maxStreams = 32
	// maxGone is how many flows are remembered as gone, for streams that have not heard of it.
	maxGone = 8192
	// restAfter is how many times as long as flows took to build nobody builds any again, so that all streams together take
	// about two percent of a core; and restAtLeast is the least.
	restAfter   = 50
	restAtLeast = 200 * time.Millisecond
	// statusEvery is how often streams are told how the gateway does.
	statusEvery = time.Second
)

var (
	errManyStreams = errors.New("too many streams are open: close one, or wait and try again")
	errLeaving     = errors.New("the API is being closed")
)

// A feed follows the recorder for all streams together. It has one goroutine while there is a stream, which builds flows when
// something is new, no more often than restAfter says, and counts a version up for each flow that has changed. A stream keeps the
// version that it has told, and asks for what is newer. So nothing waits for a reader, and no reader has a queue: one who is slow is told
// less often, and one who has missed too much begins anew.
type feed struct {
	flows  flowSource
	status func(*StreamStatus) // fills what is not counted from flows
	here   string              // the run, which stands before the ids of flows
	epoch  string              // of this feed: versions of another one mean nothing here

	mu      sync.Mutex // guards what follows
	version uint64
	known   map[string]*told
	gone    []departure // the oldest first
	missing uint64      // departures up to this version are forgotten
	ladders map[string]*ladder
	streams map[chan struct{}]struct{} // each holds one
	now     StreamStatus
	seconds uint64 // how often now was made
	stale   bool   // known is of an earlier stream
	stop    chan struct{}
	wanted  chan struct{} // holds one: a ladder was opened
	closed  bool
	running sync.WaitGroup
}

// A flowSource is a recorder.
type flowSource interface {
	Flows() []*callflow.Flow
	Flow(id string) *callflow.Flow
	Subscribe() (news <-chan struct{}, stop func())
}

// told is a flow as it was last built.
type told struct {
	flow    *callflow.Flow // nil while no stream is open
	line    callflow.Summary
	rows    int
	version uint64 // at which it changed
}

// A departure is a flow that is there no more.
type departure struct {
	id      string
	version uint64
}

// A ladder is a flow that some stream has open.
type ladder struct {
	open    int // by how many streams
	doc     []byte
	changed uint64 // counts the documents
}

func newFeed(flows flowSource, run string, status func(*StreamStatus)) *feed {
	return &feed{flows: flows, here: run, status: status, epoch: rand.Text()[:8], known: map[string]*told{}, ladders: map[string]*ladder{},
		streams: map[chan struct{}]struct{}{}, wanted: make(chan struct{}, 1)}
}

// join lets a stream follow; its channel receives when something is new. id is the ladder that it has open, if any. The first
// stream starts the goroutine.
func (f *feed) join(id string) (chan struct{}, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case f.closed:
		return nil, errLeaving
	case len(f.streams) >= maxStreams:
		return nil, errManyStreams
	}
	news := make(chan struct{}, 1)
	news <- struct{}{} // there may be something to tell already
	f.streams[news] = struct{}{}
	if id != "" {
		if f.ladders[id] == nil {
			f.ladders[id] = &ladder{}
		}
		f.ladders[id].open++
	}
	if f.stop == nil {
		f.stop, f.stale = make(chan struct{}), true
		stop := f.stop
		f.running.Go(func() { f.run(stop) })
		return news, nil
	}
	select {
	case f.wanted <- struct{}{}:
	default:
	}
	return news, nil
}

// leave ends that. With the last stream goes the goroutine, and with it the flows.
func (f *feed) leave(news chan struct{}, id string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.streams, news)
	if l := f.ladders[id]; l != nil {
		if l.open--; l.open == 0 {
			delete(f.ladders, id)
		}
	}
	if len(f.streams) > 0 || f.stop == nil {
		return
	}
	close(f.stop)
	f.stop = nil
	for _, t := range f.known {
		t.flow = nil
	}
}

// close lets no stream in any more, and waits for the goroutine; all streams must have been told to end.
func (f *feed) close() {
	f.mu.Lock()
	f.closed = true
	f.mu.Unlock()
	f.running.Wait()
}

// run builds what is new until stop is closed.
func (f *feed) run(stop chan struct{}) {
	news, end := f.flows.Subscribe()
	defer end()
	seconds := time.NewTicker(statusEvery)
	defer seconds.Stop()
	list, open := rest{new: true}, rest{new: true}
	turn := time.NewTimer(0)
	defer turn.Stop()
	first := true
	for {
		select {
		case <-stop:
			return
		case <-seconds.C:
			f.count()
			continue
		case <-news:
			list.new, open.new = true, true
		case <-f.wanted:
			open.new = true
		case <-turn.C:
			open.take(f.buildOpen)
			list.take(f.build)
			if first {
				f.count()
				first = false
			}
		}
		if at, ok := soonest(&list, &open); ok {
			turn.Reset(time.Until(at))
		}
	}
}

// A rest says when something may be built again.
type rest struct {
	new bool // there is something to build
	due time.Time
}

// take builds when it is time.
func (r *rest) take(build func()) {
	now := time.Now()
	if !r.new || now.Before(r.due) {
		return
	}
	r.new = false
	build()
	done := time.Now()
	r.due = done.Add(max(restAtLeast, restAfter*done.Sub(now)))
}

func soonest(all ...*rest) (at time.Time, ok bool) {
	for _, r := range all {
		if r.new && (!ok || r.due.Before(at)) {
			at, ok = r.due, true
		}
	}
	return at, ok
}

// build compares all flows with what they were.
func (f *feed) build() {
	flows := f.flows.Flows()
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.streams) == 0 {
		return
	}
	f.version++
	now := make(map[string]*told, len(flows))
	for _, flow := range flows {
		t := &told{flow: flow, line: callflow.Summarize(flow), rows: len(flow.Rows), version: f.version}
		id := f.here + "-" + flow.ID
		t.line.ID = id
		if old := f.known[id]; old != nil && old.rows == t.rows && old.line.Equal(&t.line) {
			t.version = old.version
		}
		now[id] = t
	}
	for id := range f.known {
		if now[id] == nil {
			f.gone = append(f.gone, departure{id, f.version})
		}
	}
	if n := len(f.gone) - maxGone; n > 0 {
		f.missing = f.gone[n-1].version
		f.gone = append([]departure(nil), f.gone[n:]...)
	}
	f.known, f.stale = now, false
	f.tell()
}

// buildOpen makes the documents of open ladders.
func (f *feed) buildOpen() {
	f.mu.Lock()
	var ids []string
	for id := range f.ladders {
		ids = append(ids, id)
	}
	f.mu.Unlock()
	for _, id := range ids {
		flow := f.flows.Flow(id)
		if flow == nil {
			continue // memory has lost it: it stays as it was seen last
		}
		named := *flow
		named.ID = f.here + "-" + flow.ID
		doc := document(&named)
		f.mu.Lock()
		if l := f.ladders[id]; l != nil && !bytes.Equal(l.doc, doc) {
			l.doc = doc
			l.changed++
			f.tell()
		}
		f.mu.Unlock()
	}
}

// document is a flow as JSON on one line.
func document(flow *callflow.Flow) []byte {
	doc, _ := json.Marshal(export.NewDocument([]*callflow.Flow{flow})) // it has always a form
	return doc
}

// count makes the status.
func (f *feed) count() {
	var s StreamStatus
	f.status(&s)
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, t := range f.known {
		switch t.line.State {
		case callflow.StateFailed:
			s.Failed++
		case callflow.StateRefused:
			s.Refused++
		}
	}
	f.now = s
	f.seconds++
	f.tell()
}

// tell wakes all streams. One that has its news already is not waited for. The caller holds mu.
func (f *feed) tell() {
	for news := range f.streams {
		select {
		case news <- struct{}{}:
		default:
		}
	}
}
