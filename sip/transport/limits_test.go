package transport

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sallyport-sip/sallyport/internal/memnet"
	"github.com/sallyport-sip/sallyport/internal/testca"
	"github.com/sallyport-sip/sallyport/sip"
)

func TestEachListenerHasItsLimits(t *testing.T) {
	bubble(t, func(t *testing.T, network *memnet.Network, _ *testca.CA) {
		server := newNode(t, network, func(cfg *Config) { cfg.Limits = Limits{Conns: 4, FirstMessage: time.Minute} })
		strict := server.open(ListenConfig{Name: "strict", Transport: TCP, Addr: home, Limits: Limits{
			Conns: 1, FirstMessage: time.Second, Message: sip.Limits{Headers: 7},
		}})
		lax := server.open(ListenConfig{Name: "lax", Transport: TCP, Addr: home})

		// Its own limit of connections, and then that of all.
		rawDial(t, network, strict.Addr())
		wantEOF(t, rawDial(t, network, strict.Addr()))
		server.wantRefused("1 are open")
		for range 3 {
			rawDial(t, network, lax.Addr())
		}
		wantEOF(t, rawDial(t, network, lax.Addr()))
		server.wantRefused("4 are open")
		if l := lax.Limits(); l.Conns != 4 || l.FirstMessage != time.Minute || l.Message.Headers != 256 || l.Stall != 30*time.Second {
			t.Errorf("limits of the other listener: %+v", l)
		}

		// Its own time and its own size.
		start := time.Now()
		server.wantClosed("no message within 1s")
		if got := time.Since(start); got != time.Second+server.Limits().Linger {
			t.Errorf("closed after %v", got)
		}
		nc := rawDial(t, network, strict.Addr())
		write(t, nc, strings.Replace(message(1, ""), "Max-Forwards", "A: b\r\nMax-Forwards", 1))
		if got := want(t, server.packets, "a message"); sip.LimitOf(got.err) != sip.LimitHeaders {
			t.Errorf("error %v, want that of too many headers", got.err)
		}
	})
}

func TestLimitsOfALiveListenerChange(t *testing.T) {
	bubble(t, func(t *testing.T, network *memnet.Network, _ *testca.CA) {
		server := newNode(t, network, nil)
		l := server.open(ListenConfig{Name: "tcp", Transport: TCP, Addr: home, Limits: Limits{ConnsPerSource: 5}})
		nc := rawDial(t, network, l.Addr())
		write(t, nc, message(1, "long enough"))
		server.wantText(message(1, "long enough"))

		l.SetLimits(Limits{ConnsPerSource: 1, Message: sip.Limits{Message: 250}})
		wantEOF(t, rawDial(t, network, l.Addr()))
		server.wantRefused("1 are open from")
		// What is there lives on under the new limits.
		write(t, nc, message(2, strings.Repeat("x", 100)))
		if got := want(t, server.packets, "a message"); sip.LimitOf(got.err) != sip.LimitMessage {
			t.Errorf("error %v, want that of a message too long", got.err)
		}
		wantEOF(t, nc)

		server.SetLimits(Limits{ConnsPerSource: 3, Conns: 3, IdleUnknown: time.Second})
		if got := l.Limits(); got.ConnsPerSource != 1 || got.Conns != 3 || got.IdleUnknown != time.Second {
			t.Errorf("limits %+v", got)
		}
		server.SetLimits(Limits{})
		if got, want := server.Limits(), DefaultLimits(); got != want {
			t.Errorf("limits %+v, want %+v", got, want)
		}
	})
}

