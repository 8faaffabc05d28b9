package transport

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"

	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sallyport-sip/sallyport/internal/memnet"
	"github.com/sallyport-sip/sallyport/internal/testca"
	"github.com/sallyport-sip/sallyport/sip"
)

// wantAlone checks that others still get through.
func wantAlone(t *testing.T, n *node, network Network, to netip.AddrPort) {
	t.Helper()
	nc := rawDial(t, network, to)
	write(t, nc, message(99, "others go on"))
	n.wantText(message(99, "others go on"))
}

func TestBrokenStreamIsAnsweredAndEnds(t *testing.T) {
	tests := []struct{ name, bytes, reason string }{
		{"two lengths", strings.Replace(message(1, "ab"), "Content-Length: 2\r\n", "Content-Length: 2\r\nContent-Length: 3\r\n", 1), "Content-Length"},
		{"no length", strings.Replace(message(1, ""), "Content-Length: 0\r\n", "", 1), "Content-Length"},
		{"negative length", strings.Replace(message(1, ""), "Content-Length: 0", "Content-Length: -5", 1), "Content-Length"},
		{"oversized", strings.Replace(message(1, ""), "Content-Length: 0", "Content-Length: 70000", 1), "longer than the limit"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			onEach(t, func(t *testing.T, network Network) {
				server := newNode(t, network, nil)
				to := server.listen(TCP, nil)
				nc := rawDial(t, network, to)
				write(t, nc, message(0, "")+tt.bytes+message(2, ""))
				server.wantText(message(0, ""))
				got := want(t, server.packets, "the broken message")
				if _, ok := errors.AsType[*sip.FrameError](got.err); !ok {
					t.Fatalf("error %v, want a *sip.FrameError", got.err)
				}
				send(t, got.conn, "SIP/2.0 400 Bad Request\r\n\r\n")
				readExactly(t, nc, "SIP/2.0 400 Bad Request\r\n\r\n")
				wantEOF(t, nc)
				nc.Close()
				if why := server.wantClosed(tt.reason); !why.Local {
					t.Errorf("%+v, want it to be our end", why)
				}
				if n := len(server.packets); n > 0 {
					t.Errorf("%d messages from behind the broken one", n)
				}
				wantAlone(t, server, network, to)
			})
		})
	}
}

// Requests that came whole before what cannot be read are all answered, however
// long the first answer is ahead of the second.
func TestWholeRequestsBeforeABrokenOneAreAnswered(t *testing.T) {
	bubble(t, func(t *testing.T, network *memnet.Network, _ *testca.CA) {
		server := newNode(t, network, nil)
		nc := rawDial(t, network, server.listen(TCP, nil))
		write(t, nc, message(0, "")+message(1, "")+"\x00")
		server.wantText(message(0, ""))
		conn := want(t, server.packets, "the second message").conn
		for i := range 2 {
			time.Sleep(DefaultLimits().LastWord / 3)
			answer := fmt.Sprintf("SIP/2.0 20%d OK\r\n\r\n", i)
			send(t, conn, answer)
			readExactly(t, nc, answer)
		}
		start := time.Now()
		wantEOF(t, nc)
		if waited := time.Since(start); waited != 0 {
			t.Errorf("ended %v after the last answer", waited)
		}
	})
}

func TestUnansweredBrokenStreamEndsSoon(t *testing.T) {
	bubble(t, func(t *testing.T, network *memnet.Network, _ *testca.CA) {
		server := newNode(t, network, nil)
		nc := rawDial(t, network, server.listen(TCP, nil))
		start := time.Now()
		write(t, nc, strings.Replace(message(1, ""), "Content-Length: 0\r\n", "", 1))
		wantEOF(t, nc)
		if got, want := time.Since(start), DefaultLimits().LastWord; got != want {
			t.Errorf("ended after %v, want %v", got, want)
		}
		// We wait for the other side's end, but not for ever.
		server.wantClosed("Content-Length")
		if got, want := time.Since(start), DefaultLimits().LastWord+DefaultLimits().Linger; got != want {
			t.Errorf("closed after %v, want %v", got, want)
		}
	})
}

