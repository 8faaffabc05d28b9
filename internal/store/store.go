package store

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"
)

// Options are what a store is opened with.
type Options struct {
	Now   func() time.Time // nil: time.Now
	Log   *slog.Logger     // nil: no log
	Alarm func(error)      // called when the disk takes no records, and with nil when it does again; nil: nobody
	Keep  time.Duration    // records of calls that ended longer ago are deleted; 0: none

	KeepHandshakes time.Duration // records of handshakes that are older are deleted; 0: none

	// OpenFile opens a file of the journal for reading and writing, and makes it when it is not there; nil: the
	// system's. Tests bring disks that fail.
	OpenFile func(name string) (File, error)

	moveAfter time.Duration          // how long a journal file takes entries before they are moved; 0: 5 s
	probe     func(dir string) error // whether there is room; nil: probe
	memory    int                    // bytes of records that wait in memory at most; 0: 64 MiB
}

// A File is what the journal needs of a file. Sync returns when what was written is on the disk.
type File interface {
	ReadAt(b []byte, off int64) (int, error)
	WriteAt(b []byte, off int64) (int, error)
	Truncate(size int64) error
	Sync() error
	Close() error
}

const (
	// interval is how long a record waits for others that go to the disk with it.
	interval = 10 * time.Millisecond
	// maxWaiting bounds the records in memory that the disk does not take, in bytes.
	maxWaiting = 64 << 20
	// someOf is which part of that gathers, while the disk fails, before the writer sees to it.
	someOf = 64
)

// errLost is given to PutDurable when there is no room even in memory.
var errLost = errors.New("the disk takes no records, and no more of them fit in memory")

// A Store takes the records of a running gateway. It is safe for all shards.
//
// A record goes a way of three steps: Put encodes it into pending; the writer's goroutine writes pending to the journal
// (write.go); the mover's goroutine moves what a journal file holds into the table (move.go).
type Store struct {
	dir  string
	o    Options
	lock *os.File

	kick chan struct{} // wakes the writer; holds one
	full chan *segment // from the writer to the mover; holds one
	free chan *segment // and back; holds both
	stop chan struct{} // closed when both shall end
	w    writer
	m    mover

	shakes shakes // handshakes on their way to the table

	writing, moving sync.WaitGroup

	mu      sync.Mutex // guards the following
	pending []byte     // entries that the writer does not have yet
	done    []func(error)
	number  uint64      // of the newest entry
	id      int64       // the newest one given out
	flush   *time.Timer // wakes the writer when the first entry of pending has waited for interval
	failing error       // why the journal takes nothing; nil: it does
	stuck   error       // why the table takes nothing; nil: it does
	lost    uint64      // records that found no room in memory
	behind  int         // bytes that the writer has and the disk does not
	closed  bool
}

// Open opens the store in the directory dir, which must exist and be writable, for a gateway: a second one in the same
// directory is refused. Records that an earlier run left open become Interrupted. When the disk is full that waits until
// there is room, with an alarm, and the store takes records nevertheless.
func Open(dir string, o Options) (*Store, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.OpenFile == nil {
		o.OpenFile = openFile
	}
	if o.moveAfter == 0 {
		o.moveAfter = moveAfter
	}
	if o.memory == 0 {
		o.memory = maxWaiting
	}
	if o.probe == nil {
		o.probe = probe
	}
	lock, err := lockDir(dir)
	if err != nil {
		return nil, err
	}
	s := &Store{
		dir: dir, o: o, lock: lock, flush: time.NewTimer(time.Hour),
		kick: make(chan struct{}, 1), full: make(chan *segment, 1), free: make(chan *segment, 2), stop: make(chan struct{}),
	}
	s.flush.Stop()
	s.w.s, s.m.s = s, s
	s.shakes.wake = make(chan struct{}, 1)
	if err := s.begin(); err != nil {
		s.w.close()
		s.m.close()
		lock.Close()
		return nil, fmt.Errorf("data directory %s: %w", dir, err)
	}
	s.writing.Go(s.w.run)
	s.moving.Go(s.m.run)
	return s, nil
}

