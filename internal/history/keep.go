package history

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/sallyport-sip/sallyport/internal/callflow"
	"github.com/sallyport-sip/sallyport/internal/redact"
)

const (
	pollEvery  = 50 * time.Millisecond // how often the ring is looked at: what is younger is lost when the process is killed
	blockSize  = 256 << 10             // from this on a block is written
	blockLimit = 512                   // events, likewise
	blockKeys  = 1024                  // likewise
	keysOfOne  = 4                     // of an event at most
	blockFront = blockHead + 8*blockKeys
	tidyEvery  = time.Minute // how often what is too old is looked for
	retryAfter = time.Second // after a write that failed

	leastSegment = 1 << 20
	mostSegment  = 256 << 20
	segmentsIn   = 64 // so many make up the size that is allowed
)

// A keeper is the goroutine that writes. All of it is that goroutine's, apart from before it runs and after.
type keeper struct {
	h      *History
	number uint64   // of the newest segment
	seg    *segment // that is written; nil: none yet
	file   file
	begun  time.Time // when seg was
	limits Limits
	filer  callflow.Filer

	c        coder // of the block, with room for its head and keys before the events: blockFront bytes
	keys     []callflow.Key
	count    uint32
	first    uint64
	from, to time.Time

	retry   time.Time // before that nothing is tried
	failed  uint64    // events that the disk did not take
	lost    uint64    // of which the alarm has spoken
	raised  bool
	numbers []byte
}

func (k *keeper) run() {
	tick, tidy := time.NewTicker(pollEvery), time.NewTicker(tidyEvery)
	defer tick.Stop()
	defer tidy.Stop()
	k.c.known = make(map[*callflow.Link]uint64)
	k.c.b = make([]byte, blockFront, blockFront+blockSize+64<<10)
	k.heal()
	k.tidy()
	for {
		select {
		case <-tick.C:
			k.drain()
		case done := <-k.h.asked:
			k.drain()
			close(done)
		case <-tidy.C:
			k.tidy()
		case <-k.h.stop:
			k.drain()
			return
		}
	}
}

// heal finishes the segments that a killed process was writing: what is not whole at the end is cut off.
func (k *keeper) heal() {
	k.h.mu.Lock()
	var broken []*segment
	for _, s := range k.h.segments {
		if s.broken {
			broken = append(broken, s)
		}
	}
	k.h.mu.Unlock()
	for _, s := range broken {
		if err := k.mend(s); err != nil {
			k.h.o.Log.Warn("a segment of the history cannot be read", "file", s.name, "cause", err)
			if !errors.Is(err, errNewer) {
				k.remove(s)
			}
		}
	}
}

