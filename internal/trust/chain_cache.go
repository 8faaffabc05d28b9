package trust

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/binary"
	"slices"
	"sync"
	"time"
)

// chainCache remembers the chains that crypto/x509 built to one set of anchors, by what was presented. That a signature
// fits and a constraint holds does not change, so a peer that connects again, or is judged by its own policy after the
// listener's, is not calculated for again. What does change is judged each time: lifetimes here, usages, names and
// revocation by their own checks. Only chains that lead to an anchor are kept, so nobody untrusted can fill it.
type chainCache struct {
	mu     sync.Mutex
	chains map[[sha256.Size]byte][][]*x509.Certificate // guarded by mu
}

// mostChains is how many presented chains one cache keeps; then any one makes room.
const mostChains = 1024

// chainKey is equal for the same certificates in the same order.
func chainKey(leaf *x509.Certificate, intermediates []*x509.Certificate) (key [sha256.Size]byte) {
	h := sha256.New()
	var length [4]byte
	add := func(c *x509.Certificate) {
		binary.BigEndian.PutUint32(length[:], uint32(len(c.Raw)))
		h.Write(length[:])
		h.Write(c.Raw)
	}
	add(leaf)
	for _, c := range intermediates {
		add(c)
	}
	h.Sum(key[:0])
	return key
}

// get returns the chains of which every certificate is within its time, nil for none.
func (c *chainCache) get(key [sha256.Size]byte, now time.Time) [][]*x509.Certificate {
	c.mu.Lock()
	all := c.chains[key]
	c.mu.Unlock()
	var valid [][]*x509.Certificate
	for _, chain := range all {
		if !slices.ContainsFunc(chain, func(x *x509.Certificate) bool { return lifetime(x, now) != "" }) {
			valid = append(valid, chain)
		}
	}
	return valid
}

func (c *chainCache) put(key [sha256.Size]byte, chains [][]*x509.Certificate) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.chains == nil {
		c.chains = make(map[[sha256.Size]byte][][]*x509.Certificate)
	}
	if len(c.chains) >= mostChains {
		for other := range c.chains {
			delete(c.chains, other)
			break
		}
	}
	c.chains[key] = chains
}
