// Package resolve turns the host of a SIP URI into addresses to try in order
// (RFC 3263).
//
// Reading starts at Resolver.Targets. An address literal costs no look-up, a
// name gives its A and AAAA records in the order of the system's resolver.
// Nothing here keeps a goroutine or a cache.
package resolve

import (
	"context"
	"fmt"
	"iter"
	"net"
	"net/netip"
)

// Lookup finds the addresses of a host, as net.Resolver.LookupNetIP does with
// the network "ip".
type Lookup func(ctx context.Context, network, host string) ([]netip.Addr, error)

// Resolver finds targets. The zero value asks the system's resolver.
type Resolver struct {
	Lookup Lookup // nil: net.DefaultResolver
}

// Literal returns the target of a host that is an address, without brackets.
func Literal(host string, port uint16) (netip.AddrPort, bool) {
	addr, err := netip.ParseAddr(host)
	if err != nil {
		return netip.AddrPort{}, false
	}
	return netip.AddrPortFrom(addr.Unmap(), port), true
}

// Targets yields the addresses of host, each with the port, in the order in
// which they should be tried. A look-up that fails yields one error and no
// target.
func (r Resolver) Targets(ctx context.Context, host string, port uint16) iter.Seq2[netip.AddrPort, error] {
	return func(yield func(netip.AddrPort, error) bool) {
		if to, ok := Literal(host, port); ok {
			yield(to, nil)
			return
		}
		lookup := r.Lookup
		if lookup == nil {
			lookup = net.DefaultResolver.LookupNetIP
		}
		addrs, err := lookup(ctx, "ip", host)
		if err == nil && len(addrs) == 0 {
			err = fmt.Errorf("the name has no addresses")
		}
		if err != nil {
			yield(netip.AddrPort{}, fmt.Errorf("resolve %s: %w", host, err))
			return
		}
		for _, a := range addrs {
			if !yield(netip.AddrPortFrom(a.Unmap(), port), nil) {
				return
			}
		}
	}
}
