package transport

import (
	"context"
	"crypto/tls"
	"errors"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sallyport-sip/sallyport/internal/memnet"
	"github.com/sallyport-sip/sallyport/internal/testca"
)

// reviewed is a server and a client with one TLS connection between them.
func reviewed(t *testing.T, network *memnet.Network, ca *testca.CA) (server, client *node, k Key, conf *tls.Config, c *Conn) {
	t.Helper()
	server, client = newNode(t, network, nil), newNode(t, network, nil)
	cred := credentialsOf(ca, tls.VersionTLS13)
	k = Key{Transport: TLS, Remote: server.listen(TLS, cred.server), Peer: "acme", Identity: "gateway", Policy: "1"}
	c, err := client.Dial(t.Context(), DialConfig{Key: k, TLS: cred.client})
	if err != nil {
		t.Fatal(err)
	}
	return server, client, k, cred.client, c
}

func TestRekeyedConnectionIsFoundUnderItsNewPolicyOnly(t *testing.T) {
	bubble(t, func(t *testing.T, network *memnet.Network, ca *testca.CA) {
		_, client, old, conf, c := reviewed(t, network, ca)
		fresh := old
		fresh.Policy = "2"
		if !client.Rekey(c, fresh) {
			t.Fatal("not rekeyed")
		}
		if client.Lookup(old) != nil || client.Lookup(fresh) != c || c.Key() != fresh {
			t.Errorf("found under the old policy %v, under the new one %v, want only the latter", client.Lookup(old), client.Lookup(fresh))
		}
		if again, err := client.Dial(t.Context(), DialConfig{Key: fresh, TLS: conf}); again != c || err != nil {
			t.Errorf("a dial under the new policy got %v, %v, want the connection", again, err)
		}
		for _, change := range []func(*Key){
			func(k *Key) { k.Peer = "backup" },
			func(k *Key) { k.Identity = "other" },
			func(k *Key) { k.Remote = netip.MustParseAddrPort("192.0.2.9:5061") },
			func(k *Key) { k.Local = netip.MustParseAddrPort("192.0.2.1:0") },
			func(k *Key) { k.Transport = TCP },
		} {
			k := fresh
			change(&k)
			if client.Rekey(c, k) || client.Lookup(k) != nil || client.Lookup(fresh) != c {
				t.Errorf("rekeyed to %+v, which differs in more than the policy", k)
			}
		}
		c.Close(errors.New("enough"))
		if client.Rekey(c, old) || client.Lookup(old) != nil {
			t.Error("an ended connection was rekeyed")
		}
	})
}

func TestRetiredConnectionServesOnlyWhatItHas(t *testing.T) {
	bubble(t, func(t *testing.T, network *memnet.Network, ca *testca.CA) {
		server, client, k, conf, c := reviewed(t, network, ca)
		client.Retire(c)
		if !c.Retired() || client.Lookup(k) != nil || client.PeerConn("acme") != nil || len(client.PeerConns("acme")) > 0 {
			t.Error("a retired connection is found")
		}
		if !c.Alive() || client.Conn(c.ID()) != c || !slices.Contains(slices.Collect(client.Conns()), c) {
			t.Error("a retired connection is not among those that live")
		}
		send(t, c, message(1, ""))
		server.wantText(message(1, ""))

		other, err := client.Dial(t.Context(), DialConfig{Key: k, TLS: conf})
		if err != nil || other == c {
			t.Fatalf("a dial got %v, %v, want another connection", other, err)
		}
		if !client.Rekey(c, k) || c.Retired() {
			t.Error("still retired after it passed again")
		}
		if client.Lookup(k) != other {
			t.Error("the connection that came back took the other one's place")
		}
		if got := client.PeerConns("acme"); !slices.Equal(got, []*Conn{other, c}) {
			t.Errorf("connections of the peer: %v, want the newest first", got)
		}
		other.Close(errors.New("enough"))
		client.Rekey(c, k)
		if client.Lookup(k) != c {
			t.Error("not found after the other one had ended")
		}
	})
}

func TestRecognisedStreamBelongsToItsPeer(t *testing.T) {
	bubble(t, func(t *testing.T, network *memnet.Network, _ *testca.CA) {
		server, client := newNode(t, network, nil), newNode(t, network, nil)
		dialled := client.dial(TCP, server.listen(TCP, nil), nil)
		c := want(t, server.opened, "a connection")
		if got := server.PeerConn("acme"); got != nil {
			t.Fatalf("found %v before anybody knew", got)
		}
		if !server.Recognise(c, Identity{Peer: "acme"}) || server.PeerConn("acme") != c || c.Identity().Peer != "acme" {
			t.Error("not recognised")
		}
		if !server.Recognise(c, Identity{Peer: "acme", Names: []string{"acme.example"}}) || len(c.Identity().Names) != 1 {
			t.Error("its names cannot change")
		}
		if server.Recognise(c, Identity{Peer: "backup"}) || c.Identity().Peer != "acme" {
			t.Error("the connection of one peer became another's")
		}
		if client.Recognise(dialled, Identity{Peer: "backup"}) {
			t.Error("a connection that we dialled became another's")
		}
	})
}

