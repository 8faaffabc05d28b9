package transport

import (
	"cmp"
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
	if rc, err := tc.SyscallConn(); err == nil {
		_ = rc.Control(func(fd uintptr) { _ = setUserTimeout(int(fd), unacknowledged) })
	}
}

func setUserTimeout(fd int, d time.Duration) error {
	return unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(d.Milliseconds()))
}

// tuneListener does the same for all that a listener will accept: on Linux they begin with what it has, and a
// connection is spared five system calls. It reports whether each option was set.
func tuneListener(ln net.Listener, keepAlive, unacknowledged time.Duration) bool {
	l, ok := ln.(*net.TCPListener)
	if !ok {
		return false
	}
	rc, err := l.SyscallConn()
	if err != nil {
		return false
	}
	k := keepAliveConfig(keepAlive)
	set := false
	err = rc.Control(func(fd uintptr) {
		set = setUserTimeout(int(fd), unacknowledged) == nil && setKeepAlive(int(fd), k) == nil
	})
	return err == nil && set
}

func setKeepAlive(fd int, k net.KeepAliveConfig) error {
	if !k.Enable {
		return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_KEEPALIVE, 0)
	}
	return cmp.Or(
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1),
		unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, seconds(k.Idle)),
		unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_KEEPINTVL, seconds(k.Interval)),
		unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_KEEPCNT, k.Count),
	)
}

// seconds rounds up: TCP counts in whole ones.
func seconds(d time.Duration) int { return int((d + time.Second - 1) / time.Second) }