func TestNonsenseEndsTheConnection(t *testing.T) {
	tests := []struct{ name, bytes, reason string }{
		{"binary", "\x00\x01\x02\x03 nonsense", "bytes that no SIP message begins with"},
		{"http", "GET / HTTP/1.1\r\nHost: x\r\n", "HTTP"},
		{"client hello", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "a TLS ClientHello on a port without TLS"},
		{"endless header", "OPTIONS sip:x SIP/2.0\r\nX: " + strings.Repeat("y", 70_000), "longer than the limit"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			onEach(t, func(t *testing.T, network Network) {
				server := newNode(t, network, nil)
				to := server.listen(TCP, nil)
				nc := rawDial(t, network, to)
				write(t, nc, tt.bytes)
				wantEOF(t, nc)
				nc.Close()
				server.wantClosed(tt.reason)
				wantAlone(t, server, network, to)
			})
		})
	}
}

func TestPlainSIPOnATLSPort(t *testing.T) {
	onEach(t, func(t *testing.T, network Network) {
		server := newNode(t, network, nil)
		nc := rawDial(t, network, server.listen(TLS, newCredentials(tls.VersionTLS13).server))
		write(t, nc, message(1, ""))
		io.Copy(io.Discard, nc) // an alert, perhaps
		nc.Close()
		got := server.wantRefused(`no TLS on a TLS port: the first bytes are "OPTIO", as in plain SIP`)
		if !got.info.Inbound || got.info.Listener != "tls" {
			t.Errorf("refused %+v", got.info)
		}
	})
}

func TestTLSToAPlainPort(t *testing.T) {
	onEach(t, func(t *testing.T, network Network) {
		server, client := newNode(t, network, nil), newNode(t, network, nil)
		to := server.listen(TCP, nil)
		_, err := client.Dial(t.Context(), DialConfig{
			Key: Key{Transport: TLS, Remote: to}, TLS: newCredentials(tls.VersionTLS13).client,
		})
		if err == nil || !strings.Contains(err.Error(), "during the TLS handshake") {
			t.Errorf("dial: %v", err)
		}
		server.wantClosed("a TLS ClientHello on a port without TLS")
		client.wantRefused("during the TLS handshake")
	})
}

func TestEndInMidMessage(t *testing.T) {
	onEachOf(t, byteStreams, func(t *testing.T, network Network, tr Transport, cred credentials) {
		server, client := newNode(t, network, nil), newNode(t, network, nil)
		c := client.dial(tr, server.listen(tr, cred.server), cred.client)
		send(t, c, message(1, "whole"), "OPTIONS sip:gw")
		server.wantText(message(1, "whole"))
		c.Close(errors.New("enough"))
		why := server.wantClosed("in the middle of a message, 14 bytes of it had come")
		if why.Unfinished != 14 || why.Local {
			t.Errorf("%+v", why)
		}
	})
}

func TestCutConnectionIsAReset(t *testing.T) {
	bubble(t, func(t *testing.T, network *memnet.Network, _ *testca.CA) {
		server := newNode(t, network, nil)
		nc := rawDial(t, network, server.listen(TCP, nil))
		want(t, server.opened, "the connection")
		nc.(*memnet.Conn).Reset()
		if why := server.wantClosed("reset"); !why.Reset || why.Ended || why.Local {
			t.Errorf("%+v", why)
		}
	})
}

