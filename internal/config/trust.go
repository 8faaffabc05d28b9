package config

import "fmt"

// Trust is a set of certificates that we believe.
type Trust struct {
	Name string
	Place

	// PEM files with CA certificates, or with self-signed certificates that
	// are to be believed as they are, relative to the file.
	Files []string `yaml:"files" form:"list of file names"`

	// Files with lists of revoked certificates (CRL), PEM or DER, relative to the
	// file: complete lists, signed by the CA itself. What they say of a
	// certificate counts for everybody who is judged by this trust, as the
	// policy's `revocation` says.
	CRLs []string `yaml:"crls" form:"list of file names"`

	// Whether the operating system's CAs belong to the set. Default: `false`.
	System bool `yaml:"system"`
}

func checkTrust(c *Config, r *report) {
	for i := range c.Trust {
		t := &c.Trust[i]
		if len(t.Files) == 0 && !t.System && !t.Broken("files") {
			r.add(t.Pos, fmt.Sprintf("trust %q is empty", t.Name), "it would believe nobody",
				`name PEM files in "files", or set "system: true"`)
		}
	}
}

// checkTrustNames judges references. What comes from the defaults is reported
// there, once.
func checkTrustNames(c *Config, r *report, label string, at Place, names []string) {
	if at.Has("trust") && len(names) == 0 && !at.Broken("trust") {
		r.add(at.At("trust"), label+`: "trust" is an empty list`, "no certificate could be verified",
			"name a trust set, or leave the key out to use the defaults")
	}
	for i, name := range names {
		if at.Has("trust") || !contains(c.Defaults.Trust, name) {
			checkName(r, label, "trust", at.AtItem("trust", i), name, c.Trust)
		}
	}
	if at.Has("trust") {
		checkTwice(r, label, "trust", at, names)
	}
}
