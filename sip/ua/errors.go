package ua

import (
	"errors"
	"fmt"

	"github.com/sallyport-sip/sallyport/sip"
)

// Errors that callers test for. A request that got no answer at all has one of
// transaction's: ErrTimeout or ErrTransport.
var (
	// ErrAnswered: the request has had a final response already.
	ErrAnswered = errors.New("the request has a final response already")
	// ErrCancelled: the other side took its INVITE back with a CANCEL, or ended
	// the early dialog with a BYE; the library has sent the 487.
	ErrCancelled = errors.New("the caller cancelled")
	// ErrNoAck ends a call whose 200 got no ACK in 64*T1 (RFC 3261 §13.3.1.4).
	ErrNoAck = errors.New("no ACK came for the 200")
	// ErrServerClosed: Server.Shutdown or Server.Close was called.
	ErrServerClosed = errors.New("the SIP server is closed")
	// ErrNoCall: the call is over, or about to be.
	ErrNoCall = errors.New("the call is over")
	// ErrInviting: there is another re-INVITE under way (RFC 3261 §14.1).
	ErrInviting = errors.New("another re-INVITE of the call has no answer yet")
	// ErrOverload: too much blocking work is under way, see Queues.Jobs.
	ErrOverload = errors.New("too much work is under way")
	// ErrHungUp and ErrPeerHungUp are the causes of a call's context after a BYE
	// of ours or of the other side's. Call.Err is nil then.
	ErrHungUp     = errors.New("we hung up")
	ErrPeerHungUp = errors.New("the other side hung up")
)

// ResponseError is a final response other than 2xx, where a 2xx was hoped for.
type ResponseError struct {
	Code   int
	Reason string       // the phrase of the status line
	Msg    *sip.Message // the whole response; the receiver's
}

func (e *ResponseError) Error() string { return fmt.Sprintf("refused with %d %s", e.Code, e.Reason) }

func newResponseError(m *sip.Message) *ResponseError {
	return &ResponseError{Code: m.StatusCode(), Reason: string(m.Reason()), Msg: m.Clone()}
}
