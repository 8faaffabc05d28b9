package transport

import (
	"errors"
	"io"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/sallyport-sip/sallyport/internal/memnet"
	"github.com/sallyport-sip/sallyport/internal/testca"
	"github.com/sallyport-sip/sallyport/sip"
)

// The text of a Close frame is UTF-8 wherever it is cut (RFC 6455 §5.5.1).
func TestTextOfACloseFrame(t *testing.T) {
	for _, text := range []string{"", "§", strings.Repeat("a", 122) + "§", strings.Repeat("a", 123), strings.Repeat("§", 200), "a\xff"} {
		b := appendClose(nil, false, statusPolicy, text)
		h, bad := parseHeader(b)
		got := string(b[h.size:])
		if bad != nil || h.length > maxControl || !utf8.ValidString(got[2:]) || !strings.HasPrefix(text, got[2:]) || len(got[2:]) < min(len(text), maxControl-2)-1 {
			t.Errorf("%q became %q", text, got)
		}
	}
}

// Whoever passes a limit is told that it was one, and it is counted.
func TestLimitsCloseAWebSocketAsPolicy(t *testing.T) {
	bubble(t, func(t *testing.T, network *memnet.Network, _ *testca.CA) {
		passed := make(chan Excess, 1)
		server := newNode(t, network, func(c *Config) {
			c.Limits.Unfinished = 1 << 10
			c.Hooks.Excess = func(e Excess) { passed <- e }
		})
		nc, r := rawWeb(t, network, listenWeb(t, server, phone))
		write(t, nc, masked(0x01, strings.Repeat("a", 3000)))
		readExactly(t, r, "\x88\x02\x03\xf0")
		nc.Close()
		server.wantClosed("unfinished")
		if e := want(t, passed, "the limit"); e.Limit != LimitUnfinished {
			t.Errorf("passed %q", e.Limit)
		}
	})
}

func TestWebSocketMessageTooBigIsCounted(t *testing.T) {
	bubble(t, func(t *testing.T, network *memnet.Network, _ *testca.CA) {
		passed := make(chan Excess, 1)
		server := newNode(t, network, func(c *Config) { c.Hooks.Excess = func(e Excess) { passed <- e } })
		nc, r := rawWeb(t, network, listenWeb(t, server, phone))
		write(t, nc, "\x81\xff\x00\x00\x00\x00\x00\x10\x00\x00\x00\x00\x00\x00")
		if b, err := io.ReadAll(r); err != nil || !strings.HasPrefix(string(b[2:]), "\x03\xf1") {
			t.Errorf("got %q, %v, want a Close frame with 1009", b, err)
		}
		nc.Close()
		server.wantClosed("longer than")
		if e := want(t, passed, "the limit"); e.Limit != sip.LimitMessage {
			t.Errorf("passed %q", e.Limit)
		}
	})
}

// A limit that is lowered in the middle of a message holds for the rest of it.
func TestMessageLimitIsLoweredWithinAMessage(t *testing.T) {
	bubble(t, func(t *testing.T, network *memnet.Network, _ *testca.CA) {
		server := newNode(t, network, nil)
		nc, r := rawWeb(t, network, listenWeb(t, server, phone))
		write(t, nc, masked(0x01, strings.Repeat("a", 30_000))+masked(0x89, "seen"))
		readExactly(t, r, "\x8a\x04seen")
		limits := server.Limits()
		limits.Message.Message = 20_000
		server.SetLimits(limits)
		write(t, nc, "\x80\xff\x00\x00\x00\x10\x00\x00\x00\x00\x00\x00\x00\x00")
		if b, err := io.ReadAll(r); err != nil || len(b) < 4 || string(b[2:4]) != "\x03\xf1" {
			t.Errorf("got %q, %v, want a Close frame with 1009", b, err)
		}
		nc.Close()
		server.wantClosed("longer than 20000 bytes")
	})
}

// A request that is not complete when the server shuts down is answered with that.
func TestUpgradeAtShutdown(t *testing.T) {
	bubble(t, func(t *testing.T, network *memnet.Network, _ *testca.CA) {
		server := newNode(t, network, nil)
		nc := rawDial(t, network, listenWeb(t, server, phone))
		write(t, nc, handshakeText[:30])
		time.Sleep(time.Second)
		done := make(chan error, 1)
		go func() {
			b, err := io.ReadAll(nc)
			if !strings.HasPrefix(string(b), "HTTP/1.1 503 ") {
				err = errors.Join(err, errors.New(string(b)))
			}
			nc.Close()
			done <- err
		}()
		if err := server.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}
