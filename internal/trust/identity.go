package trust

import (
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/sallyport-sip/sallyport/internal/config"
)

// Identity is a certificate of ours with its key. All but what is stapled to it is immutable.
type Identity struct {
	Name  string
	Chain []*x509.Certificate // as we show it: leaf first, each signed by the next, without a self-signed root
	// Issuer has signed the leaf, whether or not we show it; nil when it is in none of our files.
	Issuer *x509.Certificate
	cert   atomic.Pointer[tls.Certificate]
	sum    string
}

// Staple puts an OCSP answer about the leaf into the handshakes to come in which we are the server; nil: none.
func (id *Identity) Staple(der []byte) {
	next := *id.cert.Load()
	next.OCSPStaple = der
	id.cert.Store(&next)
}

// Certificate returns the identity as crypto/tls shows it. It must not be changed: another one is stored in its place.
func (id *Identity) Certificate() *tls.Certificate { return id.cert.Load() }

// newIdentity puts the chain in order: it begins with the certificate that key belongs to, and goes on with what the
// file has of its issuers, whatever the order there was.
func newIdentity(name string, certs []*x509.Certificate, key crypto.Signer) *Identity {
	id := &Identity{Name: name, Chain: []*x509.Certificate{leafFor(certs, key)}}
	id.Issuer = signerOf(id.Chain[0], certs)
	for c := id.Chain[0]; !selfSigned(c); {
		if c = signerOf(c, certs); c == nil || selfSigned(c) || slices.Contains(id.Chain, c) {
			break
		}
		id.Chain = append(id.Chain, c)
	}
	h := sha256.New()
	cert := &tls.Certificate{PrivateKey: key, Leaf: id.Chain[0]}
	for _, c := range id.Chain {
		cert.Certificate = append(cert.Certificate, c.Raw)
		h.Write(c.Raw)
	}
	id.cert.Store(cert)
	id.sum = hex.EncodeToString(h.Sum(nil))
	return id
}

// leafFor returns the certificate that key belongs to, nil when there is none.
func leafFor(certs []*x509.Certificate, key crypto.Signer) *x509.Certificate {
	public, ok := key.Public().(interface{ Equal(crypto.PublicKey) bool })
	if !ok {
		return nil
	}
	for _, c := range certs {
		if public.Equal(c.PublicKey) {
			return c
		}
	}
	return nil
}

// loadIdentity reads the two files of an identity and reports all that is wrong with them.
func (o Options) loadIdentity(cfg *config.Config, in *config.Identity) (*Identity, []config.Problem) {
	var problems []config.Problem
	add := func(key, path string, f *fault) {
		what := fmt.Sprintf("identity %q: %s %q: %s", in.Name, key, path, f.what)
		problems = append(problems, cfg.Problem(in.At(key), what, f.why, f.remedy))
	}
	if in.Certificate == "" || in.Key == "" {
		return nil, nil // config.Check says so
	}
	password, key, bad := o.password(in)
	if bad != nil {
		what := fmt.Sprintf("identity %q: %s: %s", in.Name, key, bad.what)
		return nil, append(problems, cfg.Problem(in.At(key), what, bad.why, bad.remedy))
	}
	certs, badCert := readPEM(in.Certificate, password)
	keys, badKey := readPEM(in.Key, password)
	if badCert == nil && badKey == nil && swapped(certs, keys) {
		what := fmt.Sprintf("identity %q: certificate %q and key %q are swapped", in.Name, in.Certificate, in.Key)
		return nil, append(problems, cfg.Problem(in.At("certificate"), what, "the first holds the key, the second the certificate", "exchange the two names"))
	}
	if badCert == nil {
		badCert = certs.needCertificates()
	}
	if badKey == nil {
		badKey = keys.needKey()
	}
	if badCert != nil {
		add("certificate", in.Certificate, badCert)
	}
	if badKey != nil {
		add("key", in.Key, badKey)
	}
	if len(problems) > 0 {
		return nil, problems
	}
	id, bad := pair(in, certs, keys)
	if bad != nil {
		add("key", in.Key, bad)
		return nil, problems
	}
	for _, f := range id.faults(certs.Certs, o.aged(in.Certificate)) {
		add("certificate", in.Certificate, f)
	}
	return id, problems
}

func swapped(certs, keys *File) bool {
	return len(certs.Certs) == 0 && (len(certs.Keys) > 0 || certs.Encrypted) && len(keys.Certs) > 0 && len(keys.Keys) == 0 && !keys.Encrypted
}

// pair finds the key that belongs to one of the certificates.
func pair(in *config.Identity, certs, keys *File) (*Identity, *fault) {
	for _, key := range keys.Keys {
		if r, ok := key.(*rsa.PrivateKey); ok && r.N.BitLen() < 1024 {
			return nil, &fault{fmt.Sprintf("the RSA key has only %d bits", r.N.BitLen()), "no TLS library accepts it any more", "make a new key and certificate"}
		}
		if leafFor(certs.Certs, key) != nil {
			return newIdentity(in.Name, certs.Certs, key), nil
		}
	}
	return nil, &fault{fmt.Sprintf("it does not belong to certificate %q", in.Certificate),
		fmt.Sprintf("the certificate is of %s, with another public key", Subject(certs.Certs[0])),
		"name the key that the certificate was made with, or have a new certificate made"}
}

// faults reports what would make peers refuse the chain: certificates out of their time, unless it is aged, and an issuer
// in the file that did not sign what stands before it.
func (id *Identity) faults(certs []*x509.Certificate, aged bool) []*fault {
	var faults []*fault
	for _, c := range id.Chain {
		if f := lifetimeFault(c, time.Now()); f != nil && !aged {
			faults = append(faults, f)
		}
	}
	last := id.Chain[len(id.Chain)-1]
	if selfSigned(last) || signerOf(last, certs) != nil {
		return faults
	}
	for _, c := range certs {
		if c.IsCA && !slices.ContainsFunc(id.Chain, c.Equal) {
			return append(faults, &fault{fmt.Sprintf("%s in the file did not sign %s", Subject(c), Subject(last)),
				"peers could not follow the chain", "put the certificate of " + printable(last.Issuer.String()) + " there instead"})
		}
	}
	return faults
}

func lifetimeFault(c *x509.Certificate, now time.Time) *fault {
	switch lifetime(c, now) {
	case Expired:
		return &fault{fmt.Sprintf("%s expired on %s", Subject(c), day(c.NotAfter)), "",
			"renew it; if it should be valid, check the clock (" + minute(now) + ")"}
	case NotYetValid:
		return &fault{fmt.Sprintf("%s is valid only from %s", Subject(c), minute(c.NotBefore)), "",
			"wait, or check the clock (" + minute(now) + ")"}
	}
	return nil
}

// chain is nil for no identity.
func (id *Identity) chain() []*x509.Certificate {
	if id == nil {
		return nil
	}
	return id.Chain
}

// digest is empty for no identity, and otherwise equal for the same certificates.
func (id *Identity) digest() string {
	if id == nil {
		return ""
	}
	return id.sum
}