// A stranger's stream ends when idle, a peer's does not.
func TestRecognisedStreamMayRest(t *testing.T) {
	bubble(t, func(t *testing.T, network *memnet.Network, _ *testca.CA) {
		server, client := newNode(t, network, nil), newNode(t, network, nil)
		to := server.listen(TCP, nil)
		for i := range 2 {
			client.dial(TCP, to, nil)
			c := want(t, server.opened, "a connection")
			send(t, client.Lookup(Key{Transport: TCP, Remote: to, Peer: "gw"}), message(i, ""))
			server.wantText(message(i, ""))
			if i == 1 {
				server.Recognise(c, Identity{Peer: "acme"})
			}
			time.Sleep(DefaultLimits().IdleUnknown + time.Second)
			synctest.Wait()
			if alive := c.Alive(); alive != (i == 1) {
				t.Errorf("stream %d, alive: %v", i, alive)
			}
		}
	})
}

// Who is identified while the configuration changes is identified again.
func TestReviewMissesNobody(t *testing.T) {
	bubble(t, func(t *testing.T, network *memnet.Network, _ *testca.CA) {
		begun, goOn := make(chan struct{}, 2), make(chan struct{})
		var mu sync.Mutex
		name := "old"
		server := newNode(t, network, func(cfg *Config) {
			cfg.Hooks.Identify = func(ConnInfo, *tls.ConnectionState) (Identity, error) {
				mu.Lock()
				id := Identity{Peer: name}
				mu.Unlock()
				begun <- struct{}{}
				<-goOn
				return id, nil
			}
		})
		client := newNode(t, network, nil)
		client.dial(TCP, server.listen(TCP, nil), nil)
		<-begun
		mu.Lock()
		name = "new"
		mu.Unlock()
		for c := range server.Review() {
			t.Errorf("%v is open", c)
		}
		close(goOn)
		if got := want(t, server.opened, "a connection").Identity().Peer; got != "new" {
			t.Errorf("identified as %q, want what holds after the review", got)
		}
		if server.PeerConn("old") != nil || server.PeerConn("new") == nil {
			t.Error("listed under the wrong peer")
		}
	})
}

// Rekey and Retire against everything that looks for connections; the race
// detector watches.
func TestStandingUnderLoad(t *testing.T) {
	network := memnet.New(memnet.Options{})
	server, client := newNode(t, network, nil), newNode(t, network, nil)
	k := Key{Transport: TCP, Remote: server.listen(TCP, nil), Peer: "acme"}
	ctx, stop := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				k := k
				k.Policy = string(rune('0' + i%3))
				c, err := client.Dial(context.Background(), DialConfig{Key: k})
				if err != nil {
					t.Error(err)
					return
				}
				if p := c.Identity().Peer; p != "acme" {
					t.Errorf("connection of %q", p)
				}
				for _, c := range client.PeerConns("acme") {
					if i%5 == 0 {
						c.Close(errors.New("enough"))
					}
				}
			}
		})
	}
	for i := range 300 {
		for c := range client.Review() {
			k := c.Key()
			k.Policy = string(rune('0' + i%3))
			switch i % 3 {
			case 0:
				client.Retire(c)
			default:
				client.Rekey(c, k)
			}
		}
	}
	stop()
	wg.Wait()
	for _, c := range client.PeerConns("acme") {
		if c.Retired() {
			t.Errorf("%v is retired and found", c)
		}
	}
	client.pool.mu.Lock()
	defer client.pool.mu.Unlock()
	for k, c := range client.pool.byKey {
		if c.Key() != k || c.Retired() {
			t.Errorf("found by %+v: %+v, retired: %v", k, c.Key(), c.Retired())
		}
	}
}

