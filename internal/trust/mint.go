package trust

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
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/sallyport-sip/sallyport/internal/certfile"
)

// KeyKind is the kind of a new private key.
type KeyKind string

// The kinds of keys that are made here.
const (
	P256    KeyKind = "p256" // the default
	P384    KeyKind = "p384"
	RSA2048 KeyKind = "rsa2048"
	RSA3072 KeyKind = "rsa3072"
	RSA4096 KeyKind = "rsa4096"
)

// KeyKinds are all of them, as a user writes them.
var KeyKinds = []KeyKind{P256, P384, RSA2048, RSA3072, RSA4096}

// Request says what a new certificate is to hold. The zero value of every field but Name is a usable default.
type Request struct {
	Name  string        // the common name; RFC 5922 §7.1 looks at it only without the names below
	SIP   []string      // SIP domains: each becomes a URI "sip:domain" in subjectAltName, which comes before every DNS name
	DNS   []string      // DNS names
	IP    []netip.Addr  // addresses
	Days  int           // lifetime; 0 means 3650 for a CA and 397 for all others
	Key   KeyKind       // of a new key; empty: P256
	Use   crypto.Signer // the key to use instead of a new one
	Usage []x509.ExtKeyUsage

	SIPDomain  bool // besides Usage, id-kp-sipDomain (RFC 5924)
	PathLength int  // of a CA: how many CAs may follow each other below it
}

// Issued is a new certificate with its key.
type Issued struct {
	Chain    []*x509.Certificate // leaf first, then the CA that signed it when that is an intermediate
	Key      crypto.Signer       // nil for a certificate that was made from a request
	Password []byte              // the file of the key is encrypted with it; nil: it is not encrypted
}

// skew is how far in the past a certificate begins, for peers whose clock is slow.
const skew = 10 * time.Minute

// NewCA makes a certificate authority that signs leaves, and other CAs when the request's PathLength is above 0. The names
// of the request and its usages do not count.
func NewCA(r Request) (*Issued, error) {
	t, key, err := r.authority()
	if err != nil {
		return nil, err
	}
	return sign(t, t, key, key)
}

// NewIntermediate makes a CA signed by ca, and otherwise as NewCA does. Its chain has ca when that is an intermediate too.
func NewIntermediate(ca *Issued, r Request) (*Issued, error) {
	above := ca.Chain[0]
	switch most := above.MaxPathLen; {
	case above.MaxPathLenZero && most == 0:
		return nil, fmt.Errorf("%s may sign no other CA: its path length is 0; make one that may, with --path-length 1", Subject(above))
	case most > 0 && r.PathLength >= most:
		return nil, fmt.Errorf("%s has a path length of %d, so that of a CA below it is at most %d", Subject(above), most, most-1)
	}
	t, key, err := r.authority()
	if err != nil {
		return nil, err
	}
	return issue(ca, t, key.Public(), key)
}

func (r Request) authority() (*x509.Certificate, crypto.Signer, error) {
	r.SIP, r.DNS, r.IP = nil, nil, nil
	if r.Name == "" {
		return nil, nil, errors.New("a CA needs a name")
	}
	if r.PathLength < 0 || r.PathLength > 8 {
		return nil, nil, fmt.Errorf("a path length of %d is not between 0 and 8", r.PathLength)
	}
	if r.Days == 0 {
		r.Days = 3650
	}
	t, err := r.template()
	if err != nil {
		return nil, nil, err
	}
	t.IsCA, t.MaxPathLen, t.MaxPathLenZero = true, r.PathLength, true
	t.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign
	key, err := r.key()
	return t, key, err
}

// Issue makes a certificate signed by ca, for clients and servers alike unless the request says otherwise. It ends no
// later than that of ca.
func Issue(ca *Issued, r Request) (*Issued, error) {
	key, err := r.key()
	if err != nil {
		return nil, err
	}
	t, err := r.leaf(key.Public())
	if err != nil {
		return nil, err
	}
	return issue(ca, t, key.Public(), key)
}

// issue signs t for a public key, whose private key may be nil.
func issue(ca *Issued, t *x509.Certificate, public crypto.PublicKey, key crypto.Signer) (*Issued, error) {
	signer := ca.Chain[0]
	if why := notCA(signer); why != "" {
		return nil, fmt.Errorf("%s %s, so it cannot sign", Subject(signer), why)
	}
	if code := lifetime(signer, time.Now()); code != "" {
		reason, _ := words{cert: signer}.say(code)
		return nil, fmt.Errorf("%s, so it cannot sign", reason)
	}
	if t.NotAfter.After(signer.NotAfter) {
		t.NotAfter = signer.NotAfter
	}
	if t.NotBefore.Before(signer.NotBefore) {
		t.NotBefore = signer.NotBefore
	}
	issued, err := certify(t, signer, public, ca.Key)
	if err != nil {
		return nil, err
	}
	issued.Key = key
	if !selfSigned(signer) {
		issued.Chain = append(issued.Chain, ca.Chain...)
	}
	return issued, nil
}

// SelfSigned makes a certificate that is its own issuer. Peers must have it in their trust.
func SelfSigned(r Request) (*Issued, error) {
	key, err := r.key()
	if err != nil {
		return nil, err
	}
	t, err := r.leaf(key.Public())
	if err != nil {
		return nil, err
	}
	return sign(t, t, key, key)
}

