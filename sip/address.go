package sip

import "bytes"

// Address is the value of From, To, Contact, Route and their like: a display
// name, a URI and parameters (RFC 3261 §20.10).
type Address struct {
	Display []byte // as written, quotes included
	RawURI  []byte // without angle brackets, judged by URI; "*" for a Contact that stands for all
	Params  Params // header parameters, not the URI's
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
	a, rule := parseAddress(b)
	if rule != "" {
		return a, ruleError("address", 0, rule)
	}
	return a, nil
}

func parseAddress(b []byte) (a Address, rule string) {
	b = trim(b)
	open := 0
	if len(b) > 0 && b[0] == '"' {
		n := quotedLen(b)
		if n < 0 {
			return a, "the display name's quotes do not close"
		}
		open = n
	}
	lt := bytes.IndexByte(b[open:], '<')
	if lt < 0 {
		return parseBareAddress(b, open)
	}
	lt += open
	a.Display = trim(b[:lt])
	if open > 0 && len(trim(b[open:lt])) > 0 {
		return a, "only a space may stand between the display name and the URI"
	}
	if open == 0 && !displayTokens(a.Display) {
		return a, "a display name with special characters is written in quotes"
	}
	gt := bytes.IndexByte(b[lt:], '>')
	if gt < 0 {
		return a, "the angle bracket does not close"
	}
	gt += lt
	a.RawURI = b[lt+1 : gt]
	a.Params = Params(trim(b[gt+1:]))
	if len(a.RawURI) == 0 {
		return a, "the URI is empty"
	}
	if !a.Params.valid() {
		return a, "a parameter is empty or malformed"
	}
	return a, ""
}

// parseBareAddress parses addr-spec: without brackets parameters belong to the
// header, and the URI may hold no comma, question mark or semicolon (RFC 3261 §20).
func parseBareAddress(b []byte, quoted int) (a Address, rule string) {
	if quoted > 0 {
		return a, "a display name is followed by a URI in angle brackets"
	}
	end := len(b)
	if semi := bytes.IndexByte(b, ';'); semi >= 0 {
		a.Params = Params(b[semi:])
		end = semi
	}
	a.RawURI = trim(b[:end])
	if len(a.RawURI) == 0 || !printable(a.RawURI) || bytes.IndexByte(a.RawURI, '?') >= 0 {
		return a, "a URI with a space, comma or question mark is written in angle brackets"
	}
	if !a.Params.valid() {
		return a, "a parameter is empty or malformed"
	}
	return a, ""
}

// displayTokens says whether an unquoted display name is made of tokens and
// spaces, other than ASCII left as it is met in practice.
func displayTokens(b []byte) bool {
	for _, c := range b {
		if c != ' ' && c != '\t' && class[c]&classToken == 0 && c < 0x80 {
			return false
		}
	}
	return true
}
