package config

import (
	"crypto/tls"
	"fmt"
	"strings"
)

// Policy is how we speak TLS with a peer, or on a listener, and what we ask of
// certificates. On a connection that a peer made, versions, suites and all else
// that a handshake settles are the listener's; the peer's own policy judges what
// came of it.
type Policy struct {
	Name string
	Place

	// The lowest version of TLS that is spoken. Default: `1.2`; with `legacy`
	// `1.0`.
	MinVersion TLSVersion `yaml:"min_version" form:"one of 1.2, 1.3; with legacy 1.0, 1.1 too"`

	// The highest version of TLS that is spoken. Default: `1.3`.
	MaxVersion TLSVersion `yaml:"max_version" form:"one of 1.2, 1.3; with legacy 1.0, 1.1 too"`

	// The cipher suites of TLS 1.2 by their IANA names; which of them is taken is
	// not a matter of their order. TLS 1.3 has three suites, all good, and they
	// cannot be chosen. Default: those with ECDHE and AES-GCM or
	// ChaCha20-Poly1305 (RFC 9325 §4.2); with `legacy` those with CBC and with
	// RSA key exchange too, without 3DES, which has to be named.
	Suites []CipherSuite `yaml:"suites" form:"list of cipher suites"`

	// The groups of the key exchange: `X25519MLKEM768`, `SecP256r1MLKEM768`,
	// `SecP384r1MLKEM1024`, `X25519`, `P-256`, `P-384`, `P-521`. Which of them is
	// taken is not a matter of their order. The three with MLKEM withstand a
	// quantum computer, are of TLS 1.3 only, and make our first message longer than
	// one packet; a peer that stalls there may want a list without them. Default:
	// all.
	Groups []Group `yaml:"groups" form:"list of groups"`

	// The application protocols of which one has to be agreed on, as by ALPN
	// (RFC 7301); who offers or picks none of them is refused. WebSocket has
	// `http/1.1` in any case, and takes no policy with this key. Default: none; ALPN
	// is not used.
	ALPN []string `yaml:"alpn" form:"list of protocols"`

	// Whether a connection may take up the session of an earlier one, which saves
	// both sides the signatures. Certificates are judged anew each time, and a
	// change of trust, names or policy ends the sessions. `off`: every handshake is
	// a whole one. Default: `allowed`.
	Resumption Resumption `yaml:"resumption" form:"one of allowed, off"`

	// How many intermediate certificates may stand between the certificate shown
	// and what we trust. Default: 5.
	ChainDepth Count `yaml:"chain_depth" form:"number"`

	// `true` lets TLS 1.0 and 1.1, CBC suites and RSA key exchange in, for exactly
	// one listener or one peer, which has to name the policy itself. An alarm lasts as
	// long as somebody has it. Default: `false`.
	Legacy bool `yaml:"legacy"`

	// What it means that the CA may have revoked a certificate. `soft`: a
	// certificate that is known to be revoked is refused, one of which nothing is
	// known is taken, with a note in the verdict. `hard`: a certificate of which
	// nothing fresh is known is refused too. `off`: revocation is not looked at.
	// Known is what CRLs in the trust's `crls` say, and OCSP answers. Default:
	// `soft`.
	Revocation Revocation `yaml:"revocation" form:"one of off, soft, hard"`

	// Where OCSP answers come from. `stapled`: from the peer's handshake, when it
	// is the server. `fetch`: also from the responder that the certificate names,
	// at a public address, over HTTP. Default: `stapled`, which makes no
	// connection anywhere.
	OCSP OCSP `yaml:"ocsp" form:"one of stapled, fetch"`

	// The responder that is asked in place of the one that the certificate names;
	// it may be at any address. Only with `ocsp: fetch`.
	OCSPResponder ResponderURL `yaml:"ocsp_responder" form:"http or https URL"`

	// Whether the common name of a peer's certificate counts as its name, in a
	// certificate that has no subjectAltName at all, as very old ones have none
	// (RFC 5922 §7.1). Such a peer is marked as known by a common name wherever
	// its connection is shown. Default: `false`.
	CommonName bool `yaml:"common_name"`

	// Whether a wildcard in a DNS name of a peer's certificate stands for one
	// left-most label of a name in the peer's `certificate_names`: `*.acme.example`
	// for `gw.acme.example`, never for `a.gw.acme.example`. RFC 5922 §7.2 forbids
	// wildcards, and such a peer is marked as known by one. Default: `false`.
	Wildcards bool `yaml:"wildcards"`

	// Whether a peer that calls us may show a certificate whose extended key
	// usage is that of servers alone, as public CAs issue no other any more.
	// A peer whose policy allows it can get so far on every listener of which the
	// policy does not say `false` itself. Default: `false`.
	ServerUsage bool `yaml:"server_usage"`

	// Whether a certificate with extended key usages must have that of SIP
	// domains, id-kp-sipDomain or anyExtendedKeyUsage, among them (RFC 5924 §4). One
	// without any such usage passes, as it may be used for everything. Default:
	// `false`.
	RequireSIPDomain bool `yaml:"require_sip_domain"`
}

// TLSVersion is a version of TLS, as "1.2".
type TLSVersion string

// The values of min_version and max_version.
const (
	TLS10 TLSVersion = "1.0"
	TLS11 TLSVersion = "1.1"
	TLS12 TLSVersion = "1.2"
	TLS13 TLSVersion = "1.3"
)

// versions are all, lowest first, with the numbers that crypto/tls has for them.
var versions = []struct {
	name   TLSVersion
	number uint16
}{{TLS10, tls.VersionTLS10}, {TLS11, tls.VersionTLS11}, {TLS12, tls.VersionTLS12}, {TLS13, tls.VersionTLS13}}

