package transport

import (
	"errors"
	"net"
	"net/netip"
	"strings"
	"testing"

	"github.com/sallyport-sip/sallyport/internal/memnet"
	"github.com/sallyport-sip/sallyport/internal/testca"
)

func TestOneFlushSendsManyDatagrams(t *testing.T) {
	const total = 100 // more than one call takes
	onEach(t, func(t *testing.T, network Network) {
		a, b := newNode(t, network, nil), newNode(t, network, nil)
		a.listen(UDP, nil)
		to := b.listen(UDP, nil)
		c := a.Listeners()[0].Conn()
		for i := range total {
			if first, err := c.Send([]byte(message(i, "")), to); first != (i == 0) || err != nil {
				t.Fatalf("send %d: first %v, %v", i, first, err)
			}
		}
		c.Flush()
		for i := range total {
			b.wantText(message(i, ""))
		}
		if _, ok := network.(system); ok && c.link.(*datagrams).sock.direct() {
			if got, most := a.Stats().Writes.Load(), uint64(total/datagramsAtOnce+1); got > most {
				t.Errorf("%d system calls to write, want at most %d", got, most)
			}
		}
	})
}

func TestDatagramsThatAreNoMessages(t *testing.T) {
	onEach(t, func(t *testing.T, network Network) {
		n := newNode(t, network, nil)
		to := n.listen(UDP, nil)
		pc, err := network.ListenPacket(t.Context(), home)
		if err != nil {
			t.Fatal(err)
		}
		defer pc.Close()
		from := addrPort(pc.LocalAddr())
		datagrams := []string{
			"\r\n\r\n", "\x00", "\x00\x01\x00\x00\x21\x12\xa4\x42", "", // keep-alives of all kinds
			"nonsense", "OPTIONS sip:x SIP/2.0\r\nVia: ", // these have their errors
			strings.Replace(message(1, "body"), "Content-Length: 4", "Content-Length: 5", 1),
			"\r\n" + message(2, "") + "trailing",
		}
		for _, d := range datagrams {
			if _, err := pc.WriteTo([]byte(d), net.UDPAddrFromAddrPort(to)); err != nil {
				t.Fatal(err)
			}
		}
		for i := range 3 {
			if got := want(t, n.packets, "a packet"); got.err == nil || got.from != from {
				t.Errorf("%d: %q from %v without an error", i, got.text, got.from)
			}
		}
		// RFC 3261 §18.3: bytes behind the body are dropped.
		if got := n.wantText(message(2, "")); got.err != nil {
			t.Error(got.err)
		}
	})
}

func TestDatagramErrors(t *testing.T) {
	onEach(t, func(t *testing.T, network Network) {
		n := newNode(t, network, nil)
		to := n.listen(UDP, nil)
		c := n.Listeners()[0].Conn()
		if _, err := c.Send(make([]byte, maxDatagram+1), to); !errors.Is(err, ErrTooLarge) {
			t.Errorf("a huge datagram: %v, want ErrTooLarge", err)
		}
		if _, err := c.Send([]byte("x"), netip.AddrPort{}); err == nil {
			t.Error("a datagram to nowhere was taken")
		}
		if _, ok := network.(*memnet.Network); !ok {
			// One that the system refuses does not keep back those behind it.
			six := netip.MustParseAddrPort("[2001:db8::1]:5060")
			for _, a := range []netip.AddrPort{to, six, to} {
				if _, err := c.Send([]byte(message(1, "")), a); err != nil {
					t.Fatal(err)
				}
			}
			c.Flush()
			n.wantText(message(1, ""))
			n.wantText(message(1, ""))
			if err := want(t, n.lost, "the loss"); !strings.Contains(err.Error(), "2001:db8::1") {
				t.Errorf("lost: %v", err)
			}
		}
		n.Listeners()[0].Close()
		if _, err := c.Send([]byte("x"), to); !errors.Is(err, ErrClosed) || c.Alive() {
			t.Errorf("send on a closed socket: %v, want ErrClosed", err)
		}
	})
}

func TestBothFamiliesOnOneSocket(t *testing.T) {
	n := newNode(t, nil, nil)
	l, err := n.Listen(ListenConfig{Transport: UDP, Addr: netip.MustParseAddrPort("[::]:0")})
	if err != nil {
		t.Skip("no IPv6 here:", err)
	}
	for _, host := range []string{"127.0.0.1", "::1"} {
		peer := newNode(t, nil, nil)
		p, err := peer.Listen(ListenConfig{Transport: UDP, Addr: netip.AddrPortFrom(netip.MustParseAddr(host), 0)})
		if err != nil {
			t.Skip("no IPv6 here:", err)
		}
		to := netip.AddrPortFrom(netip.MustParseAddr(host), l.Addr().Port())
		if _, err := p.Conn().Send([]byte(message(1, host)), to); err != nil {
			t.Fatal(err)
		}
		p.Conn().Flush()
		got := n.wantText(message(1, host))
		if got.from != p.Addr() {
			t.Errorf("from %v, want %v", got.from, p.Addr())
		}
		if _, err := l.Conn().Send([]byte(message(2, host)), got.from); err != nil {
			t.Fatal(err)
		}
		l.Conn().Flush()
		peer.wantText(message(2, host))
	}
}

func TestRequestsLeaveFromAListenersSocket(t *testing.T) {
	bubble(t, func(t *testing.T, network *memnet.Network, _ *testca.CA) {
		n := newNode(t, network, nil)
		listen := func(name, addr string) *Conn {
			l, err := n.Listen(ListenConfig{Name: name, Transport: UDP, Addr: netip.MustParseAddrPort(addr)})
			if err != nil {
				t.Fatal(err)
			}
			return l.Conn()
		}
		four, other, six := listen("four", "192.0.2.1:5060"), listen("other", "192.0.2.2:5060"), listen("six", "[2001:db8::1]:5060")
		far, far6 := netip.MustParseAddrPort("198.51.100.1:5060"), netip.MustParseAddrPort("[2001:db8::9]:5060")
		tests := []struct {
			cfg  DialConfig
			want *Conn
		}{
			{DialConfig{Key: Key{Remote: far}}, four},
			{DialConfig{Key: Key{Remote: far}, Listener: "other"}, other},
			{DialConfig{Key: Key{Remote: far, Local: netip.MustParseAddrPort("192.0.2.2:5060")}}, other},
			{DialConfig{Key: Key{Remote: far6}}, six},
			{DialConfig{Key: Key{Remote: far6}, Listener: "four"}, nil},
			{DialConfig{Key: Key{Remote: far, Local: netip.MustParseAddrPort("192.0.2.9:5060")}}, nil},
		}
		for _, tt := range tests {
			tt.cfg.Transport = UDP
			got, err := n.Dial(t.Context(), tt.cfg)
			if got != tt.want || (err == nil) != (tt.want != nil) {
				t.Errorf("%+v: %v, %v, want %v", tt.cfg, got, err, tt.want)
			}
		}
	})
}
