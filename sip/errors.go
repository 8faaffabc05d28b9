package sip

import "fmt"

// ParseError says which part of a message breaks which rule.
type ParseError struct {
	Header string // header name, or "Request-Line", "Status-Line", "body"
	Offset int    // bytes from the start of the message, -1 when it has none
	Rule   string // what the grammar asks for
	Code   int    // status that answers such a request: 400, 505 for a foreign version, 501 for an unknown method, 414 or 513 for what is too long
	Limit  Limit  // the limit that was passed, empty when it is about something else
}

func (e *ParseError) Error() string {
	if e.Offset < 0 {
		return fmt.Sprintf("%s: %s", e.Header, e.Rule)
	}
	return fmt.Sprintf("%s at byte %d: %s", e.Header, e.Offset, e.Rule)
}

// Status returns the response code for a request with this error.
func (e *ParseError) Status() int {
	if e.Code == 0 {
		return 400
	}
	return e.Code
}

// StatusError is an error with two readers: Code and Reason may go to the
// peer, Err only to our log.
type StatusError struct {
	Code   int
	Reason string // phrase of the status line; the usual one when empty
	Header string // one more header line without CRLF, such as a Warning
	Err    error
}

func (e *StatusError) Error() string {
	if e.Err == nil {
		return fmt.Sprintf("%d %s", e.Code, e.Phrase())
	}
	return fmt.Sprintf("%d %s: %v", e.Code, e.Phrase(), e.Err)
}

// Phrase returns Reason or, when that is empty, the code's usual phrase.
func (e *StatusError) Phrase() string {
	if e.Reason != "" {
		return e.Reason
	}
	return StatusText(e.Code)
}

// Unwrap returns the cause that stays with us.
func (e *StatusError) Unwrap() error { return e.Err }

// FrameError says why a stream cannot be cut into messages any more. The
// connection has to end (RFC 3261 §18.3).
type FrameError struct {
	Reason string
	Limit  Limit // the limit that was passed, empty when it is about something else
}

// Status returns the response code for the request after which nothing more can
// be read: "If the message is a request, the transport layer SHOULD generate a
// 400" (RFC 3261 §18.3), and 513 when it is too long (§21.5.7).
func (e *FrameError) Status() int {
	if e.Limit == LimitMessage {
		return 513
	}
	return 400
}

func (e *FrameError) Error() string { return e.Reason }

func ruleError(header string, offset int, rule string) *ParseError {
	return &ParseError{Header: header, Offset: offset, Rule: rule}
}
