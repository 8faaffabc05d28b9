package gateway

import (
	"fmt"
	"slices"

	"github.com/sallyport-sip/sallyport/internal/config"
	"github.com/sallyport-sip/sallyport/internal/events"
	"github.com/sallyport-sip/sallyport/internal/filter"
	"github.com/sallyport-sip/sallyport/internal/peer"
	"github.com/sallyport-sip/sallyport/internal/route"
	"github.com/sallyport-sip/sallyport/internal/ship"
	"github.com/sallyport-sip/sallyport/internal/trust"
	"github.com/sallyport-sip/sallyport/sip/resolve"
)

// snapshot is one configuration, compiled and immutable.
type snapshot struct {
	config    *config.Config
	peers     *peer.Table
	routes    *route.Table
	resolver  *resolve.Resolver
	trust     *trust.Set
	admin     Admin
	hooks     []events.Endpoint
	shipments []ship.Target
	places    map[string]peer.Place // by listener, also of those that a reload closed; nil until they are open
	former    []former
	inlets    map[string]inlet // by listener
	lenient   map[string]*leniency
	told      *tellings
}

// Check returns everything that is wrong with a configuration whose shape has
// been judged by config.Load: files, peers that could be taken for one another,
// routes that can never work, a data directory that cannot be. Start does all
// that and opens sockets.
func Check(cfg *config.Config) []config.Problem { return Options{}.Check(cfg) }

// Check is the function Check with options: TLS says where passwords in the
// environment come from.
func (o Options) Check(cfg *config.Config) []config.Problem {
	_, problems := build(cfg, o.TLS, nil)
	problems = append(problems, checkData(cfg)...)
	config.SortProblems(problems)
	return problems
}

// build compiles a configuration, or says all that is wrong with it. before is
// the one that it follows, nil for the first.
func build(cfg *config.Config, o trust.Options, before *snapshot) (*snapshot, []config.Problem) {
	if before != nil {
		o.Before = before.trust
	}
	set, problems := o.Load(cfg)
	problems = append(problems, peer.Check(cfg)...)
	problems = append(problems, route.Check(cfg)...)
	problems = append(problems, checkPlaces(cfg)...)
	problems = append(problems, checkHEP(cfg)...)
	problems = append(problems, filter.Check(cfg)...)
	admin, bad := loadAdmin(cfg, set)
	problems = append(problems, bad...)
	hooks, bad := loadWebhooks(cfg)
	problems = append(problems, bad...)
	shipments, bad := loadShipments(cfg, set)
	problems = append(problems, bad...)
	if len(problems) > 0 {
		config.SortProblems(problems)
		return nil, problems
	}
	snap := &snapshot{config: cfg, trust: set, admin: admin, hooks: hooks, shipments: shipments, told: new(tellings)}
	if before == nil {
		snap.peers = peer.Compile(cfg, nil)
		snap.inlets = newInlets(cfg, nil)
		snap.lenient = newLeniencies(cfg, nil)
	} else {
		snap.peers = peer.Compile(cfg, before.peers)
		snap.former = formerPeers(before, snap.peers)
		snap.inlets = newInlets(cfg, before.inlets)
		snap.lenient = newLeniencies(cfg, before.lenient)
	}
	snap.routes = route.Compile(cfg, snap.peers)
	return snap, nil
}

// resolverOf returns what looks up names under a configuration. It stays the
// same, with what it knows, while the section does.
func (g *Gateway) resolverOf(cfg *config.Config, before *snapshot) *resolve.Resolver {
	now := newResolver(cfg)
	if before != nil {
		r := before.resolver
		if slices.Equal(r.Servers, now.Servers) && r.Timeout == now.Timeout && r.Attempts == now.Attempts {
			return r
		}
	}
	now.Dial, now.Counts = g.options.DialDNS, &g.lookups
	return now
}

// newResolver is what a configuration says of looking up names.
func newResolver(cfg *config.Config) *resolve.Resolver {
	d := &cfg.Resolver
	r := &resolve.Resolver{Timeout: d.Timeout.Duration, Attempts: int(d.Attempts)}
	for _, s := range d.Servers {
		r.Servers = append(r.Servers, s.AddrPort)
	}
	return r
}

// checkPlaces finds peers to which we could not say where we are reached: Via
// and Contact carry the address of a listener, never that of a connection.
func checkPlaces(cfg *config.Config) []config.Problem {
	unread := func(l config.Listener) bool { return l.Listen.Transport == "" }
	if len(cfg.Listeners) == 0 || slices.ContainsFunc(cfg.Listeners, unread) {
		return nil // that is reported, and they may be the ones
	}
	var problems []config.Problem
	for i := range cfg.Peers {
		p := &cfg.Peers[i]
		if p.URI.Transport == "" || p.Listener != "" || cfg.ListenerFor(p) != nil {
			continue
		}
		problems = append(problems, cfg.Problem(p.At("uri"),
			fmt.Sprintf("peer %q: there is no listener on %s", p.Name, p.URI.Transport),
			"our requests to the peer say where it reaches us, which is a listener's address",
			"add a listener on "+string(p.URI.Transport)))
	}
	return problems
}
