package transport

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sallyport-sip/sallyport/internal/memnet"
	"github.com/sallyport-sip/sallyport/internal/testca"
)

func onEachVersion(t *testing.T, f func(t *testing.T, network Network, cred credentials, version uint16)) {
	onEach(t, func(t *testing.T, network Network) {
		for _, v := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			t.Run(tls.VersionName(v), func(t *testing.T) { f(t, network, newCredentials(v), v) })
		}
	})
}

// foreign opens a TLS connection that is not ours and lets the server see one
// message.
func foreign(t *testing.T, n *node, network Network, cred credentials) (*tls.Conn, net.Conn) {
	t.Helper()
	nc := rawDial(t, network, n.listen(TLS, cred.server))
	tc := tls.Client(nc, cred.client)
	write(t, tc, message(1, ""))
	n.wantText(message(1, ""))
	return tc, nc
}

func TestCloseNotifyIsNoted(t *testing.T) {
	onEachVersion(t, func(t *testing.T, network Network, cred credentials, _ uint16) {
		n := newNode(t, network, nil)

		tc, nc := foreign(t, n, network, cred)
		tc.CloseWrite()
		why := n.wantClosed("the other side closed the connection")
		if !why.NotifyReceived || !why.NotifySent || why.Local || why.Notify() != "sent and received" {
			t.Errorf("after close_notify: %+v", why)
		}
		wantEOF(t, tc) // ours has arrived too
		nc.Close()

		_, nc = foreign(t, n, network, cred)
		nc.(interface{ CloseWrite() error }).CloseWrite()
		why = n.wantClosed("without close_notify")
		if why.NotifyReceived || !why.Ended || why.Local || why.Notify() != "sent, none received" {
			t.Errorf("after a bare end: %+v", why)
		}

		tc, _ = foreign(t, n, network, cred)
		c := want(t, n.opened, "the third connection")
		for range 2 {
			c = want(t, n.opened, "the third connection")
		}
		c.Close(errors.New("enough"))
		wantEOF(t, tc)
		tc.Close()
		why = n.wantClosed("enough")
		if !why.NotifySent || !why.NotifyReceived || !why.Local {
			t.Errorf("after our close: %+v", why)
		}
	})
}

func TestSilentPeerDoesNotHoldAClose(t *testing.T) {
	bubble(t, func(t *testing.T, network *memnet.Network, ca *testca.CA) {
		n := newNode(t, network, nil)
		_, _ = foreign(t, n, network, credentialsOf(ca, tls.VersionTLS13))
		start := time.Now()
		want(t, n.opened, "the connection").Close(errors.New("enough"))
		why := n.wantClosed("enough")
		if got, want := time.Since(start), DefaultLimits().Linger; got != want || why.Ended || why.NotifyReceived {
			t.Errorf("closed after %v, want %v: %+v", got, want, why)
		}
	})
}

func TestServerRefusesOurCertificate(t *testing.T) {
	onEachVersion(t, func(t *testing.T, network Network, cred credentials, version uint16) {
		server, client := newNode(t, network, nil), newNode(t, network, nil)
		stranger := testca.New("other").Leaf("peer.example", testca.DNS("peer.example")).TLS()
		conf := cred.client.Clone()
		conf.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &stranger, nil }
		to := server.listen(TLS, cred.server)
		c, err := client.Dial(t.Context(), DialConfig{Key: Key{Transport: TLS, Remote: to}, TLS: conf})
		server.wantRefused("certificate signed by unknown authority")
		if version == tls.VersionTLS12 {
			if err == nil || !strings.Contains(err.Error(), "alert 48") {
				t.Errorf("dial: %v, want alert 48 (unknown_ca)", err)
			}
			client.wantRefused("alert 48")
			return
		}
		// The client learns of it only at its first read.
		if err != nil {
			t.Fatal(err)
		}
		why := client.wantClosed("it has refused the handshake, most likely our certificate")
		if why.Alert != 48 || !why.BeforeData || why.Local || why.NotifyReceived {
			t.Errorf("%+v", why)
		}
		if _, err := c.Send([]byte(message(1, "")), netip.AddrPort{}); !errors.Is(err, ErrClosed) || AlertName(err) != "alert 48, unknown certificate authority" {
			t.Errorf("a message too late: %v, want ErrClosed with the alert", err)
		}
		if c.Confirmed() || len(client.confirmed) > 0 {
			t.Error("the refused connection is confirmed")
		}
	})
}

