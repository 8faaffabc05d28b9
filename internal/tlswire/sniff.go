package tlswire

import (
	"bytes"
	"fmt"
	"time"
)

// Bytes that are not TLS are told apart by their beginning: SIP sent to a TLS
// port is the mistake met most often. Each answer depends only on the bytes
// themselves, never on how they were cut.

// maxForeign is how many first bytes are looked at, and showForeign how many are
// shown when they have no name.
const (
	maxForeign  = 24
	showForeign = 8
)

// foreign reports whether a direction that begins with raw and then next cannot
// be TLS, judged by the first byte alone.
func foreign(raw []byte, next byte) bool {
	if len(raw) > 0 {
		next = raw[0]
	}
	return next < recordChangeCipherSpec || next > recordHeartbeat
}

// feedForeign takes first bytes that are not TLS until they have a name.
func (p *Parser) feedForeign(from Side, at time.Time, b []byte) {
	d := &p.side[from]
	for _, c := range b {
		d.raw = append(d.raw, c)
		kind, text := classify(d.raw, len(d.raw) == maxForeign)
		if kind == NotTLS && len(d.raw) < showForeign {
			kind = "" // some more bytes make a better text
		}
		if kind != "" {
			p.problem(record{at: at, from: from}, kind, "%s", text)
			d.stop()
			return
		}
		d.foreignAt = at
	}
}

// flushForeign names first bytes that are too few to be sure.
func (p *Parser) flushForeign() {
	for from := range p.side {
		d := &p.side[from]
		if d.started || d.stopped || len(d.raw) == 0 || !foreign(d.raw, 0) {
			continue
		}
		kind, text := classify(d.raw, true)
		p.problem(record{at: d.foreignAt, from: Side(from)}, kind, "%s", text)
		d.stop()
	}
}

var proxyV2 = []byte("\r\n\r\n\x00\r\nQUIT\n")

// classify names the protocol that begins with b, or returns "" when that needs
// more bytes. With last set it always decides.
func classify(b []byte, last bool) (ProblemKind, string) {
	if b[0]&0x80 != 0 {
		return classifySSLv2(b, last)
	}
	if bytes.HasPrefix(b, proxyV2) {
		return ProxyHeader, "a PROXY header (version 2) before TLS"
	}
	if bytes.HasPrefix(proxyV2, b) && !last {
		return "", ""
	}
	// RFC 5626 §3.5.1: keep-alives of SIP may come before the first message.
	line := bytes.TrimLeft(b, "\r\n")
	if len(line) == 0 {
		if last {
			return PlainSIP, "plain SIP (keep-alive) on a TLS connection"
		}
		return "", ""
	}
	kind, text := classifyText(line)
	if kind == "" && last {
		return NotTLS, "bytes that do not begin a TLS connection: " + quoted(b)
	}
	return kind, text
}

// classifyText names a protocol of text lines by its first word.
func classifyText(b []byte) (ProblemKind, string) {
	for i, c := range b {
		if c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '.' || c == '-' {
			continue
		}
		word, rest := string(b[:i]), b[i:]
		switch {
		case word == "SIP" && c == '/':
			return PlainSIP, "plain SIP (a response) on a TLS connection"
		case word == "HTTP" && c == '/':
			return PlainHTTP, "plain HTTP (a response) on a TLS connection"
		case c != ' ' || i == 0:
			return NotTLS, "bytes that do not begin a TLS connection: " + quoted(b)
		case word == "PROXY":
			return ProxyHeader, "a PROXY header (version 1) before TLS"
		case len(rest) < 2:
			return "", ""
		}
		return classifyRequest(word, rest[1])
	}
	if bytes.HasPrefix(b, []byte("SSH-")) {
		return NotTLS, "SSH on a TLS connection"
	}
	return "", ""
}

// classifyRequest tells SIP from HTTP by the method, or by how the target
// begins where both have the method.
func classifyRequest(method string, target byte) (ProblemKind, string) {
	switch method {
	case "GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "TRACE", "CONNECT", "PRI":
		return PlainHTTP, "plain HTTP (" + method + ") on a TLS connection"
	}
	switch target {
	case '/', '*', 'h', 'H': // a path, an asterisk, http:
		return PlainHTTP, "plain HTTP (" + method + ") on a TLS connection"
	}
	return PlainSIP, "plain SIP (" + method + ") on a TLS connection"
}

// classifySSLv2 recognises the CLIENT-HELLO of SSL 2.0: a length with the
// highest bit set, type 1, and a version (RFC 6101 appendix E).
func classifySSLv2(b []byte, last bool) (ProblemKind, string) {
	switch {
	case len(b) >= 3 && b[2] != 1, len(b) >= 4 && b[3] != 0 && b[3] != 3:
		return NotTLS, "bytes that do not begin a TLS connection: " + quoted(b)
	case len(b) >= 5:
		return SSLv2, "an SSL 2.0 hello, which no server may accept"
	case last:
		return NotTLS, "bytes that do not begin a TLS connection: " + quoted(b)
	}
	return "", ""
}

// quoted shows a few bytes, unprintable ones escaped.
func quoted(b []byte) string { return fmt.Sprintf("%q", b[:min(len(b), showForeign)]) }
