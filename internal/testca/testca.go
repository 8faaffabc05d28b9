// Package testca makes certificates for tests: an authority, intermediates, leaves, and leaves that are wrong in one
// chosen way.
//
// Reading starts at New, which mints an authority; CA.Leaf and SelfSigned mint what a peer shows. Lifetimes are counted
// from time.Now, so what is minted inside a testing/synctest bubble is valid on the bubble's clock, which starts in the
// year 2000. Everything here panics on an error, because only a broken test can cause one. Nothing starts a goroutine,
// and all values are immutable once made. The product mints with internal/trust instead.
package testca

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/url"
	"slices"
	"time"
)

// CA is a certificate authority: a root, or an intermediate below one.
type CA struct {
	Cert *x509.Certificate
	Key  crypto.Signer

	above []*x509.Certificate // the intermediates from this one up to, but without, the root
}

// Leaf is an end entity's certificate with its key and the intermediates that belong behind it.
type Leaf struct {
	Chain []*x509.Certificate // the leaf first, then intermediates, without the root
	Key   crypto.Signer
}

// order is one certificate to be minted.
type order struct {
	cert   *x509.Certificate
	cnOnly bool
	newKey func() crypto.Signer
}

// An Option changes the certificate that is being minted.
type Option func(*order)

// DNS adds dNSName values to subjectAltName.
func DNS(names ...string) Option {
	return func(o *order) { o.cert.DNSNames = append(o.cert.DNSNames, names...) }
}

// URI adds uniformResourceIdentifier values to subjectAltName, for example "sip:acme.example".
func URI(uris ...string) Option {
	return func(o *order) {
		for _, s := range uris {
			o.cert.URIs = append(o.cert.URIs, must(url.Parse(s)))
		}
	}
}

// IP adds iPAddress values to subjectAltName.
func IP(addrs ...string) Option {
	return func(o *order) {
		for _, s := range addrs {
			ip := net.ParseIP(s)
			if ip == nil {
				panic(fmt.Sprintf("testca: %q is no IP address", s))
			}
			o.cert.IPAddresses = append(o.cert.IPAddresses, ip)
		}
	}
}

// CommonNameOnly leaves the subjectAltName extension out.
func CommonNameOnly() Option { return func(o *order) { o.cnOnly = true } }

// Usages replaces the extended key usages; without any, the certificate has no such extension.
func Usages(usages ...x509.ExtKeyUsage) Option {
	return func(o *order) { o.cert.ExtKeyUsage, o.cert.UnknownExtKeyUsage = usages, nil }
}

// UsageOID replaces the extended key usages by one that crypto/x509 does not name.
func UsageOID(id asn1.ObjectIdentifier) Option {
	return func(o *order) {
		o.cert.ExtKeyUsage, o.cert.UnknownExtKeyUsage = nil, []asn1.ObjectIdentifier{id}
	}
}

// Valid sets the lifetime, both ends counted from time.Now.
func Valid(from, to time.Duration) Option {
	return func(o *order) {
		now := time.Now()
		o.cert.NotBefore, o.cert.NotAfter = now.Add(from), now.Add(to)
	}
}

// Expired makes the certificate end an hour ago.
func Expired() Option { return Valid(-48*time.Hour, -time.Hour) }

// NotYetValid makes the certificate begin in an hour.
func NotYetValid() Option { return Valid(time.Hour, 48*time.Hour) }

// RSA gives the certificate an RSA key of this many bits instead of one on P-256.
func RSA(bits int) Option {
	return func(o *order) {
		o.newKey = func() crypto.Signer { return must(rsa.GenerateKey(rand.Reader, bits)) }
	}
}

// Key gives the certificate this key instead of a new one.
func Key(k crypto.Signer) Option {
	return func(o *order) { o.newKey = func() crypto.Signer { return k } }
}

// Template lets change do anything else to the certificate before it is signed.
func Template(change func(*x509.Certificate)) Option {
	return func(o *order) { change(o.cert) }
}

// New mints a root authority whose common name is name.
func New(name string, opts ...Option) *CA {
	o := newOrder(name, authority, opts)
	key := o.newKey()
	return &CA{Cert: sign(o.cert, o.cert, key, key), Key: key}
}

