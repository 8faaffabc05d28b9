package transport

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/binary"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/sallyport-sip/sallyport/internal/memnet"
	"github.com/sallyport-sip/sallyport/internal/testca"
)

// webKinds are the kinds of WebSocket.
var webKinds = streams[3:]

// foreignDial connects with another implementation.
func foreignDial(t *testing.T, network Network, tr Transport, to netip.AddrPort, conf *tls.Config, opts websocket.DialOptions) (*websocket.Conn, *http.Response, error) {
	t.Helper()
	way := &http.Transport{TLSClientConfig: conf, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return network.Dial(ctx, netip.AddrPort{}, to)
	}}
	t.Cleanup(way.CloseIdleConnections)
	opts.HTTPClient = &http.Client{Transport: way}
	c, resp, err := websocket.Dial(t.Context(), tr.String()+"://gw.example/", &opts)
	if err == nil {
		t.Cleanup(func() { c.CloseNow() })
	}
	return c, resp, err
}

var sipOnly = websocket.DialOptions{Subprotocols: []string{"other", "sip"}}

func TestForeignWebSocketClient(t *testing.T) {
	onEachOf(t, webKinds, func(t *testing.T, network Network, tr Transport, cred credentials) {
		server := newNode(t, network, nil)
		c, _, err := foreignDial(t, network, tr, server.listen(tr, cred.server), cred.client, sipOnly)
		if err != nil {
			t.Fatal(err)
		}
		ctx := t.Context()
		if c.Subprotocol() != "sip" {
			t.Errorf("subprotocol %q", c.Subprotocol())
		}
		put := func(kind websocket.MessageType, s string) {
			t.Helper()
			if err := c.Write(ctx, kind, []byte(s)); err != nil {
				t.Fatal(err)
			}
		}
		get := func(kind websocket.MessageType, s string) {
			t.Helper()
			if k, b, err := c.Read(ctx); err != nil || k != kind || string(b) != s {
				t.Errorf("got %v %q, %v, want %v %q", k, b, err, kind, s)
			}
		}
		put(websocket.MessageText, message(1, "grüße"))
		at := server.wantText(message(1, "grüße")).conn
		put(websocket.MessageBinary, message(2, "\xff"))
		server.wantText(message(2, "\xff"))
		send(t, at, message(3, ""), message(4, "\xff"), message(5, strings.Repeat("x", 60_000)))
		c.SetReadLimit(1 << 20)
		get(websocket.MessageText, message(3, ""))
		get(websocket.MessageBinary, message(4, "\xff"))
		get(websocket.MessageText, message(5, strings.Repeat("x", 60_000)))

		// Several frames for one message.
		w, err := c.Writer(ctx, websocket.MessageText)
		if err != nil {
			t.Fatal(err)
		}
		whole := message(6, strings.Repeat("fragments", 3000))
		for part := whole; part != ""; {
			n := min(5000, len(part))
			if _, err := io.WriteString(w, part[:n]); err != nil {
				t.Fatal(err)
			}
			part = part[n:]
		}
		w.Close()
		server.wantText(whole)

		put(websocket.MessageText, "\r\n\r\n")
		get(websocket.MessageText, "\r\n")
		reading := c.CloseRead(ctx)
		if err := c.Ping(ctx); err != nil {
			t.Errorf("ping: %v", err)
		}
		if err := c.Close(websocket.StatusNormalClosure, "done"); err != nil {
			t.Errorf("close: %v", err)
		}
		<-reading.Done()
		if why := server.wantClosed(`status 1000, normal closure: "done"`); !why.Ordinary() || why.Status != 1000 {
			t.Errorf("%+v", why)
		}
	})
}

func TestOurCloseTellsTheForeignClient(t *testing.T) {
	onEachOf(t, webKinds, func(t *testing.T, network Network, tr Transport, cred credentials) {
		server := newNode(t, network, nil)
		c, _, err := foreignDial(t, network, tr, server.listen(tr, cred.server), cred.client, sipOnly)
		if err != nil {
			t.Fatal(err)
		}
		want(t, server.opened, "the connection").Close(ErrShutdown)
		if _, _, err := c.Read(t.Context()); websocket.CloseStatus(err) != websocket.StatusGoingAway {
			t.Errorf("read: %v, want status 1001", err)
		}
		server.wantClosed("shutting down")
	})
}