func TestWeRefuseTheServer(t *testing.T) {
	onEachVersion(t, func(t *testing.T, network Network, cred credentials, version uint16) {
		server, client := newNode(t, network, nil), newNode(t, network, nil)
		conf := cred.client.Clone()
		conf.ServerName = "elsewhere.example"
		_, err := client.Dial(t.Context(), DialConfig{
			Key: Key{Transport: TLS, Remote: server.listen(TLS, cred.server)}, TLS: conf,
		})
		if err == nil || !strings.Contains(err.Error(), "elsewhere.example") {
			t.Errorf("dial: %v", err)
		}
		client.wantRefused("elsewhere.example")
		server.wantRefused("alert 42") // bad_certificate
	})
}

func TestFirstRecordConfirms(t *testing.T) {
	onEachVersion(t, func(t *testing.T, network Network, cred credentials, version uint16) {
		server, client := newNode(t, network, nil), newNode(t, network, nil)
		to := server.listen(TLS, cred.server)
		c := client.dial(TLS, to, cred.client)
		s := want(t, server.opened, "the connection")
		if !s.Confirmed() {
			t.Error("a server's connection is not confirmed by its handshake")
		}
		// Without a session cache the server has nothing to say before its first message.
		if got, want := c.Confirmed(), version == tls.VersionTLS12; got != want {
			t.Errorf("confirmed by the handshake: %v, want %v", got, want)
		}
		send(t, s, message(1, ""))
		client.wantText(message(1, ""))
		if got := want(t, client.confirmed, "the confirmation"); got != c || !c.Confirmed() {
			t.Error("the first message does not confirm")
		}

		// With one, its session ticket confirms.
		conf := cred.client.Clone()
		conf.ClientSessionCache = tls.NewLRUClientSessionCache(1)
		d, err := client.Dial(t.Context(), DialConfig{Key: Key{Transport: TLS, Remote: to, Peer: "other"}, TLS: conf})
		if err != nil {
			t.Fatal(err)
		}
		if got := want(t, client.confirmed, "the confirmation"); got != d || !d.Confirmed() {
			t.Error("the session ticket does not confirm")
		}
	})
}

// watcher is a recorder's connection.
type watcher struct {
	net.Conn
	in, out *atomic.Int64
}

func (w watcher) Read(p []byte) (int, error) {
	n, err := w.Conn.Read(p)
	w.in.Add(int64(n))
	return n, err
}

func (w watcher) Write(p []byte) (int, error) {
	w.out.Add(int64(len(p)))
	return w.Conn.Write(p)
}

func TestWrappedConnectionSeesEveryByte(t *testing.T) {
	onEachVersion(t, func(t *testing.T, network Network, cred credentials, _ uint16) {
		var in, out [2]atomic.Int64
		var nodes [2]*node
		for i := range nodes {
			nodes[i] = newNode(t, network, func(cfg *Config) {
				cfg.Hooks.WrapConn = func(nc net.Conn, info ConnInfo) net.Conn {
					if info.Transport != TLS || info.Inbound != (i == 0) {
						t.Errorf("wrap %+v", info)
					}
					return watcher{nc, &in[i], &out[i]}
				}
			})
		}
		c := nodes[1].dial(TLS, nodes[0].listen(TLS, cred.server), cred.client)
		for i := range 50 {
			send(t, c, message(i, strings.Repeat("x", 3000)), message(i, ""))
			nodes[0].wantText(message(i, strings.Repeat("x", 3000)))
			nodes[0].wantText(message(i, ""))
		}
		c.Close(errors.New("enough"))
		nodes[0].wantClosed("the other side closed")
		nodes[1].wantClosed("enough")
		if in[0].Load() != out[1].Load() || in[1].Load() != out[0].Load() || in[0].Load() < 150_000 {
			t.Errorf("server read %d of %d, client %d of %d", in[0].Load(), out[1].Load(), in[1].Load(), out[0].Load())
		}
	})
}

