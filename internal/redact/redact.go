// Package redact takes out of recorded messages what no recording may hold. It is the one place that knows what that is: the ring in
// memory, the history on disk and every export see messages only after Mask.
//
// A secret is masked in place, each byte but blanks by a '*', so that lengths stay true and nothing is allocated. What is one:
//
//   - the values of Authorization and Proxy-Authorization, which contain a password's digest (RFC 7616 §3.4), the password itself, or a
//     token (RFC 8898), and of Authentication-Info and Proxy-Authentication-Info, whose rspauth is a digest of it, too; a challenge
//     is none;
//   - the values of headers beginning with X- whose names speak of a token, a password, a secret, a key or authorization;
//   - the password in a URI: sip:user:password@host (RFC 3261 §19.1.1), https://user:password@host;
//   - of what stands behind the '?' of a URI: the values of such headers and of such parameters of a page, whatever begins their names, a body,
//     and a value with a password in an escaped URI (uri.go);
//   - in SDP the key of a=crypto (RFC 4568 §9.1), a=key-mgmt (RFC 4567 §3.1), a=ice-pwd (RFC 8839 §5.4), and k= (RFC 4566 §5.12).
//
// Numbers is for those who want telephone numbers masked, too. Reading starts at Mask. The functions are pure and safe for concurrent use.
package redact

import "bytes"

// Has reports whether Mask would find anything. It reads b only.
func Has(b []byte) bool {
	found := false
	secrets(b, func(int, int) { found = true })
	return found
}

// Mask overwrites the secrets of a message.
func Mask(b []byte) {
	secrets(b, func(from, to int) {
		for i := from; i < to; i++ {
			if b[i] > ' ' { // blanks stay, so that a folded line stays one
				b[i] = '*'
			}
		}
	})
}

// Text is words of ours, or of a peer, without the secrets in what they quote of a message.
func Text(s string) string {
	if b := []byte(s); Has(b) {
		Mask(b)
		return string(b)
	}
	return s
}

// begins has the first bytes of lines that may hold a secret.
var begins = func() (t [256]bool) {
	for _, c := range []byte("AaPpXxk") {
		t[c] = true
	}
	return t
}()

// secrets calls found with the place of each secret. It looks at the beginning of every line, be it header or body, and before every
// '@': a secret in a place where none belongs is one all the same.
func secrets(b []byte, found func(from, to int)) {
	for start := 0; start < len(b); {
		if begins[b[start]] {
			line(b, start, found)
		}
		i := bytes.IndexByte(b[start:], '\n')
		if i < 0 {
			break
		}
		start += i + 1
	}
	previous := 0 // '@'
	for at := 0; at < len(b); at++ {
		i := bytes.IndexByte(b[at:], '@')
		if i < 0 {
			break
		}
		at += i
		if from := password(b, min(previous, max(0, at-longest)), at); from > 0 {
			found(from, at)
		}
		previous = at
	}
	inQueries(b, found)
}

// line looks at the line that begins at start. Its first letters say for most lines that there is nothing.
func line(b []byte, start int, found func(from, to int)) {
	if start+2 >= len(b) {
		return
	}
	switch second := b[start+1] | 0x20; {
	case b[start+1] == '=' && (b[start] == 'k' || b[start] == 'a'):
		if third := b[start+2]; b[start] == 'k' || third == 'c' || third == 'i' || third == 'k' {
			end := start + lineLength(b[start:])
			if from, to := inSDP(b[start:end]); from < to {
				found(start+from, start+to)
			}
		}
	case second == 'u', second == 'r', b[start+1] == '-':
		if n := credentials(b[start:]); n > 0 {
			end := start + n + lineLength(b[start+n:])
			for end < len(b) && (b[end] == ' ' || b[end] == '\t') { // folded, RFC 3261 §7.3.1
				end += lineLength(b[end:])
			}
			found(start+n, end)
		}
	}
}

// lineLength includes the line's end.
func lineLength(b []byte) int {
	if i := bytes.IndexByte(b, '\n'); i >= 0 {
		return i + 1
	}
	return len(b)
}

// names are the headers whose values are secrets, in lower case.
var names = []string{"authorization", "proxy-authorization", "authentication-info", "proxy-authentication-info"}

// credentials returns where the value begins, and 0 for any other line.
func credentials(line []byte) int {
	if line[0]|0x20 == 'x' {
		return suspect(line)
	}
	for _, n := range names {
		if len(line) <= len(n) || line[0]|0x20 != n[0] || !equalFold(line[:len(n)], n) {
			continue
		}
		i := len(n)
		for i < len(line) && (line[i] == ' ' || line[i] == '\t') {
			i++
		}
		if i < len(line) && line[i] == ':' {
			return i + 1
		}
	}
	return 0
}

// suspect is credentials for a header whose name begins with X-.
func suspect(line []byte) int {
	found := false
	for i := 2; i < len(line); i++ {
		word := ""
		switch line[i] | 0x20 {
		case ':':
			if found {
				return i + 1
			}
			return 0
		case '\n' | 0x20:
			return 0
		case 'a':
			word = "auth"
		case 't':
			word = "token"
		case 'p':
			word = "passw"
		case 's':
			word = "secret"
		case 'k':
			word = "key"
		case 'c':
			word = "credential"
		}
		if word != "" && i+len(word) <= len(line) && equalFold(line[i:i+len(word)], word) {
			found = true
		}
	}
	return 0
}

// inSDP finds the secret in a line of SDP; from is not below to when there is none.
func inSDP(line []byte) (from, to int) {
	switch {
	case bytes.HasPrefix(line, []byte("k=")):
		if i := bytes.IndexByte(line, ':'); i > 0 { // k=prompt has none
			return i + 1, len(line)
		}
	case bytes.HasPrefix(line, []byte("a=crypto:")):
		return inlineKey(line)
	case bytes.HasPrefix(line, []byte("a=ice-pwd:")):
		return len("a=ice-pwd:"), len(line)
	case bytes.HasPrefix(line, []byte("a=key-mgmt:")):
		if i := bytes.IndexByte(line, ' '); i > 0 { // after the name of the protocol
			return i + 1, len(line)
		}
		return len("a=key-mgmt:"), len(line)
	}
	return 0, 0
}

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

func isLetter(c byte) bool { return 'a' <= c|0x20 && c|0x20 <= 'z' }

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
