package sip

import "fmt"

// Limits bound one message. A [Framer] and [Message.LoadWithin] take the value
// of [DefaultLimits] for a field that is zero.
type Limits struct {
	Message    int // bytes of a whole message
	Headers    int // header fields
	HeaderLine int // bytes of one header field, folds included, and of a start line without its URI
	URI        int // bytes of the Request-URI, or of a URI in From, To, Contact, Route or Record-Route
	Vias       int // values of Via, which every hop adds to
	BodyParts  int // parts of a multipart body, those of parts included
}

// DefaultLimits allow what is met in practice, RFC 4475's long message included.
func DefaultLimits() Limits {
	return Limits{Message: 64 << 10, Headers: 256, HeaderLine: 8 << 10, URI: 4 << 10, Vias: 70, BodyParts: 32}
}

// A Limit names one of the [Limits]. It stands in the errors of messages that
// passed it, and counts them.
type Limit string

// The limits of a message, with the status that answers a request beyond.
const (
	LimitMessage    Limit = "message_size"  // 513 (RFC 3261 §21.5.7)
	LimitHeaders    Limit = "headers"       // 400
	LimitHeaderLine Limit = "header_length" // 400
	LimitURI        Limit = "uri_length"    // 414 for the Request-URI (RFC 3261 §21.4.13), else 400
	LimitVias       Limit = "vias"          // 400
	LimitBodyParts  Limit = "body_parts"    // 400
)

// LimitOf returns the limit that an error of a message says was passed, empty
// when it is about something else.
func LimitOf(err error) Limit {
	switch e := err.(type) {
	case *ParseError:
		return e.Limit
	case *FrameError:
		return e.Limit
	}
	return ""
}

// complete fills in what was left out.
func (l *Limits) complete() {
	if l.Message > 0 && l.Headers > 0 && l.HeaderLine > 0 && l.URI > 0 && l.Vias > 0 && l.BodyParts > 0 {
		return
	}
	d := DefaultLimits()
	for _, f := range [...]struct{ limit, normal *int }{
		{&l.Message, &d.Message}, {&l.Headers, &d.Headers}, {&l.HeaderLine, &d.HeaderLine},
		{&l.URI, &d.URI}, {&l.Vias, &d.Vias}, {&l.BodyParts, &d.BodyParts},
	} {
		if *f.limit <= 0 {
			*f.limit = *f.normal
		}
	}
}

// exceed keeps, as the first error, that a limit was passed.
func (m *Message) exceed(l Limit, header string, offset, most int) {
	if m.err == nil {
		m.err = tooMuch(l, header, offset, most)
	}
}

// tooMuch is the error of a message that passes a limit.
func tooMuch(l Limit, header string, offset, most int) *ParseError {
	e := &ParseError{Header: header, Offset: offset, Limit: l, Code: 400}
	switch l {
	case LimitMessage:
		e.Code, e.Rule = 513, fmt.Sprintf("a message has at most %d bytes", most)
	case LimitHeaders:
		e.Rule = fmt.Sprintf("a message has at most %d header fields", most)
	case LimitHeaderLine:
		e.Rule = fmt.Sprintf("a header field has at most %d bytes", most)
	case LimitURI:
		e.Rule = fmt.Sprintf("a URI has at most %d bytes", most)
		if header == requestLine {
			e.Code = 414
		}
	case LimitVias:
		e.Rule = fmt.Sprintf("at most %d Via values", most)
	case LimitBodyParts:
		e.Rule = fmt.Sprintf("a body has at most %d parts", most)
	}
	return e
}
