package redact

import "bytes"

const (
	// fewest is from how many digits on something counts as a telephone number: extensions are shorter, and so are ports.
	fewest = 6
	// Kept are the last digits of a number that stay, so that a person who knows the call recognises it.
	Kept = 3
)

// Numbers masks telephone numbers in a message: every digit but the last three of the user part of a SIP or tel URI that is a number, and
// of a display name that is one, and the digits that were dialled during the call, in an INFO. Other numbers stay: ports, times, tags.
func Numbers(b []byte) {
	for i := 0; i < len(b); i++ {
		switch b[i] {
		case ':':
			if isSIP(b[:i]) || i >= 3 && equalFold(b[i-3:i], "tel") && (i == 3 || !isLetter(b[i-4])) {
				i = number(b, i+1)
			}
		case '"':
			i = number(b, i+1)
		case '\n':
			digits(b[i+1:])
		}
	}
}

// number masks a number that begins at start, and returns where the search goes on.
func number(b []byte, start int) int {
	end, n := start, 0
	for ; end < len(b); end++ {
		if c := b[end]; '0' <= c && c <= '9' {
			n++
		} else if c != '+' && c != '-' && c != '.' && c != '(' && c != ')' && c != '*' && c != '#' {
			break
		}
	}
	whole := end == len(b) || bytes.IndexByte([]byte("@;>:\"? \r\n,"), b[end]) >= 0
	if n < fewest || !whole || isHost(b[start:end]) {
		return start - 1
	}
	for i := start; i < end && n > Kept; i++ {
		if c := b[i]; '0' <= c && c <= '9' {
			b[i] = '*'
			n--
		}
	}
	return end - 1
}

// isHost reports whether what looks like a number is an IPv4 address, as in sip:192.0.2.1.
func isHost(b []byte) bool { return bytes.Count(b, []byte(".")) == 3 && b[0] != '+' }

// digits masks what was dialled, in a body of application/dtmf-relay.
func digits(line []byte) {
	const word = "signal="
	if len(line) <= len(word) || !equalFold(line[:len(word)], word) {
		return
	}
	for i := len(word); i < len(line) && line[i] > ' '; i++ {
		line[i] = '*'
	}
}

// Words masks what looks like a telephone number in words of ours, as Numbers does in a message.
func Words(b []byte) {
	for i := 0; i < len(b); i++ {
		if (b[i] == '+' || '0' <= b[i] && b[i] <= '9') && (i == 0 || !isLetter(b[i-1]) && b[i-1] != '.' && b[i-1] != '-') {
			if end := number(b, i) + 1; end > i {
				i = end
			}
		}
	}
}
