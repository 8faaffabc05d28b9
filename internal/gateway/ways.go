package gateway

import (
	"context"
	"fmt"
	"net/netip"

	"github.com/sallyport-sip/sallyport/internal/peer"
	"github.com/sallyport-sip/sallyport/sip/resolve"
	"github.com/sallyport-sip/sallyport/sip/transport"
	"github.com/sallyport-sip/sallyport/sip/ua"
)

// Connect makes the gateway a b2bua.Ways: it finds or dials a connection to a
// peer at its configured address and under its policy. A peer whose address is
// known and whose connection is there costs no goroutine.
func (g *Gateway) Connect(s *ua.Shard, p *peer.Peer, done peer.Connected) {
	if p.URI.Unreachable() {
		flow, err := g.byItself(p)
		done(s, flow, nil, err)
		return
	}
	port := p.URI.Port
	if port == 0 {
		port = p.Transport.DefaultPort()
	}
	if to, ok := resolve.Literal(p.URI.Host, port); ok {
		cfg := g.dialConfig(p, to)
		if !p.Transport.Reliable() { // a socket that is open already
			c, err := g.server.Endpoint().Dial(context.Background(), cfg)
			done(s, ua.Flow{Conn: c, Addr: to}, nil, err)
			return
		}
		if c := g.server.Endpoint().Lookup(cfg.Key); c != nil {
			done(s, ua.Flow{Conn: c, Addr: to}, nil, nil)
			return
		}
	}
	started := s.Go(func() func(*ua.Shard) {
		flow, err := g.dial(p, port)
		return func(s *ua.Shard) { done(s, flow, nil, err) }
	})
	if !started {
		done(s, ua.Flow{}, nil, fmt.Errorf("peer %s: %w", p.Name, peer.ErrBusy))
	}
}

// byItself is the newest connection that a peer has opened who cannot be reached
// by another: a browser (RFC 7118 §B.1).
func (g *Gateway) byItself(p *peer.Peer) (ua.Flow, error) {
	for _, c := range g.server.Endpoint().PeerConns(p.Name) {
		if c.Info().Inbound && (c.Transport().Secure() || !p.Transport.Secure()) {
			return ua.Flow{Conn: c, Addr: c.Info().Remote}, nil
		}
	}
	return ua.Flow{}, fmt.Errorf("peer %s: it is not connected, and nobody can connect to %s (RFC 7118 §B.1)", p.Name, p.URI.Host)
}

// dial tries the peer's addresses in order. It blocks.
func (g *Gateway) dial(p *peer.Peer, port uint16) (flow ua.Flow, err error) {
	ctx := context.Background() // the endpoint's own time limits and Close end it
	query := resolve.Query{Host: p.URI.Host, Port: port, Transport: p.Transport.String()}
	for at, e := range g.options.Resolver.Targets(ctx, query) {
		if e != nil {
			return flow, fmt.Errorf("peer %s: %w", p.Name, e)
		}
		to := at.Addr
		c, e := g.server.Endpoint().Dial(ctx, g.dialConfig(p, to))
		if e == nil {
			return ua.Flow{Conn: c, Addr: to}, nil
		}
		err = fmt.Errorf("peer %s: %w", p.Name, e)
	}
	return flow, err
}

// dialConfig is how a peer is reached at an address: what makes two connections
// the same one is all in its key.
func (g *Gateway) dialConfig(p *peer.Peer, to netip.AddrPort) transport.DialConfig {
	snap := g.snapshot.Load()
	cfg := transport.DialConfig{Listener: p.Listener, Key: transport.Key{Transport: p.Transport, Remote: to, Peer: p.Name}}
	if l := snap.listener(p.Listener); l != nil && p.Transport.Reliable() {
		if local := l.Listen.AddrPort.Addr(); !local.IsUnspecified() && local.Is4() == to.Addr().Is4() {
			cfg.Local = netip.AddrPortFrom(local, 0)
		}
	}
	cfg.Host, cfg.Path = p.URI.Host, p.Path
	if p.Transport.Secure() {
		set := snap.trustOf(p.Name)
		cfg.TLS = set.ClientConfig(p.Name)
		cfg.Identity, cfg.Policy = p.Identity, set.Fingerprint(p.Name)
	}
	return cfg
}

// reconnect makes a connection for a response whose own has gone.
func (g *Gateway) reconnect(s *ua.Shard, name string, deliver func(*ua.Shard, *transport.Conn)) {
	snap := g.snapshot.Load()
	p := snap.peers.Lookup(name)
	if f := snap.lookupFormer(name); p == nil && f != nil {
		p = f.Peer
	}
	if p == nil || !p.Transport.Reliable() {
		deliver(s, nil)
		return
	}
	g.Connect(s, p, func(s *ua.Shard, flow ua.Flow, _ peer.Next, err error) {
		if err != nil {
			g.log.Warn("response lost: its connection has gone and the peer cannot be reached", "peer", name, "cause", err)
			flow.Conn = nil
		}
		deliver(s, flow.Conn)
	})
}

// Place makes the gateway a b2bua.Ways: the advertised address of the listener
// that a peer called in on, or for a connection of ours that of the listener
// which the peer's requests carry.
func (g *Gateway) Place(p *peer.Peer, c *transport.Conn) peer.Place {
	name := p.Listener
	if c != nil && c.Info().Listener != "" {
		name = c.Info().Listener
	}
	place := peer.Place{Transport: p.Transport}
	if c != nil {
		place.Transport = c.Transport()
	}
	places := g.snapshot.Load().places
	if at := places[name]; at.Host != "" {
		place.Host, place.HostPort = at.Host, at.HostPort
	}
	if c != nil && c.Transport().Reliable() && !c.Info().Inbound {
		m := c.Manner()
		place.Alias, place.Keep = m.Alias, m.Ping > 0 && !c.Promised()
	}
	return place
}
