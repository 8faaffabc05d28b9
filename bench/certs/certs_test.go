package certs

import (
	"crypto/x509"
	"testing"
)

func TestEveryPartyVerifiesInBothRoles(t *testing.T) {
	dir := t.TempDir()
	if err := Write(dir); err != nil {
		t.Fatal(err)
	}
	for _, name := range Names {
		cert, pool, err := Load(dir, name)
		if err != nil {
			t.Fatal(err)
		}
		for _, use := range []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth} {
			_, err := cert.Leaf.Verify(x509.VerifyOptions{DNSName: name + ".example", Roots: pool, KeyUsages: []x509.ExtKeyUsage{use}})
			if err != nil {
				t.Errorf("%s: use %v: %v", name, use, err)
			}
		}
		if len(cert.Leaf.URIs) != 1 || cert.Leaf.URIs[0].String() != "sip:"+name+".example" {
			t.Errorf("%s: URI names %v", name, cert.Leaf.URIs)
		}
	}
}
