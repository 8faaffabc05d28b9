package hep

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sallyport-sip/sallyport/internal/memnet"
)

// read is the test's own reader of HEP3: it holds a packet to its lengths and returns its chunks.
func read(t *testing.T, b []byte) (chunks map[uint16][]byte, rest []byte) {
	t.Helper()
	if len(b) < 6 || string(b[:4]) != "HEP3" || int(binary.BigEndian.Uint16(b[4:])) > len(b) {
		t.Fatalf("no packet of HEP3: %q", b)
	}
	rest = b[binary.BigEndian.Uint16(b[4:]):]
	b = b[6 : len(b)-len(rest)]
	chunks = map[uint16][]byte{}
	for len(b) > 0 {
		n := binary.BigEndian.Uint16(b[4:])
		if vendor := binary.BigEndian.Uint16(b); vendor != 0 || n < 6 || int(n) > len(b) {
			t.Fatalf("chunk % x", b)
		}
		kind := binary.BigEndian.Uint16(b[2:])
		if _, twice := chunks[kind]; twice {
			t.Fatalf("chunk %d stands twice", kind)
		}
		chunks[kind] = b[6:n]
		b = b[n:]
	}
	return chunks, rest
}

func sample(payload string) *Packet {
	return &Packet{
		Kind: SIP, At: time.Unix(1_700_000_000, 123_456_789), From: netip.MustParseAddrPort("192.0.2.1:5060"), To: netip.MustParseAddrPort("198.51.100.2:40112"),
		Correlation: "a84b4c76", Payload: []byte(payload),
	}
}

func TestPacket(t *testing.T) {
	id := &identity{captureID: 2001, node: "gw1", password: "secret"}
	six := sample("OPTIONS")
	six.UDP, six.Kind = true, Log
	six.From, six.To = netip.MustParseAddrPort("[2001:db8::1]:5060"), netip.MustParseAddrPort("[2001:db8::2]:5070")
	mapped := sample("x")
	mapped.From, mapped.To = netip.MustParseAddrPort("[::]:5060"), netip.MustParseAddrPort("[::ffff:192.0.2.7]:5070")
	for _, tt := range []struct {
		name string
		p    *Packet
		want map[uint16]string
	}{
		{"IPv4 over TCP", sample("INVITE"), map[uint16]string{
			1: "\x02", 2: "\x06", 3: "\xc0\x00\x02\x01", 4: "\xc6\x33\x64\x02", 7: "\x13\xc4", 8: "\x9c\xb0",
			9: "\x65\x53\xf1\x00", 10: "\x00\x01\xe2\x40", 11: "\x01", 12: "\x00\x00\x07\xd1", 14: "secret", 15: "INVITE", 17: "a84b4c76", 19: "gw1"}},
		{"IPv6 over UDP", six, map[uint16]string{
			1: "\x0a", 2: "\x11", 5: string(six.From.Addr().AsSlice()), 6: string(six.To.Addr().AsSlice()), 7: "\x13\xc4", 8: "\x13\xce",
			9: "\x65\x53\xf1\x00", 10: "\x00\x01\xe2\x40", 11: "\x64", 12: "\x00\x00\x07\xd1", 14: "secret", 15: "OPTIONS", 17: "a84b4c76", 19: "gw1"}},
		{"a socket on all addresses", mapped, map[uint16]string{
			1: "\x02", 2: "\x06", 3: "\x00\x00\x00\x00", 4: "\xc0\x00\x02\x07", 7: "\x13\xc4", 8: "\x13\xce",
			9: "\x65\x53\xf1\x00", 10: "\x00\x01\xe2\x40", 11: "\x01", 12: "\x00\x00\x07\xd1", 14: "secret", 15: "x", 17: "a84b4c76", 19: "gw1"}},
	} {
		b := tt.p.appendTo(nil, id)
		if len(b) != tt.p.size(id) {
			t.Errorf("%s: %d bytes, and size said %d", tt.name, len(b), tt.p.size(id))
		}
		got, rest := read(t, b)
		if len(rest) > 0 {
			t.Errorf("%s: %d bytes too many", tt.name, len(rest))
		}
		for kind := range uint16(30) {
			if string(got[kind]) != tt.want[kind] {
				t.Errorf("%s: chunk %d is %q, want %q", tt.name, kind, got[kind], tt.want[kind])
			}
		}
	}
	bare, _ := read(t, sample("x").appendTo(nil, &identity{}))
	if _, ok := bare[14]; ok || bare[19] != nil {
		t.Error("without a password and a name of the node there are chunks of them")
	}
}

