package events

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
)

// A journal is the file of the events that an endpoint has not taken yet, so that a crash loses none. A line is an event,
// or the IDs of events that are settled. What was synced is there after a loss of power, what was written after a kill -9; IDs
// that are lost with either are posted once more, which the receiver knows by the ID.
//
// Owned by the queue whose it is.
type journal struct {
	path string
	file *os.File
	size int64 // of the file
	dead int64 // bytes of it that are settled, or say so
}

// entry is a line of the file.
type entry struct {
	Lane  string          `json:"lane,omitempty"`
	Event json.RawMessage `json:"event,omitempty"`
	Done  []string        `json:"done,omitempty"`
}

// maxEntry bounds a line.
const maxEntry = 1 << 20

// compactAt is how many bytes of a journal may be dead before it is written anew.
const compactAt = 4 << 20

// openJournal opens the file and returns what it holds, in order. A line that nobody can read, such as the last one of a
// crash, is passed over.
func openJournal(path string) (*journal, []*item, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return &journal{path: path}, nil, nil
	}
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	items, err := readJournal(f)
	return &journal{path: path}, items, err
}

func readJournal(r io.Reader) ([]*item, error) {
	var order []*item
	known := make(map[string]*item)
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxEntry)
	for lines.Scan() {
		var e entry
		if json.Unmarshal(lines.Bytes(), &e) != nil {
			continue
		}
		for _, id := range e.Done {
			if it := known[id]; it != nil {
				it.settled = true
			}
		}
		var head Event
		if len(e.Event) == 0 || json.Unmarshal(e.Event, &head) != nil || head.ID == "" {
			continue
		}
		it := &item{id: head.ID, kind: head.Type, at: head.At, lane: e.Lane, body: bytes.Clone(e.Event)}
		known[it.id] = it
		order = append(order, it)
	}
	left := order[:0]
	for _, it := range order {
		if !it.settled {
			left = append(left, it)
		}
	}
	return left, lines.Err()
}

// line is an item as the file has it.
func (it *item) line(b []byte) []byte {
	b = append(b, `{"lane":`...)
	lane, _ := json.Marshal(it.lane)
	b = append(b, lane...)
	b = append(b, `,"event":`...)
	b = append(b, it.body...)
	return append(b, "}\n"...)
}

// size is how many bytes the item takes in memory and, about, in the file.
func (it *item) size() int { return len(it.body) + len(it.lane) + 128 }

// rewrite writes the file anew, with these items alone.
func (j *journal) rewrite(items []*item) error {
	tmp := j.path + ".new"
	f, err := os.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	w := bufio.NewWriterSize(f, 1<<16)
	var line []byte
	var size int64
	for _, it := range items {
		line = it.line(line[:0])
		size += int64(len(line))
		w.Write(line)
	}
	err = errors.Join(w.Flush(), f.Sync())
	if err == nil {
		err = os.Rename(tmp, j.path)
	}
	if err != nil {
		return errors.Join(err, f.Close(), os.Remove(tmp))
	}
	j.close()
	j.file, j.size, j.dead = f, size, 0
	return nil
}

// add writes items, and returns when they are on the disk.
func (j *journal) add(items []*item) error {
	var b []byte
	for _, it := range items {
		b = it.line(b)
	}
	if err := j.write(b); err != nil {
		return err
	}
	return j.file.Sync()
}

// done says that items are settled. It does not wait for the disk.
func (j *journal) done(items []*item) error {
	var e entry
	for _, it := range items {
		e.Done = append(e.Done, it.id)
		j.dead += int64(it.size())
	}
	b, err := json.Marshal(e)
	if err != nil {
		return err
	}
	j.dead += int64(len(b))
	return j.write(append(b, '\n'))
}

func (j *journal) write(b []byte) error {
	n, err := j.file.Write(b)
	j.size += int64(n)
	return err
}

// full says whether the file is worth being written anew.
func (j *journal) full() bool { return j.dead > compactAt && j.dead > j.size/2 }

func (j *journal) close() {
	if j.file != nil {
		j.file.Close()
	}
	j.file = nil
}

// remove deletes the file.
func (j *journal) remove() {
	j.close()
	os.Remove(j.path)
}
