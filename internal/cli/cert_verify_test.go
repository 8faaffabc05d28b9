package cli

import (
	"crypto/x509"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-sip/sallyport/internal/testca"
)

// files writes into a directory of its own and returns how to name what is in it.
func files(t *testing.T, all map[string][]byte) func(string) string {
	t.Helper()
	dir := t.TempDir()
	for name, data := range all {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return func(name string) string { return filepath.Join(dir, name) }
}

// judged runs cert verify and returns its document.
func judged(t *testing.T, args ...string) (verified, result) {
	t.Helper()
	got := run(t, append([]string{"cert", "verify", "--json"}, args...)...)
	var doc verified
	if err := json.Unmarshal([]byte(got.stdout), &doc); err != nil {
		t.Fatalf("%v in %+v", err, got)
	}
	if doc.Accepted != (got.status == exitGood) {
		t.Errorf("accepted %v with status %d", doc.Accepted, got.status)
	}
	return doc, got
}

// Each thing that makes a peer refuse a certificate is named, in the roles in which it does, with a remedy.
func TestCertVerify(t *testing.T) {
	t.Parallel()
	root := testca.New("Lab Root")
	issuer := root.Intermediate("Lab Issuer")
	good := issuer.Leaf("gw.example", testca.URI("sip:gw.example"))
	other := testca.New("Other Root").Leaf("gw.example", testca.URI("sip:gw.example"))
	deep := root
	for _, name := range []string{"One", "Two", "Three", "Four", "Five", "Six"} {
		deep = deep.Intermediate(name)
	}
	in := files(t, map[string][]byte{
		"root.pem": root.PEM(), "gw.pem": good.PEM(), "gw-key.pem": good.KeyPEM(), "alone.pem": good.Alone().PEM(), "issuer.pem": issuer.PEM(),
		"mixed.pem": slices.Concat(issuer.PEM(), good.Alone().PEM()), "full.pem": slices.Concat(good.PEM(), root.PEM()),
		"other.pem": other.PEM(), "other-key.pem": other.KeyPEM(),
		"expired.pem": issuer.Leaf("gw.example", testca.URI("sip:gw.example"), testca.Expired()).PEM(),
		"early.pem":   issuer.Leaf("gw.example", testca.URI("sip:gw.example"), testca.NotYetValid()).PEM(),
		"long.pem":    issuer.Leaf("gw.example", testca.URI("sip:gw.example"), testca.Valid(0, 1000*time.Hour)).PEM(),
		"server.pem":  issuer.Leaf("gw.example", testca.URI("sip:gw.example"), testca.Usages(x509.ExtKeyUsageServerAuth)).PEM(),
		"mail.pem":    issuer.Leaf("gw.example", testca.URI("sip:gw.example"), testca.Usages(x509.ExtKeyUsageEmailProtection)).PEM(),
		"wild.pem":    issuer.Leaf("gw.example", testca.DNS("*.example")).PEM(),
		"rsa1024.pem": issuer.Leaf("gw.example", testca.URI("sip:gw.example"), testca.RSA(1024)).PEM(),
		"self.pem":    testca.SelfSigned("gw.example", testca.URI("sip:gw.example")).PEM(),
		"deep.pem":    deep.Leaf("gw.example", testca.URI("sip:gw.example")).PEM(),
	})
	for _, tt := range []struct {
		line           string
		server, client string // codes of the failures, in order; empty: it is accepted
		notes          string
		missing        string
	}{
		{line: "gw.pem", notes: "expires_soon expires_soon"},
		{line: "gw.pem gw-key.pem", notes: "expires_soon expires_soon"},
		{line: "alone.pem issuer.pem", notes: "expires_soon expires_soon"},
		{line: "full.pem", notes: "expires_soon expires_soon expires_soon root_sent"},
		{line: "mixed.pem", server: "wrong_order", client: "wrong_order", notes: "expires_soon expires_soon"},
		{line: "gw.pem other-key.pem", server: "key_mismatch", client: "key_mismatch", notes: "expires_soon expires_soon"},
		{line: "other.pem", server: "unknown_ca", client: "unknown_ca", notes: "expires_soon", missing: "CN=Other Root"},
		{line: "alone.pem", server: "unknown_ca", client: "unknown_ca", notes: "expires_soon", missing: "CN=Lab Issuer"},
		{line: "expired.pem", server: "expired", client: "expired", notes: "expires_soon"},
		{line: "early.pem", server: "not_yet_valid", client: "not_yet_valid", notes: "expires_soon expires_soon"},
		{line: "long.pem", notes: "expires_soon"},
		{line: "server.pem", client: "wrong_usage", notes: "expires_soon expires_soon"},
		{line: "mail.pem", server: "wrong_usage", client: "wrong_usage", notes: "expires_soon expires_soon"},
		{line: "wild.pem", server: "name_mismatch", client: "name_mismatch", notes: "expires_soon expires_soon"},
		{line: "rsa1024.pem", server: "weak", client: "weak", notes: "expires_soon expires_soon"},
		{line: "self.pem", server: "self_signed", client: "self_signed", notes: "expires_soon"},
		{line: "deep.pem", server: "chain_too_deep", client: "chain_too_deep", notes: strings.TrimSpace(strings.Repeat("expires_soon ", 7))},
	} {
		var args []string
		for name := range strings.FieldsSeq(tt.line) {
			args = append(args, in(name))
		}
		doc, got := judged(t, append(args, "--trust", in("root.pem"), "--names", "gw.example")...)
		codes := func(all []finding) string {
			var s []string
			for _, f := range all {
				s = append(s, f.Code)
				if f.Reason == "" || f.Remedy == "" {
					t.Errorf("%s: no reason or no remedy: %+v", tt.line, f)
				}
			}
			return strings.Join(s, " ")
		}
		if len(doc.Verdicts) != 2 {
			t.Errorf("%s: %+v", tt.line, got)
			continue
		}
		if s, c := codes(doc.Verdicts[0].Failures), codes(doc.Verdicts[1].Failures); s != tt.server || c != tt.client || doc.Verdicts[0].Accepted != (s == "") {
			t.Errorf("%s: as server %q, want %q; as client %q, want %q", tt.line, s, tt.server, c, tt.client)
		}
		if n := codes(doc.Notes); n != tt.notes || doc.Missing != tt.missing {
			t.Errorf("%s: notes %q, want %q; missing %q, want %q", tt.line, n, tt.notes, doc.Missing, tt.missing)
		}
		text := run(t, append([]string{"cert", "verify", "--ascii", "--trust", in("root.pem"), "--names", "gw.example"}, args...)...)
		for line := range strings.Lines(strings.ReplaceAll(text.stdout, filepath.Dir(in("x")), "")) {
			if len(line) > 81 {
				t.Errorf("%s: more than 80 columns: %q", tt.line, line)
			}
		}
	}
	if doc, _ := judged(t, in("server.pem"), "--trust", in("root.pem"), "--names", "gw.example", "--as", "server"); !doc.Accepted || len(doc.Verdicts) != 1 {
		t.Errorf("in one role: %+v", doc)
	}
	if doc, _ := judged(t, in("gw.pem"), "--trust", in("root.pem")); !doc.Accepted || doc.Notes[len(doc.Notes)-1].Code != "no_name" {
		t.Errorf("without a name: %+v", doc)
	}
}

// A missing intermediate is named with the address that the certificate has, and fetched only when that is asked for.
func TestCertVerifyFetches(t *testing.T) {
	t.Parallel()
	root := testca.New("Lab Root")
	issuer := root.Intermediate("Lab Issuer")
	asked := 0
	served := issuer.Cert.Raw
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked++
		if served == nil {
			http.NotFound(w, r)
		}
		w.Write(served)
	}))
	defer web.Close()
	leaf := issuer.Leaf("gw.example", testca.URI("sip:gw.example"), testca.Template(func(c *x509.Certificate) {
		c.IssuingCertificateURL = []string{web.URL + "/issuer.cer"}
	})).Alone()
	in := files(t, map[string][]byte{"root.pem": root.PEM(), "gw.pem": leaf.PEM()})
	line := []string{in("gw.pem"), "--trust", in("root.pem"), "--names", "gw.example"}

	doc, _ := judged(t, line...)
	if doc.Accepted || doc.Missing != "CN=Lab Issuer" || doc.URL != web.URL+"/issuer.cer" || asked != 0 {
		t.Errorf("without --fetch: %+v, asked %d times", doc, asked)
	}
	doc, _ = judged(t, append(line, "--fetch")...)
	if !doc.Accepted || len(doc.Fetched) != 1 || asked != 1 {
		t.Errorf("with --fetch: %+v, asked %d times", doc, asked)
	}
	for name, tt := range map[string]struct {
		body []byte
		want string
	}{
		"another certificate": {testca.New("Lab Issuer").Cert.Raw, "holds no certificate that has signed CN=gw.example: ask the authority"},
		"something else":      {[]byte("<html>"), "it is not a PEM file"},
		"too much":            {make([]byte, maxFetched+1), "is larger than 256 KiB"},
		"nothing":             {nil, "the server says 404 Not Found"},
	} {
		served = tt.body
		got := run(t, append([]string{"cert", "verify", "--fetch"}, line...)...)
		if got.status != exitFailed || !strings.Contains(got.stderr, tt.want) {
			t.Errorf("%s: %+v, want %q", name, got, tt.want)
		}
	}
}

