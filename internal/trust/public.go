package trust

import (
	"crypto/tls"
	"errors"
	"strings"
	"syscall"
)

// CodeOf returns the code for an error of a TLS connection that we made, as far as the error alone tells; empty when it is none of TLS. What
// the other side says of us is PeerAlert, whatever it says.
func CodeOf(err error) Code {
	if err == nil {
		return ""
	}
	if r, ok := errors.AsType[*Refusal](err); ok {
		return r.Code
	}
	if _, ok := remoteAlert(err); ok {
		return PeerAlert
	}
	_, record := errors.AsType[tls.RecordHeaderError](err)
	if !record && !strings.Contains(err.Error(), "tls: ") {
		return ""
	}
	code, _ := ownDecision(err, Client)
	return code
}

// CodeOfHop is CodeOf for a next hop that was not reached, be it for TLS or because the system says that no connection can be made; empty
// for anything else, as an end of our own patience, which does not tell whether it was the connection or its handshake that took too long.
func CodeOfHop(err error) Code {
	switch code := CodeOf(err); {
	case err == nil || code != "":
		return code
	case connectionEnd(err) == ConnectionRefused:
		return ConnectionRefused
	case errors.Is(err, syscall.ETIMEDOUT):
		return NoAnswer
	case noWay(err):
		return Unreachable
	}
	return ""
}
