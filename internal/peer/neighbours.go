package peer

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/sallyport-sip/sallyport/internal/config"
)

// neighbours returns for each peer the earlier ones that have a certificate name
// or an address in common with it: only they can be taken for one another. A
// file may have ten thousand peers, so not every pair is looked at.
func neighbours(cfg *config.Config) [][]int {
	n := &near{names: make(map[string][]int), at: make(map[netip.Prefix][]int), of: make([][]int, len(cfg.Peers))}
	for i := range cfg.Peers {
		n.add(i, &cfg.Peers[i], cfg.PolicyOf(cfg.Peers[i].Policy).Wildcards)
	}
	for prefix, owners := range n.at {
		for bits := range prefix.Bits() {
			if !n.bits[family(prefix)][bits] {
				continue
			}
			if wider, err := prefix.Addr().Prefix(bits); err == nil {
				n.pair(owners, n.at[wider])
			}
		}
		n.pair(owners, owners)
	}
	for _, owners := range n.names {
		n.pair(owners, owners)
	}
	for i := range n.of {
		slices.Sort(n.of[i])
		n.of[i] = slices.Compact(n.of[i])
	}
	return n.of
}

// near gathers who has what.
type near struct {
	names map[string][]int       // peers by certificate name, and by the wildcard that counts for it
	at    map[netip.Prefix][]int // peers without one, by address or network
	bits  [2][129]bool           // lengths of networks that there are, by family
	of    [][]int
}

func (n *near) add(i int, p *config.Peer, wildcards bool) {
	for _, name := range p.CertificateNames {
		name = sameForm(name)
		n.names[name] = append(n.names[name], i)
		if parent := parentOf(name); wildcards && parent != "" {
			n.names["*."+parent] = append(n.names["*."+parent], i)
		}
	}
	if len(p.CertificateNames) > 0 {
		return
	}
	for _, s := range p.AcceptFrom {
		prefix := s.Prefix.Masked()
		n.at[prefix] = append(n.at[prefix], i)
		if prefix.IsValid() {
			n.bits[family(prefix)][prefix.Bits()] = true
		}
	}
}

// pair notes each peer of a with each of b that stands before it, and the other
// way round, up to as many as Check reports.
func (n *near) pair(a, b []int) {
	for _, i := range a[:min(len(a), maxProblems)] {
		for _, j := range b[:min(len(b), maxProblems)] {
			if j < i {
				n.of[i] = append(n.of[i], j)
			} else if i < j {
				n.of[j] = append(n.of[j], i)
			}
		}
	}
}

func family(p netip.Prefix) int {
	if p.Addr().Is4() {
		return 0
	}
	return 1
}

// sameForm is equal for two certificate names if and only if sameName says that
// they are the same.
func sameForm(name string) string {
	if a, err := netip.ParseAddr(name); err == nil {
		return a.String()
	}
	return strings.ToLower(strings.TrimSuffix(name, "."))
}
