package store

import (
	"bytes"
	"database/sql/driver"
	"iter"
	"math"
	"slices"
	"strings"
)

// The table of calls has no index on numbers, Call-IDs and peers: those are random, and keeping three such indexes costs
// ten times as much as the row itself. Instead the table is looked at as parts of about a thousand calls, in order of
// their IDs, and each part has a Bloom filter of the numbers, Call-IDs and peers in it, and the first and last time at
// which one of its calls began. A search reads the filters, eight bytes a call, and then only parts that may hold what
// is wanted: of those that do not, one in 400 is read in vain. A second filter has the beginnings of numbers, the reasons, and the
// flows, so that a search for these reads sixteen bytes a call; one part in 100 is read in vain.
const (
	partCalls = 1024
	bloomSize = 8192  // bytes: 16 bits for each of four keys a call
	wordsSize = 16384 // bytes: 13 bits for each of ten keys a call
)

// A part is a row of the table parts.
type part struct {
	first int64 // ID; the part goes up to the next one's first
	last  int64 // greatest ID in it
	calls int64
	from  int64 // when its calls began, in milliseconds
	to    int64
	bloom []byte
	words []byte // the second filter

	changed bool
}

func newPart(first int64) *part {
	return &part{first: first, from: math.MaxInt64, to: math.MinInt64, bloom: make([]byte, bloomSize), words: make([]byte, wordsSize)}
}

// add enters a call.
func (p *part) add(id int64, c *CDR) {
	if id > p.last {
		p.last = id
		p.calls++
		p.changed = true
	}
	began := c.Began.UnixMilli()
	if began < p.from || began > p.to {
		p.from, p.to = min(p.from, began), max(p.to, began)
		p.changed = true
	}
	p.set(keyNumber, c.Caller)
	p.set(keyNumber, c.Called)
	p.prefixes(c.Caller)
	p.prefixes(c.Called)
	for code := range reasons(c) {
		p.word(keyReason, code)
	}
	if c.Run != "" {
		p.word(keyFlow, flowName(c.Run, c.Call))
	}
	p.leg(&c.In)
	for i := range c.Out {
		p.leg(&c.Out[i])
	}
}

func (p *part) leg(l *Leg) {
	p.set(keyCallID, l.CallID)
	p.set(keyPeer, l.Peer)
}

func (p *part) set(kind byte, key string) {
	if key == "" {
		return
	}
	h := hash(kind, key)
	for range 4 {
		p.mark(p.bloom, uint32(h&0xffff))
		h >>= 16
	}
}

// word enters a key in the second filter.
func (p *part) word(kind byte, key string) {
	for at := range wordBits(hash(kind, key)) {
		p.mark(p.words, at)
	}
}

func (p *part) mark(filter []byte, bit uint32) {
	if mask := byte(1) << (bit & 7); filter[bit>>3]&mask == 0 {
		filter[bit>>3] |= mask
		p.changed = true
	}
}

// wordBits are the bits of a hash in the second filter.
func wordBits(h uint64) iter.Seq[uint32] {
	return func(yield func(uint32) bool) {
		at, step := uint32(h), uint32(h>>32)|1
		for range 4 {
			if !yield(at % (wordsSize * 8)) {
				return
			}
			at += step
		}
	}
}

// The beginnings of numbers that the second filter has: of a longer one it has the first so many characters.
const (
	leastPrefix = 2
	mostPrefix  = 12
)

// prefixes enters the beginnings of a number.
func (p *part) prefixes(number string) {
	for n := leastPrefix; n <= min(len(number), mostPrefix); n++ {
		p.word(keyPrefix, number[:n])
	}
}

// mayBegin says whether the part can hold a call with a number that begins so.
func (p *part) mayBegin(prefix string) bool {
	return len(prefix) < leastPrefix || p.mayHave(keyPrefix, prefix[:min(len(prefix), mostPrefix)])
}

// may says whether the part can hold a call with that key.
func (p *part) may(kind byte, key string) bool {
	if len(p.bloom) != bloomSize {
		return true
	}
	h := hash(kind, key)
	for range 4 {
		if p.bloom[h>>3&(bloomSize-1)]&(1<<(h&7)) == 0 {
			return false
		}
		h >>= 16
	}
	return true
}

// mayHave is may for the second filter.
func (p *part) mayHave(kind byte, key string) bool {
	if len(p.words) != wordsSize {
		return true
	}
	for at := range wordBits(hash(kind, key)) {
		if p.words[at>>3]&(1<<(at&7)) == 0 {
			return false
		}
	}
	return true
}