func TestTimesRunOut(t *testing.T) {
	l := DefaultLimits()
	tests := []struct {
		name   string
		tr     Transport
		peer   string
		bytes  []string // written a second apart
		after  time.Duration
		reason string // of Closed, or of Refused on TLS
		limit  sip.Limit
	}{
		{"silence after connect", TCP, "", nil, l.FirstMessage, "no message within 30s", LimitFirstMessage},
		{"silence of a peer", TCP, "acme", nil, l.FirstMessage, "no message within 30s", LimitFirstMessage},
		{"half a message", TCP, "", []string{"OPTIONS sip:x SIP/2.0\r\nVia: "}, l.WholeMessage, "message not complete 10s after it began, 28 bytes", LimitWholeMessage},
		{"dripping", TCP, "", strings.Split("OPTIONS sip:gw", ""), l.WholeMessage, "message not complete", LimitWholeMessage},
		{"half a body", TCP, "", []string{strings.TrimSuffix(message(1, "0123456789"), "789")}, l.WholeMessage, "message not complete", LimitWholeMessage},
		{"half the second message", TCP, "", []string{message(1, ""), message(2, "")[:40]}, time.Second + l.WholeMessage, "message not complete", LimitWholeMessage},
		{"idle stranger", TCP, "", []string{message(1, "")}, l.IdleUnknown, "no message for 5m0s", LimitIdleUnknown},
		{"stranger of keep-alives alone", TCP, "", repeated("\r\n\r\n", 40), l.FirstMessage, "no message within 30s", LimitFirstMessage},
		{"stranger of keep-alives after a message", TCP, "", append([]string{message(1, "")}, repeated("\r\n", 90)...), l.IdleUnknown, "no message for 5m0s", LimitIdleUnknown},
		{"stranger of endless keep-alives", TCP, "", append([]string{message(1, "")}, repeated("\r\n", 200)...), 101 * time.Second, "101 keep-alives and no message between them", LimitKeepAlives},
		{"stranger of endless keep-alives at once", TCP, "", []string{strings.Repeat("\r\n", 500_000)}, 0, "101 keep-alives and no message between them", LimitKeepAlives},
		{"dripping handshake", TLS, "", strings.Split("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"+strings.Repeat("x", 100), ""), l.HandshakeTimeout, "TLS handshake not over within 10s", LimitHandshakeTime},
		{"stalled handshake", TLS, "", []string{"\x16\x03\x01"}, l.HandshakeTimeout, "TLS handshake not over within 10s", LimitHandshakeTime},
		{"no handshake", TLS, "", nil, l.HandshakeTimeout, "TLS handshake not over within 10s", LimitHandshakeTime},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T, network *memnet.Network, ca *testca.CA) {
				server := newNode(t, network, func(cfg *Config) {
					cfg.Hooks.Identify = func(ConnInfo, *tls.ConnectionState) (Identity, error) { return Identity{Peer: tt.peer}, nil }
				})
				start := time.Now()
				nc := rawDial(t, network, server.listen(tt.tr, credentialsOf(ca, tls.VersionTLS13).server))
				var writer sync.WaitGroup
				writer.Go(func() {
					for i, b := range tt.bytes {
						if i > 0 {
							time.Sleep(time.Second)
						}
						io.WriteString(nc, b)
					}
				})
				defer writer.Wait()
				// The other side sees our end at that moment.
				io.Copy(io.Discard, nc)
				if got := time.Since(start); got != tt.after {
					t.Errorf("ended after %v, want %v", got, tt.after)
				}
				nc.Close()
				if tt.tr == TLS {
					server.wantRefused(tt.reason)
				} else if why := server.wantClosed(tt.reason); !why.Local {
					t.Errorf("%+v, want it to be our end", why)
				}
				server.wantPassed(tt.limit, 1)
			})
		})
	}
}

func repeated(s string, n int) []string {
	return strings.SplitAfter(strings.Repeat(s, n), s)[:n]
}

func TestPeerMayRestForEver(t *testing.T) {
	bubble(t, func(t *testing.T, network *memnet.Network, ca *testca.CA) {
		server := newNode(t, network, func(cfg *Config) {
			cfg.Hooks.Identify = func(ConnInfo, *tls.ConnectionState) (Identity, error) { return Identity{Peer: "acme"}, nil }
		})
		client := newNode(t, network, nil)
		cred := credentialsOf(ca, tls.VersionTLS13)
		c := client.dial(TLS, server.listen(TLS, cred.server), cred.client)
		time.Sleep(time.Hour) // it may also have nothing to say at first
		send(t, c, message(1, ""))
		server.wantText(message(1, ""))
		time.Sleep(24 * time.Hour)
		send(t, c, message(2, ""))
		server.wantText(message(2, ""))
	})
}

func TestPeerThatDoesNotRead(t *testing.T) {
	onEachOf(t, byteStreams, func(t *testing.T, network Network, tr Transport, cred credentials) {
		server := newNode(t, network, nil)
		to := server.listen(tr, cred.server)
		nc := rawDial(t, network, to)
		if tr == TLS {
			tc := tls.Client(nc, cred.client)
			if err := tc.Handshake(); err != nil {
				t.Fatal(err)
			}
			nc = tc
		}
		write(t, nc, message(1, ""))
		c := server.wantText(message(1, "")).conn
		body := message(2, strings.Repeat("x", 8000))
		var err error
		for range 10_000 {
			if _, err = c.Send([]byte(body), netip.AddrPort{}); err != nil {
				break
			}
			c.Flush()
		}
		if !errors.Is(err, ErrQueueFull) {
			t.Fatalf("80 MB to a peer that does not read: %v, want ErrQueueFull", err)
		}
		if c.Alive() {
			t.Error("the connection is still alive")
		}
		server.wantPassed(LimitPending, 1)
		if why := server.wantClosed("reads too slowly"); !errors.Is(why.Err, ErrQueueFull) || !why.Local || why.NotifySent {
			t.Errorf("%+v", why)
		}
		if _, err := c.Send([]byte(body), netip.AddrPort{}); !errors.Is(err, ErrClosed) {
			t.Errorf("send afterwards: %v, want ErrClosed", err)
		}
		other := newNode(t, network, nil)
		send(t, other.dial(tr, to, cred.client), message(3, ""))
		server.wantText(message(3, ""))
	})
}