func TestRefusedHandshakeIsReadToItsEnd(t *testing.T) {
	// Data that a TLS 1.3 client sends before it learns of the refusal must neither
	// turn the alert into a reset nor escape the recorder.
	onEach(t, func(t *testing.T, network Network) {
		cred := newCredentials(tls.VersionTLS13)
		var in atomic.Int64
		server := newNode(t, network, func(cfg *Config) {
			cfg.Hooks.WrapConn = func(nc net.Conn, _ ConnInfo) net.Conn { return watcher{nc, &in, new(atomic.Int64)} }
		})
		stranger := testca.New("other").Leaf("peer.example").TLS()
		conf := cred.client.Clone()
		conf.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &stranger, nil }
		var sent atomic.Int64
		nc := rawDial(t, network, server.listen(TLS, cred.server))
		tc := tls.Client(watcher{nc, new(atomic.Int64), &sent}, conf)
		write(t, tc, message(1, strings.Repeat("x", 10_000)))
		_, err := io.ReadAll(tc)
		if alert, ok := AlertOf(err); !ok || alert != 48 {
			t.Errorf("the client reads %v, want alert 48", err)
		}
		nc.Close()
		server.wantRefused("unknown authority")
		if in.Load() != sent.Load() {
			t.Errorf("%d of %d bytes were read", in.Load(), sent.Load())
		}
	})
}

func TestRecordsInAnyPieces(t *testing.T) {
	for _, size := range []int{1, 3, 7, 100, 5000} {
		bubble(t, func(t *testing.T, network *memnet.Network, ca *testca.CA) {
			cred := credentialsOf(ca, tls.VersionTLS13)
			server := newNode(t, network, nil)
			nc := rawDial(t, network, server.listen(TLS, cred.server))
			tc := tls.Client(chopper{nc, size}, cred.client)
			for i := range 5 {
				write(t, tc, message(i, strings.Repeat("y", 2000*i)))
			}
			for i := range 5 {
				server.wantText(message(i, strings.Repeat("y", 2000*i)))
			}
		})
	}
}

// chopper writes in small pieces.
type chopper struct {
	net.Conn
	size int
}

func (c chopper) Write(p []byte) (int, error) {
	for n := 0; n < len(p); n += c.size {
		if m, err := c.Conn.Write(p[n:min(len(p), n+c.size)]); err != nil {
			return n + m, err
		}
		if c.size > 50 {
			time.Sleep(time.Millisecond) // each piece is a read of its own
		}
	}
	return len(p), nil
}

func TestTicketAndEndTogetherAreNoRefusal(t *testing.T) {
	// The session ticket confirms, also when close_notify comes right behind it.
	onEach(t, func(t *testing.T, network Network) {
		cred := newCredentials(tls.VersionTLS13)
		cred.client.ClientSessionCache = tls.NewLRUClientSessionCache(1)
		ln, err := network.Listen(t.Context(), home)
		if err != nil {
			t.Fatal(err)
		}
		defer ln.Close()
		done := make(chan struct{})
		go func() {
			defer close(done)
			nc, err := ln.Accept()
			if err != nil {
				return
			}
			tc := tls.Server(nc, cred.server)
			_ = tc.Handshake()
			_ = tc.Close()
		}()
		client := newNode(t, network, nil)
		c := client.dial(TLS, addrPort(ln.Addr()), cred.client)
		if why := client.wantClosed("the other side closed the connection"); why.BeforeData || !why.NotifyReceived {
			t.Errorf("%+v", why)
		}
		if !c.Confirmed() || len(client.confirmed) != 1 {
			t.Error("the connection was not confirmed")
		}
		<-done
	})
}

// ends are the ways in which the other side of a TLS connection ends it, after
// two minutes without a byte.
var ends = []struct {
	name     string
	end      func(tc *tls.Conn, nc net.Conn)
	text     string
	ordinary bool
	cut      bool
}{
	{"close_notify", func(tc *tls.Conn, nc net.Conn) { tc.Close() },
		"the other side closed the connection after 2m0s idle", true, false},
	{"no close_notify", func(_ *tls.Conn, nc net.Conn) { nc.Close() },
		"the other side closed the connection without close_notify after 2m0s idle", false, false},
	{"in a record", func(_ *tls.Conn, nc net.Conn) { nc.Write([]byte{23, 3, 3, 0, 100, 1, 2}); nc.Close() },
		"the other side closed the connection in the middle of a TLS record without close_notify", false, true},
	{"reset", func(_ *tls.Conn, nc net.Conn) { nc.(*memnet.Conn).Reset() },
		"the other side reset the connection", false, true},
}

