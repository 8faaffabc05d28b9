package interop

import (
	"bytes"
	"math/rand/v2"
	"slices"
)

// mutator makes messages of messages: the same ones in each run.
type mutator struct {
	rand  *rand.Rand
	seeds [][]byte
	lines [][]byte // header lines of all seeds
}

func newMutator(seeds [][]byte) *mutator {
	m := &mutator{rand: rand.New(rand.NewPCG(4475, 5118))}
	for _, b := range seeds {
		if len(b) < 4000 { // a long one would be all that is changed
			m.seeds = append(m.seeds, b)
		}
		head, _, _ := bytes.Cut(b, []byte("\r\n\r\n"))
		for line := range bytes.SplitSeq(head, []byte("\r\n")) {
			m.lines = append(m.lines, line)
		}
	}
	return m
}

// spice is what is put into messages: what separates, quotes, escapes, folds and ends.
var spice = []string{
	" ", "\t", "\r\n ", "\r\n", "\n", "\r", ";", ",", ":", "=", "\"", "<", ">", "@", "?", "&", "/", "\\", "%", "%41", "%00",
	"[", "]", "(", ")", "*", "+", "-", "0", "1", "99999999999", "a", "Z", "\x00", "\x7f", "\x80", "é", "tag=x", ";branch=z9hG4bKx", ";lr",
	"sip:", "sips:", "tel:+1", "SIP/2.0", "UDP", "INVITE",
}

// next changes one to three things of a message.
func (m *mutator) next() []byte {
	b := slices.Clone(m.seeds[m.rand.IntN(len(m.seeds))])
	for range 1 + m.rand.IntN(3) {
		b = m.change(b)
	}
	return b
}

func (m *mutator) change(b []byte) []byte {
	head := max(1, bytes.Index(b, []byte("\r\n\r\n")))
	at := m.rand.IntN(head)
	switch m.rand.IntN(7) {
	case 0: // a byte less
		return slices.Delete(b, at, at+1)
	case 1, 2: // something more
		return slices.Insert(b, at, []byte(spice[m.rand.IntN(len(spice))])...)
	case 3: // another letter case
		if c := b[at]; c|0x20 >= 'a' && c|0x20 <= 'z' {
			b[at] ^= 0x20
		}
		return b
	}
	// Whole lines of the header section: one less, one twice, one of another message, two in another order.
	lines := bytes.Split(b[:head], []byte("\r\n"))
	if len(lines) < 3 {
		return b
	}
	i, j := 1+m.rand.IntN(len(lines)-1), 1+m.rand.IntN(len(lines)-1)
	switch m.rand.IntN(4) {
	case 0:
		lines = slices.Delete(lines, i, i+1)
	case 1:
		lines = slices.Insert(lines, j, lines[i])
	case 2:
		lines[i] = m.lines[m.rand.IntN(len(m.lines))]
	case 3:
		lines[i], lines[j] = lines[j], lines[i]
	}
	return slices.Concat(bytes.Join(lines, []byte("\r\n")), b[head:])
}
