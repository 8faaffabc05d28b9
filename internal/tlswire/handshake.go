package tlswire

import "golang.org/x/crypto/cryptobyte"

// messages cuts the content of handshake records into messages. Messages may
// be spread over records, and records hold several (RFC 8446 §5.1).
type messages struct {
	buf  []byte // the beginning of a message
	skip int    // bytes of an overlong message still to come
}

// pending reports whether a message has begun and not ended.
func (m *messages) pending() bool { return len(m.buf) > 0 || m.skip > 0 }

const messageHeader = 4 // type and 24-bit length

func messageLen(b []byte) int {
	return messageHeader + int(b[1])<<16 + int(b[2])<<8 + int(b[3])
}

// handshake takes the content of a handshake record that is in clear, or was
// opened.
func (p *Parser) handshake(r record) {
	d := &p.side[r.from]
	m := &d.messages
	b := r.content
	if len(m.buf) > 0 {
		m.buf = append(m.buf, b...)
		b = m.buf
	}
	for len(b) > 0 && !d.stopped {
		if m.skip > 0 {
			n := min(m.skip, len(b))
			m.skip -= n
			b = b[n:]
			continue
		}
		if len(b) < messageHeader {
			break
		}
		n := messageLen(b)
		if n > messageHeader+maxMessage {
			p.overlong(r, b[0], n)
			m.skip = n
			continue
		}
		if len(b) < n {
			break
		}
		protected := d.protected
		p.message(r, b[0], b[messageHeader:n])
		b = b[n:]
		if d.protected != protected || p.tls13 && p.state.Finished[r.from] {
			p.keyChange(r, b)
			return
		}
	}
	if d.stopped {
		return
	}
	m.buf = append(m.buf[:0], b...)
}

// keyChange ends a record after whose last message a new key begins: nothing may
// follow in it. "Handshake messages MUST NOT span key changes." RFC 8446 §5.1.
func (p *Parser) keyChange(r record, rest []byte) {
	d := &p.side[r.from]
	d.messages = messages{}
	if len(rest) > 0 && !d.stopped {
		p.problem(r, Unexpected, "%d bytes follow in the same record where a new key begins", len(rest))
	}
}

// overlong shows a message that is too long to be kept.
func (p *Parser) overlong(r record, typ byte, n int) {
	name := messageName(typ)
	p.step(Step{At: r.at, From: r.from, Name: name, Number: p.number(name, r.from), Length: n - messageHeader})
	p.problem(r, TooLong, "%s has %d bytes, above the limit of %d: not read", name, n-messageHeader, maxMessage)
}

// message reads one handshake message and shows it.
func (p *Parser) message(r record, typ byte, body []byte) {
	s := Step{At: r.at, From: r.from, Name: messageName(typ), Length: len(body)}
	if typ == typeClientHello && r.from != Client || typ == typeServerHello && r.from != Server {
		p.step(s)
		p.problem(r, Unexpected, "%s sent by the %s", s.Name, r.from)
		return
	}
	ok := true
	switch b := cryptobyte.String(body); typ {
	case typeClientHello:
		ok = p.clientHello(b, &s)
	case typeServerHello:
		ok = p.serverHello(b, &s)
	case typeEncryptedExtensions:
		ok = p.encryptedExtensions(b, &s)
	case typeCertificate:
		ok = p.certificate(b, &s)
	case typeServerKeyExchange:
		ok = p.serverKeyExchange(b, &s)
	case typeCertificateRequest:
		ok = p.certificateRequest(b, &s)
	case typeServerHelloDone:
		p.helloDone = true
		p.state.Resumed = false
	case typeFinished:
		p.finished(r.from)
	}
	s.Number = p.number(s.Name, r.from)
	if typ == typeClientHello && s.Offer != nil && s.Offer.only13() {
		s.Number = 0
	}
	p.step(s)
	if !ok {
		p.problem(r, Malformed, "%s breaks its own syntax; what could be read is shown", s.Name)
	}
	if typ == typeServerHello {
		p.agreed(r)
	}
}

// number is the classical number of a message, which 1.3 does not have.
func (p *Parser) number(name string, from Side) int {
	if p.tls13 {
		return 0
	}
	return number(name, from)
}

// only13 reports whether nothing but 1.3 is offered.
func (o *Offer) only13() bool {
	for _, v := range o.Versions {
		if v < 0x0304 {
			return false
		}
	}
	return len(o.Versions) > 0
}
