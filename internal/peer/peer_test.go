package peer

import (
	"crypto/x509"
	"errors"
	"flag"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/sallyport-sip/sallyport/internal/config"
	"github.com/sallyport-sip/sallyport/internal/testca"
	"github.com/sallyport-sip/sallyport/sip/transport"
)

var update = flag.Bool("update", false, "rewrite the wanted problems in testdata/*.txtar")

const file = `
listeners:
  tls: {listen: "tls:127.0.0.1:5061", client_certificates: optional}
  tls2: {listen: "tls:127.0.0.1:5062"}
  tcp: {listen: "tcp:127.0.0.1:5060"}
  udp: {listen: "udp:127.0.0.1:5060"}
identities: {us: {certificate: us.pem, key: us.pem}}
trust: {them: {files: [ca.pem]}, others: {files: [other.pem]}}
defaults: {identity: us, trust: [them]}
profiles: {lan: {sips: never}, strict: {sips: required}}
peers:
  acme: {uri: "sip:192.0.2.10:5071;transport=tls", certificate_names: [acme.example, acme2.example]}
  host: {uri: "sips:Host.Example"}
  both: {uri: "sips:both.example", accept_from: ["198.51.100.0/24", "udp:203.0.113.1"], profile: strict}
  pinned: {uri: "sips:pinned.example", listener: tls2, trust: [others]}
  office: {uri: "sip:192.0.2.1:5080", accept_from: ["192.0.2.1:5080", "192.0.2.1:5090"], profile: lan}
  twin: {uri: "sip:192.0.2.1:5081", accept_from: ["udp:192.0.2.1:5081"]}
  lan: {uri: "sip:10.0.0.1;transport=tcp", accept_from: ["tcp:10.0.0.0/8"]}
  six: {uri: "sip:[2001:db8::1]:5070"}
  mute: {uri: "sip:mute.example", accept_from: []}
  door: {uri: "sip:192.0.2.7", listener: udp}
  wild: {uri: "sips:gw.wild.example"}
`

func table(t testing.TB) *Table {
	t.Helper()
	cfg, problems := config.Parse("peers.yaml", []byte(file))
	for _, p := range append(problems, Check(cfg)...) {
		t.Error(p)
	}
	return Compile(cfg, nil)
}

func TestCompile(t *testing.T) {
	peers := table(t)
	office, both, pinned := peers.Lookup("office"), peers.Lookup("both"), peers.Lookup("pinned")
	for what, pair := range map[string][2]any{
		"number":          {len(peers.All()), 11},
		"order":           {peers.All()[4], office},
		"transport":       {office.Transport, transport.UDP},
		"rule":            {office.SIPS, config.SIPSNever},
		"listener":        {office.Listener, "udp"},
		"not pinned":      {office.Pinned, false},
		"pinned":          {pinned.Pinned, true},
		"pinned listener": {pinned.Listener, "tls2"},
		"trust":           {pinned.Trust[0], "others"},
		"identity":        {pinned.Identity, "us"},
		"secure":          {both.Secure(), true},
		"host":            {peers.Lookup("host").CertNames[0], "host.example"},
		"unknown":         {peers.Lookup("zebra"), (*Peer)(nil)},
	} {
		if pair[0] != pair[1] {
			t.Errorf("%s: got %v, want %v", what, pair[0], pair[1])
		}
	}
}

func TestSchemeFollowsTheRule(t *testing.T) {
	for _, test := range []struct {
		secure      bool
		rule        config.SIPS
		sip, sips   string // the scheme towards the peer
		canSIP, can bool
	}{
		{true, config.SIPSAllowed, "sip", "sips", true, true},
		{true, config.SIPSRequired, "sips", "sips", true, true},
		{true, config.SIPSNever, "sip", "sip", true, false},
		{false, config.SIPSAllowed, "sip", "sips", true, false},
		{false, config.SIPSRequired, "sips", "sips", false, false},
		{false, config.SIPSNever, "sip", "sip", true, false},
	} {
		p := &Peer{SIPS: test.rule, Transport: transport.UDP}
		if test.secure {
			p.Transport = transport.TLS
		}
		if p.Scheme(false) != test.sip || p.Scheme(true) != test.sips || p.CanSIP() != test.canSIP || p.CanSIPS() != test.can {
			t.Errorf("%+v: got %s %s %v %v", test, p.Scheme(false), p.Scheme(true), p.CanSIP(), p.CanSIPS())
		}
	}
}

