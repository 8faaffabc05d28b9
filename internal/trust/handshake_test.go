package trust_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"testing"

	"github.com/sallyport-sip/sallyport/internal/config"
	"github.com/sallyport-sip/sallyport/internal/memnet"
	"github.com/sallyport-sip/sallyport/internal/testca"
	"github.com/sallyport-sip/sallyport/internal/trust"
)

// world is a gateway with one TLS listener "outside" and one peer "acme", and what it needs on disk.
type world struct {
	t    *testing.T
	dir  string
	root *testca.CA
	cfg  *config.Config
}

func newWorld(t *testing.T) *world {
	w := &world{t: t, dir: t.TempDir(), root: testca.New("Lab Root")}
	w.cfg = &config.Config{
		File:      "sallyport.yaml",
		Listeners: []config.Listener{{Name: "outside", Listen: config.Address{Transport: config.TLS, AddrPort: netip.MustParseAddrPort("127.0.0.1:5061")}}},
		Identities: []config.Identity{{Name: "gateway",
			Certificate: w.file("gw.pem"), Key: w.file("gw-key.pem")}},
		Trust:    []config.Trust{{Name: "partners", Files: []string{w.file("ca.pem")}}},
		Defaults: config.Defaults{Identity: "gateway", Trust: []string{"partners"}},
		Peers: []config.Peer{{Name: "acme", CertificateNames: []string{"acme.example"},
			URI: config.URI{Scheme: "sip", Host: "sip.acme.example", Transport: config.TLS}}},
	}
	w.cfg.Complete()
	w.identity(w.root.Leaf("gw.example", testca.URI("sip:gw.example")))
	w.write("ca.pem", w.root.PEM())
	return w
}

func (w *world) file(name string) string { return filepath.Join(w.dir, name) }

func (w *world) write(name string, data []byte) {
	w.t.Helper()
	if err := os.WriteFile(w.file(name), data, 0o600); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) identity(l *testca.Leaf) {
	w.t.Helper()
	w.write("gw.pem", l.PEM())
	w.write("gw-key.pem", l.KeyPEM())
}

func (w *world) load() *trust.Set { w.t.Helper(); return w.loadWith(trust.Options{}) }

func (w *world) loadWith(o trust.Options) *trust.Set {
	w.t.Helper()
	s, problems := o.Load(w.cfg)
	for _, p := range problems {
		w.t.Error(p)
	}
	if s == nil {
		w.t.FailNow()
	}
	return s
}

// ended is how one side of a handshake ended, the first read included: in TLS 1.3 a client hears only there that it was
// refused.
type ended struct {
	err   error
	state *tls.ConnectionState
	facts trust.Facts
	spoke bool
}

// meet lets a client and a server shake hands over memory and exchange a byte each way.
func meet(t *testing.T, client, server *tls.Config) (c, s ended) {
	t.Helper()
	near, far := memnet.Pipe(memnet.Options{})
	done := make(chan ended)
	go func() { done <- talk(t.Context(), far, tls.Server(far, server)) }()
	c = talk(t.Context(), near, tls.Client(near, client))
	return c, <-done
}

func talk(ctx context.Context, raw net.Conn, conn *tls.Conn) (e ended) {
	defer raw.Close()
	if e.err = conn.HandshakeContext(trust.NewContext(ctx, &e.facts)); e.err != nil {
		return e
	}
	e.state = new(conn.ConnectionState())
	_, writeErr := conn.Write([]byte{'!'})
	// Read even so: the alert that explains why the other side has closed may be waiting.
	if _, e.err = io.ReadFull(conn, make([]byte, 1)); e.err == nil {
		e.spoke, e.err = true, writeErr
	}
	return e
}

func (e ended) explain(we trust.Role) []trust.Verdict {
	f := e.facts
	f.State, f.PeerSpoke = e.state, e.spoke
	return trust.Explain(e.err, we, f)
}

var versions = []uint16{tls.VersionTLS12, tls.VersionTLS13}

// foreign is the configuration of a peer that shows l, believes root, and judges leniently.
func foreign(l *testca.Leaf, version uint16) *tls.Config {
	c := &tls.Config{InsecureSkipVerify: true, ServerName: "gw.example", MinVersion: version, MaxVersion: version}
	if l != nil {
		c.Certificates = []tls.Certificate{l.TLS()}
		c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return new(l.TLS()), nil }
	}
	return c
}

