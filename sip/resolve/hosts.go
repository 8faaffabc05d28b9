package resolve

import (
	"cmp"
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// errGrace ends the wait for one family once the other's addresses are there.
var errGrace = errors.New("its answer came too long after that of the other family")

// grace is for how long (RFC 8305 §3 has 50 ms, for a person who waits for a
// page).
const grace = 200 * time.Millisecond

// found is one family's addresses.
type found struct {
	kind  uint16
	addrs []netip.Addr
	err   error
	took  time.Duration
}

// addresses returns what there is of a host, by family.
func (r *Resolver) addresses(ctx context.Context, host string, family Family) []found {
	kinds, began := kindsOf(family), time.Now()
	if len(kinds) == 1 {
		a, err := r.lookup(ctx, question{host, kinds[0]}, asUsual)
		return []found{{kinds[0], a.addrs, err, time.Since(began)}}
	}
	if results, ok := r.knownAddresses(host, family); ok { // without a goroutine
		return results
	}
	return r.bothFamilies(ctx, host, kinds)
}

// together makes one list of what is known of each family, in the order to try
// it. late is the family that was not waited for, 0 for none: it is worth to be
// asked again when all of these have failed.
func (r *Resolver) together(results []found) (addrs []netip.Addr, late uint16, err error) {
	for _, f := range results {
		addrs = append(addrs, f.addrs...)
		switch {
		case errors.Is(f.err, errGrace):
			late = f.kind
		case f.err != nil:
			err = f.err
		}
	}
	if len(addrs) > 0 {
		err = nil
	}
	return r.interleave(addrs), late, err
}

// knownAddresses returns what the cache has of a host, if that is enough.
func (r *Resolver) knownAddresses(host string, family Family) (all []found, ok bool) {
	kinds := kindsOf(family)
	for _, kind := range kinds {
		a, err, ok := r.known(question{host, kind})
		if !ok || errors.Is(err, errGrace) && len(kinds) == 1 {
			return nil, false
		}
		all = append(all, found{kind, a.addrs, err, 0})
	}
	for range kinds {
		r.count(Cached)
	}
	return all, true
}

// bothFamilies asks for both at once. It waits for the second for a moment only
// when the first has brought addresses; the error of the second is errGrace then.
func (r *Resolver) bothFamilies(ctx context.Context, host string, kinds []uint16) (all []found) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var asking sync.WaitGroup
	defer asking.Wait()
	results, began := make(chan found, len(kinds)), time.Now()
	for _, kind := range kinds {
		asking.Go(func() {
			a, err := r.lookup(ctx, question{host, kind}, hasty)
			results <- found{kind, a.addrs, err, time.Since(began)}
		})
	}
	first := <-results
	all = append(all, first)
	var enough <-chan time.Time
	if len(first.addrs) > 0 {
		timer := time.NewTimer(grace)
		defer timer.Stop()
		enough = timer.C
	}
	select {
	case second := <-results:
		return append(all, second)
	case <-enough:
		cancel(errGrace)
		return append(all, <-results)
	}
}

// interleave orders addresses of both families: those that can be reached
// first, then by RFC 6724 §6, and from there on the families in turns (RFC 8305
// §4), so that one family that is broken costs one try. Addresses of one family stay
// in the order of the answer, in which the server may rotate them.
func (r *Resolver) interleave(addrs []netip.Addr) []netip.Addr {
	is4 := func(a netip.Addr) bool { return a.Is4() }
	if !slices.ContainsFunc(addrs, is4) || !slices.ContainsFunc(addrs, func(a netip.Addr) bool { return !a.Is4() }) {
		return addrs
	}
	source := r.Source
	if source == nil {
		source = route
	}
	ranks := make(map[netip.Addr]rank, len(addrs))
	for _, a := range addrs {
		ranks[a] = rankOf(a, source(a))
	}
	slices.SortStableFunc(addrs, func(a, b netip.Addr) int { return ranks[a].compare(ranks[b]) })
	lost := slices.IndexFunc(addrs, func(a netip.Addr) bool { return ranks[a].unusable })
	if lost < 0 {
		lost = len(addrs)
	}
	return append(inTurns(addrs[:lost]), addrs[lost:]...)
}

