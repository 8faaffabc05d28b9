package tlswire

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/binary"
	"hash"

	"golang.org/x/crypto/chacha20poly1305"
	"golang.org/x/crypto/cryptobyte"
)

// The two labels of a key log (RFC 9850) that the parser takes.
const (
	LabelClientHandshake = "CLIENT_HANDSHAKE_TRAFFIC_SECRET"
	LabelServerHandshake = "SERVER_HANDSHAKE_TRAFFIC_SECRET"
)

// Secret gives the parser a secret of this connection under its key-log label
// and reads what waited for it. Only LabelClientHandshake and
// LabelServerHandshake are taken; other labels, and secrets whose side has
// already finished, are ignored. The secret is copied, and the copy wiped once
// its keys are made.
func (p *Parser) Secret(label string, secret []byte) {
	from := Client
	switch label {
	case LabelClientHandshake:
	case LabelServerHandshake:
		from = Server
	default:
		return
	}
	if p.blind || p.side[from].stopped || p.state.Finished[from] {
		return
	}
	clear(p.secret[from])
	p.secret[from] = bytes.Clone(secret)
	p.drain()
}

// sealed reads a record encrypted under a handshake secret and reports false if
// it must wait for that secret.
func (p *Parser) sealed(r record) bool {
	d := &p.side[r.from]
	if d.keys == nil && !d.opaque {
		switch {
		case p.secret[r.from] != nil:
			p.makeKeys(r)
		case p.blind:
			d.opaque = true
		default:
			return false
		}
	}
	if d.opaque {
		p.sealedUnread(r)
		return true
	}
	plain, err := d.keys.open(p.plain[:0], r)
	if err != nil {
		if r.from == Client && d.keys.seq == 0 && p.state.Offer != nil && p.state.Offer.EarlyData {
			p.applicationData(r) // 0-RTT that goes on, under a key of its own
			return true
		}
		p.problem(r, WrongSecret, "a record does not open: the tag does not verify with the handshake secret of the %s", r.from)
		p.forgetKeys(r.from)
		d.opaque = true
		p.sealedUnread(r)
		return true
	}
	p.plain = plain
	p.opened(r, bytes.TrimRight(plain, "\x00"))
	return true
}

// opened reads TLSInnerPlaintext, RFC 8446 §5.2: the content, its type, padding
// already cut off.
func (p *Parser) opened(r record, inner []byte) {
	d := &p.side[r.from]
	if len(inner) == 0 {
		p.problem(r, Malformed, "an encrypted record of nothing but padding")
		d.stop()
		return
	}
	typ := inner[len(inner)-1]
	r.content = inner[:len(inner)-1]
	switch typ {
	case recordHandshake:
		p.handshake(r)
	case recordAlert:
		p.alert(r)
	default:
		p.problem(r, Unexpected, "a record of type %d under the handshake secret", typ)
		d.stop()
	}
}

// sealedUnread shows a record that will not be opened. Without its content
// nobody can tell where a side's handshake ends; once the other side has
// answered the client's first encrypted record, this is certainly data.
func (p *Parser) sealedUnread(r record) {
	client := &p.side[Client]
	if r.from == Server && (client.unread > 0 || p.state.Finished[Client]) {
		client.followed = true
	}
	if client.followed {
		p.applicationData(r)
	} else {
		p.unread(r)
	}
}

// finished notes the Finished of one side: in 1.3 what follows is under another
// key, which the parser never has.
func (p *Parser) finished(from Side) {
	if p.tls13 && p.side[from].protected {
		p.state.Finished[from] = true
		p.forgetKeys(from)
	}
}

func (p *Parser) forgetKeys(from Side) {
	clear(p.secret[from])
	p.secret[from] = nil
	p.side[from].keys.wipe()
	p.side[from].keys = nil
}

// makeKeys turns the secret of a side into its keys and wipes it.
func (p *Parser) makeKeys(r record) {
	d := &p.side[r.from]
	keys, ok := newOpener(p.suite, p.secret[r.from])
	clear(p.secret[r.from])
	p.secret[r.from] = nil
	if !ok {
		p.problem(r, WrongSecret, "the handshake secret of the %s has the wrong length for %s", r.from, p.state.Suite)
		d.opaque = true
		return
	}
	d.keys = keys
}

// opener opens the records of one direction under one traffic secret.
type opener struct {
	aead  cipher.AEAD
	iv    [12]byte
	seq   uint64   // of the next record
	nonce [12]byte // of the next record; here so that it is not allocated each time
}

// suite13 is a suite of TLS 1.3, RFC 8446 appendix B.4.
type suite13 struct {
	id     uint16
	hash   func() hash.Hash
	keyLen int
	aead   func(key []byte) (cipher.AEAD, error)
}

var suites13 = [...]suite13{
	{0x1301, sha256.New, 16, newGCM},
	{0x1302, sha512.New384, 32, newGCM},
	{0x1303, sha256.New, chacha20poly1305.KeySize, chacha20poly1305.New},
}

func newGCM(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

func suiteOf(id uint16) *suite13 {
	for i := range suites13 {
		if suites13[i].id == id {
			return &suites13[i]
		}
	}
	return nil
}

// openable reports whether records of the suite can be opened.
func openable(id uint16) bool { return suiteOf(id) != nil }

// newOpener makes the keys of RFC 8446 §7.3. It reports false when the secret
// does not belong to such a suite.
func newOpener(id uint16, secret []byte) (*opener, bool) {
	suite := suiteOf(id)
	if suite == nil || len(secret) != suite.hash().Size() {
		return nil, false
	}
	key, err := expandLabel(suite.hash, secret, "key", suite.keyLen)
	if err != nil {
		return nil, false
	}
	defer clear(key)
	iv, err := expandLabel(suite.hash, secret, "iv", 12)
	if err != nil {
		return nil, false
	}
	aead, err := suite.aead(key)
	if err != nil {
		return nil, false
	}
	return &opener{aead: aead, iv: [12]byte(iv)}, true
}

// expandLabel is HKDF-Expand-Label with an empty context, RFC 8446 §7.1.
func expandLabel(h func() hash.Hash, secret []byte, label string, n int) ([]byte, error) {
	b := cryptobyte.NewFixedBuilder(make([]byte, 0, 32))
	b.AddUint16(uint16(n))
	b.AddUint8LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes([]byte("tls13 " + label)) })
	b.AddUint8(0)
	return hkdf.Expand(h, secret, string(b.BytesOrPanic()), n)
}

// next makes the nonce of the next record, RFC 8446 §5.3.
func (o *opener) next() []byte {
	o.nonce = o.iv
	binary.BigEndian.PutUint64(o.nonce[4:], binary.BigEndian.Uint64(o.iv[4:])^o.seq)
	return o.nonce[:]
}

// open decrypts a record behind dst. Only a record that opens counts.
func (o *opener) open(dst []byte, r record) ([]byte, error) {
	plain, err := o.aead.Open(dst, o.next(), r.content, r.header[:])
	if err == nil {
		o.seq++
	}
	return plain, err
}

// wipe clears what can be cleared; the expanded key goes with the collector.
func (o *opener) wipe() {
	if o != nil {
		clear(o.iv[:])
		clear(o.nonce[:])
		o.aead = nil
	}
}
