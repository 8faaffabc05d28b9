package transport

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sallyport-sip/sallyport/internal/memnet"
	"github.com/sallyport-sip/sallyport/internal/testca"
)

// A connection verified for one name is never used for another name or under
// another policy.
func TestConnectionServesOnlyItsKey(t *testing.T) {
	bubble(t, func(t *testing.T, network *memnet.Network, ca *testca.CA) {
		server, client := newNode(t, network, nil), newNode(t, network, nil)
		cred := credentialsOf(ca, tls.VersionTLS13)
		to, elsewhere := server.listen(TLS, cred.server), server.listen(TLS, cred.server)
		base := Key{Transport: TLS, Remote: to, Peer: "acme", Identity: "gateway", Policy: "1"}
		keys := []Key{base}
		for _, change := range []func(*Key){
			func(k *Key) { k.Peer = "backup" },
			func(k *Key) { k.Identity = "other" },
			func(k *Key) { k.Policy = "2" },
			func(k *Key) { k.Remote = elsewhere },
			func(k *Key) { k.Local = netip.MustParseAddrPort("192.0.2.1:5061") },
		} {
			k := base
			change(&k)
			keys = append(keys, k)
		}
		seen := map[*Conn]Key{}
		for _, k := range keys {
			if c := client.Lookup(k); c != nil {
				t.Errorf("key %+v finds the connection of %+v", k, seen[c])
			}
			c, err := client.Dial(t.Context(), DialConfig{Key: k, TLS: cred.client})
			if err != nil {
				t.Fatal(err)
			}
			if other, ok := seen[c]; ok {
				t.Errorf("key %+v got the connection of %+v", k, other)
			}
			seen[c] = k
			if again, err := client.Dial(t.Context(), DialConfig{Key: k, TLS: cred.client}); again != c || err != nil {
				t.Errorf("key %+v got a second connection, %v", k, err)
			}
			if client.Lookup(k) != c || c.Key() != k || client.Conn(c.ID()) != c {
				t.Errorf("key %+v does not find its connection", k)
			}
		}
		last := client.Lookup(keys[len(keys)-1])
		if got := last.Info().Local.Addr().String(); got != "192.0.2.1" {
			t.Errorf("leaves from %s, want the key's local address", got)
		}
	})
}

// slowNetwork counts dials and lets them wait.
type slowNetwork struct {
	*memnet.Network
	dials atomic.Int32
	gate  chan struct{}
}