// collector is where packets go in memory.
type collector struct {
	*testing.T
	net  *memnet.Network
	addr netip.AddrPort
	log  []string // what Changed was told
}

func newCollector(t *testing.T) *collector {
	return &collector{T: t, net: memnet.New(memnet.Options{Window: 4096}), addr: netip.MustParseAddrPort("192.0.2.9:9060")}
}

func (c *collector) sender(change func(*Config)) *Sender {
	cfg := Config{
		Dial:    func(ctx context.Context) (net.Conn, error) { return c.net.Dial(ctx, netip.AddrPort{}, c.addr) },
		Changed: func(err error) { c.log = append(c.log, fmt.Sprint(err != nil)) },
	}
	if change != nil {
		change(&cfg)
	}
	return New(cfg)
}

func (c *collector) listen() net.Listener {
	l, err := c.net.Listen(c.Context(), c.addr)
	if err != nil {
		c.Fatal(err)
	}
	return l
}

func (c *collector) accept(l net.Listener) net.Conn {
	nc, err := l.Accept()
	if err != nil {
		c.Fatal(err)
	}
	return nc
}

// payloads reads n packets.
func (c *collector) payloads(nc net.Conn, n int) (all []string) {
	c.Helper()
	for range n {
		head := make([]byte, 6)
		if _, err := io.ReadFull(nc, head); err != nil {
			c.Fatal(err)
		}
		b := append(head, make([]byte, int(binary.BigEndian.Uint16(head[4:]))-6)...)
		if _, err := io.ReadFull(nc, b[6:]); err != nil {
			c.Fatal(err)
		}
		chunks, _ := read(c.T, b)
		all = append(all, string(chunks[chunkPayload]))
	}
	return all
}

func numbered(from, to int) (all []string) {
	for i := from; i < to; i++ {
		all = append(all, fmt.Sprint("message ", i))
	}
	return all
}

func (s *Sender) send(from, to int) {
	for _, m := range numbered(from, to) {
		s.Send(sample(m))
	}
}

func (c *collector) want(got, want []string) {
	c.Helper()
	if strings.Join(got, "|") != strings.Join(want, "|") {
		c.Errorf("got %q, want %q", got, want)
	}
}

// Packets arrive whole and in order, also those that came before the connection was up.
func TestSenderDelivers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCollector(t)
		l := c.listen()
		defer l.Close()
		s := c.sender(nil)
		defer s.Close()
		s.send(0, 100)
		nc := c.accept(l)
		c.want(c.payloads(nc, 100), numbered(0, 100))
		s.send(100, 150)
		c.want(c.payloads(nc, 50), numbered(100, 150))
		synctest.Wait()
		if k := s.Counts(); k != (Counts{Sent: 150, Up: true}) {
			t.Errorf("counts %+v", k)
		}
	})
}

