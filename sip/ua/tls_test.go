package ua_test

import (
	"context"
	"crypto/tls"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-sip/sallyport/internal/memnet"
	"github.com/sallyport-sip/sallyport/internal/testca"
	"github.com/sallyport-sip/sallyport/sip"
	"github.com/sallyport-sip/sallyport/sip/transport"
	"github.com/sallyport-sip/sallyport/sip/ua"
)

// pems writes a certificate, its key and an authority, and returns their files.
func pems(t *testing.T, leaf *testca.Leaf, ca *testca.CA) (cert, key, authority string) {
	t.Helper()
	dir := t.TempDir()
	for name, b := range map[string][]byte{"cert.pem": leaf.PEM(), "key.pem": leaf.KeyPEM(), "ca.pem": ca.PEM()} {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem"), filepath.Join(dir, "ca.pem")
}

func serverTLS(t *testing.T, leaf *testca.Leaf, ca *testca.CA) *tls.Config {
	t.Helper()
	cfg, err := ua.ServerTLS(pems(t, leaf, ca))
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

func clientTLS(t *testing.T, leaf *testca.Leaf, ca *testca.CA, domain string) *tls.Config {
	t.Helper()
	cert, key, authority := pems(t, leaf, ca)
	cfg, err := ua.ClientTLS(cert, key, authority, domain)
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

func TestMutualTLS(t *testing.T) {
	for _, tt := range []struct {
		name           string
		server, client func(good, bad *testca.CA) *testca.Leaf
		domain         string
		versions       uint16 // highest; 0 for any
		proves         string // what the handler finds proved; "-" means that there is no call
	}{
		{name: "DNS names", server: leaf("b.example"), client: leaf("a.example"), domain: "b.example", proves: "a.example"},
		{name: "TLS 1.2", server: leaf("b.example"), client: leaf("a.example"), domain: "b.example", versions: tls.VersionTLS12, proves: "a.example"},
		{name: "domain in another case", server: leaf("b.example"), client: leaf("A.Example"), domain: "B.EXAMPLE", proves: "a.example"},
		{
			name: "a SIP URI comes before a DNS name", domain: "b.example", proves: "a.example",
			server: leaf("host7.b.example", testca.URI("sip:b.example"), testca.DNS("host7.b.example")),
			client: leaf("host9.a.example", testca.URI("sip:a.example"), testca.DNS("host9.a.example")),
		},
		{
			name: "a DNS name beside a SIP URI does not count", domain: "host7.b.example", proves: "-",
			server: leaf("host7.b.example", testca.URI("sip:b.example"), testca.DNS("host7.b.example")), client: leaf("a.example"),
		},
		{
			name: "nor does it say who the client is", domain: "b.example", proves: "",
			server: leaf("b.example"), client: leaf("a.example", testca.URI("sip:other.example"), testca.DNS("a.example")),
		},
		{name: "a common name is no proof", domain: "b.example", server: leaf("b.example"), client: leaf("a.example", testca.CommonNameOnly()), proves: ""},
		{name: "another domain", server: leaf("c.example"), client: leaf("a.example"), domain: "b.example", proves: "-"},
		{name: "a wildcard", server: leaf("*.example"), client: leaf("a.example"), domain: "b.example", proves: "-"},
		{name: "an unknown authority of the server", server: stranger("b.example"), client: leaf("a.example"), domain: "b.example", proves: "-"},
		{name: "an unknown authority of the client", server: leaf("b.example"), client: stranger("a.example"), domain: "b.example", proves: "-"},
		{name: "a server that has expired", server: leaf("b.example", testca.Expired()), client: leaf("a.example"), domain: "b.example", proves: "-"},
		{name: "an address", server: leaf("b", testca.IP("127.0.0.1")), client: leaf("a.example"), domain: "127.0.0.1", proves: "a.example"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T, network *memnet.Network) {
				ca, other := testca.New("good"), testca.New("other")
				who := make(chan string, 1)
				srv := start(t, network, &ua.Server{Handler: ua.Methods{sip.INVITE: func(r *ua.Request) {
					id := ""
					if r.Proves("a.example") {
						id = "a.example"
					}
					if r.Proves("") || r.Proves("x.example") || r.TLS() == nil {
						t.Error("what nobody said was proved")
					}
					who <- id
					if _, err := r.Accept(); err != nil {
						t.Error(err)
					}
				}}})
				l, err := srv.Listen(transport.ListenConfig{Transport: transport.TLS, Addr: any4, TLS: serverTLS(t, tt.server(ca, other), ca)})
				if err != nil {
					t.Fatal(err)
				}
				caller := &ua.Server{Network: network}
				if err := caller.Start(); err != nil {
					t.Fatal(err)
				}
				defer caller.Close(context.Background())
				cfg := clientTLS(t, tt.client(ca, other), ca, tt.domain)
				cfg.MaxVersion = tt.versions
				to := ua.Target{Transport: transport.TLS, Addr: l.Addr(), TLS: cfg}
				ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
				defer cancel()
				call, err := caller.Invite(ctx, to, ua.InviteOptions{To: "sips:bob@b.example"})
				if tt.proves == "-" {
					if err == nil {
						t.Error("the call was made")
					}
					return
				}
				if err != nil {
					t.Fatal(err)
				}
				if got := <-who; got != tt.proves {
					t.Errorf("the handler finds %q proved, want %q", got, tt.proves)
				}
				if err := call.Bye(ctx); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

func leaf(name string, options ...testca.Option) func(good, _ *testca.CA) *testca.Leaf {
	return func(good, _ *testca.CA) *testca.Leaf { return good.Leaf(name, options...) }
}

func stranger(name string) func(_, bad *testca.CA) *testca.Leaf {
	return func(_, bad *testca.CA) *testca.Leaf { return bad.Leaf(name) }
}

// A request that comes back on a connection which we dialled is from whom we
// wanted, and nothing is proved without TLS.
func TestProvesOnOtherConnections(t *testing.T) {
	bubble(t, func(t *testing.T, network *memnet.Network) {
		ca := testca.New("good")
		calls := make(chan *ua.Call, 1)
		callee := start(t, network, &ua.Server{Handler: accepting(t, calls)})
		l, err := callee.Listen(transport.ListenConfig{Transport: transport.TLS, Addr: any4, TLS: serverTLS(t, ca.Leaf("b.example"), ca)})
		if err != nil {
			t.Fatal(err)
		}
		proved := make(chan bool, 2)
		caller := &ua.Server{Network: network, Handler: ua.Methods{sip.INFO: func(r *ua.Request) {
			proved <- r.Proves("b.example") && !r.Proves("a.example")
			r.Reply(200)
		}}}
		if err := caller.Start(); err != nil {
			t.Fatal(err)
		}
		defer caller.Close(context.Background())
		for _, to := range []ua.Target{
			{Transport: transport.TLS, Addr: l.Addr(), TLS: clientTLS(t, ca.Leaf("a.example"), ca, "b.example")},
			{Transport: transport.TCP, Addr: at},
		} {
			call, err := caller.Invite(t.Context(), to, ua.InviteOptions{To: bob})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := (<-calls).Do(t.Context(), sip.INFO); err != nil {
				t.Fatal(err)
			}
			if got := <-proved; got != (to.TLS != nil) {
				t.Errorf("%v: proved is %v", to.Transport, got)
			}
			if err := call.Bye(t.Context()); err != nil {
				t.Error(err)
			}
		}
	})
}

func TestTLSFilesThatDoNotServe(t *testing.T) {
	ca := testca.New("ca")
	cert, key, authority := pems(t, ca.Leaf("a.example"), ca)
	_, otherKey, _ := pems(t, ca.Leaf("b.example"), ca)
	for _, tt := range []struct{ cert, key, ca, domain, want string }{
		{"absent.pem", key, authority, "b.example", "absent.pem"},
		{cert, otherKey, authority, "b.example", otherKey},
		{cert, key, "absent.pem", "b.example", "absent.pem"},
		{cert, key, key, "b.example", "no certificate is in " + key},
		{cert, key, authority, "", "the domain is empty"},
	} {
		if _, err := ua.ClientTLS(tt.cert, tt.key, tt.ca, tt.domain); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("client: %v, want %q", err, tt.want)
		}
		if _, err := ua.ServerTLS(tt.cert, tt.key, tt.ca); tt.domain != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("server: %v, want %q", err, tt.want)
		}
	}
}
