package sip

import "encoding/binary"

// A header section holds no control characters but its line ends, tabs, and
// what a backslash in a quoted string or a comment stands before (RFC 3261
// §25.1: LWS, TEXT-UTF8char, qdtext, quoted-pair). Every byte is looked at, also
// of headers that nobody reads, because they cross to others who may.

// onlyLineEnds says whether b has no control characters but n, which are those
// of its line ends, and is ASCII. It takes eight bytes at a time and may say no
// for what is merely unusual, such as a control character before a space, but
// never yes for one too many: every byte below a space counts, whatever borrows
// from it, and every DEL shows itself.
func onlyLineEnds(b []byte, n int) bool {
	count, del := 0, uint64(0)
	for len(b) >= 32 {
		sum := uint64(0) // each byte counts for its place, to 240 at most
		for range min(len(b)/32, 60) {
			p := (*[32]byte)(b)
			w, x := binary.LittleEndian.Uint64(p[0:]), binary.LittleEndian.Uint64(p[8:])
			y, z := binary.LittleEndian.Uint64(p[16:]), binary.LittleEndian.Uint64(p[24:])
			del |= (w + ones) | (x + ones) | (y + ones) | (z + ones)
			sum += (w-' '*ones)>>7&ones + (x-' '*ones)>>7&ones + (y-' '*ones)>>7&ones + (z-' '*ones)>>7&ones
			b = b[32:]
		}
		const even = 0x00ff00ff00ff00ff
		sum = sum&even + sum>>8&even
		count += int(sum * 0x0001000100010001 >> 48)
	}
	for _, c := range b {
		if control(c) {
			count++
		}
	}
	return count == n && del&(0x80*ones) == 0
}

// control says whether c is a CTL of RFC 3261 §25.1.
func control(c byte) bool { return c < ' ' || c == 0x7f }

// judgeControls looks for the control character that makes b, the header
// section, one that is refused.
func (m *Message) judgeControls(b []byte) {
	start := len(b) - 2
	if len(m.fields) > 0 {
		start = int(m.fields[0].name.start)
	}
	name := "Request-Line"
	if m.code != 0 {
		name = "Status-Line"
	}
	if m.failAtControl(name, 0, b[:max(0, start-2)]) {
		return
	}
	for i := range m.fields {
		f := &m.fields[i]
		name := string(b[f.name.start:f.name.end])
		if f.id != HdrOther {
			name = f.id.String()
		}
		if m.failAtControl(name, int(f.value.start), b[f.value.start:f.value.end]) {
			return
		}
	}
}

// failAtControl refuses the message when b, which stands at offset, has a
// control character where none may be.
func (m *Message) failAtControl(name string, offset int, b []byte) bool {
	i := badControl(b)
	if i < 0 {
		return false
	}
	rule := "no control characters but tabs"
	if b[i] == '\r' || b[i] == '\n' {
		rule = "lines end with CR LF, and no line holds either alone"
	}
	m.fail(name, offset+i, rule)
	return true
}

// badControl returns where b has a control character that is neither a tab nor
// half of a quoted-pair, or -1.
func badControl(b []byte) int {
	quoted, depth := false, 0
	for i := 0; i < len(b); i++ {
		switch c := b[i]; {
		case c == '\\' && (quoted || depth > 0) && i+1 < len(b) && b[i+1] != '\r' && b[i+1] != '\n':
			i++
		case c == '"' && depth == 0:
			quoted = !quoted
		case c == '(' && !quoted:
			depth++
		case c == ')' && !quoted && depth > 0:
			depth--
		case c != '\t' && control(c):
			return i
		}
	}
	return -1
}
