package transport

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sallyport-sip/sallyport/internal/memnet"
	"github.com/sallyport-sip/sallyport/internal/testca"
)

var farHost = netip.MustParseAddrPort("192.0.2.9:5060")

// watched is an endpoint with a connection of the given manner to a stream that
// the test reads and writes itself.
func watched(t *testing.T, network *memnet.Network, ca *testca.CA, tr Transport, m Manner) (n *node, c *Conn, far net.Conn) {
	t.Helper()
	cred := credentialsOf(ca, tls.VersionTLS13)
	n = newNode(t, network, func(cfg *Config) { cfg.Manner = &m })
	ln, err := network.Listen(t.Context(), farHost)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	accepted := make(chan net.Conn, 1)
	go func() {
		nc, err := ln.Accept()
		if err == nil && tr == TLS {
			tc := tls.Server(nc, cred.server)
			err = tc.HandshakeContext(context.Background())
			nc = tc
		}
		if err != nil {
			t.Error(err)
		}
		accepted <- nc
	}()
	c = n.dial(tr, farHost, cred.client)
	far = <-accepted
	t.Cleanup(func() { far.Close() })
	return n, c, far
}

// untilPing waits for a ping and says how long that took. All that comes before
// it is an error.
func untilPing(t *testing.T, far net.Conn) time.Duration {
	t.Helper()
	began := time.Now()
	readExactly(t, far, "\r\n\r\n")
	return time.Since(began)
}

func onTCPAndTLS(t *testing.T, f func(t *testing.T, network *memnet.Network, ca *testca.CA, tr Transport)) {
	for _, tr := range []Transport{TCP, TLS} {
		t.Run(tr.String(), func(t *testing.T) {
			bubble(t, func(t *testing.T, network *memnet.Network, ca *testca.CA) { f(t, network, ca, tr) })
		})
	}
}

func TestPingsComeAtJitteredIntervals(t *testing.T) {
	onTCPAndTLS(t, func(t *testing.T, network *memnet.Network, ca *testca.CA, tr Transport) {
		const every = 50 * time.Second
		_, c, far := watched(t, network, ca, tr, Manner{Ping: every})
		seen := map[time.Duration]bool{}
		for range 50 {
			took := untilPing(t, far)
			if took < every*8/10 || took > every {
				t.Fatalf("a ping came after %v, want 80 to 100 %% of %v (RFC 5626 §4.4.1)", took, every)
			}
			seen[took] = true
			write(t, far, "\r\n")
			synctest.Wait()
		}
		if len(seen) < 40 {
			t.Errorf("50 intervals had %d values, want each drawn anew", len(seen))
		}
		if !c.Alive() {
			t.Error("the connection has ended")
		}
	})
}

func TestTrafficSparesPings(t *testing.T) {
	onTCPAndTLS(t, func(t *testing.T, network *memnet.Network, ca *testca.CA, tr Transport) {
		n, _, far := watched(t, network, ca, tr, Manner{Ping: 50 * time.Second})
		for i := range 10 {
			time.Sleep(39 * time.Second)
			write(t, far, message(i, ""))
			n.wantText(message(i, ""))
		}
		if got := n.Stats().Pings.Load(); got != 0 {
			t.Errorf("%d pings, want none while messages come", got)
		}
		if took := untilPing(t, far); took < 40*time.Second || took > 50*time.Second {
			t.Errorf("the first ping came %v after the last message", took)
		}
	})
}

