package history

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sallyport-sip/sallyport/internal/callflow"
)

// A segment is a file NUMBER-RUN.flows: the events of one run, in order. It begins with a head of 32 bytes: the magic with the version of the
// form, the run, when it was begun, and the CRC-32C of these. Blocks follow, each with
//
//	length    4 bytes  of what follows the checksum
//	checksum  4 bytes  CRC-32C of what follows it
//	keys      4 bytes  how many
//	events    4 bytes  how many
//	from, to  8 bytes  each: times of the first and last event, Unix nanoseconds
//	first     8 bytes  Seq of the first event
//	keys      8 bytes  each: under which events of the block are filed, in order
//	events    in the form of encode.go
//
// A segment that is finished ends with its index: for each key and each block that has it twelve bytes, the key and the place of the block, in
// the order of the keys; and after that the tail of 40 bytes. All numbers have the low byte first, but those of the index the high one,
// so that they sort as bytes. The blocks end before the first that is not whole: that is what a write left unfinished when the process was killed.
const (
	magic       = "SPFLOW\x00"
	formVersion = 1
	headSize    = 32
	blockHead   = 40
	tailMagic   = "SPFLOWIX"
	tailSize    = 40
	entrySize   = 12
	maxBlock    = 64 << 20
	runSize     = 12
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

const suffix = ".flows"

// A segment as the History knows it. It is guarded by History.mu, apart from what never changes.
type segment struct {
	name   string // of the file, with its directory
	number uint64
	run    string

	size     int64 // of the file
	from, to time.Time
	index    []filed // of one that is not finished; nil: it is in the file
	finished bool
	broken   bool // not finished, and not looked at yet: of a run that was killed
}

// filed is an entry of the index.
type filed struct {
	key callflow.Key
	at  uint32 // where the block begins
}

func segmentName(number uint64, run string) string {
	return fmt.Sprintf("%010d-%s%s", number, run, suffix)
}

// list finds the segments in a directory, the oldest first. What is no segment is left alone.
func list(dir string) ([]*segment, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var all []*segment
	for _, e := range entries {
		base, ok := strings.CutSuffix(e.Name(), suffix)
		digits, run, both := strings.Cut(base, "-")
		number, err := strconv.ParseUint(digits, 10, 64)
		if !ok || !both || err != nil || run == "" || len(run) > runSize {
			continue
		}
		s := &segment{name: filepath.Join(dir, e.Name()), number: number, run: run}
		if err := s.look(); err != nil {
			return nil, err
		}
		all = append(all, s)
	}
	slices.SortFunc(all, func(a, b *segment) int { return cmp.Compare(a.number, b.number) })
	return all, nil
}

// look reads the tail of a segment.
func (s *segment) look() error {
	f, err := os.Open(s.name)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	s.size, s.broken = info.Size(), true
	s.from, s.to = info.ModTime(), info.ModTime()
	if t, ok := readTail(f, s.size); ok {
		s.broken, s.finished = false, true
		s.from, s.to = t.from, t.to
	}
	return nil
}

// appendHead begins a segment.
func appendHead(b []byte, run string, at time.Time) []byte {
	from := len(b)
	b = append(b, magic...)
	b = append(b, formVersion)
	var name [runSize]byte
	copy(name[:], run)
	b = append(b, name[:]...)
	b = binary.LittleEndian.AppendUint64(b, uint64(at.UnixNano()))
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b[from:], castagnoli))
}

var errNewer = errors.New("it was written by a newer sallyport: use that one")

// checkHead says whether a file is a segment that this program can read.
func checkHead(r io.ReaderAt) error {
	var b [headSize]byte
	if n, err := r.ReadAt(b[:], 0); n < headSize {
		return cmp.Or(err, io.ErrUnexpectedEOF)
	}
	switch {
	case string(b[:len(magic)]) == magic && b[len(magic)] > formVersion:
		return errNewer
	case string(b[:len(magic)]) != magic || binary.LittleEndian.Uint32(b[headSize-4:]) != crc32.Checksum(b[:headSize-4], castagnoli):
		return errForm
	}
	return nil
}

// A tail is the end of a finished segment.
type tail struct {
	entries  uint32
	index    int64 // where it begins
	from, to time.Time
}

func (t *tail) append(b []byte) []byte {
	from := len(b)
	b = append(b, tailMagic...)
	b = binary.LittleEndian.AppendUint64(b, uint64(t.index))
	b = binary.LittleEndian.AppendUint32(b, t.entries)
	b = binary.LittleEndian.AppendUint64(b, uint64(t.from.UnixNano()))
	b = binary.LittleEndian.AppendUint64(b, uint64(t.to.UnixNano()))
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b[from:], castagnoli))
}

