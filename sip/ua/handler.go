package ua

import "github.com/sallyport-sip/sallyport/sip"

// Handler answers requests. ServeSIP runs in a goroutine of its own, one
// request of a Call-ID after the other in the order in which they came. It may
// block until it has its answer; while it blocks, the next requests of the same
// Call-ID wait, a re-INVITE above all, so it does not wait for the end of a call
// that it has accepted. A request that it has not answered when it returns gets a
// 500.
//
// It does not see ACK, CANCEL and BYE, which the library deals with (see
// Request.Context and Call.Done), nor requests in dialogs that do not exist.
type Handler interface {
	ServeSIP(r *Request)
}

// HandlerFunc is a function as a Handler.
type HandlerFunc func(r *Request)

// ServeSIP calls f.
func (f HandlerFunc) ServeSIP(r *Request) { f(r) }

// refuseAll is the Handler of a server that is only a client.
var refuseAll = HandlerFunc(func(r *Request) {
	// A reply that cannot be sent has nobody left to hear of it.
	_ = r.Reply(501)
})

// belongs says whether a method only makes sense inside a dialog that exists
// here, once it has a To tag. The dialogs of other methods, SUBSCRIBE above
// all, are the Handler's.
func belongs(method sip.Method) bool {
	switch method {
	case sip.INVITE, sip.BYE, sip.UPDATE, sip.PRACK, sip.INFO:
		return true
	}
	return false
}
