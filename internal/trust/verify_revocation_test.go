package trust_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/crypto/ocsp"

	"github.com/sallyport-sip/sallyport/internal/config"
	"github.com/sallyport-sip/sallyport/internal/memnet"
	"github.com/sallyport-sip/sallyport/internal/revocation"
	"github.com/sallyport-sip/sallyport/internal/testca"
	"github.com/sallyport-sip/sallyport/internal/trust"
)

const responderAddr = "192.0.2.53:80"

// revoking is a world with an intermediate CA, a peer below it, and an OCSP responder of each CA.
type revoking struct {
	*world
	between   *testca.CA
	peer      *testca.Leaf
	responder testca.Responder // of the intermediate
	above     testca.Responder // of the root
	checker   *revocation.Checker
	changed   atomic.Int32
	staple    []byte // that the peer shows as server
}

// newRevoking must be called in a bubble. The responders listen at a public address that certificates name.
func newRevoking(t *testing.T, leaf ...testca.Option) *revoking {
	r := &revoking{world: newWorld(t)}
	r.between = r.root.Intermediate("Lab Issuer", testca.Responders("http://"+responderAddr+"/root"))
	r.peer = r.between.Leaf("acme", append(leaf, testca.URI("sip:acme.example"), testca.Responders("http://"+responderAddr+"/issuer"))...)
	r.responder.CA, r.above.CA = r.between, r.root
	network := memnet.New(memnet.Options{})
	l, err := network.Listen(t.Context(), netip.MustParseAddrPort(responderAddr))
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle("/issuer", &r.responder)
	mux.Handle("/root", &r.above)
	server := &http.Server{Handler: mux}
	r.checker = revocation.New(revocation.Options{
		Changed: func() { r.changed.Add(1) },
		Dial: func(ctx context.Context, _, address string) (net.Conn, error) {
			to, err := netip.ParseAddrPort(address)
			if err != nil {
				return nil, err
			}
			return network.Dial(ctx, netip.AddrPort{}, to)
		},
		Lookup: func(_ context.Context, _, host string) ([]netip.Addr, error) {
			a, err := netip.ParseAddr(host)
			return []netip.Addr{a}, err
		},
	})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{}, 2)
	go func() { r.checker.Run(ctx); done <- struct{}{} }()
	go func() { server.Serve(l); done <- struct{}{} }()
	synctest.Wait()
	t.Cleanup(func() {
		cancel()
		server.Close()
		<-done
		<-done
	})
	return r
}

// rules gives listener and peer a policy.
func (r *revoking) rules(p config.Policy) *trust.Set {
	r.t.Helper()
	p.Name = "strict"
	r.cfg.Policies = []config.Policy{p}
	r.cfg.Defaults.Policy, r.cfg.Listeners[0].Policy, r.cfg.Peers[0].Policy = "strict", "strict", "strict"
	r.cfg.Complete()
	return r.loadWith(trust.Options{Revocation: r.checker})
}

// crls puts lists into the trust.
func (r *revoking) crls(lists ...[]byte) {
	for i, der := range lists {
		name := fmt.Sprintf("crl%d.pem", i)
		r.write(name, testca.CRLPEM(der))
		r.cfg.Trust[0].CRLs = append(r.cfg.Trust[0].CRLs, r.file(name))
	}
}

// asClient and asServer shake hands with the peer in that role, and return what became of it at our side.
func (r *revoking) asClient(set *trust.Set, version uint16) error {
	_, s := meet(r.t, foreign(r.peer, version), set.ServerConfig("outside"))
	return s.err
}

func (r *revoking) asServer(set *trust.Set, version uint16) error {
	c := foreign(r.peer, version)
	c.Certificates[0].OCSPStaple = r.staple
	mine, _ := meet(r.t, set.ClientConfig("acme"), c)
	return mine.err
}

func codeOf(err error) trust.Code {
	if r, ok := errors.AsType[*trust.Refusal](err); ok {
		return r.Code
	}
	if err != nil {
		return "?"
	}
	return ""
}

var (
	soft  = config.Policy{Revocation: config.RevocationSoft}
	hard  = config.Policy{Revocation: config.RevocationHard}
	fetch = config.Policy{Revocation: config.RevocationHard, OCSP: config.OCSPFetch}
)

func stale(l *x509.RevocationList) {
	l.ThisUpdate, l.NextUpdate = time.Now().Add(-48*time.Hour), time.Now().Add(-time.Hour)
}