func TestStalledWriteEndsTheConnection(t *testing.T) {
	bubble(t, func(t *testing.T, network *memnet.Network, _ *testca.CA) {
		server := newNode(t, network, nil)
		nc := rawDial(t, network, server.listen(TCP, nil))
		write(t, nc, message(1, ""))
		c := server.wantText(message(1, "")).conn
		start := time.Now()
		send(t, c, message(2, strings.Repeat("x", 100_000)))
		server.wantClosed("did not read for too long")
		if got, want := time.Since(start), DefaultLimits().Stall; got != want {
			t.Errorf("ended after %v, want %v", got, want)
		}
		server.wantPassed(LimitStall, 1)
	})
}

func TestSlowReaderGetsEverything(t *testing.T) {
	bubble(t, func(t *testing.T, network *memnet.Network, _ *testca.CA) {
		server := newNode(t, network, nil)
		nc := rawDial(t, network, server.listen(TCP, nil))
		write(t, nc, message(1, ""))
		c := server.wantText(message(1, "")).conn
		var all strings.Builder
		for i := range 20 {
			all.WriteString(message(i, strings.Repeat("x", 10_000)))
			send(t, c, message(i, strings.Repeat("x", 10_000)))
		}
		synctest.Wait() // the window is full, the rest is pending
		c.Close(errors.New("enough"))
		time.Sleep(500 * time.Millisecond)
		readExactly(t, nc, all.String())
		wantEOF(t, nc)
		nc.Close()
		server.wantClosed("enough")
	})
}

func TestTooManyConnections(t *testing.T) {
	bubble(t, func(t *testing.T, network *memnet.Network, _ *testca.CA) {
		server := newNode(t, network, func(cfg *Config) { cfg.Limits = Limits{Conns: 3, ConnsPerSource: 2} })
		to := server.listen(TCP, nil)
		first := rawDial(t, network, to)
		rawDial(t, network, to)
		io.Copy(io.Discard, rawDial(t, network, to))
		server.wantRefused("too many connections: 2 are open from 127.0.0.1/32")

		other := netip.MustParseAddrPort("192.0.2.7:0")
		if _, err := network.Dial(t.Context(), other, to); err != nil {
			t.Fatal(err)
		}
		if _, err := network.Dial(t.Context(), other, to); err != nil {
			t.Fatal(err)
		}
		if got := server.wantRefused("too many connections: 3 are open"); !errors.Is(got.err, ErrTooManyConns) {
			t.Errorf("%v is not ErrTooManyConns", got.err)
		}
		server.mu.Lock()
		if server.passed[LimitConns] != 1 || server.passed[LimitConnsPerSource] != 1 {
			t.Errorf("limits passed: %v", server.passed)
		}
		server.mu.Unlock()
		first.Close() // makes room
		want(t, server.closed, "the end")
		wantAlone(t, server, network, to)
	})
}

func TestSourceOfIPv6IsItsNetwork(t *testing.T) {
	a, b, c := netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("2001:db8::ffff:1"), netip.MustParseAddr("2001:db8:0:1::1")
	if sourceOf(a) != sourceOf(b) || sourceOf(a) == sourceOf(c) {
		t.Errorf("sources %v, %v, %v", sourceOf(a), sourceOf(b), sourceOf(c))
	}
	if got := sourceOf(netip.MustParseAddr("::ffff:192.0.2.1")).String(); got != "192.0.2.1/32" {
		t.Errorf("mapped IPv4: %s", got)
	}
}

