package cli

import (
	"bytes"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"
)

// logQueue stands between a log and its stream, because shards log and must
// not wait for whoever reads: lines wait in a bounded queue, and when that is
// full they are dropped, counted, and the count is written when there is room.
// One goroutine writes; close waits for it, but not for a reader who has
// stopped reading.
type logQueue struct {
	lines   chan []byte
	dropped atomic.Uint64
	ended   chan struct{}

	mu     sync.RWMutex // guards closed against a Write under way
	closed bool
}

const (
	logLines    = 4096            // lines that may wait
	logPatience = 2 * time.Second // how long close waits for a slow reader

	// Lines of a busy gateway go out together: for one alone the wake-up and the system call cost more than the line.
	logGather = 10 * time.Millisecond
	logBatch  = 64 << 10 // bytes after which no more are gathered
)

func newLogQueue(w io.Writer) *logQueue {
	q := &logQueue{lines: make(chan []byte, logLines), ended: make(chan struct{})}
	go q.run(w)
	return q
}

// run writes lines until close. A reader who has gone loses them.
func (q *logQueue) run(w io.Writer) {
	defer close(q.ended)
	var batch []byte
	for line := range q.lines {
		time.Sleep(logGather)
		batch = q.gather(append(batch[:0], line...))
		w.Write(batch)
		if n := q.dropped.Swap(0); n > 0 {
			fmt.Fprintf(w, "%d log lines dropped: their reader is too slow\n", n)
		}
	}
}

// gather appends the lines that wait.
func (q *logQueue) gather(batch []byte) []byte {
	for len(batch) < logBatch {
		select {
		case line, ok := <-q.lines:
			if !ok {
				return batch
			}
			batch = append(batch, line...)
		default:
			return batch
		}
	}
	return batch
}

// Write queues one line, or drops it. It never waits and never fails.
func (q *logQueue) Write(line []byte) (int, error) {
	q.mu.RLock()
	defer q.mu.RUnlock()
	if !q.closed {
		select {
		case q.lines <- bytes.Clone(line):
		default:
			q.dropped.Add(1)
		}
	}
	return len(line), nil
}

// close writes what waits and ends the goroutine, unless the reader has
// stopped reading: then it is left to the end of the process.
func (q *logQueue) close() {
	q.mu.Lock()
	q.closed = true
	close(q.lines)
	q.mu.Unlock()
	select {
	case <-q.ended:
	case <-time.After(logPatience):
	}
}
