package gateway

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"net/netip"
	"path/filepath"
	"slices"
	"time"

	"github.com/sallyport-sip/sallyport/internal/acme"
	"github.com/sallyport-sip/sallyport/internal/config"
	"github.com/sallyport-sip/sallyport/internal/trust"
	"github.com/sallyport-sip/sallyport/sip/transport"
)

// newACME makes what gets certificates by ACME, for identities that want it.
func newACME(cfg *config.Config, o Options, gateway func() *Gateway) *acme.Keeper {
	return acme.New(acme.Options{
		Dir: filepath.Join(cfg.Data, "acme"), Log: o.Log, Retry: o.ACMERetry,
		Changed: func(identity string) { gateway().issued(identity) },
		Report:  func(s acme.Status) { gateway().reportACME(s) },
	})
}

// followACME has certificates got for the identities of a configuration. The
// caller holds reloading.
func (g *Gateway) followACME(cfg *config.Config) {
	var orders []acme.Order
	for i := range cfg.Identities {
		id := &cfg.Identities[i]
		if !id.Automatic() {
			continue
		}
		a := &id.ACME
		o := acme.Order{Identity: id.Name, Domains: a.Domains, File: id.Certificate, Issuer: acme.Settings{CA: a.CA, CARoot: a.CARoot, Email: a.Email}}
		if a.Challenge == config.ChallengeTLSALPN {
			o.Issuer.TLS = g.answersTLS()
		} else {
			o.Issuer.HTTP = socketText(a.HTTPListen.AddrPort)
		}
		orders = append(orders, o)
	}
	for _, a := range g.alarms.all() {
		if id, ok := cutAlarm(a.Name); ok && !wantsACME(orders, id) {
			g.alarms.clear(a.Name)
		}
	}
	g.acme.Follow(orders)
}

// answersTLS is the TLS listener to which a CA comes: the one on port 443, or the
// first, to which that port is forwarded.
func (g *Gateway) answersTLS() string {
	first := ""
	for _, s := range g.sockets {
		if !s.Transport().Secure() {
			continue
		}
		if at := socketText(s.Addr()); s.Addr().Port() == 443 {
			return at
		} else if first == "" {
			first = at
		}
	}
	return first
}

// socketText writes an address without a host when it is that of all.
func socketText(at netip.AddrPort) string {
	if at.Addr().IsUnspecified() {
		return fmt.Sprintf(":%d", at.Port())
	}
	return at.String()
}

const acmeAlarm = "acme "

func cutAlarm(name string) (identity string, ok bool) {
	if len(name) <= len(acmeAlarm) || name[:len(acmeAlarm)] != acmeAlarm {
		return "", false
	}
	return name[len(acmeAlarm):], true
}

func wantsACME(orders []acme.Order, identity string) bool {
	for _, o := range orders {
		if o.Identity == identity {
			return true
		}
	}
	return false
}

// issued takes a certificate that a CA has issued, as renew takes any file that
// has changed. Connections and calls live on.
func (g *Gateway) issued(identity string) {
	g.reloading.Lock()
	defer g.reloading.Unlock()
	before := g.snapshot.Load()
	if g.closing.Load() {
		return
	}
	sight := g.look(before.config)
	changed := sight.Changed(g.files.taken)
	for _, id := range before.config.Identities {
		if id.Name == identity && !slices.Contains(changed, id.Certificate) {
			changed = append(changed, id.Certificate)
		}
	}
	next, problems := g.reread(before, changed)
	if len(problems) > 0 {
		g.refuseFiles(before, problems)
		return
	}
	g.swap(before, next, sight, changed)
}

// reportACME raises an alarm while an identity has no certificate, or does not get
// another one.
func (g *Gateway) reportACME(s acme.Status) {
	name := acmeAlarm + s.Identity
	if s.Err == nil && !s.NotAfter.IsZero() {
		g.alarms.clear(name)
		return
	}
	left := "it has none yet, so handshakes with it are refused"
	if now := time.Now(); s.NotAfter.After(now) {
		left = fmt.Sprintf("the one it has can be used until %s (%d days)", minute(s.NotAfter), int(s.NotAfter.Sub(now).Hours()/24))
	} else if !s.NotAfter.IsZero() {
		left = fmt.Sprintf("the one it had has expired on %s", minute(s.NotAfter))
	}
	if s.Err == nil {
		g.alarms.raise(name, fmt.Sprintf("identity %q waits for a certificate of %s: %s", s.Identity, s.CA, left), "wait: it takes some seconds")
		return
	}
	g.alarms.raise(name, fmt.Sprintf("identity %q gets no certificate of %s since %s: %v; it was asked %d times, and is asked again at %s; %s",
		s.Identity, s.CA, minute(s.Since), s.Err, s.Failures, minute(s.Next), left), acmeRemedy(g.snapshot.Load().config, s.Identity))
}

func acmeRemedy(cfg *config.Config, identity string) string {
	for i := range cfg.Identities {
		if id := &cfg.Identities[i]; id.Name != identity {
			continue
		} else if id.ACME.Challenge == config.ChallengeTLSALPN {
			return "see that the CA can be reached from here, and that port 443 of each domain leads to a TLS listener of this gateway; a reload asks at once"
		}
		return "see that the CA can be reached from here, and that port 80 of each domain leads to http_listen of this identity; a reload asks at once"
	}
	return ""
}

func minute(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 UTC") }

// validates ends a connection on which a CA has seen that a domain is ours.
func validates(st *tls.ConnectionState) error {
	if st.NegotiatedProtocol != trust.ValidationProtocol {
		return nil
	}
	return trust.Refuse(trust.DomainValidated, st.ServerName)
}

// validated tells of it: nothing has failed.
func (g *Gateway) validated(info transport.ConnInfo, cause string) {
	g.connection(slog.LevelInfo, "a CA was answered", info, "", slog.String("cause", cause))
}