func TestBySource(t *testing.T) {
	peers := table(t)
	for _, test := range []struct {
		transport transport.Transport
		source    string
		want      string
	}{
		{transport.UDP, "192.0.2.1:5080", "office"},
		{transport.UDP, "192.0.2.1:5090", "office"},
		{transport.UDP, "192.0.2.1:5081", "twin"},
		{transport.UDP, "192.0.2.1:5082", ""},
		{transport.TCP, "192.0.2.1:40000", "office"}, // the port of a stream is not compared
		{transport.TLS, "192.0.2.1:40000", "office"}, // no certificate was shown
		{transport.UDP, "[::ffff:192.0.2.1]:5080", "office"},
		{transport.TCP, "[::ffff:10.1.2.3]:4000", "lan"},
		{transport.TCP, "10.255.255.255:1", "lan"},
		{transport.UDP, "10.1.2.3:5060", ""},
		{transport.UDP, "11.0.0.0:5060", ""},
		{transport.UDP, "[2001:db8::1]:5070", "six"},
		{transport.UDP, "[2001:db8::1%eth0]:5070", "six"},
		{transport.UDP, "[2001:db8::1]:5071", ""},
		{transport.UDP, "[2001:db8::2]:5070", ""},
		{transport.UDP, "192.0.2.10:5071", ""},   // acme is known by certificate
		{transport.TCP, "198.51.100.1:5060", ""}, // both needs a certificate too
		{transport.UDP, "192.0.2.7:1234", "door"},
		{transport.TCP, "192.0.2.7:1234", ""}, // on another listener
	} {
		o := Origin{test.transport, netip.MustParseAddrPort(test.source), test.transport.String()}
		got := ""
		p, id, err := peers.Identify(o, nil, nil)
		if p != nil {
			got = p.Name
		}
		if got != test.want || id.Peer != got || id.Names != nil || (err != nil) != (test.want == "") {
			t.Errorf("%v: got %q, %v, want %q", o, got, err, test.want)
		}
		if p != peers.BySource(o) {
			t.Errorf("%v: BySource got %v", o, peers.BySource(o))
		}
		for _, each := range peers.All() {
			if each.At(o) != (each == p) {
				t.Errorf("%v: At of %s says %v", o, each.Name, each.At(o))
			}
		}
	}
}