// leaf makes what becomes a certificate of a client or server with this key.
func (r Request) leaf(public crypto.PublicKey) (*x509.Certificate, error) {
	if len(r.SIP)+len(r.DNS)+len(r.IP) == 0 {
		return nil, errors.New("a certificate needs a SIP domain, a DNS name or an IP address: nobody looks at the common name alone")
	}
	if r.Days == 0 {
		r.Days = 397
	}
	t, err := r.template()
	if err != nil {
		return nil, err
	}
	t.KeyUsage = x509.KeyUsageDigitalSignature
	if _, ok := public.(*rsa.PublicKey); ok {
		t.KeyUsage |= x509.KeyUsageKeyEncipherment
	}
	t.ExtKeyUsage = r.Usage
	if len(r.Usage) == 0 {
		t.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	}
	if r.SIPDomain {
		t.UnknownExtKeyUsage = []asn1.ObjectIdentifier{sipDomain}
	}
	return t, nil
}

// template checks the request and makes what all kinds of certificates have in common.
func (r Request) template() (*x509.Certificate, error) {
	if r.Days < 0 || r.Days > 36500 {
		return nil, fmt.Errorf("%d days is no lifetime: 1 to 36500", r.Days)
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, err
	}
	now := time.Now()
	t := &x509.Certificate{
		SerialNumber:          serial.Add(serial, big.NewInt(1)),
		NotBefore:             now.Add(-skew),
		NotAfter:              now.AddDate(0, 0, r.Days),
		BasicConstraintsValid: true,
	}
	for _, name := range slices.Concat([]string{r.Name}, r.SIP, r.DNS) {
		if name != "" && len(name) <= 64 { // ub-common-name, RFC 5280 appendix A.1
			t.Subject = pkix.Name{CommonName: name}
			break
		}
	}
	for _, domain := range r.SIP {
		if err := checkDomain(domain); err != nil {
			return nil, err
		}
		t.URIs = append(t.URIs, &url.URL{Scheme: "sip", Opaque: domain})
	}
	for _, name := range r.DNS {
		if err := checkDomain(name); err != nil {
			return nil, err
		}
		t.DNSNames = append(t.DNSNames, name)
	}
	for _, a := range r.IP {
		t.IPAddresses = append(t.IPAddresses, net.IP(a.Unmap().AsSlice()))
	}
	return t, nil
}

// checkDomain accepts a host name in ASCII.
func checkDomain(s string) error {
	if _, err := netip.ParseAddr(s); err == nil {
		return fmt.Errorf("%q is an address, not a name", s)
	}
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || len(label) > 63 || strings.Trim(strings.ToLower(label), "abcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
			return fmt.Errorf("%q is not a host name: write it like acme.example, international names in their xn-- form", s)
		}
	}
	if len(s) > 253 {
		return fmt.Errorf("a host name has at most 253 characters, this has %d", len(s))
	}
	return nil
}

// key returns the key to use, a new one unless the request brings one.
func (r Request) key() (crypto.Signer, error) {
	if r.Use != nil {
		return r.Use, nil
	}
	switch r.Key {
	case "", P256:
		return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case P384:
		return ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	case RSA2048:
		return rsa.GenerateKey(rand.Reader, 2048)
	case RSA3072:
		return rsa.GenerateKey(rand.Reader, 3072)
	case RSA4096:
		return rsa.GenerateKey(rand.Reader, 4096)
	}
	return nil, fmt.Errorf("%q is no kind of key: p256, p384, rsa2048, rsa3072 or rsa4096", r.Key)
}

func sign(t, parent *x509.Certificate, key, parentKey crypto.Signer) (*Issued, error) {
	i, err := certify(t, parent, key.Public(), parentKey)
	if err == nil {
		i.Key = key
	}
	return i, err
}

func certify(t, parent *x509.Certificate, public crypto.PublicKey, parentKey crypto.Signer) (*Issued, error) {
	der, err := x509.CreateCertificate(rand.Reader, t, parent, public, parentKey)
	if err != nil {
		return nil, err
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	return &Issued{Chain: []*x509.Certificate{c}}, nil
}

// CertPEM returns the chain, leaf first.
func (i *Issued) CertPEM() []byte {
	var out []byte
	for _, c := range i.Chain {
		out = append(out, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})...)
	}
	return out
}

// KeyPEM returns the private key as PKCS #8, encrypted when there is a password. The error is crypto/x509's, for a key that
// did not come from here.
func (i *Issued) KeyPEM() ([]byte, error) {
	return certfile.KeyPEM(i.Key, certfile.FormPKCS8, i.Password)
}

// TLS returns certificate and key in the form that crypto/tls takes.
func (i *Issued) TLS() tls.Certificate {
	c := tls.Certificate{PrivateKey: i.Key, Leaf: i.Chain[0]}
	for _, cert := range i.Chain {
		c.Certificate = append(c.Certificate, cert.Raw)
	}
	return c
}

// ReadIssued reads a certificate with its key, such as a CA's, from files. The password opens the key; nil is none. The error names the file, what is wrong
// with it and a remedy.
func ReadIssued(certFile, keyFile string, password []byte) (*Issued, error) {
	certs, err := ReadCertificates(certFile)
	if err != nil {
		return nil, err
	}
	keys, err := ReadContents(keyFile, password)
	if err != nil {
		return nil, err
	}
	if keys.Locked() {
		return nil, fmt.Errorf("%s: %w", keyFile, &certfile.Error{What: "the private key is encrypted", Remedy: "name its password", Err: certfile.ErrNoPassword})
	}
	if len(keys.Keys()) == 0 {
		return nil, fmt.Errorf("%s: it holds no private key, name the file with the private key", keyFile)
	}
	for _, key := range keys.Keys() {
		if leafFor(certs, key) != nil {
			id := newIdentity("", certs, key)
			return &Issued{Chain: id.Chain, Key: key}, nil
		}
	}
	return nil, fmt.Errorf("%s: the key does not belong to certificate %s (%s)", keyFile, certFile, Subject(certs[0]))
}
