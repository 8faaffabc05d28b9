package ua_test

import (
	"context"
	"log"
	"net/netip"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/sallyport-sip/sallyport/internal/memnet"
	"github.com/sallyport-sip/sallyport/sip/siptest"
	"github.com/sallyport-sip/sallyport/sip/transport"
	"github.com/sallyport-sip/sallyport/sip/ua"
)

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "ua")
	if err != nil {
		log.Fatal(err)
	}
	exampleDir = dir
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		os.RemoveAll(dir)
		os.Exit(code)
	}))
}

const sdp = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n"

var at = netip.MustParseAddrPort("127.0.0.1:5060")

// bubble runs a test on the time of a bubble, with a network of its own.
func bubble(t *testing.T, f func(t *testing.T, network *memnet.Network)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { f(t, memnet.New(memnet.Options{})) })
}

// start starts a server that listens on UDP and TCP at 127.0.0.1:5060 and is
// closed with the test.
func start(t *testing.T, network transport.Network, srv *ua.Server) *ua.Server {
	t.Helper()
	srv.Network = network
	if srv.Shards == 0 {
		srv.Shards = 4
	}
	if err := srv.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := srv.Close(ctx); err != nil {
			t.Errorf("close the server: %v", err)
		}
	})
	for _, tr := range []transport.Transport{transport.UDP, transport.TCP} {
		if _, err := srv.Listen(transport.ListenConfig{Name: tr.String(), Transport: tr, Addr: at}); err != nil {
			t.Fatal(err)
		}
	}
	return srv
}

// peer opens a scripted peer whose messages go to the server.
func peer(t *testing.T, network transport.Network, tr transport.Transport) *siptest.Peer {
	t.Helper()
	return named(t, network, tr, "alice")
}

func named(t *testing.T, network transport.Network, tr transport.Transport, name string) *siptest.Peer {
	t.Helper()
	p := siptest.New(t, siptest.Config{Name: name, Transport: tr, Network: network})
	p.Dial(at)
	return p
}

// target leads to a scripted peer.
func target(p *siptest.Peer, tr transport.Transport) ua.Target {
	return ua.Target{Transport: tr, Addr: p.Addr(), Peer: "bob"}
}

// each runs a test over UDP and over TCP.
func each(t *testing.T, f func(t *testing.T, network *memnet.Network, tr transport.Transport)) {
	for _, tr := range []transport.Transport{transport.UDP, transport.TCP} {
		t.Run(tr.String(), func(t *testing.T) {
			bubble(t, func(t *testing.T, network *memnet.Network) { f(t, network, tr) })
		})
	}
}

// soon waits for a value that the server's own goroutines bring.
func soon[T any](t *testing.T, from <-chan T, what string) T {
	t.Helper()
	select {
	case v := <-from:
		return v
	case <-time.After(time.Hour):
		t.Fatalf("waited for %s in vain", what)
		panic("unreachable")
	}
}
