package sip

import "bytes"

// Address is the value of From, To, Contact, Route and their like: a display
// name, a URI and parameters (RFC 3261 §20.10).
type Address struct {
	Display []byte // as written, quotes included
	RawURI  []byte // without angle brackets, judged by URI; "*" for a Contact that stands for all
	Params  Params // header parameters, not the URI's

	alike bool // see endParams
}

// Tag returns the tag parameter, nil when there is none.
func (a Address) Tag() []byte {
	v, _ := a.Params.Get("tag")
	return v
}

// URI parses the address's URI.
func (a Address) URI() (URI, error) { return ParseURI(a.RawURI) }

// ParseAddress parses one name-addr or addr-spec with its parameters.
func ParseAddress(b []byte) (Address, error) {
	var a Address
	if rule := a.parseAll(b); rule != "" {
		return a, ruleError("address", 0, rule)
	}
	return a, nil
}

// parseAll fills the empty a from b, and returns the rule that it breaks or "".
func (a *Address) parseAll(b []byte) (rule string) {
	end, rule := a.parse(b, 0)
	if rule == "" && end < len(b) {
		return "the header has one value, without a comma outside of quotes and brackets"
	}
	return rule
}

// parse fills the empty a from the value at i of a list, and returns where that
// ends: at a comma or the end of b.
func (a *Address) parse(b []byte, i int) (end int, rule string) {
	i = skipSpace(b, i)
	if at(b, i, '"') {
		if end = endQuoted(b, i); end < 0 {
			return 0, "the display name's quotes do not close"
		}
		a.Display = b[i:end]
		if end = skipSpace(b, end); !at(b, end, '<') {
			return 0, "a display name in quotes is followed by a URI in angle brackets"
		}
	} else {
		if end = endDisplay(b, i); !at(b, end, '<') {
			return a.parseBare(b, i)
		}
		a.Display = trimEnd(b[i:end])
	}
	i = end + 1
	n := bytes.IndexByte(b[i:], '>')
	if n <= 0 {
		return 0, "a URI in angle brackets is empty, or they do not close"
	}
	a.RawURI = b[i : i+n]
	return a.params(b, skipSpace(b, i+n+1))
}

// parseBare reads addr-spec: without brackets parameters belong to the header,
// and the URI may hold no comma, question mark or semicolon (RFC 3261 §20).
func (a *Address) parseBare(b []byte, i int) (end int, rule string) {
	for end = i; end < len(b) && b[end] != ';' && b[end] != ',' && !space(b[end]); end++ {
		if c := b[end]; c < ' ' || c == 0x7f || c == '?' || c == '<' || c == '>' || c == '"' {
			return 0, "a URI with special characters is written in angle brackets, a name with such in quotes"
		}
	}
	if a.RawURI = b[i:end]; end == i {
		return 0, "a URI is mandatory"
	}
	return a.params(b, skipSpace(b, end))
}

func (a *Address) params(b []byte, i int) (end int, rule string) {
	if end, a.alike = endParams(b, i); end < 0 || end < len(b) && b[end] != ',' {
		return 0, "a parameter is empty or malformed"
	}
	a.Params = Params(trimEnd(b[i:end]))
	return end, ""
}

// endDisplay reads a display name without quotes: tokens and spaces, other than
// ASCII left as it is met in practice.
func endDisplay(b []byte, i int) int {
	for i < len(b) && (class[b[i]]&classToken != 0 || space(b[i]) || b[i] >= 0x80) {
		i++
	}
	return i
}
