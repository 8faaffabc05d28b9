package tlswire

// alerts is indexed by code: RFC 8446 §6, RFC 5246 §7.2, RFC 6066 §9,
// RFC 7301 §3.2, RFC 7507 §2, RFC 9147 §9, RFC 9849 §11.2.
var alerts = [...]string{
	0:   "close_notify",
	10:  "unexpected_message",
	20:  "bad_record_mac",
	21:  "decryption_failed",
	22:  "record_overflow",
	30:  "decompression_failure",
	40:  "handshake_failure",
	41:  "no_certificate",
	42:  "bad_certificate",
	43:  "unsupported_certificate",
	44:  "certificate_revoked",
	45:  "certificate_expired",
	46:  "certificate_unknown",
	47:  "illegal_parameter",
	48:  "unknown_ca",
	49:  "access_denied",
	50:  "decode_error",
	51:  "decrypt_error",
	52:  "too_many_cids_requested",
	60:  "export_restriction",
	70:  "protocol_version",
	71:  "insufficient_security",
	80:  "internal_error",
	86:  "inappropriate_fallback",
	90:  "user_canceled",
	100: "no_renegotiation",
	109: "missing_extension",
	110: "unsupported_extension",
	111: "certificate_unobtainable",
	112: "unrecognized_name",
	113: "bad_certificate_status_response",
	114: "bad_certificate_hash_value",
	115: "unknown_psk_identity",
	116: "certificate_required",
	117: "general_error",
	120: "no_application_protocol",
	121: "ech_required",
}

const (
	alertCloseNotify  = 0
	alertUserCanceled = 90
)

// AlertName returns the name that the RFCs give an alert code, without the
// suffix _RESERVED of retired ones, or "" when the code has no name.
func AlertName(code uint8) string {
	if int(code) < len(alerts) {
		return alerts[code]
	}
	return ""
}

// alert reads the content of an alert record that is in clear, or was opened.
// Before 1.3 a record may hold several (RFC 5246 §6.2.1).
func (p *Parser) alert(r record) {
	if len(r.content) == 0 || len(r.content)%2 != 0 {
		p.problem(r, Malformed, "an alert record of %d bytes, where 2 belong", len(r.content))
		p.side[r.from].stopped = true
		return
	}
	for b := r.content; len(b) > 0; b = b[2:] {
		level, code := b[0], b[1]
		s := Step{At: r.at, From: r.from, Name: NameAlert, Length: 2, AlertLevel: level, AlertCode: code, AlertName: AlertName(code)}
		if code == alertCloseNotify && !p.tls13 && !p.closed {
			p.closed = true
			s.Number = 15
		}
		if p.state.Alert == nil && code != alertCloseNotify && code != alertUserCanceled {
			p.state.Alert = &Alert{From: r.from, Level: level, Code: code, Name: s.AlertName}
		}
		p.step(s)
	}
}