// Kinds of keys.
const (
	keyNumber = 'n'
	keyCallID = 'c'
	keyPeer   = 'p'
	keyPrefix = 'b'
	keyReason = 'r'
	keyFlow   = 'f'
)

// hash is FNV-1a with a last mixing step, so that each of its four 16-bit parts is even. It is part of the file's form.
func hash(kind byte, key string) uint64 {
	const prime = 1099511628211
	h := uint64(14695981039346656037)
	h = (h ^ uint64(kind)) * prime
	for i := range len(key) {
		h = (h ^ uint64(key[i])) * prime
	}
	h ^= h >> 33
	h *= 0xff51afd7ed558ccd
	h ^= h >> 33
	h *= 0xc4ceb9fe1a85ec53
	return h ^ h>>33
}

// partColumns lists parts with their filters, or without those that nobody looks at, because reading them is most of what a search
// costs. An older program's parts have no second filter.
func (d *db) partColumns(bloom, words bool) string {
	var columns strings.Builder
	columns.WriteString("SELECT first, last, calls, began_from, began_to")
	for _, c := range []struct {
		name   string
		wanted bool
	}{{"bloom", bloom}, {"words", words && d.version >= 3}} {
		if !c.wanted {
			c.name = "NULL"
		}
		columns.WriteString(", " + c.name)
	}
	return columns.String() + " FROM parts"
}

// scanPart is a row of partColumns. Its filters are valid until the next row; one that is not there has everything.
func scanPart(row []driver.Value) *part {
	n := func(i int) int64 { v, _ := row[i].(int64); return v }
	p := &part{first: n(0), last: n(1), calls: n(2), from: n(3), to: n(4)}
	p.bloom, _ = row[5].([]byte)
	p.words, _ = row[6].([]byte)
	return p
}

// own gives the part filters of its own to write in.
func (p *part) own() {
	for _, f := range []struct {
		filter *[]byte
		size   int
	}{{&p.bloom, bloomSize}, {&p.words, wordsSize}} {
		if len(*f.filter) != f.size {
			*f.filter = bytes.Repeat([]byte{0xff}, f.size) // of an older program: it has everything
		} else {
			*f.filter = bytes.Clone(*f.filter)
		}
	}
}

// parts are those of the table, as its only writer knows them.
type parts struct {
	firsts []int64         // of all, in order
	known  map[int64]*part // some of them, by first
}

// readParts reads what there is.
func readParts(d *db) (*parts, error) {
	p := &parts{known: map[int64]*part{}}
	err := d.each("SELECT first FROM parts ORDER BY first", func(row []driver.Value) (bool, error) {
		first, _ := row[0].(int64)
		p.firsts = append(p.firsts, first)
		return true, nil
	})
	return p, err
}

// of returns the part for a call, a new one when the newest is full.
func (p *parts) of(d *db, id int64) (*part, error) {
	i, exact := slices.BinarySearch(p.firsts, id)
	if !exact {
		i--
	}
	if i < 0 { // the table is empty: the first part holds whatever comes before it, too
		p.firsts = []int64{0}
		p.known[0] = newPart(0)
		return p.known[0], nil
	}
	first := p.firsts[i]
	found := p.known[first]
	if found == nil {
		err := d.each(d.partColumns(true, true)+" WHERE first = ?", func(row []driver.Value) (bool, error) {
			found = scanPart(row)
			found.own()
			return false, nil
		}, first)
		if err != nil {
			return nil, err
		}
		if found == nil {
			found = newPart(first)
		}
		p.known[first] = found
	}
	if i == len(p.firsts)-1 && found.calls >= partCalls && id > found.last {
		found = newPart(id)
		p.firsts = append(p.firsts, id)
		p.known[id] = found
	}
	return found, nil
}

// write writes those that changed.
func (p *parts) write(put *stmt) error {
	for _, one := range p.known {
		if !one.changed {
			continue
		}
		if err := put.exec(one.first, one.last, one.calls, one.from, one.to, one.bloom, one.words); err != nil {
			return err
		}
		one.changed = false
	}
	if len(p.known) > 64 {
		newest := p.firsts[len(p.firsts)-1]
		for first := range p.known {
			if first != newest {
				delete(p.known, first)
			}
		}
	}
	return nil
}
