package gateway

import (
	"github.com/sallyport-sip/sallyport/internal/config"
	"github.com/sallyport-sip/sallyport/internal/peer"
	"github.com/sallyport-sip/sallyport/sip/transport"
)

// pongs translates what the file says of pings.
var pongs = map[config.Ping]transport.Pong{
	config.PingLearn:    transport.PongLearned,
	config.PingRequired: transport.PongRequired,
}

// tend has a connection kept as its peer's profile says; one of a stranger as any.
func (g *Gateway) tend(c *transport.Conn) {
	p := g.snapshot.Load().peers.Lookup(c.Identity().Peer)
	if p == nil {
		c.Keep(transport.DefaultManner())
		return
	}
	m := mannerOf(p)
	m.Alias = p.Connection.Alias.Offers() && !c.Info().Inbound && g.mutual(c)
	c.Keep(m)
}

func mannerOf(p *peer.Peer) transport.Manner {
	with := &p.Connection
	m := transport.Manner{KeepAlive: with.TCPKeepAlive.Duration, Unacknowledged: with.TCPUnacknowledged.Duration}
	if pong, ok := pongs[with.Ping]; ok {
		m.Ping, m.Pong = with.PingEvery.Duration, pong
	}
	return m
}

// mutual says whether both sides of a connection have proved who they are with a
// certificate.
func (g *Gateway) mutual(c *transport.Conn) bool {
	t := g.recorder.TLS(c)
	return t != nil && t.Mutual
}