func TestTimesOfAConnection(t *testing.T) {
	const hop = 30 * time.Millisecond
	synctest.Test(t, func(t *testing.T) {
		network, ca := memnet.New(memnet.Options{Delay: hop}), testca.New("bubble")
		server, client := newNode(t, network, nil), newNode(t, network, nil)
		cred := credentialsOf(ca, tls.VersionTLS13)
		begun := time.Now()
		out := client.dial(TLS, server.listen(TLS, cred.server), cred.client)
		in := want(t, server.opened, "a connection")
		plain := client.dial(TCP, server.listen(TCP, nil), nil)
		for _, c := range []struct {
			name               string
			conn               *Conn
			connect, handshake time.Duration
		}{
			{"dialled over TLS", out, hop, 2 * hop}, // one round trip until a TLS 1.3 client is done, half of one more for the server
			{"accepted over TLS", in, 0, 3 * hop},
			{"dialled over TCP", plain, hop, 0},
		} {
			if got := c.conn.ConnectTime(); got != c.connect {
				t.Errorf("%s: connected in %v, want %v", c.name, got, c.connect)
			}
			if got := c.conn.HandshakeTime(); got != c.handshake {
				t.Errorf("%s: handshake in %v, want %v", c.name, got, c.handshake)
			}
			if c.conn.Opened() != c.conn.HandshakeStart().Add(c.handshake) {
				t.Errorf("%s: opened %v, handshake from %v", c.name, c.conn.Opened(), c.conn.HandshakeStart())
			}
		}
		if !out.First() || out.First() || !in.First() {
			t.Error("new for somebody who was not the first, or not for who was")
		}
		if got := out.HandshakeStart().Sub(begun); got != hop {
			t.Errorf("the handshake began %v after the dial, want %v", got, hop)
		}
	})
}

func TestListenersComeAndGo(t *testing.T) {
	onEach(t, func(t *testing.T, network Network) {
		server, client := newNode(t, network, nil), newNode(t, network, nil)
		open := func(tr Transport, addr netip.AddrPort) *Listener {
			t.Helper()
			l, err := server.Listen(ListenConfig{Name: tr.String(), Transport: tr, Addr: addr})
			if err != nil {
				t.Fatal(err)
			}
			return l
		}
		first := open(TCP, home)
		before := client.dial(TCP, first.Addr(), nil)
		accepted := want(t, server.opened, "a connection")
		second := open(TCP, home)
		first.Retire()
		if got := server.Listeners(); len(got) != 1 || got[0] != second {
			t.Errorf("listeners: %v, want the second one only", got)
		}
		if _, err := client.Dial(t.Context(), DialConfig{Key: Key{Transport: TCP, Remote: first.Addr()}}); err == nil {
			t.Error("connected to a listener that was retired")
		}
		again := open(TCP, first.Addr())
		for i, c := range []*Conn{before, client.dial(TCP, second.Addr(), nil)} {
			send(t, c, message(i, ""))
			server.wantText(message(i, ""))
		}
		again.Close()
		second.Close()
		if !accepted.Alive() || accepted.Retired() {
			t.Error("a stream did not outlive its listener")
		}
	})
}

func TestRetiredSocketServesItsDialogs(t *testing.T) {
	onEach(t, func(t *testing.T, network Network) {
		server, client := newNode(t, network, nil), newNode(t, network, nil)
		from := client.listen(UDP, nil)
		first, err := server.Listen(ListenConfig{Name: "a", Transport: UDP, Addr: home})
		if err != nil {
			t.Fatal(err)
		}
		socket := first.Conn()
		first.Retire()
		if !socket.Retired() || !socket.Alive() || len(server.Listeners()) != 0 {
			t.Errorf("retired: %v, alive: %v, listeners: %v", socket.Retired(), socket.Alive(), server.Listeners())
		}
		dial := DialConfig{Key: Key{Transport: UDP, Remote: from}}
		if c, err := server.Dial(t.Context(), dial); err == nil {
			t.Errorf("a dial found %v", c)
		}
		second, err := server.Listen(ListenConfig{Name: "b", Transport: UDP, Addr: home})
		if err != nil {
			t.Fatal(err)
		}
		if c, err := server.Dial(t.Context(), dial); c != second.Conn() || err != nil {
			t.Errorf("a dial found %v, %v, want the new socket", c, err)
		}

		// Both ways over the retired one.
		ours, _ := client.Dial(t.Context(), DialConfig{Key: Key{Transport: UDP, Remote: first.Addr()}})
		if _, err := ours.Send([]byte(message(1, "")), first.Addr()); err != nil {
			t.Fatal(err)
		}
		ours.Flush()
		if got := server.wantText(message(1, "")); got.conn != socket {
			t.Errorf("came in over %v", got.conn)
		}
		if _, err := socket.Send([]byte(message(2, "")), from); err != nil {
			t.Fatal(err)
		}
		socket.Flush()
		client.wantText(message(2, ""))

		if _, err := server.Listen(ListenConfig{Name: "c", Transport: UDP, Addr: first.Addr()}); err == nil {
			t.Error("the address of a retired socket was free")
		}
		first.Close()
		if _, err := socket.Send([]byte(message(3, "")), from); !errors.Is(err, ErrClosed) {
			t.Errorf("sent over a closed socket: %v", err)
		}
		if _, err := server.Listen(ListenConfig{Name: "c", Transport: UDP, Addr: first.Addr()}); err != nil {
			t.Errorf("the address is not free after Close: %v", err)
		}
	})
}
