package ua

import (
	"fmt"
	"strings"

	"github.com/sallyport-sip/sallyport/sip"
)

// Option adds something to a message that is sent.
type Option func(*extras)

// extras is what options say.
type extras struct {
	reason      string
	contentType string
	body        []byte
	fields      []extraField
	err         error
}

type extraField struct{ name, value string }

// Header adds a header field. Contact, of which the library has one of its own
// where one is needed, is replaced by it. Those that the library writes itself
// are an error: Via, From, To, Call-ID, CSeq, Route, Record-Route,
// Max-Forwards, Content-Length.
func Header(name, value string) Option {
	return func(x *extras) {
		switch {
		case !token(name):
			x.fail("header name %q is not a token", name)
		case !oneLine(value):
			x.fail("header %s: its value has a line break or another control character in it", name)
		case owned(name):
			x.fail("header %s is written by the library", name)
		default:
			x.fields = append(x.fields, extraField{name, value})
		}
	}
}

// Body gives the message a body. The bytes must not change until the call
// returns to which the option is given.
func Body(contentType string, body []byte) Option {
	return func(x *extras) {
		if contentType == "" || !oneLine(contentType) {
			x.fail("content type %q is empty or has a control character in it", contentType)
		}
		x.contentType, x.body = contentType, body
	}
}

// Reason replaces the reason phrase of a response.
func Reason(phrase string) Option {
	return func(x *extras) {
		if !oneLine(phrase) {
			x.fail("reason phrase %q has a control character in it", phrase)
		}
		x.reason = phrase
	}
}

// gather runs the options.
func gather(options []Option) (*extras, error) {
	x := &extras{}
	for _, o := range options {
		o(x)
	}
	return x, x.err
}

func (x *extras) fail(format string, args ...any) {
	if x.err == nil {
		x.err = fmt.Errorf("ua: "+format, args...)
	}
}

func (x *extras) has(name string) bool {
	for _, f := range x.fields {
		if strings.EqualFold(f.name, name) {
			return true
		}
	}
	return false
}

// finish writes the headers and the body, and ends the message.
func (x *extras) finish(b *sip.Builder) []byte {
	for _, f := range x.fields {
		b.Header(f.name, f.value)
	}
	if x.contentType != "" {
		b.Header("Content-Type", x.contentType)
	}
	return b.Finish(x.body)
}

// size is about how long the message gets.
func (x *extras) size() int { return 1024 + len(x.body) }

// owned says whether a header is the library's business.
func owned(name string) bool {
	switch strings.ToLower(name) {
	case "via", "v", "from", "f", "to", "t", "call-id", "i", "cseq", "route", "record-route",
		"max-forwards", "content-length", "l":
		return true
	}
	return false
}

func token(s string) bool {
	for i := range len(s) {
		c := s[i]
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("-.!%*_+`'~", c) >= 0) {
			return false
		}
	}
	return s != ""
}

// oneLine says whether s can stand in a header without ending it.
func oneLine(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' && s[i] != '\t' || s[i] == 0x7f {
			return false
		}
	}
	return true
}
