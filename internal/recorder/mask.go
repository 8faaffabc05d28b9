package recorder

import "bytes"

// What a recording never holds: the values of Authorization and Proxy-Authorization, which contain a password's digest
// (RFC 7616 §3.4) or the password itself, and the key of a=crypto, which opens the call's media (RFC 4568 §9.1). They are
// masked in place, each byte but blanks by a '*', so that lengths stay true and nothing is allocated.

// hasSecret reports whether mask would find anything. It reads b only.
func hasSecret(b []byte) bool {
	found := false
	secrets(b, func(int, int) { found = true })
	return found
}

// mask overwrites the secrets of a message.
func mask(b []byte) {
	secrets(b, func(from, to int) {
		for i := from; i < to; i++ {
			if b[i] > ' ' { // blanks stay, so that a folded line stays one
				b[i] = '*'
			}
		}
	})
}

// secrets calls found with the place of each secret. It looks at the beginning of every line, be it header or body: a
// secret in a place where none belongs is one all the same.
func secrets(b []byte, found func(from, to int)) {
	for start := 0; start < len(b); {
		end := start + lineLength(b[start:])
		switch b[start] {
		case 'A', 'a', 'P', 'p':
			if isCrypto(b[start:end]) {
				if from, to := inlineKey(b[start:end]); from < to {
					found(start+from, start+to)
				}
				break
			}
			if n := credentials(b[start:end]); n > 0 {
				for end < len(b) && (b[end] == ' ' || b[end] == '\t') { // folded, RFC 3261 §7.3.1
					end += lineLength(b[end:])
				}
				found(start+n, end)
			}
		}
		start = end
	}
}

// lineLength includes the line's end.
func lineLength(b []byte) int {
	if i := bytes.IndexByte(b, '\n'); i >= 0 {
		return i + 1
	}
	return len(b)
}

// credentials returns where the value begins, and 0 for any other line.
func credentials(line []byte) int {
	for _, name := range [...]string{"authorization", "proxy-authorization"} {
		if n := len(name); len(line) > n && equalFold(line[:n], name) {
			i := n
			for i < len(line) && (line[i] == ' ' || line[i] == '\t') {
				i++
			}
			if i < len(line) && line[i] == ':' {
				return i + 1
			}
		}
	}
	return 0
}

func isCrypto(line []byte) bool { return len(line) > 9 && string(line[:9]) == "a=crypto:" }

// inlineKey finds what follows "inline:" in a crypto attribute: key, salt, lifetime and MKI, and more of them after a
// semicolon. All of it up to the line's end is masked; session parameters that may follow are no loss.
func inlineKey(line []byte) (from, to int) {
	const word = "inline:"
	for i := 9; i+len(word) <= len(line); i++ {
		if equalFold(line[i:i+len(word)], word) {
			return i + len(word), len(line)
		}
	}
	return 0, 0
}

// equalFold compares ASCII without regard to case; lower is in lower case.
func equalFold(b []byte, lower string) bool {
	for i := range b {
		c := b[i]
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		if c != lower[i] {
			return false
		}
	}
	return true
}