// Intermediate mints an authority below c.
func (c *CA) Intermediate(name string, opts ...Option) *CA {
	o := newOrder(name, authority, opts)
	key := o.newKey()
	cert := sign(o.cert, c.Cert, key, c.Key)
	return &CA{Cert: cert, Key: key, above: append([]*x509.Certificate{cert}, c.above...)}
}

// Leaf mints an end entity's certificate below c. Its common name is name; unless an option names something in
// subjectAltName, or is CommonNameOnly, it has the dNSName name. It is good for TLS clients and servers.
func (c *CA) Leaf(name string, opts ...Option) *Leaf {
	o := newOrder(name, endEntity, opts)
	key := o.newKey()
	return &Leaf{Chain: append([]*x509.Certificate{sign(o.cert, c.Cert, key, c.Key)}, c.above...), Key: key}
}

// SelfSigned mints an end entity's certificate that is its own issuer and no authority, with the names that CA.Leaf
// would give it.
func SelfSigned(name string, opts ...Option) *Leaf {
	o := newOrder(name, endEntity, opts)
	key := o.newKey()
	return &Leaf{Chain: []*x509.Certificate{sign(o.cert, o.cert, key, key)}, Key: key}
}

// PEM returns c's certificate.
func (c *CA) PEM() []byte { return encode(c.Cert) }

// Pool returns a pool that holds c's certificate alone.
func (c *CA) Pool() *x509.CertPool {
	p := x509.NewCertPool()
	p.AddCert(c.Cert)
	return p
}

// Cert returns the leaf's own certificate.
func (l *Leaf) Cert() *x509.Certificate { return l.Chain[0] }

// TLS returns the chain and key in the form that crypto/tls takes.
func (l *Leaf) TLS() tls.Certificate {
	c := tls.Certificate{PrivateKey: l.Key, Leaf: l.Chain[0]}
	for _, cert := range l.Chain {
		c.Certificate = append(c.Certificate, cert.Raw)
	}
	return c
}

// PEM returns the chain, leaf first.
func (l *Leaf) PEM() []byte { return encode(l.Chain...) }

// KeyPEM returns the private key as PKCS #8.
func (l *Leaf) KeyPEM() []byte {
	der := must(x509.MarshalPKCS8PrivateKey(l.Key))
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

// Alone returns l without its intermediates, as a peer shows itself that forgot to send them.
func (l *Leaf) Alone() *Leaf { return &Leaf{Chain: l.Chain[:1], Key: l.Key} }

func endEntity(c *x509.Certificate) {
	c.KeyUsage = x509.KeyUsageDigitalSignature
	c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
}

func authority(c *x509.Certificate) {
	c.IsCA = true
	c.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign
}

// newOrder makes the template: what its kind needs, then what the options say, then the default name of a leaf.
func newOrder(name string, kind func(*x509.Certificate), opts []Option) *order {
	o := &order{
		cert: &x509.Certificate{
			SerialNumber:          must(rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))),
			Subject:               pkix.Name{CommonName: name},
			BasicConstraintsValid: true,
		},
		newKey: func() crypto.Signer { return must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)) },
	}
	Valid(-time.Hour, 48*time.Hour)(o)
	kind(o.cert)
	for _, opt := range opts {
		opt(o)
	}
	c := o.cert
	if !c.IsCA && !o.cnOnly && len(c.DNSNames)+len(c.URIs)+len(c.IPAddresses)+len(c.EmailAddresses) == 0 {
		c.DNSNames = []string{name}
	}
	return o
}

func sign(cert, parent *x509.Certificate, key, parentKey crypto.Signer) *x509.Certificate {
	der := must(x509.CreateCertificate(rand.Reader, cert, parent, key.Public(), parentKey))
	return must(x509.ParseCertificate(der))
}

func encode(certs ...*x509.Certificate) []byte {
	var all [][]byte
	for _, c := range certs {
		all = append(all, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}))
	}
	return slices.Concat(all...)
}

func must[T any](v T, err error) T {
	if err != nil {
		panic("testca: " + err.Error())
	}
	return v
}