func TestMutualHandshakeInBothRoles(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	set := w.load()
	peer := w.root.Intermediate("Lab Issuer").Leaf("acme", testca.URI("sip:acme.example"))
	for _, v := range versions {
		t.Run(tls.VersionName(v), func(t *testing.T) {
			t.Parallel()
			c, s := meet(t, foreign(peer, v), set.ServerConfig("outside"))
			if c.err != nil || s.err != nil {
				t.Fatalf("we are the server: client %v, server %v", c.err, s.err)
			}
			checkVerified(t, set, s.state, trust.Client)
			if got := c.state.PeerCertificates[0].Subject.CommonName; got != "gw.example" {
				t.Errorf("the client saw %s", got)
			}

			server := foreign(peer, v)
			server.ClientAuth, server.ClientCAs = tls.RequireAndVerifyClientCert, w.root.Pool()
			var sni string
			server.GetConfigForClient = func(h *tls.ClientHelloInfo) (*tls.Config, error) { sni = h.ServerName; return nil, nil }
			c, s = meet(t, set.ClientConfig("acme"), server)
			if c.err != nil || s.err != nil {
				t.Fatalf("we are the client: client %v, server %v", c.err, s.err)
			}
			checkVerified(t, set, c.state, trust.Server)
			if sni != "sip.acme.example" {
				t.Errorf("server_name %q, want the host of the peer's uri", sni)
			}
			if len(s.state.VerifiedChains) != 1 {
				t.Error("the server did not verify our certificate")
			}
			for _, verdict := range append(c.explain(trust.Client), s.explain(trust.Server)...) {
				if !verdict.Accepted {
					t.Errorf("verdict %+v after a good handshake", verdict)
				}
			}
		})
	}
}

func checkVerified(t *testing.T, set *trust.Set, st *tls.ConnectionState, as trust.Role) {
	t.Helper()
	v, err := set.VerifyPeer("acme", st.PeerCertificates, as)
	if err != nil {
		t.Fatal(err)
	}
	if len(v.Chain) != 3 || v.Chain[2].Subject.CommonName != "Lab Root" {
		t.Errorf("chain %d long", len(v.Chain))
	}
	if got := fmt.Sprint(v.NameStrings(), " ", v.Matched.Want); got != "[URI:sip:acme.example] acme.example" {
		t.Errorf("identity %s", got)
	}
}

// An address in the peer's uri is never sent as server_name (RFC 6066 §3), and is matched by an iPAddress entry.
func TestPeerByAddress(t *testing.T) {
	t.Parallel()
	for _, host := range []string{"127.0.0.1", "2001:db8::1"} {
		w := newWorld(t)
		w.cfg.Peers[0].URI.Host = host
		w.cfg.Peers[0].CertificateNames = nil
		w.cfg.Complete()
		client := w.load().ClientConfig("acme")
		if client.ServerName != "" {
			t.Errorf("server_name %q", client.ServerName)
		}
		if c, _ := meet(t, client, foreign(w.root.Leaf("acme", testca.IP(host)), 0)); c.err != nil {
			t.Error(c.err)
		}
		if c, _ := meet(t, client, foreign(w.root.Leaf("acme", testca.DNS(host)), 0)); c.err == nil {
			t.Errorf("%s as a DNS name was accepted", host)
		}
	}
}

func TestSelfSignedInTheTrust(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	alone := testca.SelfSigned("acme.example", testca.URI("sip:acme.example"))
	w.write("alone.pem", alone.PEM())
	w.cfg.Trust[0].Files = append(w.cfg.Trust[0].Files, w.file("alone.pem"))
	w.identity(testca.SelfSigned("gw.example"))
	set := w.load()
	for _, v := range versions {
		if c, s := meet(t, foreign(alone, v), set.ServerConfig("outside")); c.err != nil || s.err != nil {
			t.Errorf("server: %v, %v", c.err, s.err)
		}
		if c, s := meet(t, set.ClientConfig("acme"), foreign(alone, v)); c.err != nil || s.err != nil {
			t.Errorf("client: %v, %v", c.err, s.err)
		}
	}
	// It stands for itself only: it is no CA.
	forged := &testca.CA{Cert: alone.Cert(), Key: alone.Key}
	_, err := set.VerifyPeer("acme", forged.Leaf("acme.example").Chain, trust.Server)
	if r, ok := errors.AsType[*trust.Refusal](err); !ok || r.Code != trust.BadIssuer {
		t.Errorf("a certificate signed by a leaf: %v", err)
	}
}

