package events

import (
	"context"
	"crypto/x509"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

// Endpoint is a webhook as the configuration has it.
type Endpoint struct {
	Name    string
	URL     string
	Secret  []byte
	Want    Selection
	Roots   *x509.CertPool // nil: the system's
	Timeout time.Duration  // of a request
	GiveUp  time.Duration  // how old an event gets
	Waiting int            // how many events may wait
	AtOnce  int            // requests under way
}

// Options are what Webhooks need of their surroundings.
type Options struct {
	Version string       // of the program, for User-Agent
	Log     *slog.Logger // nil: no log
	// Raise and Clear raise and end an alarm; nil: nobody is told.
	Raise func(name, text, remedy string)
	Clear func(name string)
	// Dial connects to an endpoint, nil: the system's network. Tests bring one in memory.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
}

// Webhooks posts events to endpoints. Its methods may be called by any goroutine.
//
// Each endpoint has a queue of its own, with a reader of the hub: what it wants goes into a journal in the data directory, and
// once that is on the disk it is accepted: posted until the endpoint has taken it, by this run of the gateway or by the
// next, at least once, with an ID by which the receiver knows what comes twice. Events of one call are posted one after the other. One
// that fails holds up its own call only; when several fail in a row the endpoint is left alone for a while.
type Webhooks struct {
	hub *Hub
	dir string
	o   Options

	mu     sync.Mutex // guards what follows
	queues map[string]*queue
	began  bool // endpoints were applied once
	closed bool
}

// NewWebhooks returns one without endpoints, that keeps its files in dir, which is there.
func NewWebhooks(hub *Hub, dir string, o Options) *Webhooks {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Raise == nil {
		o.Raise, o.Clear = func(string, string, string) {}, func(string) {}
	}
	if o.Dial == nil {
		o.Dial = new(net.Dialer).DialContext
	}
	return &Webhooks{hub: hub, dir: dir, o: o, queues: make(map[string]*queue)}
}

// journalName is the file of an endpoint. It begins with a word of ours, so that no name leads elsewhere.
func (w *Webhooks) journalName(endpoint string) string {
	return filepath.Join(w.dir, "webhook-"+endpoint+".journal")
}

// Apply has these endpoints called from now on. One that goes on keeps what waits for it; one that is new is told what
// happens from now on, the first time all since the start; of one that is gone the rest is dropped, and counted in the log.
func (w *Webhooks) Apply(endpoints []Endpoint) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return
	}
	for name, q := range w.queues {
		if !slices.ContainsFunc(endpoints, func(e Endpoint) bool { return e.Name == name }) {
			delete(w.queues, name)
			q.close()
			w.drop(q)
		}
	}
	for _, e := range endpoints {
		if q := w.queues[e.Name]; q != nil {
			q.change(e)
			continue
		}
		w.queues[e.Name] = startQueue(w, e)
	}
	w.began = true
}

// drop removes what is left of an endpoint that the configuration does not have any more.
func (w *Webhooks) drop(q *queue) {
	if n := q.stats().Waiting; n > 0 {
		w.o.Log.Warn("webhook is gone from the configuration: what waited for it is dropped", "webhook", q.name, "events", n)
	}
	q.journal.remove()
	w.o.Clear(q.alarm())
	w.o.Clear(q.diskAlarm())
}

// Forget removes files of endpoints that an earlier run left and this configuration does not have.
func (w *Webhooks) Forget() {
	w.mu.Lock()
	defer w.mu.Unlock()
	names, _ := filepath.Glob(filepath.Join(w.dir, "webhook-*.journal"))
	for _, path := range names {
		name := strings.TrimSuffix(strings.TrimPrefix(filepath.Base(path), "webhook-"), ".journal")
		if w.queues[name] == nil {
			w.o.Log.Warn("webhook is gone from the configuration: what waited for it is dropped", "webhook", name)
			os.Remove(path)
		}
	}
}

// Close takes what the hub has still got into the journals, and ends. What the endpoints have not taken yet they get from the next run.
func (w *Webhooks) Close() {
	w.mu.Lock()
	w.closed = true
	queues := w.queues
	w.mu.Unlock()
	for _, q := range queues {
		q.close()
		q.journal.close()
	}
}

// Stats is how an endpoint does. The counters begin with the run of the gateway.
type Stats struct {
	Name      string
	Waiting   int       // events that it has not taken
	Oldest    time.Time // of those; zero: none waits
	Delivered uint64
	Failed    uint64 // requests that came to nothing, and were made again
	GaveUp    uint64 // events that got too old
	Lost      uint64 // events for which there was no room
	Error     string // of the last request; empty: it was taken
	Resting   bool   // it is left alone, because it failed several times in a row
}

// Stats returns how the endpoints do, by name.
func (w *Webhooks) Stats() []Stats {
	w.mu.Lock()
	defer w.mu.Unlock()
	all := make([]Stats, 0, len(w.queues))
	for _, q := range w.queues {
		all = append(all, q.stats())
	}
	slices.SortFunc(all, func(a, b Stats) int { return strings.Compare(a.Name, b.Name) })
	return all
}

func (q *queue) alarm() string     { return "webhook " + q.name }
func (q *queue) diskAlarm() string { return "webhook " + q.name + " journal" }

// diskRemedy is what to do when a journal cannot be written.
func diskRemedy(path string) string {
	return fmt.Sprintf("make room on the disk of %s", filepath.Dir(path))
}
