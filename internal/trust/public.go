package trust

import (
	"crypto/tls"
	"errors"
	"strings"
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