// Rule: our certificate is shown whenever the peer asks, also when its list of CAs does not name ours.
func TestOurCertificateIsShownToWhoeverAsks(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	set := w.load()
	peer := w.root.Leaf("acme", testca.URI("sip:acme.example"))
	for _, v := range versions {
		server := foreign(peer, v)
		server.ClientAuth, server.ClientCAs = tls.RequireAnyClientCert, testca.New("Somebody Else").Pool()
		c, s := meet(t, set.ClientConfig("acme"), server)
		if c.err != nil || s.err != nil {
			t.Fatal(c.err, s.err)
		}
		if n := len(s.state.PeerCertificates); n != 1 {
			t.Errorf("%s: the server saw %d certificates", tls.VersionName(v), n)
		}
		if !c.facts.Asked || len(c.facts.AcceptableCAs) != 1 || len(c.facts.Presented) != 1 {
			t.Errorf("facts %+v", c.facts)
		}
	}
}

func TestClientCertificatesOptionalAndNone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	good, bad := w.root.Leaf("acme.example"), testca.New("Rogue Root").Leaf("acme.example")
	for _, tt := range []struct {
		ask       config.ClientCertificates
		shows     *testca.Leaf
		ok        bool
		seenChain int
	}{
		{config.CertificateRequired, nil, false, 0},
		{config.CertificateRequired, good, true, 1},
		{config.CertificateOptional, nil, true, 0},
		{config.CertificateOptional, good, true, 1},
		{config.CertificateOptional, bad, false, 0},
		{config.CertificateNone, good, true, 0},
	} {
		w.cfg.Listeners[0].ClientCertificates = tt.ask
		server := w.load().ServerConfig("outside")
		for _, v := range versions {
			_, s := meet(t, foreign(tt.shows, v), server)
			if (s.err == nil) != tt.ok {
				t.Errorf("%s, %s: %v", tt.ask, tls.VersionName(v), s.err)
			}
			if s.err == nil && len(s.state.PeerCertificates) != tt.seenChain {
				t.Errorf("%s: %d certificates seen", tt.ask, len(s.state.PeerCertificates))
			}
		}
	}
}

// A peer with a trust of its own gets through the listener, and is still judged by its own trust only.
func TestPeerWithItsOwnTrust(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	own := testca.New("Acme Root")
	w.write("acme-ca.pem", own.PEM())
	w.cfg.Trust = append(w.cfg.Trust, config.Trust{Name: "acme", Files: []string{w.file("acme-ca.pem")}})
	w.cfg.Peers[0].Trust = []string{"acme"}
	set := w.load()
	if _, s := meet(t, foreign(own.Leaf("acme.example"), 0), set.ServerConfig("outside")); s.err != nil {
		t.Error(s.err)
	}
	_, s := meet(t, foreign(w.root.Leaf("acme.example"), 0), set.ServerConfig("outside"))
	if s.err != nil {
		t.Fatal(s.err)
	}
	if _, err := set.VerifyPeer("acme", s.state.PeerCertificates, trust.Client); err == nil {
		t.Error("a certificate of the default trust passed for a peer with its own")
	}
	if v, err := set.VerifyListener("outside", s.state.PeerCertificates); err != nil || len(v.Chain) != 2 || v.Names[0].Value != "acme.example" {
		t.Errorf("listener: %v %v", v, err)
	}
}

// Rule: checks run on resumed sessions too, and a session of one policy means nothing to another.
func TestResumedSessionsAreCheckedAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.cfg.Peers = append(w.cfg.Peers, config.Peer{Name: "twin", CertificateNames: []string{"twin.example"}, URI: w.cfg.Peers[0].URI})
	w.cfg.Listeners = append(w.cfg.Listeners, config.Listener{Name: "inside", Listen: w.cfg.Listeners[0].Listen})
	w.cfg.Complete()
	peer := w.root.Leaf("acme", testca.URI("sip:acme.example"))
	for _, v := range versions {
		set := w.load()
		// We are the client.
		server := foreign(peer, v)
		for i := range 2 {
			c, _ := meet(t, set.ClientConfig("acme"), server)
			if c.err != nil || c.state.DidResume != (i == 1) {
				t.Errorf("%s: connection %d: %v, resumed %v", tls.VersionName(v), i, c.err, c.state != nil && c.state.DidResume)
			}
		}
		if c, _ := meet(t, set.ClientConfig("twin"), server); c.err == nil {
			t.Error("a peer of another name was accepted on the same server")
		}
		// We are the server: a client that keeps its sessions meets the same listener, another one, and a new load.
		client := foreign(peer, v)
		client.ClientSessionCache = tls.NewLRUClientSessionCache(4)
		reloaded := w.load()
		for i, server := range []*tls.Config{set.ServerConfig("outside"), set.ServerConfig("outside"), set.ServerConfig("inside"), reloaded.ServerConfig("outside")} {
			c, s := meet(t, client, server)
			if c.err != nil || s.err != nil || s.state.DidResume != (i == 1) {
				t.Errorf("%s: connection %d: %v %v", tls.VersionName(v), i, c.err, s.err)
			}
		}
	}
}

