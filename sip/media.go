package sip

import "iter"

// MediaType is the value of Content-Type, or one of Accept, where the type or
// both parts may be a star (RFC 3261 §20.1, §20.15).
type MediaType struct {
	Type, Subtype []byte
	Params        Params
}

// Is compares type and subtype without regard to case: t.Is("application/sdp").
func (t MediaType) Is(full string) bool {
	n := len(t.Type)
	return len(full) == n+1+len(t.Subtype) && full[n] == '/' && equalFold(t.Type, full[:n]) && equalFold(t.Subtype, full[n+1:])
}

// Accepts says whether the type, a range of Accept, includes full.
func (t MediaType) Accepts(full string) bool {
	n := len(t.Type)
	switch {
	case string(t.Type) == "*":
		return true
	case string(t.Subtype) == "*":
		return len(full) > n && full[n] == '/' && equalFold(t.Type, full[:n])
	}
	return t.Is(full)
}

// Boundary returns what stands between the parts of a multipart body (RFC 2046
// §5.1.1), nil when there is none.
func (t MediaType) Boundary() []byte { return boundaryOf(t.Params) }

// Append appends the type as it is written.
func (t MediaType) Append(dst []byte) []byte {
	return append(append(append(append(dst, t.Type...), '/'), t.Subtype...), t.Params...)
}

// ContentType returns the Content-Type header, ErrAbsent when there is none.
func (m *Message) ContentType() (MediaType, error) { return first(m, HdrContentType, parseMediaType) }

// Accepts returns every value of Accept.
func (m *Message) Accepts() iter.Seq2[MediaType, error] {
	return values(m, HdrAccept, parseMediaRange)
}

// parseMediaType reads m-type SLASH m-subtype *(SEMI m-parameter), of which every
// parameter has a value.
func parseMediaType(b []byte, i int) (t MediaType, end int, rule string) {
	if t, end, rule = mediaType(b, i); rule != "" {
		return t, end, rule
	}
	if t.star() {
		return t, i, "a star is no type of a body"
	}
	for rest := []byte(t.Params); len(rest) > 0; {
		var v []byte
		if _, v, rest = nextParam(rest); len(v) == 0 {
			return t, i, "every parameter of a type has a value"
		}
	}
	return t, end, ""
}

// parseMediaRange reads one value of Accept.
func parseMediaRange(b []byte, i int) (t MediaType, end int, rule string) {
	t, end, rule = mediaType(b, i, qRule)
	if rule == "" && string(t.Type) == "*" && string(t.Subtype) != "*" {
		return t, i, "a star for the type has a star for the subtype"
	}
	return t, end, rule
}

func (t MediaType) star() bool { return string(t.Type) == "*" || string(t.Subtype) == "*" }

func mediaType(b []byte, i int, rules ...paramRule) (t MediaType, end int, rule string) {
	end = endOf(b, i, classToken)
	slash := skipSpace(b, end)
	if end == i || !at(b, slash, '/') {
		return t, i, "a type, a slash and a subtype"
	}
	t.Type = b[i:end]
	start := skipSpace(b, slash+1)
	if end = endOf(b, start, classToken); end == start {
		return t, start, "a type, a slash and a subtype"
	}
	t.Subtype = b[start:end]
	t.Params, end, rule = params(b, end, rules...)
	return t, end, rule
}
