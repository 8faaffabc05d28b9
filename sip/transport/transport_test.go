package transport

import (
	"context"
	"fmt"
	"net/netip"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

// The tests in this file are the suite that every transport has to pass.

func TestMessagesCrossBothWays(t *testing.T) {
	onEachStream(t, func(t *testing.T, network Network, tr Transport, cred credentials) {
		server, client := newNode(t, network, nil), newNode(t, network, nil)
		to := server.listen(tr, cred.server)
		c := client.dial(tr, to, cred.client)
		send(t, c, message(1, "ping"))
		got := server.wantText(message(1, "ping"))
		if got.conn.Info().Remote != c.Info().Local || !got.conn.Info().Inbound || got.conn.Info().Listener != tr.String() {
			t.Errorf("connection %+v, want it from %v", got.conn.Info(), c.Info().Local)
		}
		if tr.Secure() != (got.conn.TLS() != nil) {
			t.Errorf("TLS state %v on %v", got.conn.TLS(), tr)
		}
		send(t, got.conn, message(2, "pong"))
		client.wantText(message(2, "pong"))
		if c.Identity().Peer != "gw" {
			t.Errorf("identity %+v of a connection dialled to gw", c.Identity())
		}
	})
}

func TestDatagramsCrossBothWays(t *testing.T) {
	onEach(t, func(t *testing.T, network Network) {
		a, b := newNode(t, network, nil), newNode(t, network, nil)
		from, to := a.listen(UDP, nil), b.listen(UDP, nil)
		c, err := a.Dial(t.Context(), DialConfig{Key: Key{Transport: UDP, Remote: to}})
		if err != nil {
			t.Fatal(err)
		}
		big := strings.Repeat("x", 20_000)
		for i, body := range []string{"", "one", big} {
			if first, err := c.Send([]byte(message(i, body)), to); !first || err != nil {
				t.Fatalf("send: first %v, %v", first, err)
			}
			c.Flush()
			got := b.wantText(message(i, body))
			if got.from != from || got.err != nil {
				t.Errorf("from %v with %v, want %v", got.from, got.err, from)
			}
		}
		// A reply leaves from the socket that got the request.
		reply := b.Listeners()[0].Conn()
		if _, err := reply.Send([]byte(message(9, "")), from); err != nil {
			t.Fatal(err)
		}
		reply.Flush()
		if got := a.wantText(message(9, "")); got.from != to {
			t.Errorf("reply from %v, want %v", got.from, to)
		}
	})
}

func TestOrderIsKeptInBatches(t *testing.T) {
	const total, perFlush = 10_000, 20
	onEachStream(t, func(t *testing.T, network Network, tr Transport, cred credentials) {
		server := newNode(t, network, func(cfg *Config) {
			// Every message goes back as it is, one flush for each batch.
			cfg.Hooks.Deliver = func(batch []Packet) {
				for _, p := range batch {
					if _, err := p.Conn.Send(p.Msg.Bytes(), p.Source); err != nil {
						t.Error(err)
						return
					}
					p.Msg.Release()
				}
				batch[0].Conn.Flush()
			}
		})
		client := newNode(t, network, nil)
		c := client.dial(tr, server.listen(tr, cred.server), cred.client)
		for i := 0; i < total; i += perFlush {
			for j := range perFlush {
				if _, err := c.Send([]byte(message(i+j, "")), netip.AddrPort{}); err != nil {
					t.Fatal(err)
				}
			}
			c.Flush()
			if i%400 == 0 { // no faster than the echo comes back, or a queue is full
				for k := max(0, i-400+perFlush); k < i+perFlush; k++ {
					client.wantText(message(k, ""))
				}
			}
		}
		for k := total - 400 + perFlush; k < total; k++ {
			client.wantText(message(k, ""))
		}
		if batches := len(client.batches); batches > total/2 {
			t.Errorf("%d messages came in %d batches", total, batches)
		}
	})
}

func TestOneReadIsOneBatch(t *testing.T) {
	onEachStream(t, func(t *testing.T, network Network, tr Transport, cred credentials) {
		server, client := newNode(t, network, nil), newNode(t, network, nil)
		c := client.dial(tr, server.listen(tr, cred.server), cred.client)
		before := client.Stats().Writes.Load()
		send(t, c, message(1, ""), message(2, "two"), message(3, ""))
		if got := want(t, server.batches, "a batch"); got != 3 {
			t.Errorf("a batch of %d, want 3", got)
		}
		if got := client.Stats().Writes.Load() - before; got != 1 {
			t.Errorf("%d writes for one flush, want 1", got)
		}
	})
}

func TestManySendersAtOnce(t *testing.T) {
	const senders, each = 8, 200
	onEachStream(t, func(t *testing.T, network Network, tr Transport, cred credentials) {
		server, client := newNode(t, network, nil), newNode(t, network, nil)
		c := client.dial(tr, server.listen(tr, cred.server), cred.client)
		var wg sync.WaitGroup
		for s := range senders {
			wg.Go(func() {
				for i := range each {
					if _, err := c.Send([]byte(message(s*each+i, "")), netip.AddrPort{}); err != nil {
						t.Error(err)
						return
					}
					c.Flush()
					if i%16 == 0 {
						runtime.Gosched()
					}
				}
			})
		}
		next := make([]int, senders)
		for range senders * each {
			got := want(t, server.packets, "a message").text
			_, rest, _ := strings.Cut(got, "\r\nCSeq: ")
			var n int
			fmt.Sscan(rest, &n)
			n-- // the message's number
			if s := n / each; n%each != next[s] {
				t.Fatalf("sender %d: message %d, want %d", s, n%each, next[s])
			}
			next[n/each]++
		}
		wg.Wait()
	})
}

func TestMalformedMessageIsDeliveredWithItsError(t *testing.T) {
	bad := strings.Replace(message(1, ""), "OPTIONS sip:gw.example SIP/2.0", "OPTIONS sip:gw.example SIP/7.0", 1)
	onEachStream(t, func(t *testing.T, network Network, tr Transport, cred credentials) {
		server, client := newNode(t, network, nil), newNode(t, network, nil)
		c := client.dial(tr, server.listen(tr, cred.server), cred.client)
		send(t, c, bad, message(2, ""))
		if got := want(t, server.packets, "a message"); got.err == nil {
			t.Error("a message of SIP/7.0 came without an error")
		}
		if got := server.wantText(message(2, "")); got.err != nil {
			t.Errorf("the message behind it: %v", got.err)
		}
	})
}

func TestKeepAlive(t *testing.T) {
	onEach(t, func(t *testing.T, network Network) {
		server := newNode(t, network, nil)
		nc := rawDial(t, network, server.listen(TCP, nil))
		// A lone CRLF is no ping; the double one is, wherever it stands, also in
		// two pieces.
		write(t, nc, message(1, "")+"\r\n"+message(2, "")+"\r\n\r\n"+message(3, ""))
		for i := 1; i <= 3; i++ {
			server.wantText(message(i, ""))
		}
		c := want(t, server.opened, "the connection")
		send(t, c, message(4, ""))
		readExactly(t, nc, "\r\n"+message(4, ""))
		write(t, nc, "\r\n")
		write(t, nc, message(5, ""))
		server.wantText(message(5, ""))
		write(t, nc, "\r")
		write(t, nc, "\n\r")
		write(t, nc, "\n")
		readExactly(t, nc, "\r\n")
		c.Close(ErrShutdown)
		wantEOF(t, nc)
	})
}

func TestDialIsRefused(t *testing.T) {
	onEach(t, func(t *testing.T, network Network) {
		gone := newNode(t, network, nil)
		to := gone.listen(TCP, nil)
		gone.stop()
		n := newNode(t, network, nil)
		_, err := n.Dial(t.Context(), DialConfig{Key: Key{Transport: TCP, Remote: to}})
		if want := fmt.Sprintf("dial tcp %v: ", to); err == nil || !strings.HasPrefix(err.Error(), want) ||
			!strings.HasSuffix(err.Error(), "connection refused") || strings.Count(err.Error(), to.String()) != 1 {
			t.Errorf("dial: %v, want %s… connection refused", err, want)
		}
		if got := n.wantRefused("connection refused"); got.info.Inbound || got.info.Remote != to {
			t.Errorf("refused %+v", got.info)
		}
	})
}

func TestCloseEndsEverything(t *testing.T) {
	onEachStream(t, func(t *testing.T, network Network, tr Transport, cred credentials) {
		server, client := newNode(t, network, nil), newNode(t, network, nil)
		c := client.dial(tr, server.listen(tr, cred.server), cred.client)
		want(t, server.opened, "the connection")
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := server.Close(ctx); err != nil {
			t.Fatal(err)
		}
		if why := server.wantClosed("shutting down"); !why.Local || why.NotifySent != tr.Secure() {
			t.Errorf("server: %+v", why)
		}
		why := client.wantClosed("the other side closed the ")
		if why.Local || why.NotifyReceived != tr.Secure() || why.NotifySent != tr.Secure() {
			t.Errorf("client: %+v", why)
		}
		if c.Alive() {
			t.Error("the connection is still alive")
		}
		if _, err := server.Listen(ListenConfig{Transport: UDP, Addr: home}); err == nil {
			t.Error("a closed endpoint listens")
		}
	})
}
