package gateway

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"

	"github.com/sallyport-sip/sallyport/internal/peer"
	"github.com/sallyport-sip/sallyport/internal/trust"
	"github.com/sallyport-sip/sallyport/sip/transport"
)

// alias lets a connection that a peer made to us carry our requests to it, when
// its request says so in the topmost Via and all is proved that a connection of
// our own would prove (RFC 5923 §8.2). It is judged once; a reload judges again.
func (g *Gateway) alias(packet *transport.Packet, p *peer.Peer) {
	c := packet.Conn
	if !c.Transport().Secure() || c.AliasJudged() || !packet.Msg.IsRequest() || packet.Err != nil || !p.Connection.Alias.Accepts() {
		return
	}
	via, err := packet.Msg.Via()
	if err != nil {
		return
	}
	if _, ok := via.Params.Get("alias"); !ok || !c.Info().Inbound {
		return
	}
	// "If the port number is omitted, a default port number of 5061 is to be used."
	port := via.Port
	if port == 0 {
		port = c.Transport().DefaultPort()
	}
	key, err := g.proveAlias(g.snapshot.Load(), c, p, port)
	if err != nil {
		g.log.Info("connection is not used for our requests, although the peer offers it", "connection", c.ID(), "peer", p.Name, "cause", err)
	} else {
		g.log.Info("connection of the peer's serves our requests too", "connection", c.ID(), "peer", p.Name, "place", key.Remote)
	}
	g.server.Endpoint().Alias(c, key)
}

// proveAlias returns the key of the connection that this one stands for: to the
// address that it came from and the port that the Via names, under the peer's
// policy of now. The certificate has to pass as it would on a connection of ours;
// so its names are those of the peer's, and a virtual server beside it, at the same
// address, is not taken for it (RFC 5923 §9.3).
func (g *Gateway) proveAlias(snap *snapshot, c *transport.Conn, p *peer.Peer, port uint16) (transport.Key, error) {
	info, st := c.Info(), c.TLS()
	switch {
	case st == nil || len(st.PeerCertificates) == 0:
		return transport.Key{}, errors.New("it brought no certificate")
	case p.Transport != info.Transport:
		return transport.Key{}, fmt.Errorf("the peer's uri is %v", p.Transport)
	case !sameCertificate(snap.trust.ListenerIdentity(info.Listener, st.ServerName), snap.trust.PeerIdentity(p.Name)):
		return transport.Key{}, errors.New("its listener shows another certificate than the peer gets from us")
	}
	if _, err := snap.trust.ReviewConn(p.Name, st, trust.Server); err != nil {
		return transport.Key{}, err
	}
	key := g.dialConfig(p, p.Transport, netip.AddrPortFrom(info.Remote.Addr(), port)).Key
	if local := key.Local.Addr(); local.IsValid() && local != info.Local.Addr() {
		return transport.Key{}, fmt.Errorf("it came to %v, and we call the peer from %v", info.Local.Addr(), local)
	}
	return key, nil
}

func sameCertificate(a, b *trust.Identity) bool {
	return a != nil && b != nil && bytes.Equal(a.Chain[0].Raw, b.Chain[0].Raw)
}

// reviewAlias judges again, by the configuration in force, what a connection of a
// peer's may be used for.
func (g *Gateway) reviewAlias(c *transport.Conn, now *snapshot) {
	old := c.Alias()
	if old == (transport.Key{}) {
		g.server.Endpoint().Forget(c)
		return
	}
	p := now.peers.Lookup(c.Identity().Peer)
	err := errors.New("the peer is gone, or its profile takes no connections of the peer's")
	var key transport.Key
	if p != nil && p.Connection.Alias.Accepts() {
		key, err = g.proveAlias(now, c, p, old.Remote.Port())
	}
	if err != nil {
		g.log.Info("connection is not used for our requests any more", "connection", c.ID(), "peer", c.Identity().Peer, "cause", err)
		g.server.Endpoint().Forget(c)
		return
	}
	g.server.Endpoint().Alias(c, key)
}