func TestResumedSessionOfACertificateThatExpired(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	set := w.load()
	st := tls.ConnectionState{Version: tls.VersionTLS13, DidResume: true, PeerCertificates: w.root.Leaf("acme.example", testca.Expired()).Chain}
	for _, verify := range []func(tls.ConnectionState) error{set.ServerConfig("outside").VerifyConnection, set.ClientConfig("acme").VerifyConnection} {
		r, ok := errors.AsType[*trust.Refusal](verify(st))
		if !ok || r.Code != trust.Expired {
			t.Errorf("got %v", r)
		}
	}
}

func TestFingerprints(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	first := w.load()
	if a, b := first.Fingerprint("acme"), w.load().Fingerprint("acme"); a == "" || a != b {
		t.Errorf("the same files: %q, then %q", a, b)
	}
	if first.Fingerprint("nobody") != "" || first.ListenerFingerprint("nobody") != "" {
		t.Error("a fingerprint of nobody")
	}
	for name, change := range map[string]func(){
		"names":    func() { w.cfg.Peers[0].CertificateNames = []string{"other.example"} },
		"identity": func() { w.identity(w.root.Leaf("gw.example")) },
		"anchors":  func() { w.write("ca.pem", append(w.root.PEM(), testca.New("Second Root").PEM()...)) },
	} {
		before := w.load()
		change()
		if before.Fingerprint("acme") == w.load().Fingerprint("acme") {
			t.Errorf("%s changed, and the fingerprint did not", name)
		}
	}
	if first.ListenerFingerprint("outside") == w.load().ListenerFingerprint("outside") {
		t.Error("the listener's fingerprint did not change")
	}
	if w.load().Fingerprint("acme") == w.loadWith(trust.Options{MaxVersion: tls.VersionTLS12}).Fingerprint("acme") {
		t.Error("a pinned version does not show in the fingerprint")
	}
}

func TestOptions(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	logs := map[string]*keyLog{}
	set := w.loadWith(trust.Options{MaxVersion: tls.VersionTLS12, MinVersion: tls.VersionTLS10, KeyLog: func(who string) io.Writer {
		logs[who] = new(keyLog)
		return logs[who]
	}})
	peer := w.root.Leaf("acme", testca.URI("sip:acme.example"))
	c, _ := meet(t, set.ClientConfig("acme"), foreign(peer, 0))
	if c.err != nil || c.state.Version != tls.VersionTLS12 {
		t.Errorf("pinned to 1.2: %v", c.err)
	}
	if logs[`peer "acme"`].lines != 1 || logs[`listener "outside"`].lines != 0 {
		t.Errorf("key log lines: %v", logs)
	}
	if got := set.ServerConfig("outside").MinVersion; got != tls.VersionTLS12 {
		t.Errorf("least version %x", got)
	}
	if set.ServerConfig("nobody") != nil || set.ClientConfig("nobody") != nil {
		t.Error("a configuration for nobody")
	}
}

type keyLog struct{ lines int }

func (k *keyLog) Write(p []byte) (int, error) { k.lines++; return len(p), nil }

// Go's name constraints on URIs know only URIs with an authority, so a CA with one can never have signed for a sip: URI.
func TestNameConstraints(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	uris := w.root.Intermediate("URI Constrained", testca.Template(func(c *x509.Certificate) { c.PermittedURIDomains = []string{"acme.example"} }))
	names := w.root.Intermediate("DNS Constrained", testca.Template(func(c *x509.Certificate) { c.PermittedDNSDomains = []string{"acme.example"} }))
	set := w.load()
	for _, tt := range []struct {
		leaf *testca.Leaf
		code trust.Code
	}{
		{uris.Leaf("acme", testca.URI("sip:acme.example")), trust.NameConstraint},
		{uris.Leaf("acme.example"), ""},
		{names.Leaf("acme.example"), ""},
		{names.Leaf("other.example"), trust.NameConstraint},
	} {
		_, err := set.VerifyPeer("acme", tt.leaf.Chain, trust.Server)
		r, _ := errors.AsType[*trust.Refusal](err)
		if tt.code == "" && err != nil || tt.code != "" && (r == nil || r.Code != tt.code) {
			t.Errorf("%v: %v, want %q", tt.leaf.Cert().Issuer, err, tt.code)
		}
	}
}
