package ua

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"time"

	"github.com/sallyport-sip/sallyport/sip"
	"github.com/sallyport-sip/sallyport/sip/transaction"
	"github.com/sallyport-sip/sallyport/sip/transport"
)

const (
	// largest is the largest request that goes by UDP as a matter of course, in bytes
	// (RFC 3261 §18.1.1).
	largest = 1300
	// largeDial is how long a large request waits for TCP before it goes by UDP after
	// all.
	largeDial = 2 * time.Second
	// largeMemory is for how long an address that took no TCP is not tried again.
	largeMemory = 10 * time.Minute
	// maxWithoutTCP bounds how many such addresses are remembered.
	maxWithoutTCP = 1024
)

// withoutTCP are addresses that took no TCP, and until when that is believed.
type withoutTCP struct {
	mu    sync.Mutex
	until map[netip.AddrPort]time.Time // guarded by mu
}

func (w *withoutTCP) note(addr netip.AddrPort, now time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.until) >= maxWithoutTCP {
		clear(w.until)
	}
	if w.until == nil {
		w.until = make(map[netip.AddrPort]time.Time)
	}
	w.until[addr] = now.Add(largeMemory)
}

func (w *withoutTCP) has(addr netip.AddrPort, now time.Time) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return now.Before(w.until[addr])
}

// sender is whose request is launched. Owned by the shard.
type sender interface {
	ClientUser
	// left tells what was sent where. It comes once more when TCP was lost and the
	// request went by UDP.
	left(tx *ClientTx, f Flow, b []byte)
	// still says, after a wait, whether the request is to be sent yet.
	still(s *Shard) bool
}

// launch sends a request in a client transaction of its own, as Request does, but one
// that is too large for UDP by TCP to the same address and port: "If a request is
// within 200 bytes of the path MTU, or if it is larger than 1300 bytes and the path MTU
// is unknown, the request MUST be sent using an RFC 2914 congestion controlled
// transport protocol, such as TCP" (RFC 3261 §18.1.1). Without TCP it goes by UDP.
func (s *Shard) launch(f Flow, peer string, method sip.Method, branch, b []byte, user sender) {
	srv := s.server
	if len(b) <= largest || f.Conn.Transport() != transport.UDP || srv.LargeOverUDP || srv.withoutTCP.has(f.Addr, s.now) {
		user.left(s.Request(f, method, branch, b, user), f, b)
		return
	}
	l := &launched{sender: user, udp: f, method: method, branch: branch, bytes: b}
	cfg := transport.DialConfig{Key: transport.Key{Transport: transport.TCP, Remote: f.Addr, Peer: peer}, Timeout: largeDial}
	if local := f.Conn.Info().Local.Addr(); !local.IsUnspecified() {
		cfg.Local = netip.AddrPortFrom(local, 0) // the address by which the other side knows us
	}
	if c := srv.endpoint.Lookup(cfg.Key); c != nil {
		l.byTCP(s, Flow{c, f.Addr})
		return
	}
	started := s.Go(func() func(*Shard) {
		// The endpoint's own time limits and Close end it.
		c, err := srv.endpoint.Dial(context.Background(), cfg)
		return func(s *Shard) {
			switch {
			case !user.still(s):
			case err != nil:
				srv.withoutTCP.note(f.Addr, s.now)
				l.byUDP(s)
			default:
				l.byTCP(s, Flow{c, f.Addr})
			}
		}
	})
	if !started {
		l.byUDP(s)
	}
}

// launched is a request that is too large for UDP. Owned by the shard.
type launched struct {
	sender
	udp           Flow
	method        sip.Method
	branch, bytes []byte // as it would go by UDP
}

func (l *launched) byUDP(s *Shard) {
	l.left(s.Request(l.udp, l.method, l.branch, l.bytes, l.sender), l.udp, l.bytes)
}

func (l *launched) byTCP(s *Shard, f Flow) {
	b := s.server.viaOver(l.bytes, f)
	l.left(s.Request(f, l.method, l.branch, b, l), f, b)
}

// ClientDone makes it a ClientUser: a request whose TCP connection went before any
// response came goes by UDP. "If this attempt … results in … a TCP reset, the element
// SHOULD retry the request, using UDP" (RFC 3261 §18.1.1).
func (l *launched) ClientDone(s *Shard, tx *ClientTx, err error) {
	if tx.heard || !errors.Is(err, transaction.ErrTransport) {
		l.sender.ClientDone(s, tx, err)
		return
	}
	s.server.withoutTCP.note(l.udp.Addr, s.now)
	if l.still(s) {
		l.byUDP(s)
	}
}

// viaOver returns a request of ours with its topmost Via, which via wrote, for another
// flow. The branch stays: what arrives twice is a retransmission.
func (srv *Server) viaOver(b []byte, f Flow) []byte {
	const via = "\r\nVia: "
	head, rest, found := bytes.Cut(b, []byte(via))
	at := bytes.IndexByte(rest, ';')
	if !found || at < 0 {
		panic(fmt.Sprintf("ua: a request of ours has no Via of ours: %.200q", b))
	}
	out := append(make([]byte, 0, len(b)+64), head...)
	out = append(out, via+"SIP/2.0/"+f.Conn.Transport().Via()+" "+srv.place(f)...)
	return append(out, rest[at:]...)
}
