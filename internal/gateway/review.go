package gateway

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"

	"github.com/sallyport-sip/sallyport/internal/peer"
	"github.com/sallyport-sip/sallyport/internal/trust"
	"github.com/sallyport-sip/sallyport/sip/transport"
)

// review judges the live connections by a new configuration. Nothing is closed
// under a call: a connection that passes goes on under the new policy, one that
// fails serves the dialogs that live on it. It returns all that fail.
func (g *Gateway) review(before, now *snapshot) []Failing {
	refused := failures{}
	var retired []*transport.Conn
	for c := range g.server.Endpoint().Review() {
		why := g.judge(c, before, now)
		if why == nil {
			continue
		}
		refused[c.ID()] = why
		if !c.Retired() {
			g.log.Warn("connection only serves the calls it has: the new configuration would refuse it",
				append([]any{"connection", c.ID(), "peer", c.Identity().Peer, "cause", why}, remedyOf(why)...)...)
			g.server.Endpoint().Retire(c)
			retired = append(retired, c)
		}
	}
	g.judged.Store(&refused)
	for c := range g.server.Endpoint().Conns() {
		g.tend(c)
		if c.Info().Inbound {
			g.reviewAlias(c, now)
		}
	}
	g.letGo(retired)
	return g.Failing()
}

// judge says why a connection may begin nothing new, nil when it may.
func (g *Gateway) judge(c *transport.Conn, before, now *snapshot) error {
	name := c.Identity().Peer
	if name != "" && now.peers.Lookup(name) == nil {
		return errors.New("the peer is gone")
	}
	if c.Info().Inbound {
		return g.judgeInbound(c, name, before, now)
	}
	key := c.Key()
	if !c.Transport().Secure() {
		if !sameWay(before.peers.Lookup(name), now.peers.Lookup(name)) {
			return errors.New("the peer is reached or recognised in another way now")
		}
		return nil
	}
	if key.Policy == now.trust.Fingerprint(name) && !c.Retired() {
		return nil
	}
	if p := now.peers.Lookup(name); key.Identity != p.Identity {
		return fmt.Errorf("it shows our identity %q, and the peer now gets %q", key.Identity, p.Identity)
	}
	if now.trust.ClientConfig(name) == nil {
		return errors.New("the peer is not called over TLS any more")
	}
	if _, err := now.trust.ReviewConn(name, c.TLS(), trust.Server); err != nil {
		return err
	}
	key.Policy = now.trust.Fingerprint(name)
	g.server.Endpoint().Rekey(c, key)
	return nil
}

// judgeInbound finds out again who has called us. Somebody unknown may turn out
// to be a peer that was not in the file before.
func (g *Gateway) judgeInbound(c *transport.Conn, name string, before, now *snapshot) error {
	if name != "" && !c.Retired() && sameWay(before.peers.Lookup(name), now.peers.Lookup(name)) &&
		before.trust.Fingerprint(name) == now.trust.Fingerprint(name) && before.sameListener(now, c) {
		return nil
	}
	p, id, err := now.recognise(c.Info(), c.TLS(), now.trust.ReviewConn)
	if l := now.listener(c.Info().Listener); err == nil && c.TLS() != nil && l != nil && l.Listen.Transport.Secure() {
		err = now.trust.Admits(l.Name, c.TLS())
	}
	switch {
	case err == nil && name != "" && p.Name != name:
		return fmt.Errorf("it would be peer %q", p.Name)
	case err == nil && g.server.Endpoint().Recognise(c, id):
		g.server.Endpoint().Rekey(c, transport.Key{})
		if name == "" {
			g.log.Info("connection of a stranger is a peer's now", "connection", c.ID(), "peer", p.Name)
		}
	case err != nil && name != "":
		return err
	}
	return nil
}

// sameListener says whether the listener that a connection came to judges
// certificates as before. One that is gone judges nothing any more.
func (snap *snapshot) sameListener(now *snapshot, c *transport.Conn) bool {
	name := c.Info().Listener
	return now.listener(name) == nil || snap.trust.ListenerFingerprint(name) == now.trust.ListenerFingerprint(name)
}

// verifier judges the connection of a peer in a role.
type verifier = func(peer string, st *tls.ConnectionState, as trust.Role) (trust.Verified, error)

// recognise says who has made an inbound connection: by the trust, the names and
// the policy of the peers, each its own. st is nil without TLS; verify is VerifyConn
// or ReviewConn of the trust.
func (snap *snapshot) recognise(info transport.ConnInfo, st *tls.ConnectionState, verify verifier) (*peer.Peer, transport.Identity, error) {
	origin := peer.Origin{Transport: info.Transport, Source: info.Remote, Listener: info.Listener}
	if st == nil {
		return snap.peers.Identify(origin, nil, nil)
	}
	return snap.peers.Identify(origin, st.PeerCertificates, func(p *peer.Peer, _ []*x509.Certificate) (transport.Identity, error) {
		verified, err := verify(p.Name, st, trust.Client)
		return provenBy(p.Name, verified), err
	})
}
