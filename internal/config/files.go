package config

import (
	"fmt"
	"path/filepath"
)

// File is a file that the configuration names and the gateway reads.
type File struct {
	Of   string // whose it is, as problems name it: `identity "gateway"`
	Key  string // under which it stands there: "certificate"
	Path string
}

// Files returns the files that the configuration names, in its order: what is
// read again by a reload, and watched. The configuration's own file is not among
// them.
func (c *Config) Files() []File {
	var all []File
	c.eachFile(func(of, key string, path *string) {
		if *path != "" {
			all = append(all, File{of, key, *path})
		}
	})
	return all
}

// eachFile calls f for each key that names a file. Whoever adds such a key adds it
// here: it is then relative to the configuration's directory, and watched.
func (c *Config) eachFile(f func(of, key string, path *string)) {
	f("admin", "token_file", &c.Admin.TokenFile)
	f("admin", "operator_token_file", &c.Admin.OperatorTokenFile)
	for i := range c.Identities {
		id := &c.Identities[i]
		of := fmt.Sprintf("identity %q", id.Name)
		f(of, "certificate", &id.Certificate)
		f(of, "key", &id.Key)
		f(of, "password_file", &id.PasswordFile)
		f(of, "ca_root", &id.ACME.CARoot)
	}
	for i := range c.HEP {
		f(fmt.Sprintf("hep collector %q", c.HEP[i].Name), "password_file", &c.HEP[i].PasswordFile)
	}
	for i := range c.CDRShip {
		f(fmt.Sprintf("shipment %q", c.CDRShip[i].Name), "secret_file", &c.CDRShip[i].SecretFile)
	}
	for i := range c.Webhooks {
		f(fmt.Sprintf("webhook %q", c.Webhooks[i].Name), "secret_file", &c.Webhooks[i].SecretFile)
	}
	for _, t := range c.Trust {
		for i := range t.Files {
			f(fmt.Sprintf("trust %q", t.Name), "files", &t.Files[i])
		}
		for i := range t.CRLs {
			f(fmt.Sprintf("trust %q", t.Name), "crls", &t.CRLs[i])
		}
	}
}

// resolvePaths joins relative paths to the directory of the configuration.
func (c *Config) resolvePaths(dir string) {
	join := func(p *string) {
		if *p != "" && !filepath.IsAbs(*p) {
			*p = filepath.Join(dir, *p)
		}
	}
	join(&c.Data)
	for i := range c.CDRShip {
		join(&c.CDRShip[i].Path)
	}
	c.eachFile(func(_, _ string, path *string) { join(path) })
}
