package trust

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"github.com/sallyport-sip/sallyport/sip/domaincert"
)

// NewRequest makes a certificate signing request (RFC 2986) for the names of r, and its key.
func NewRequest(r Request) (*x509.CertificateRequest, crypto.Signer, error) {
	key, err := r.key()
	if err != nil {
		return nil, nil, err
	}
	t, err := r.leaf(key.Public())
	if err != nil {
		return nil, nil, err
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{
		Subject: t.Subject, URIs: t.URIs, DNSNames: t.DNSNames, IPAddresses: t.IPAddresses}, key)
	if err != nil {
		return nil, nil, err
	}
	csr, err := x509.ParseCertificateRequest(der)
	return csr, key, err
}

// RequestPEM writes a request.
func RequestPEM(csr *x509.CertificateRequest) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: csr.Raw})
}

// IssueFor makes a certificate for the key of a request, signed by ca. Its names are those of r, or without any those of
// the request; lifetime and usage are r's. What else the request asks for, such as to be a CA, is not granted. Notes say
// which names of the request were left out. The error says so when the request does not prove that its maker has the key,
// and when the key is weak.
func IssueFor(ca *Issued, csr *x509.CertificateRequest, r Request) (i *Issued, notes []string, err error) {
	if err := csr.CheckSignature(); err != nil {
		return nil, nil, errors.New("the request is not signed by its own key, so whoever made it has not shown that the key is theirs: have it made again")
	}
	if why := WeakKey(csr.PublicKey); why != "" {
		return nil, nil, fmt.Errorf("the request's key is refused: %s: have it made again with a stronger key", why)
	}
	if len(r.SIP)+len(r.DNS)+len(r.IP) == 0 {
		notes = r.namesOf(csr)
	} else if r.Name == "" {
		r.Name = first(r.SIP, r.DNS)
	}
	t, err := r.leaf(csr.PublicKey)
	if err != nil {
		return nil, nil, err
	}
	i, err = issue(ca, t, csr.PublicKey, nil)
	return i, notes, err
}

func first(lists ...[]string) string {
	for _, l := range lists {
		if len(l) > 0 {
			return l[0]
		}
	}
	return ""
}

// namesOf takes the names of a request over, and returns why it left some out.
func (r *Request) namesOf(csr *x509.CertificateRequest) (notes []string) {
	as := &x509.Certificate{Subject: csr.Subject, URIs: csr.URIs, IPAddresses: csr.IPAddresses, Extensions: csr.Extensions}
	for _, n := range domaincert.Names(as) {
		switch n.Kind {
		case domaincert.URI:
			r.SIP = append(r.SIP, n.Value)
		case domaincert.IP:
			if a, err := netip.ParseAddr(n.Value); err == nil {
				r.IP = append(r.IP, a)
			}
		case domaincert.DNS, domaincert.CN:
		}
	}
	for _, i := range domaincert.NotCounted(as) {
		if strings.HasPrefix(i.Value, "URI:") {
			notes = append(notes, clean(i.Value+" "+i.Why, 200))
		}
	}
	r.DNS = append(r.DNS, csr.DNSNames...)
	for _, m := range csr.EmailAddresses {
		notes = append(notes, clean(m+" is a mail address, which no SIP peer looks at", 200))
	}
	if r.Name == "" {
		r.Name = csr.Subject.CommonName
	}
	return notes
}

// WeakKey returns why a public key is not good enough to be certified today, or nothing.
func WeakKey(public crypto.PublicKey) string {
	switch k := public.(type) {
	case *rsa.PublicKey:
		if n := k.N.BitLen(); n < 2048 {
			return fmt.Sprintf("an RSA key of %d bits is too short, 2048 are the least", n)
		}
		if k.E < 65537 {
			return fmt.Sprintf("its public exponent is %d, 65537 is the usual one", k.E)
		}
	case *ecdsa.PublicKey:
		if n := k.Params().BitSize; n < 256 {
			return fmt.Sprintf("an elliptic curve of %d bits is too small, 256 are the least", n)
		}
	case ed25519.PublicKey:
	default:
		return fmt.Sprintf("it is a %T, not an RSA, ECDSA or Ed25519 key", public)
	}
	return ""
}