// begin reads what earlier runs left.
func (s *Store) begin() error {
	left, err := s.w.open()
	if err != nil {
		return err
	}
	// Greater than all numbers of earlier runs, also when the table cannot be asked: entries are fewer than microseconds.
	s.number = max(s.w.last, uint64(max(0, s.o.Now().UnixMicro())))
	s.id = max(s.w.lastID, firstID(s.o.Now())-1)
	s.m.before, s.m.begun = s.id+1, s.number
	for _, seg := range left {
		s.m.left = append(s.m.left, leftover{seg.file, seg.end})
	}
	switch err := s.m.recover(); {
	case err == nil:
		for _, seg := range s.w.files {
			seg.end = 0
		}
		s.w.active = s.w.files[0]
		s.free <- s.w.files[1]
	case noRoom(err):
		// The file that was written last goes on; the other, where it holds anything, is not free yet.
		s.stuck = err
		s.w.active = s.w.files[0]
		if len(left) > 0 {
			s.w.active = left[len(left)-1]
		}
		for _, seg := range s.w.files {
			switch {
			case seg == s.w.active:
			case seg.end > 0:
				s.full <- seg
			default:
				s.free <- seg
			}
		}
	default:
		return err
	}
	s.number = max(s.number, s.m.entry)
	s.id = max(s.id, s.m.newest)
	return nil
}

// NewID returns the ID of a new record: unique among all runs on the same directory, and sorted by time when sorted as
// text.
func (s *Store) NewID() string {
	now := s.o.Now()
	s.mu.Lock()
	s.id = NextID(s.id, now)
	id := s.id
	s.mu.Unlock()
	return FormatID(id)
}

// Put takes the newest state of a record, which replaces the one with the same ID; that is one of NewID's. Put never
// waits for the disk, and c is the caller's again when it returns. Strings longer than 2048 bytes are cut.
//
// After 10 ms the record is on its way to the disk with all that came meanwhile; it is there when the disk has synced,
// or when it has done so twice where it needs longer than 10 ms. When the disk takes nothing the record waits in memory,
// with others up to 64 MiB; beyond that the oldest are lost, counted and told in the alarm.
func (s *Store) Put(c *CDR) { s.put(c, nil) }

// PutDurable is Put, and calls done when the record is on the disk, which it asks for at once. When the disk takes
// nothing, done gets the reason, and the record waits as that of Put does. done is called once, in the store's goroutine
// or before PutDurable returns, and must not block.
func (s *Store) PutDurable(c *CDR, done func(error)) { s.put(c, done) }

func (s *Store) put(c *CDR, done func(error)) {
	id, ok := ParseID(c.ID)
	if !ok {
		panic(fmt.Sprintf("store: %q is no ID of NewID", c.ID))
	}
	if err := s.take(id, c, done); err != nil && done != nil {
		done(err)
	}
}

// take encodes c into pending. Its error is for done, which is otherwise kept until the record is on the disk.
func (s *Store) take(id int64, c *CDR, done func(error)) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return os.ErrClosed
	}
	if len(s.pending) > s.o.memory {
		s.lost++
		return errLost
	}
	first := len(s.pending) == 0
	s.number++
	s.pending = appendEntry(s.pending, s.number, id, c)
	switch {
	case s.failing != nil:
		if len(s.pending) > s.o.memory/someOf {
			s.wake()
		}
		return s.failing
	case done != nil:
		s.done = append(s.done, done)
		s.wake()
	case first:
		s.flush.Reset(interval)
	}
	return nil
}

// wake makes the writer look.
func (s *Store) wake() {
	select {
	case s.kick <- struct{}{}:
	default:
	}
}

// Close writes what there is to the disk and closes the store. Its error says how many records could not be written.
func (s *Store) Close() error {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	close(s.stop)
	s.writing.Wait()
	s.moving.Wait()
	err := s.w.finish()
	s.m.finish()
	return errors.Join(err, s.w.close(), s.m.close(), s.lock.Close())
}
