package trust

import (
	"crypto/x509"
	"fmt"
	"slices"
	"strings"

	"github.com/sallyport-sip/sallyport/internal/config"
)

// Notes returns what an operator should know of a configuration that is good. So far those are identities of ours that
// are used in a role which their extended key usage forbids. It is the other side that refuses them, and some do not look, or
// never ask for a client's certificate, so it is for the operator to say whether it matters. Certificates of public CAs are for servers
// alone nowadays.
func (s *Set) Notes(cfg *config.Config) []config.Problem {
	var notes []config.Problem
	for i := range cfg.Identities {
		in := &cfg.Identities[i]
		id := s.identities[in.Name]
		if id == nil {
			continue
		}
		usage := strings.Join(UsageNames(id.Chain[0]), ", ")
		if at := s.shownBy(cfg, id); len(at) > 0 && !allows(id.Chain[0], Server) {
			notes = append(notes, cfg.Problem(in.Pos, fmt.Sprintf("identity %q is not for servers, and is shown by listener %s", in.Name, list(at)),
				"a client that looks at its extended key usage, "+usage+", refuses it",
				"have a certificate made with serverAuth, and show this one only to those that we call: client_identity of defaults, or identity of a peer"))
		}
		if to := s.shownTo(cfg, id); len(to) > 0 && !allows(id.Chain[0], Client) {
			notes = append(notes, cfg.Problem(in.Pos, fmt.Sprintf("identity %q is not for clients, and is what we show when we call %s", in.Name, list(to)),
				"a peer that asks for our certificate may refuse it for its extended key usage, "+usage,
				"name another one, with clientAuth, in client_identity of defaults or identity of the peer, unless the peer asks for none or accepts it"))
		}
	}
	return notes
}

// shownBy returns the listeners that show an identity, quoted.
func (s *Set) shownBy(cfg *config.Config, id *Identity) (names []string) {
	for _, l := range cfg.Listeners {
		if side := s.listeners[l.Name]; side != nil && slices.Contains(side.shown.all, id) {
			names = append(names, fmt.Sprintf("%q", l.Name))
		}
	}
	return names
}

// shownTo returns the peers that get an identity when we call them, quoted.
func (s *Set) shownTo(cfg *config.Config, id *Identity) (names []string) {
	for _, p := range cfg.Peers {
		if side := s.peers[p.Name]; side != nil && side.config != nil && side.identity == id {
			names = append(names, fmt.Sprintf("%q", p.Name))
		}
	}
	return names
}

// Pool returns the certificates of the named trust sets together, for TLS with somebody who is no peer. The error is crypto/x509's
// about the system's CAs.
func (s *Set) Pool(trusts []string) (*x509.CertPool, error) {
	var all []*Anchors
	for _, name := range trusts {
		if a := s.trusts[name]; a != nil {
			all = append(all, a)
		}
	}
	a, err := join(all)
	if err != nil {
		return nil, err
	}
	return a.pool, nil
}
