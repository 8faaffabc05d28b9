package peer

import (
	"crypto/x509"
	"net/netip"
	"slices"
	"strings"

	"github.com/sallyport-sip/sallyport/sip/domaincert"
)

// byName finds the peers that a certificate may be of, by their certificate
// names in the form of sameForm. A file may have ten thousand peers, and all of
// them connect at once after a failure.
type byName struct {
	exact  map[string][]*Peer
	parent map[string][]*Peer // by what stands behind the first label
}

func (b *byName) add(p *Peer) {
	if b.exact == nil {
		b.exact, b.parent = make(map[string][]*Peer), make(map[string][]*Peer)
	}
	for _, name := range p.CertNames {
		name = sameForm(name)
		b.exact[name] = append(b.exact[name], p)
		if parent := parentOf(name); parent != "" {
			b.parent[parent] = append(b.parent[parent], p)
		}
	}
}

// claimed returns the peers with a name that the certificate speaks of, in the
// order of the file. Whether it is good for one of them is for Verify to say.
func (b *byName) claimed(leaf *x509.Certificate) []*Peer {
	var found []*Peer
	for _, name := range domaincert.Claims(leaf) {
		name = sameForm(name)
		found = append(found, b.exact[name]...)
		if parent, ok := strings.CutPrefix(name, "*."); ok {
			found = append(found, b.parent[parent]...)
		}
	}
	if len(found) > 1 {
		slices.SortFunc(found, func(a, b *Peer) int { return a.place - b.place })
		found = slices.Compact(found)
	}
	return found
}

// parentOf returns what a wildcard that stands for the name's first label has
// behind it, in the form of sameForm; nothing for an address, and for a name of
// which the parent is a top level, for which no wildcard stands.
func parentOf(name string) string {
	if _, err := netip.ParseAddr(name); err == nil {
		return ""
	}
	if _, parent, ok := strings.Cut(sameForm(name), "."); ok && strings.Contains(parent, ".") {
		return parent
	}
	return ""
}