// foreignServer takes WebSockets with another implementation.
func foreignServer(t *testing.T, network Network, conf *tls.Config, h http.HandlerFunc) netip.AddrPort {
	t.Helper()
	ln, err := network.Listen(t.Context(), home)
	if err != nil {
		t.Fatal(err)
	}
	to := addrPort(ln.Addr())
	if conf != nil {
		ln = tls.NewListener(ln, conf)
	}
	srv := &http.Server{Handler: h}
	done := make(chan struct{})
	go func() { defer close(done); _ = srv.Serve(ln) }()
	t.Cleanup(func() { srv.Close(); <-done })
	return to
}

func TestForeignWebSocketServer(t *testing.T) {
	onEachOf(t, webKinds, func(t *testing.T, network Network, tr Transport, cred credentials) {
		conf := cred.server
		if tr == WS {
			conf = nil
		}
		served := make(chan struct{})
		to := foreignServer(t, network, conf, func(w http.ResponseWriter, r *http.Request) {
			defer close(served)
			c, err := websocket.Accept(w, r, &websocket.AcceptOptions{Subprotocols: []string{"sip"}})
			if err != nil || r.URL.Path != "/sip" || !strings.HasPrefix(r.Host, "gw.example") || r.Header.Get("Origin") != "" {
				t.Errorf("accept: %v; path %s, host %s", err, r.URL.Path, r.Host)
				return
			}
			defer c.CloseNow()
			c.SetReadLimit(1 << 20)
			for {
				kind, b, err := c.Read(r.Context())
				if err != nil {
					if websocket.CloseStatus(err) != websocket.StatusNormalClosure {
						t.Errorf("the server was left with %v", err)
					}
					return
				}
				if err := c.Write(r.Context(), kind, b); err != nil {
					t.Error(err)
				}
			}
		})
		client := newNode(t, network, nil)
		c, err := client.Dial(t.Context(), DialConfig{Key: Key{Transport: tr, Remote: to, Peer: "gw"}, TLS: cred.client, Host: "gw.example", Path: "/sip"})
		if err != nil {
			t.Fatal(err)
		}
		if !c.Confirmed() {
			t.Error("a server that has answered by HTTP has not accepted us")
		}
		for i, body := range []string{"", strings.Repeat("x", 200), strings.Repeat("\xfe", 500), strings.Repeat("y", 64_000)} {
			send(t, c, message(i, body))
			client.wantText(message(i, body))
		}
		c.Close(io.EOF)
		<-served
		client.wantClosed("EOF")
	})
}

func TestDialIsRefusedByHTTP(t *testing.T) {
	onEach(t, func(t *testing.T, network Network) {
		for _, tt := range []struct {
			name string
			h    http.HandlerFunc
			want string
		}{
			{"forbidden", func(w http.ResponseWriter, r *http.Request) { http.Error(w, "not you", http.StatusForbidden) },
				`the other side refused the WebSocket with 403 Forbidden`},
			{"no subprotocol", func(w http.ResponseWriter, r *http.Request) {
				if c, err := websocket.Accept(w, r, nil); err == nil {
					c.CloseNow()
				}
			}, `does not speak the WebSocket subprotocol "sip"`},
			{"another answer", func(w http.ResponseWriter, r *http.Request) {
				nc, _, _ := w.(http.Hijacker).Hijack()
				io.WriteString(nc, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: x\r\n\r\n")
				nc.Close()
			}, "Sec-WebSocket-Accept is wrong"},
			{"no HTTP", func(w http.ResponseWriter, r *http.Request) {
				nc, _, _ := w.(http.Hijacker).Hijack()
				io.WriteString(nc, "SIP/2.0 400 Bad Request\r\n\r\n")
				nc.Close()
			}, `its first bytes are "SIP/2"`},
			{"endless", func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("X", strings.Repeat("x", maxHead))
				w.WriteHeader(http.StatusOK)
			}, "header fields are longer than 8192 bytes"},
		} {
			t.Run(tt.name, func(t *testing.T) {
				client := newNode(t, network, nil)
				to := foreignServer(t, network, nil, tt.h)
				_, err := client.Dial(t.Context(), DialConfig{Key: Key{Transport: WS, Remote: to}})
				if err == nil || !strings.Contains(err.Error(), tt.want) {
					t.Errorf("dial: %v, want %s", err, tt.want)
				}
				client.wantRefused(tt.want)
			})
		}
	})
}

