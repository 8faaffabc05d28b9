package transport

import "bytes"

// TLSError ends a stream without TLS whose other side began with a record of TLS (RFC 8446 §5.1). Nothing is answered: SIP would be
// nothing to it.
type TLSError struct {
	Head []byte // what had come, from its first byte
}

func (e *TLSError) Error() string {
	if e.Head[0] == recordHandshake {
		return "a TLS ClientHello on a port without TLS"
	}
	return "the other side answered plain SIP with a TLS alert"
}

// The types of the records with which somebody can begin.
const (
	recordAlert     = 21
	recordHandshake = 22
)

// spokenTLS returns an error when the first bytes of a stream without TLS are those of a record, and more when that cannot be told yet.
// No SIP message begins with them.
func spokenTLS(b []byte) (more bool, err error) {
	switch {
	case len(b) == 0 || b[0] != recordAlert && b[0] != recordHandshake:
		return false, nil
	case len(b) < 3:
		return len(b) < 2 || b[1] == 3, nil
	case b[1] == 3 && b[2] <= 4:
		return false, &TLSError{bytes.Clone(b)}
	}
	return false, nil
}
