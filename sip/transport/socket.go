package transport

import (
	"net"
	"sync/atomic"
)

// socket is a stream's way to the kernel. One goroutine reads, one at a time
// writes.
type socket interface {
	// read waits until there is something and puts it into in. Where the platform
	// allows it, in has no buffer while it waits.
	read(in *inbox) (int, error)
	// try writes what the kernel takes at once; less than all without an error
	// means that it takes no more for now.
	try(b []byte) (int, error)
	// write waits until all is written or the write deadline passes.
	write(b []byte) error
	// direct says that try can write anything at all.
	direct() bool
}

// Stats counts since the endpoint began. Calls are system calls on the raw path
// and calls of net.Conn on the other.
type Stats struct {
	Reads, Writes     atomic.Uint64 // calls
	MessagesIn        atomic.Uint64
	MessagesOut       atomic.Uint64
	BytesIn, BytesOut atomic.Uint64 // of messages in clear
	Dropped           atomic.Uint64 // datagrams that could not be sent
	KeepAlives        atomic.Uint64 // CRLFs between messages, and datagrams of nothing but CRLF or zeros
	NotSIP            atomic.Uint64 // datagrams that are no SIP, such as STUN: they are dropped
	Pings             atomic.Uint64 // sent on streams
}

// plainSocket uses the ordinary calls of any net.Conn. Its writes may wait, so
// that they are left to a goroutine.
type plainSocket struct {
	nc    net.Conn
	stats *Stats
}

func (s *plainSocket) read(in *inbox) (int, error) {
	n, err := s.nc.Read(in.space())
	s.stats.Reads.Add(1)
	in.add(n)
	if n > 0 {
		return n, nil // an error shows again at the next read
	}
	return 0, err
}

func (s *plainSocket) try([]byte) (int, error) { return 0, nil }

func (s *plainSocket) write(b []byte) error {
	s.stats.Writes.Add(1)
	_, err := s.nc.Write(b)
	return err
}

func (s *plainSocket) direct() bool { return false }
