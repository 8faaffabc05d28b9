package trust_test

import (
	"bytes"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sallyport-sip/sallyport/internal/config"
	"github.com/sallyport-sip/sallyport/internal/testca"
	"github.com/sallyport-sip/sallyport/internal/trust"
)

func TestIssuedCertificatesServeBothRoles(t *testing.T) {
	t.Parallel()
	for _, kind := range []trust.KeyKind{trust.P256, trust.RSA2048} {
		ca, err := trust.NewCA(trust.Request{Name: "Demo CA", Key: kind})
		if err != nil {
			t.Fatal(err)
		}
		ours, err := trust.Issue(ca, trust.Request{Name: "Gateway", SIP: []string{"gw.example"}, DNS: []string{"gw1.example"}, IP: []netip.Addr{netip.MustParseAddr("127.0.0.1")}, Key: kind})
		if err != nil {
			t.Fatal(err)
		}
		theirs, err := trust.Issue(ca, trust.Request{SIP: []string{"acme.example"}, Key: kind})
		if err != nil {
			t.Fatal(err)
		}
		w := newWorld(t)
		if err := ca.Write(w.file("ca.pem"), w.file("ca-key.pem"), true); err != nil {
			t.Fatal(err)
		}
		if err := ours.Write(w.file("gw.pem"), w.file("gw-key.pem"), true); err != nil {
			t.Fatal(err)
		}
		set := w.load()
		peer := &tls.Config{Certificates: []tls.Certificate{theirs.TLS()}, ClientAuth: tls.RequireAnyClientCert, InsecureSkipVerify: true}
		if c, s := meet(t, set.ClientConfig("acme"), peer); c.err != nil || s.err != nil {
			t.Errorf("%s, client: %v %v", kind, c.err, s.err)
		}
		c, s := meet(t, peer, set.ServerConfig("outside"))
		if c.err != nil || s.err != nil {
			t.Fatalf("%s, server: %v %v", kind, c.err, s.err)
		}
		if _, isRSA := c.state.PeerCertificates[0].PublicKey.(*rsa.PublicKey); isRSA != (kind == trust.RSA2048) {
			t.Errorf("%s: the key is %T", kind, c.state.PeerCertificates[0].PublicKey)
		}
		leaf := ours.Chain[0]
		if leaf.Subject.CommonName != "Gateway" || leaf.URIs[0].String() != "sip:gw.example" || leaf.DNSNames[0] != "gw1.example" || leaf.IPAddresses[0].String() != "127.0.0.1" {
			t.Errorf("names %v %v %v %v", leaf.Subject, leaf.URIs, leaf.DNSNames, leaf.IPAddresses)
		}
	}
}

func TestSelfSignedForTwoSides(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ours, err := trust.SelfSigned(trust.Request{DNS: []string{"gw.example"}})
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := trust.SelfSigned(trust.Request{SIP: []string{"acme.example"}})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(ours.Write(w.file("gw.pem"), w.file("gw-key.pem"), true), theirs.Write(w.file("ca.pem"), w.file("acme-key.pem"), false)); err == nil || !strings.Contains(err.Error(), "--force") {
		t.Errorf("an existing file: %v", err)
	}
	if err := theirs.Write(w.file("ca.pem"), w.file("acme-key.pem"), true); err != nil {
		t.Fatal(err)
	}
	// What a peer's strict TLS library does: our certificate is its only root.
	pool := x509.NewCertPool()
	pool.AddCert(ours.Chain[0])
	peer := &tls.Config{Certificates: []tls.Certificate{theirs.TLS()}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: pool}
	if c, s := meet(t, w.load().ClientConfig("acme"), peer); c.err != nil || s.err != nil {
		t.Errorf("%v %v", c.err, s.err)
	}
}

func TestLifetimes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ca, err := trust.NewCA(trust.Request{Name: "Short CA", Days: 10})
		if err != nil {
			t.Fatal(err)
		}
		for days, want := range map[int]time.Duration{3: 3 * 24 * time.Hour, 0: 10 * 24 * time.Hour, 20: 10 * 24 * time.Hour} {
			l, err := trust.Issue(ca, trust.Request{DNS: []string{"a.example"}, Days: days})
			if err != nil {
				t.Fatal(err)
			}
			if got := time.Until(l.Chain[0].NotAfter); got != want {
				t.Errorf("%d days: ends in %v, want %v (the CA ends in 10 days)", days, got, want)
			}
			if time.Until(l.Chain[0].NotBefore) >= 0 {
				t.Errorf("begins at %v", l.Chain[0].NotBefore)
			}
		}
		time.Sleep(11 * 24 * time.Hour)
		if _, err := trust.Issue(ca, trust.Request{DNS: []string{"a.example"}}); err == nil || !strings.Contains(err.Error(), "expired") {
			t.Errorf("an expired CA: %v", err)
		}
	})
}

