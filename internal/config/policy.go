package config

import "fmt"

// Policy is how we speak TLS with a peer, or on a listener, and what we ask of
// certificates. On a connection that a peer made, versions, suites and all else
// that a handshake settles are the listener's; the peer's own policy judges what
// came of it.
type Policy struct {
	Name string
	Place

	// The lowest version of TLS that is spoken. Default: `1.2`.
	MinVersion TLSVersion `yaml:"min_version" form:"one of 1.2, 1.3; with legacy 1.0, 1.1 too"`

	// The highest version of TLS that is spoken. Default: `1.3`.
	MaxVersion TLSVersion `yaml:"max_version" form:"one of 1.2, 1.3; with legacy 1.0, 1.1 too"`

	// How many intermediate certificates may stand between the certificate shown
	// and what we trust. Default: 5.
	ChainDepth Count `yaml:"chain_depth" form:"number"`
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

func (v *TLSVersion) set(text string) *fault { return setWord(v, text, TLS10, TLS11, TLS12, TLS13) }

func (v *TLSVersion) number() {}

func (p *Policy) complete() {
	if p.MinVersion == "" {
		p.MinVersion = TLS12
	}
	if p.MaxVersion == "" {
		p.MaxVersion = TLS13
	}
	if p.ChainDepth == 0 && !p.Has("chain_depth") {
		p.ChainDepth = 5
	}
}

func checkPolicies(c *Config, r *report) {
	for i := range c.Policies {
		p := &c.Policies[i]
		if p.MinVersion > p.MaxVersion {
			r.add(p.At("min_version"), fmt.Sprintf("policy %q: min_version %s is above max_version %s", p.Name, p.MinVersion, p.MaxVersion),
				"no version would be left", "exchange them, or leave one out")
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
