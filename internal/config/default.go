package config

import (
	"cmp"
	"net/netip"
	"time"
)

// Default returns the Config of a file that says nothing: it has no listener,
// and every default that does not depend on an element's other keys. The rest
// is filled in by [Config.Complete].
func Default() *Config {
	return &Config{Data: "data", CDR: CDRInterval, HandshakesKeep: Duration{30 * 24 * time.Hour}, History: History{Keep: true, Age: Duration{historyAge}}, Drain: Duration{30 * time.Second}, Watch: true}
}

// Complete fills in what elements leave out. Parse has done it; a Config that
// was put together in code needs it before Check and before it is used. Doing
// it twice changes nothing.
func (c *Config) Complete() {
	c.Limits.complete()
	c.History.complete()
	for i := range c.Identities {
		c.Identities[i].completeACME(c.Data)
	}
	for i := range c.Policies {
		c.Policies[i].complete()
	}
	for i := range c.Identities {
		if c.Identities[i].Stapling == "" {
			c.Identities[i].Stapling = StaplingOn
		}
	}
	for i := range c.Profiles {
		c.Profiles[i].complete()
	}
	for i := range c.Listeners {
		c.Listeners[i].complete(c.Defaults)
	}
	for i := range c.Peers {
		c.Peers[i].complete(c)
	}
	for i := range c.HEP {
		c.HEP[i].complete(c.Defaults)
	}
	for i := range c.CDRShip {
		c.CDRShip[i].complete(c.Defaults)
	}
	for i := range c.Webhooks {
		c.Webhooks[i].complete()
	}
	if c.Resolver.Family == "" {
		c.Resolver.Family = FamilyBoth
	}
}

func (p *Profile) complete() {
	p.Connection.complete()
	if p.SIPS == "" {
		p.SIPS = SIPSAllowed
	}
	if p.SessionID == "" {
		p.SessionID = On
	}
	if p.Relay == nil && !p.Has("relay") {
		p.Relay = relayed()
	}
	for _, d := range []struct {
		key    string
		value  *Duration
		normal time.Duration
	}{
		{"response_timeout", &p.ResponseTimeout, 8 * time.Second},
		{"answer_timeout", &p.AnswerTimeout, 3 * time.Minute},
		{"down_for", &p.DownFor, 30 * time.Second},
		{"keep_alive", &p.KeepAlive, 15 * time.Minute},
	} {
		if !p.Has(d.key) && d.value.Duration == 0 {
			d.value.Duration = d.normal
		}
	}
}

func (l *Listener) complete(d Defaults) {
	l.Limits.complete()
	if !l.Listen.Transport.Secure() {
		return
	}
	if l.ClientCertificates == "" {
		l.ClientCertificates = CertificateRequired
	}
	if l.Identity == "" {
		l.Identity = d.Identity
	}
	if l.SNI == "" {
		l.SNI = SNIAny
	}
	if l.Policy == "" {
		l.Policy = d.Policy
	}
	if l.Trust == nil && l.ClientCertificates != CertificateNone {
		l.Trust = d.Trust
	}
}

// complete gives a peer the ways to be recognised that follow from its URI:
// its host as certificate name with TLS, otherwise its address.
func (p *Peer) complete(c *Config) {
	if p.Limits.RefuseWith == 0 {
		p.Limits.RefuseWith = RefuseUnavailable
	}
	if p.Asserts.Otherwise == "" {
		p.Asserts.Otherwise = StripClaim
	}
	if p.URI.Host == "" {
		return
	}
	if p.URI.Open && len(p.CertificateNames) > 0 {
		p.URI.Transport = TLS // it has to prove a name, so nothing else will do
	}
	if p.URI.TLS() && !p.URI.Unreachable() {
		if p.CertificateNames == nil {
			p.CertificateNames = []string{p.URI.Host}
		}
	} else if p.AcceptFrom == nil {
		if addr, err := netip.ParseAddr(p.URI.Host); err == nil {
			addr = addr.WithZone("").Unmap()
			p.AcceptFrom = []Source{{Prefix: netip.PrefixFrom(addr, addr.BitLen()), Port: p.URI.Port}}
		}
	}
	if !p.UsesTLS() {
		return
	}
	if p.Policy == "" {
		p.Policy = c.Defaults.Policy
	}
	if p.Trust == nil {
		p.Trust = c.Defaults.Trust
	}
	if p.Identity == "" {
		p.Identity = cmp.Or(c.Defaults.ClientIdentity, c.Defaults.Identity)
	}
	if l := c.ListenerFor(p); p.Identity == "" && l != nil {
		p.Identity = l.Identity
	}
}
