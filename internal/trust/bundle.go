package trust

import (
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"time"
)

// Bundle is a heap of certificates, put in order.
type Bundle struct {
	Chain   []*x509.Certificate // as it is shown in a handshake: leaf first, each signed by the next, without a root
	Root    *x509.Certificate   // what the chain ends in, when it is there; nil for a self-signed leaf
	Others  []*x509.Certificate // what belongs to another chain
	Doubles int                 // how many stood there more than once
}

// Complete reports whether the chain leads to a self-signed certificate.
func (b *Bundle) Complete() bool { return b.Root != nil || selfSigned(b.Chain[0]) }

// Last is the end of the chain, whose issuer is the root or is missing.
func (b *Bundle) Last() *x509.Certificate { return b.Chain[len(b.Chain)-1] }

// Arrange finds the leaf in a heap of certificates and puts its issuers behind it. The leaf is the certificate that key
// belongs to; without a key, the only one that is no CA's; without such, the only one that has signed no other. The error
// says why there is no leaf.
func Arrange(certs []*x509.Certificate, key crypto.Signer) (*Bundle, error) {
	b := &Bundle{}
	var heap []*x509.Certificate
	for _, c := range certs {
		if slices.ContainsFunc(heap, c.Equal) {
			b.Doubles++
		} else {
			heap = append(heap, c)
		}
	}
	leaf, err := leafOf(heap, key)
	if err != nil {
		return nil, err
	}
	b.Chain = []*x509.Certificate{leaf}
	for c := leaf; !selfSigned(c); {
		if c = bestSigner(c, heap); c == nil || slices.Contains(b.Chain, c) {
			break
		}
		if selfSigned(c) {
			b.Root = c
			break
		}
		b.Chain = append(b.Chain, c)
	}
	for _, c := range heap {
		if c != b.Root && !slices.Contains(b.Chain, c) {
			b.Others = append(b.Others, c)
		}
	}
	return b, nil
}

func leafOf(heap []*x509.Certificate, key crypto.Signer) (*x509.Certificate, error) {
	if key != nil {
		if leaf := leafFor(heap, key); leaf != nil {
			return leaf, nil
		}
		return nil, errors.New("the key belongs to none of the certificates: name the certificate that was made for it")
	}
	leaves := slices.DeleteFunc(slices.Clone(heap), func(c *x509.Certificate) bool { return c.IsCA })
	if len(leaves) == 0 {
		leaves = slices.DeleteFunc(slices.Clone(heap), func(c *x509.Certificate) bool {
			return slices.ContainsFunc(heap, func(o *x509.Certificate) bool { return o != c && signerOf(o, []*x509.Certificate{c}) != nil })
		})
	}
	if len(leaves) == 0 { // each has signed another, as an authority and its renewal with the same key
		leaves = heap
	}
	switch len(leaves) {
	case 0:
		return nil, errors.New("there is no certificate")
	case 1:
		return leaves[0], nil
	}
	var names []string
	for _, c := range leaves {
		names = append(names, Subject(c))
	}
	return nil, fmt.Errorf("there are %d certificates to choose from, %s: leave all but one out, or name the key of the one that is meant too", len(leaves), list(names))
}

// bestSigner prefers an issuer that is within its time, and among those a root, by which the chain is complete: renewed and
// cross-signed CAs have several certificates for one key.
func bestSigner(c *x509.Certificate, heap []*x509.Certificate) *x509.Certificate {
	var best *x509.Certificate
	rank := -1
	for _, a := range heap {
		if signerOf(c, []*x509.Certificate{a}) == nil {
			continue
		}
		n := 0
		if lifetime(a, time.Now()) == "" {
			n += 2
		}
		if selfSigned(a) {
			n++
		}
		if n > rank {
			best, rank = a, n
		}
	}
	return best
}

// Misplaced returns the first certificate of a chain, as a file or a server has it, that is not signed by the next, and
// that next one; nil when the order is right. RFC 5246 §7.4.2: "Each following certificate MUST directly certify the one
// preceding it." A peer that is strict about it refuses another order.
func Misplaced(chain []*x509.Certificate) (c, next *x509.Certificate) {
	for i := 1; i < len(chain); i++ {
		if signerOf(chain[i-1], chain[i:i+1]) == nil {
			return chain[i-1], chain[i]
		}
	}
	return nil, nil
}