// Each row is met in both roles and in TLS 1.2 and 1.3.
func TestRevocation(t *testing.T) {
	const both, client, server = 3, 1, 2 // the role of the peer
	for _, test := range []struct {
		name  string
		leaf  []testca.Option
		rules config.Policy
		with  func(*revoking)
		roles int
		want  trust.Code
		text  string // in the sentence
	}{
		{"nothing known, soft", nil, soft, nil, both, "", ""},
		{"nothing known, hard", nil, hard, nil, both, trust.RevocationUnknown, `trust "partners" has no CRLs; no OCSP responder is asked`},
		{"leaf in a CRL, off", nil, config.Policy{Revocation: config.RevocationOff}, func(r *revoking) { r.crls(r.between.CRL(nil, r.peer.Cert())) }, both, "", ""},
		{"leaf in a CRL", nil, soft, func(r *revoking) { r.crls(r.between.CRL(nil, r.peer.Cert())) }, both, trust.Revoked, "certificate CN=acme was revoked by CN=Lab Issuer on 1999-12-31 (key compromise), says the CRL in"},
		{"intermediate in a CRL", nil, soft, func(r *revoking) { r.crls(r.between.CRL(nil), r.root.CRL(nil, r.between.Cert)) }, both, trust.Revoked, "certificate CN=Lab Issuer was revoked by CN=Lab Root"},
		{"fresh CRLs of all CAs, hard", nil, hard, func(r *revoking) { r.crls(r.between.CRL(nil), r.root.CRL(nil)) }, both, "", ""},
		{"a CRL of one CA only, hard", nil, hard, func(r *revoking) { r.crls(r.between.CRL(nil)) }, both, trust.RevocationUnknown, "there is no CRL of CN=Lab Root"},
		{"a stale CRL, hard", nil, hard, func(r *revoking) { r.crls(r.between.CRL(stale), r.root.CRL(nil)) }, both, trust.RevocationUnknown, "is stale: the next one was due on 1999-12-31 23:00 UTC"},
		{"a stale CRL, soft", nil, soft, func(r *revoking) { r.crls(r.between.CRL(stale), r.root.CRL(nil)) }, both, "", ""},
		{"leaf in a stale CRL, soft", nil, soft, func(r *revoking) { r.crls(r.between.CRL(stale, r.peer.Cert())) }, both, trust.Revoked, ""},
		{"a newer CRL takes a hold back", nil, soft, func(r *revoking) {
			r.crls(r.between.CRL(nil), r.between.CRL(func(l *x509.RevocationList) { l.ThisUpdate = l.ThisUpdate.Add(-time.Hour) }, r.peer.Cert()))
		}, both, "", ""},
		{"a CRL of another key in the CA's name, hard", nil, hard, func(r *revoking) {
			r.crls(testca.New("Lab Issuer").CRL(nil), r.root.CRL(nil))
		}, both, trust.RevocationUnknown, "is not signed by it"},
		{"a CRL of another key in the CA's name that lists the leaf", nil, soft, func(r *revoking) {
			r.crls(testca.New("Lab Issuer").CRL(nil, r.peer.Cert()))
		}, both, "", ""},

		{"good answer stapled, hard", nil, hard, func(r *revoking) { r.crls(r.root.CRL(nil)); r.staple = r.between.OCSP(r.peer.Cert(), nil, nil) }, server, "", ""},
		{"revoked answer stapled", nil, soft, func(r *revoking) { r.staple = r.between.OCSP(r.peer.Cert(), nil, testca.RevokedAnswer) }, server, trust.Revoked, "says the OCSP answer that was stapled"},
		{"stale answer stapled, hard", nil, hard, func(r *revoking) {
			r.crls(r.root.CRL(nil))
			r.staple = r.between.OCSP(r.peer.Cert(), nil, func(a *ocsp.Response) { a.NextUpdate = time.Now().Add(-time.Second) })
		}, server, trust.RevocationUnknown, "it is stale: it counted until"},
		{"answer of another CA stapled, hard", nil, hard, func(r *revoking) {
			r.crls(r.root.CRL(nil))
			r.staple = r.root.OCSP(r.peer.Cert(), nil, nil)
		}, server, trust.RevocationUnknown, "not signed by the CA"},
		{"answer of another CA that says revoked stapled", nil, soft, func(r *revoking) {
			r.staple = r.root.OCSP(r.peer.Cert(), nil, testca.RevokedAnswer)
		}, server, "", ""},
		{"must-staple without an answer, soft", []testca.Option{testca.MustStaple()}, soft, nil, server, trust.RevocationUnknown, "must-staple"},
		{"must-staple with a good answer", []testca.Option{testca.MustStaple()}, soft, func(r *revoking) { r.staple = r.between.OCSP(r.peer.Cert(), nil, nil) }, server, "", ""},
		{"must-staple, and nobody staples as a client", []testca.Option{testca.MustStaple()}, soft, nil, client, "", ""},
		{"must-staple without an answer, off", []testca.Option{testca.MustStaple()}, config.Policy{Revocation: config.RevocationOff}, nil, server, "", ""},

		{"responders say good, hard", nil, fetch, nil, both, "", ""},
		{"responder says the leaf was revoked, hard", nil, fetch, func(r *revoking) { r.responder.Revoke(r.peer.Cert()) }, both, trust.Revoked, "says the OCSP responder http://192.0.2.53:80/issuer"},
		{"responder says the intermediate was revoked, hard", nil, fetch, func(r *revoking) { r.above.Revoke(r.between.Cert) }, both, trust.Revoked, "certificate CN=Lab Issuer was revoked"},
		{"responder delegates", nil, fetch, func(r *revoking) {
			r.responder.By = r.between.Leaf("responder", testca.Usages(x509.ExtKeyUsageOCSPSigning))
		}, both, "", ""},
		{"responder signs without the right to", nil, fetch, func(r *revoking) {
			r.responder.By = r.between.Leaf("some server", testca.Usages(x509.ExtKeyUsageServerAuth))
		}, both, trust.RevocationUnknown, "not for signing OCSP answers"},
		{"responder of another CA", nil, fetch, func(r *revoking) {
			r.responder.By = r.root.Leaf("responder", testca.Usages(x509.ExtKeyUsageOCSPSigning))
		}, both, trust.RevocationUnknown, "whom the CA of the certificate did not allow"},
		{"responder's certificate has expired", nil, fetch, func(r *revoking) {
			r.responder.By = r.between.Leaf("responder", testca.Usages(x509.ExtKeyUsageOCSPSigning), testca.Expired())
		}, both, trust.RevocationUnknown, "out of its time"},
		{"responder does not know it", nil, fetch, func(r *revoking) { r.responder.Change(func(a *ocsp.Response) { a.Status = ocsp.Unknown }) }, both, trust.RevocationUnknown, "does not know the certificate"},
		{"responder answers about another certificate", nil, fetch, func(r *revoking) {
			r.responder.Change(func(a *ocsp.Response) { a.SerialNumber = r.between.Cert.SerialNumber })
		}, both, trust.RevocationUnknown, "cannot be read"},
		{"responder answers from the future", nil, fetch, func(r *revoking) {
			r.responder.Change(func(a *ocsp.Response) { a.ThisUpdate = time.Now().Add(time.Hour) })
		}, both, trust.RevocationUnknown, "in the future"},
		{"responder answers with an old answer", nil, fetch, func(r *revoking) {
			r.responder.Change(func(a *ocsp.Response) {
				a.ThisUpdate, a.NextUpdate = time.Now().Add(-48*time.Hour), time.Now().Add(-24*time.Hour)
			})
		}, both, trust.RevocationUnknown, "it is stale"},
		{"responder talks for ever", nil, fetch, func(r *revoking) {
			r.responder.Serve(func(w http.ResponseWriter, _ *http.Request) {
				for _, err := w.Write(make([]byte, 4096)); err == nil; _, err = w.Write(make([]byte, 4096)) {
				}
			})
		}, both, trust.RevocationUnknown, "larger than 64 KiB"},
		{"responder has another page", nil, fetch, func(r *revoking) {
			r.responder.Serve(func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("<html>welcome</html>")) })
		}, both, trust.RevocationUnknown, "cannot be read"},
		{"responder fails", nil, fetch, func(r *revoking) {
			r.responder.Serve(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(503) })
		}, both, trust.RevocationUnknown, "status 503"},
		{"responder sends on in circles", nil, fetch, func(r *revoking) {
			r.responder.Serve(func(w http.ResponseWriter, q *http.Request) {
				http.Redirect(w, q, "/issuer", http.StatusTemporaryRedirect)
			})
		}, both, trust.RevocationUnknown, "sends on more than 2 times"},
		{"responder sends on to a private address", nil, fetch, func(r *revoking) {
			r.responder.Serve(func(w http.ResponseWriter, q *http.Request) {
				http.Redirect(w, q, "http://10.0.0.1/", http.StatusTemporaryRedirect)
			})
		}, both, trust.RevocationUnknown, "10.0.0.1 has no public address"},
		{"responder sends on to a file", nil, fetch, func(r *revoking) {
			r.responder.Serve(func(w http.ResponseWriter, q *http.Request) {
				http.Redirect(w, q, "file:///etc/passwd", http.StatusTemporaryRedirect)
			})
		}, both, trust.RevocationUnknown, "no http or https address"},
		{"responder is slow, hard", nil, fetch, func(r *revoking) {
			r.responder.Serve(func(w http.ResponseWriter, q *http.Request) { <-q.Context().Done() })
		}, both, trust.RevocationUnknown, "has not answered yet"},
		{"configured responder is dead, hard", nil, config.Policy{Revocation: config.RevocationHard, OCSP: config.OCSPFetch, OCSPResponder: "http://10.0.0.1:80/"}, nil, both, trust.RevocationUnknown, "http://10.0.0.1:80/ was asked in vain"},
		{"responder is dead, soft", nil, config.Policy{OCSP: config.OCSPFetch, OCSPResponder: "http://10.0.0.1:80/"}, nil, both, "", ""},
	} {
		for _, v := range versions {
			for role, meet := range map[int]func(*revoking, *trust.Set, uint16) error{client: (*revoking).asClient, server: (*revoking).asServer} {
				if test.roles&role == 0 {
					continue
				}
				t.Run(fmt.Sprintf("%s, %s, peer is %s", test.name, tls.VersionName(v), []string{"", "client", "server"}[role]), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						r := newRevoking(t, test.leaf...)
						if test.with != nil {
							test.with(r)
						}
						began := time.Now()
						err := meet(r, r.rules(test.rules), v)
						if code := codeOf(err); code != test.want || err != nil && !strings.Contains(err.Error(), test.text) {
							t.Errorf("got %s: %v\nwant %s: %s", code, err, test.want, test.text)
						}
						if took := time.Since(began); took > 2*3*time.Second {
							t.Errorf("the handshake took %v", took)
						}
					})
				})
			}
		}
	}
}

