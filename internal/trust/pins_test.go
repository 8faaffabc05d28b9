package trust_test

import (
	"crypto/x509"
	"errors"
	"strings"
	"testing"

	"github.com/sallyport-sip/sallyport/internal/config"
	"github.com/sallyport-sip/sallyport/internal/testca"
	"github.com/sallyport-sip/sallyport/internal/trust"
)

// A pin is asked for besides the chain and the name, in both roles, and replaces neither.
func TestPins(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	now := w.root.Leaf("acme", testca.URI("sip:acme.example"))
	renewed := w.root.Leaf("acme", testca.URI("sip:acme.example"), testca.Key(now.Key))
	next := w.root.Leaf("acme", testca.URI("sip:acme.example"))
	other := w.root.Leaf("other", testca.URI("sip:other.example"), testca.Key(now.Key))
	rogue := testca.New("Rogue").Leaf("acme", testca.URI("sip:acme.example"), testca.Key(now.Key))
	key, certificate, spare := config.KeyPin(now.Cert()), config.CertificatePin(now.Cert()), config.KeyPin(next.Cert())
	for _, tt := range []struct {
		name string
		pins []config.Pin
		leaf *testca.Leaf
		want trust.Code // empty: accepted
	}{
		{"key", []config.Pin{key}, now, ""},
		{"certificate", []config.Pin{certificate}, now, ""},
		{"key, renewed", []config.Pin{key}, renewed, ""},
		{"certificate, renewed", []config.Pin{certificate}, renewed, trust.PinMismatch},
		{"another", []config.Pin{key, certificate}, next, trust.PinMismatch},
		{"the next one", []config.Pin{key, spare}, next, ""},
		{"pinned key, another name", []config.Pin{key}, other, trust.NameMismatch},
		{"pinned key, another CA", []config.Pin{key}, rogue, trust.UnknownCA},
	} {
		w.cfg.Peers[0].Pins = tt.pins
		set := w.load()
		for _, v := range versions {
			client, _ := meet(t, set.ClientConfig("acme"), foreign(tt.leaf, v))
			checkCode(t, tt.name+", server", client.err, tt.want)
			_, server := meet(t, foreign(tt.leaf, v), set.ServerConfig("outside"))
			if server.err == nil {
				_, server.err = set.VerifyPeer("acme", server.state.PeerCertificates, trust.Client)
			}
			checkCode(t, tt.name+", client", server.err, tt.want)
		}
	}
}

func checkCode(t *testing.T, name string, err error, want trust.Code) {
	t.Helper()
	r, refused := errors.AsType[*trust.Refusal](err)
	if want == "" && err != nil || want != "" && (!refused || r.Code != want) {
		t.Errorf("%s: got %v, want %q", name, err, want)
	}
}

// Who reads the refusal can copy the pin that was seen.
func TestPinMismatchNamesWhatWasSeen(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	seen := w.root.Leaf("acme", testca.URI("sip:acme.example"))
	w.cfg.Peers[0].Pins = []config.Pin{config.KeyPin(w.root.Cert)}
	_, err := w.load().VerifyPeer("acme", seen.Chain, trust.Server)
	r, ok := errors.AsType[*trust.Refusal](err)
	if !ok || !strings.Contains(r.Reason, config.KeyPin(seen.Cert()).String()) || !strings.Contains(r.Reason, config.CertificatePin(seen.Cert()).String()) ||
		!strings.Contains(r.Remedy, `pins of peer "acme"`) {
		t.Errorf("got %+v", r)
	}
}

// A change of pins is a change of policy: live connections are judged again.
func TestFingerprintKnowsPins(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	before := w.load().Fingerprint("acme")
	w.cfg.Peers[0].Pins = []config.Pin{config.KeyPin(w.root.Cert)}
	pinned := w.load().Fingerprint("acme")
	w.cfg.Peers[0].Pins = []config.Pin{config.CertificatePin(w.root.Cert)}
	if other := w.load().Fingerprint("acme"); before == pinned || pinned == other || before == other {
		t.Error("two policies with different pins have one fingerprint")
	}
}

// A peer whose policy takes a server's certificate from clients gets through a listener of the default policy, one
// without does not become known by it.
func TestServerUsageOfOnePeer(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.cfg.Policies = []config.Policy{{Name: "lenient", ServerUsage: true}}
	w.cfg.Peers = append(w.cfg.Peers, config.Peer{Name: "public", CertificateNames: []string{"public.example"}, Policy: "lenient",
		URI: config.URI{Scheme: "sip", Host: "public.example", Transport: config.TLS}})
	w.cfg.Complete()
	set := w.load()
	leaf := func(name string) *testca.Leaf { return w.root.Leaf(name, testca.Usages(x509.ExtKeyUsageServerAuth)) }
	for _, v := range versions {
		for name, want := range map[string]trust.Code{"public": "", "acme": trust.WrongUsage} {
			_, s := meet(t, foreign(leaf(name+".example"), v), set.ServerConfig("outside"))
			if s.err != nil {
				t.Fatalf("%s: %v", name, s.err)
			}
			_, err := set.VerifyPeer(name, s.state.PeerCertificates, trust.Client)
			checkCode(t, name, err, want)
		}
	}
	w.cfg.Policies = nil
	w.cfg.Peers = w.cfg.Peers[:1]
	_, s := meet(t, foreign(leaf("acme.example"), 0), w.load().ServerConfig("outside"))
	checkCode(t, "nobody allows it", s.err, trust.WrongUsage)
	if r, _ := errors.AsType[*trust.Refusal](s.err); r == nil || !strings.Contains(r.Remedy, "server_usage: true") {
		t.Errorf("the remedy does not say what would let it in: %+v", r)
	}
}

// A listener whose policy says no itself lets no such certificate finish, whatever a peer's policy says.
func TestListenerThatTakesNoServerUsage(t *testing.T) {
	t.Parallel()
	d := testca.NewDomains()
	leaf := d.Root.Leaf("example.com", testca.Usages(x509.ExtKeyUsageServerAuth))
	for listener, want := range map[string]trust.Code{"": "", ", policy: says": trust.WrongUsage} {
		set := yamlWorld(t, d, `{listen: "tls:127.0.0.1:5061"`+listener+`}`, "server_usage: true", "example.com")
		_, s := meet(t, foreign(leaf, 0), set.ServerConfig("outside"))
		checkCode(t, listener, s.err, want)
	}
}
