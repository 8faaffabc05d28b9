package config

import (
	"slices"
	"testing"
)

// The certificate of an identity with acme is a file under data like any other: read, watched, and left where it is
// while the gateway runs.
func TestWhereCertificatesOfACMEAreKept(t *testing.T) {
	c, problems := Parse("/etc/sallyport/s.yaml", []byte(`
listeners: {a: {listen: "tls:127.0.0.1:5061"}}
identities:
  us: {acme: {domains: [a.example], terms_agreed: true, ca_root: root.pem}}
  files: {certificate: a.pem, key: b.pem}
trust: {them: {system: true}}
defaults: {identity: us, trust: [them]}
data: /var/lib/sallyport
`))
	mustBeGood(t, problems)
	us := &c.Identities[0]
	const file = "/var/lib/sallyport/acme/identities/us.pem"
	if us.Certificate != file || us.Key != file || us.ACME.CARoot != "/etc/sallyport/root.pem" {
		t.Errorf("got %+v", us)
	}
	if a := us.ACME; a.CA != LetsEncrypt || a.Challenge != ChallengeHTTP || a.HTTPListen.String() != "0.0.0.0:80" {
		t.Errorf("defaults: %+v", a)
	}
	if !slices.Contains(c.Files(), File{`identity "us"`, "ca_root", "/etc/sallyport/root.pem"}) {
		t.Errorf("files: %v", c.Files())
	}
	if c.Identities[1].Automatic() {
		t.Error("an identity with files is automatic")
	}
	c.KeepIn("/srv")
	if us.Certificate != "/srv/acme/identities/us.pem" || us.Key != us.Certificate || c.Identities[1].Certificate != "/etc/sallyport/a.pem" {
		t.Errorf("got %+v", c.Identities)
	}
}