// Under a soft policy nobody waits for a responder; when it says that a certificate was revoked, whoever keeps live
// connections is told, and the peer cannot resume its session.
func TestRevokedAfterTheHandshake(t *testing.T) {
	for _, v := range versions {
		for _, asServer := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, peer is server %v", tls.VersionName(v), asServer), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					r := newRevoking(t)
					set := r.rules(config.Policy{OCSP: config.OCSPFetch})
					theirs := foreign(r.peer, v)
					theirs.ClientSessionCache = tls.NewLRUClientSessionCache(4)
					again := func() ended {
						if asServer {
							mine, _ := meet(t, set.ClientConfig("acme"), theirs)
							return mine
						}
						_, mine := meet(t, theirs, set.ServerConfig("outside"))
						return mine
					}
					began := time.Now()
					if first := again(); first.err != nil || first.state.DidResume {
						t.Fatalf("the first handshake: %v", first.err)
					}
					if took := time.Since(began); took != 0 {
						t.Errorf("the handshake waited %v for the responder", took)
					}
					if second := again(); second.err != nil || !second.state.DidResume {
						t.Fatalf("the second handshake was not resumed, or failed: %v", second.err)
					}
					r.responder.Revoke(r.peer.Cert())
					time.Sleep(time.Hour)
					synctest.Wait()
					if n := r.changed.Load(); n != 1 {
						t.Errorf("told %d times of a revocation, want once", n)
					}
					if _, err := set.ReviewConn("acme", &tls.ConnectionState{PeerCertificates: r.peer.Chain, Version: tls.VersionTLS13}, trust.Client); codeOf(err) != trust.Revoked {
						t.Errorf("a live connection of it: %v", err)
					}
					if third := again(); codeOf(third.err) != trust.Revoked {
						t.Errorf("it resumed all the same: %v", third.err)
					}
				})
			})
		}
	}
}

