package resolve

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"
)

// Bounds of one walk, whatever name servers say.
const (
	maxTargets = 64 // addresses
	maxHosts   = 32 // hosts whose addresses are asked for
)

// errSlow ends look-ups that take longer than Resolver.Limit together.
var errSlow = errors.New("the name servers take too long")

// Walk gives the targets of one query one by one. It has no goroutine and needs
// no end; one goroutine uses it at a time. The order, where it is drawn, is drawn
// once.
type Walk struct {
	r     *Resolver
	query Query

	planned  bool
	protocol protocol
	hosts    []place // not looked up yet
	found    []Target
	seen     map[netip.AddrPort]bool // that were in found
	late     []lateFamily            // asked again when all else has failed
	given    int
	asked    int // hosts
	spent    time.Duration
	cached   bool  // nothing may be asked
	err      error // the first one
	over     error // why the walk cannot go on; nil while it can
}

// place is a host with a port.
type place struct {
	host string
	port uint16
}

// lateFamily is a host of which one family was not waited for.
type lateFamily struct {
	place
	kind uint16
}

// Walk begins to find the targets of a query. It does nothing yet.
func (r *Resolver) Walk(q Query) *Walk {
	q.Host = plain(q.Host)
	if q.Name == "" {
		q.Name = q.Host
	}
	if q.Family == Both {
		q.Family = r.Family
	}
	return &Walk{r: r, query: q}
}

// Next returns the next target. The error is ErrEnd after the last one; when
// there was none at all it says why.
func (w *Walk) Next(ctx context.Context) (Target, error) {
	for {
		if w.over != nil {
			return Target{}, w.over
		}
		if err := w.plan(ctx); err != nil {
			return Target{}, w.failed(err)
		}
		if len(w.found) > 0 && w.given < maxTargets {
			to := w.found[0]
			w.found = w.found[1:]
			w.given++
			return to, nil
		}
		if w.given == maxTargets || len(w.hosts) == 0 && len(w.late) == 0 || w.asked == maxHosts {
			return Target{}, w.end()
		}
		if err := w.find(ctx); err != nil {
			return Target{}, w.failed(err)
		}
	}
}

// Known returns the next target when nothing has to be asked for that: it never
// waits. Otherwise the walk stays where it was.
func (w *Walk) Known() (Target, bool) {
	w.cached = true
	to, err := w.Next(context.Background())
	w.cached = false
	return to, err == nil
}

// More says whether there may be another target. It looks nothing up, so what
// it hopes for may turn out not to exist.
func (w *Walk) More() bool {
	return w.over == nil && w.given < maxTargets && (len(w.found) > 0 || w.asked < maxHosts && len(w.hosts)+len(w.late) > 0 || !w.planned)
}

// failed is the error of a walk that cannot go on.
func (w *Walk) failed(err error) error {
	failed := fmt.Errorf("resolve %s: %w", w.query.Host, err)
	if !waits(err) {
		w.over = failed
	}
	return failed
}

// end is the error after the last target.
func (w *Walk) end() error {
	if w.given > 0 {
		return ErrEnd
	}
	if w.err == nil {
		w.err = ErrNoName
	}
	return w.failed(w.err)
}

// plan chooses the transport and finds the hosts, once (RFC 3263 §4.1, §4.2).
func (w *Walk) plan(ctx context.Context) error {
	if w.planned {
		return nil
	}
	accepted, err := w.query.accepted()
	if err != nil {
		return err
	}
	q := &w.query
	w.protocol = q.fallback(accepted)
	if addr, ok := Literal(q.Host, w.port()); ok {
		w.planned = true
		w.found = []Target{{Transport: w.protocol.name, Addr: addr, Name: q.Name}}
		w.chose("the address is written: nothing is looked up, %s goes to port %d", w.protocol.name, w.port())
		return nil
	}
	if err := checkName(q.Host); err != nil {
		return err
	}
	if q.Port != 0 || w.r.system.host(q.Host) != nil {
		w.hosts, w.planned = []place{{q.Host, w.port()}}, true
		if q.Port != 0 {
			w.chose("a port is written, so neither NAPTR nor SRV is asked for (RFC 3263 §4.2): %s on port %d", w.protocol.name, q.Port)
		} else {
			w.chose("the hosts file of this machine has the name, so neither NAPTR nor SRV is asked for: %s on port %d", w.protocol.name, w.port())
		}
		return nil
	}
	choices, err := w.transports(ctx, accepted)
	if err == nil {
		err = w.services(ctx, choices)
	}
	w.planned = err == nil
	return err
}

func (w *Walk) port() uint16 {
	if w.query.Port != 0 {
		return w.query.Port
	}
	return w.protocol.port
}

// transports returns the names of SRV records to ask for: those that NAPTR
// records lead to, or without any the usual ones of all transports that will do.
func (w *Walk) transports(ctx context.Context, accepted []protocol) ([]chosen, error) {
	if w.query.Transport == "" {
		a, err := w.lookup(ctx, question{w.query.Host, typeNAPTR})
		if err != nil && (mixed(accepted) || waits(err)) {
			return nil, fmt.Errorf("NAPTR: %w", err) // who holds the answer back must not choose what is clear
		}
		if choices := choose(a.naptrs, accepted); len(choices) > 0 {
			w.protocol = choices[0].protocol
			w.chose("NAPTR leads to %s by %s", w.protocol.name, choices[0].srv)
			return choices, nil
		}
		if err != nil {
			w.chose("nobody answers for NAPTR; all transports that will do are alike in safety, so SRV records are asked for")
		} else {
			w.chose("no NAPTR record leads to a transport that will do: SRV records are asked for (RFC 3263 §4.1)")
		}
	}
	var choices []chosen
	for _, p := range accepted {
		if p.srv != "" && checkName(p.srv+w.query.Host) == nil { // a name as long cannot be in the DNS
			choices = append(choices, chosen{p, p.srv + w.query.Host})
		}
	}
	return choices, nil
}

