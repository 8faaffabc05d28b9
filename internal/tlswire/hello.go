package tlswire

import (
	"bytes"

	"golang.org/x/crypto/cryptobyte"
)

// Extensions that the parser looks into, RFC 8446 §4.2 and the IANA registry.
const (
	extServerName           = 0
	extSupportedGroups      = 10
	extSignatureAlgorithms  = 13
	extALPN                 = 16
	extSessionTicket        = 35
	extPreSharedKey         = 41
	extEarlyData            = 42
	extSupportedVersions    = 43
	extCertificateAuthority = 47
	extKeyShare             = 51
	extEncryptedClientHello = 0xFE0D
)

// Bounds of lists that a hello may bring; what is longer is cut.
const (
	maxOffered  = 128
	maxProtocol = 16
	maxName     = 255
)

// helloRetry is the random value that makes a ServerHello a HelloRetryRequest,
// SHA-256 of "HelloRetryRequest" (RFC 8446 §4.1.3).
var helloRetry = [32]byte{
	0xCF, 0x21, 0xAD, 0x74, 0xE5, 0x9A, 0x61, 0x11, 0xBE, 0x1D, 0x8C, 0x02, 0x1E, 0x65, 0xB8, 0x91,
	0xC2, 0xA2, 0x11, 0x16, 0x7A, 0xBB, 0x8C, 0x5E, 0x07, 0x9E, 0x09, 0xE2, 0xC8, 0xA8, 0x33, 0x9C,
}

// clientHello reads a ClientHello, RFC 8446 §4.1.2 and RFC 5246 §7.4.1.2.
func (p *Parser) clientHello(b cryptobyte.String, s *Step) bool {
	var legacy uint16
	var random []byte
	var session, suites, compression, extensions cryptobyte.String
	s.Offer = &Offer{}
	if p.state.Offer == nil {
		p.state.Offer = s.Offer
	}
	if !b.ReadUint16(&legacy) || !b.ReadBytes(&random, 32) {
		return false
	}
	if !p.hasRandom {
		p.random, p.hasRandom = [32]byte(random), true
	}
	s.Offer.Versions = []VersionID{VersionID(legacy)}
	if !b.ReadUint8LengthPrefixed(&session) || !b.ReadUint16LengthPrefixed(&suites) || !b.ReadUint8LengthPrefixed(&compression) {
		return false
	}
	if len(session) <= 32 {
		p.session = bytes.Clone(session)
	}
	var ok bool
	if s.Offer.Suites, ok = list[SuiteID](suites); !ok {
		return false
	}
	if b.Empty() {
		return true // extensions are optional before 1.3
	}
	if !b.ReadUint16LengthPrefixed(&extensions) || !b.Empty() {
		return false
	}
	ok = eachExtension(extensions, func(id uint16, body cryptobyte.String) bool {
		return s.Offer.extension(id, body, s)
	})
	if p.state.SNI == "" {
		p.state.SNI = s.SNI
	}
	return ok
}

// extension reads one extension of a ClientHello.
func (o *Offer) extension(id uint16, b cryptobyte.String, s *Step) bool {
	var items cryptobyte.String
	ok := true
	switch id {
	case extServerName:
		s.SNI, ok = serverName(b)
	case extSupportedGroups:
		if ok = b.ReadUint16LengthPrefixed(&items); ok {
			o.Groups, ok = list[GroupID](items)
		}
	case extSignatureAlgorithms:
		if ok = b.ReadUint16LengthPrefixed(&items); ok {
			o.Schemes, ok = list[SchemeID](items)
		}
	case extSupportedVersions:
		if ok = b.ReadUint8LengthPrefixed(&items); ok {
			o.Versions, ok = list[VersionID](items)
		}
	case extALPN:
		o.ALPN, ok = protocols(b)
	case extKeyShare:
		o.KeyShares, ok = keyShares(b)
	case extSessionTicket:
		o.Resumption = o.Resumption || !b.Empty()
	case extPreSharedKey:
		o.Resumption = true
	case extEarlyData:
		o.EarlyData = true
	case extEncryptedClientHello:
		// A random extension of the same number is sent to keep the real one
		// unremarkable (RFC 9849 §6.2): this says "maybe".
		o.ECH = true
	}
	return ok
}

// serverName reads the host name of RFC 6066 §3.
func serverName(b cryptobyte.String) (string, bool) {
	var names cryptobyte.String
	if !b.ReadUint16LengthPrefixed(&names) {
		return "", false
	}
	for !names.Empty() {
		var typ uint8
		var name cryptobyte.String
		if !names.ReadUint8(&typ) || !names.ReadUint16LengthPrefixed(&name) || len(name) > maxName {
			return "", false
		}
		if typ == 0 {
			return string(name), true
		}
	}
	return "", false
}

