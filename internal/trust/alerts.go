package trust

import (
	"crypto/tls"
	"errors"
	"net"
	"slices"
)

// alert is one fatal alert of RFC 8446 §6.2 or RFC 5246 §7.2.2 as a peer sends it to us: what it tells for certain, and
// which of the causes on our side can be behind it (nil: any).
type alert struct {
	number uint8
	name   string
	code   Code // PeerAlert when the alert alone does not tell
	causes []Code
}

var alerts = []alert{
	{10, "unexpected_message", ProtocolError, []Code{}},
	{20, "bad_record_mac", ProtocolError, []Code{}},
	{22, "record_overflow", ProtocolError, []Code{}},
	{40, "handshake_failure", PeerAlert, nil},
	{42, "bad_certificate", PeerAlert, nil},
	{43, "unsupported_certificate", PeerAlert, []Code{WrongUsage}},
	{44, "certificate_revoked", PeerAlert, []Code{}},
	{45, "certificate_expired", PeerAlert, []Code{Expired, NotYetValid}},
	{46, "certificate_unknown", PeerAlert, nil},
	{47, "illegal_parameter", ProtocolError, []Code{}},
	{48, "unknown_ca", PeerAlert, []Code{UnknownCA, SelfSignedCert, MissingIntermediate}},
	{49, "access_denied", PeerAlert, nil},
	{50, "decode_error", ProtocolError, []Code{}},
	{51, "decrypt_error", KeyMismatch, []Code{}},
	{70, "protocol_version", NoCommonVersion, []Code{}},
	{71, "insufficient_security", NoCommonSuite, []Code{}},
	{80, "internal_error", PeerAlert, []Code{}},
	{90, "user_canceled", PeerAlert, []Code{}},
	{109, "missing_extension", ProtocolError, []Code{}},
	{110, "unsupported_extension", ProtocolError, []Code{}},
	{112, "unrecognized_name", NameMismatch, []Code{NameMismatch}},
	{116, "certificate_required", NoClientCertificate, []Code{NoClientCertificate}},
	{120, "no_application_protocol", PeerAlert, []Code{}},
}

// alertByText finds an alert by the text that crypto/tls gives it. Its type is not exported, except as tls.AlertError,
// which has the same texts.
var alertByText = func() map[string]uint8 {
	m := map[string]uint8{}
	for n := range 256 {
		m[tls.AlertError(n).Error()] = uint8(n)
	}
	return m
}()

// remoteAlert returns the alert that the peer sent, if err is about one.
func remoteAlert(err error) (alert, bool) {
	op, ok := errors.AsType[*net.OpError](err)
	if !ok || op.Op != "remote error" || op.Err == nil {
		return alert{}, false
	}
	n, ok := alertByText[op.Err.Error()]
	if !ok {
		return alert{}, false
	}
	if i := slices.IndexFunc(alerts, func(a alert) bool { return a.number == n }); i >= 0 {
		return alerts[i], true
	}
	return alert{number: n, name: clean(op.Err.Error(), 60), code: PeerAlert, causes: []Code{}}, true
}

// aboutCertificates reports whether the peer sends a only after it has judged our certificate, or the lack of one.
func (a alert) aboutCertificates() bool {
	return 42 <= a.number && a.number <= 49 && a.number != 47 || a.number == 116
}