const handshakeText = "GET / HTTP/1.1\r\nHost: gw.example\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n" +
	"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nOrigin: https://phone.example\r\nSec-WebSocket-Protocol: sip\r\nSec-WebSocket-Version: 13\r\n\r\n"

func listenWeb(t *testing.T, n *node, web WebSocket) netip.AddrPort {
	t.Helper()
	l, err := n.Listen(ListenConfig{Name: "ws", Transport: WS, Addr: home, WebSocket: web})
	if err != nil {
		t.Fatal(err)
	}
	return l.Addr()
}

// rawWeb connects and speaks HTTP by hand: what follows are frames.
func rawWeb(t *testing.T, network Network, to netip.AddrPort) (net.Conn, *bufio.Reader) {
	t.Helper()
	nc := rawDial(t, network, to)
	write(t, nc, handshakeText)
	r := bufio.NewReader(nc)
	resp, err := http.ReadResponse(r, nil)
	if err != nil {
		t.Fatal(err)
	}
	// The key and the answer are those of RFC 7118 §4.1.
	if resp.StatusCode != 101 || resp.Header.Get("Sec-WebSocket-Accept") != "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" || resp.Header.Get("Sec-WebSocket-Protocol") != "sip" {
		t.Fatalf("%+v", resp)
	}
	return nc, r
}

var phone = WebSocket{Path: "/", Origins: []string{"https://phone.example"}}

func TestUpgradeIsRefused(t *testing.T) {
	for _, tt := range []struct {
		name, change, by string
		status           int
		want             string
	}{
		{"subprotocol", "Sec-WebSocket-Protocol: sip\r\n", "", 400, `the request offers ""`},
		{"other subprotocol", "Protocol: sip", "Protocol: SIP, sipx", 400, `the request offers "SIP, sipx"`},
		{"origin", "https://phone", "https://evil", 403, `origin "https://evil.example" may not connect`},
		{"null origin", "https://phone.example", "null", 403, `origin "null"`},
		{"two origins", "Origin: ", "Origin: https://phone.example\r\nOrigin: ", 403, "may not connect"},
		{"path", "GET /", "GET /other", 404, `no WebSocket at "/other"`},
		{"no upgrade", "Upgrade: websocket", "Upgrade: h2c", 426, "does not ask for a WebSocket"},
		{"no connection", "keep-alive, Upgrade", "keep-alive", 426, "does not ask for a WebSocket"},
		{"version", "Version: 13", "Version: 8", 426, `asks for "8"`},
		{"key", "dGhlIHNhbXBsZSBub25jZQ==", "c2hvcnQ=", 400, "Sec-WebSocket-Key"},
		{"body", "Upgrade: websocket", "Content-Length: 3\r\nUpgrade: websocket", 400, "no body"},
		{"early frames", "13\r\n\r\n", "13\r\n\r\n\x81\x00", 400, "nothing follows it"},
		{"old HTTP", "HTTP/1.1", "HTTP/1.0", 400, "HTTP/1.1"},
		{"no host", "Host: gw.example\r\n", "", 400, "a Host"},
		{"POST", "GET /", "POST /", 400, `its first bytes are "POST ", as in plain HTTP`},
		{"TLS", handshakeText, "\x16\x03\x01\x02\x00", 400, "its first bytes are 16 03 01 02 00"},
		{"SIP", handshakeText, message(1, ""), 400, `its first bytes are "OPTIO"`},
		{"nonsense", "HTTP/1.1", "HTTP/x.1", 400, "not an HTTP request"},
		{"next HTTP", "HTTP/1.1", "HTTP/2.0", 400, "HTTP/1.1"},
		{"two hosts", "Host: gw.example", "Host: gw.example\r\nhost: other.example", 400, "too many Host headers"},
		{"two versions", "Version: 13", "Version: 13\r\nSec-WebSocket-Version: 8", 426, `asks for "13, 8"`},
		{"bare LF", "Host: gw.example\r\n", "Host: gw.example\n", 400, "CR and LF"},
		{"end by bare LF", "Version: 13\r\n", "Version: 13\n\nGET /other HTTP/1.1\r\nOrigin: https://evil.example\r\n", 400, "CR and LF"},
		{"bare CR", "Host: gw.example", "Host: gw.example\rOrigin: x", 400, "CR and LF"},
		{"folded line", "Host: gw.example", "Host: gw.example\r\n Origin: x", 400, "CR and LF"},
		{"chunks", "Upgrade: websocket", "Transfer-Encoding: chunked\r\nUpgrade: websocket", 400, "no body"},
		{"long", "Host: gw.example", "Cookie: " + strings.Repeat("c", maxHead), 431, "longer than 8192 bytes"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T, network *memnet.Network, _ *testca.CA) {
				notes := make(chan Upgrade, 1)
				server := newNode(t, network, func(c *Config) {
					c.Hooks.Upgraded = func(_ ConnInfo, u Upgrade, _ error) { notes <- u }
				})
				nc := rawDial(t, network, listenWeb(t, server, phone))
				text := strings.Replace(handshakeText, tt.change, tt.by, 1)
				if text == handshakeText {
					t.Fatal("nothing was changed")
				}
				write(t, nc, text)
				resp, err := http.ReadResponse(bufio.NewReader(nc), nil)
				if err != nil {
					t.Fatal(err)
				}
				body, err := io.ReadAll(resp.Body)
				if resp.StatusCode != tt.status || err != nil || !strings.Contains(string(body), tt.want) {
					t.Errorf("got %s, %q, %v, want %d, %s", resp.Status, body, err, tt.status, tt.want)
				}
				if got := resp.Header.Get("Sec-WebSocket-Version"); (got == "13") != (tt.status == 426) {
					t.Errorf("%d names version %q", tt.status, got)
				}
				nc.Close()
				server.wantRefused(tt.want)
				if note := <-notes; note.Status != tt.status || !strings.Contains(note.Problem, tt.want) {
					t.Errorf("noted %+v", note)
				}
			})
		})
	}
}

