package trust_test

import (
	"crypto/tls"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/sallyport-sip/sallyport/internal/config"
	"github.com/sallyport-sip/sallyport/internal/testca"
	"github.com/sallyport-sip/sallyport/internal/trust"
)

// automatic has the world's identity get its certificate by ACME.
func (w *world) automatic() (file string) {
	w.t.Helper()
	w.cfg.Data = w.dir
	w.cfg.Identities[0] = config.Identity{Name: "gateway", ACME: config.ACME{Domains: []string{"GW.example"}, TermsAgreed: true}}
	w.cfg.Complete()
	return w.cfg.Identities[0].Certificate
}

// both puts a certificate and its key into one file.
func (w *world) both(file string, l *testca.Leaf) {
	w.t.Helper()
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		w.t.Fatal(err)
	}
	if err := os.WriteFile(file, slices.Concat(l.PEM(), l.KeyPEM()), 0o600); err != nil {
		w.t.Fatal(err)
	}
}

// Until the CA has issued one, handshakes end in both roles with what they wait for; what is in the file and cannot be
// used is as nothing, so that a gateway starts which has been off for long.
func TestIdentityWithoutACertificateYet(t *testing.T) {
	t.Parallel()
	for name, put := range map[string]func(w *world, file string){
		"none":    func(*world, string) {},
		"expired": func(w *world, file string) { w.both(file, w.root.Leaf("gw.example", testca.Expired())) },
		"garbage": func(w *world, file string) {
			w.both(file, w.root.Leaf("gw.example"))
			if err := os.WriteFile(file, []byte("garbage"), 0o600); err != nil {
				w.t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			file := w.automatic()
			put(w, file)
			waiting := w.load()
			far := func(v uint16) *tls.Config {
				c := foreign(w.root.Leaf("acme.example"), v)
				c.ClientAuth = tls.RequireAnyClientCert
				return c
			}
			for _, v := range versions {
				roles(t, waiting, far(v), func(t *testing.T, we trust.Role, ours ended) {
					r, ok := errors.AsType[*trust.Refusal](ours.err)
					if !ok || r.Code != trust.NoCertificateYet || r.Reason != "our identity gateway has no certificate yet: it gets one by ACME" || !strings.Contains(r.Remedy, `"acme gateway"`) {
						t.Errorf("%s: %v", tls.VersionName(v), ours.err)
					}
				})
			}
			w.both(file, w.root.Leaf("gw.example"))
			set := w.load()
			for _, v := range versions {
				roles(t, set, far(v), func(t *testing.T, we trust.Role, ours ended) {
					if ours.err != nil {
						t.Errorf("%s, with a certificate: %v", tls.VersionName(v), ours.err)
					}
				})
			}
			if waiting.Fingerprint("acme") == set.Fingerprint("acme") || waiting.ListenerFingerprint("outside") == set.ListenerFingerprint("outside") {
				t.Error("the certificate does not show in the fingerprint")
			}
		})
	}
}

// Nobody is shown the certificate of another identity in its place.
func TestPendingIdentityBesideAnother(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		pendingIsOwn bool
		sni          config.SNI
		asks         string
		code         trust.Code // empty: "other.example" is shown
	}{
		{true, config.SNIAny, "gw.example", trust.NoCertificateYet},
		{true, config.SNIAny, "", trust.NoCertificateYet},
		{true, config.SNIAny, "third.example", trust.NoCertificateYet},
		{true, config.SNIAny, "other.example", ""},
		{true, config.SNIStrict, "third.example", trust.UnrecognizedName},
		{false, config.SNIAny, "gw.example", trust.NoCertificateYet},
		{false, config.SNIAny, "", ""},
		{false, config.SNIAny, "third.example", ""},
		{false, config.SNIStrict, "gw.example", trust.NoCertificateYet},
		{false, config.SNIStrict, "third.example", trust.UnrecognizedName},
	} {
		w := newWorld(t)
		w.automatic()
		w.write("other.pem", w.root.Leaf("other.example").PEM())
		other := w.root.Leaf("other.example")
		w.write("other.pem", slices.Concat(other.PEM(), other.KeyPEM()))
		w.cfg.Identities = append(w.cfg.Identities, config.Identity{Name: "other", Certificate: w.file("other.pem"), Key: w.file("other.pem")})
		l := &w.cfg.Listeners[0]
		l.SNI = tt.sni
		if l.Identity, l.Identities = "gateway", []string{"other"}; !tt.pendingIsOwn {
			l.Identity, l.Identities = "other", []string{"gateway"}
		}
		client := foreign(w.root.Leaf("acme.example"), 0)
		client.ServerName = tt.asks
		c, s := meet(t, client, w.load().ServerConfig("outside"))
		if got := reason(s, trust.Server); got != tt.code {
			t.Errorf("%+v: got %q, %v", tt, got, s.err)
		} else if tt.code == "" && c.state.PeerCertificates[0].Subject.CommonName != "other.example" {
			t.Errorf("%+v: saw %v", tt, c.state.PeerCertificates[0].Subject)
		}
	}
}

// A CA that comes by tls-alpn-01 is answered by any TLS listener, with nothing of the listener's own rules; anybody else
// who names that protocol is a client like any other.
func TestChallengeOnAListener(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	answer := w.root.Leaf("gw.example").TLS()
	set := w.loadWith(trust.Options{Challenge: func(h *tls.ClientHelloInfo) (*tls.Certificate, error) {
		if h.ServerName != "gw.example" {
			return nil, errors.New("not asked")
		}
		return &answer, nil
	}})
	for _, v := range versions {
		ca := foreign(nil, v)
		ca.NextProtos = []string{trust.ValidationProtocol}
		c, s := meet(t, ca, set.ServerConfig("outside"))
		if c.err != nil || s.err != nil || c.state.NegotiatedProtocol != trust.ValidationProtocol || !c.state.PeerCertificates[0].Equal(answer.Leaf) {
			t.Errorf("%s: %v, %v", tls.VersionName(v), c.err, s.err)
		}
		for _, change := range []func(c *tls.Config){
			func(c *tls.Config) { c.ServerName = "other.example" },
			func(c *tls.Config) { c.NextProtos = append(c.NextProtos, "sip") },
			func(c *tls.Config) { c.NextProtos = nil },
		} {
			other := ca.Clone()
			change(other)
			_, s := meet(t, other, set.ServerConfig("outside"))
			if got := reason(s, trust.Server); got != trust.NoClientCertificate {
				t.Errorf("%s: got %q, %v", tls.VersionName(v), got, s.err)
			}
		}
	}
}
