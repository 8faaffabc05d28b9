package trust

import (
	"cmp"
	"crypto/tls"
	"errors"
	"net"
	"slices"

	"github.com/sallyport-sip/sallyport/internal/tlswire"
)

// alert is one fatal alert of RFC 8446 §6.2 or RFC 5246 §7.2.2 as a peer sends it to us.
type alert struct {
	number uint8
	name   string
	means  string // what it says for certain; empty when it says nothing more than its name
	code   Code   // PeerAlert when the alert alone does not tell
	causes []Code // which causes on our side can be behind it; nil: any
	often  string // habits of programs that send it, as a hint; empty: none is known
}

var (
	none = []Code{}
	// ofOffer are the causes for which a server ends the handshake before it chooses.
	ofOffer = []Code{NoCommonVersion, NoCommonSuite, NoCommonGroup, NoCommonSignature}
)

var alerts = []alert{
	{10, "unexpected_message", "", ProtocolError, none, ""},
	{20, "bad_record_mac", "", ProtocolError, none, ""},
	{22, "record_overflow", "", ProtocolError, none, "often a port that does not speak TLS"},
	{40, "handshake_failure", "", PeerAlert, nil, "often a TLS 1.2 server that got no client certificate, or sides that can agree on nothing"},
	{42, "bad_certificate", "it does not accept our certificate", PeerAlert, nil, "programs in Go often send it, whatever they found"},
	{43, "unsupported_certificate", "it cannot use a certificate like ours", PeerAlert, []Code{WrongUsage, NoCommonSignature}, "OpenSSL often sends it for a wrong extended key usage"},
	{44, "certificate_revoked", "it holds our certificate to be revoked", Revoked, []Code{Revoked}, ""},
	{45, "certificate_expired", "it holds our certificate to be expired", Expired, []Code{Expired, NotYetValid, ClockWrong}, ""},
	{46, "certificate_unknown", "it does not accept our certificate", PeerAlert, nil, "Java and Cisco often send it for any certificate that they do not take"},
	{47, "illegal_parameter", "", ProtocolError, ofOffer, ""},
	{48, "unknown_ca", "it does not know the CA of our certificate", UnknownCA, []Code{UnknownCA, SelfSignedCert, MissingIntermediate, Expired}, "OpenSSL often sends it when it was given no CA file at all"},
	{49, "access_denied", "it knows us, and does not let us in", PeerAlert, none, ""},
	{50, "decode_error", "", ProtocolError, none, ""},
	{51, "decrypt_error", "a signature of ours does not fit", KeyMismatch, none, ""},
	{70, "protocol_version", "no TLS version in common", NoCommonVersion, []Code{NoCommonVersion}, ""},
	{71, "insufficient_security", "our cipher suites are too weak for it", NoCommonSuite, []Code{NoCommonSuite, NoCommonGroup}, ""},
	{80, "internal_error", "it has a trouble of its own", PeerAlert, none, "often a server without a certificate for the name that was asked for"},
	{86, "inappropriate_fallback", "it takes a newer TLS version than the one offered", NoCommonVersion, none, ""},
	{90, "user_canceled", "", PeerAlert, none, ""},
	{109, "missing_extension", "", ProtocolError, none, ""},
	{110, "unsupported_extension", "", ProtocolError, none, ""},
	{112, "unrecognized_name", "it has no certificate for the name that we asked for", UnrecognizedName, []Code{UnrecognizedName}, ""},
	{113, "bad_certificate_status_response", "it does not take the OCSP answer that was stapled", RevocationUnknown, none, ""},
	{116, "certificate_required", "it wants a certificate of ours", NoClientCertificate, []Code{NoClientCertificate}, ""},
	{120, "no_application_protocol", "it wants another application protocol (ALPN)", ALPNMismatch, []Code{ALPNMismatch}, ""},
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
	return alert{number: n, name: cmp.Or(tlswire.AlertName(n), "(unknown)"), code: PeerAlert, causes: none}, true
}

// aboutCertificates reports whether the peer sends a only after it has judged our certificate, or the lack of one.
func (a alert) aboutCertificates() bool {
	return 42 <= a.number && a.number <= 49 && a.number != 47 || a.number == 113 || a.number == 116
}