// With --peer it is judged by the trust, names and policy of that peer in the configuration.
func TestCertVerifyByPeer(t *testing.T) {
	t.Parallel()
	acme, lab := testca.New("Acme Root"), testca.New("Lab Root")
	gw := lab.Leaf("gw.example")
	in := files(t, map[string][]byte{
		"acme-ca.pem": acme.PEM(), "lab-ca.pem": lab.PEM(), "gw.pem": gw.PEM(), "gw-key.pem": gw.KeyPEM(),
		"acme.pem": acme.Leaf("acme.example", testca.URI("sip:acme.example")).PEM(), "deep.pem": acme.Intermediate("Acme Issuer").Intermediate("Acme Sub").Leaf("acme.example", testca.URI("sip:acme.example")).PEM(),
		"wild.pem": acme.Leaf("acme.example", testca.DNS("*.acme.example")).PEM(),
		"lab.pem":  lab.Leaf("acme.example", testca.URI("sip:acme.example")).PEM(),
		"sallyport.yaml": []byte(`listeners: {outside: {listen: "tls:127.0.0.1:5061"}}
identities: {gateway: {certificate: gw.pem, key: gw-key.pem}}
trust: {acme: {files: [acme-ca.pem]}, lab: {files: [lab-ca.pem]}}
defaults: {identity: gateway, trust: [lab]}
policies: {flat: {chain_depth: 1}, wild: {wildcards: true}}
peers:
  acme: {uri: "sip:192.0.2.1;transport=tls", certificate_names: [acme.example], trust: [acme], policy: flat}
  pinned: {uri: "sip:192.0.2.3;transport=tls", certificate_names: [acme.example], trust: [acme], pins: ["sha256/AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="], accept_from: []}
  wild: {uri: "sip:192.0.2.4;transport=tls", certificate_names: [sbc.acme.example], trust: [acme], policy: wild}
  pbx: {uri: "sip:192.0.2.2;transport=udp"}
routes: [{from: [acme], to: [pbx]}]
`)})
	for _, tt := range []struct{ file, peer, want, notes string }{
		{"acme.pem", "acme", "", "expires_soon revocation"},
		{"deep.pem", "acme", "chain_too_deep", "expires_soon expires_soon expires_soon revocation"},
		{"lab.pem", "acme", "unknown_ca", "expires_soon revocation"},
		{"gw.pem", "acme", "unknown_ca name_mismatch", "expires_soon revocation"},
		{"acme.pem", "pinned", "pin_mismatch", "expires_soon revocation"},
		{"lab.pem", "pinned", "unknown_ca pin_mismatch", "expires_soon revocation"},
		{"wild.pem", "acme", "name_mismatch", "expires_soon revocation"},
		{"wild.pem", "wild", "", "by_leave expires_soon revocation"},
	} {
		doc, got := judged(t, in(tt.file), "--config", in("sallyport.yaml"), "--peer", tt.peer, "--as", "server")
		var codes []string
		for _, f := range doc.Verdicts[0].Failures {
			codes = append(codes, f.Code)
		}
		var notes []string
		for _, f := range doc.Notes {
			notes = append(notes, f.Code)
		}
		if strings.Join(codes, " ") != tt.want || strings.Join(notes, " ") != tt.notes || !strings.Contains(doc.By, `of peer "`+tt.peer+`"`) {
			t.Errorf("%+v: %+v", tt, got)
		}
	}
	for line, want := range map[string]string{
		"--peer acm":                 `did you mean "acme"?`,
		"--peer pbx":                 "no peer with TLS",
		"--peer acme --system":       "--peer brings its own trust",
		"":                           "--config is for --peer",
		"--peer acme --as nobody":    `--as "nobody" is not`,
		"--peer acme --names a --as": "--as is without its value",
	} {
		got := run(t, append([]string{"cert", "verify", in("acme.pem"), "--config", in("sallyport.yaml")}, strings.Fields(line)...)...)
		if got.status != exitUsage || !strings.Contains(got.stderr, want) {
			t.Errorf("%q: %+v, want %q", line, got, want)
		}
	}
}
