package sip

import (
	"encoding/binary"
	"math/bits"
)

// Header names are looked up as numbers: the first 16 bytes of a line are two
// words, so that finding the colon, folding the case and comparing the name are
// a few operations each instead of one for every byte.

const (
	headLen = 16
	ones    = 0x0101010101010101 // a one in each byte
)

// lookup returns the known header that line begins with, and where its colon
// stands (RFC 3261 §7.3.1: "field names are always case-insensitive"). It finds
// no name with a space before the colon, and none in less than 16 bytes. Those
// may stand behind the line: its end is in no name.
func lookup(line []byte) (id HeaderID, colon int) {
	if cap(line) < headLen {
		return HdrOther, 0
	}
	b := (*[headLen]byte)(line[:headLen])
	lo, hi := binary.LittleEndian.Uint64(b[:]), binary.LittleEndian.Uint64(b[8:])
	colon = -1
	if mark := zeros(lo ^ ':'*ones); mark != 0 {
		lo, hi, colon = fold(lo&below(mark)), 0, bits.TrailingZeros64(mark)/8
	} else {
		if mark := zeros(hi ^ ':'*ones); mark != 0 {
			hi, colon = hi&below(mark), 8+bits.TrailingZeros64(mark)/8
		}
		lo, hi = fold(lo), fold(hi)
	}
	for slot := nameSlot(lo, hi); ; slot++ {
		n := &names[slot%nameSlots]
		if n.lo == lo && n.hi == hi && (n.length == colon || n.length >= headLen && n.matches(line)) {
			return n.id, n.length
		}
		if n.id == HdrOther {
			return HdrOther, 0
		}
	}
}

// zeros sets the high bit of the lowest zero byte of x; bits above it mean
// nothing.
func zeros(x uint64) uint64 { return (x - ones) &^ x & (0x80 * ones) }

// below has all bits of the bytes below the one that holds mark's lowest bit.
func below(mark uint64) uint64 { return (mark ^ (mark - 1)) >> 8 }

// fold makes the letters of a word small: bit 6 tells them from hyphens and
// digits, and what else it changes stands in no known name.
func fold(x uint64) uint64 { return x | x>>1&(0x20*ones) }

// name is an entry of the table of names: the first 16 bytes, folded, zeros
// behind a shorter one.
type name struct {
	lo, hi uint64
	length int
	id     HeaderID
}

// matches compares what two words do not hold of a longer name, and the colon.
func (n *name) matches(line []byte) bool {
	return at(line, n.length, ':') && equalFold(line[headLen:n.length], headers[n.id].name[headLen:])
}

// names holds each known name, full and compact, in its slot or, when another
// name has that, in the next free one.
var names = func() (t [nameSlots]name) {
	add := func(full string, id HeaderID) {
		var b [headLen]byte
		copy(b[:], full)
		n := name{fold(binary.LittleEndian.Uint64(b[:])), fold(binary.LittleEndian.Uint64(b[8:])), len(full), id}
		slot := nameSlot(n.lo, n.hi)
		for t[slot%nameSlots].id != HdrOther {
			slot++
		}
		t[slot%nameSlots] = n
	}
	for id := HdrVia; id < numHeaders; id++ {
		add(headers[id].name, id)
		if c := headers[id].compact; c != 0 {
			add(string(c), id)
		}
	}
	return t
}()

// nameSlots is a power of two, some times the number of names.
const nameSlots = 256

// nameSlot returns where to look for a name first. The factor leaves few known
// names with one slot.
func nameSlot(lo, hi uint64) uint64 {
	return (lo ^ bits.RotateLeft64(hi, 5)) * 0x9e3779b97f4a7c15 >> 56
}

// headerOf returns the id of a name that stands alone.
func headerOf(name []byte) HeaderID {
	var b [longestName + 1]byte
	if len(name) > longestName {
		return HdrOther
	}
	copy(b[:], name)
	b[len(name)] = ':'
	id, _ := lookup(b[:])
	return id
}

// longestName is the length of Proxy-Authentication-Info.
const longestName = 25
