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
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// KeyKind is the kind of a new private key.
type KeyKind string

// The kinds of keys that are made here.
const (
	P256    KeyKind = "p256" // the default
	RSA2048 KeyKind = "rsa2048"
	RSA3072 KeyKind = "rsa3072"
)

// Request says what a new certificate is to hold. The zero value of every field but Name is a usable default.
type Request struct {
	Name  string       // the common name; RFC 5922 §7.1 looks at it only without the names below
	SIP   []string     // SIP domains: each becomes a URI "sip:domain" in subjectAltName, which comes before every DNS name
	DNS   []string     // DNS names
	IP    []netip.Addr // addresses
	Days  int          // lifetime; 0 means 3650 for a CA and 397 for all others
	Key   KeyKind      // empty: P256
	Usage []x509.ExtKeyUsage
}

// Issued is a new certificate with its key.
type Issued struct {
	Chain []*x509.Certificate // leaf first, then the CA that signed it when that is an intermediate
	Key   crypto.Signer
}

// skew is how far in the past a certificate begins, for peers whose clock is slow.
const skew = 10 * time.Minute

// NewCA makes a certificate authority that signs leaves and no other CAs. The names of the request and its usages do not
// count.
func NewCA(r Request) (*Issued, error) {
	r.SIP, r.DNS, r.IP = nil, nil, nil
	if r.Name == "" {
		return nil, errors.New("a CA needs a name")
	}
	if r.Days == 0 {
		r.Days = 3650
	}
	t, key, err := r.template()
	if err != nil {
		return nil, err
	}
	t.IsCA, t.MaxPathLenZero = true, true
	t.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign
	return sign(t, t, key, key)
}

// Issue makes a certificate signed by ca, for clients and servers alike unless the request says otherwise. It ends no
// later than that of ca.
func Issue(ca *Issued, r Request) (*Issued, error) {
	signer := ca.Chain[0]
	if why := notCA(signer); why != "" {
		return nil, fmt.Errorf("%s %s, so it cannot sign", Subject(signer), why)
	}
	if code := lifetime(signer, time.Now()); code != "" {
		reason, _ := words{cert: signer}.say(code)
		return nil, fmt.Errorf("%s, so it cannot sign", reason)
	}
	t, key, err := r.leaf()
	if err != nil {
		return nil, err
	}
	if t.NotAfter.After(signer.NotAfter) {
		t.NotAfter = signer.NotAfter
	}
	if t.NotBefore.Before(signer.NotBefore) {
		t.NotBefore = signer.NotBefore
	}
	issued, err := sign(t, signer, key, ca.Key)
	if err == nil && !selfSigned(signer) {
		issued.Chain = append(issued.Chain, ca.Chain...)
	}
	return issued, err
}

// SelfSigned makes a certificate that is its own issuer. Peers must have it in their trust.
func SelfSigned(r Request) (*Issued, error) {
	t, key, err := r.leaf()
	if err != nil {
		return nil, err
	}
	return sign(t, t, key, key)
}

func (r Request) leaf() (*x509.Certificate, crypto.Signer, error) {
	if len(r.SIP)+len(r.DNS)+len(r.IP) == 0 {
		return nil, nil, errors.New("a certificate needs a SIP domain, a DNS name or an IP address: nobody looks at the common name alone")
	}
	if r.Days == 0 {
		r.Days = 397
	}
	t, key, err := r.template()
	if err != nil {
		return nil, nil, err
	}
	t.KeyUsage = x509.KeyUsageDigitalSignature
	if _, ok := key.(*rsa.PrivateKey); ok {
		t.KeyUsage |= x509.KeyUsageKeyEncipherment
	}
	t.ExtKeyUsage = r.Usage
	if len(r.Usage) == 0 {
		t.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	}
	return t, key, nil
}

// template checks the request and makes what all kinds of certificates have in common.
func (r Request) template() (*x509.Certificate, crypto.Signer, error) {
	if r.Days < 0 || r.Days > 36500 {
		return nil, nil, fmt.Errorf("%d days is no lifetime: 1 to 36500", r.Days)
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, nil, err
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
			return nil, nil, err
		}
		t.URIs = append(t.URIs, &url.URL{Scheme: "sip", Opaque: domain})
	}
	for _, name := range r.DNS {
		if err := checkDomain(name); err != nil {
			return nil, nil, err
		}
		t.DNSNames = append(t.DNSNames, name)
	}
	for _, a := range r.IP {
		t.IPAddresses = append(t.IPAddresses, net.IP(a.Unmap().AsSlice()))
	}
	key, err := newKey(r.Key)
	return t, key, err
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