func TestMissingPongEndsTheConnection(t *testing.T) {
	onTCPAndTLS(t, func(t *testing.T, network *memnet.Network, ca *testca.CA, tr Transport) {
		n, c, far := watched(t, network, ca, tr, Manner{Ping: 50 * time.Second, Pong: PongRequired})
		go io.Copy(io.Discard, far)
		network.Darken(farHost.Addr())
		time.Sleep(50*time.Second + pongWithin - time.Second)
		began := time.Now()
		why := n.wantClosed("no pong")
		if why.Dead != DeathNoPong || !why.Local {
			t.Errorf("ended with %+v, want the sign %q", why, DeathNoPong)
		}
		if took := time.Since(began); took > 2*time.Second { // and not before: see the next test
			t.Errorf("it took another %v", took)
		}
		if c.Alive() || n.Lookup(c.Key()) != nil {
			t.Error("the connection can still be found")
		}
	})
}

func TestPongHasTenSeconds(t *testing.T) {
	onTCPAndTLS(t, func(t *testing.T, network *memnet.Network, ca *testca.CA, tr Transport) {
		n, c, far := watched(t, network, ca, tr, Manner{Ping: 50 * time.Second, Pong: PongRequired})
		for range 3 {
			untilPing(t, far)
			time.Sleep(pongWithin - time.Millisecond)
			write(t, far, "\r\n")
		}
		untilPing(t, far)
		time.Sleep(pongWithin - time.Millisecond)
		synctest.Wait()
		if !c.Alive() {
			t.Fatal("given up before 10 s")
		}
		time.Sleep(time.Millisecond)
		n.wantClosed("no pong")
	})
}

func TestWhoeverDoesNotKnowPingsIsLeftAlone(t *testing.T) {
	onTCPAndTLS(t, func(t *testing.T, network *memnet.Network, ca *testca.CA, tr Transport) {
		n, c, far := watched(t, network, ca, tr, Manner{Ping: 50 * time.Second})
		for range 5 {
			if took := untilPing(t, far); took < 40*time.Second || took > 60*time.Second {
				t.Errorf("the next ping came after %v", took)
			}
		}
		if !c.Alive() {
			t.Fatal("the connection has ended although nobody promised a pong")
		}
		write(t, far, "\r\n") // now it has shown that it does
		untilPing(t, far)
		time.Sleep(pongWithin)
		n.wantClosed("no pong")
	})
}

func TestAnyBytesAfterAPingShowLife(t *testing.T) {
	onTCPAndTLS(t, func(t *testing.T, network *memnet.Network, ca *testca.CA, tr Transport) {
		n, c, far := watched(t, network, ca, tr, Manner{Ping: 50 * time.Second, Pong: PongRequired})
		untilPing(t, far)
		time.Sleep(time.Second)
		write(t, far, message(1, ""))
		n.wantText(message(1, ""))
		time.Sleep(pongWithin)
		synctest.Wait()
		if !c.Alive() {
			t.Error("a connection was ended on which messages come")
		}
	})
}

func TestPromisedPongsAreExpected(t *testing.T) {
	onTCPAndTLS(t, func(t *testing.T, network *memnet.Network, ca *testca.CA, tr Transport) {
		n, c, far := watched(t, network, ca, tr, Manner{Ping: 50 * time.Second})
		c.Agree(20 * time.Second)
		if took := untilPing(t, far); took < 16*time.Second || took > 20*time.Second {
			t.Errorf("a ping came after %v, want what the other side asked for", took)
		}
		time.Sleep(pongWithin)
		n.wantClosed("no pong")
	})
}

func TestPongIsNoHalfOfAPing(t *testing.T) {
	onTCPAndTLS(t, func(t *testing.T, network *memnet.Network, ca *testca.CA, tr Transport) {
		_, _, far := watched(t, network, ca, tr, Manner{Ping: 10 * time.Second})
		for range 4 {
			untilPing(t, far) // and nothing else: a pong of ours would show here
			write(t, far, "\r\n")
		}
	})
}

