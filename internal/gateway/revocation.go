package gateway

import (
	"crypto/tls"
	"errors"
	"maps"
	"time"

	"github.com/sallyport-sip/sallyport/internal/trust"
	"github.com/sallyport-sip/sallyport/sip/transport"
)

// askAgainEvery is how often the certificates of live connections are asked about.
// Answers of responders that nobody wants to know are not renewed for more than a
// day.
const askAgainEvery = time.Hour

// checkRevocation starts what finds out about revoked certificates while the
// gateway runs: those of peers, and our own.
func (g *Gateway) checkRevocation() {
	g.work.Go(func() { g.checker.Run(g.stopping) })
	g.work.Go(g.keepStaples)
	g.work.Go(func() {
		tick := time.NewTicker(askAgainEvery)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				g.reviewRevoked()
			case <-g.stopping.Done():
				return
			}
		}
	})
}

// RespondersAsked returns how many OCSP responders were asked, by what they said:
// good, revoked, unknown, or failed.
func (g *Gateway) RespondersAsked() map[string]uint64 { return g.checker.Counts() }

// reviewRevoked lets connections of peers whose certificate was revoked only serve
// the calls that live on them. One of which nothing is known any more is left
// alone: it was verified when it came up.
func (g *Gateway) reviewRevoked() {
	g.reloading.Lock()
	defer g.reloading.Unlock()
	if g.closing.Load() {
		return
	}
	snap := g.snapshot.Load()
	refused := failures{}
	maps.Copy(refused, g.failures())
	var retired []*transport.Conn
	for c := range g.server.Endpoint().Review() {
		st := c.TLS()
		if st == nil || len(st.PeerCertificates) == 0 || c.Retired() {
			continue
		}
		refusal, ok := errors.AsType[*trust.Refusal](snap.reviewConn(c, st))
		if !ok || refusal.Code != trust.Revoked {
			continue
		}
		g.log.Warn("connection only serves the calls it has: the certificate of the peer was revoked",
			"connection", c.ID(), "peer", c.Identity().Peer, "cause", refusal.Reason, "remedy", refusal.Remedy)
		g.server.Endpoint().Retire(c)
		refused[c.ID()] = refusal
		retired = append(retired, c)
	}
	g.judged.Store(&refused)
	g.letGo(retired)
}

// reviewConn judges a live connection by the policies under which it came up.
func (snap *snapshot) reviewConn(c *transport.Conn, st *tls.ConnectionState) error {
	role := trust.Server
	if c.Info().Inbound {
		role = trust.Client
		if snap.listener(c.Info().Listener) != nil {
			if err := snap.trust.Admits(c.Info().Listener, st); err != nil {
				return err
			}
		}
	}
	name := c.Identity().Peer
	if name == "" {
		return nil
	}
	_, err := snap.trustOf(name).ReviewConn(name, st, role)
	return err
}