// A collector that is not there is tried again after 1 s, 2 s, 4 s and so on up to a minute, and what waited goes out.
func TestSenderWithoutCollector(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCollector(t)
		began, dials := time.Now(), []string{}
		var mu sync.Mutex // guards dials
		s := c.sender(func(cfg *Config) {
			dial := cfg.Dial
			cfg.Dial = func(ctx context.Context) (net.Conn, error) {
				mu.Lock()
				dials = append(dials, time.Since(began).String())
				mu.Unlock()
				return dial(ctx)
			}
		})
		defer s.Close()
		s.send(0, 3)
		time.Sleep(200 * time.Second)
		synctest.Wait()
		mu.Lock()
		seen := slices.Clone(dials)
		mu.Unlock()
		c.want(seen, []string{"0s", "1s", "3s", "7s", "15s", "31s", "1m3s", "2m3s", "3m3s"})
		l := c.listen()
		defer l.Close()
		c.want(c.payloads(c.accept(l), 3), numbered(0, 3))
		synctest.Wait()
		if k := s.Counts(); k.Failures != 9 || k.Sent != 3 || k.Dropped != 0 || !k.Up {
			t.Errorf("counts %+v", k)
		}
		c.want(c.log, strings.Fields(strings.Repeat("true ", 9)+"false"))
	})
}

// When the collector closes, the sender sees it without writing, and comes back.
func TestSenderComesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCollector(t)
		l := c.listen()
		defer l.Close()
		s := c.sender(nil)
		defer s.Close()
		s.send(0, 2)
		nc := c.accept(l)
		c.want(c.payloads(nc, 2), numbered(0, 2))
		nc.Close()
		synctest.Wait()
		s.send(2, 4) // while nobody is there
		c.want(c.payloads(c.accept(l), 2), numbered(2, 4))
		synctest.Wait()
		if k := s.Counts(); k.Sent != 4 || k.Dropped != 0 || k.Failures != 1 {
			t.Errorf("counts %+v", k)
		}
	})
}

// A collector that does not read makes nobody wait: the queue fills, what comes then is dropped and counted, and after 10 s the
// connection is given up.
func TestSenderToASlowCollector(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCollector(t)
		l := c.listen()
		defer l.Close()
		s := c.sender(func(cfg *Config) { cfg.Queue = 20_000 })
		defer s.Close()
		c.accept(l) // and never read
		began := time.Now()
		s.send(0, 1000)
		if took := time.Since(began); took != 0 {
			t.Errorf("sending took %v", took)
		}
		synctest.Wait()
		k := s.Counts()
		if k.Dropped == 0 || k.Waiting > 20_000 || k.Failures != 0 {
			t.Errorf("counts %+v", k)
		}
		time.Sleep(writeTime)
		synctest.Wait()
		if k := s.Counts(); k.Failures != 1 || k.Up {
			t.Errorf("after %v: counts %+v", writeTime, k)
		}
		nc := c.accept(l) // it comes back with what waited
		got := c.payloads(nc, 20)
		k = s.Counts()
		if k.Sent+k.Dropped+uint64(len(s.queue)) > 1000 || len(got) != 20 {
			t.Errorf("counts %+v", k)
		}
	})
}

// What does not fit into a packet, or into a datagram that arrives, is not sent and counted.
func TestSenderTooLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCollector(t)
		for _, tt := range []struct {
			datagrams bool
			length    int
			tooLong   uint64
		}{{false, 65_000, 0}, {false, 65_600, 1}, {true, 59_000, 0}, {true, 60_000, 1}} {
			s := c.sender(func(cfg *Config) { cfg.Datagrams = tt.datagrams })
			s.Send(sample(strings.Repeat("x", tt.length)))
			if k := s.Counts(); k.TooLong != tt.tooLong || (k.Waiting > 0) != (tt.tooLong == 0) {
				t.Errorf("%+v: counts %+v", tt, k)
			}
			s.Close()
		}
	})
}

// Close ends a dial that waits and a write that waits.
func TestSenderCloses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCollector(t)
		s := c.sender(func(cfg *Config) {
			cfg.Dial = func(ctx context.Context) (net.Conn, error) { <-ctx.Done(); return nil, errors.New("given up") }
		})
		synctest.Wait()
		began := time.Now()
		s.Close()
		l := c.listen()
		defer l.Close()
		s = c.sender(nil)
		nc := c.accept(l)
		defer nc.Close()
		s.send(0, 1000)
		synctest.Wait()
		s.Close()
		if took := time.Since(began); took != 0 {
			t.Errorf("closing took %v", took)
		}
	})
}