func TestRequestsThatCannotBe(t *testing.T) {
	t.Parallel()
	ca, err := trust.NewCA(trust.Request{Name: "CA"})
	if err != nil {
		t.Fatal(err)
	}
	for want, r := range map[string]trust.Request{
		"common name alone":        {Name: "gw.example"},
		`"gw example" is not`:      {DNS: []string{"gw example"}},
		`"sip:gw.example" is not`:  {SIP: []string{"sip:gw.example"}},
		`"*.gw.example" is not`:    {SIP: []string{"*.gw.example"}},
		`"bücher.example" is not`:  {DNS: []string{"bücher.example"}},
		`"192.0.2.1" is an`:        {DNS: []string{"192.0.2.1"}},
		"no lifetime":              {DNS: []string{"a.example"}, Days: -1},
		"no kind of key":           {DNS: []string{"a.example"}, Key: "dsa"},
		"at most 253":              {DNS: []string{strings.Repeat("a.", 130) + "example"}},
		`"acme.example." is not a`: {DNS: []string{"acme.example."}},
	} {
		if _, err := trust.Issue(ca, r); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %q", r, err, want)
		}
	}
	leaf, err := trust.Issue(ca, trust.Request{DNS: []string{"a.example"}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := trust.Issue(leaf, trust.Request{DNS: []string{"b.example"}}); err == nil {
		t.Error("a leaf signed a certificate")
	}
	if _, err := trust.NewCA(trust.Request{}); err == nil {
		t.Error("a CA without a name")
	}
	long, err := trust.SelfSigned(trust.Request{DNS: []string{strings.Repeat("a.", 40) + "example"}})
	if err != nil || long.Chain[0].Subject.CommonName != "" {
		t.Errorf("a name too long for a common name: %v", err)
	}
}

func TestWriteAndReadBack(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "ca.pem"), filepath.Join(dir, "ca-key.pem")
	ca, err := trust.NewCA(trust.Request{Name: "CA"})
	if err != nil {
		t.Fatal(err)
	}
	if err := ca.Write(cert, key, false); err != nil {
		t.Fatal(err)
	}
	back, err := trust.ReadIssued(cert, key, nil)
	if err != nil {
		t.Fatal(err)
	}
	if !back.Chain[0].Equal(ca.Chain[0]) {
		t.Error("another certificate came back")
	}
	before, err := os.ReadFile(cert)
	if err != nil {
		t.Fatal(err)
	}
	other, err := trust.NewCA(trust.Request{Name: "Other"})
	if err != nil {
		t.Fatal(err)
	}
	// Neither file is touched when one is there, whichever it is.
	for _, gone := range []string{key, cert} {
		if err := os.Rename(gone, gone+".away"); err != nil {
			t.Fatal(err)
		}
		if err := other.Write(cert, key, false); err == nil {
			t.Error("an existing file was replaced")
		}
		if _, err := os.Stat(gone); err == nil {
			t.Errorf("%s was left behind", gone)
		}
		if err := os.Rename(gone+".away", gone); err != nil {
			t.Fatal(err)
		}
	}
	if after, _ := os.ReadFile(cert); !bytes.Equal(before, after) {
		t.Error("the certificate has changed")
	}
	if err := os.Chmod(key, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := other.Write(cert, key, true); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(key); runtime.GOOS != "windows" && (err != nil || info.Mode().Perm() != 0o600) {
		t.Errorf("mode %v of the key, %v", info.Mode(), err)
	}
	if info, err := os.Stat(cert); runtime.GOOS != "windows" && (err != nil || info.Mode().Perm() != 0o644) {
		t.Errorf("mode %v of the certificate, %v", info.Mode(), err)
	}
	if err := other.Write(cert, cert, true); err == nil {
		t.Error("certificate and key in one file")
	}
	write(t, key, testca.SelfSigned("x.example").KeyPEM())
	if _, err := trust.ReadIssued(cert, key, nil); err == nil || !strings.Contains(err.Error(), "does not belong") {
		t.Errorf("another key: %v", err)
	}
	for _, files := range [][2]string{{filepath.Join(dir, "none.pem"), key}, {cert, cert}} {
		if _, err := trust.ReadIssued(files[0], files[1], nil); err == nil {
			t.Errorf("%v was read", files)
		}
	}
}

func TestIssueBelowAnIntermediate(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	root := testca.New("Lab Root")
	issuer := root.Intermediate("Lab Issuer")
	cert, key := filepath.Join(dir, "ca.pem"), filepath.Join(dir, "key.pem")
	write(t, cert, issuer.PEM())
	write(t, key, (&testca.Leaf{Key: issuer.Key}).KeyPEM())
	ca, err := trust.ReadIssued(cert, key, nil)
	if err != nil {
		t.Fatal(err)
	}
	l, err := trust.Issue(ca, trust.Request{SIP: []string{"a.example"}, Usage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	if err != nil {
		t.Fatal(err)
	}
	if len(l.Chain) != 2 || !l.Chain[1].Equal(issuer.Cert) {
		t.Fatalf("chain of %d, want the intermediate behind the leaf", len(l.Chain))
	}
	anchors, err := trust.NewAnchors(`"lab"`, []*x509.Certificate{root.Cert}, false)
	if err != nil {
		t.Fatal(err)
	}
	p := trust.Policy{Anchors: anchors, Names: []string{"a.example"}, Rules: new(config.Config).PolicyOf("")}
	if _, err := p.Verify(l.Chain, trust.Client); err != nil {
		t.Error(err)
	}
	if _, err := p.Verify(l.Chain, trust.Server); err == nil {
		t.Error("a certificate for clients only was accepted from a server")
	}
}