// inTurns takes one of each family by turns, that of the first one first.
func inTurns(addrs []netip.Addr) []netip.Addr {
	var own, other []netip.Addr
	for _, a := range addrs {
		if a.Is4() == addrs[0].Is4() {
			own = append(own, a)
		} else {
			other = append(other, a)
		}
	}
	out := make([]netip.Addr, 0, len(addrs))
	for i := range max(len(own), len(other)) {
		if i < len(own) {
			out = append(out, own[i])
		}
		if i < len(other) {
			out = append(out, other[i])
		}
	}
	return out
}

// rank is what RFC 6724 §6 compares of a destination, in its order: rules 1, 2,
// 5, 6 and 8.
type rank struct {
	unusable   bool
	otherScope bool // than its source address
	otherLabel bool
	precedence int // greater is better
	scope      int // smaller is better
}

func rankOf(to, from netip.Addr) rank {
	p := policyOf(to)
	k := rank{unusable: !from.IsValid(), precedence: p.precedence, scope: scopeOf(to)}
	if !k.unusable {
		k.otherScope = scopeOf(from) != k.scope
		k.otherLabel = policyOf(from).label != p.label
	}
	return k
}

func (k rank) compare(o rank) int {
	last := func(b bool) int { return map[bool]int{true: 1}[b] }
	return cmp.Or(
		cmp.Compare(last(k.unusable), last(o.unusable)),
		cmp.Compare(last(k.otherScope), last(o.otherScope)),
		cmp.Compare(last(k.otherLabel), last(o.otherLabel)),
		cmp.Compare(o.precedence, k.precedence),
		cmp.Compare(k.scope, o.scope),
	)
}

// policy is a row of the table in RFC 6724 §2.1.
type policy struct {
	prefix            netip.Prefix
	precedence, label int
}

var policies = []policy{
	{netip.MustParsePrefix("::1/128"), 50, 0},
	{netip.MustParsePrefix("::ffff:0:0/96"), 35, 4},
	{netip.MustParsePrefix("2002::/16"), 30, 2},
	{netip.MustParsePrefix("2001::/32"), 5, 5},
	{netip.MustParsePrefix("fc00::/7"), 3, 13},
	{netip.MustParsePrefix("::/96"), 1, 3},
	{netip.MustParsePrefix("fec0::/10"), 1, 11},
	{netip.MustParsePrefix("3ffe::/16"), 1, 12},
	{netip.MustParsePrefix("::/0"), 40, 1},
}

func policyOf(a netip.Addr) policy {
	a = netip.AddrFrom16(a.As16()) // IPv4 in its mapped form
	for _, p := range policies {
		if p.prefix.Addr().Is4In6() {
			if a.Is4In6() {
				return p
			}
		} else if !a.Is4In6() && p.prefix.Contains(a) {
			return p
		}
	}
	return policies[len(policies)-1]
}

// scopeOf is the scope of a unicast address (RFC 6724 §3.1, §3.2).
func scopeOf(a netip.Addr) int {
	switch {
	case a.IsLoopback(), a.IsLinkLocalUnicast():
		return 2
	case a.Is6() && netip.MustParsePrefix("fec0::/10").Contains(a):
		return 5
	}
	return 14
}

// route asks the system's routes: connecting a UDP socket sends nothing.
func route(to netip.Addr) netip.Addr {
	conn, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(netip.AddrPortFrom(to, 9)))
	if err != nil {
		return netip.Addr{}
	}
	defer conn.Close()
	return conn.LocalAddr().(*net.UDPAddr).AddrPort().Addr().Unmap()
}
