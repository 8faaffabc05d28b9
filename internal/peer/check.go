package peer

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/sallyport-sip/sallyport/internal/config"
	"github.com/sallyport-sip/sallyport/sip/transport"
)

// Check reports peers of which one connection could match two. It skips what
// config.Check has reported already.
func Check(cfg *config.Config) []config.Problem {
	var problems []config.Problem
	near := neighbours(cfg)
	for i := range cfg.Peers {
		for _, j := range near[i] {
			if p, found := ambiguous(cfg, &cfg.Peers[j], &cfg.Peers[i]); found {
				problems = append(problems, p)
			}
			if len(problems) == maxProblems {
				return problems
			}
		}
	}
	config.SortProblems(problems)
	return problems
}

// maxProblems is enough to see that a file has the same mistake everywhere.
const maxProblems = 1000

// ambiguous looks for a listener on which a connection could match both peers.
func ambiguous(cfg *config.Config, first, second *config.Peer) (config.Problem, bool) {
	byCert := len(first.CertificateNames) > 0
	if byCert != (len(second.CertificateNames) > 0) || unclear(first) || unclear(second) {
		return config.Problem{}, false // a certificate is asked for by one of them only, and then decides
	}
	both := shared(cfg, first, second)
	if byCert && (both == "" || config.PinsApart(first.Pins, second.Pins)) {
		return config.Problem{}, false
	}
	for i := range cfg.Listeners {
		l := &cfg.Listeners[i]
		t, ok := transport.ParseTransport(string(l.Listen.Transport))
		if !ok || !comesTo(first, l, byCert) || !comesTo(second, l, byCert) {
			continue
		}
		a, b, ok := overlap(first, second, t)
		if !ok {
			continue
		}
		what := fmt.Sprintf("peer %q: a connection to listener %q could also be peer %q", second.Name, l.Name, first.Name)
		if byCert {
			return cfg.Problem(second.At("certificate_names"), what, both,
				"give them different names, addresses in accept_from, or listeners, or each pins of its own, all of one kind"), true
		}
		why := fmt.Sprintf("%s and %s overlap", b, a)
		remedy := "give them different addresses in accept_from, or listeners"
		if a.Port != b.Port && a.Port != 0 && b.Port != 0 {
			why = fmt.Sprintf("%s and %s differ in their ports only, which are not compared on %s", b, a, t)
			remedy = `write "udp:" before entries that are for UDP only`
		}
		return cfg.Problem(second.At("accept_from"), what, why, remedy), true
	}
	return config.Problem{}, false
}

// unclear says whether it is not known how the peer is recognised, because of a
// problem that is reported already.
func unclear(p *config.Peer) bool {
	keys := []string{"uri", "certificate_names", "pins", "accept_from", "listener"}
	return p.URI.Host == "" || slices.ContainsFunc(keys, p.Broken)
}

// comesTo says whether the peer can be recognised on the listener.
func comesTo(p *config.Peer, l *config.Listener, byCert bool) bool {
	if p.Listener != "" && p.Listener != l.Name {
		return false
	}
	if !l.Listen.Transport.Secure() {
		return !byCert
	}
	if byCert {
		return l.ClientCertificates != config.CertificateNone
	}
	return l.ClientCertificates != config.CertificateRequired
}

// overlap finds an entry of each peer that one source could match on t.
func overlap(a, b *config.Peer, t transport.Transport) (x, y config.Source, ok bool) {
	for _, x := range sources(a) {
		for _, y := range sources(b) {
			if counts(x, t) && counts(y, t) && x.Prefix.Overlaps(y.Prefix) &&
				(t != transport.UDP || x.Port == y.Port || x.Port == 0 || y.Port == 0) {
				return x, y, true
			}
		}
	}
	return x, y, false
}

// anywhere is what accept_from means when a peer with certificate names has none.
var anywhere = []config.Source{
	{Prefix: netip.MustParsePrefix("0.0.0.0/0")},
	{Prefix: netip.MustParsePrefix("::/0")},
}

func sources(p *config.Peer) []config.Source {
	if p.AcceptFrom == nil && len(p.CertificateNames) > 0 {
		return anywhere
	}
	return p.AcceptFrom
}

// shared says which certificate two peers would both be known by, nothing when
// one name cannot be good for both. Whether the common name counts for one of
// them makes no difference: a certificate with the same name in subjectAltName
// counts for both.
func shared(cfg *config.Config, first, second *config.Peer) string {
	if name := common(first.CertificateNames, second.CertificateNames); name != "" {
		return fmt.Sprintf("both have the certificate name %q", name)
	}
	if !cfg.PolicyOf(first.Policy).Wildcards || !cfg.PolicyOf(second.Policy).Wildcards {
		return ""
	}
	for _, x := range first.CertificateNames {
		for _, y := range second.CertificateNames {
			if parent := parentOf(x); parent != "" && parent == parentOf(y) {
				return fmt.Sprintf("the policies of both let a certificate for \"*.%s\" count", parent)
			}
		}
	}
	return ""
}

// common returns a name that both lists have.
func common(a, b []string) string {
	for _, x := range a {
		for _, y := range b {
			if sameName(x, y) {
				return x
			}
		}
	}
	return ""
}