// An answer is renewed before it ends, once for each certificate, and goes on to count while the responder is away.
func TestAnswersAreRenewed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRevoking(t)
		set := r.rules(fetch)
		for range 5 {
			if err := r.asClient(set, tls.VersionTLS13); err != nil {
				t.Fatal(err)
			}
		}
		if n := r.responder.Asked(); n != 1 {
			t.Errorf("the responder was asked %d times, want once", n)
		}
		time.Sleep(45 * time.Minute) // answers count for an hour
		if n := r.responder.Asked(); n != 2 {
			t.Errorf("the responder was asked %d times by now, want twice", n)
		}
		r.responder.Serve(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) })
		r.above.Serve(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) })
		time.Sleep(44 * time.Minute) // the last good answer is of minute 30
		if err := r.asClient(set, tls.VersionTLS13); err != nil {
			t.Errorf("the answer that is there does not count: %v", err)
		}
		time.Sleep(2 * time.Minute)
		if err := r.asClient(set, tls.VersionTLS13); codeOf(err) != trust.RevocationUnknown {
			t.Errorf("an answer that has ended counts: %v", err)
		}
		if n := r.responder.Asked(); n > 12 {
			t.Errorf("a responder that fails was asked %d times", n)
		}
		r.responder.Serve(nil)
		r.above.Serve(nil)
		time.Sleep(2 * time.Hour)
		if err := r.asClient(set, tls.VersionTLS13); err != nil {
			t.Errorf("the responder is back: %v", err)
		}
		asked := r.responder.Asked()
		time.Sleep(72 * time.Hour)
		if n := r.responder.Asked() - asked; n > 24*2+2 {
			t.Errorf("asked %d times about a certificate that nobody has shown for 3 days", n)
		}
	})
}

