package cli

import (
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sallyport-sip/sallyport/internal/testca"
	"github.com/sallyport-sip/sallyport/internal/trust"
	"github.com/sallyport-sip/sallyport/sip/transport"
)

// What --save-trust keeps, and what must be said before: nothing becomes a trust because nobody looked.
func TestSaveTrust(t *testing.T) {
	const year = 8766 * time.Hour
	valid, name := testca.Valid(-40*year, year), testca.URI(pbxURI) // now, and in the year of a bubble
	ca := testca.New("Public CA", valid)
	sub := ca.Intermediate("Sub CA", valid)
	own, issued, alone := testca.SelfSigned("pbx", name, valid), sub.Leaf("pbx", name, valid), sub.Leaf("pbx", name, valid).Alone()
	foreign := &testca.Leaf{Chain: []*x509.Certificate{own.Cert(), testca.New("Stranger", valid).Cert}, Key: own.Key}
	const authority = "It is an authority's"
	for _, tt := range []struct {
		name        string
		shown       *testca.Leaf // nil: plain SIP
		fingerprint func(of *x509.Certificate) string
		yes         bool
		kept        *x509.Certificate // nil: nothing
		says        string
		warns       bool
	}{
		{name: "nobody is asked", shown: own, says: "nobody can be asked here"},
		{name: "right fingerprint", shown: own, fingerprint: colons, kept: own.Cert(), says: "kept in kept.pem: CN=pbx"},
		{name: "right fingerprint, plain", shown: own, fingerprint: sumOf, kept: own.Cert()},
		{name: "part of the fingerprint", shown: own, fingerprint: func(c *x509.Certificate) string { return sumOf(c)[:16] }, says: "the fingerprint is another one"},
		{name: "fingerprint of another", shown: own, fingerprint: func(*x509.Certificate) string { return sumOf(ca.Cert) }, says: "the fingerprint is another one"},
		{name: "fingerprint of the leaf below", shown: issued, fingerprint: func(*x509.Certificate) string { return sumOf(issued.Cert()) }, says: "the fingerprint is another one", warns: true},
		{name: "whatever was shown", shown: own, yes: true, kept: own.Cert()},
		{name: "an authority", shown: issued, yes: true, kept: sub.Cert, says: "kept in kept.pem: CN=Sub CA", warns: true},
		{name: "a leaf alone", shown: alone, yes: true, kept: alone.Cert()},
		{name: "a stranger's authority behind it", shown: foreign, yes: true, kept: own.Cert()},
		{name: "no certificate", yes: true, says: "the server has shown no certificate"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Chdir(t.TempDir())
			synctest.Test(t, func(t *testing.T) {
				l := newLab(t)
				if tt.shown == nil {
					l.raw(func(c net.Conn) { _, _ = io.WriteString(c, "SIP/2.0 400 Bad Request\r\n\r\n") })
				} else {
					l.serve(transport.TLS, pbxAt, &tls.Config{Certificates: []tls.Certificate{tt.shown.TLS()}}, nil)
				}
				r := l.run()
				var out bytes.Buffer
				p := &probing{app: &app{stdin: strings.NewReader("y\n"), stderr: &out}, save: "kept.pem", yes: tt.yes}
				if tt.fingerprint != nil {
					p.fingerprint = tt.fingerprint(tt.shown.Cert())
				}
				err := p.keep(r)
				if err != nil {
					out.WriteString(err.Error())
				}
				if (err == nil) != (tt.kept != nil) || !strings.Contains(out.String(), tt.says) || strings.Contains(out.String(), authority) != tt.warns {
					t.Errorf("%v: %s", err, out.String())
				}
				if tt.kept == nil {
					if _, err := os.Lstat("kept.pem"); err == nil {
						t.Error("a file was written")
					}
					return
				}
				certs, err := trust.ReadCertificates("kept.pem")
				if err != nil || len(certs) != 1 || !certs[0].Equal(tt.kept) {
					t.Fatalf("kept %v, %v", certs, err)
				}
				if err := p.keep(r); err == nil || notThere("kept.pem") == nil {
					t.Error("a file was replaced")
				}
				l.target.Trust = []string{"kept.pem"}
				if r := l.run(); !r.Well {
					t.Errorf("with it as trust: %s", r.Verdict)
				}
			})
		})
	}
}

func sumOf(c *x509.Certificate) string {
	sum := sha256.Sum256(c.Raw)
	return hex.EncodeToString(sum[:])
}

func colons(c *x509.Certificate) string { return spaced(sumOf(c)) }
