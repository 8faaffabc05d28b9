package trust_test

import (
	"crypto/tls"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sallyport-sip/sallyport/internal/config"
	"github.com/sallyport-sip/sallyport/internal/testca"
	"github.com/sallyport-sip/sallyport/internal/trust"
)

// further adds an identity to the listener of the world.
func (w *world) further(name string, l *testca.Leaf) {
	w.t.Helper()
	w.write(name+".pem", l.PEM())
	w.write(name+"-key.pem", l.KeyPEM())
	w.cfg.Identities = append(w.cfg.Identities, config.Identity{Name: name, Certificate: w.file(name + ".pem"), Key: w.file(name + "-key.pem")})
	w.cfg.Listeners[0].Identities = append(w.cfg.Listeners[0].Identities, name)
}

// manyNames is a world whose listener has an identity for each kind of name.
func manyNames(t *testing.T) *world {
	w := newWorld(t)
	w.further("tenants", w.root.Leaf("tenants", testca.DNS("*.tenants.example")))
	w.further("big", w.root.Leaf("big", testca.DNS("Big.Tenants.example")))
	w.further("uri", w.root.Leaf("uri", testca.URI("sip:uri.example;transport=tls"), testca.DNS("gw.uri.example")))
	w.further("old", w.root.Leaf("old.example", testca.CommonNameOnly()))
	return w
}

// Which identity a listener shows for which name, and what becomes of names that none of them has.
func TestListenerShowsTheIdentityThatIsAskedFor(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		asked, shown string
		refused      bool // by a strict listener
	}{
		{"", "gateway", false},
		{"gw.example", "gateway", false},
		{"GW.Example", "gateway", false},
		{"a.tenants.example", "tenants", false},
		{"big.tenants.example", "big", false}, // the very name before a wildcard
		{"BIG.tenants.example", "big", false},
		{"a.big.tenants.example", "gateway", true}, // one label only
		{"tenants.example", "gateway", true},
		{"uri.example", "uri", false},
		{"gw.uri.example", "uri", false}, // a DNS name counts beside a SIP URI here
		{"old.example", "old", false},
		{"old", "gateway", true},
		{"nobody.example", "gateway", true},
	} {
		for _, v := range versions {
			for _, sni := range []config.SNI{config.SNIAny, config.SNIStrict} {
				t.Run(fmt.Sprintf("%q %s %s", tt.asked, tls.VersionName(v), sni), func(t *testing.T) {
					t.Parallel()
					w := manyNames(t)
					w.cfg.Listeners[0].SNI = sni
					set := w.load()
					client := foreign(w.root.Leaf("acme.example"), v)
					client.ServerName = tt.asked
					c, s := meet(t, client, set.ServerConfig("outside"))
					if tt.refused && sni == config.SNIStrict {
						checkUnrecognized(t, tt.asked, c, s)
						return
					}
					if c.err != nil || s.err != nil {
						t.Fatalf("client %v, server %v", c.err, s.err)
					}
					want := set.Identity(tt.shown).Chain[0]
					if got := c.state.PeerCertificates[0]; !got.Equal(want) {
						t.Errorf("showed %s, want %s", trust.Subject(got), trust.Subject(want))
					}
					if len(s.facts.Presented) != 1 || s.facts.Presented[0] != want || s.facts.ServerName != tt.asked {
						t.Errorf("facts %+v", s.facts)
					}
					if got := set.ListenerIdentity("outside", tt.asked); got.Name != tt.shown {
						t.Errorf("ListenerIdentity is %s", got.Name)
					}
				})
			}
		}
	}
}

// checkUnrecognized wants the exact reason here and the alert of RFC 6066 §3 there.
func checkUnrecognized(t *testing.T, asked string, c, s ended) {
	t.Helper()
	if c.err == nil || !strings.Contains(c.err.Error(), "unrecognized name") {
		t.Errorf("the client got %v", c.err)
	}
	v := s.explain(trust.Server)[0]
	if v.Code != trust.UnrecognizedName || v.By != "gateway" || v.KnownBy != trust.OwnDecision || !strings.HasSuffix(v.Reason, ": "+asked) ||
		!strings.Contains(v.Remedy, "identities of the listener") {
		t.Errorf("verdict %+v", v)
	}
	if v := c.explain(trust.Client); v[len(v)-1].Code != trust.UnrecognizedName {
		t.Errorf("a client of ours would say %+v", v)
	}
}

// A strict listener without further identities knows its own names.
func TestStrictListenerOfOneIdentity(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.cfg.Listeners[0].SNI = config.SNIStrict
	set := w.load()
	for name, good := range map[string]bool{"": true, "gw.example": true, "other.example": false} {
		if id := set.ListenerIdentity("outside", name); (id != nil) != good {
			t.Errorf("%q: %v", name, id)
		}
	}
}

