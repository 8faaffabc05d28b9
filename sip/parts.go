package sip

import (
	"bytes"
	"iter"
)

// Part is one part of a multipart body (RFC 2046 §5.1, RFC 5621): a view on the
// message's bytes, as the message is.
type Part struct {
	Head []byte // header fields with their line ends
	Body []byte
}

// Header returns the value of a field of the part's head without its line ends,
// folds as they are, nil when there is none. Names compare without regard to case.
func (p Part) Header(name string) []byte {
	for b := p.Head; len(b) > 0; {
		n := endOfField(b)
		if k, v, ok := bytes.Cut(b[:n], []byte(":")); ok && equalFold(trimEnd(k), name) {
			return bytes.TrimSpace(v)
		}
		b = b[n:]
	}
	return nil
}

// ContentType returns what the part is; without a Content-Type of its own it is
// text/plain (RFC 2046 §5.1).
func (p Part) ContentType() (MediaType, error) {
	v := unfolded(p.Header("Content-Type"))
	if v == nil {
		return MediaType{Type: []byte("text"), Subtype: []byte("plain")}, nil
	}
	return partHeader(HdrContentType, v, parseMediaType)
}

// ContentDisposition returns what the part is for, ErrAbsent when it does not say.
func (p Part) ContentDisposition() (Disposition, error) {
	v := unfolded(p.Header("Content-Disposition"))
	if v == nil {
		return Disposition{}, ErrAbsent
	}
	return partHeader(HdrContentDisposition, v, parseDisposition)
}

func partHeader[T any](id HeaderID, b []byte, parse parser[T]) (v T, err error) {
	v, end, rule := parse(b, 0)
	if rule == "" && end < len(b) {
		rule = "nothing follows the value"
	}
	if rule != "" {
		return v, ruleError(id.String(), -1, rule)
	}
	return v, nil
}

// unfolded returns b with a space for each line end in it: b itself when it has
// none.
func unfolded(b []byte) []byte {
	if bytes.IndexByte(b, '\n') < 0 {
		return b
	}
	b = bytes.Clone(b)
	for i, c := range b {
		if c == '\r' || c == '\n' {
			b[i] = ' '
		}
	}
	return b
}

// Parts returns the parts of the part's own body when that is multipart. There
// are no more than limit.
func (p Part) Parts(limit int) iter.Seq2[Part, error] {
	t, err := p.ContentType()
	return partsOf(t, err, p.Body, limit)
}

// Parts returns the parts of a multipart body in order. A body of another type is
// one part, whose head is empty, and an empty body none. What passes the limit,
// 0 for the default one, is an error that ends the parts; so is a multipart body
// without a boundary, or one that is not closed. Errors are *ParseError.
func (m *Message) Parts(limit int) iter.Seq2[Part, error] {
	t, err := m.ContentType()
	if err == ErrAbsent {
		err = nil
	}
	return partsOf(t, err, m.Body(), limit)
}

func partsOf(t MediaType, err error, body []byte, limit int) iter.Seq2[Part, error] {
	if limit <= 0 {
		limit = DefaultLimits().BodyParts
	}
	return func(yield func(Part, error) bool) {
		switch {
		case err != nil:
			yield(Part{}, err)
		case !equalFold(t.Type, "multipart"):
			if len(body) > 0 {
				yield(Part{Body: body}, nil)
			}
		case !validBoundary(t.Boundary()):
			yield(Part{}, ruleError("Content-Type", -1, "a multipart body has a boundary of 1 to 70 characters (RFC 2046 §5.1.1)"))
		default:
			eachPart(body, t.Boundary(), limit, yield)
		}
	}
}

func eachPart(body, boundary []byte, limit int, yield func(Part, error) bool) {
	_, rest := nextPart(body, boundary) // before the first delimiter is no part
	if rest == nil {
		yield(Part{}, ruleError("body", -1, "a multipart body has a part"))
		return
	}
	for n := 0; ; n++ {
		if n == limit {
			yield(Part{}, tooMuch(LimitBodyParts, "body", -1, limit))
			return
		}
		before := rest
		part, after := nextPart(before, boundary)
		if len(part) == len(before) {
			yield(Part{}, ruleError("body", -1, "a multipart body ends with its boundary and two hyphens"))
			return
		}
		if !yield(cutPart(part), nil) || after == nil {
			return
		}
		rest = after
	}
}

// cutPart cuts what stands between two delimiters: the rest of the first one's
// line, the head, an empty line and the body, whose last line end belongs to the
// second delimiter.
func cutPart(b []byte) Part {
	_, b, _ = bytes.Cut(b, []byte("\n"))
	b = bytes.TrimSuffix(bytes.TrimSuffix(b, []byte("\n")), []byte("\r"))
	for i := 0; i < len(b); {
		n := bytes.IndexByte(b[i:], '\n') + 1
		if n == 0 {
			break
		}
		if n == 1 || n == 2 && b[i] == '\r' {
			return Part{Head: b[:i], Body: b[i+n:]}
		}
		i += n
	}
	return Part{Head: b}
}

// validBoundary says whether b is a boundary of RFC 2046 §5.1.1.
func validBoundary(b []byte) bool {
	for _, c := range b {
		if class[c]&classToken == 0 && bytes.IndexByte([]byte("()+,/:=? "), c) < 0 {
			return false
		}
	}
	return len(b) > 0 && len(b) <= 70 && b[len(b)-1] != ' '
}
