package gateway

import (
	"context"
	"fmt"
	"net/netip"

	"github.com/sallyport-sip/sallyport/internal/config"
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
		g.connectTo(s, p, p.Transport, to, done)
		return
	}
	g.walk(p, 0).connect(s, done)
}

// Return makes the gateway a b2bua.Ways: it connects to a peer where a flow of
// ours led, so that what goes on there finds the same server, by the same
// transport. next leads on to its other addresses. A flow that the peer began says
// nothing about how to reach it.
func (g *Gateway) Return(s *ua.Shard, p *peer.Peer, was ua.Flow, done peer.Connected) {
	if _, literal := resolve.Literal(p.URI.Host, 0); literal || was.Conn.Info().Inbound || p.URI.Unreachable() {
		g.Connect(s, p, done)
		return
	}
	w := g.walk(p, was.Conn.Transport())
	w.hint = was.Addr
	w.connect(s, done)
}

// connectTo connects to a peer at an address that is written in its URI.
func (g *Gateway) connectTo(s *ua.Shard, p *peer.Peer, t transport.Transport, to netip.AddrPort, done peer.Connected) {
	cfg := g.dialConfig(p, t, to)
	if c, err := g.standing(cfg); c != nil || err != nil {
		done(s, ua.Flow{Conn: c, Addr: to}, nil, err)
		return
	}
	started := s.Go(func() func(*ua.Shard) {
		c, err := g.server.Endpoint().Dial(context.Background(), cfg) // the endpoint's own time limits and Close end it
		if err != nil {
			err = fmt.Errorf("peer %s: %w", p.Name, err)
		}
		return func(s *ua.Shard) { done(s, ua.Flow{Conn: c, Addr: to}, nil, err) }
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

// standing returns a connection for which nobody has to wait: a socket that is
// open already, or a stream with an equal key. Without one it is nil.
func (g *Gateway) standing(cfg transport.DialConfig) (*transport.Conn, error) {
	if !cfg.Key.Transport.Reliable() {
		return g.server.Endpoint().Dial(context.Background(), cfg)
	}
	return g.server.Endpoint().Lookup(cfg.Key), nil
}

// dialConfig is how a peer is reached at an address.
func (g *Gateway) dialConfig(p *peer.Peer, t transport.Transport, to netip.AddrPort) transport.DialConfig {
	return g.snapshot.Load().dialConfig(p, t, to)
}

// dialConfig is how a peer is reached at an address: what makes two connections
// the same one is all in its key. The names that a certificate is compared with
// are the peer's, whatever the DNS calls the host (RFC 5922 §7.3).
func (snap *snapshot) dialConfig(p *peer.Peer, t transport.Transport, to netip.AddrPort) transport.DialConfig {
	name := p.ListenerOn(t)
	cfg := transport.DialConfig{Listener: name, Key: transport.Key{Transport: t, Remote: to, Peer: p.Name}}
	if l := snap.listener(name); l != nil && t.Reliable() {
		if local := l.Listen.AddrPort.Addr(); !local.IsUnspecified() && local.Is4() == to.Addr().Is4() {
			cfg.Local = netip.AddrPortFrom(local, 0)
		}
	}
	cfg.Host, cfg.Path = p.URI.Host, p.Path
	if t.Secure() {
		set := snap.trustOf(p.Name)
		cfg.TLS = set.ClientConfig(p.Name)
		cfg.Identity, cfg.Policy = p.Identity, set.Fingerprint(p.Name)
	}
	return cfg
}

// query is what a peer's URI asks of the DNS. t is 0, or the transport that it
// has to be.
func (snap *snapshot) query(p *peer.Peer, t transport.Transport) resolve.Query {
	q := resolve.Query{Host: p.URI.Host, Port: p.URI.Port, Secure: p.URI.Scheme == "sips", Family: familyOf(snap.config.Resolver.Family)}
	for _, c := range p.Choices {
		if t == 0 || c.Transport == t {
			q.Supported = append(q.Supported, c.Transport.String())
		}
	}
	if len(q.Supported) == 0 {
		q.Supported = []string{p.Transport.String()}
	}
	if !p.URI.Open || t != 0 {
		q.Transport = q.Supported[0]
	}
	if l := snap.listener(p.Listener); l != nil && q.Family == resolve.Both && len(p.Choices) == 1 && !p.Transport.Reliable() {
		switch addr := l.Listen.AddrPort.Addr(); { // whose socket sends
		case addr.Is4():
			q.Family = resolve.IPv4
		case addr.Is6() && !addr.IsUnspecified():
			q.Family = resolve.IPv6
		}
	}
	return q
}

func familyOf(f config.Family) resolve.Family {
	return map[config.Family]resolve.Family{config.FamilyIPv4: resolve.IPv4, config.FamilyIPv6: resolve.IPv6}[f]
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
	g.Connect(s, p, peer.AnyAddress(func(s *ua.Shard, flow ua.Flow, _ peer.Next, err error) {
		if err != nil {
			g.log.Warn("response lost: its connection has gone and the peer cannot be reached", "peer", name, "cause", err)
			flow.Conn = nil
		}
		deliver(s, flow.Conn)
	}))
}

// Place makes the gateway a b2bua.Ways: the advertised address of the listener
// that a peer called in on, or for a connection of ours that of the listener
// which the peer's requests carry.
func (g *Gateway) Place(p *peer.Peer, c *transport.Conn) peer.Place {
	if c == nil {
		return g.PlaceOn(p, p.Transport)
	}
	place := g.PlaceOn(p, c.Transport())
	if name := c.Info().Listener; name != "" {
		place.Host, place.HostPort = "", ""
		if at := g.snapshot.Load().places[name]; at.Host != "" {
			place.Host, place.HostPort = at.Host, at.HostPort
		}
	}
	if c.Transport().Reliable() && !c.Info().Inbound {
		m := c.Manner()
		place.Alias, place.Keep = m.Alias, m.Ping > 0 && !c.Promised()
	}
	return place
}

// PlaceOn makes the gateway a b2bua.Ways: our address towards a peer on a
// connection of ours that is still to be made.
func (g *Gateway) PlaceOn(p *peer.Peer, t transport.Transport) peer.Place {
	place := peer.Place{Transport: t}
	if at := g.snapshot.Load().places[p.ListenerOn(t)]; at.Host != "" {
		place.Host, place.HostPort = at.Host, at.HostPort
	}
	return place
}
