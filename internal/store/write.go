package store

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"syscall"
	"time"
)

const (
	moveAfter = 5 * time.Second // Options.moveAfter of a gateway: calls that are over by then are written once
	moveSize  = 4 << 20         // how large a file grows before it is moved earlier
	keepSize  = 32 << 20        // a file that grew beyond that is cut when it is used again
	growBy    = 1 << 20         // a file grows by that, and has it at once

	firstRetry = 100 * time.Millisecond
	lastRetry  = 5 * time.Second
)

// A segment is a journal file.
type segment struct {
	name  string
	file  File
	first uint64 // number of the first entry
	end   int64  // of the entries; 0: there are none
	size  int64  // of the file, as far as it is known
}

// A writer owns the journal. All of it is used by its goroutine only, apart from before it runs and after.
type writer struct {
	s      *Store
	files  [2]*segment
	active *segment // takes entries

	last   uint64 // the greatest number and ID that were found when the journal was opened
	lastID int64

	batch   []byte // being written, kept for the next one
	backlog []byte // entries that the disk did not take

	move   *time.Timer // fires when the active file shall be moved
	due    bool        // it has fired
	retry  *time.Timer
	pause  time.Duration // until the next retry; 0: the disk takes entries
	wait   bool          // for retry
	raised bool          // the alarm
	losing bool          // the alarm said that records are lost
	told   uint64        // how many were lost up to the end of the last alarm
}

// open opens the files and returns those that hold entries, the older one first.
func (w *writer) open() (left []*segment, err error) {
	for i, name := range journalNames {
		name = filepath.Join(w.s.dir, name)
		f, err := w.s.o.OpenFile(name)
		if err != nil {
			return nil, err
		}
		seg := &segment{name: name, file: f}
		w.files[i] = seg
		t := tail{file: f}
		if !t.open() {
			seg.reserve(1)
			continue
		}
		for first := true; ; first = false {
			found, err := t.batch(moveSize)
			if err != nil {
				return nil, fmt.Errorf("read %s: %w", name, err)
			}
			if len(found) == 0 {
				break
			}
			if first {
				seg.first = found[0].number
			}
			seg.end = t.off
			w.last = max(w.last, found[len(found)-1].number)
			for _, e := range found {
				w.lastID = max(w.lastID, e.id)
			}
		}
		if seg.end > 0 {
			left = append(left, seg)
		}
	}
	slices.SortFunc(left, func(a, b *segment) int { return int(int64(a.first - b.first)) })
	return left, nil
}

// reserve lets the file grow until it has room up to end. A sync after a write into blocks that are there costs half of one
// that must note a new length, too, and those blocks are there also when the disk is full. Where it does not work the file
// grows by what is written.
func (g *segment) reserve(end int64) {
	var one [1]byte
	for ; g.size < end; g.size += growBy {
		if n, _ := g.file.ReadAt(one[:], g.size+growBy-1); n > 0 {
			continue
		}
		from := max(g.size, g.end) // never over entries
		if from >= g.size+growBy {
			continue
		}
		if _, err := g.file.WriteAt(zeros[:g.size+growBy-from], from); err != nil {
			return
		}
	}
}

var zeros = make([]byte, growBy)

// run is the writer's goroutine.
func (w *writer) run() {
	w.move, w.retry = time.NewTimer(time.Hour), time.NewTimer(time.Hour)
	w.move.Stop()
	w.retry.Stop()
	defer w.move.Stop()
	defer w.retry.Stop()
	for {
		w.tell()
		select {
		case <-w.s.flush.C:
		case <-w.s.kick:
		case <-w.move.C:
			w.due = true
		case <-w.retry.C:
			w.wait = false
		case <-w.s.stop:
			return
		}
		w.commit()
		w.turn()
	}
}

// commit writes what is pending.
func (w *writer) commit() {
	if w.wait {
		w.gather()
		return
	}
	batch, done := w.take()
	if len(w.backlog) > 0 {
		w.backlog = append(w.backlog, batch...)
		batch = w.backlog
	}
	if len(batch) == 0 {
		return
	}
	err := w.write(batch)
	if err == nil {
		w.backlog, w.pause = nil, 0
		w.retry.Stop()
	} else {
		if len(w.backlog) == 0 {
			w.backlog = append(w.backlog, batch...)
		}
		w.bound()
		w.pause = min(max(2*w.pause, firstRetry), lastRetry)
		w.wait = true
		w.retry.Reset(w.pause)
	}
	w.s.mu.Lock()
	w.s.failing, w.s.behind = err, len(w.backlog)
	if err == nil && len(w.s.pending) > 0 { // came while the disk failed: nothing else wakes the writer
		w.s.wake()
	}
	if err != nil { // came while we tried
		done = append(done, w.s.done...)
		w.s.done = nil
	}
	w.s.mu.Unlock()
	for _, f := range done {
		f(err)
	}
}

// take returns the pending entries, and whom to tell.
func (w *writer) take() ([]byte, []func(error)) {
	s := w.s
	s.mu.Lock()
	defer s.mu.Unlock()
	batch, done := s.pending, s.done
	s.behind += len(batch)
	s.pending, s.done = w.batch[:0], nil
	if cap(s.pending) > maxWaiting/16 {
		s.pending = nil
	}
	s.flush.Stop()
	w.batch = batch
	return batch, done
}

