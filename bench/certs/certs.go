// Package certs makes the certificates of a comparison: one authority, and for each of the element, the caller and the
// answerer a certificate from it that serves in both TLS roles. Each names NAME.example as DNS and SIP URI
// name (RFC 5922 §4) and, for elements that look for it, the address 127.0.0.1.
package certs

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
	"fmt"
	"math/big"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"time"
)

// Names are the parties that get a certificate; their files are NAME.pem and NAME-key.pem.
var Names = []string{"gateway", "caller", "answerer"}

// Write makes ca.pem and the parties' files in dir, with P-256 keys.
func Write(dir string) error { return WriteKeys(dir, P256) }

// A KeyMaker makes a private key.
type KeyMaker func() (crypto.Signer, error)

// P256 makes an ECDSA key on that curve.
func P256() (crypto.Signer, error) { return ecdsa.GenerateKey(elliptic.P256(), rand.Reader) }

// RSA2048 makes an RSA key of 2048 bits.
func RSA2048() (crypto.Signer, error) { return rsa.GenerateKey(rand.Reader, 2048) }

// WriteKeys is Write with keys of another kind, the authority's too.
func WriteKeys(dir string, newKey KeyMaker) error {
	key, err := newKey()
	if err != nil {
		return err
	}
	now := time.Now()
	ca := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Comparison CA"},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(30 * 24 * time.Hour),
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, ca, ca, key.Public(), key)
	if err != nil {
		return err
	}
	if ca, err = x509.ParseCertificate(der); err != nil {
		return err
	}
	if err := writePEM(filepath.Join(dir, "ca.pem"), "CERTIFICATE", der, 0o644); err != nil {
		return err
	}
	for i, name := range Names {
		if err := issue(dir, name, int64(i+2), ca, key, newKey); err != nil {
			return err
		}
	}
	return nil
}

func issue(dir, name string, serial int64, ca *x509.Certificate, caKey crypto.Signer, newKey KeyMaker) error {
	key, err := newKey()
	if err != nil {
		return err
	}
	host := name + ".example"
	c := &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: host},
		NotBefore: ca.NotBefore, NotAfter: ca.NotAfter, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		DNSNames:    []string{host}, URIs: []*url.URL{{Scheme: "sip", Opaque: host}},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, c, ca, key.Public(), caKey)
	if err != nil {
		return err
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	if err := writePEM(filepath.Join(dir, name+".pem"), "CERTIFICATE", der, 0o644); err != nil {
		return err
	}
	return writePEM(filepath.Join(dir, name+"-key.pem"), "PRIVATE KEY", secret, 0o600)
}

func writePEM(path, kind string, der []byte, mode os.FileMode) error {
	return os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), mode)
}

// Load reads a party's certificate and the authority from dir.
func Load(dir, name string) (tls.Certificate, *x509.CertPool, error) {
	cert, err := tls.LoadX509KeyPair(filepath.Join(dir, name+".pem"), filepath.Join(dir, name+"-key.pem"))
	if err != nil {
		return cert, nil, err
	}
	ca, err := os.ReadFile(filepath.Join(dir, "ca.pem"))
	if err != nil {
		return cert, nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(ca) {
		return cert, nil, fmt.Errorf("%s: no certificate in it", filepath.Join(dir, "ca.pem"))
	}
	return cert, pool, nil
}
