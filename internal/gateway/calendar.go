package gateway

import (
	"cmp"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"slices"
	"time"

	"github.com/sallyport-sip/sallyport/internal/callflow"
	"github.com/sallyport-sip/sallyport/internal/config"
	"github.com/sallyport-sip/sallyport/internal/trust"
)

// EndingKind says what it is that ends.
type EndingKind string

// The kinds of endings.
const (
	OwnCertificate     EndingKind = "own"    // of an identity, intermediates included
	TrustedCertificate EndingKind = "trust"  // of a trust
	PeerCertificate    EndingKind = "peer"   // that a peer has shown last, intermediates included
	RevocationList     EndingKind = "crl"    // of a trust
	StapledAnswer      EndingKind = "staple" // about the certificate of an identity
)

// Ending is a certificate, a CRL or an OCSP answer, and when it ends.
type Ending struct {
	Kind    EndingKind
	Name    string // of the identity, the trust or the peer
	Subject string // of a CRL its issuer
	Issuer  string
	From    time.Time
	Ends    time.Time
	File    string   // that it is in; empty: in none of ours
	Used    []string // by whom, for example `listener outside`, `peer acme`
	SHA256  string   // of a certificate, in hexadecimal; empty otherwise
	ACME    bool     // we renew it
}

// Left is how long it still counts; negative when it has ended.
func (e *Ending) Left(now time.Time) time.Duration { return e.Ends.Sub(now) }

// Endings returns everything that ends, what ends first at first: what is in force,
// and what the peers have shown last.
func (g *Gateway) Endings() []Ending {
	snap := g.snapshot.Load()
	all := endingsOf(snap.config, snap.trust.Listed())
	all = append(all, g.peerEndings(snap.config)...)
	all = append(all, g.stapleEndings(snap.config)...)
	sortEndings(all)
	return all
}

// Endings is what is in the files of a configuration, without a gateway. The
// problems are those of the files.
func Endings(cfg *config.Config, o trust.Options) ([]Ending, []config.Problem) {
	listed, problems := o.Inventory(cfg)
	all := endingsOf(cfg, listed)
	sortEndings(all)
	return all, problems
}

func sortEndings(all []Ending) {
	slices.SortStableFunc(all, func(a, b Ending) int {
		return cmp.Or(a.Ends.Compare(b.Ends), cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Name, b.Name), cmp.Compare(a.SHA256, b.SHA256))
	})
}

func endingsOf(cfg *config.Config, listed []trust.Listed) []Ending {
	all := make([]Ending, 0, len(listed))
	for _, l := range listed {
		var e Ending
		switch {
		case l.CRL != nil:
			e = Ending{Kind: RevocationList, Name: l.Trust, Subject: trust.Printable(l.CRL.Issuer.String()), Issuer: trust.Printable(l.CRL.Issuer.String()), From: l.CRL.ThisUpdate, Ends: l.CRL.NextUpdate}
		case l.Identity != "":
			e = endingOf(OwnCertificate, l.Identity, l.Cert)
		default:
			e = endingOf(TrustedCertificate, l.Trust, l.Cert)
		}
		e.File = l.File
		if l.Identity != "" {
			e.Used, e.ACME = usersOfIdentity(cfg, l.Identity), automatic(cfg, l.Identity)
		} else {
			e.Used = usersOfTrust(cfg, l.Trust)
		}
		all = append(all, e)
	}
	return all
}

func endingOf(kind EndingKind, name string, c *x509.Certificate) Ending {
	sum := sha256.Sum256(c.Raw)
	return Ending{Kind: kind, Name: name, Subject: trust.Subject(c), Issuer: trust.Printable(c.Issuer.String()), From: c.NotBefore, Ends: c.NotAfter, SHA256: hex.EncodeToString(sum[:])}
}

func automatic(cfg *config.Config, identity string) bool {
	return slices.ContainsFunc(cfg.Identities, func(id config.Identity) bool { return id.Name == identity && id.Automatic() })
}

func usersOfIdentity(cfg *config.Config, name string) []string {
	var users []string
	for i := range cfg.Listeners {
		if l := &cfg.Listeners[i]; l.Listen.Transport.Secure() && (l.Identity == name || slices.Contains(l.Identities, name)) {
			users = append(users, "listener "+l.Name)
		}
	}
	for i := range cfg.Peers {
		if p := &cfg.Peers[i]; p.UsesTLS() && p.Identity == name {
			users = append(users, "peer "+p.Name)
		}
	}
	if cfg.Admin.Identity == name {
		users = append(users, "admin")
	}
	return users
}

func usersOfTrust(cfg *config.Config, name string) []string {
	var users []string
	for i := range cfg.Listeners {
		if l := &cfg.Listeners[i]; l.Listen.Transport.Secure() && slices.Contains(l.Trust, name) {
			users = append(users, "listener "+l.Name)
		}
	}
	for i := range cfg.Peers {
		if p := &cfg.Peers[i]; p.UsesTLS() && slices.Contains(p.Trust, name) {
			users = append(users, "peer "+p.Name)
		}
	}
	return users
}

// peerEndings are the certificates that the peers of a configuration that use TLS
// have shown last, since the start and before. One that has ended counts no more once its peer has shown another.
func (g *Gateway) peerEndings(cfg *config.Config) []Ending {
	peers := make(map[string]bool)
	for i := range cfg.Peers {
		peers[cfg.Peers[i].Name] = cfg.Peers[i].UsesTLS()
	}
	now := time.Now()
	type certificate struct{ peer, sum string }
	listed, hasOne := make(map[certificate]bool), make(map[string]bool)
	var all []Ending
	for _, seen := range newestChains(append(g.recorder.LastChains(), g.earlier...)) {
		if !peers[seen.Peer] {
			continue
		}
		for i, der := range seen.Chain {
			c, err := x509.ParseCertificate(der)
			if err != nil || i > 0 && !c.IsCA {
				continue // it was verified without it
			}
			e := endingOf(PeerCertificate, seen.Peer, c)
			replaced := e.Ends.Before(now) && hasOne[e.Name]
			if one := (certificate{e.Name, e.SHA256}); !listed[one] && !replaced {
				listed[one], hasOne[e.Name] = true, true
				e.Used = []string{"peer " + seen.Peer}
				all = append(all, e)
			}
		}
	}
	return all
}

// newestChains keeps of each peer and role the last chain that we accepted, the
// newest of each peer first.
func newestChains(all []callflow.Seen) []callflow.Seen {
	all = slices.DeleteFunc(all, func(s callflow.Seen) bool { return !s.Accepted })
	slices.SortStableFunc(all, func(a, b callflow.Seen) int { return cmp.Or(cmp.Compare(a.Peer, b.Peer), b.At.Compare(a.At)) })
	type side struct{ peer, role string }
	older := make(map[side]bool)
	return slices.DeleteFunc(all, func(s callflow.Seen) bool {
		of := side{s.Peer, s.Role}
		is := older[of]
		older[of] = true
		return is
	})
}

func (g *Gateway) stapleEndings(cfg *config.Config) []Ending {
	g.staples.mu.Lock()
	defer g.staples.mu.Unlock()
	var all []Ending
	for name, s := range g.staples.all {
		if s.der == nil {
			continue
		}
		if c, err := x509.ParseCertificate(s.leaf); err == nil {
			e := endingOf(StapledAnswer, name, c)
			e.From, e.Ends, e.SHA256, e.Used = s.answer.ThisUpdate, s.answer.NextUpdate, "", usersOfIdentity(cfg, name)
			all = append(all, e)
		}
	}
	return all
}