func TestUpgradeIsAllowed(t *testing.T) {
	for _, tt := range []struct {
		name, change, by string
		web              WebSocket
	}{
		{"origin in other case", "https://phone", "HTTPS://Phone", phone},
		{"no browser", "Origin: https://phone.example\r\n", "", WebSocket{}},
		{"any origin", "https://phone", "https://other", WebSocket{Origins: []string{"*"}}},
		{"any path", "GET /", "GET /x/y?z=1", WebSocket{Origins: phone.Origins}},
		{"query", "GET /", "GET /?token=1", phone},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T, network *memnet.Network, _ *testca.CA) {
				server := newNode(t, network, nil)
				nc := rawDial(t, network, listenWeb(t, server, tt.web))
				write(t, nc, strings.Replace(handshakeText, tt.change, tt.by, 1))
				readExactly(t, nc, "HTTP/1.1 101 Switching Protocols\r\n")
			})
		})
	}
}

// masked is a frame of a client's, in the clear of a zero key.
func masked(first byte, payload string) string {
	b := []byte{first}
	switch n := len(payload); {
	case n < 126:
		b = append(b, bitMask|byte(n))
	case n <= 0xffff:
		b = binary.BigEndian.AppendUint16(append(b, bitMask|126), uint16(n))
	default:
		b = binary.BigEndian.AppendUint64(append(b, bitMask|127), uint64(n))
	}
	return string(b) + "\x00\x00\x00\x00" + payload
}

