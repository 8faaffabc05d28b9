//go:build !linux

package transport

import (
	"net"
	"time"
)

// tune sets how TCP itself finds out that the other side is gone, as far as every
// system has it.
func tune(nc net.Conn, keepAlive, _ time.Duration) {
	if tc, ok := nc.(*net.TCPConn); ok {
		_ = tc.SetKeepAliveConfig(keepAliveConfig(keepAlive))
	}
}

// tuneListener does nothing: not every system has connections begin with what their listener has.
func tuneListener(net.Listener, time.Duration, time.Duration) bool { return false }