// set suggests no version that only resembles what was written: the nearest may
// be a broken one.
func (v *TLSVersion) set(text string) *fault {
	f := setWord(v, text, TLS10, TLS11, TLS12, TLS13)
	if f != nil {
		f.remedy = `write "1.2" or "1.3"`
	}
	return f
}

func (v *TLSVersion) number() {}

// Number returns the version as crypto/tls has it, 0 for none.
func (v TLSVersion) Number() uint16 {
	for _, known := range versions {
		if known.name == v {
			return known.number
		}
	}
	return 0
}

// Resumption says whether sessions may be taken up again.
type Resumption string

// The values of resumption.
const (
	ResumptionAllowed Resumption = "allowed"
	ResumptionOff     Resumption = "off"
)

func (m *Resumption) set(text string) *fault {
	return setWord(m, text, ResumptionAllowed, ResumptionOff)
}

func (p *Policy) complete() {
	if p.MinVersion == "" {
		p.MinVersion = TLS12
		if p.Legacy {
			p.MinVersion = TLS10
		}
	}
	if p.MaxVersion == "" {
		p.MaxVersion = TLS13
	}
	if p.Resumption == "" {
		p.Resumption = ResumptionAllowed
	}
	if p.ChainDepth == 0 && !p.Has("chain_depth") {
		p.ChainDepth = 5
	}
	p.completeRevocation()
}

// speaks says whether the version is between the two of the policy.
func (p *Policy) speaks(v TLSVersion) bool { return p.MinVersion <= v && v <= p.MaxVersion }

func checkPolicies(c *Config, r *report) {
	for i := range c.Policies {
		p := &c.Policies[i]
		label := fmt.Sprintf("policy %q", p.Name)
		if p.checkVersions(r, label) {
			p.checkSuites(r, label)
			p.checkGroups(r, label)
			p.checkLegacy(r, label)
		}
		p.checkALPN(r, label)
		checkRevocation(p, r)
		checkPolicyNames(r, p)
	}
	checkFence(c, r)
	checkWebSocketPolicies(c, r)
}

// checkVersions says whether there are versions for the rest to be judged by.
func (p *Policy) checkVersions(r *report, label string) bool {
	good := true
	for _, k := range []struct {
		key     string
		version TLSVersion
	}{{"min_version", p.MinVersion}, {"max_version", p.MaxVersion}} {
		if k.version < TLS12 && !p.Legacy && !p.Broken("legacy") {
			r.add(p.At(k.key), fmt.Sprintf("%s: %s %s is only for a legacy policy", label, k.key, k.version),
				"TLS 1.0 and 1.1 are broken and given up (RFC 8996)", "write 1.2 or 1.3; or set legacy: true, for one old listener or peer")
			good = false
		}
	}
	if good && p.MinVersion > p.MaxVersion {
		r.add(p.At("min_version"), fmt.Sprintf("%s: min_version %s is above max_version %s", label, p.MinVersion, p.MaxVersion),
			"no version would be left", "exchange them, or leave one out")
		good = false
	}
	return good && !p.Broken("min_version") && !p.Broken("max_version") && !p.Broken("legacy")
}

func (p *Policy) checkALPN(r *report, label string) {
	if p.Has("alpn") && len(p.ALPN) == 0 && !p.Broken("alpn") {
		r.add(p.At("alpn"), label+`: "alpn" is an empty list`, "no protocol could be agreed on", "name one, or leave the key out: ALPN is not used then")
	}
	for i, name := range p.ALPN {
		switch what := fmt.Sprintf("%s: bad protocol %s in alpn", label, quote(name)); {
		case len(name) > 255:
			r.add(p.AtItem("alpn", i), what, "it is longer than 255 bytes (RFC 7301 §3.1)", "write the name that the peer's manual has")
		case strings.HasPrefix(name, "http/") || name == "h2":
			r.add(p.AtItem("alpn", i), what, "that is HTTP, and what comes here is SIP", "write the name that the peer's manual has, or leave the key out")
		}
	}
	checkTwice(r, label, "alpn", p.Place, p.ALPN)
}

// checkWebSocketPolicies refuses what a WebSocket cannot do: it begins with
// HTTP, and that is what ALPN says there.
func checkWebSocketPolicies(c *Config, r *report) {
	refuse := func(label string, at Pos, name string) {
		if p := find(c.Policies, name); p != nil && len(p.ALPN) > 0 {
			r.add(at, fmt.Sprintf("%s: policy %q names alpn, which is not for WebSocket", label, name),
				"a WebSocket begins with HTTP, and http/1.1 is what ALPN says there", "name a policy without alpn here")
		}
	}
	for i := range c.Listeners {
		if l := &c.Listeners[i]; l.Listen.Transport == WSS {
			refuse(fmt.Sprintf("listener %q", l.Name), l.At("policy"), l.Policy)
		}
	}
	for i := range c.Peers {
		if p := &c.Peers[i]; p.URI.Transport == WSS && p.UsesTLS() {
			refuse(fmt.Sprintf("peer %q", p.Name), p.At("policy"), p.Policy)
		}
	}
}

// checkPolicyName judges a reference. What comes from the defaults is reported
// there, once.
func checkPolicyName(c *Config, r *report, label string, at Place, name string) {
	if at.Has("policy") && name != "" {
		checkName(r, label, "policy", at.At("policy"), name, c.Policies)
	}
}

// PolicyOf returns the policy called name, the default one when there is no
// such.
func (c *Config) PolicyOf(name string) Policy {
	if found := find(c.Policies, name); found != nil {
		return *found
	}
	var def Policy
	def.complete()
	return def
}
