package config

import "fmt"

// Identity is a certificate of ours with its key.
type Identity struct {
	Name string
	Place

	// The file with our certificate, and the intermediate certificates behind
	// it, relative to the file: PEM, DER, PKCS #7 or PKCS #12 (`.p12`, `.pfx`).
	Certificate string `yaml:"certificate" need:"required without acme" form:"file name"`

	// The file with the private key, relative to the file. It may be the same
	// file as `certificate`, as with PKCS #12.
	Key string `yaml:"key" need:"required without acme" form:"file name"`

	// A file whose first line is the password of the private key, relative to
	// the file. Default: none, the key is not encrypted.
	PasswordFile string `yaml:"password_file" form:"file name"`

	// An environment variable that holds the password, instead of
	// `password_file`. It is what the variable held when the gateway was
	// started. Default: none.
	PasswordEnv string `yaml:"password_env" form:"name of an environment variable"`

	// Whether an OCSP answer about the certificate is stapled to handshakes in
	// which we are the server. `on`: it is fetched from the responder that the
	// certificate names, if it names one, and renewed before it ends. Default:
	// `on`.
	Stapling Stapling `yaml:"stapling" form:"one of on, off"`

	// How the gateway gets the certificate by itself, and renews it, instead of
	// `certificate` and `key`. It is kept under `data`.
	ACME ACME `yaml:"acme" form:"group of keys"`
}

// Stapling says whether OCSP answers are stapled.
type Stapling string

// The values of stapling.
const (
	StaplingOn  Stapling = "on"
	StaplingOff Stapling = "off"
)

func (v *Stapling) set(text string) *fault { return setWord(v, text, StaplingOn, StaplingOff) }

func checkIdentities(c *Config, r *report) {
	for i := range c.Identities {
		id := &c.Identities[i]
		if id.Automatic() {
			checkACME(c, r, id)
			continue
		}
		for _, file := range []struct{ key, path, what string }{
			{"certificate", id.Certificate, "our certificate"},
			{"key", id.Key, "its private key"},
		} {
			if file.path == "" && id.missing(file.key) {
				r.add(id.Pos, fmt.Sprintf("identity %q: %q is missing", id.Name, file.key), "",
					"name the PEM file with "+file.what)
			}
		}
		checkPassword(r, id)
	}
}

// checkPassword never repeats what password_env is: it may be the password itself.
func checkPassword(r *report, id *Identity) {
	if id.PasswordFile != "" && id.PasswordEnv != "" {
		r.add(id.At("password_env"), fmt.Sprintf("identity %q: it has both password_file and password_env", id.Name), "there is one password", "remove one of them")
	}
	if id.PasswordEnv != "" && !isVariable(id.PasswordEnv) {
		r.add(id.At("password_env"), fmt.Sprintf("identity %q: password_env is no name of an environment variable", id.Name),
			"a password must not stand in this file", "write the name of the variable that holds the password, without $, for instance GATEWAY_KEY_PASSWORD")
	}
}

// isVariable reports whether s is what a shell takes for the name of a variable.
func isVariable(s string) bool {
	for i, c := range []byte(s) {
		letter := 'A' <= c && c <= 'Z' || 'a' <= c && c <= 'z' || c == '_'
		if !letter && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return s != ""
}

// checkIdentityName judges a reference. What comes from the defaults is
// reported there, once.
func checkIdentityName(c *Config, r *report, label string, at Place, name string) {
	if name == "" || !at.Has("identity") && (name == c.Defaults.Identity || name == c.Defaults.ClientIdentity) {
		return
	}
	checkName(r, label, "identity", at.At("identity"), name, c.Identities)
}
