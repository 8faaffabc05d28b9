package trust

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// KnownBy says how we know a verdict.
type KnownBy string

// How a verdict is known, surest first.
const (
	OwnDecision KnownBy = "own decision"
	ByAlert     KnownBy = "alert"
	Inferred    KnownBy = "inferred"
	Unknown     KnownBy = "unknown"
)

// Verdict is what one side of a handshake decided about the other.
type Verdict struct {
	By       string  `json:"by"` // "gateway" or "peer"
	Accepted bool    `json:"accepted"`
	KnownBy  KnownBy `json:"known_by"`
	Code     Code    `json:"code,omitempty"` // empty when accepted
	Reason   string  `json:"reason"`
	Remedy   string  `json:"remedy,omitempty"`
}

const (
	byGateway = "gateway"
	byPeer    = "peer"
)

// Explain returns the verdicts of both sides on one handshake, the gateway's first. The err is that of the handshake,
// or that of a first read which ended the connection before the peer had said anything, because in TLS 1.3 a client
// learns only there that it was refused; nil means that all went well. The role is ours. Several verdicts of the peer
// after the first are the causes found on our side, as inferred.
func Explain(err error, we Role, f Facts) []Verdict {
	if err == nil {
		return []Verdict{weAccept(f), peerAccepts(we, f)}
	}
	if r, ok := errors.AsType[*Refusal](err); ok {
		return append([]Verdict{ourRefusal(r), peerBefore(we)}, f.ourClock(r.Code)...)
	}
	if a, ok := remoteAlert(err); ok {
		return append([]Verdict{gatewayBefore(we, f, a)}, peerRefusal(a, we, f)...)
	}
	if code, detail := ownDecision(err, we); code != "" {
		if code == UnrecognizedName && f.ServerName != "" {
			detail = ": " + printable(f.ServerName)
		}
		code, detail = f.Wire.exactly(code, detail, we, f)
		return []Verdict{ourRefusal(Refuse(code, detail)), notJudged(byPeer)}
	}
	code := connectionEnd(err)
	v := Verdict{By: byPeer, KnownBy: Unknown, Code: code}
	detail := clean(err.Error(), 300)
	if code == ClosedWithoutAlert || code == Reset {
		detail = f.Wire.place(we)
	}
	v.Reason, v.Remedy = words{detail: detail}.say(code)
	verdicts := []Verdict{gatewayBefore(we, f, alert{}), v}
	if code == ClosedWithoutAlert || code == Reset {
		verdicts = append(verdicts, causes(alert{}, we, f)...)
	}
	return verdicts
}

// ExplainDial returns the verdict on a connection of ours that did not come up, so that no handshake began.
func ExplainDial(err error) Verdict {
	v := Verdict{By: byPeer, KnownBy: Unknown, Code: connectionEnd(err)}
	switch {
	case timeout(err):
		v.Code = NoAnswer
	case noWay(err):
		v.Code = Unreachable
	}
	v.Reason, v.Remedy = words{detail: clean(err.Error(), 300)}.say(v.Code)
	return v
}

func noWay(err error) bool {
	return errors.Is(err, syscall.EHOSTUNREACH) || errors.Is(err, syscall.ENETUNREACH) || errors.Is(err, syscall.EADDRNOTAVAIL)
}

// weAccept is our verdict on a peer that we accepted.
func weAccept(f Facts) Verdict {
	v := Verdict{By: byGateway, Accepted: true, KnownBy: OwnDecision, Reason: "the peer passed every check"}
	if len(f.Notes) > 0 {
		v.Reason += ", though " + strings.Join(f.Notes, ", and ")
	}
	return v
}

func ourRefusal(r *Refusal) Verdict {
	return Verdict{By: byGateway, KnownBy: OwnDecision, Code: r.Code, Reason: r.Reason, Remedy: r.Remedy}
}

func notJudged(by string) Verdict {
	v := Verdict{By: by, KnownBy: Unknown, Code: NotJudged}
	v.Reason, _ = words{}.say(NotJudged)
	return v
}

// peerAccepts is the peer's verdict after a handshake that succeeded on our side. A TLS 1.3 client has finished before
// the server judges its certificate, so only what the server sends next tells (RFC 8446 §2).
func peerAccepts(we Role, f Facts) Verdict {
	v := Verdict{By: byPeer, Accepted: true, KnownBy: Inferred}
	switch {
	case f.PeerSpoke:
		v.Reason = "it sent data after the handshake"
	case we == Server:
		v.Reason = "it finished the handshake after it had our certificate"
	case f.State != nil && f.State.Version <= tls.VersionTLS12:
		v.Reason = "it finished the handshake after it had our answer"
	default:
		v.Accepted, v.KnownBy, v.Code = false, Unknown, NotJudged
		v.Reason = "in TLS 1.3 the server judges last, and it has sent nothing since"
	}
	return v
}

// peerBefore is the peer's verdict when we refuse it. A client shows its certificate only after it has accepted ours; a
// server judges us last.
func peerBefore(we Role) Verdict {
	if we == Server {
		return Verdict{By: byPeer, Accepted: true, KnownBy: Inferred, Reason: "it answered after it had our certificate"}
	}
	return notJudged(byPeer)
}

// gatewayBefore is our verdict when the peer ends the handshake. As client we have accepted the peer before we are asked
// for a certificate; as server we judge last.
func gatewayBefore(we Role, f Facts, a alert) Verdict {
	if f.State != nil || we == Client && (f.Asked || a.aboutCertificates()) {
		return Verdict{By: byGateway, Accepted: true, KnownBy: OwnDecision, Reason: "the peer passed every check"}
	}
	return notJudged(byGateway)
}

