//go:build !linux || noraw

package transport

import "net"

// newSocket takes the ordinary path.
func newSocket(nc net.Conn, stats *Stats) socket { return &plainSocket{nc, stats} }

// newPacketSocket takes the ordinary path.
func newPacketSocket(pc net.PacketConn, stats *Stats) packetSocket {
	return newPlainPackets(pc, stats)
}
