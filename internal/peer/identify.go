package peer

import (
	"crypto/x509"
	"fmt"
	"net/netip"
	"strings"

	"github.com/sallyport-sip/sallyport/internal/config"
	"github.com/sallyport-sip/sallyport/internal/trust"
	"github.com/sallyport-sip/sallyport/sip/domaincert"
	"github.com/sallyport-sip/sallyport/sip/transport"
)

// Origin is from where a connection or a datagram came.
type Origin struct {
	Transport transport.Transport
	Source    netip.AddrPort
	Listener  string // on which it came
}

// Verify judges a certificate chain, leaf first, by the trust, the names and
// the policy of one peer, and returns who has shown it then. The table calls it
// only for peers of which the leaf speaks of a name, whether or not that counts.
type Verify func(p *Peer, chain []*x509.Certificate) (transport.Identity, error)

// UnknownError says why nobody was recognised. It is for our log: nothing of it
// may be told to the other side.
type UnknownError struct {
	Origin Origin
	Why    string
	Err    error // from Verify, nil when it was not asked
}

func (e *UnknownError) Error() string {
	return fmt.Sprintf("%s %s is not a peer: %s", e.Origin.Transport, e.Origin.Source, e.Cause())
}

// Cause is the error without the origin.
func (e *UnknownError) Cause() string {
	if e.Err == nil {
		return e.Why
	}
	return e.Why + ": " + e.Err.Error()
}

func (e *UnknownError) Unwrap() error { return e.Err }

// Identify finds the peer on the other side. chain is what it presented on TLS,
// leaf first, nil when it presented nothing; id is what Verify returned. A
// certificate decides alone: one that no peer owns is not made good by the
// address. The error is always an *UnknownError.
func (t *Table) Identify(o Origin, chain []*x509.Certificate, verify Verify) (p *Peer, id transport.Identity, err error) {
	if o.Transport.Secure() && len(chain) > 0 {
		return t.byCertificate(o, chain, verify)
	}
	if p := t.BySource(o); p != nil {
		return p, transport.Identity{Peer: p.Name}, nil
	}
	why := "no peer without certificate_names has this address in accept_from"
	if o.Transport.Secure() {
		why = "it showed no certificate, and " + why
	}
	return nil, transport.Identity{}, &UnknownError{Origin: o, Why: why}
}

// byCertificate asks every peer with a name that the leaf speaks of. A
// certificate that two of them accept belongs to neither.
func (t *Table) byCertificate(o Origin, chain []*x509.Certificate, verify Verify) (p *Peer, id transport.Identity, err error) {
	unknown := &UnknownError{Origin: o}
	for _, candidate := range t.byCert.claimed(chain[0]) {
		if why := candidate.refuses(o); why != "" {
			if unknown.Err == nil { // what a certificate lacks says more than where it came
				unknown.Why = fmt.Sprintf("its certificate speaks of a name of peer %q, but %s", candidate.Name, why)
			}
			continue
		}
		good, err := verify(candidate, chain)
		if err != nil {
			unknown.Why, unknown.Err = fmt.Sprintf("its certificate speaks of a name of peer %q, but is not accepted", candidate.Name), err
			continue
		}
		if p != nil {
			return nil, transport.Identity{}, &UnknownError{Origin: o, Why: fmt.Sprintf("its certificate is good for two peers, %q and %q", p.Name, candidate.Name)}
		}
		p, id = candidate, good
	}
	if p != nil {
		return p, id, nil
	}
	if unknown.Why == "" {
		unknown.Why = fmt.Sprintf("no peer has a name of its certificate in certificate_names: %s is for %s",
			trust.Subject(chain[0]), domaincert.Describe(domaincert.Names(chain[0])))
	}
	return nil, transport.Identity{}, unknown
}

// refuses says why a peer with certificate names cannot be at o, "" when it can.
func (p *Peer) refuses(o Origin) string {
	if p.Pinned && p.Listener != o.Listener {
		return fmt.Sprintf("that peer is recognised on listener %q only", p.Listener)
	}
	if p.AcceptFrom == nil {
		return ""
	}
	source := plain(o.Source)
	for _, s := range p.AcceptFrom {
		if admits(s, o.Transport, source) {
			return ""
		}
	}
	return "the address is not in that peer's accept_from"
}

// admits compares a source with an entry of accept_from: TLS counts as TCP, and
// the port is compared on UDP only.
func admits(s config.Source, t transport.Transport, source netip.AddrPort) bool {
	return counts(s, t) && s.Prefix.Contains(source.Addr()) &&
		(s.Port == 0 || t != transport.UDP || s.Port == source.Port())
}

// counts says whether an entry is for this transport.
func counts(s config.Source, t transport.Transport) bool {
	switch s.Transport {
	case config.UDP:
		return t == transport.UDP
	case config.TCP:
		return t != transport.UDP
	}
	return true
}

// plain removes what two spellings of one address differ in: the IPv6 form of
// IPv4, and the zone.
func plain(a netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(a.Addr().Unmap().WithZone(""), a.Port())
}

// bySource finds peers that are known by their address alone: single addresses
// by a map, networks one after the other.
type bySource struct {
	single   map[netip.Addr][]entry
	networks []entry
}

type entry struct {
	config.Source
	peer *Peer
}

func (b *bySource) add(p *Peer) {
	for _, s := range p.AcceptFrom {
		e := entry{s, p}
		if !s.Prefix.IsSingleIP() {
			b.networks = append(b.networks, e)
			continue
		}
		if b.single == nil {
			b.single = make(map[netip.Addr][]entry)
		}
		b.single[s.Prefix.Addr()] = append(b.single[s.Prefix.Addr()], e)
	}
}

// BySource returns the peer without certificate names whose accept_from has the
// origin, nil when there is none. On UDP it is asked for every request.
func (b *bySource) BySource(o Origin) *Peer {
	source := plain(o.Source)
	for _, list := range [2][]entry{b.single[source.Addr()], b.networks} {
		for _, e := range list {
			if admits(e.Source, o.Transport, source) && !(e.peer.Pinned && e.peer.Listener != o.Listener) {
				return e.peer
			}
		}
	}
	return nil
}

// sameName compares two certificate names: addresses by value, domains without
// regard to case and to a final dot.
func sameName(a, b string) bool {
	x, errX := netip.ParseAddr(a)
	y, errY := netip.ParseAddr(b)
	if errX == nil && errY == nil {
		return x == y
	}
	return strings.EqualFold(strings.TrimSuffix(a, "."), strings.TrimSuffix(b, "."))
}
