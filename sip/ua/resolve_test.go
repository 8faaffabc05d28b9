package ua_test

import (
	"crypto/tls"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/sallyport-sip/sallyport/internal/memnet"
	"github.com/sallyport-sip/sallyport/internal/testca"
	"github.com/sallyport-sip/sallyport/internal/testdns"
	"github.com/sallyport-sip/sallyport/sip"
	"github.com/sallyport-sip/sallyport/sip/resolve"
	"github.com/sallyport-sip/sallyport/sip/siptest"
	"github.com/sallyport-sip/sallyport/sip/transport"
	"github.com/sallyport-sip/sallyport/sip/ua"
)

// The domain b.example has two servers for each transport.
var zone = []string{
	"_sip._udp.b.example. 60 IN SRV 1 0 5081 one.hosting.example.",
	"_sip._udp.b.example. 60 IN SRV 2 0 5082 two.hosting.example.",
	"_sip._tcp.b.example. 60 IN SRV 1 0 5081 one.hosting.example.",
	"_sip._tcp.b.example. 60 IN SRV 2 0 5082 two.hosting.example.",
	"_sips._tcp.b.example. 60 IN SRV 1 0 5081 one.hosting.example.",
	"_sips._tcp.b.example. 60 IN SRV 2 0 5082 two.hosting.example.",
	"one.hosting.example. 60 IN A 192.0.2.1",
	"two.hosting.example. 60 IN A 192.0.2.2",
}

var servers = []netip.AddrPort{netip.MustParseAddrPort("192.0.2.1:5081"), netip.MustParseAddrPort("192.0.2.2:5082")}

// resolving is a server with a name server.
func resolving(t *testing.T, network *memnet.Network) *ua.Server {
	ns := testdns.Start(t, network, netip.MustParseAddrPort("192.0.2.53:53"), zone...)
	return start(t, network, &ua.Server{Resolver: &resolve.Resolver{Servers: []netip.AddrPort{ns.Addr()}, Dial: testdns.Dial(network)}})
}

func hosted(t *testing.T, network *memnet.Network, tr transport.Transport, i int, cfg *tls.Config) *siptest.Peer {
	p := siptest.New(t, siptest.Config{Name: "bob", Transport: tr, Network: network, Addr: servers[i], TLS: cfg})
	if tr == transport.UDP {
		p.Dial(at)
	}
	return p
}

// A request to a domain goes to its next server when the first is busy, cannot be
// reached or is silent (RFC 3263 §4.3), and nowhere else when it was refused.
func TestRequestsGoToTheNextServerOfADomain(t *testing.T) {
	for _, uri := range []string{"sip:bob@b.example;transport=udp", "sip:bob@b.example;transport=tcp"} {
		bubble(t, func(t *testing.T, network *memnet.Network) {
			tr := transport.UDP
			if strings.HasSuffix(uri, "tcp") {
				tr = transport.TCP
			}
			srv := resolving(t, network)
			one, two := hosted(t, network, tr, 0, nil), hosted(t, network, tr, 1, nil)

			call := place(t.Context(), srv, ua.Target{}, ua.InviteOptions{To: uri})
			invite := one.WantRequest(sip.INVITE)
			one.Reply(invite, 503)
			one.WantRequest(sip.ACK)
			second := two.WantRequest(sip.INVITE)
			a, _ := invite.Via()
			b, _ := second.Via()
			if string(a.Branch()) == string(b.Branch()) {
				t.Error("the second INVITE has the branch of the first")
			}
			two.Reply(second, 486)
			two.WantRequest(sip.ACK)
			if r := <-call; r.err == nil || !strings.Contains(r.err.Error(), "486") {
				t.Errorf("got %v", r.err)
			}

			call = place(t.Context(), srv, ua.Target{}, ua.InviteOptions{To: uri})
			invite = one.WantRequest(sip.INVITE)
			one.Reply(invite, 603)
			one.WantRequest(sip.ACK)
			if r := <-call; r.err == nil || !strings.Contains(r.err.Error(), "603") {
				t.Errorf("got %v", r.err)
			}

			one.Close()
			call = place(t.Context(), srv, ua.Target{}, ua.InviteOptions{To: uri})
			two.Reply(two.WantRequest(sip.INVITE), 200, siptest.Body("application/sdp", sdp))
			two.WantRequest(sip.ACK)
			if r := <-call; r.err != nil {
				t.Errorf("got %v", r.err)
			}

			sent := make(chan *sip.Message, 1)
			go func() {
				m, err := srv.Send(t.Context(), ua.Target{}, ua.Outgoing{Method: sip.MESSAGE, To: uri})
				if err != nil {
					t.Error(err)
				}
				sent <- m
			}()
			two.Reply(two.WantRequest(sip.MESSAGE), 503)
			if m := <-sent; m == nil || m.StatusCode() != 503 {
				t.Errorf("got %v, want the 503 of the last one", m)
			}
		})
	}
}