// A listener's fingerprint changes with what it shows, so that a reload looks at its connections again.
func TestFingerprintKnowsFurtherIdentities(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	seen := map[string]string{}
	for _, step := range []struct {
		what string
		do   func()
	}{
		{"one identity", func() {}},
		{"two", func() { w.further("two", w.root.Leaf("two.example")) }},
		{"another second", func() { w.cfg.Listeners[0].Identities = nil; w.further("three", w.root.Leaf("three.example")) }},
		{"strict", func() { w.cfg.Listeners[0].SNI = config.SNIStrict }},
	} {
		step.do()
		print := w.load().ListenerFingerprint("outside")
		if other, twice := seen[print]; twice {
			t.Errorf("%s: the fingerprint is that of %s", step.what, other)
		}
		seen[print] = step.what
	}
}

// Which identity is shown to those who are called is settled by the role: the peer's, then that of clients, then that of
// the defaults.
func TestIdentityOfTheRole(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		defaults, peer, want string
	}{
		"of the defaults": {"identity: gateway", "", "gateway"},
		"of clients":      {"identity: gateway, client_identity: caller", "", "caller"},
		"of the peer":     {"identity: gateway, client_identity: caller", ", identity: gateway", "gateway"},
	} {
		dir := t.TempDir()
		root := testca.New("Lab Root")
		for _, name := range []string{"gw", "caller"} {
			l := root.Leaf(name + ".example")
			write(t, filepath.Join(dir, name+".pem"), append(l.PEM(), l.KeyPEM()...))
		}
		write(t, filepath.Join(dir, "ca.pem"), root.PEM())
		cfg, problems := config.Parse(filepath.Join(dir, "sallyport.yaml"), []byte(`listeners: {outside: {listen: "tls:127.0.0.1:5061"}}
identities: {gateway: {certificate: gw.pem, key: gw.pem}, caller: {certificate: caller.pem, key: caller.pem}}
trust: {partners: {files: [ca.pem]}}
defaults: {`+tt.defaults+`, trust: [partners]}
peers: {acme: {uri: "sip:sip.acme.example;transport=tls"`+tt.peer+`}}
routes: [{from: [acme], to: [acme]}]
`))
		if len(problems) > 0 {
			t.Fatal(problems)
		}
		set, problems := trust.Load(cfg)
		if len(problems) > 0 {
			t.Fatal(problems)
		}
		if got := set.PeerIdentity("acme").Name; got != tt.want {
			t.Errorf("%s: a peer that we call gets %s", name, got)
		}
		if got := set.ListenerIdentity("outside", "").Name; got != "gateway" {
			t.Errorf("%s: who calls us gets %s", name, got)
		}
	}
}

func TestProblemsOfFurtherIdentities(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.further("same", w.root.Leaf("x", testca.DNS("gw.example")))
	w.further("wild", w.root.Leaf("x", testca.DNS("*.tenants.example", "other.example")))
	w.further("wilder", w.root.Leaf("x", testca.DNS("*.Tenants.example")))
	w.further("exact", w.root.Leaf("x", testca.DNS("a.tenants.example"))) // right: a name comes before a wildcard
	w.further("nameless", w.root.Leaf("x", testca.IP("192.0.2.1")))
	_, problems := trust.Load(w.cfg)
	var got []string
	for _, p := range problems {
		got = append(got, p.String())
	}
	want := []string{
		`sallyport.yaml:1:1: listener "outside": identity "same" is for a name that identity "gateway" is for too, both certificates have gw.example, remove one of the two here, or have a certificate made without that name`,
		`sallyport.yaml:1:1: listener "outside": identity "wilder" is for a name that identity "wild" is for too, both certificates have *.tenants.example, remove one of the two here, or have a certificate made without that name`,
		`sallyport.yaml:1:1: listener "outside": identity "nameless" would never be shown, its certificate has no name that a client could ask for: neither a DNS name nor a sip: URI, remove it, or have a certificate made with the domain's name`,
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// The choice costs nothing that every handshake would pay for.
func TestChoosingAnIdentityAllocatesNothing(t *testing.T) {
	w := manyNames(t)
	set := w.load()
	hello := &tls.ClientHelloInfo{ServerName: "a.tenants.example"}
	choose := set.ServerConfig("outside").GetCertificate
	if n := testing.AllocsPerRun(100, func() {
		if c, err := choose(hello); err != nil || c.Leaf.Subject.CommonName != "tenants" {
			t.Fatal(c, err)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
