package gateway

import (
	"crypto/x509"
	"errors"
	"fmt"
	"slices"

	"github.com/sallyport-sip/sallyport/internal/config"
	"github.com/sallyport-sip/sallyport/internal/events"
	"github.com/sallyport-sip/sallyport/internal/guard"
	"github.com/sallyport-sip/sallyport/internal/radius"
	"github.com/sallyport-sip/sallyport/internal/ship"
	"github.com/sallyport-sip/sallyport/internal/trust"
)

// loadWebhooks reads what belongs to the endpoints that are told of events.
func loadWebhooks(cfg *config.Config) (all []events.Endpoint, problems []config.Problem) {
	for i := range cfg.Webhooks {
		w := &cfg.Webhooks[i]
		label := fmt.Sprintf("webhook %q", w.Name)
		e := events.Endpoint{
			Name: w.Name, URL: w.URL, Want: events.Selection{Types: w.Events, Peers: w.Peers},
			Timeout: w.Timeout.Duration, GiveUp: w.GiveUp.Duration, Waiting: int(w.Waiting), AtOnce: int(w.AtOnce),
		}
		for j, t := range w.Events {
			if err := (events.Selection{Types: []string{t}}).Check(); err != nil {
				problems = append(problems, cfg.Problem(w.AtItem("events", j), label+": "+err.Error(), "", "see docs/reference/events.md for all types"))
			}
		}
		var bad *config.Problem
		if e.Secret, bad = loadSecret(cfg, label, w.Place, w.SecretFile); bad != nil {
			problems = append(problems, *bad)
		}
		var err error
		if e.Roots, err = rootsOf(cfg, w.Trust); err != nil {
			problems = append(problems, cfg.Problem(w.At("trust"), label+": "+err.Error(), "", "see the problems of the trust"))
		}
		all = append(all, e)
	}
	return all, problems
}

// loadShipments reads what belongs to the targets that records are sent to.
func loadShipments(cfg *config.Config, set *trust.Set) (all []ship.Target, problems []config.Problem) {
	for i := range cfg.CDRShip {
		in := &cfg.CDRShip[i]
		label := fmt.Sprintf("shipment %q", in.Name)
		t := ship.Target{
			Name: in.Name, Path: in.Path, Rotate: int64(in.RotateMB) << 20, Every: in.RotateEvery.Duration,
			URL: in.URL, Timeout: in.Timeout.Duration, Interim: in.Interim.Duration,
		}
		var bad *config.Problem
		if t.Secret, bad = loadSecret(cfg, label, in.Place, in.SecretFile); bad != nil {
			problems = append(problems, *bad)
		}
		var err error
		if t.Roots, err = rootsOf(cfg, in.Trust); err != nil {
			problems = append(problems, cfg.Problem(in.At("trust"), label+": "+err.Error(), "", "see the problems of the trust"))
		}
		if len(in.RADIUS) > 0 {
			t.RADIUS = accounting(in, t, set)
		}
		all = append(all, t)
	}
	return all, problems
}

// accounting says how the RADIUS servers of a target are asked. set is nil when there is something wrong with it, which is a problem of
// its own.
func accounting(in *config.Shipment, t ship.Target, set *trust.Set) *radius.Config {
	o := &radius.Config{Secret: t.Secret, Roots: t.Roots, Interval: in.Interval.Duration, Tries: int(in.Tries), NAS: in.NASIdentifier}
	for _, s := range in.RADIUS {
		o.Servers = append(o.Servers, radius.Server{TLS: s.Transport == config.TLS, Address: s.HostPort.String()})
	}
	if set != nil && in.Identity != "" {
		if id := set.Identity(in.Identity); id != nil {
			o.Certificate = id.Certificate()
		}
	}
	return o
}

// loadSecret reads the file under secret_file of a section. Without a name, which is a problem of its own, there is none.
func loadSecret(cfg *config.Config, label string, at config.Place, file string) ([]byte, *config.Problem) {
	if file == "" {
		return nil, nil
	}
	secret, err := guard.ReadSecret(file)
	if err == nil {
		return secret, nil
	}
	what, why, remedy := err.Error(), "", ""
	if bad, ok := errors.AsType[*guard.TokenError](err); ok {
		what, why, remedy = bad.What, bad.Why, bad.Remedy
	}
	p := cfg.Problem(at.At("secret_file"), fmt.Sprintf("%s: secret_file %q: %s", label, file, what), why, remedy)
	return nil, &p
}

// rootsOf are the CAs of trust sets, nil for those of the system when there are none. Files that cannot be read are reported
// by trust.Load; here they are passed over.
func rootsOf(cfg *config.Config, names []string) (*x509.CertPool, error) {
	if len(names) == 0 {
		return nil, nil
	}
	pool := x509.NewCertPool()
	var files []string
	for i := range cfg.Trust {
		t := &cfg.Trust[i]
		if !slices.Contains(names, t.Name) {
			continue
		}
		files = append(files, t.Files...)
		if t.System {
			var err error
			if pool, err = x509.SystemCertPool(); err != nil {
				return nil, fmt.Errorf("the system's CAs cannot be had: %w", err)
			}
		}
	}
	addFiles(pool, files)
	return pool, nil
}

func addFiles(pool *x509.CertPool, files []string) {
	for _, file := range files {
		certs, err := trust.ReadCertificates(file)
		if err != nil {
			continue
		}
		for _, c := range certs {
			pool.AddCert(c)
		}
	}
}

// startWebhooks begins to tell endpoints of events.
func (g *Gateway) startWebhooks(snap *snapshot) {
	g.webhooks = events.NewWebhooks(g.events, snap.config.Data, events.Options{
		Version: g.options.Version, Log: g.log, Dial: g.options.DialHTTP, Raise: g.alarms.raise, Clear: g.alarms.clear,
	})
	g.webhooks.Apply(snap.hooks)
	g.webhooks.Forget()
	g.shipping = ship.New(snap.config.Data, ship.Options{
		Version: g.options.Version, Run: g.recorder.Run(), Dial: g.options.DialHTTP, Raise: g.alarms.raise, Clear: g.alarms.clear,
	})
	g.shipping.Apply(snap.shipments)
}

// tellAnew tells the endpoints of a snapshot from now on, and sends records to its targets.
func (g *Gateway) tellAnew(snap *snapshot) {
	if g.webhooks == nil {
		return
	}
	g.webhooks.Apply(snap.hooks)
	g.shipping.Apply(snap.shipments)
}

// stopWebhooks ends all that.
func (g *Gateway) stopWebhooks() {
	if g.webhooks != nil {
		g.webhooks.Close()
		g.shipping.Close()
	}
}

// Shipped is how many records each target has taken.
func (g *Gateway) Shipped() map[string]uint64 {
	if g.shipping == nil {
		return nil
	}
	return g.shipping.Sent()
}

// Accounting is what became of the requests of each target that is RADIUS.
func (g *Gateway) Accounting() map[string]radius.Counts {
	if g.shipping == nil {
		return nil
	}
	return g.shipping.Accounting()
}

// Webhooks says how the endpoints do that are told of events.
func (g *Gateway) Webhooks() []events.Stats {
	if g.webhooks == nil {
		return nil
	}
	return g.webhooks.Stats()
}
