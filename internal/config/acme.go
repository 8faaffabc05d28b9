package config

import (
	"fmt"
	"net/url"
	"path/filepath"
	"strings"
)

// ACME says how an identity gets its certificate by itself (RFC 8555). The
// section is there when it has a place in the file, or domains.
type ACME struct {
	Place

	// The names that the certificate is for. The first is its main one. Each has to
	// lead to this gateway, because the CA looks whether it does.
	Domains []string `yaml:"domains" need:"required" form:"list of domain names"`

	// The directory of the CA. Default: that of Let's Encrypt,
	// `https://acme-v02.api.letsencrypt.org/directory`.
	CA string `yaml:"ca" form:"URL"`

	// A PEM file with the CAs by which the server at `ca` is known, relative to the
	// file: for a CA of one's own. Default: those of the system.
	CARoot string `yaml:"ca_root" form:"file name"`

	// Where the CA writes when something is the matter with the account. Default:
	// none.
	Email string `yaml:"email" form:"e-mail address"`

	// `true` says that you agree to the CA's terms of service. Without it there is
	// no certificate.
	TermsAgreed bool `yaml:"terms_agreed" need:"required"`

	// How the CA sees that a domain is ours. `http-01`: it asks port 80 of the
	// domain over HTTP, where `http_listen` answers while it does. `tls-alpn-01`: it
	// comes to port 443 of the domain with TLS (RFC 8737), which each TLS listener
	// answers; one has to be there, or port 443 be forwarded to one. Default:
	// `http-01`.
	Challenge Challenge `yaml:"challenge" form:"one of http-01, tls-alpn-01"`

	// Where the questions of `http-01` are answered, for as long as they come.
	// Default: `0.0.0.0:80`.
	HTTPListen AdminAddress `yaml:"http_listen" form:"\"address:port\""`
}

// LetsEncrypt is the CA of identities that name none.
const LetsEncrypt = "https://acme-v02.api.letsencrypt.org/directory"

// Challenge is how a CA sees that a domain is ours.
type Challenge string

// The values of challenge.
const (
	ChallengeHTTP    Challenge = "http-01"
	ChallengeTLSALPN Challenge = "tls-alpn-01"
)

func (c *Challenge) set(text string) *fault { return setWord(c, text, ChallengeHTTP, ChallengeTLSALPN) }

// Automatic says whether the identity gets its certificate by ACME.
func (id *Identity) Automatic() bool { return id.Has("acme") || len(id.ACME.Domains) > 0 }

// completeACME also says where the certificate is kept, so that whatever reads the
// files of identities finds it.
func (id *Identity) completeACME(data string) {
	if !id.Automatic() {
		return
	}
	a := &id.ACME
	if a.CA == "" {
		a.CA = LetsEncrypt
	}
	if a.Challenge == "" {
		a.Challenge = ChallengeHTTP
	}
	if a.HTTPListen.Port() == 0 && a.Challenge == ChallengeHTTP {
		a.HTTPListen.set("0.0.0.0:80")
	}
	if id.Certificate == "" && id.Key == "" {
		id.keepIn(data)
	}
}

func (id *Identity) keepIn(data string) {
	id.Certificate = filepath.Join(data, "acme", "identities", id.Name+".pem")
	id.Key = id.Certificate
}

// KeepIn has certificates of ACME kept in another data directory than the
// configuration names: that of a gateway which runs already.
func (c *Config) KeepIn(data string) {
	for i := range c.Identities {
		if id := &c.Identities[i]; id.Automatic() {
			id.keepIn(data)
		}
	}
}

func checkACME(c *Config, r *report, id *Identity) {
	label, a := fmt.Sprintf("identity %q", id.Name), &id.ACME
	for _, key := range []string{"certificate", "key", "password_file", "password_env"} {
		if id.Has(key) {
			r.add(id.At(key), fmt.Sprintf("%s: it has both %q and \"acme\"", label, key), "the certificate and its key come from the CA, and are kept in the data directory", "remove one of them")
		}
	}
	label += ": acme"
	at := a.Pos
	if at == (Pos{}) {
		at = id.At("acme")
	}
	if id.Broken("acme") && len(a.Domains) == 0 {
		return
	}
	if len(a.Domains) == 0 && !a.Broken("domains") {
		r.add(at, label+`: "domains" is missing`, "it says what the certificate is for", "for instance domains: [sip.example.com]")
	}
	for i, d := range a.Domains {
		if f := checkHost(d); f != nil || strings.ContainsAny(d, "*:") {
			why := "it is no domain name"
			if strings.Contains(d, "*") {
				why = "for a wildcard a CA wants to see a record in the DNS, which we cannot write"
			}
			r.add(a.AtItem("domains", i), fmt.Sprintf("%s: bad domain %s", label, quote(d)), why, "write a name such as sip.example.com")
		}
	}
	checkTwice(r, label, "domains", a.Place, a.Domains)
	if !a.TermsAgreed && !a.Broken("terms_agreed") {
		r.add(at, label+": terms_agreed is not true", "a CA issues nothing to who has not agreed to its terms of service",
			"read the terms of "+caHost(a.CA)+", and write terms_agreed: true")
	}
	if u, err := url.Parse(a.CA); err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil {
		r.add(a.At("ca"), fmt.Sprintf("%s: bad ca %s", label, quote(a.CA)), "it is the https URL of the CA's directory", "write it as "+quote(LetsEncrypt))
	}
	if a.Email != "" && !strings.Contains(strings.Trim(a.Email, "@"), "@") {
		r.add(a.At("email"), fmt.Sprintf("%s: bad email %s", label, quote(a.Email)), "it is no e-mail address", "write one such as ops@example.com, or remove the key")
	}
	if a.Challenge == ChallengeTLSALPN && a.Has("http_listen") {
		r.add(a.At("http_listen"), label+": http_listen does nothing with challenge tls-alpn-01", "TLS listeners answer that one", "remove the key, or set challenge: http-01")
	}
	checkChallengeListener(c, r, a, label, at)
}

// checkChallengeListener finds challenges that nobody could answer.
func checkChallengeListener(c *Config, r *report, a *ACME, label string, at Pos) {
	secure := false
	for i := range c.Listeners {
		l := &c.Listeners[i]
		if l.Listen.Transport.Secure() {
			secure = true
		}
		if a.Challenge == ChallengeHTTP && l.Listen.Transport != "" && l.Listen.Transport != UDP && samePort(l.Listen.AddrPort, a.HTTPListen.AddrPort) {
			r.add(a.At("http_listen"), fmt.Sprintf("%s: %s is taken", label, a.HTTPListen.AddrPort), fmt.Sprintf("listener %q has it", l.Name), "name another address in http_listen, to which port 80 is forwarded; or use tls-alpn-01")
		}
	}
	if a.Challenge == ChallengeTLSALPN && !secure && len(c.Listeners) > 0 {
		r.add(at, label+": there is no TLS listener to answer tls-alpn-01", "the CA comes with TLS", "add a TLS listener on port 443, or one to which port 443 is forwarded; or use http-01")
	}
}

func caHost(ca string) string {
	if u, err := url.Parse(ca); err == nil && u.Host != "" {
		return u.Host
	}
	return "the CA"
}