func newKey(kind KeyKind) (crypto.Signer, error) {
	switch kind {
	case "", P256:
		return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case RSA2048:
		return rsa.GenerateKey(rand.Reader, 2048)
	case RSA3072:
		return rsa.GenerateKey(rand.Reader, 3072)
	}
	return nil, fmt.Errorf("%q is no kind of key: p256, rsa2048 or rsa3072", kind)
}

func sign(t, parent *x509.Certificate, key, parentKey crypto.Signer) (*Issued, error) {
	der, err := x509.CreateCertificate(rand.Reader, t, parent, key.Public(), parentKey)
	if err != nil {
		return nil, err
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	return &Issued{Chain: []*x509.Certificate{c}, Key: key}, nil
}

// CertPEM returns the chain, leaf first.
func (i *Issued) CertPEM() []byte {
	var out []byte
	for _, c := range i.Chain {
		out = append(out, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})...)
	}
	return out
}

// KeyPEM returns the private key as PKCS #8. The error is crypto/x509's, for a key that did not come from here.
func (i *Issued) KeyPEM() ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(i.Key)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}

// TLS returns certificate and key in the form that crypto/tls takes.
func (i *Issued) TLS() tls.Certificate {
	c := tls.Certificate{PrivateKey: i.Key, Leaf: i.Chain[0]}
	for _, cert := range i.Chain {
		c.Certificate = append(c.Certificate, cert.Raw)
	}
	return c
}

// Write puts the certificate and the key into two files, of which only the key's is closed to others (mode 0600).
// Unless force is set, nothing is written when one of them is there already.
func (i *Issued) Write(certFile, keyFile string, force bool) error {
	if filepath.Clean(certFile) == filepath.Clean(keyFile) {
		return fmt.Errorf("certificate and key cannot be the same file, %s", certFile)
	}
	key, err := i.KeyPEM()
	if err != nil {
		return err
	}
	if force {
		if err := replace(keyFile, key, 0o600); err != nil {
			return err
		}
		return replace(certFile, i.CertPEM(), 0o644)
	}
	if err := create(keyFile, key, 0o600); err != nil {
		return err
	}
	if err := create(certFile, i.CertPEM(), 0o644); err != nil {
		return errors.Join(err, os.Remove(keyFile))
	}
	return nil
}

// create writes a file that is not there yet.
func create(path string, data []byte, mode fs.FileMode) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s is there already: name another file, or use --force to replace it", path)
	} else if err != nil {
		return cannotWrite(path, err)
	}
	_, err = f.Write(data)
	return errors.Join(err, f.Close())
}

// cannotWrite says why a file could not be made.
func cannotWrite(path string, err error) error {
	why, _ := errors.AsType[*fs.PathError](err)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%s cannot be written: there is no directory %s: make it first", path, filepath.Dir(path))
	case why != nil:
		return fmt.Errorf("%s cannot be written: %w", path, why.Err)
	}
	return err
}

// replace writes a file under a passing name and moves it to its place, so that nobody ever sees half of it, nor a key
// with the permissions of an older file.
func replace(path string, data []byte, mode fs.FileMode) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*") // mode 0600
	if err != nil {
		return cannotWrite(path, err)
	}
	defer os.Remove(f.Name()) // in vain once it has been moved
	if _, err = f.Write(data); err == nil && mode != 0o600 {
		err = f.Chmod(mode)
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

// ReadIssued reads a certificate with its key, such as a CA's, from PEM files. The error names the file, what is wrong
// with it and a remedy.
func ReadIssued(certFile, keyFile string, password []byte) (*Issued, error) {
	certs, err := ReadCertificates(certFile)
	if err != nil {
		return nil, err
	}
	keys, bad := readPEM(keyFile, password)
	if bad == nil {
		bad = keys.needKey()
	}
	if bad != nil {
		return nil, bad.in(keyFile)
	}
	for _, key := range keys.Keys {
		if leafFor(certs, key) != nil {
			id := newIdentity("", certs, key)
			return &Issued{Chain: id.Chain, Key: key}, nil
		}
	}
	return nil, fmt.Errorf("%s: the key does not belong to certificate %s (%s)", keyFile, certFile, Subject(certs[0]))
}