func TestWhoAcceptedPingsNobody(t *testing.T) {
	bubble(t, func(t *testing.T, network *memnet.Network, _ *testca.CA) {
		n := newNode(t, network, func(cfg *Config) { cfg.Manner = &Manner{Ping: time.Second, Pong: PongRequired} })
		nc := rawDial(t, network, n.listen(TCP, nil))
		write(t, nc, message(1, ""))
		n.wantText(message(1, ""))
		time.Sleep(time.Minute)
		synctest.Wait()
		if got := n.Stats().Pings.Load(); got != 0 {
			t.Errorf("%d pings on a connection made to us", got)
		}
	})
}

func TestPingsBeginAndEndWithTheManner(t *testing.T) {
	onTCPAndTLS(t, func(t *testing.T, network *memnet.Network, ca *testca.CA, tr Transport) {
		n, c, far := watched(t, network, ca, tr, Manner{})
		time.Sleep(time.Hour)
		c.Keep(Manner{Ping: 10 * time.Second, Pong: PongRequired})
		untilPing(t, far)
		c.Keep(Manner{})
		time.Sleep(time.Hour)
		synctest.Wait()
		if !c.Alive() || n.Stats().Pings.Load() != 1 {
			t.Errorf("alive %v after %d pings, want one and no harm", c.Alive(), n.Stats().Pings.Load())
		}
	})
}

func TestSilenceUnderARequestEndsTheConnection(t *testing.T) {
	onTCPAndTLS(t, func(t *testing.T, network *memnet.Network, ca *testca.CA, tr Transport) {
		n, c, far := watched(t, network, ca, tr, Manner{})
		time.Sleep(time.Minute)
		sent := time.Now()
		time.Sleep(time.Second)
		write(t, far, "\r\n")
		synctest.Wait()
		c.Suspect(sent)
		if !c.Alive() {
			t.Fatal("ended although something came since the request left")
		}
		c.Suspect(time.Now().Add(time.Millisecond))
		if why := n.wantClosed("taken for gone"); why.Dead != DeathSilent {
			t.Errorf("ended with the sign %q, want %q", why.Dead, DeathSilent)
		}
	})
}

// A CRLF, and any number of them, may stand before a start line, also of a
// response (RFC 3261 §7.5).
func TestLoneCRLFBeforeAnyStartLine(t *testing.T) {
	onEachStream(t, func(t *testing.T, network Network, tr Transport, cred credentials) {
		server, client := newNode(t, network, nil), newNode(t, network, nil)
		c := client.dial(tr, server.listen(tr, cred.server), cred.client)
		response := "SIP/2.0 200 OK\r\nVia: SIP/2.0/TCP 127.0.0.1;branch=z9hG4bK1\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:a@b>;tag=2\r\n" +
			"Call-ID: 1\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"
		for _, before := range []string{"\r\n", "\r\n\r\n", "\r\n\r\n\r\n", "\r\n\r\n\r\n\r\n\r\n\r\n\r\n"} {
			for _, text := range []string{message(1, ""), response} {
				send(t, c, before+text)
				server.wantText(text)
			}
		}
	})
}

func TestDatagramsOfCRLFAndZeros(t *testing.T) {
	onEach(t, func(t *testing.T, network Network) {
		server := newNode(t, network, nil)
		to := server.listen(UDP, nil)
		pc, err := network.ListenPacket(t.Context(), home)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { pc.Close() })
		stun := "\x00\x01\x00\x00\x21\x12\xa4\x42abcdefghijkl"
		for _, d := range []string{"\r\n\r\n", "\r\n", "\x00", "\x00\x00\x00\x00", "", stun, "\x16\x03\x01", "\r\n" + message(1, "")} {
			if _, err := pc.WriteTo([]byte(d), net.UDPAddrFromAddrPort(to)); err != nil {
				t.Fatal(err)
			}
		}
		server.wantText(message(1, ""))
		if got := server.Stats().KeepAlives.Load(); got != 5 {
			t.Errorf("%d keep-alives counted, want 5", got)
		}
		if got := server.Stats().NotSIP.Load(); got != 2 {
			t.Errorf("%d datagrams counted as no SIP, want 2", got)
		}
	})
}