func TestEndOfAnIdleConnection(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		for _, e := range ends {
			t.Run(tls.VersionName(version)+", "+e.name, func(t *testing.T) {
				bubble(t, func(t *testing.T, network *memnet.Network, ca *testca.CA) {
					n := newNode(t, network, nil)
					tc, nc := foreign(t, n, network, credentialsOf(ca, version))
					time.Sleep(2 * time.Minute)
					e.end(tc, nc)
					why := n.wantClosed("the other side")
					if why.Text != e.text || why.Ordinary() != e.ordinary || why.CutShort() != e.cut || why.Err != nil && e.ordinary {
						t.Errorf("%q, ordinary: %v, cut short: %v, %+v", why, why.Ordinary(), why.CutShort(), why)
					}
					if why.Idle != 2*time.Minute && !why.MidRecord {
						t.Errorf("idle for %v, want two minutes", why.Idle)
					}
				})
			})
		}
	}
}

// What the last read brought ends the rest; so does what we wrote.
func TestBusyConnectionWasNotIdle(t *testing.T) {
	for _, ours := range []bool{true, false} {
		bubble(t, func(t *testing.T, network *memnet.Network, ca *testca.CA) {
			n := newNode(t, network, nil)
			tc, _ := foreign(t, n, network, credentialsOf(ca, tls.VersionTLS13))
			time.Sleep(2 * time.Minute)
			if ours {
				send(t, want(t, n.opened, "the connection"), message(2, ""))
			} else {
				write(t, tc, message(2, ""))
				n.wantText(message(2, ""))
			}
			time.Sleep(time.Second)
			tc.Close()
			if why := n.wantClosed("the other side"); why.Idle != time.Second || why.Text != "the other side closed the connection" || !why.Ordinary() {
				t.Errorf("%q, idle for %v, ordinary: %v", why, why.Idle, why.Ordinary())
			}
		})
	}
}

func TestOurCloseIsNotTheOtherSides(t *testing.T) {
	bubble(t, func(t *testing.T, network *memnet.Network, ca *testca.CA) {
		n := newNode(t, network, nil)
		foreign(t, n, network, credentialsOf(ca, tls.VersionTLS13))
		want(t, n.opened, "the connection").Close(errors.New("enough"))
		if why := n.wantClosed("enough"); why.Ordinary() || why.CutShort() || why.Text != "enough" {
			t.Errorf("%+v", why)
		}
	})
}

// Whoever is refused and does not close has a while for the alert; nobody waits for him to hear of it.
func TestRefusalIsToldAtOnce(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		t.Run(tls.VersionName(version), func(t *testing.T) {
			bubble(t, func(t *testing.T, network *memnet.Network, ca *testca.CA) {
				cred := credentialsOf(ca, version)
				told := make(chan error, 1)
				n := newNode(t, network, func(cfg *Config) {
					cfg.Hooks.Refusing = func(_ ConnInfo, err error) { told <- err }
				})
				conf := cred.client.Clone()
				conf.Certificates, conf.GetClientCertificate = nil, nil
				start := time.Now()
				nc := rawDial(t, network, n.listen(TLS, cred.server))
				tc := tls.Client(nc, conf)
				first := tc.HandshakeContext(t.Context())
				if err := want(t, told, "the refusal"); !strings.Contains(err.Error(), "didn't provide a certificate") || time.Since(start) != 0 {
					t.Errorf("told %v after %v", err, time.Since(start))
				}
				n.wantRefused("didn't provide a certificate")
				if got, want := time.Since(start), DefaultLimits().Linger; got != want {
					t.Errorf("over after %v, want %v", got, want)
				}
				if first == nil {
					_, first = tc.Read(make([]byte, 1))
				}
				if _, ok := AlertOf(first); !ok {
					t.Errorf("the client has %v, want our alert", first)
				}
			})
		})
	}
}