func TestFramesThatAreRefused(t *testing.T) {
	small := message(1, "")
	cut := strings.Replace(small, "Content-Length: 0", "Content-Length: 7", 1)
	for _, tt := range []struct {
		name, frames string
		status       uint16
		want         string
		answered     bool // the message is delivered, so that it can be answered
	}{
		{"unmasked", "\x81\x02hi", 1002, "unmasked frame", false},
		{"reserved bit", masked(0xC1, small), 1002, "extension", false},
		{"unknown data", masked(0x83, small), 1002, "unknown kind", false},
		{"unknown control", masked(0x8B, ""), 1002, "unknown kind", false},
		{"control in fragments", masked(0x09, ""), 1002, "in fragments", false},
		{"long ping", masked(0x89, strings.Repeat("p", 126)), 1002, "longer than 125", false},
		{"long length", "\x81\xfe\x00\x05\x00\x00\x00\x00hello", 1002, "length", false},
		{"longer length", "\x81\xff\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00", 1002, "length", false},
		{"negative length", "\x81\xff\x80\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00", 1002, "length", false},
		{"huge", "\x81\xff\x00\x00\x7f\xff\xff\xff\xff\xff\x00\x00\x00\x00", 1009, "longer than 65536", false},
		{"huge in fragments", masked(0x01, strings.Repeat("a", 60_000)) + masked(0x80, strings.Repeat("b", 6_000)), 1009, "longer than 65536", false},
		{"continuation of nothing", masked(0x80, small), 1002, "continuation of no message", false},
		{"message in message", masked(0x01, small[:9]) + masked(0x81, small), 1002, "message within a message", false},
		{"not UTF-8", masked(0x81, message(1, "\xff")), 1007, "not UTF-8", false},
		{"empty", masked(0x81, ""), 1003, "something other than a SIP message", false},
		{"binary nonsense", masked(0x82, "\x00\x01"), 1003, "something other", false},
		{"no end", masked(0x81, "OPTIONS sip:a@b SIP/2.0\r\nVia: SIP/2.0/WS a.invalid;branch=z9hG4bK1\r\n"), 1003, "does not end", true},
		{"half", masked(0x81, cut+"abc"), 1003, "Content-Length is 7, and 3 bytes are there", true},
		{"two", masked(0x81, small+small), 1003, "more than one SIP message", true},
		{"close of one byte", masked(0x88, "x"), 1002, "without a usable status", false},
		{"close with a reserved status", masked(0x88, "\x03\xed"), 1002, "without a usable status", false},
		{"close that is not UTF-8", masked(0x88, "\x03\xe8\xff"), 1007, "not UTF-8", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T, network *memnet.Network, _ *testca.CA) {
				server := newNode(t, network, nil)
				nc, r := rawWeb(t, network, listenWeb(t, server, phone))
				write(t, nc, tt.frames)
				b, err := io.ReadAll(r)
				if err != nil || len(b) < 4 || b[0] != 0x88 || int(b[1]) != len(b)-2 || binary.BigEndian.Uint16(b[2:]) != tt.status {
					t.Fatalf("got %q, %v, want a Close frame with %d", b, err, tt.status)
				}
				nc.Close()
				if why := server.wantClosed(tt.want); !why.Local {
					t.Errorf("%+v", why)
				}
				if got := len(server.packets) > 0; got != tt.answered {
					t.Errorf("delivered %v, want %v", got, tt.answered)
				}
				if got := server.unfinished.used.Load(); got != 0 {
					t.Errorf("%d bytes are still counted", got)
				}
			})
		})
	}
}

// The frames of one message may have control frames between them, and pings are
// answered once for each read (RFC 6455 §5.4, §5.5.3).
func TestControlFramesBetweenFragments(t *testing.T) {
	bubble(t, func(t *testing.T, network *memnet.Network, _ *testca.CA) {
		server := newNode(t, network, nil)
		nc, r := rawWeb(t, network, listenWeb(t, server, phone))
		text := message(1, "body")
		write(t, nc, masked(0x01, text[:10])+strings.Repeat(masked(0x89, "flood"), 90)+masked(0x89, "last")+masked(0x00, "")+
			masked(0x8A, "unasked")+masked(0x80, text[10:]))
		server.wantText(text)
		readExactly(t, r, "\x8a\x04last")
		write(t, nc, masked(0x88, "\x03\xe9"))
		readExactly(t, r, "\x88\x02\x03\xe9")
		nc.Close()
		if why := server.wantClosed("status 1001, going away"); !why.Ordinary() {
			t.Errorf("%+v", why)
		}
	})
}

// Whoever floods with control frames and sends no message passes the limit of keep-alives.
func TestFloodOfControlFrames(t *testing.T) {
	for _, frame := range []string{masked(0x89, "flood"), masked(0x8A, ""), masked(0x81, "\r\n\r\n"), masked(0x81, "\r\n")} {
		bubble(t, func(t *testing.T, network *memnet.Network, _ *testca.CA) {
			server := newNode(t, network, nil)
			nc, r := rawWeb(t, network, listenWeb(t, server, phone))
			write(t, nc, strings.Repeat(frame, DefaultLimits().KeepAlives+1))
			b, err := io.ReadAll(r)
			if err != nil || !strings.HasSuffix(string(b), "\x88\x02\x03\xf0") {
				t.Errorf("got %q, %v, want a Close frame with 1008 at the end", b, err)
			}
			nc.Close()
			server.wantClosed("101 keep-alives and no message between them")
		})
	}
}