// ownTexts are the errors of crypto/tls that are decisions of our side, by a part of their text.
var ownTexts = []struct {
	text string
	code Code
}{
	{"client didn't provide a certificate", NoClientCertificate},
	{"no certificates configured", UnrecognizedName}, // see shown.certificate
	{"offered only unsupported versions", NoCommonVersion},
	{"selected unsupported protocol version", NoCommonVersion},
	{"no supported versions satisfy", NoCommonVersion},
	{"no cipher suite supported by both", NoCommonSuite},
	{"no key exchanges supported by both", NoCommonGroup},
	{"no supported elliptic curves offered", NoCommonGroup},
	{"chose an unconfigured cipher suite", NoCommonSuite},
	{"selected unsupported group", NoCommonGroup},
	{"selected unsupported curve", NoCommonGroup},
	{"selected unoffered curve", NoCommonGroup},
	{"signature algorithm", NoCommonSignature},
	{"application protocol", ALPNMismatch},
	{"ALPN protocol", ALPNMismatch},
	{"invalid signature by the", KeyMismatch},
	{"failed to parse certificate", BadCertificate},
	{"failed to parse client certificate", BadCertificate},
	{"containing RSA key larger", BadCertificate},
	{"unsupported type of public key", BadCertificate},
	{"unsupported public key", BadCertificate},
}

// ownDecision returns the code for an error by which our side ended the handshake, other than a Refusal.
func ownDecision(err error, we Role) (Code, string) {
	if h, ok := errors.AsType[tls.RecordHeaderError](err); ok {
		return notTLS(h, we)
	}
	if timeout(err) {
		return Stalled, ""
	}
	text := err.Error()
	if !strings.Contains(text, "tls: ") {
		return "", ""
	}
	for _, t := range ownTexts {
		if strings.Contains(text, t.text) {
			return t.code, detail(t.code, text)
		}
	}
	return ProtocolError, clean(strings.TrimPrefix(text, "tls: "), 300)
}

func notTLS(h tls.RecordHeaderError, we Role) (Code, string) {
	head := string(h.RecordHeader[:])
	printableHead := strings.IndexFunc(strings.TrimRight(head, "\x00\r\n"), func(r rune) bool { return r < ' ' || r > '~' }) < 0
	if !printableHead {
		return ProtocolError, clean(h.Msg, 200)
	}
	if strings.Trim(head, "\x00\r\n") == "" {
		if strings.HasPrefix(head, "\r\n") {
			return PlainTextOnTLS, ": it is a keep-alive"
		}
		return ProtocolError, clean(h.Msg, 200)
	}
	quoted := fmt.Sprintf(": it begins with %q", strings.TrimRight(head, "\x00\r\n"))
	switch {
	case strings.HasPrefix(head, "GET ") || strings.HasPrefix(head, "POST ") || strings.HasPrefix(head, "HTTP/"):
		quoted += ", as in HTTP"
	case strings.HasPrefix(head, "SIP/2") || slices.ContainsFunc(sipMethods, func(m string) bool { return strings.HasPrefix(m+" ", head) }):
		quoted += ", as in SIP"
	}
	if we == Client {
		return TLSOnPlain, quoted
	}
	return PlainTextOnTLS, quoted
}

// sipMethods are how the requests begin that a peer may send first. A record header has room for five letters of them.
var sipMethods = []string{"INVITE", "REGISTER", "OPTIONS", "MESSAGE", "SUBSCRIBE", "NOTIFY", "PUBLISH", "REFER", "INFO", "UPDATE", "PRACK",
	"BYE s", "ACK s", "CANCEL"}

// detail makes names of the numbers with which crypto/tls says what the other side offered, for example "tls: client
// offered only unsupported versions: [302 301]".
func detail(code Code, text string) string {
	text = clean(strings.TrimPrefix(text, "tls: "), 300)
	name := tls.CipherSuiteName
	switch code {
	case BadCertificate:
		return text
	case NoCommonVersion:
		name = tls.VersionName
	case NoCommonSuite:
	case ALPNMismatch:
		if _, offered, ok := strings.Cut(text, "("); ok {
			return ": the peer offers " + strings.TrimSuffix(offered, ")")
		}
		return ": the peer picks one that we did not offer"
	default:
		return ""
	}
	var names []string
	for h := range strings.FieldsSeq(strings.Trim(text[strings.LastIndexAny(text, ":[")+1:], "[]")) {
		if n, err := strconv.ParseUint(h, 16, 16); err == nil {
			names = append(names, name(uint16(n)))
		}
	}
	if len(names) == 0 {
		return ": " + text
	}
	return ": the peer offers " + list(names)
}

func timeout(err error) bool {
	if errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, context.DeadlineExceeded) {
		return true
	}
	t, ok := errors.AsType[net.Error](err)
	return ok && t.Timeout()
}

// connectionEnd returns the code for an error of the connection below TLS.
func connectionEnd(err error) Code {
	switch text := err.Error(); {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return ClosedWithoutAlert
	case errors.Is(err, syscall.ECONNREFUSED), strings.Contains(text, "actively refused"):
		return ConnectionRefused
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE), strings.Contains(text, "forcibly closed"):
		return Reset
	}
	return Unexplained
}