func (k *keeper) mend(s *segment) error {
	r, err := os.Open(s.name)
	if err != nil {
		return err
	}
	index, end, from, to, err := scan(r)
	r.Close()
	switch {
	case err != nil:
		return err
	case len(index) == 0:
		return errors.New("it holds nothing")
	}
	f, err := os.OpenFile(s.name, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	text := finish(index, end, from, to)
	if err := f.Truncate(end); err != nil {
		return err
	}
	if _, err := f.Write(text); err != nil {
		return err
	}
	k.h.mu.Lock()
	s.broken, s.finished, s.size, s.from, s.to = false, true, end+int64(len(text)), from, to
	k.h.mu.Unlock()
	return nil
}

// drain takes what is in the ring.
func (k *keeper) drain() {
	k.h.mu.Lock()
	k.limits = k.h.limits
	k.h.mu.Unlock()
	for events := k.h.o.Source.Next(); events != nil; events = k.h.o.Source.Next() {
		for i := range events {
			k.take(&events[i])
		}
	}
	k.flush()
	k.tell()
}

// take adds an event to the block.
func (k *keeper) take(e *callflow.Event) {
	first := k.filer.First(e) // of those, too, that are not kept
	if !k.wants(e) {
		return
	}
	if k.limits.MaskNumbers {
		k.mask(e)
	}
	if k.count == 0 {
		k.c.seq, k.c.at = e.Seq, e.At.UnixNano()
		k.first, k.from = e.Seq, e.At
	}
	k.to = e.At
	k.key(e, first)
	k.c.event(e, &first)
	if k.count++; len(k.c.b) >= blockFront+blockSize || k.count == blockLimit || len(k.keys) > blockKeys-keysOfOne {
		k.flush()
	}
}

// recent is among how many keys before it one is looked for, so that there are fewer to sort: the events of a call come close together.
const recent = 12

// key files an event under its keys.
func (k *keeper) key(e *callflow.Event, first bool) {
	n := len(k.keys)
	all := e.Keys(k.keys, e.Raw, first)
	k.keys = all[:n]
	for _, key := range all[n:] {
		if !slices.Contains(k.keys[max(0, len(k.keys)-recent):], key) {
			k.keys = append(k.keys, key)
		}
	}
}

// wants says whether an event is of a kind that is kept.
func (k *keeper) wants(e *callflow.Event) bool {
	l := &k.limits
	switch {
	case l.Off:
		return false
	case !l.NoCalls && !l.NoRequests && !l.NoHandshakes:
		return true
	case e.Kind == callflow.Message:
		if isRequest(e.Raw) {
			return !l.NoRequests
		}
		return !l.NoCalls
	case e.Call != nil && e.Call.Request:
		return !l.NoRequests
	case e.Call != nil:
		return !l.NoCalls
	}
	return !l.NoHandshakes
}

// outside are the methods of requests that are mostly sent outside of calls.
var outside = [][]byte{[]byte("OPTIONS"), []byte("MESSAGE"), []byte("SUBSCRIBE"), []byte("NOTIFY"), []byte("PUBLISH"), []byte("REGISTER")}

// isRequest says whether the method of a message, as its CSeq has it, is one of those.
func isRequest(raw []byte) bool {
	for line := range bytes.Lines(raw) {
		if len(line) < 6 {
			break
		}
		if line[0]|0x20 != 'c' || !bytes.EqualFold(line[:4], []byte("cseq")) {
			continue
		}
		fields := bytes.Fields(line[4:])
		if len(fields) == 0 {
			return false
		}
		method := fields[len(fields)-1]
		return slices.ContainsFunc(outside, func(m []byte) bool { return bytes.Equal(m, method) })
	}
	return false
}

// mask masks the telephone numbers in an event, of which the ring has its own copy.
func (k *keeper) mask(e *callflow.Event) {
	redact.Numbers(e.Raw)
	if e.Reason != "" {
		k.numbers = append(k.numbers[:0], e.Reason...)
		redact.Words(k.numbers)
		e.Reason = string(k.numbers)
	}
}

// flush writes the block.
func (k *keeper) flush() {
	if k.count == 0 {
		return
	}
	if err := k.write(); err != nil {
		k.failed += uint64(k.count)
		k.fail(err)
	} else {
		k.works()
	}
	k.count, k.keys = 0, k.keys[:0]
	k.c.b = k.c.b[:blockFront]
	clear(k.c.known)
}

var errWaits = errors.New("it is tried again in a moment")

func (k *keeper) write() error {
	if k.h.o.Now().Before(k.retry) {
		return errWaits
	}
	slices.Sort(k.keys)
	k.keys = slices.Compact(k.keys)
	b := k.c.b[blockFront-blockHead-8*len(k.keys):]
	if err := k.room(int64(len(b))); err != nil {
		return err
	}
	for i, key := range k.keys {
		binary.LittleEndian.PutUint64(b[blockHead+8*i:], uint64(key))
	}
	binary.LittleEndian.PutUint32(b, uint32(len(b)-8))
	binary.LittleEndian.PutUint32(b[8:], uint32(len(k.keys)))
	binary.LittleEndian.PutUint32(b[12:], k.count)
	binary.LittleEndian.PutUint64(b[16:], uint64(k.from.UnixNano()))
	binary.LittleEndian.PutUint64(b[24:], uint64(k.to.UnixNano()))
	binary.LittleEndian.PutUint64(b[32:], k.first)
	binary.LittleEndian.PutUint32(b[4:], crc32.Checksum(b[8:], castagnoli))
	at := k.seg.size
	if n, err := k.file.Write(b); err != nil || n < len(b) {
		k.undo(at)
		return errors.Join(err, shortWrite(n, len(b)))
	}
	k.h.mu.Lock()
	defer k.h.mu.Unlock()
	s := k.seg
	for _, key := range k.keys {
		s.index = append(s.index, filed{key, uint32(at)})
	}
	s.size += int64(len(b))
	if s.from.IsZero() {
		s.from = k.from
	}
	s.to = k.to
	k.h.stats.Events += uint64(k.count)
	return nil
}

func shortWrite(n, want int) error {
	if n < want {
		return fmt.Errorf("%d of %d bytes were written", n, want)
	}
	return nil
}

// undo takes back a block that was written in part, because nothing after it could be found. Where that fails the segment ends here.
func (k *keeper) undo(size int64) {
	if k.file.Truncate(size) != nil {
		k.end()
	}
}

// room makes sure that there is a segment that takes a block of this length.
func (k *keeper) room(length int64) error {
	most := min(max(k.limits.Bytes/segmentsIn, leastSegment), mostSegment)
	old := k.seg != nil && k.limits.Age > 0 && k.h.o.Now().Sub(k.begun) > max(k.limits.Age/segmentsIn, time.Minute)
	if k.seg != nil && k.seg.size+length <= most && !old {
		return nil
	}
	if err := k.end(); err != nil {
		k.h.o.Log.Warn("a segment of the history has no index: it gets one at the next start", "cause", err)
	}
	now := k.h.o.Now()
	name := filepath.Join(k.h.o.Dir, segmentName(k.number+1, k.h.o.Run))
	f, err := k.h.o.create(name)
	if err != nil {
		return err
	}
	head := appendHead(nil, k.h.o.Run, now)
	if _, err := f.Write(head); err != nil {
		return errors.Join(err, f.Close(), os.Remove(name))
	}
	k.number++
	k.file, k.begun = f, now
	k.seg = &segment{name: name, number: k.number, run: k.h.o.Run, size: int64(len(head)), index: []filed{}}
	k.h.mu.Lock()
	k.h.segments = append(k.h.segments, k.seg)
	k.h.mu.Unlock()
	k.tidy()
	return nil
}

// end finishes the segment that is written.
func (k *keeper) end() error {
	s := k.seg
	if s == nil {
		return nil
	}
	k.h.mu.Lock()
	index := slices.Clone(s.index)
	k.h.mu.Unlock()
	text := finish(index, s.size, s.from, s.to)
	_, err := k.file.Write(text)
	err = errors.Join(err, k.file.Close())
	k.h.mu.Lock()
	if err == nil {
		s.index, s.finished = nil, true
		s.size += int64(len(text))
	}
	k.h.mu.Unlock()
	k.seg, k.file = nil, nil
	return err
}

// tidy deletes the oldest segments when all are too large, and those that are too old.
func (k *keeper) tidy() {
	k.h.mu.Lock()
	limits, all := k.h.limits, slices.Clone(k.h.segments)
	k.h.mu.Unlock()
	var size int64
	for _, s := range all {
		size += s.size
	}
	for _, s := range all {
		if s == k.seg {
			break
		}
		old := limits.Age > 0 && k.h.o.Now().Sub(s.to) > limits.Age
		if !old && (limits.Bytes <= 0 || size <= limits.Bytes) {
			break
		}
		size -= s.size
		k.remove(s)
	}
}

func (k *keeper) remove(s *segment) {
	if err := os.Remove(s.name); err != nil && !errors.Is(err, os.ErrNotExist) {
		k.h.o.Log.Warn("a segment of the history cannot be deleted", "cause", err)
		return
	}
	k.h.mu.Lock()
	k.h.segments = slices.DeleteFunc(k.h.segments, func(o *segment) bool { return o == s })
	k.h.mu.Unlock()
}

// fail notes that the disk took nothing.
func (k *keeper) fail(err error) {
	if errors.Is(err, errWaits) {
		return
	}
	k.retry = k.h.o.Now().Add(retryAfter)
	k.h.mu.Lock()
	k.h.failing = err
	k.h.mu.Unlock()
	if !k.raised {
		k.raised = true
		k.h.o.Log.Error("the history cannot be written", "directory", k.h.o.Dir, "cause", err)
		k.h.o.Alarm(fmt.Errorf("%s takes no history: %w; calls go on, and what happens meanwhile cannot be looked at later", k.h.o.Dir, err))
	}
}

// works notes that it takes something.
func (k *keeper) works() {
	if !k.raised {
		return
	}
	k.raised = false
	k.h.mu.Lock()
	k.h.failing = nil
	k.h.mu.Unlock()
	k.h.o.Log.Info("the history is written again", "directory", k.h.o.Dir, "events_lost", k.failed)
	k.h.o.Alarm(nil)
}

// tell counts what was lost, and says so in the log now and then.
func (k *keeper) tell() {
	late := k.h.o.Source.Lost()
	k.h.mu.Lock()
	k.h.stats.Lost = late + k.failed
	k.h.mu.Unlock()
	if late > 2*k.lost {
		k.lost = late
		k.h.o.Log.Warn("the history could not keep up: events had gone from memory before they were written", "events", late)
	}
}

// close finishes the last segment when the goroutine has ended.
func (k *keeper) close() error { return k.end() }
