package trust

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"slices"
	"strings"

	"github.com/sallyport-sip/sallyport/internal/revocation"
)

// Anchors is a set of certificates that are believed without further proof: CAs, and self-signed certificates of single
// peers. It is immutable, but for what it remembers of chains.
type Anchors struct {
	name   string // for remedies: `"partners"` or `"partners", "lab"`
	certs  []*x509.Certificate
	system bool
	pool   *x509.CertPool
	sum    string
	built  chainCache
	crls   *revocation.Lists
}

// NewAnchors makes a set of certs, and of the system's CAs when system is true. The name is that of the trust in the
// configuration, quoted; texts use it. The error is crypto/x509's about the system's CAs.
func NewAnchors(name string, certs []*x509.Certificate, system bool) (*Anchors, error) {
	a := &Anchors{name: name, system: system, pool: x509.NewCertPool()}
	if system {
		pool, err := x509.SystemCertPool()
		if err != nil {
			return nil, err
		}
		a.pool = pool
	}
	for _, c := range certs {
		if !slices.ContainsFunc(a.certs, c.Equal) {
			a.certs = append(a.certs, c)
			a.pool.AddCert(c)
		}
	}
	a.sum = a.fingerprint()
	return a, nil
}

// fingerprint is the same for the same certificates in any order and under any name.
func (a *Anchors) fingerprint() string {
	var sums [][]byte
	for _, c := range a.certs {
		sum := sha256.Sum256(c.Raw)
		sums = append(sums, sum[:])
	}
	slices.SortFunc(sums, bytes.Compare)
	h := sha256.New()
	if a.system {
		h.Write([]byte("system"))
	}
	for _, s := range sums {
		h.Write(s)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// subjects names the anchors that came from files; the system's are summed up in words.
func (a *Anchors) subjects() []string {
	var names []string
	for _, c := range a.certs {
		names = append(names, Subject(c))
	}
	if a.system {
		names = append(names, "a CA of this system")
	}
	return names
}

// join makes one set of several.
func join(all []*Anchors) (*Anchors, error) {
	var names []string
	var certs []*x509.Certificate
	var crls []*revocation.CRL
	system := false
	for _, a := range all {
		crls = append(crls, a.crls.All()...)
		names = append(names, a.name)
		certs = append(certs, a.certs...)
		system = system || a.system
	}
	a, err := NewAnchors(strings.Join(names, ", "), certs, system)
	if err == nil {
		a.list(crls)
	}
	return a, err
}

// list adds lists of revoked certificates; it is called before the set is used.
func (a *Anchors) list(crls []*revocation.CRL) {
	if len(crls) > 0 {
		a.crls = revocation.NewLists(crls)
		a.sum = fingerprint(a.sum, string(a.crls.Sum()))
	}
}