func TestHandshakesWaitTheirTurn(t *testing.T) {
	bubble(t, func(t *testing.T, network *memnet.Network, ca *testca.CA) {
		server := newNode(t, network, func(cfg *Config) {
			cfg.Limits = Limits{Handshakes: 1, HandshakeWait: 15 * time.Second}
		})
		cred := credentialsOf(ca, tls.VersionTLS13)
		to := server.listen(TLS, cred.server)
		rawDial(t, network, to) // never says anything
		start := time.Now()
		client := newNode(t, network, func(cfg *Config) { cfg.Limits.HandshakeTimeout = 9 * time.Second })
		c, err := client.Dial(t.Context(), DialConfig{
			Key: Key{Transport: TLS, Remote: to}, TLS: cred.client, Timeout: time.Minute,
		})
		if err == nil {
			t.Fatalf("%v has its handshake at once", c)
		}
		server.wantRefused("TLS handshake not over within 10s")
		if got := time.Since(start); got > 12*time.Second {
			t.Errorf("after %v", got)
		}
		client.wantRefused("TLS handshake not over within 9s")
		server.wantRefused("TLS handshake")
		send(t, client.dial(TLS, to, cred.client), message(1, ""))
		server.wantText(message(1, ""))
	})
}

func TestHandshakeThatWaitsTooLongIsRefused(t *testing.T) {
	bubble(t, func(t *testing.T, network *memnet.Network, ca *testca.CA) {
		server := newNode(t, network, func(cfg *Config) { cfg.Limits = Limits{Handshakes: 1} })
		to := server.listen(TLS, credentialsOf(ca, tls.VersionTLS13).server)
		rawDial(t, network, to)
		start := time.Now()
		wantEOF(t, rawDial(t, network, to))
		if got, want := time.Since(start), DefaultLimits().HandshakeWait; got != want {
			t.Errorf("refused after %v, want %v", got, want)
		}
		if got := server.wantRefused("too many TLS handshakes"); !errors.Is(got.err, ErrTooManyHandshakes) {
			t.Errorf("%v is not ErrTooManyHandshakes", got.err)
		}
		server.wantPassed(LimitHandshakes, 1)
	})
}

func TestUnfinishedMessagesShareABudget(t *testing.T) {
	bubble(t, func(t *testing.T, network *memnet.Network, _ *testca.CA) {
		server := newNode(t, network, func(cfg *Config) {
			cfg.Limits = Limits{Unfinished: 3 * bufferSize}
			cfg.Hooks.Identify = func(info ConnInfo, _ *tls.ConnectionState) (Identity, error) {
				if info.Remote.Addr() == netip.MustParseAddr("192.0.2.1") {
					return Identity{Peer: "acme"}, nil
				}
				return Identity{}, nil
			}
		})
		to := server.listen(TCP, nil)
		half := message(1, "")[:60]
		for range 3 {
			write(t, rawDial(t, network, to), half)
			synctest.Wait()
		}
		write(t, rawDial(t, network, to), half)
		server.wantClosed("too many bytes of unfinished messages")
		server.wantPassed(LimitUnfinished, 1)
		// A known peer is not touched by what strangers hold.
		nc, err := network.Dial(context.Background(), netip.MustParseAddrPort("192.0.2.1:0"), to)
		if err != nil {
			t.Fatal(err)
		}
		write(t, nc, half)
		synctest.Wait()
		write(t, nc, strings.TrimPrefix(message(1, ""), half))
		server.wantText(message(1, ""))
		// What ended gives back what it held.
		time.Sleep(DefaultLimits().WholeMessage + 2*DefaultLimits().Linger)
		if got := server.unfinished.used.Load(); got != 0 {
			t.Errorf("%d bytes are still counted", got)
		}
	})
}

func TestHooksRefuse(t *testing.T) {
	onEachStream(t, func(t *testing.T, network Network, tr Transport, cred credentials) {
		server := newNode(t, network, func(cfg *Config) {
			cfg.Hooks.Identify = func(ConnInfo, *tls.ConnectionState) (Identity, error) {
				return Identity{}, errors.New("nobody we know")
			}
		})
		client := newNode(t, network, nil)
		client.dial(tr, server.listen(tr, cred.server), cred.client)
		server.wantRefused("nobody we know")
		if why := client.wantClosed("the other side closed"); why.NotifyReceived != tr.Secure() {
			t.Errorf("%+v", why)
		}

		closed := newNode(t, network, func(cfg *Config) {
			cfg.Hooks.AdmitConn = func(got Transport, _, remote netip.AddrPort) error {
				if got != tr || !remote.IsValid() {
					t.Errorf("asked about %v from %v", got, remote)
				}
				return errors.New("banned")
			}
		})
		nc := rawDial(t, network, closed.listen(tr, cred.server))
		wantEOF(t, nc)
		closed.wantRefused("not admitted: banned")
		if got := closed.conns.all; got != 0 {
			t.Errorf("%d connections are still counted", got)
		}
	})
}
