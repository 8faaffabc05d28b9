package sip

import (
	"encoding/binary"
	"math/bits"
)

// Header names are looked up as numbers: the first 16 bytes of a line are two
// words, so that finding the colon, folding the case and comparing the name are
// a few operations each instead of one for every byte.

// shortName is a name of up to 16 bytes in small letters, zeros behind it.
type shortName struct {
	lo, hi uint64
	length int
}

const (
	shortLen = 16
	ones     = 0x0101010101010101 // a one in each byte
	highs    = 0x80 * ones
)

// shortHeader looks at the name that line begins with. It finds neither id nor
// colon when the name is longer than a short one, or less than 16 bytes are there,
// those behind the line included.
func shortHeader(line []byte) (id HeaderID, colon int) {
	if cap(line) < shortLen {
		return HdrOther, -1
	}
	b := line[:shortLen]
	s := shortName{lo: binary.LittleEndian.Uint64(b)}
	if mark := zeros(s.lo ^ ':'*ones); mark != 0 {
		s.lo = smallLetters(s.lo & below(mark))
		s.length = bits.TrailingZeros64(mark) / 8
		return s.id(), s.length
	}
	s.hi = binary.LittleEndian.Uint64(b[8:])
	mark := zeros(s.hi ^ ':'*ones)
	if mark == 0 {
		return HdrOther, -1
	}
	s.lo, s.hi = smallLetters(s.lo), smallLetters(s.hi&below(mark))
	s.length = 8 + bits.TrailingZeros64(mark)/8
	return s.id(), s.length
}

// zeros sets the high bit of the lowest zero byte of x; bits above it mean
// nothing.
func zeros(x uint64) uint64 { return (x - ones) &^ x & highs }

// below has all bits of the bytes below the one that holds mark's lowest bit.
func below(mark uint64) uint64 { return (mark ^ (mark - 1)) >> 8 }

// smallLetters folds the ASCII letters among eight bytes.
func smallLetters(x uint64) uint64 {
	low := x &^ highs
	fromA := low + (0x80-'A')*ones
	aboveZ := low + (0x7f-'Z')*ones
	return x | (fromA&^aboveZ&^x&highs)>>2
}

// id returns the header of a short name.
func (s shortName) id() HeaderID {
	slot := s.slot()
	for names[slot].id != HdrOther && names[slot].shortName != s {
		slot = (slot + 1) % nameSlots
	}
	return names[slot].id
}

// nameSlots is a power of two, some times the number of names.
const nameSlots = 512

// slot returns where to look for a name first. The factor leaves hardly two
// known names with one slot; the second takes the next free one.
func (s shortName) slot() uint64 {
	return (s.lo ^ bits.RotateLeft64(s.hi, 5)) * 0x9e3779b97f4a7c15 >> 55 % nameSlots
}

// The names of headers, full and compact.
var (
	names [nameSlots]struct {
		shortName
		id HeaderID
	}
	longNames []HeaderID
)

func init() {
	for id := HdrVia; id < numHeaders; id++ {
		addName(headers[id].name, id)
		if c := headers[id].compact; c != 0 {
			addName(string(c), id)
		}
	}
}

func addName(name string, id HeaderID) {
	if len(name) > shortLen {
		longNames = append(longNames, id)
		return
	}
	s := shorten([]byte(name))
	slot := s.slot()
	for names[slot].id != HdrOther {
		slot = (slot + 1) % nameSlots
	}
	names[slot].shortName, names[slot].id = s, id
}

func shorten(name []byte) (s shortName) {
	var b [shortLen]byte
	copy(b[:], name)
	s.lo = smallLetters(binary.LittleEndian.Uint64(b[:]))
	s.hi = smallLetters(binary.LittleEndian.Uint64(b[8:]))
	s.length = len(name)
	return s
}

// headerOf returns the id of a header name, compact or full, in any case
// (RFC 3261 §7.3.1: "field names are always case-insensitive").
func headerOf(name []byte) HeaderID {
	if len(name) <= shortLen {
		return shorten(name).id()
	}
	for _, id := range longNames {
		if full := headers[id].name; string(name) == full || equalFold(name, full) {
			return id
		}
	}
	return HdrOther
}
