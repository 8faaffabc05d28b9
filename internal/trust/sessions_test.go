package trust_test

import (
	"crypto/tls"
	"crypto/x509"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/sallyport-sip/sallyport/internal/config"
	"github.com/sallyport-sip/sallyport/internal/testca"
	"github.com/sallyport-sip/sallyport/internal/trust"
)

// anyName is a client's cache that offers the last session whatever name the connection is for, as no honest client does.
type anyName struct {
	last atomic.Pointer[tls.ClientSessionState]
}

func (a *anyName) Get(string) (*tls.ClientSessionState, bool) {
	s := a.last.Load()
	return s, s != nil
}

func (a *anyName) Put(_ string, s *tls.ClientSessionState) { a.last.Store(s) }

// A session is taken up under the name alone for which it was opened (RFC 6066 §3): neither does another identity go on
// with it, nor does a strict listener let a name in that it does not have.
func TestSessionIsOfOneName(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	tenant := w.root.Leaf("tenant.example")
	w.write("tenant.pem", append(tenant.PEM(), tenant.KeyPEM()...))
	w.cfg.Identities = append(w.cfg.Identities, config.Identity{Name: "tenant", Certificate: w.file("tenant.pem"), Key: w.file("tenant.pem")})
	w.cfg.Listeners[0].Identities = []string{"tenant"}
	strict := w.cfg.Listeners[0]
	strict.Name, strict.SNI = "strict", config.SNIStrict
	w.cfg.Listeners = append(w.cfg.Listeners, strict)
	w.cfg.Complete()
	set := w.load()
	for _, v := range versions {
		for _, tt := range []struct {
			listener, first, second string
			resumed, refused        bool
		}{
			{"outside", "gw.example", "gw.example", true, false},
			{"outside", "gw.example", "GW.example", true, false},
			{"outside", "", "", true, false},
			{"outside", "gw.example", "tenant.example", false, false},
			{"outside", "tenant.example", "gw.example", false, false},
			{"outside", "gw.example", "", false, false},
			{"outside", "", "gw.example", false, false},
			{"outside", "gw.example", "nobody.example", false, false},
			{"strict", "tenant.example", "tenant.example", true, false},
			{"strict", "tenant.example", "nobody.example", false, true},
			{"strict", "", "nobody.example", false, true},
		} {
			far := foreign(w.root.Leaf("acme.example"), v)
			far.ClientSessionCache = new(anyName)
			far.ServerName = tt.first
			if c, s := meet(t, far, set.ServerConfig(tt.listener)); c.err != nil || s.err != nil {
				t.Fatal(c.err, s.err)
			}
			far.ServerName = tt.second
			c, s := meet(t, far, set.ServerConfig(tt.listener))
			if tt.refused {
				if s.err == nil || c.err == nil || !strings.Contains(c.err.Error(), "unrecognized name") {
					t.Errorf("%s, %s after %q for %q: got %v, want alert unrecognized_name", tls.VersionName(v), tt.listener, tt.first, tt.second, c.err)
				}
			} else if s.err != nil || s.state.DidResume != tt.resumed {
				t.Errorf("%s, %s after %q for %q: %+v, %v", tls.VersionName(v), tt.listener, tt.first, tt.second, s.state, s.err)
			}
		}
	}
}

