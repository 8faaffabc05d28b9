package transport

import (
	"net"
	"time"

	"golang.org/x/sys/unix"
)

// tune sets how TCP itself finds out that the other side is gone. A socket that
// does not take it is as good as one of which nothing was asked.
func tune(nc net.Conn, keepAlive, unacknowledged time.Duration) {
	tc, ok := nc.(*net.TCPConn)
	if !ok {
		return
	}
	_ = tc.SetKeepAliveConfig(keepAliveConfig(keepAlive))
	rc, err := tc.SyscallConn()
	if err != nil {
		return
	}
	_ = rc.Control(func(fd uintptr) {
		_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(unacknowledged.Milliseconds()))
	})
}