// A source whose share of handshakes is used up holds up nobody else.
func TestOneSourceDoesNotTakeAllHandshakes(t *testing.T) {
	bubble(t, func(t *testing.T, network *memnet.Network, ca *testca.CA) {
		server := newNode(t, network, func(cfg *Config) {
			cfg.Limits = Limits{Handshakes: 4, HandshakesPerSource: 3, HandshakeWait: time.Hour}
		})
		cred := credentialsOf(ca, tls.VersionTLS13)
		to := server.listen(TLS, cred.server)
		start := time.Now()
		for range 10 {
			rawDial(t, network, to)
		}
		for range 7 {
			if got := server.wantRefused("too many TLS handshakes at once from one source"); !errors.Is(got.err, ErrTooManyHandshakes) {
				t.Errorf("%v is not ErrTooManyHandshakes", got.err)
			}
		}
		server.wantPassed(LimitHandshakesPerSource, 7)
		nc, err := network.Dial(t.Context(), netip.MustParseAddrPort("192.0.2.7:0"), to)
		if err != nil {
			t.Fatal(err)
		}
		good := tls.Client(nc, cred.client)
		if err := good.HandshakeContext(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := time.Since(start); got != 0 {
			t.Errorf("the handshake of another source had to wait %v", got)
		}
	})
}

// A waiting handshake begins when another one ends.
func TestHandshakeTakesThePlaceThatIsFreed(t *testing.T) {
	bubble(t, func(t *testing.T, network *memnet.Network, ca *testca.CA) {
		server := newNode(t, network, func(cfg *Config) { cfg.Limits = Limits{Handshakes: 1, HandshakeWait: time.Hour} })
		cred := credentialsOf(ca, tls.VersionTLS13)
		to := server.listen(TLS, cred.server)
		silent := rawDial(t, network, to)
		synctest.Wait()
		go func() {
			time.Sleep(5 * time.Second)
			silent.Close()
		}()
		start := time.Now()
		client := newNode(t, network, nil)
		send(t, client.dial(TLS, to, cred.client), message(1, ""))
		server.wantText(message(1, ""))
		if got := time.Since(start); got != 5*time.Second {
			t.Errorf("the handshake took %v, want 5s", got)
		}
	})
}

// What is too long for an answer in a datagram is delivered with its error.
func TestLongDatagramIsDelivered(t *testing.T) {
	bubble(t, func(t *testing.T, network *memnet.Network, _ *testca.CA) {
		server := newNode(t, network, nil)
		l := server.open(ListenConfig{Name: "udp", Transport: UDP, Addr: home, Limits: Limits{Message: sip.Limits{Message: 400}}})
		pc, err := network.ListenPacket(t.Context(), netip.MustParseAddrPort("192.0.2.7:5060"))
		if err != nil {
			t.Fatal(err)
		}
		defer pc.Close()
		if _, err := pc.WriteTo([]byte(message(1, strings.Repeat("x", 1000))), net.UDPAddrFromAddrPort(l.Addr())); err != nil {
			t.Fatal(err)
		}
		got := want(t, server.packets, "the datagram")
		if sip.LimitOf(got.err) != sip.LimitMessage || len(got.text) > 400 {
			t.Errorf("%d bytes, error %v", len(got.text), got.err)
		}
	})
}

// A header section without end is answered by 513 and the stream ends, counted once.
func TestEndlessHeadersAreCountedOnce(t *testing.T) {
	bubble(t, func(t *testing.T, network *memnet.Network, _ *testca.CA) {
		server := newNode(t, network, nil)
		to := server.listen(TCP, nil)
		write(t, rawDial(t, network, to), "OPTIONS sip:x SIP/2.0\r\nA: "+strings.Repeat(",", 70_000))
		server.wantClosed("header section longer than the limit of 65536 bytes")
		server.wantPassed(sip.LimitMessage, 1) // nobody could be answered

		nc := rawDial(t, network, to)
		write(t, nc, strings.TrimSuffix(message(1, ""), "\r\n")+"A: "+strings.Repeat(",", 70_000))
		got := want(t, server.packets, "what there is of it")
		if sip.LimitOf(got.err) != sip.LimitMessage {
			t.Errorf("error %v", got.err)
		}
		io.Copy(io.Discard, nc)
		server.wantClosed("header section longer than the limit of 65536 bytes")
		server.wantPassed(sip.LimitMessage, 1) // the other is counted by who got the packet
	})
}
