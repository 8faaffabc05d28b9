package gateway

import (
	"cmp"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/sallyport-sip/sallyport/internal/guard"
	"github.com/sallyport-sip/sallyport/sip"
)

// passed is a limit of a listener. The listener is empty for a connection that we
// made.
type passed struct {
	listener string
	limit    sip.Limit
}

// excesses count limits that were passed, and writes of each at most one line a
// minute: who attacks does not fill the disk.
type excesses struct {
	log *slog.Logger

	mu     sync.Mutex // guards counts and what they point to
	counts map[passed]*times
}

// times is how often a limit was passed, and what was said of it.
type times struct {
	n    uint64
	told uint64 // of those
	at   time.Time
}

// tellEvery is how often the log has the same limit.
const tellEvery = time.Minute

func newExcesses(log *slog.Logger) *excesses {
	return &excesses{log: log, counts: make(map[passed]*times)}
}

// count counts one. attrs are for the line.
func (l *excesses) count(what passed, attrs ...any) {
	now := time.Now()
	l.mu.Lock()
	t := l.counts[what]
	if t == nil {
		t = new(times)
		l.counts[what] = t
	}
	t.n++
	since := t.n - t.told
	tell := t.at.IsZero() || now.Sub(t.at) >= tellEvery
	if tell {
		t.told, t.at = t.n, now
	}
	l.mu.Unlock()
	if tell {
		l.log.Warn("limit passed", append([]any{"limit", what.limit, "listener", what.listener, "times", since}, attrs...)...)
	}
}

// Passed is how often a limit was passed since the start.
type Passed struct {
	Listener string // empty for connections that we made
	Limit    sip.Limit
	Times    uint64
}

// Limited returns the limits that were passed, by listener and name.
func (g *Gateway) Limited() []Passed {
	l := g.limited
	l.mu.Lock()
	defer l.mu.Unlock()
	list := make([]Passed, 0, len(l.counts))
	for what, t := range l.counts {
		list = append(list, Passed{what.listener, what.limit, t.n})
	}
	slices.SortFunc(list, func(a, b Passed) int {
		return cmp.Or(cmp.Compare(a.Listener, b.Listener), cmp.Compare(a.Limit, b.Limit))
	})
	return list
}

// strangeLines bounds what the log says of who is no peer: a scan of the whole
// network is worth a few thousand lines, not a full disk.
type strangeLines struct {
	bucket guard.Bucket

	mu   sync.Mutex
	left int // out, since the last line
}

const (
	strangeLinesAtOnce  = 5000
	strangeLinesASecond = 10
)

// write says whether one more line may be written, and writes first how many were
// left out.
func (s *strangeLines) write(log *slog.Logger) bool {
	ok := s.bucket.Take(time.Now(), strangeLinesASecond, strangeLinesAtOnce) == 0
	s.mu.Lock()
	left := s.left
	if s.left = 0; !ok {
		s.left = left + 1
	}
	s.mu.Unlock()
	if ok && left > 0 {
		log.Warn("lines about who is no peer were left out", "lines", left)
	}
	return ok
}