func TestByCertificate(t *testing.T) {
	peers, ca, other := table(t), testca.New("ca"), testca.New("other")
	pools := map[string]*x509.CertPool{"them": ca.Pool(), "others": other.Pool()}
	verify := func(p *Peer, chain []*x509.Certificate) (transport.Identity, error) {
		_, err := chain[0].Verify(x509.VerifyOptions{Roots: pools[p.Trust[0]], KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}})
		return transport.Identity{Peer: p.Name, Names: chain[0].DNSNames}, err
	}
	for _, test := range []struct {
		name     string
		leaf     *testca.Leaf
		source   string
		listener string
		want     string // the peer, or what the error says
	}{
		{"by name", ca.Leaf("acme", testca.DNS("acme.example")), "203.0.113.9:4000", "tls", "acme"},
		{"by its second name", ca.Leaf("acme", testca.DNS("x.example", "ACME2.example")), "203.0.113.9:4000", "tls", "acme"},
		{"by SIP URI", ca.Leaf("acme", testca.URI("sip:acme.example")), "203.0.113.9:4000", "tls", "acme"},
		{"by the host of its uri", ca.Leaf("host", testca.DNS("host.example")), "203.0.113.9:4000", "tls", "host"},
		{"wrong authority", other.Leaf("acme", testca.DNS("acme.example")), "203.0.113.9:4000", "tls", `name of peer "acme", but is not accepted: x509`},
		{"unknown name", ca.Leaf("zebra", testca.DNS("zebra.example")), "203.0.113.9:4000", "tls", "no peer has a name of its certificate in certificate_names: CN=zebra is for DNS:zebra.example"},
		{"unknown name from a known address", ca.Leaf("zebra", testca.DNS("zebra.example")), "192.0.2.1:5080", "tls", "no peer has a name"},
		{"both satisfied", ca.Leaf("both", testca.DNS("both.example")), "198.51.100.7:4000", "tls", "both"},
		{"both, mapped address", ca.Leaf("both", testca.DNS("both.example")), "[::ffff:198.51.100.7]:4000", "tls", "both"},
		{"both, wrong address", ca.Leaf("both", testca.DNS("both.example")), "203.0.113.9:4000", "tls", `not in that peer's accept_from`},
		{"both, address for UDP only", ca.Leaf("both", testca.DNS("both.example")), "203.0.113.1:4000", "tls", `not in that peer's accept_from`},
		{"pinned", other.Leaf("pinned", testca.DNS("pinned.example")), "203.0.113.9:4000", "tls2", "pinned"},
		{"pinned, other listener", other.Leaf("pinned", testca.DNS("pinned.example")), "203.0.113.9:4000", "tls", `recognised on listener "tls2" only`},
		{"pinned, the others' authority", ca.Leaf("pinned", testca.DNS("pinned.example")), "203.0.113.9:4000", "tls2", "is not accepted"},
		{"by a wildcard", ca.Leaf("wild", testca.DNS("*.wild.example")), "203.0.113.9:4000", "tls", "wild"},
		{"by a wildcard of another label", ca.Leaf("wild", testca.DNS("*.gw.wild.example")), "203.0.113.9:4000", "tls", "no peer has a name of its certificate"},
		{"a name that does not count", ca.Leaf("acme", testca.URI("sip:zebra.example"), testca.DNS("acme.example")), "203.0.113.9:4000", "tls", "acme"},
		{"good for two", ca.Leaf("two", testca.DNS("acme.example", "host.example")), "203.0.113.9:4000", "tls", `good for two peers, "acme" and "host"`},
	} {
		t.Run(test.name, func(t *testing.T) {
			o := Origin{transport.TLS, netip.MustParseAddrPort(test.source), test.listener}
			p, id, err := peers.Identify(o, test.leaf.Chain, verify)
			if err != nil {
				unknown, ok := errors.AsType[*UnknownError](err)
				if !ok || unknown.Origin != o || p != nil || !strings.Contains(err.Error(), test.want) {
					t.Errorf("got %v, want %q", err, test.want)
				}
				return
			}
			if p.Name != test.want || id.Peer != p.Name || !slices.Equal(id.Names, test.leaf.Cert().DNSNames) {
				t.Errorf("got %s %v, want %s", p.Name, id.Names, test.want)
			}
		})
	}
}

func TestStateSurvivesReloadByName(t *testing.T) {
	before := table(t)
	now := time.Now()
	before.Lookup("acme").State.Failed(now, now, now.Add(time.Minute), "silent")
	before.Lookup("acme").State.In.Begin(now, 0, 0)
	cfg, _ := config.Parse("peers.yaml", []byte(strings.ReplaceAll(file, "host:", "guest:")))
	after := Compile(cfg, before)
	if s := after.Lookup("acme").State; s != before.Lookup("acme").State || s.Up() || s.In.Calls() != 1 {
		t.Errorf("got another state: up %v, calls %d", s.Up(), s.In.Calls())
	}
	if s := after.Lookup("guest").State; !s.Up() || s.In.Calls() != 0 {
		t.Errorf("new peer: up %v, calls %d", s.Up(), s.In.Calls())
	}
}

func TestBySourceDoesNotAllocate(t *testing.T) {
	peers := table(t)
	o := Origin{transport.UDP, netip.MustParseAddrPort("[::ffff:192.0.2.1]:5081"), "udp"}
	if n := testing.AllocsPerRun(100, func() { peers.BySource(o) }); n != 0 {
		t.Errorf("got %v allocations", n)
	}
}

// TestCheck compares the problems of each archive's file.
func TestCheck(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatal("no goldens", err)
	}
	for _, name := range files {
		archive, err := txtar.ParseFile(name)
		if err != nil {
			t.Fatal(err)
		}
		cfg, problems := config.Parse("peers.yaml", archive.Files[0].Data)
		var got strings.Builder
		for _, p := range append(problems, Check(cfg)...) {
			got.WriteString(p.String() + "\n")
		}
		if want := &archive.Files[1]; *update {
			want.Data = []byte(got.String())
			if err := os.WriteFile(name, txtar.Format(archive), 0o644); err != nil {
				t.Fatal(err)
			}
		} else if got.String() != string(want.Data) {
			t.Errorf("%s\ngot:\n%swant:\n%s", name, got.String(), want.Data)
		}
	}
}

func TestExampleIsUnambiguous(t *testing.T) {
	cfg, _ := config.Parse("sallyport.yaml", []byte(config.Example))
	for _, p := range Check(cfg) {
		t.Error(p)
	}
}
