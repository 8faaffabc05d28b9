package gateway

import (
	"context"
	"net"
	"net/netip"

	"github.com/sallyport-sip/sallyport/internal/config"
	"github.com/sallyport-sip/sallyport/internal/peer"
	"github.com/sallyport-sip/sallyport/internal/trust"
	"github.com/sallyport-sip/sallyport/sip/resolve"
	"github.com/sallyport-sip/sallyport/sip/transport"
)

// Reach says how the gateway of a configuration reaches its peers: for whoever
// tries that beside a gateway that runs. It opens nothing. It is immutable.
type Reach struct{ snap *snapshot }

// ReachOptions are what NewReach takes beside the configuration.
type ReachOptions struct {
	TLS trust.Options
	// DialDNS is that of Options.
	DialDNS func(ctx context.Context, network, address string) (net.Conn, error)
}

// NewReach compiles a configuration. Problems mean that no gateway would start
// with it; they are those of Check, without the data directory.
func NewReach(cfg *config.Config, o ReachOptions) (*Reach, []config.Problem) {
	snap, problems := build(cfg, o.TLS, nil)
	if len(problems) > 0 {
		return nil, problems
	}
	snap.resolver = newResolver(cfg)
	snap.resolver.Dial = o.DialDNS
	snap.places = make(map[string]peer.Place)
	for i := range cfg.Listeners {
		l := &cfg.Listeners[i]
		snap.places[l.Name] = placeOf(l, l.Listen.AddrPort)
	}
	return &Reach{snap}, nil
}

// Peer returns a peer by its name, nil when there is none.
func (r *Reach) Peer(name string) *peer.Peer { return r.snap.peers.Lookup(name) }

// Trust returns who we are and whom we believe.
func (r *Reach) Trust() *trust.Set { return r.snap.trust }

// Policy returns how TLS is spoken with a peer.
func (r *Reach) Policy(p *peer.Peer) config.Policy {
	for i := range r.snap.config.Peers {
		if c := &r.snap.config.Peers[i]; c.Name == p.Name {
			return r.snap.config.PolicyOf(c.Policy)
		}
	}
	return r.snap.config.PolicyOf("")
}

// Walk begins to look up the addresses of a peer; trace is told how that goes, and may
// be nil. change may correct what is asked, and may be nil.
func (r *Reach) Walk(p *peer.Peer, trace func(resolve.Event), change func(*resolve.Query)) *resolve.Walk {
	q := r.snap.query(p, 0)
	q.Trace = trace
	if change != nil {
		change(&q)
	}
	return r.snap.resolver.Walk(q)
}

// DialConfig is how a peer is reached at an address.
func (r *Reach) DialConfig(p *peer.Peer, t transport.Transport, to netip.AddrPort) transport.DialConfig {
	return r.snap.dialConfig(p, t, to)
}

// Place is how a peer reaches us, by the address that a listener advertises; it is
// empty where there is no listener.
func (r *Reach) Place(p *peer.Peer, t transport.Transport) peer.Place {
	place := r.snap.places[p.ListenerOn(t)]
	place.Transport = t
	return place
}

// ListenAddr is the address of the listener that our requests to a peer come from
// on a transport; not valid without a listener.
func (r *Reach) ListenAddr(p *peer.Peer, t transport.Transport) netip.Addr {
	if l := r.snap.listener(p.ListenerOn(t)); l != nil {
		return l.Listen.AddrPort.Addr()
	}
	return netip.Addr{}
}
