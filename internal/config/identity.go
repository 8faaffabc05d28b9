package config

import "fmt"

// Identity is a certificate of ours with its key.
type Identity struct {
	Name string
	Place

	// The PEM file with our certificate, and the intermediate certificates
	// behind it, relative to the file.
	Certificate string `yaml:"certificate" need:"required" form:"file name"`

	// The PEM file with the private key, relative to the file. It may be the
	// same file as `certificate`.
	Key string `yaml:"key" need:"required" form:"file name"`
}

func checkIdentities(c *Config, r *report) {
	for i := range c.Identities {
		id := &c.Identities[i]
		for _, file := range []struct{ key, path, what string }{
			{"certificate", id.Certificate, "our certificate"},
			{"key", id.Key, "its private key"},
		} {
			if file.path == "" && id.missing(file.key) {
				r.add(id.Pos, fmt.Sprintf("identity %q: %q is missing", id.Name, file.key), "",
					"name the PEM file with "+file.what)
			}
		}
	}
}

// checkIdentityName judges a reference. What comes from the defaults is
// reported there, once.
func checkIdentityName(c *Config, r *report, label string, at Place, name string) {
	if name == "" || !at.Has("identity") && (name == c.Defaults.Identity || name == c.Defaults.ClientIdentity) {
		return
	}
	checkName(r, label, "identity", at.At("identity"), name, c.Identities)
}