// protocols reads the list of RFC 7301 §3.1.
func protocols(b cryptobyte.String) ([]string, bool) {
	var items cryptobyte.String
	if !b.ReadUint16LengthPrefixed(&items) {
		return nil, false
	}
	var names []string
	for !items.Empty() && len(names) < maxProtocol {
		var name cryptobyte.String
		if !items.ReadUint8LengthPrefixed(&name) || name.Empty() {
			return names, false
		}
		if len(name) == 2 && reserved(uint16(name[0])<<8|uint16(name[1])) {
			continue
		}
		names = append(names, string(name))
	}
	return names, true
}

// keyShares reads the groups of the client's shares, RFC 8446 §4.2.8.
func keyShares(b cryptobyte.String) ([]GroupID, bool) {
	var shares cryptobyte.String
	if !b.ReadUint16LengthPrefixed(&shares) {
		return nil, false
	}
	var groups []GroupID
	for !shares.Empty() && len(groups) < maxOffered {
		var group uint16
		var key cryptobyte.String
		if !shares.ReadUint16(&group) || !shares.ReadUint16LengthPrefixed(&key) {
			return groups, false
		}
		if !reserved(group) {
			groups = append(groups, GroupID(group))
		}
	}
	return groups, true
}

// serverHello reads a ServerHello, RFC 8446 §4.1.3 and RFC 5246 §7.4.1.3, which
// may turn out to be a HelloRetryRequest.
func (p *Parser) serverHello(b cryptobyte.String, s *Step) bool {
	var version, suite uint16
	var random []byte
	var session, extensions cryptobyte.String
	var compression uint8
	if !b.ReadUint16(&version) || !b.ReadBytes(&random, 32) || !b.ReadUint8LengthPrefixed(&session) ||
		!b.ReadUint16(&suite) || !b.ReadUint8(&compression) {
		return false
	}
	retry := [32]byte(random) == helloRetry
	ok := b.Empty() || b.ReadUint16LengthPrefixed(&extensions) && b.Empty()
	psk := false
	ok = eachExtension(extensions, func(id uint16, body cryptobyte.String) bool {
		switch id {
		case extSupportedVersions:
			return body.ReadUint16(&version)
		case extKeyShare:
			var group uint16
			ok := body.ReadUint16(&group)
			if ok {
				s.Group = GroupID(group).String()
			}
			return ok
		case extPreSharedKey:
			psk = true
		case extALPN:
			names, ok := protocols(body)
			if len(names) == 1 {
				s.ALPN = names[0]
			}
			return ok
		}
		return true
	}) && ok

	s.Version, s.Suite = VersionID(version).String(), SuiteID(suite).String()
	p.tls13 = version == 0x0304
	s.Resumed = psk
	if !p.tls13 {
		s.Resumed = len(session) > 0 && bytes.Equal(session, p.session)
	}
	p.state.Version, p.state.Suite, p.state.Resumed = s.Version, s.Suite, s.Resumed
	p.state.Group, p.state.ALPN = s.Group, s.ALPN
	if retry {
		s.Name = "HelloRetryRequest"
		p.state.HelloRetry = true
		return ok
	}
	p.answered = true
	p.suite = suite
	return ok
}

// agreed follows a ServerHello: in 1.3 all that comes now is encrypted.
func (p *Parser) agreed(r record) {
	if !p.tls13 || !p.answered || p.side[Server].protected {
		return
	}
	opaque := !openable(p.suite)
	for i := range p.side {
		d := &p.side[i]
		d.protected = true
		d.opaque = opaque
		d.messages = messages{}
	}
	if opaque {
		p.problem(r, NoCipher, "suite not supported for decryption: %s", p.state.Suite)
	}
}

// encryptedExtensions reads the one answer in it that a ladder shows.
func (p *Parser) encryptedExtensions(b cryptobyte.String, s *Step) bool {
	var extensions cryptobyte.String
	if !b.ReadUint16LengthPrefixed(&extensions) || !b.Empty() {
		return false
	}
	ok := eachExtension(extensions, func(id uint16, body cryptobyte.String) bool {
		if id != extALPN {
			return true
		}
		names, ok := protocols(body)
		if len(names) == 1 {
			s.ALPN = names[0]
		}
		return ok
	})
	p.state.ALPN = s.ALPN
	return ok
}

// eachExtension calls f for every extension and reports whether all were good.
func eachExtension(b cryptobyte.String, f func(id uint16, body cryptobyte.String) bool) bool {
	good := true
	for !b.Empty() {
		var id uint16
		var body cryptobyte.String
		if !b.ReadUint16(&id) || !b.ReadUint16LengthPrefixed(&body) {
			return false
		}
		good = f(id, body) && good
	}
	return good
}

// list reads 16-bit numbers to the end of b, reserved ones left out.
func list[T ~uint16](b cryptobyte.String) ([]T, bool) {
	if len(b) == 0 {
		return nil, true
	}
	out := make([]T, 0, min(len(b)/2, maxOffered))
	for !b.Empty() {
		var v uint16
		if !b.ReadUint16(&v) {
			return out, false
		}
		if !reserved(v) && len(out) < maxOffered {
			out = append(out, T(v))
		}
	}
	return out, true
}
