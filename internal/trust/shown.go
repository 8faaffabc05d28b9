package trust

import (
	"crypto/tls"
	"fmt"
	"slices"
	"strings"

	"github.com/sallyport-sip/sallyport/internal/config"
	"github.com/sallyport-sip/sallyport/sip/domaincert"
)

// shown says which of our identities a listener shows to whom (RFC 6066 §3). It is immutable.
type shown struct {
	all    []*Identity          // the listener's own first, then those of identities
	own    *Identity            // nil when it has no certificate yet
	names  map[string]*Identity // by lower-case name
	waits  map[string]string    // the identities that have no certificate yet, by the names that it will have; the listener's own by ""
	strict bool                 // who asks for another name is refused
}

// choose returns the identity for the name that a client asked for, empty for none: the one whose certificate has the
// very name, then one with a wildcard that covers it, then the listener's own; nil when the listener is strict and has
// nothing for the name.
func (s *shown) choose(name string) *Identity {
	if name != "" {
		name = strings.ToLower(name) // makes nothing new of a name in lower case
		if id := s.names[name]; id != nil {
			return id
		}
		if dot := strings.IndexByte(name, '.'); dot > 0 {
			if id := s.names[name[dot:]]; id != nil {
				return id
			}
		}
		if s.strict {
			return nil
		}
	}
	if s.waits[name] != "" {
		return nil // another's would be the wrong one
	}
	return s.own
}

// certificate is the tls.Config's GetCertificate. With neither a certificate nor an error, and none in the tls.Config
// itself, crypto/tls answers with alert unrecognized_name.
func (s *shown) certificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	id := s.choose(hello.ServerName)
	if f := factsOf(hello.Context()); f != nil {
		f.Presented = id.chain()
	}
	if id != nil {
		return id.Certificate(), nil
	}
	name := strings.ToLower(hello.ServerName)
	if s.waits[name] == "" && !s.strict {
		name = ""
	}
	if waits := s.waits[name]; waits != "" {
		return nil, Refuse(NoCertificateYet, waits)
	}
	return nil, nil
}

// add gives the identity the names that its certificate has, and returns the first one that another identity has
// already, with that one. A wildcard is kept as what stands behind its asterisk, which no name begins with.
func (s *shown) add(id *Identity) (name string, other *Identity) {
	s.all = append(s.all, id)
	for _, n := range requested(id) {
		key := strings.TrimPrefix(n, "*")
		if old := s.names[key]; old != nil && old != id && other == nil {
			name, other = n, old
		} else if old == nil {
			s.names[key] = id
		}
	}
	return name, other
}

// requested returns the names by which a client may ask for an identity, in lower case. Unlike the names by which a peer
// is known (RFC 5922 §7.1), DNS names count beside SIP URIs: which of them it believes is for the client to say.
func requested(id *Identity) []string {
	var names []string
	for _, n := range domaincert.Names(id.Chain[0]) {
		if n.Kind != domaincert.IP { // an address is never asked for (RFC 6066 §3)
			names = append(names, n.Value)
		}
	}
	names = append(names, id.Chain[0].DNSNames...)
	for i, n := range names {
		names[i] = strings.ToLower(strings.TrimSuffix(n, "."))
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// shown gathers the identities of a listener, and reports those that could never be chosen, or only by accident.
func (l *loader) shown(in *config.Listener) *shown {
	s := &shown{names: map[string]*Identity{}, waits: map[string]string{}, strict: in.SNI == config.SNIStrict}
	if s.own = l.set.identities[in.Identity]; s.own != nil {
		s.add(s.own)
	} else if l.wait(s, in.Identity) {
		s.waits[""] = in.Identity
	}
	for i, name := range in.Identities {
		id := l.set.identities[name]
		if id == nil {
			l.wait(s, name)
			continue
		}
		at, what := in.AtItem("identities", i), fmt.Sprintf("listener %q: identity %q", in.Name, name)
		if len(requested(id)) == 0 {
			l.problems = append(l.problems, l.cfg.Problem(at, what+" would never be shown",
				"its certificate has no name that a client could ask for: neither a DNS name nor a sip: URI",
				"remove it, or have a certificate made with the domain's name"))
		} else if n, other := s.add(id); other != nil {
			l.problems = append(l.problems, l.cfg.Problem(at, what+" is for a name that identity "+fmt.Sprintf("%q", other.Name)+" is for too",
				"both certificates have "+n, "remove one of the two here, or have a certificate made without that name"))
		}
	}
	return s
}

// wait notes the names of an identity that has no certificate yet, and says whether it gets one by ACME.
func (l *loader) wait(s *shown, identity string) bool {
	domains := l.pending[identity]
	for _, d := range domains {
		s.waits[strings.ToLower(d)] = identity
	}
	return len(domains) > 0
}
