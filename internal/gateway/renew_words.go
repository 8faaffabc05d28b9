package gateway

import (
	"crypto/x509"
	"fmt"
	"strings"
	"time"

	"github.com/sallyport-sip/sallyport/internal/config"
	"github.com/sallyport-sip/sallyport/internal/trust"
	"github.com/sallyport-sip/sallyport/internal/watch"
)

// refuseFiles tells that changed files are not taken, once for the same problems.
func (g *Gateway) refuseFiles(running *snapshot, problems []config.Problem) {
	said := fmt.Sprint(problems)
	if g.files.said == said {
		return
	}
	g.files.said = said
	r := Reload{At: time.Now(), By: ByWatch, Version: running.config.Version, Problems: problems, InUse: g.alarmFiles(running, problems)}
	g.telling.Lock()
	g.reloads.unfit = &r
	g.reloads.renewalsRefused++
	g.telling.Unlock()
	g.tellReload(ByWatch, running.config.Version, problems)
	for _, p := range problems {
		g.log.Error("changed file refused", "problem", p.String())
	}
	for _, text := range r.InUse {
		g.log.Error("nothing is changed", "in_use", text)
	}
}

// fit notes that the files are those that run, as they were seen.
func (g *Gateway) fit(sight watch.Sight) {
	f := &g.files
	if f.said != "" {
		g.log.Info("the certificate files are good again")
	}
	for _, name := range f.alarms {
		g.alarms.clear(name)
	}
	*f = files{watcher: f.watcher, taken: sight}
	g.telling.Lock()
	g.reloads.unfit = nil
	g.telling.Unlock()
}

// alarmFiles raises an alarm for each identity and trust that runs and whose files
// are no good any more. It returns what is in use instead, in words.
func (g *Gateway) alarmFiles(running *snapshot, problems []config.Problem) (inUse []string) {
	raised := map[string]bool{}
	for _, p := range problems {
		for _, of := range elements(running.config) {
			if raised[of] || !strings.HasPrefix(p.What, of+":") {
				continue
			}
			raised[of] = true
			still := running.inUse(of)
			if still != "" {
				inUse = append(inUse, still)
			}
			then := "then reload"
			if running.config.Watch && g.files.watcher != nil {
				then = "good files are taken by themselves"
			}
			g.alarms.raise(alarmOf(of), joined([]string{p.What, p.Why, still}, ", "), joined([]string{p.Remedy, then}, "; "))
		}
	}
	for of := range raised {
		g.files.alarms = append(g.files.alarms, alarmOf(of))
	}
	return inUse
}

// elements are what has files, as problems name it.
func elements(cfg *config.Config) []string {
	var all []string
	for _, f := range cfg.Files() {
		if len(all) == 0 || all[len(all)-1] != f.Of {
			all = append(all, f.Of)
		}
	}
	return all
}

// alarmOf is the name of an element's alarm: identity gateway.
func alarmOf(of string) string { return strings.ReplaceAll(of, `"`, "") }

// inUse says what certificates run of an identity or a trust, and until when.
func (snap *snapshot) inUse(of string) string {
	for i := range snap.config.Identities {
		name := snap.config.Identities[i].Name
		if id := snap.trust.Identity(name); id != nil && of == fmt.Sprintf("identity %q", name) {
			return fmt.Sprintf("%s goes on with the certificate of before: %s", of, lasting(id.Chain[0]))
		}
	}
	for i := range snap.config.Trust {
		name := snap.config.Trust[i].Name
		certs := snap.trust.Anchors(name)
		if of != fmt.Sprintf("trust %q", name) || len(certs) == 0 {
			continue
		}
		const most = 3
		var texts []string
		for _, c := range certs[:min(most, len(certs))] {
			texts = append(texts, lasting(c))
		}
		if n := len(certs) - most; n > 0 {
			texts = append(texts, fmt.Sprintf("and %d more", n))
		}
		return fmt.Sprintf("%s goes on with those of before: %s", of, strings.Join(texts, "; "))
	}
	return ""
}

// lasting names a certificate and says until when it can be used.
func lasting(c *x509.Certificate) string {
	until := c.NotAfter.UTC().Format("2006-01-02 15:04 UTC")
	if left := time.Until(c.NotAfter); left <= 0 {
		until = "has expired on " + until
	} else {
		until = fmt.Sprintf("can be used until %s (%d days)", until, int(left.Hours()/24))
	}
	return fmt.Sprintf("%s, serial %s, %s", trust.Subject(c), trust.Serial(c), until)
}

func joined(parts []string, by string) string {
	var some []string
	for _, p := range parts {
		if p != "" {
			some = append(some, p)
		}
	}
	return strings.Join(some, by)
}

// sayChanges writes to the log which certificates are others now.
func (g *Gateway) sayChanges(changes []trust.Change) {
	for _, c := range changes {
		attrs := []any{"of", alarmOf(c.Of)}
		for _, side := range []struct {
			word  string
			certs []*x509.Certificate
		}{{"old", c.Removed}, {"new", c.Added}} {
			for _, cert := range side.certs {
				attrs = append(attrs, side.word, fmt.Sprintf("%s, serial %s, fingerprint %s, from %s, until %s", trust.Subject(cert), trust.Serial(cert),
					trust.CertificateFingerprint(cert), trust.Issuer(cert), cert.NotAfter.UTC().Format(time.RFC3339)))
			}
		}
		g.log.Info("certificates have changed", attrs...)
	}
}
