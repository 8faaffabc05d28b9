package revocation_test

import (
	"context"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"math/big"
	"net"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/crypto/ocsp"

	"github.com/sallyport-sip/sallyport/internal/revocation"
	"github.com/sallyport-sip/sallyport/internal/testca"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// Two CAs with one key may have given away the same number: an answer about one certificate is none about the other.
func TestAnswerNamesTheIssuer(t *testing.T) {
	ca := testca.New("One")
	other := testca.New("Two", testca.Key(ca.Key))
	leaf := ca.Leaf("leaf").Cert()
	if _, err := revocation.ParseOCSP(ca.OCSP(leaf, nil, nil), leaf, ca.Cert, time.Now()); err != nil {
		t.Fatal(err)
	}
	if _, err := revocation.ParseOCSP(other.OCSP(leaf, nil, nil), leaf, ca.Cert, time.Now()); err == nil || !strings.Contains(err.Error(), "a certificate of another CA") {
		t.Errorf("got %v", err)
	}
}

// A responder may send the CA's own certificate along, also when that is an intermediate.
func TestAnswerWithTheIssuersCertificate(t *testing.T) {
	ca := testca.New("Root").Intermediate("Issuer")
	leaf := ca.Leaf("leaf").Cert()
	self := &testca.Leaf{Chain: []*x509.Certificate{ca.Cert}, Key: ca.Key}
	a, err := revocation.ParseOCSP(ca.OCSP(leaf, self, nil), leaf, ca.Cert, time.Now())
	if err != nil || a.Status != revocation.Good {
		t.Errorf("got %v, %v", a.Status, err)
	}
}

// An answer that does not say when the next is due counts for an hour.
func TestAnswerWithoutNextUpdate(t *testing.T) {
	ca := testca.New("Root")
	leaf := ca.Leaf("leaf").Cert()
	at := time.Now().Truncate(time.Second)
	der := ca.OCSP(leaf, nil, func(r *ocsp.Response) { r.ThisUpdate, r.NextUpdate = at, time.Time{} })
	for after, want := range map[time.Duration]bool{59 * time.Minute: true, 61 * time.Minute: false} {
		if _, err := revocation.ParseOCSP(der, leaf, ca.Cert, at.Add(after)); (err == nil) != want {
			t.Errorf("after %v: %v", after, err)
		}
	}
}

// A CRL with an issuing distribution point speaks only of the certificates that it names.
func TestScopeOfACRL(t *testing.T) {
	ca := testca.New("Root")
	point := func(url string) testca.Option {
		return testca.Template(func(c *x509.Certificate) { c.CRLDistributionPoints = []string{url} })
	}
	leaf := ca.Leaf("leaf", point("http://ca.example/1.crl")).Cert()
	below := ca.Intermediate("Issuer").Cert
	const one = "http://ca.example/1.crl"
	named := append([]byte{0xa0, byte(len(one)) + 4, 0xa0, byte(len(one)) + 2, 0x86, byte(len(one))}, one...)
	for _, test := range []struct {
		name       string
		extensions []pkix.Extension
		leaf, ca   revocation.Status
	}{
		{"all", nil, revocation.Revoked, revocation.Revoked},
		{"users only", []pkix.Extension{testca.IssuingPoint(0x81, 1, 0xff)}, revocation.Revoked, revocation.Unknown},
		{"authorities only", []pkix.Extension{testca.IssuingPoint(0x82, 1, 0xff)}, revocation.Unknown, revocation.Revoked},
		{"one point", []pkix.Extension{testca.IssuingPoint(named...)}, revocation.Revoked, revocation.Unknown},
	} {
		der := ca.CRL(func(l *x509.RevocationList) { l.ExtraExtensions = test.extensions }, leaf, below)
		all, err := revocation.ParseCRLs("x.crl", der)
		if err != nil {
			t.Errorf("%s: %v", test.name, err)
			continue
		}
		lists := revocation.NewLists(all)
		if got := lists.Ask(leaf, ca.Cert, time.Now()).Status; got != test.leaf {
			t.Errorf("%s: leaf is %v, want %v", test.name, got, test.leaf)
		}
		if got := lists.Ask(below, ca.Cert, time.Now()).Status; got != test.ca {
			t.Errorf("%s: authority is %v, want %v", test.name, got, test.ca)
		}
	}
}

// What a list says in a way that is not understood is not used in part.
func TestCRLThatIsNotUnderstood(t *testing.T) {
	ca := testca.New("Root")
	unknown := pkix.Extension{Id: asn1.ObjectIdentifier{1, 2, 3}, Critical: true, Value: []byte{5, 0}}
	for name, change := range map[string]func(*x509.RevocationList){
		"list": func(l *x509.RevocationList) { l.ExtraExtensions = []pkix.Extension{unknown} },
		"entry": func(l *x509.RevocationList) {
			l.RevokedCertificateEntries = []x509.RevocationListEntry{{SerialNumber: big.NewInt(7), RevocationTime: time.Now(), ExtraExtensions: []pkix.Extension{unknown}}}
		},
	} {
		if _, err := revocation.ParseCRLs("x.crl", ca.CRL(change)); err == nil || !strings.Contains(err.Error(), "critical extension that is not understood here (1.2.3)") {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// Only public addresses are reached for what a certificate names; what a name leads to is looked at, not the name.
func TestCertificatesNamePublicAddressesOnly(t *testing.T) {
	for addr, want := range map[string]bool{
		"192.0.2.53": true, "2001:db8::53": true, "8.8.8.8": true,
		"127.0.0.1": false, "10.1.2.3": false, "172.16.0.1": false, "192.168.1.1": false, "169.254.169.254": false, "100.64.0.1": false,
		"0.0.0.0": false, "224.0.0.1": false, "255.255.255.255": false, "::1": false, "fe80::1": false, "fd00::1": false,
		"::ffff:10.0.0.1": false, "64:ff9b::a00:1": false, "2002:a00:1::": false, "::a00:1": false,
	} {
		t.Run(addr, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var dialled []string
				c := revocation.New(revocation.Options{
					Lookup: func(context.Context, string, string) ([]netip.Addr, error) {
						return []netip.Addr{netip.MustParseAddr(addr)}, nil
					},
					Dial: func(_ context.Context, _, address string) (net.Conn, error) {
						dialled = append(dialled, address)
						return nil, fmt.Errorf("nobody is there")
					},
				})
				running(t, c)
				ca := testca.New("Root")
				leaf := ca.Leaf("leaf", testca.Responders("http://ocsp.example:8080/")).Cert()
				a := c.Ask(revocation.Question{Cert: leaf, Issuer: ca.Cert, Fetch: true, Wait: time.Second})
				if got := len(dialled) == 1; got != want || a.Status != revocation.Unknown || a.Pending {
					t.Errorf("dialled %q, got %+v", dialled, a)
				}
				c.Fetch(t.Context(), leaf, ca.Cert) // a certificate of our own
				if n := len(dialled); n == 0 || dialled[n-1] != "ocsp.example:8080" {
					t.Errorf("dialled %q for a certificate of ours", dialled)
				}
			})
		})
	}
}

// running runs a Checker until the test ends.
func running(t *testing.T, c *revocation.Checker) {
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		c.Run(ctx)
		close(done)
	}()
	synctest.Wait()
	t.Cleanup(func() {
		cancel()
		<-done
	})
}

