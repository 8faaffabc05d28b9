package recorder

import (
	"crypto/sha256"
	"crypto/x509"
	"sync"

	"github.com/sallyport-sip/sallyport/internal/callflow"
)

// mostLeaves is how many certificates are remembered in the form in which a row shows them.
const mostLeaves = 256

// leaves remembers certificates that were read, because the same few are shown again and again. It is safe for concurrent use.
type leaves struct {
	mu    sync.Mutex
	known map[leafKey]*callflow.Certificate // guarded by mu
}

type leafKey struct {
	sum   [32]byte // of the leaf
	chain int      // certificates in the message
}

// of is what a row says about the first certificate of a chain; nil when there is none that can be read.
func (l *leaves) of(chain [][]byte) *callflow.Certificate {
	if len(chain) == 0 {
		return nil
	}
	key := leafKey{sha256.Sum256(chain[0]), len(chain)}
	l.mu.Lock()
	c, ok := l.known[key]
	l.mu.Unlock()
	if ok {
		return c
	}
	c = leaf(chain)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.known == nil || len(l.known) >= mostLeaves {
		l.known = make(map[leafKey]*callflow.Certificate) // who comes with many has them read anew
	}
	l.known[key] = c
	return c
}

// leaf reads the first certificate of a chain; nil when it cannot be read.
func leaf(chain [][]byte) *callflow.Certificate {
	x, err := x509.ParseCertificate(chain[0])
	if err != nil {
		return nil
	}
	c := &callflow.Certificate{
		Subject: x.Subject.String(), Issuer: x.Issuer.String(), NotBefore: x.NotBefore, NotAfter: x.NotAfter,
		SelfSigned: string(x.RawSubject) == string(x.RawIssuer) && x.CheckSignatureFrom(x) == nil, Chain: len(chain),
	}
	for _, n := range x.DNSNames {
		c.Names = append(c.Names, "DNS:"+n)
	}
	for _, u := range x.URIs {
		c.Names = append(c.Names, "URI:"+u.String())
	}
	for _, a := range x.IPAddresses {
		c.Names = append(c.Names, "IP:"+a.String())
	}
	return c
}
