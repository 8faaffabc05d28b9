package trust_test

import (
	"cmp"
	"crypto/tls"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sallyport-sip/sallyport/internal/config"
	"github.com/sallyport-sip/sallyport/internal/testca"
	"github.com/sallyport-sip/sallyport/internal/trust"
)

// yamlWorld is a gateway with a listener, and a peer "acme" that is wanted under a name and the policy "its"; "says" is
// one that says what the defaults would say.
func yamlWorld(t *testing.T, d *testca.Domains, listener, policy, wanted string) *trust.Set {
	t.Helper()
	dir := t.TempDir()
	gw := d.Root.Leaf("gw.example")
	write(t, filepath.Join(dir, "gw.pem"), append(gw.PEM(), gw.KeyPEM()...))
	write(t, filepath.Join(dir, "ca.pem"), d.Root.PEM())
	write(t, filepath.Join(dir, "ca.crl"), d.CRL())
	cfg, problems := config.Parse(filepath.Join(dir, "sallyport.yaml"), fmt.Appendf(nil, `listeners: {outside: %s}
identities: {gateway: {certificate: gw.pem, key: gw.pem}}
trust: {partners: {files: [ca.pem], crls: [ca.crl]}}
policies: {its: {%s}, says: {server_usage: false}}
defaults: {identity: gateway, trust: [partners]}
peers: {acme: {uri: "sip:%s;transport=tls", policy: its}}
routes: [{from: [acme], to: [acme]}]
`, listener, policy, wanted))
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	set, problems := trust.Load(cfg)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	return set
}

// TestCases tries every certificate of the cases in handshakes, shown by a server and shown by a client, and writes the
// page of what becomes of them.
func TestCases(t *testing.T) {
	t.Parallel()
	d := testca.NewDomains()
	var page strings.Builder
	for _, c := range testca.Cases {
		leaf := c.Mint(d)
		set := yamlWorld(t, d, `{listen: "tls:127.0.0.1:5061", policy: its}`, c.Policy, c.Wanted)
		for _, v := range versions {
			// We are the client: a refusal ends the handshake.
			us, them := meet(t, set.ClientConfig("acme"), foreign(leaf, v))
			if testca.Refused(c.Server) && them.err == nil {
				t.Errorf("case %s as server, %s: the server was not told", c.ID, tls.VersionName(v))
			}
			checkCase(t, set, c, leaf, v, trust.Server, us.err)

			// We are the server: the listener's policy lets strangers finish, and the peer's policy says who is there.
			_, us = meet(t, foreign(leaf, v), set.ServerConfig("outside"))
			if us.err == nil {
				_, us.err = set.VerifyPeer("acme", us.state.PeerCertificates, trust.Client)
			}
			checkCase(t, set, c, leaf, v, trust.Client, us.err)
		}
		row(&page, c)
	}
	compare(t, filepath.Join("..", "..", "docs", "reference", "certificates.md"), casesHead+page.String())
}

// checkCase compares what became of the leaf in a role with what the case wants.
func checkCase(t *testing.T, set *trust.Set, c testca.Case, leaf *testca.Leaf, version uint16, as trust.Role, err error) {
	t.Helper()
	want := c.Server
	if as == trust.Client {
		want = c.Client
	}
	got := ""
	if v, judged := set.VerifyPeer("acme", leaf.Chain, as); judged == nil && len(v.Notes) > 0 {
		got = testca.Noted
	}
	if err != nil {
		got = "an error that is no refusal"
		if r, ok := errors.AsType[*trust.Refusal](err); ok {
			got = string(r.Code)
			if r.Remedy == "" || strings.Contains(r.Reason+r.Remedy, "{") {
				t.Errorf("case %s: %s; %s", c.ID, r.Reason, r.Remedy)
			}
		}
	}
	if got != want {
		t.Errorf("case %s as %s, %s: got %q, want %q (%v)", c.ID, as, tls.VersionName(version), got, want, err)
	}
}

const casesHead = `<!-- Made by "go test ./internal/trust -run TestCases -update". Do not edit. -->

# Certificates

What becomes of a certificate that a peer shows, in both roles: *server*, when we call it, and *client*, when it calls us.
The numbers up to 24 are those of the TLS tests of RFC 6216 §6 and of what RFC 5922 adds, with certificates of today; those with a
letter are variants. Each row is tried in handshakes of TLS 1.2 and 1.3 by ` + "`TestCases`" + `, through a running gateway by
` + "`TestCertificateCases`" + `, and against OpenSSL and Kamailio with
` + "`-tags interop`" + `.

A server that is refused sees the handshake end with alert bad_certificate. So does a client whose chain, time or usage is refused;
one that only has no name of a peer is let in as a stranger and gets 403 for its requests, because a listener does not know
whom it has before it, as RFC 5922 §7.4 has it. The word is the reason code, as in logs, metrics and records. *Noted* is accepted, and marked
wherever the connection is shown.

| | certificate | wanted | policy | server | client | why |
|---|---|---|---|---|---|---|
`

func row(page *strings.Builder, c testca.Case) {
	verdict := func(outcome string) string {
		if testca.Refused(outcome) {
			return "`" + outcome + "`"
		}
		return cmp.Or(outcome, "accepted")
	}
	policy := ""
	if c.Policy != "" {
		policy = "`" + c.Policy + "`"
	}
	fmt.Fprintf(page, "| %s | %s | `%s` | %s | %s | %s | %s |\n", c.ID, c.Shows, c.Wanted, policy, verdict(c.Server), verdict(c.Client), c.Why)
}

// compare compares a page with its file, or writes it.
func compare(t *testing.T, path, got string) {
	t.Helper()
	if *update {
		write(t, path, []byte(got))
		return
	}
	if want, err := os.ReadFile(path); err != nil || string(want) != got {
		t.Errorf("%s is not what the tests show (-update rewrites it): %v", path, err)
	}
}
