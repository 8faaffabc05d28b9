package tlswire

import (
	"bytes"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"

	"golang.org/x/crypto/cryptobyte"
)

// certificate reads a chain, RFC 5246 §7.4.2 and RFC 8446 §4.4.2.
func (p *Parser) certificate(b cryptobyte.String, s *Step) bool {
	var context, chain cryptobyte.String
	if p.tls13 && !b.ReadUint8LengthPrefixed(&context) {
		return false
	}
	if !b.ReadUint24LengthPrefixed(&chain) || !b.Empty() {
		return false
	}
	ok := true
	for ok && !chain.Empty() {
		var der, extensions cryptobyte.String
		ok = chain.ReadUint24LengthPrefixed(&der) && !der.Empty()
		if p.tls13 {
			ok = ok && chain.ReadUint16LengthPrefixed(&extensions)
		}
		if ok {
			s.Certificates = append(s.Certificates, bytes.Clone(der))
		}
	}
	if s.From == Client {
		p.state.ClientCertificates = s.Certificates
		p.state.ClientCertificateSent = len(s.Certificates) > 0
	} else {
		p.state.ServerCertificates = s.Certificates
		p.state.Resumed = false
	}
	return ok
}

// certificateRequest reads whose certificates the server would accept, RFC 5246
// §7.4.4 and RFC 8446 §4.3.2.
func (p *Parser) certificateRequest(b cryptobyte.String, s *Step) bool {
	p.state.ClientCertificateRequested = true
	ok := false
	if p.tls13 {
		ok = requested13(b, s)
	} else {
		ok = requested12(b, s, p.state.Version)
	}
	p.state.AcceptableCAs, p.state.RequestedSchemes = s.AcceptableCAs, s.RequestedSchemes
	return ok
}

func requested13(b cryptobyte.String, s *Step) bool {
	var context, extensions cryptobyte.String
	if !b.ReadUint8LengthPrefixed(&context) || !b.ReadUint16LengthPrefixed(&extensions) || !b.Empty() {
		return false
	}
	return eachExtension(extensions, func(id uint16, body cryptobyte.String) bool {
		ok := true
		switch id {
		case extCertificateAuthority:
			s.AcceptableCAs, ok = authorities(body)
		case extSignatureAlgorithms:
			var items cryptobyte.String
			if ok = body.ReadUint16LengthPrefixed(&items); ok {
				s.RequestedSchemes, ok = list[SchemeID](items)
			}
		}
		return ok
	})
}

func requested12(b cryptobyte.String, s *Step, version string) bool {
	var types, schemes cryptobyte.String
	if !b.ReadUint8LengthPrefixed(&types) {
		return false
	}
	if version == "1.2" && !b.ReadUint16LengthPrefixed(&schemes) {
		return false
	}
	var ok, good bool
	s.RequestedSchemes, good = list[SchemeID](schemes)
	s.AcceptableCAs, ok = authorities(b)
	return ok && good
}

// authorities reads a list of DER names, which takes all of b.
func authorities(b cryptobyte.String) ([][]byte, bool) {
	var names cryptobyte.String
	if !b.ReadUint16LengthPrefixed(&names) || !b.Empty() {
		return nil, false
	}
	var out [][]byte
	for !names.Empty() {
		var name cryptobyte.String
		if !names.ReadUint16LengthPrefixed(&name) || name.Empty() {
			return out, false
		}
		out = append(out, bytes.Clone(name))
	}
	return out, true
}

// serverKeyExchange reads the group of an ECDHE suite, RFC 8422 §5.4. Of other
// suites only the name of the message is shown.
func (p *Parser) serverKeyExchange(b cryptobyte.String, s *Step) bool {
	if !ephemeral(p.state.Suite) {
		return true
	}
	var curveType uint8
	var group uint16
	const namedCurve = 3
	if !b.ReadUint8(&curveType) {
		return false
	}
	if curveType != namedCurve {
		return true
	}
	if !b.ReadUint16(&group) {
		return false
	}
	s.Group = GroupID(group).String()
	p.state.Group = s.Group
	return true
}

// NameString writes a DER name, as in AcceptableCAs, as RFC 4514 has it. Of what
// is none it says how long it is.
func NameString(der []byte) string {
	var seq pkix.RDNSequence
	if rest, err := asn1.Unmarshal(der, &seq); err != nil || len(rest) > 0 {
		return fmt.Sprintf("a name that cannot be read (%d bytes)", len(der))
	}
	return seq.String()
}
