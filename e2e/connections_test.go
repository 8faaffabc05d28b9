package e2e

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"

	"github.com/sallyport-sip/sallyport/sip/transport"
	"github.com/sallyport-sip/sallyport/sip/ua"
)

// TestCallsOutliveAServer lets the TLS server of one side die under 50 calls of the built gateway, with a reset on each
// of its connections, and come back.
func TestCallsOutliveAServer(t *testing.T) {
	for _, version := range []string{"1.2", "1.3"} {
		for _, c := range []struct{ dies, hangsUp string }{
			{"answerer", "caller"},
			{"answerer", "answerer"},
			{"caller", "caller"},
			{"caller", "answerer"},
		} {
			t.Run(fmt.Sprintf("TLS %s, the %s dies, the %s hangs up", version, c.dies, c.hangsUp), func(t *testing.T) {
				t.Parallel()
				s := newMortalSite(t, version)
				ctx, cancel := context.WithTimeout(t.Context(), sitePatience)
				defer cancel()
				ends := s.talkAll(ctx, t)
				s.die(t, c.dies)
				s.comeBack(t, c.dies, s.tls(t, c.dies))
				other := map[string]string{"caller": "answerer", "answerer": "caller"}[c.hangsUp]
				s.hangUpAll(ctx, t, ends[c.hangsUp])
				for _, call := range ends[other] {
					wantOver(ctx, t, call)
				}
				s.gateway.terminate(t)
			})
		}
	}
}

// TestCallsAreForOneName lets another server stand where the answerer's was, with a certificate of the same authority for
// another name: no BYE is sent to it, and the gateway says why.
func TestCallsAreForOneName(t *testing.T) {
	t.Parallel()
	s := newMortalSite(t, "1.3")
	ctx, cancel := context.WithTimeout(t.Context(), sitePatience)
	defer cancel()
	ends := s.talkAll(ctx, t)
	s.die(t, "answerer")
	sallyport(t, s.dir, "cert", "issue", "--ca", "ca.pem", "--sip", "elsewhere.example", "--dns", "elsewhere.example", "--out", "elsewhere.pem")
	s.version["elsewhere"] = "1.3"
	s.comeBack(t, "answerer", s.tls(t, "elsewhere"))
	before := s.answerer.Endpoint().Stats().MessagesIn.Load()
	s.hangUpAll(ctx, t, ends["caller"])
	const said = "BYE not sent yet: it is tried again"
	soon(t, "the gateway says of every BYE why it is not sent", func() bool { return len(s.gateway.logged(said)) == mortalCalls })
	for _, line := range s.gateway.logged(said) {
		if line.Peer != "answerer" || !strings.Contains(line.Cause, "answerer.example") || !strings.Contains(line.Cause, "elsewhere.example") {
			t.Fatalf("it says: peer %s, %s; want both names", line.Peer, line.Cause)
		}
	}
	if got := s.answerer.Endpoint().Stats().MessagesIn.Load(); got != before {
		t.Errorf("%d messages went to another name", got-before)
	}
	s.gateway.terminate(t)
}

const mortalCalls = 50

// A mortalSite is a site whose peers can lose all their connections.
type mortalSite struct {
	*site
	nets map[string]*mortal
}

func newMortalSite(t *testing.T, version string) *mortalSite {
	s := &mortalSite{
		site: &site{
			dir: t.TempDir(), version: map[string]string{"caller": version, "answerer": version},
			entry: map[string]netip.AddrPort{}, accepted: make(chan *ua.Call, mortalCalls),
		},
		nets: map[string]*mortal{"caller": {}, "answerer": {}},
	}
	s.certificates(t, "ca")
	addr := someAddresses(t, "127.0.0.1", 1)
	s.entry["tls"] = netip.MustParseAddrPort(addr[0])
	s.caller, s.answerer = s.mortal(t, "caller", nil), s.mortal(t, "answerer", ua.HandlerFunc(s.serve))
	s.gateway = startServe(t, s.dir, fmt.Sprintf(`
listeners: {outside: {listen: "tls:%s", client_certificates: required}}
identities: {gateway: {certificate: gateway.pem, key: gateway-key.pem}}
trust: {partners: {files: [ca.pem]}}
defaults: {identity: gateway, trust: [partners]}
peers:
  caller:   %s
  answerer: %s
routes: [{from: [caller], number: "+49*", to: [answerer]}]
`, addr[0], s.settings("caller", s.caller), s.settings("answerer", s.answerer)))
	return s
}

