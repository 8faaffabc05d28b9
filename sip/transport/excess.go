package transport

import (
	"errors"

	"github.com/sallyport-sip/sallyport/sip"
)

// The limits of connections, as [Excess] names them. Those of a message are in
// package sip.
const (
	LimitConns               sip.Limit = "connections"
	LimitConnsPerSource      sip.Limit = "connections_per_source"
	LimitHandshakes          sip.Limit = "handshakes"
	LimitHandshakesPerSource sip.Limit = "handshakes_per_source"
	LimitHandshakeTime       sip.Limit = "handshake_time"
	LimitFirstMessage        sip.Limit = "first_message"
	LimitWholeMessage        sip.Limit = "whole_message"
	LimitIdle                sip.Limit = "idle"
	LimitIdleUnknown         sip.Limit = "idle_unknown"
	LimitKeepAlives          sip.Limit = "keep_alives"
	LimitPending             sip.Limit = "pending"
	LimitPendingPeer         sip.Limit = "pending_peer"
	LimitBacklog             sip.Limit = "backlog"
	LimitUnfinished          sip.Limit = "unfinished"
	LimitStall               sip.Limit = "stall"
)

// An Excess is that somebody passed a limit, and what it led to has been done:
// the connection was refused or ends, or the datagram was dropped. A message
// that passed one of its own limits is no Excess of the endpoint: it is delivered
// with that in Packet.Err.
type Excess struct {
	Limit sip.Limit
	Info  ConnInfo
	Peer  string // whose connection it is, empty for somebody unknown
	Err   error  // what happened, in words
}

// limitError is an error that says which limit was passed.
type limitError struct {
	error
	limit sip.Limit
}

func (e *limitError) Unwrap() error { return e.error }

func passedLimit(l sip.Limit, err error) error { return &limitError{err, l} }

// isLimit says whether an error is about a limit.
func isLimit(err error) bool {
	_, ok := errors.AsType[*limitError](err)
	return ok
}

// exceeded tells of a limit if that is what an error is about.
func (h *Hooks) exceeded(info ConnInfo, peer string, err error) {
	if h.Excess == nil {
		return
	}
	if e, ok := errors.AsType[*limitError](err); ok {
		h.Excess(Excess{Limit: e.limit, Info: info, Peer: peer, Err: err})
	}
}