// What was stapled is known to the handshakes after it, which are not said to have carried it.
func TestStapledIsRemembered(t *testing.T) {
	ca := testca.New("Root")
	leaf := ca.Leaf("leaf").Cert()
	der := ca.OCSP(leaf, nil, func(r *ocsp.Response) { r.Status, r.RevokedAt = ocsp.Revoked, time.Now() })
	const now, before = "the OCSP answer that was stapled to the handshake", "an OCSP answer that was stapled to an earlier handshake"
	c := revocation.New(revocation.Options{})
	for range 2 {
		if a, err := c.Stapled(der, leaf, ca.Cert); err != nil || a.Status != revocation.Revoked || a.Source != now {
			t.Errorf("stapled: got %v from %q, %v", a.Status, a.Source, err)
		}
		if a := c.Ask(revocation.Question{Cert: leaf, Issuer: ca.Cert}); a.Status != revocation.Revoked || a.Source != before {
			t.Errorf("later: got %v from %q", a.Status, a.Source)
		}
	}
	good := ca.OCSP(leaf, nil, func(r *ocsp.Response) { r.ThisUpdate = r.ThisUpdate.Add(-time.Minute) })
	if a, err := c.Stapled(good, leaf, ca.Cert); err != nil || a.Status != revocation.Revoked || a.Source != before {
		t.Errorf("stapled, but older: got %v from %q, %v", a.Status, a.Source, err)
	}
}

// An answer that says nothing is none, with a Checker and without one.
func TestStapledAnswerThatSaysNothing(t *testing.T) {
	ca := testca.New("Root")
	leaf := ca.Leaf("leaf").Cert()
	for name, der := range map[string][]byte{
		"says nothing: the responder does not know the certificate": ca.OCSP(leaf, nil, func(r *ocsp.Response) { r.Status = ocsp.Unknown }),
		"does not count: it is about a certificate of another CA":   testca.New("Two", testca.Key(ca.Key)).OCSP(leaf, nil, nil),
	} {
		for _, c := range []*revocation.Checker{nil, revocation.New(revocation.Options{})} {
			if a, err := c.Stapled(der, leaf, ca.Cert); err == nil || !strings.Contains(err.Error(), name) {
				t.Errorf("checker %v: got %v, %v; want %q", c != nil, a.Status, err, name)
			}
		}
	}
}

// Whoever shows ever more certificates gets no more memory, and who waits when the Checker ends waits no more.
func TestCheckerIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ca := testca.New("Root")
		leaf := ca.Leaf("leaf", testca.Responders("http://192.0.2.53/")).Cert()
		c := revocation.New(revocation.Options{Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}, Lookup: func(context.Context, string, string) ([]netip.Addr, error) {
			return []netip.Addr{netip.MustParseAddr("192.0.2.53")}, nil
		}})
		running(t, c)
		var full, waiting int
		for i := range 5000 {
			one := *leaf
			one.Raw = fmt.Append(nil, leaf.Raw, i)
			if a := c.Ask(revocation.Question{Cert: &one, Issuer: ca.Cert, Fetch: true}); a.Pending {
				waiting++
			} else if strings.Contains(a.Why, "too many") {
				full++
			}
		}
		if waiting != 4096 || full != 5000-4096 {
			t.Errorf("%d wait, %d were turned away", waiting, full)
		}
	})
}

func FuzzParse(f *testing.F) {
	ca := testca.New("Root")
	leaf := ca.Leaf("leaf").Cert()
	f.Add(ca.OCSP(leaf, nil, nil))
	f.Add(ca.CRL(nil, leaf))
	f.Add(testca.CRLPEM(ca.CRL(nil, leaf)))
	f.Fuzz(func(t *testing.T, data []byte) {
		revocation.ParseOCSP(data, leaf, ca.Cert, time.Now())
		if all, err := revocation.ParseCRLs("x", data); err == nil {
			revocation.NewLists(all).Ask(leaf, ca.Cert, time.Now())
		}
	})
}
