package config

// Defaults are what listeners and peers use when they do not say it themselves.
type Defaults struct {
	Place

	// The identity of TLS listeners and peers that name none.
	Identity string `yaml:"identity" form:"name of an identity"`

	// The identity of peers that name none, when it is not to be that of
	// listeners: what we show to those that we call. A certificate of a public
	// CA is one for servers alone, and most who ask for a client's refuse it;
	// sallyport check tells where an identity does not fit its role.
	// Default: `identity`.
	ClientIdentity string `yaml:"client_identity" form:"name of an identity"`

	// The trust of TLS listeners and peers that name none.
	Trust []string `yaml:"trust" form:"list of names of trust sets"`

	// The policy of TLS listeners and peers that name none.
	Policy string `yaml:"policy" form:"name of a policy"`
}

func checkDefaults(c *Config, r *report) {
	d := &c.Defaults
	if d.Identity != "" {
		checkName(r, "defaults", "identity", d.At("identity"), d.Identity, c.Identities)
	}
	if d.ClientIdentity != "" {
		checkName(r, "defaults", "identity", d.At("client_identity"), d.ClientIdentity, c.Identities)
	}
	if d.Policy != "" {
		checkName(r, "defaults", "policy", d.At("policy"), d.Policy, c.Policies)
	}
	for i, name := range d.Trust {
		checkName(r, "defaults", "trust", d.AtItem("trust", i), name, c.Trust)
	}
	checkTwice(r, "defaults", "trust", d.Place, d.Trust)
}
