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