// mixed says whether some of the transports are secure, and others not.
func mixed(accepted []protocol) bool {
	for _, p := range accepted {
		if p.secure != accepted[0].secure {
			return true
		}
	}
	return false
}

// services takes the first choice that has SRV records. When none has any, the
// host itself serves, on the usual port (RFC 3263 §4.2).
func (w *Walk) services(ctx context.Context, choices []chosen) error {
	refused := false
	for _, c := range choices {
		a, err := w.lookup(ctx, question{c.srv, typeSRV})
		switch {
		case err != nil:
			return fmt.Errorf("SRV %s: %w", c.srv, err)
		case unavailable(a.srvs):
			refused = true
		case len(a.srvs) > 0:
			w.protocol = c.protocol
			for _, s := range order(a.srvs, w.r.intN) {
				if s.target != "." {
					w.hosts = append(w.hosts, place{s.target, s.port})
				}
			}
			w.chose("SRV leads over %s to %s, by priority and weight (RFC 2782)", w.protocol.name, names(w.hosts))
			return nil
		}
	}
	if refused {
		return ErrUnavailable
	}
	w.hosts = []place{{w.query.Host, w.protocol.port}}
	w.chose("no SRV record: the host itself on the usual port, %s %d (RFC 3263 §4.2)", w.protocol.name, w.protocol.port)
	return nil
}

// find looks up the addresses of the next host. Only what no other host may make
// good is an error.
func (w *Walk) find(ctx context.Context) error {
	if len(w.hosts) == 0 {
		return w.findLate(ctx)
	}
	at := w.hosts[0]
	addrs, late, err := w.addresses(ctx, at.host)
	if waits(err) || err != nil && ctx.Err() != nil {
		return err
	}
	w.hosts = w.hosts[1:]
	w.asked++
	if late != 0 {
		w.late = append(w.late, lateFamily{at, late})
	}
	if err != nil && w.err == nil {
		w.err = err
	}
	w.take(at, addrs)
	return nil
}

// findLate asks again for a family that was not waited for.
func (w *Walk) findLate(ctx context.Context) error {
	at := w.late[0]
	var a answer
	var err error
	if w.cached {
		return errWaits
	}
	q, began := question{at.host, at.kind}, time.Now()
	w.timed(ctx, func(ctx context.Context) { a, err = w.r.lookup(ctx, q, anew) })
	w.answered(q, a, err, time.Since(began))
	if err != nil && ctx.Err() != nil {
		return err
	}
	if err != nil && w.err == nil {
		w.err = err
	}
	w.late = w.late[1:]
	w.take(at.place, a.addrs)
	return nil
}

// take adds the addresses of a host, but for those that another host has had.
func (w *Walk) take(at place, addrs []netip.Addr) {
	for _, a := range addrs {
		to := netip.AddrPortFrom(a, at.port)
		if w.seen[to] {
			continue
		}
		if w.seen == nil {
			w.seen = make(map[netip.AddrPort]bool)
		}
		w.seen[to] = true
		w.found = append(w.found, Target{Transport: w.protocol.name, Addr: to, Host: at.host, Name: w.query.Name})
	}
}

// addresses returns those of a host: from the hosts file, else from the DNS.
func (w *Walk) addresses(ctx context.Context, host string) (addrs []netip.Addr, late uint16, err error) {
	if known := w.r.system.host(host); known != nil {
		for _, kind := range kindsOf(w.query.Family) {
			addrs = append(addrs, ofKind(known, kind)...)
		}
		addrs = w.r.interleave(addrs)
		w.chose("the hosts file says that %s is at %s", host, inOrder(addrs))
		return addrs, 0, nil
	}
	if w.cached {
		results, ok := w.r.knownAddresses(host, w.query.Family)
		if !ok {
			return nil, 0, errWaits
		}
		return w.r.together(results)
	}
	var results []found
	w.timed(ctx, func(ctx context.Context) { results = w.r.addresses(ctx, host, w.query.Family) })
	for _, f := range slices.SortedFunc(slices.Values(results), func(a, b found) int { return cmp.Compare(a.kind, b.kind) }) {
		w.answered(question{host, f.kind}, answer{addrs: f.addrs}, f.err, f.took)
	}
	if addrs, late, err = w.r.together(results); len(addrs) > 1 {
		w.chose("the addresses of %s are tried in this order: %s", host, inOrder(addrs))
	}
	return addrs, late, err
}

// errWaits is the error of a look-up that would have to ask.
var errWaits = errors.New("it is not known yet")

func waits(err error) bool { return errors.Is(err, errWaits) }

func (w *Walk) lookup(ctx context.Context, q question) (a answer, err error) {
	if w.cached {
		a, err, ok := w.r.known(q)
		if !ok {
			return a, errWaits
		}
		w.r.count(Cached)
		return a, err
	}
	began := time.Now()
	w.timed(ctx, func(ctx context.Context) { a, err = w.r.lookup(ctx, q, asUsual) })
	w.answered(q, a, err, time.Since(began))
	return a, err
}

// timed runs a look-up within what is left of the limit.
func (w *Walk) timed(ctx context.Context, f func(context.Context)) {
	began := time.Now()
	ctx, cancel := context.WithDeadlineCause(ctx, began.Add(w.r.limit()-w.spent), errSlow)
	defer cancel()
	f(ctx)
	w.spent += time.Since(began)
}
