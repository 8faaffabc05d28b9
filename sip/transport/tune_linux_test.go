package transport

import (
	"net"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// What a listener accepts begins with what was set on the listener: the kernel copies it.
func TestAcceptedSocketsHaveTheListenersManner(t *testing.T) {
	for _, row := range []struct {
		idle, unacknowledged time.Duration
		keep, idleSeconds    int
	}{
		{30 * time.Second, 40 * time.Second, 1, 30},
		{1500 * time.Millisecond, 0, 1, 2},
		{0, time.Second, 0, -1},
	} {
		ln, err := system{}.Listen(t.Context(), netip.MustParseAddrPort("127.0.0.1:0"))
		if err != nil {
			t.Fatal(err)
		}
		defer ln.Close()
		if !tuneListener(ln, row.idle, row.unacknowledged) {
			t.Fatalf("%+v: not set", row)
		}
		out, err := net.Dial("tcp", ln.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer out.Close()
		in, err := ln.Accept()
		if err != nil {
			t.Fatal(err)
		}
		defer in.Close()
		option := func(level, name, want int, what string) {
			if got := optionOf(t, in.(*net.TCPConn), level, name); want >= 0 && got != want {
				t.Errorf("%+v: %s is %d, want %d", row, what, got, want)
			}
		}
		option(unix.SOL_SOCKET, unix.SO_KEEPALIVE, row.keep, "SO_KEEPALIVE")
		option(unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, row.idleSeconds, "TCP_KEEPIDLE")
		option(unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(row.unacknowledged.Milliseconds()), "TCP_USER_TIMEOUT")
	}
}

func optionOf(t *testing.T, c *net.TCPConn, level, name int) (value int) {
	t.Helper()
	rc, err := c.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	if e := rc.Control(func(fd uintptr) { value, err = unix.GetsockoptInt(int(fd), level, name) }); e != nil || err != nil {
		t.Fatal(e, err)
	}
	return value
}
