package sip

// The scanners read b from index i on and return the index behind what they
// read. They are where most bytes of a message pass, each about once.

// endOf reads bytes of the class, four at a time while it can.
func endOf(b []byte, i int, bits uint8) int {
	for i >= 0 && i < len(b)-3 {
		q := b[i : i+4 : i+4]
		if class[q[0]]&class[q[1]]&class[q[2]]&class[q[3]]&bits == 0 {
			break
		}
		i += 4
	}
	for i < len(b) && class[b[i]]&bits != 0 {
		i++
	}
	return i
}

// endEscaped reads bytes of the class and %HH escapes.
func endEscaped(b []byte, i int, bits uint8) int {
	i = endOf(b, i, bits)
	for at(b, i, '%') && i+2 < len(b) && unhex(b[i+1]) >= 0 && unhex(b[i+2]) >= 0 {
		i = endOf(b, i+3, bits)
	}
	return i
}

// skipSpace reads spaces and tabs.
func skipSpace(b []byte, i int) int {
	for i < len(b) && b[i] <= ' ' && space(b[i]) {
		i++
	}
	return i
}

// endQuoted reads a quoted-string whose first quote stands at i; -1 means that
// it does not close.
func endQuoted(b []byte, i int) int {
	for i++; i < len(b); i++ {
		switch b[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return -1
}

// at says whether c stands at index i.
func at(b []byte, i int, c byte) bool { return i < len(b) && b[i] == c }

func space(c byte) bool { return c == ' ' || c == '\t' }

// all says whether every byte of b, one or more, has the class.
func all(b []byte, bits uint8) bool { return len(b) > 0 && endOf(b, 0, bits) == len(b) }

// trim removes spaces and tabs from both ends.
func trim(b []byte) []byte { return trimEnd(b[skipSpace(b, 0):]) }

func trimEnd(b []byte) []byte {
	n := len(b)
	for n > 0 && space(b[n-1]) {
		n--
	}
	return b[:n]
}