// Our question whether the other side is there is a ping frame, and one without an answer ends the connection.
func TestWebSocketPings(t *testing.T) {
	bubble(t, func(t *testing.T, network *memnet.Network, _ *testca.CA) {
		server, client := newNode(t, network, nil), newNode(t, network, nil)
		c := client.dial(WS, listenWeb(t, server, WebSocket{}), nil)
		c.Keep(Manner{Ping: time.Minute})
		at := want(t, server.opened, "the connection")
		send(t, c, message(1, ""))
		server.wantText(message(1, ""))
		time.Sleep(4 * time.Minute)
		if got := client.Stats().Pings.Load(); got < 4 || !c.Alive() {
			t.Errorf("%d pings in 4 minutes, alive %v", got, c.Alive())
		}
		at.Close(ErrShutdown)
		client.wantClosed("going away")
	})
}

func TestWebSocketTimes(t *testing.T) {
	limits := DefaultLimits()
	open := func(t *testing.T, network *memnet.Network) (*node, netip.AddrPort) {
		server := newNode(t, network, nil)
		return server, listenWeb(t, server, phone)
	}
	t.Run("slow request", func(t *testing.T) {
		bubble(t, func(t *testing.T, network *memnet.Network, _ *testca.CA) {
			server, to := open(t, network)
			begun := time.Now()
			nc := rawDial(t, network, to)
			var slow sync.WaitGroup
			defer slow.Wait()
			slow.Go(func() {
				for i := range len(handshakeText) {
					if _, err := nc.Write([]byte{handshakeText[i]}); err != nil {
						return
					}
					time.Sleep(time.Second)
				}
			})
			readExactly(t, nc, "HTTP/1.1 408 Request Timeout\r\n")
			if got := time.Since(begun); got != limits.HandshakeTimeout {
				t.Errorf("after %v, want %v", got, limits.HandshakeTimeout)
			}
			nc.Close()
			server.wantRefused("no WebSocket within 10s")
			if server.handshakes.all != 0 || server.conns.all != 0 {
				t.Error("a place is still taken")
			}
		})
	})
	t.Run("half a message", func(t *testing.T) {
		bubble(t, func(t *testing.T, network *memnet.Network, _ *testca.CA) {
			server, to := open(t, network)
			nc, r := rawWeb(t, network, to)
			begun := time.Now()
			write(t, nc, masked(0x01, "OPTIONS"))
			readExactly(t, r, "\x88\x02\x03\xf0")
			if got := time.Since(begun); got != limits.WholeMessage {
				t.Errorf("after %v, want %v", got, limits.WholeMessage)
			}
			nc.Close()
			server.wantClosed("message not complete 10s after it began, 7 bytes")
		})
	})
	t.Run("nothing", func(t *testing.T) {
		bubble(t, func(t *testing.T, network *memnet.Network, _ *testca.CA) {
			server, to := open(t, network)
			nc, r := rawWeb(t, network, to)
			readExactly(t, r, "\x88\x02\x03\xf0")
			nc.Close()
			server.wantClosed("no message within 30s")
		})
	})
	t.Run("ended without a word", func(t *testing.T) {
		bubble(t, func(t *testing.T, network *memnet.Network, _ *testca.CA) {
			server, to := open(t, network)
			nc, _ := rawWeb(t, network, to)
			write(t, nc, masked(0x01, "OPTIONS"))
			nc.Close()
			why := server.wantClosed("in the middle of a message, 7 bytes of it had come without a Close frame")
			if why.Ordinary() || !why.CutShort() {
				t.Errorf("%+v", why)
			}
		})
	})
	t.Run("shutdown during the request", func(t *testing.T) {
		bubble(t, func(t *testing.T, network *memnet.Network, _ *testca.CA) {
			server, to := open(t, network)
			nc := rawDial(t, network, to)
			write(t, nc, handshakeText[:30])
			time.Sleep(time.Second)
			go func() { io.Copy(io.Discard, nc); nc.Close() }()
			if err := server.Close(t.Context()); err != nil {
				t.Fatal(err)
			}
			server.wantRefused("given up")
		})
	})
}
