package store

import (
	"encoding/binary"
	"hash/crc32"
	"io"
)

// The journal is two files that are written in turn: while the records of one are moved into the table, the other takes
// the new ones. A file is used again from its beginning without being cut, so that its blocks are there already.
//
// It begins with a header of 24 bytes: the magic, the number of its first entry, and the CRC-32C of both. Entries
// follow:
//
//	length    4 bytes   of what follows the checksum
//	checksum  4 bytes   CRC-32C of what follows it
//	number    8 bytes   greater in each entry, over all files and runs
//	id        8 bytes   of the record
//	record    in the form of encode.go
//
// All numbers have the low byte first. The journal ends before the first entry that is not whole, whose checksum is
// wrong, or whose number is not greater than the last one's: that is what a write left unfinished, or what stood in the
// file when it was last used.
const (
	journalMagic = "SPCDR\x00\x00\x01"
	headerSize   = 24
	entryHead    = 24
	maxRecord    = 4 << 20
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// journalNames are the two files.
var journalNames = [2]string{"cdr-1.journal", "cdr-2.journal"}

// appendEntry appends a record as an entry.
func appendEntry(b []byte, number uint64, id int64, c *CDR) []byte {
	at := len(b)
	b = append(b, make([]byte, 8)...)
	b = binary.LittleEndian.AppendUint64(b, number)
	b = binary.LittleEndian.AppendUint64(b, uint64(id))
	(*encoder)(&b).record(c)
	binary.LittleEndian.PutUint32(b[at:], uint32(len(b)-at-8))
	binary.LittleEndian.PutUint32(b[at+4:], crc32.Checksum(b[at+8:], castagnoli))
	return b
}

// appendHeader appends the header of a file whose first entry has this number.
func appendHeader(b []byte, first uint64) []byte {
	at := len(b)
	b = append(b, journalMagic...)
	b = binary.LittleEndian.AppendUint64(b, first)
	b = binary.LittleEndian.AppendUint64(b, uint64(crc32.Checksum(b[at:], castagnoli)))
	return b
}

// readHeader returns the number of a file's first entry; ok is false when the file has no header that is whole.
func readHeader(b []byte) (first uint64, ok bool) {
	if len(b) < headerSize || string(b[:8]) != journalMagic {
		return 0, false
	}
	sum := binary.LittleEndian.Uint64(b[16:])
	return binary.LittleEndian.Uint64(b[8:]), sum == uint64(crc32.Checksum(b[:16], castagnoli))
}

// An entry is one of the journal's. Its record is not decoded yet.
type entry struct {
	number uint64
	id     int64
	record []byte
}

func (e entry) decode() (*CDR, error) { return decode(string(e.record), e.id) }

// readEntry takes the first entry off b; size is its whole length, 0 when b does not begin with an entry that is whole
// and whose number is at least least.
func readEntry(b []byte, least uint64) (e entry, size int) {
	if len(b) < entryHead {
		return entry{}, 0
	}
	length := binary.LittleEndian.Uint32(b)
	if length < 16 || length > maxRecord || uint64(len(b)) < 8+uint64(length) {
		return entry{}, 0
	}
	body := b[8 : 8+length]
	e = entry{
		number: binary.LittleEndian.Uint64(body),
		id:     int64(binary.LittleEndian.Uint64(body[8:])),
		record: body[16:],
	}
	if e.number < least || binary.LittleEndian.Uint32(b[4:]) != crc32.Checksum(body, castagnoli) {
		return entry{}, 0
	}
	return e, 8 + int(length)
}

// A tail reads the entries of a journal file from where it stands, as far as they are written.
type tail struct {
	file io.ReaderAt
	off  int64  // of the next entry; 0: the header is not read yet
	next uint64 // the least number that the next entry may have
	buf  []byte
}

// open reads the header and stands before the first entry; ok is false when there is none.
func (t *tail) open() (ok bool) {
	var head [headerSize]byte
	if n, _ := t.file.ReadAt(head[:], 0); n < headerSize {
		return false
	}
	first, ok := readHeader(head[:])
	if ok {
		t.off, t.next = headerSize, first
	}
	return ok
}

// batch returns the next entries, at most about size bytes of them; none at the end. They are valid until the next call.
func (t *tail) batch(size int) ([]entry, error) {
	if cap(t.buf) < size {
		t.buf = make([]byte, size)
	}
	n, err := t.file.ReadAt(t.buf[:size], t.off)
	if err != nil && err != io.EOF {
		return nil, err
	}
	rest := t.buf[:n]
	var found []entry
	for {
		e, size := readEntry(rest, t.next)
		if size == 0 {
			break
		}
		found = append(found, e)
		rest, t.off, t.next = rest[size:], t.off+int64(size), e.number+1
	}
	if len(found) == 0 && n == size && size < 2*maxRecord {
		return t.batch(2 * maxRecord) // perhaps one entry is larger than what was asked for
	}
	return found, nil
}
