package gateway

import (
	"bytes"
	"context"
	"fmt"
	"net/netip"
	"time"

	"github.com/sallyport-sip/sallyport/internal/config"
	"github.com/sallyport-sip/sallyport/internal/peer"
	"github.com/sallyport-sip/sallyport/sip/transport"
	"github.com/sallyport-sip/sallyport/sip/ua"
)

const (
	// largeDial is how long a request waits for TCP before it goes by UDP after all.
	largeDial = 2 * time.Second
	// largeMemory is for how long a peer that took no TCP is not tried again.
	largeMemory = 10 * time.Minute
)

// Fit makes the gateway a b2bua.Ways: RFC 3261 §18.1.1, "If a request is within
// 200 bytes of the path MTU, or if it is larger than 1300 bytes and the path MTU is
// unknown, the request MUST be sent using an RFC 2914 congestion controlled
// transport protocol, such as TCP."
func (g *Gateway) Fit(s *ua.Shard, p *peer.Peer, flow ua.Flow, b []byte, done func(*ua.Shard, ua.Flow, []byte)) {
	tcp := &p.State.LargeOverTCP
	if !peer.TooLarge(flow, b) || p.Connection.LargeRequests == config.LargeOverUDP {
		done(s, flow, b)
		return
	}
	if !tcp.Worth(s.Now()) {
		tcp.Spared.Add(1)
		done(s, flow, b)
		return
	}
	cfg := g.largeConfig(p, flow)
	over := func(s *ua.Shard, c *transport.Conn) {
		tcp.Taken.Add(1)
		done(s, ua.Flow{Conn: c, Addr: flow.Addr}, g.overTCP(p, b))
	}
	if c := g.server.Endpoint().Lookup(cfg.Key); c != nil {
		over(s, c)
		return
	}
	started := s.Go(func() func(*ua.Shard) {
		// The endpoint's own time limits and Close end it.
		c, err := g.server.Endpoint().Dial(context.Background(), cfg)
		return func(s *ua.Shard) {
			if err != nil {
				g.log.Warn("request too large for UDP goes by UDP: the peer takes no TCP", "peer", p.Name, "bytes", len(b), "cause", err)
				tcp.Fail(s.Now(), largeMemory)
				done(s, flow, b)
				return
			}
			over(s, c)
		}
	})
	if !started {
		done(s, flow, b)
	}
}

// Unfit makes the gateway a b2bua.Ways: a request that Fit gave a TCP connection
// lost it before any response came. "If this attempt … results in … a TCP reset, the
// element SHOULD retry the request, using UDP" (RFC 3261 §18.1.1).
func (g *Gateway) Unfit(s *ua.Shard, p *peer.Peer, cause error) {
	g.log.Warn("request too large for UDP goes by UDP: its TCP connection was lost", "peer", p.Name, "cause", cause)
	p.State.LargeOverTCP.Fail(s.Now(), largeMemory)
}

// largeConfig is the connection for large requests to a place on UDP.
func (g *Gateway) largeConfig(p *peer.Peer, flow ua.Flow) transport.DialConfig {
	cfg := transport.DialConfig{
		Key:     transport.Key{Transport: transport.TCP, Remote: flow.Addr, Peer: p.Name},
		Timeout: largeDial,
	}
	if local := flow.Conn.Info().Local.Addr(); !local.IsUnspecified() {
		cfg.Local = netip.AddrPortFrom(local, 0) // the address by which the peer knows us
	}
	return cfg
}

// overTCP rewrites the topmost Via, which Place.Via wrote for UDP. The sent-by is
// that of a TCP listener beside the UDP one, if there is one; the response comes
// back on the connection in any case.
func (g *Gateway) overTCP(p *peer.Peer, b []byte) []byte {
	const was, now = "\r\nVia: SIP/2.0/UDP ", "\r\nVia: SIP/2.0/TCP "
	head, rest, found := bytes.Cut(b, []byte(was))
	at := bytes.IndexByte(rest, ';')
	if !found || at < 0 {
		panic(fmt.Sprintf("gateway: a request of ours has no Via of ours: %.200q", b))
	}
	sentBy := rest[:at]
	if place := g.besides(p.Listener); place != "" {
		sentBy = []byte(place)
	}
	out := make([]byte, 0, len(b)+len(sentBy)-at)
	out = append(append(append(out, head...), now...), sentBy...)
	return append(out, rest[at:]...)
}

// besides is what a TCP listener advertises that has the same address as a UDP
// one, empty when there is none.
func (g *Gateway) besides(listener string) string {
	snap := g.snapshot.Load()
	udp := snap.listener(listener)
	if udp == nil {
		return ""
	}
	for i := range snap.config.Listeners {
		l := &snap.config.Listeners[i]
		if l.Listen.Transport == config.TCP && l.Listen.AddrPort.Addr() == udp.Listen.AddrPort.Addr() {
			return snap.places[l.Name].HostPort
		}
	}
	return ""
}
