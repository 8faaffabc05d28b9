package acme

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// held is a certificate with its key, as its file has them.
type held struct {
	leaf *x509.Certificate
	pem  []byte // chain and key
}

// serves says whether the certificate is for all the domains, now.
func (h *held) serves(domains []string) bool {
	return time.Now().Before(h.leaf.NotAfter) && !slices.ContainsFunc(domains, func(d string) bool { return h.leaf.VerifyHostname(d) != nil })
}

// load reads what was saved.
func load(file string) (*held, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	chain, key := split(data)
	if len(chain) == 0 || key == nil {
		return nil, fmt.Errorf("%s: there is no certificate with a key", file)
	}
	return &held{leaf: chain[0], pem: data}, nil
}

func split(data []byte) (chain []*x509.Certificate, key crypto.PrivateKey) {
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		if block.Type == "CERTIFICATE" {
			if c, err := x509.ParseCertificate(block.Bytes); err == nil {
				chain = append(chain, c)
			}
		} else if k, err := x509.ParsePKCS8PrivateKey(block.Bytes); err == nil {
			key = k
		}
	}
	return chain, key
}

// save puts it in the place of what was there before, all at once: whoever reads the file finds a certificate and the key
// that belongs to it.
func (h *held) save(file string) error {
	dir := filepath.Dir(file)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, ".new-*") // 0600
	if err != nil {
		return err
	}
	_, err = f.Write(h.pem)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), file)
	}
	if err != nil {
		os.Remove(f.Name())
	}
	return err
}

// obtain has a certificate issued, with a new key. What comes is looked at before it is believed.
func obtain(ctx context.Context, ca CA, o Order) (*held, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	request, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{DNSNames: o.Domains}, key)
	if err != nil {
		return nil, err
	}
	csr, err := x509.ParseCertificateRequest(request)
	if err != nil {
		return nil, err
	}
	chain, err := ca.Issue(ctx, csr)
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	certs, _ := split(chain)
	if len(certs) == 0 || !key.PublicKey.Equal(certs[0].PublicKey) {
		return nil, errors.New("the CA has sent no certificate for the key that it was asked for")
	}
	got := &held{leaf: certs[0]}
	if !got.serves(o.Domains) {
		return nil, fmt.Errorf("the CA has sent a certificate for %s until %s, which is not what it was asked for",
			strings.Join(certs[0].DNSNames, ", "), certs[0].NotAfter.UTC().Format(time.RFC3339))
	}
	got.pem = append(bytes.TrimRight(chain, "\n"), '\n')
	got.pem = append(got.pem, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})...)
	return got, nil
}