func readTail(r io.ReaderAt, size int64) (t tail, ok bool) {
	var b [tailSize]byte
	if size < headSize+tailSize {
		return t, false
	}
	if n, _ := r.ReadAt(b[:], size-tailSize); n < tailSize || string(b[:8]) != tailMagic ||
		binary.LittleEndian.Uint32(b[tailSize-4:]) != crc32.Checksum(b[:tailSize-4], castagnoli) {
		return t, false
	}
	t.index = int64(binary.LittleEndian.Uint64(b[8:]))
	t.entries = binary.LittleEndian.Uint32(b[16:])
	t.from = time.Unix(0, int64(binary.LittleEndian.Uint64(b[20:])))
	t.to = time.Unix(0, int64(binary.LittleEndian.Uint64(b[28:])))
	return t, t.index >= headSize && t.index+int64(t.entries)*entrySize+tailSize == size
}

// finish is what makes an index of the entries of a segment whose blocks end at end.
func finish(index []filed, end int64, from, to time.Time) []byte {
	slices.SortFunc(index, func(a, b filed) int { return cmp.Or(cmp.Compare(a.key, b.key), cmp.Compare(a.at, b.at)) })
	b := make([]byte, 0, len(index)*entrySize+tailSize)
	for _, e := range index {
		b = binary.BigEndian.AppendUint64(b, uint64(e.key))
		b = binary.BigEndian.AppendUint32(b, e.at)
	}
	t := tail{entries: uint32(len(index)), index: end, from: from, to: to}
	return t.append(b)
}

// A block is one that was read.
type block struct {
	keys     []byte // eight bytes each
	events   []byte
	count    uint32
	from, to time.Time
	first    uint64
	size     int64 // with its head
}

var errTorn = errors.New("the block is not whole")

// readBlock reads the block at a place.
func readBlock(r io.ReaderAt, at int64) (*block, error) {
	var head [blockHead]byte
	if n, _ := r.ReadAt(head[:8], at); n < 8 {
		return nil, errTorn
	}
	length := binary.LittleEndian.Uint32(head[:])
	if length < blockHead-8 || length > maxBlock {
		return nil, errTorn
	}
	b := make([]byte, length)
	if n, _ := r.ReadAt(b, at+8); n < len(b) || crc32.Checksum(b, castagnoli) != binary.LittleEndian.Uint32(head[4:]) {
		return nil, errTorn
	}
	keys := binary.LittleEndian.Uint32(b)
	k := &block{count: binary.LittleEndian.Uint32(b[4:]), size: 8 + int64(length)}
	k.from = time.Unix(0, int64(binary.LittleEndian.Uint64(b[8:])))
	k.to = time.Unix(0, int64(binary.LittleEndian.Uint64(b[16:])))
	k.first = binary.LittleEndian.Uint64(b[24:])
	b = b[blockHead-8:]
	if uint64(keys)*8 > uint64(len(b)) {
		return nil, errForm
	}
	k.keys, k.events = b[:keys*8], b[keys*8:]
	return k, nil
}

// firstSeq is the Seq of the first event of a block, without the rest.
func firstSeq(r io.ReaderAt, at int64) (uint64, bool) {
	var b [8]byte
	n, _ := r.ReadAt(b[:], at+blockHead-8)
	return binary.LittleEndian.Uint64(b[:]), n == len(b)
}

// all calls f with each event, and whether it is a first use.
func (k *block) all(f func(e *callflow.Event, first bool)) error {
	c := coder{b: k.events, reading: true, seq: k.first, at: k.from.UnixNano()}
	for range k.count {
		var e callflow.Event
		first := false
		if c.event(&e, &first); c.short {
			return errForm
		}
		f(&e, first)
	}
	return nil
}

// scan reads the blocks of a segment without an index. It returns the index, where the blocks end, and the times.
func scan(r io.ReaderAt) (index []filed, end int64, from, to time.Time, err error) {
	if err := checkHead(r); err != nil {
		return nil, 0, from, to, err
	}
	for end = headSize; ; {
		k, err := readBlock(r, end)
		if err != nil {
			return index, end, from, to, nil
		}
		if from.IsZero() {
			from = k.from
		}
		to = k.to
		for rest := k.keys; len(rest) > 0; rest = rest[8:] {
			index = append(index, filed{callflow.Key(binary.LittleEndian.Uint64(rest)), uint32(end)})
		}
		end += k.size
	}
}

// find calls f with where the blocks begin that have a key from first to last. The segment is finished, and r is its file.
func find(r io.ReaderAt, size int64, first, last callflow.Key, f func(at int64)) error {
	t, ok := readTail(r, size)
	if !ok {
		return errForm
	}
	var want [8]byte
	binary.BigEndian.PutUint64(want[:], uint64(first))
	low, high := int64(0), int64(t.entries)
	var e [entrySize]byte
	for low < high {
		middle := (low + high) / 2
		if _, err := r.ReadAt(e[:], t.index+middle*entrySize); err != nil {
			return err
		}
		if bytes.Compare(e[:8], want[:]) < 0 {
			low = middle + 1
		} else {
			high = middle
		}
	}
	for ; low < int64(t.entries); low++ {
		if _, err := r.ReadAt(e[:], t.index+low*entrySize); err != nil {
			return err
		}
		if callflow.Key(binary.BigEndian.Uint64(e[:8])) > last {
			return nil
		}
		f(int64(binary.BigEndian.Uint32(e[8:])))
	}
	return nil
}