// gather moves what is pending to the backlog, when that is much, while the disk takes nothing.
func (w *writer) gather() {
	w.s.mu.Lock()
	much := len(w.s.pending) > w.s.o.memory/someOf
	w.s.mu.Unlock()
	if much {
		batch, _ := w.take() // nobody waits: they were told that the disk fails
		w.backlog = append(w.backlog, batch...)
		w.bound()
		w.s.mu.Lock()
		w.s.behind = len(w.backlog)
		w.s.mu.Unlock()
	}
}

// write writes entries to the active file.
func (w *writer) write(batch []byte) error {
	seg, at := w.active, w.active.end
	if at == 0 {
		e, _ := readEntry(batch, 0)
		seg.first = e.number
		if _, err := seg.file.WriteAt(appendHeader(nil, e.number), 0); err != nil {
			return err
		}
		at = headerSize
	}
	seg.reserve(at + int64(len(batch)))
	if _, err := seg.file.WriteAt(batch, at); err != nil {
		return err
	}
	if err := seg.file.Sync(); err != nil {
		return err
	}
	if seg.end == 0 {
		w.due = false
		w.move.Reset(w.s.o.moveAfter)
	}
	seg.end = at + int64(len(batch))
	return nil
}

// turn gives the active file to the mover when it is time to, and the other one is free.
func (w *writer) turn() {
	if w.active.end == 0 || !w.due && w.active.end < moveSize {
		return
	}
	select {
	case next := <-w.s.free:
		if next.end > keepSize {
			next.file.Truncate(0)
			next.size = 0
		}
		next.end = 0
		w.s.full <- w.active
		w.active = next
		w.due = false
		w.move.Stop()
	default: // the mover wakes us
	}
}

// bound keeps the backlog in its bound: first each record's newest state only, then without the oldest.
func (w *writer) bound() {
	if len(w.backlog) <= w.s.o.memory {
		return
	}
	w.backlog = newestOf(w.backlog)
	rest, dropped := w.backlog, uint64(0)
	for len(rest) > w.s.o.memory/8*7 {
		_, size := readEntry(rest, 0)
		rest = rest[size:]
		dropped++
	}
	w.backlog = append([]byte(nil), rest...)
	w.s.mu.Lock()
	w.s.lost += dropped
	w.s.mu.Unlock()
}

// newestOf leaves out entries that a later one of the same record replaces.
func newestOf(entries []byte) []byte {
	newest := map[int64]uint64{}
	for rest := entries; len(rest) > 0; {
		e, size := readEntry(rest, 0)
		newest[e.id] = e.number
		rest = rest[size:]
	}
	kept := entries[:0]
	for rest := entries; len(rest) > 0; {
		e, size := readEntry(rest, 0)
		whole := rest[:size]
		rest = rest[size:]
		if newest[e.id] == e.number {
			kept = append(kept, whole...)
		}
	}
	return kept
}

// tell raises and clears the alarm. It is raised again when the first record is lost.
func (w *writer) tell() {
	s := w.s
	s.shakes.mu.Lock()
	shakes := s.shakes.failing
	s.shakes.mu.Unlock()
	s.mu.Lock()
	lost := s.lost
	var now error
	switch {
	case s.failing != nil && lost > w.told:
		now = trouble(s.dir, "calls", fmt.Sprintf("calls go on, but no more records fit in memory, and the oldest are lost, %d by now", lost), s.failing)
	case s.failing != nil:
		now = trouble(s.dir, "calls", "calls go on, and their records wait in memory", s.failing)
	case s.stuck != nil:
		now = trouble(s.dir, "calls", "calls go on, and their records wait in the journal", s.stuck)
	case shakes != nil:
		now = trouble(s.dir, "handshakes", "calls go on, and the records of handshakes wait in memory until newer ones push them out", shakes)
	}
	losing := s.failing != nil && lost > w.told
	s.mu.Unlock()
	if (now == nil) == !w.raised && losing == w.losing {
		return
	}
	w.raised, w.losing = now != nil, losing
	if now == nil {
		s.o.Log.Info("the records of calls are written again", "data", s.dir, "lost", lost-w.told)
		w.told = lost
	} else {
		s.o.Log.Error("the records of calls cannot be written", "cause", now)
	}
	if s.o.Alarm != nil {
		s.o.Alarm(now)
	}
}

// trouble is an alarm: where, what that means, why, and the remedy where one is known.
func trouble(dir, what, means string, err error) error {
	remedy := "the disk or the file system has a fault: see the system's log"
	switch {
	case noRoom(err):
		remedy = "free some space there"
	case errors.Is(err, syscall.EROFS):
		remedy = "mount the file system for writing"
	}
	return fmt.Errorf("data directory %s takes no records of %s: %w; %s: %s", dir, what, err, means, remedy)
}

// finish writes what is left when the goroutine has ended.
func (w *writer) finish() error {
	batch, done := w.take()
	all := append(w.backlog, batch...)
	var err error
	if len(all) > 0 {
		if err = w.write(all); err != nil {
			n := 0
			for rest := newestOf(all); len(rest) > 0; n++ {
				_, size := readEntry(rest, 0)
				rest = rest[size:]
			}
			err = fmt.Errorf("records of calls are lost, %d in all: %w", n, err)
		}
	}
	for _, f := range done {
		f(err)
	}
	return err
}

func (w *writer) close() error {
	var errs []error
	for _, seg := range w.files {
		if seg != nil {
			errs = append(errs, seg.file.Close())
		}
	}
	return errors.Join(errs...)
}