func (n *slowNetwork) Dial(ctx context.Context, local, remote netip.AddrPort) (net.Conn, error) {
	n.dials.Add(1)
	select {
	case <-n.gate:
		return n.Network.Dial(ctx, local, remote)
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func TestOneDialForManyCallers(t *testing.T) {
	bubble(t, func(t *testing.T, network *memnet.Network, _ *testca.CA) {
		slow := &slowNetwork{Network: network, gate: make(chan struct{})}
		server, client := newNode(t, network, nil), newNode(t, slow, nil)
		cfg := DialConfig{Key: Key{Transport: TCP, Remote: server.listen(TCP, nil)}}

		// The caller who came first gives up; the dial goes on for the others.
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() {
			if _, err := client.Dial(ctx, cfg); !errors.Is(err, context.Canceled) {
				t.Errorf("dial: %v, want its context's end", err)
			}
		})
		synctest.Wait()
		conns := make([]*Conn, 10)
		for i := range conns {
			wg.Go(func() {
				var err error
				if conns[i], err = client.Dial(t.Context(), cfg); err != nil {
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		cancel()
		synctest.Wait()
		close(slow.gate)
		wg.Wait()
		for _, c := range conns {
			if c != conns[0] || c == nil {
				t.Error("callers got different connections")
			}
		}
		if got := slow.dials.Load(); got != 1 {
			t.Errorf("%d dials, want 1", got)
		}
	})
}

func TestDialTimesOut(t *testing.T) {
	bubble(t, func(t *testing.T, network *memnet.Network, _ *testca.CA) {
		slow := &slowNetwork{Network: network, gate: make(chan struct{})}
		client := newNode(t, slow, nil)
		cfg := DialConfig{Key: Key{Transport: TCP, Remote: home}, Timeout: 3 * time.Second}
		for range 2 { // the second attempt is a new one
			start := time.Now()
			_, err := client.Dial(t.Context(), cfg)
			if got := time.Since(start); !errors.Is(err, context.DeadlineExceeded) || got != cfg.Timeout {
				t.Errorf("%v after %v, want the deadline after %v", err, got, cfg.Timeout)
			}
		}
		if got := slow.dials.Load(); got != 2 {
			t.Errorf("%d dials, want 2", got)
		}
	})
}

func TestCloseEndsADial(t *testing.T) {
	bubble(t, func(t *testing.T, network *memnet.Network, _ *testca.CA) {
		client := newNode(t, &slowNetwork{Network: network, gate: make(chan struct{})}, nil)
		got := make(chan error)
		go func() {
			_, err := client.Dial(t.Context(), DialConfig{Key: Key{Transport: TCP, Remote: home}})
			got <- err
		}()
		synctest.Wait()
		client.stop()
		if err := <-got; !errors.Is(err, context.Canceled) {
			t.Errorf("dial: %v, want cancelled", err)
		}
		if _, err := client.Dial(t.Context(), DialConfig{Key: Key{Transport: TCP, Remote: home}}); !errors.Is(err, ErrShutdown) {
			t.Errorf("dial on a closed endpoint: %v, want ErrShutdown", err)
		}
	})
}

func TestDeadConnectionLeavesThePoolAtOnce(t *testing.T) {
	bubble(t, func(t *testing.T, network *memnet.Network, _ *testca.CA) {
		server, client := newNode(t, network, nil), newNode(t, network, nil)
		to := server.listen(TCP, nil)
		c := client.dial(TCP, to, nil)
		c.Close(errors.New("enough"))
		if client.Lookup(c.Key()) != nil || client.PeerConn("gw") != nil || client.Conn(c.ID()) != nil || c.Alive() {
			t.Error("a closed connection is still found")
		}
		if _, err := c.Send([]byte("x"), netip.AddrPort{}); !errors.Is(err, ErrClosed) {
			t.Errorf("send: %v, want ErrClosed", err)
		}
		d := client.dial(TCP, to, nil)
		if d == c {
			t.Fatal("a dial returned the closed connection")
		}
		want(t, client.closed, "the end of the first") // its end does not disturb the second
		if client.Lookup(d.Key()) != d || client.PeerConn("gw") != d {
			t.Error("the second connection is not found")
		}
	})
}

func TestPeerConnFindsInboundConnections(t *testing.T) {
	bubble(t, func(t *testing.T, network *memnet.Network, _ *testca.CA) {
		server := newNode(t, network, func(cfg *Config) {
			cfg.Hooks.Identify = func(info ConnInfo, _ *tls.ConnectionState) (Identity, error) {
				if info.Remote.Addr() == netip.MustParseAddr("192.0.2.1") {
					return Identity{Peer: "acme"}, nil
				}
				return Identity{}, nil
			}
		})
		to := server.listen(TCP, nil)
		acme := netip.MustParseAddrPort("192.0.2.1:0")
		var conns []*Conn
		for range 2 {
			if _, err := network.Dial(t.Context(), acme, to); err != nil {
				t.Fatal(err)
			}
			conns = append(conns, want(t, server.opened, "a connection"))
		}
		rawDial(t, network, to)
		stranger := want(t, server.opened, "a connection")
		if got := server.PeerConn("acme"); got != conns[1] {
			t.Errorf("got %v, want the newest connection", got)
		}
		conns[1].Close(errors.New("enough"))
		if got := server.PeerConns("acme"); len(got) != 1 || got[0] != conns[0] {
			t.Errorf("got %v, want the other connection", got)
		}
		if got := server.PeerConn(""); got != nil {
			t.Errorf("a stranger's connection %v is found by an empty name", got)
		}
		if server.Lookup(Key{}) != nil || server.Conn(stranger.ID()) != stranger {
			t.Error("an inbound connection has a key, or its ID finds nothing")
		}
		n := 0
		for range server.Conns() {
			n++
		}
		if n < 2 {
			t.Errorf("%d live connections, want 2 at least", n)
		}
	})
}
