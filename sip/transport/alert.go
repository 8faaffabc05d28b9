package transport

import (
	"crypto/tls"
	"errors"
	"net"
)

// alertType is the content type of an alert's record, and alertLength how long one is without encryption (RFC 8446 §5.1, §6).
const (
	alertType   = 21
	alertLength = 2
	alertFatal  = 2
	// badRecordMAC is the alert of a record that cannot be decrypted (RFC 8446 §6.2).
	badRecordMAC = 20
)

// plainAlert reads an alert that comes without encryption during a handshake. A client of TLS 1.3 that does not accept our certificate
// may send its alert so, before it has begun to encrypt, as OpenSSL does; crypto/tls expects encryption by then, and would report nothing but
// a record that it cannot decrypt.
type plainAlert struct {
	b [alertLength]byte
	n int
}

// begin takes the header of a record.
func (a *plainAlert) begin(header [recordHeader]byte) {
	a.n = alertLength // no place for its bytes
	if header[0] == alertType && header[3] == 0 && header[4] == alertLength {
		a.n, a.b = 0, [alertLength]byte{}
	}
}

// take takes bytes of the body of that record.
func (a *plainAlert) take(b []byte) { a.n += copy(a.b[a.n:], b) }

// meaning returns the error that a handshake failed with: err, unless err is our complaint about a record that cannot be decrypted and an
// alert came that was not encrypted. It is no proof, for anybody between the two sides could have written it; but neither is the
// complaint, and the handshake has failed in any case.
func (a *plainAlert) meaning(err error) error {
	if !badRecord(err) || a.b[0] != alertFatal || a.b[1] == 0 {
		return err
	}
	return &net.OpError{Op: "remote error", Err: tls.AlertError(a.b[1])}
}

// badRecord says that err is our own alert bad_record_mac.
func badRecord(err error) bool {
	op, ok := errors.AsType[*net.OpError](err)
	return ok && op.Op == "local error" && op.Err != nil && op.Err.Error() == tls.AlertError(badRecordMAC).Error()
}