// A CRL that is wrong is found when the configuration is read.
func TestWrongCRLs(t *testing.T) {
	w := newWorld(t)
	der := w.root.CRL(nil)
	for _, test := range []struct {
		name, want string
		data       []byte
	}{
		{"nothing.pem", "the file is empty", []byte("\n")},
		{"ca.pem", "it holds no CRL", w.root.PEM()},
		{"text.txt", "it is no CRL", []byte("hello")},
		{"cut.der", "it is no CRL", der[:len(der)-3]},
		{"delta.pem", "it is a delta CRL, which is not supported", testca.CRLPEM(w.root.CRL(func(l *x509.RevocationList) {
			l.ExtraExtensions = append(l.ExtraExtensions, testca.DeltaOf(1))
		}))},
		{"indirect.der", "it is an indirect CRL, which is not supported", w.root.CRL(func(l *x509.RevocationList) {
			l.ExtraExtensions = append(l.ExtraExtensions, testca.IssuingPoint(0x84, 1, 0xff))
		})},
		{"reasons.der", "for some reasons only", w.root.CRL(func(l *x509.RevocationList) {
			l.ExtraExtensions = append(l.ExtraExtensions, testca.IssuingPoint(0x83, 2, 6, 0x40))
		})},
		{"forged.der", `it has the name of CN=Lab Root, and is not signed by it`, testca.New("Lab Root").CRL(nil)},
		{"good.der", "", der},
		{"good.pem", "", append(testca.CRLPEM(der), testca.CRLPEM(testca.New("Other").CRL(nil))...)},
		{"stale.pem", "", testca.CRLPEM(w.root.CRL(stale))},
		{"missing.pem", "there is no such file", nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			if test.data != nil {
				w.write(test.name, test.data)
			}
			w.cfg.Trust[0].CRLs = []string{w.file(test.name)}
			problems := trust.Check(w.cfg)
			if test.want == "" && len(problems) != 0 {
				t.Errorf("got %v", problems)
			}
			if test.want != "" && (len(problems) != 1 || !strings.Contains(problems[0].String(), `trust "partners": CRL "`+w.file(test.name)+`": `) || !strings.Contains(problems[0].String(), test.want)) {
				t.Errorf("got %v, want %s", problems, test.want)
			}
		})
	}
}

// Another CRL changes the fingerprint, so that a reload judges live connections again.
func TestCRLsAreInTheFingerprint(t *testing.T) {
	w := newWorld(t)
	before := w.load()
	w.write("crl.der", w.root.CRL(nil))
	w.cfg.Trust[0].CRLs = []string{w.file("crl.der")}
	with := w.load()
	w.write("crl.der", w.root.CRL(nil, w.root.Cert))
	after := w.load()
	a, b, c := before.Fingerprint("acme"), with.Fingerprint("acme"), after.Fingerprint("acme")
	if a == b || b == c || a == c {
		t.Errorf("got %s, %s, %s", a, b, c)
	}
	if before.ListenerFingerprint("outside") == with.ListenerFingerprint("outside") {
		t.Error("the listener's is the same")
	}
}

// What is not known of a certificate whose CA tells is said; of one whose CA does not tell there is nothing to say.
func TestRevocationNote(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRevoking(t)
		set := r.rules(soft)
		v, err := set.VerifyPeer("acme", r.peer.Chain, trust.Client)
		if note := strings.Join(v.Notes, "; "); err != nil || !strings.Contains(note, "nothing fresh says whether CN=acme was revoked") || !strings.Contains(note, "CN=Lab Issuer") {
			t.Errorf("got %q, %v", note, err)
		}
		quiet := r.root.Leaf("acme", testca.URI("sip:acme.example"))
		v, err = set.VerifyPeer("acme", quiet.Chain, trust.Client)
		if note := strings.Join(v.Notes, "; "); err != nil || note != "" {
			t.Errorf("got %q, %v", note, err)
		}
	})
}
