package probe

import (
	"path/filepath"
	"strings"

	"github.com/sallyport-sip/sallyport/internal/config"
)

// Target is a server that stands in no configuration.
type Target struct {
	URI       config.URI
	Cert, Key string // files of our certificate; empty: none
	// PasswordFile or PasswordEnv, which is the name of a variable, say where the password of Key is; empty: it has none.
	PasswordFile, PasswordEnv string

	Trust   []string // files of CAs, or of certificates that are believed as they are; none: the system's CAs
	Names   []string // for which the certificate may be; none: the host
	Version config.TLSVersion
}

// Config makes the configuration in which the target is the one peer, called by its host. Where the URI leaves the
// transport open, TLS is ready for it.
func (t Target) Config() *config.Config {
	cfg := config.Default()
	peer := config.Peer{Name: t.URI.Host, URI: t.URI, CertificateNames: t.Names, Trust: []string{t.trustName()}, AcceptFrom: []config.Source{}}
	if t.URI.Open && t.URI.Scheme == "sip" {
		peer.URI.Transport = config.TLS
	}
	cfg.Trust = []config.Trust{{Name: t.trustName(), Files: t.Trust, System: len(t.Trust) == 0}}
	if t.Cert != "" {
		cfg.Identities = []config.Identity{{Name: filepath.Base(t.Cert), Certificate: t.Cert, Key: t.Key,
			PasswordFile: t.PasswordFile, PasswordEnv: t.PasswordEnv}}
		peer.Identity = filepath.Base(t.Cert)
	}
	if t.Version != "" {
		cfg.Policies = []config.Policy{{Name: "probe", MinVersion: t.Version, MaxVersion: t.Version, Legacy: t.Version < config.TLS12}}
		peer.Policy = "probe"
	}
	cfg.Peers = []config.Peer{peer}
	cfg.Complete()
	return cfg
}

// trustName is how texts speak of the trust.
func (t Target) trustName() string {
	if len(t.Trust) == 0 {
		return "the system's CAs"
	}
	return strings.Join(t.Trust, ", ")
}
