package config

// Defaults are what listeners and peers use when they do not say it themselves.
type Defaults struct {
	Place

	// The identity of TLS listeners and peers that name none.
	Identity string `yaml:"identity" form:"name of an identity"`

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
	if d.Policy != "" {
		checkName(r, "defaults", "policy", d.At("policy"), d.Policy, c.Policies)
	}
	for i, name := range d.Trust {
		checkName(r, "defaults", "trust", d.AtItem("trust", i), name, c.Trust)
	}
	checkTwice(r, "defaults", "trust", d.Place, d.Trust)
}
