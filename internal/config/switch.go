package config

import "strings"

// Switch turns something on or off.
type Switch string

// The values of a Switch.
const (
	On  Switch = "on"
	Off Switch = "off"
)

func (s *Switch) set(text string) *fault { return setWord(s, text, On, Off) }

// HeaderName is the name of a header that has no meaning in SIP itself.
type HeaderName string

func (h *HeaderName) set(text string) *fault {
	f := &fault{why: "it is a name of letters, digits and hyphens that begins with X-, so that it is no header of SIP", remedy: "write a name such as X-Call-ID"}
	strange := func(r rune) bool {
		return r != '-' && (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z')
	}
	if len(text) < 3 || len(text) > 64 || !strings.EqualFold(text[:2], "X-") || strings.ContainsFunc(text, strange) {
		return f
	}
	*h = HeaderName(text)
	return nil
}