// mortal starts a peer that knows how to reach the gateway again.
func (s *mortalSite) mortal(t *testing.T, name string, h ua.Handler) *ua.Server {
	t.Helper()
	srv := &ua.Server{Handler: h, Shards: 1, Network: s.nets[name]}
	srv.Identify = func(transport.ConnInfo, *tls.ConnectionState) (transport.Identity, error) {
		return transport.Identity{Peer: "gateway"}, nil
	}
	gateway := ua.Target{Transport: transport.TLS, Addr: s.entry["tls"], Peer: "gateway", TLS: s.tls(t, name)}
	srv.Reconnect = func(shard *ua.Shard, _ string, deliver func(*ua.Shard, *transport.Conn)) {
		shard.Go(func() func(*ua.Shard) {
			conn, err := srv.Connect(t.Context(), gateway)
			if err != nil {
				t.Logf("the %s reaches the gateway no more: %v", name, err)
			}
			return func(shard *ua.Shard) { deliver(shard, conn) }
		})
	}
	if err := srv.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), sitePatience)
		defer cancel()
		if err := srv.Close(ctx); err != nil {
			t.Errorf("close the %s: %v", name, err)
		}
	})
	cfg := transport.ListenConfig{Name: name, Transport: transport.TLS, Addr: netip.MustParseAddrPort("127.0.0.1:0"), TLS: s.tls(t, name)}
	if _, err := srv.Listen(cfg); err != nil {
		t.Fatal(err)
	}
	return srv
}

func (s *mortalSite) talkAll(ctx context.Context, t *testing.T) map[string][]*ua.Call {
	t.Helper()
	ends := map[string][]*ua.Call{}
	for range mortalCalls {
		ours, theirs := s.talk(ctx, t)
		ends["caller"], ends["answerer"] = append(ends["caller"], ours), append(ends["answerer"], theirs)
	}
	for _, call := range ends["answerer"] {
		select {
		case <-call.Confirmed():
		case <-ctx.Done():
			t.Fatal("a call has no ACK")
		}
	}
	return ends
}

func (s *mortalSite) server(name string) *ua.Server {
	return map[string]*ua.Server{"caller": s.caller, "answerer": s.answerer}[name]
}

// die closes a peer's listener, resets its connections, and waits until both ends know.
func (s *mortalSite) die(t *testing.T, name string) {
	t.Helper()
	srv := s.server(name)
	l := srv.Endpoint().Listeners()[0]
	s.nets[name].home = l.Addr()
	l.Close()
	s.nets[name].reset()
	soon(t, "the gateway knows that the connection has gone", func() bool {
		for _, line := range s.gateway.logged("connection closed") {
			if line.Peer == name {
				return true
			}
		}
		return false
	})
	soon(t, "the "+name+" knows that its connections have gone", func() bool {
		return srv.Endpoint().PeerConn("gateway") == nil
	})
}

// comeBack listens again where the peer did.
func (s *mortalSite) comeBack(t *testing.T, name string, conf *tls.Config) {
	t.Helper()
	cfg := transport.ListenConfig{Name: name, Transport: transport.TLS, Addr: s.nets[name].home, TLS: conf}
	if _, err := s.server(name).Listen(cfg); err != nil {
		t.Fatal(err)
	}
}

func (s *mortalSite) hangUpAll(ctx context.Context, t *testing.T, calls []*ua.Call) {
	t.Helper()
	var all sync.WaitGroup
	for i, call := range calls {
		all.Go(func() {
			if err := call.Bye(ctx); err != nil {
				t.Errorf("call %d: %v", i, err)
			}
		})
	}
	all.Wait()
}

// mortal is the machine's network, with a memory of its connections.
type mortal struct {
	home  netip.AddrPort // of the listener that was closed
	mu    sync.Mutex     // guards conns
	conns []*net.TCPConn
}

type mortalListener struct {
	net.Listener
	n *mortal
}

func (n *mortal) keep(nc net.Conn, err error) (net.Conn, error) {
	if tcp, ok := nc.(*net.TCPConn); ok && err == nil {
		n.mu.Lock()
		n.conns = append(n.conns, tcp)
		n.mu.Unlock()
	}
	return nc, err
}

// reset ends every connection at once.
func (n *mortal) reset() {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, c := range n.conns {
		_ = c.SetLinger(0)
		c.Close()
	}
	n.conns = nil
}

func (l mortalListener) Accept() (net.Conn, error) { return l.n.keep(l.Listener.Accept()) }

func (n *mortal) Listen(ctx context.Context, addr netip.AddrPort) (net.Listener, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", addr.String())
	return mortalListener{l, n}, err
}

func (n *mortal) ListenPacket(context.Context, netip.AddrPort) (net.PacketConn, error) {
	return nil, errors.ErrUnsupported
}

func (n *mortal) Dial(ctx context.Context, _, remote netip.AddrPort) (net.Conn, error) {
	return n.keep((&net.Dialer{}).DialContext(ctx, "tcp", remote.String()))
}
