package testca

import (
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// verify checks l as a TLS server named acme.example against root, with the intermediates that l carries.
func verify(l *Leaf, root *CA) error {
	opts := x509.VerifyOptions{DNSName: "acme.example", Roots: root.Pool(), Intermediates: x509.NewCertPool()}
	for _, c := range l.Chain[1:] {
		opts.Intermediates.AddCert(c)
	}
	_, err := l.Cert().Verify(opts)
	return err
}

func TestLeafVerifiesOnTheClockOfABubble(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		root := New("Test Root")
		if err := verify(root.Leaf("acme.example"), root); err != nil {
			t.Error(err)
		}
		below := root.Intermediate("Test Issuer").Intermediate("Test Issuer 2").Leaf("acme.example")
		if err := verify(below, root); err != nil || len(below.Chain) != 3 {
			t.Errorf("chain of %d below two intermediates: %v", len(below.Chain), err)
		}
		if err := verify(below.Alone(), root); err == nil {
			t.Error("a leaf without its intermediates verified")
		}
		time.Sleep(49 * time.Hour)
		var invalid x509.CertificateInvalidError
		if err := verify(below, root); !errors.As(err, &invalid) || invalid.Reason != x509.Expired {
			t.Errorf("after its lifetime: %v, want expired", err)
		}
	})
}

func TestWrongLeaves(t *testing.T) {
	t.Parallel()
	root := New("Test Root")
	for name, l := range map[string]*Leaf{
		"expired":       root.Leaf("acme.example", Expired()),
		"not yet valid": root.Leaf("acme.example", NotYetValid()),
		"other name":    root.Leaf("other.example"),
		"common name":   root.Leaf("acme.example", CommonNameOnly()),
		"wrong usage":   root.Leaf("acme.example", Usages(x509.ExtKeyUsageClientAuth)),
		"self-signed":   SelfSigned("acme.example"),
		"other root":    New("Test Root").Leaf("acme.example"),
	} {
		if err := verify(l, root); err == nil {
			t.Errorf("%s: verified", name)
		}
	}
}

func TestPEMLoads(t *testing.T) {
	t.Parallel()
	l := New("Test Root").Intermediate("Test Issuer").Leaf("acme.example", RSA(2048), URI("sip:acme.example"), IP("192.0.2.1"))
	pair, err := tls.X509KeyPair(l.PEM(), l.KeyPEM())
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := pair.PrivateKey.(*rsa.PrivateKey); !ok || len(pair.Certificate) != 2 {
		t.Errorf("key %T and %d certificates, want RSA and 2", pair.PrivateKey, len(pair.Certificate))
	}
	c := l.Cert()
	if len(c.URIs) != 1 || c.URIs[0].String() != "sip:acme.example" || len(c.IPAddresses) != 1 || len(c.DNSNames) != 0 {
		t.Errorf("names %v %v %v", c.URIs, c.IPAddresses, c.DNSNames)
	}
}
