// Package history keeps what the recorder saw, on the disk: every call, every request outside of calls and every refused handshake can be
// told again after the ring in memory has let go of it, after a restart, and after the process was killed.
//
// Its main type is History. One goroutine, the keeper's (keep.go), follows the ring by a cursor, and appends what comes to segment
// files (segment.go) in the form of encode.go, each block under a checksum. It makes nobody wait: when the disk is full or too slow, the
// oldest events of the ring are lost to the history, and counted. Each segment has an index of keys (callflow.Key), so that the flow of one
// call is read without looking through the rest (read.go). The oldest segments go when all are too large or too old.
//
// Secrets have been masked before (package redact); telephone numbers are masked here when Limits say so. Who may write in a directory is
// the store's matter: a History is opened under its lock.
package history

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/sallyport-sip/sallyport/internal/callflow"
)

// Limits say what is kept and for how long. They may change while the History is open.
type Limits struct {
	Off   bool          // nothing new is kept; what there is goes by its age
	Bytes int64         // that all segments may take; the oldest go
	Age   time.Duration // segments whose last event is older go; 0: none

	NoCalls      bool // what belongs to INVITEs is not kept
	NoRequests   bool // messages of other methods are not kept
	NoHandshakes bool // connections and their handshakes are not kept
	MaskNumbers  bool // telephone numbers lose all but their last digits
}

// A Source gives events once and in order, as a recorder.Cursor does: nil when there are none now.
type Source interface {
	Next() []callflow.Event
	Lost() uint64
}

// Options are what a History is opened with.
type Options struct {
	Dir     string           // for the segments; it is made
	Run     string           // the run of the gateway that is recorded
	Gateway string           // name of the gateway's lifeline
	Source  Source           //
	Limits  Limits           //
	Log     *slog.Logger     // nil: no log
	Alarm   func(error)      // called when the disk takes nothing, and with nil when it does again; nil: nobody
	Now     func() time.Time // nil: time.Now

	create func(name string) (file, error) // nil: the system's; tests bring disks that fail
}

// A file is what a segment is written to.
type file interface {
	Write(b []byte) (int, error)
	Truncate(size int64) error
	Close() error
}

// A History keeps flows. Its methods are safe for concurrent use.
type History struct {
	o       Options
	builder callflow.Builder
	stop    chan struct{}
	asked   chan chan struct{} // by those who want what is in the ring to be read first
	keeping sync.WaitGroup
	k       keeper

	mu       sync.Mutex // guards what follows
	limits   Limits
	segments []*segment // the oldest first; the last one may be the one that is written
	stats    Stats
	failing  error
	closed   bool
}

// Stats is how the history stands.
type Stats struct {
	Segments int
	Bytes    int64     // that they take on the disk
	Events   uint64    // kept since the start
	Lost     uint64    // that the ring had let go before they were read, or the disk did not take, since the start
	Oldest   time.Time // of what is kept; zero: nothing is
	Failing  bool      // the disk takes nothing
}

// Why there is no flow.
var (
	ErrOff  = errors.New("no history is kept: the configuration turns it off")
	ErrNone = errors.New("the history has no such flow: it is older than what is kept, was not kept, or never was")
)

// Open opens the history in a directory and begins to keep it. What earlier runs left is there at once, apart from the segment that a
// killed one was writing, which takes a moment.
func Open(o Options) (*History, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Alarm == nil {
		o.Alarm = func(error) {}
	}
	if o.create == nil {
		o.create = func(name string) (file, error) {
			return os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		}
	}
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("history: %w", err)
	}
	h := &History{o: o, builder: callflow.Builder{Gateway: o.Gateway}, limits: o.Limits,
		stop: make(chan struct{}), asked: make(chan chan struct{})}
	h.k.h = h
	segments, err := list(o.Dir)
	if err != nil {
		return nil, fmt.Errorf("history %s: %w", o.Dir, err)
	}
	h.segments = segments
	for _, s := range segments {
		h.k.number = max(h.k.number, s.number)
	}
	h.keeping.Go(h.k.run)
	return h, nil
}

// Limit changes the limits from now on.
func (h *History) Limit(l Limits) {
	h.mu.Lock()
	h.limits = l
	h.mu.Unlock()
}

// Stats returns the numbers of this moment.
func (h *History) Stats() Stats {
	h.mu.Lock()
	defer h.mu.Unlock()
	s := h.stats
	s.Failing = h.failing != nil
	for _, seg := range h.segments {
		s.Segments++
		s.Bytes += seg.size
		if s.Oldest.IsZero() || !seg.from.IsZero() && seg.from.Before(s.Oldest) {
			s.Oldest = seg.from
		}
	}
	return s
}

// Close keeps what is still in the ring, and ends.
func (h *History) Close() error {
	h.mu.Lock()
	was := h.closed
	h.closed = true
	h.mu.Unlock()
	if was {
		return nil
	}
	close(h.stop)
	h.keeping.Wait()
	return h.k.close()
}
