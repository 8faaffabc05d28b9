package sip

import "bytes"

// maxNesting bounds how deep multipart bodies may stand in one another; what is
// deeper counts as too many parts.
const maxNesting = 8

// checkParts refuses a multipart body of more than most parts. They are only
// counted; what is in them is the user's.
func (m *Message) checkParts(most int) {
	contentType := m.First(HdrContentType)
	if !isMultipart(contentType) {
		return
	}
	if countParts(contentType, m.Body(), most, 0) > most {
		m.exceed(LimitBodyParts, "body", m.body, most)
	}
}

func isMultipart(contentType []byte) bool {
	const kind = "multipart/"
	return len(contentType) > len(kind) && equalFold(contentType[:len(kind)], kind)
}

// countParts counts the parts of a multipart body (RFC 2046 §5.1.1), those of
// the multipart bodies in it included. It stops behind most.
func countParts(contentType, body []byte, most, depth int) (n int) {
	if depth == maxNesting {
		return most + 1
	}
	boundary := boundaryOf(contentType)
	if len(boundary) == 0 {
		return 0
	}
	_, rest := nextPart(body, boundary) // what stands before the first delimiter is no part
	for rest != nil && n <= most {
		var part []byte
		part, rest = nextPart(rest, boundary)
		n++
		if inner := partType(part); isMultipart(inner) && n <= most {
			n += countParts(inner, part, most-n, depth+1)
		}
	}
	return n
}

// boundaryOf returns the parameter that says what stands between the parts. One
// that is missing or longer than RFC 2046 §5.1.1 allows is no boundary.
func boundaryOf(contentType []byte) []byte {
	i := bytes.IndexByte(contentType, ';')
	if i < 0 {
		return nil
	}
	b, _ := Params(contentType[i:]).Get("boundary")
	if len(b) > 1 && b[0] == '"' && b[len(b)-1] == '"' {
		b = b[1 : len(b)-1]
	}
	if len(b) > 70 {
		return nil
	}
	return b
}

// nextPart cuts b at its first delimiter line. rest is nil behind the last part:
// at a closing delimiter, or when there is none.
func nextPart(b, boundary []byte) (part, rest []byte) {
	for at := 0; ; {
		i := bytes.Index(b[at:], boundary)
		if i < 0 {
			return b, nil
		}
		i += at
		at = i + 1
		if i < 2 || b[i-2] != '-' || b[i-1] != '-' || i > 2 && b[i-3] != '\n' {
			continue
		}
		end := i + len(boundary)
		switch {
		case bytes.HasPrefix(b[end:], []byte("--")):
			return b[:i-2], nil
		case end == len(b) || b[end] <= ' ': // and not the beginning of a longer boundary
			return b[:i-2], b[end:]
		}
	}
}

// partType returns the Content-Type of a part, which begins behind its
// delimiter.
func partType(part []byte) []byte {
	_, part, _ = bytes.Cut(part, []byte("\n"))
	for len(part) > 0 {
		n := endOfField(part)
		field := part[:n]
		part = part[n:]
		if len(bytes.TrimRight(field, "\r\n")) == 0 {
			return nil // the empty line in front of the content
		}
		name, value, ok := bytes.Cut(field, []byte(":"))
		if !ok || !equalFold(trimEnd(name), "Content-Type") {
			continue
		}
		value = bytes.TrimSpace(value)
		if bytes.IndexByte(value, '\n') >= 0 { // folded
			value = bytes.Join(bytes.Fields(value), []byte(" "))
		}
		return value
	}
	return nil
}

// endOfField returns the length of the line that b begins with and of those that
// continue it.
func endOfField(b []byte) int {
	for end := 0; ; {
		n := bytes.IndexByte(b[end:], '\n')
		if n < 0 {
			return len(b)
		}
		empty := n == 0 || n == 1 && b[end] == '\r'
		if end += n + 1; empty || end == len(b) || !space(b[end]) {
			return end
		}
	}
}