// Whoever a reload shuts out has no session that lets it in again: it is not taken up, and had it been, it would be
// refused for the same reason as a whole handshake.
func TestNobodyResumesPastANewRule(t *testing.T) {
	t.Parallel()
	of := func(p config.Policy) func(*world, *testca.Leaf) {
		return func(w *world, _ *testca.Leaf) { w.policies(config.Policy{}, p) }
	}
	list := func(revocation config.Revocation, listed bool) func(*world, *testca.Leaf) {
		return func(w *world, l *testca.Leaf) {
			var revoked []*x509.Certificate
			if listed {
				revoked = append(revoked, l.Cert())
			}
			w.write("ca.crl", w.root.CRL(nil, revoked...))
			w.cfg.Trust[0].CRLs = []string{w.file("ca.crl")}
			w.policies(config.Policy{Revocation: revocation}, config.Policy{Revocation: revocation})
		}
	}
	for _, tt := range []struct {
		name           string
		leaf           []testca.Option
		before, after  func(*world, *testca.Leaf)
		server, client trust.Code // for what it shows as that; empty: accepted
	}{
		{"pins", nil, of(config.Policy{}), func(w *world, _ *testca.Leaf) { w.cfg.Peers[0].Pins = []config.Pin{config.KeyPin(w.root.Cert)} },
			trust.PinMismatch, trust.PinMismatch},
		{"names", nil, of(config.Policy{}), func(w *world, _ *testca.Leaf) { w.cfg.Peers[0].CertificateNames = []string{"other.example"} },
			trust.NameMismatch, trust.NameMismatch},
		{"require_sip_domain", nil, of(config.Policy{}), of(config.Policy{RequireSIPDomain: true}), trust.NotForSIP, trust.NotForSIP},
		{"server_usage", []testca.Option{testca.Usages(x509.ExtKeyUsageServerAuth)}, of(config.Policy{ServerUsage: true}), of(config.Policy{}),
			"", trust.WrongUsage},
		{"common_name", []testca.Option{testca.CommonNameOnly()}, of(config.Policy{CommonName: true}), of(config.Policy{}),
			trust.NameInCommonName, trust.NameInCommonName},
		{"wildcards", []testca.Option{testca.DNS("*.acme.example")}, func(w *world, _ *testca.Leaf) {
			w.cfg.Peers[0].CertificateNames = []string{"gw.acme.example"}
			w.policies(config.Policy{}, config.Policy{Wildcards: true})
		}, of(config.Policy{}), trust.WildcardName, trust.WildcardName},
		{"trust", nil, of(config.Policy{}), func(w *world, _ *testca.Leaf) { w.write("ca.pem", testca.New("Other Root").PEM()) },
			trust.UnknownCA, trust.UnknownCA},
		{"revocation", nil, list(config.RevocationOff, true), list(config.RevocationSoft, true), trust.Revoked, trust.Revoked},
		{"a CRL", nil, list(config.RevocationSoft, false), list(config.RevocationSoft, true), trust.Revoked, trust.Revoked},
		{"revocation: hard", nil, of(config.Policy{}), func(w *world, _ *testca.Leaf) {
			w.policies(config.Policy{Revocation: config.RevocationHard}, config.Policy{Revocation: config.RevocationHard})
		}, trust.RevocationUnknown, trust.RevocationUnknown},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			for _, v := range versions {
				w := newWorld(t)
				leaf := w.root.Leaf("acme.example", tt.leaf...)
				tt.before(w, leaf)
				before := w.load()
				theirs, far := foreign(leaf, v), foreign(leaf, v)
				theirs.ClientSessionCache = tls.NewLRUClientSessionCache(4)
				var resumed [2]*tls.ConnectionState // in which we were the client, and the server
				for range 2 {
					c, _ := meet(t, before.ClientConfig("acme"), far)
					_, s := meet(t, theirs, before.ServerConfig("outside"))
					checkCode(t, "before, server", c.err, "")
					checkCode(t, "before, client", s.err, "")
					resumed = [2]*tls.ConnectionState{c.state, s.state}
				}
				if !resumed[0].DidResume || !resumed[1].DidResume {
					t.Fatal("nothing was resumed: the test shows nothing")
				}
				tt.after(w, leaf)
				now := w.loadWith(trust.Options{Before: before})
				_, err := now.VerifyConn("acme", resumed[0], trust.Server)
				checkCode(t, "resumed all the same, server", err, tt.server)
				_, err = now.VerifyConn("acme", resumed[1], trust.Client)
				checkCode(t, "resumed all the same, client", err, tt.client)

				c, _ := meet(t, now.ClientConfig("acme"), far)
				_, s := meet(t, theirs, now.ServerConfig("outside"))
				checkCode(t, "now, server", c.err, tt.server)
				if s.err == nil {
					if s.state.DidResume {
						t.Errorf("%s: as server we have taken the session up", tls.VersionName(v))
					}
					_, s.err = now.VerifyConn("acme", s.state, trust.Client)
				}
				checkCode(t, "now, client", s.err, tt.client)
				if c.err == nil && c.state.DidResume {
					t.Errorf("%s: as client we have taken the session up", tls.VersionName(v))
				}
			}
		})
	}
}