// Which host of a domain serves is the DNS's word; what its certificate must be
// for is the domain that was asked for (RFC 5922 §7.3). Both servers are verified
// for it, and the one that proves the name of the SRV record only is refused.
func TestCertificateOfTheNameAskedFor(t *testing.T) {
	bubble(t, func(t *testing.T, network *memnet.Network) {
		ca := testca.New("test")
		serverTLS := func(name string) *tls.Config {
			return &tls.Config{Certificates: []tls.Certificate{ca.Leaf(name).TLS()}}
		}
		srv := resolving(t, network)
		one := hosted(t, network, transport.TLS, 0, serverTLS("one.hosting.example"))
		two := hosted(t, network, transport.TLS, 1, serverTLS("b.example"))
		to := ua.Target{TLS: &tls.Config{RootCAs: ca.Pool()}}
		for _, uri := range []string{"sips:bob@b.example", "sip:bob@b.example", "sip:bob@b.example;transport=tls"} {
			call := place(t.Context(), srv, to, ua.InviteOptions{To: uri})
			two.Reply(two.WantRequest(sip.INVITE), 200, siptest.Body("application/sdp", sdp))
			two.WantRequest(sip.ACK)
			r := <-call
			if r.err != nil {
				t.Fatalf("%s: %v", uri, r.err)
			}
		}
		one.WantSilence(0)
		two.Close()
		if r := <-place(t.Context(), srv, to, ua.InviteOptions{To: "sips:carol@b.example"}); r.err == nil {
			t.Error("a call went to a server that proves another name")
		}
		// A wildcard is for HTTPS (RFC 5922 §7.2).
		hosted(t, network, transport.TLS, 1, serverTLS("*.example"))
		if r := <-place(t.Context(), srv, to, ua.InviteOptions{To: "sips:carol@b.example"}); r.err == nil {
			t.Error("a call went to a server with a wildcard")
		}
	})
}

func TestResolveKeepsToTheTarget(t *testing.T) {
	bubble(t, func(t *testing.T, network *memnet.Network) {
		srv := resolving(t, network)
		cfg := &tls.Config{ServerName: "chosen.example"}
		list := func(uri string, like ua.Target) (out []string, last ua.Target, failed error) {
			for to, err := range srv.Resolve(t.Context(), uri, like) {
				if err != nil {
					return out, last, err
				}
				out, last = append(out, to.Transport.String()+" "+to.Addr.String()), to
			}
			return out, last, nil
		}
		for _, c := range []struct {
			uri  string
			like ua.Target
			want string
			fail error
		}{
			{"sip:b.example", ua.Target{}, "udp 192.0.2.1:5081 udp 192.0.2.2:5082", nil},
			{"sip:b.example", ua.Target{TLS: cfg}, "tls 192.0.2.1:5081 tls 192.0.2.2:5082", nil},
			{"sip:b.example", ua.Target{TLS: cfg, Transport: transport.TCP}, "tcp 192.0.2.1:5081 tcp 192.0.2.2:5082", nil},
			{"sips:b.example", ua.Target{}, "", resolve.ErrUnsupported},
			{"sips:b.example", ua.Target{TLS: cfg, Transport: transport.UDP}, "", resolve.ErrUnsupported},
			{"sip:192.0.2.9:5099", ua.Target{}, "udp 192.0.2.9:5099", nil},
		} {
			got, last, err := list(c.uri, c.like)
			if strings.Join(got, " ") != c.want || !errors.Is(err, c.fail) {
				t.Errorf("%s: got %q, %v, want %q, %v", c.uri, got, err, c.want, c.fail)
			}
			if last.Transport.Secure() && (last.TLS != cfg || last.Policy != "") {
				t.Errorf("%s: the name that was chosen is not kept", c.uri)
			}
		}
		if _, _, err := list("tel:+49", ua.Target{}); err == nil {
			t.Error("a tel URI has no server")
		}
		first, _, _ := list("sip:b.example", ua.Target{})
		if !slices.Contains(first, "udp 192.0.2.1:5081") {
			t.Error(first)
		}
	})
}
