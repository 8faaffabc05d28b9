//go:build interop

package e2e

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"testing"
)

// issueResponded is issue with the address of an OCSP responder in the certificate.
func (p pki) issueResponded(t *testing.T, name, responder string) {
	t.Helper()
	domain := name + ".example"
	p.openssl(t, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
		"-subj", "/CN="+domain, "-addext", "subjectAltName=URI:sip:"+domain+",DNS:"+domain,
		"-addext", "basicConstraints=critical,CA:FALSE", "-addext", "authorityInfoAccess=OCSP;URI:"+responder,
		"-CA", p.file("ca.pem"), "-CAkey", p.file("ca-key.pem"), "-keyout", p.file(name+"-key.pem"), "-out", p.file(name+".pem"))
}

// database makes openssl's database of what the CA has issued.
func (p pki) database(t *testing.T, names ...string) {
	t.Helper()
	config := fmt.Sprintf("[ca]\ndefault_ca = lab\n[lab]\ndatabase = %s\ncertificate = %s\nprivate_key = %s\ndefault_md = sha256\ndefault_crl_days = 1\n",
		p.file("index.txt"), p.file("ca.pem"), p.file("ca-key.pem"))
	for file, text := range map[string]string{"ca.cnf": config, "index.txt": ""} {
		if err := os.WriteFile(p.file(file), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range names {
		p.openssl(t, "ca", "-config", p.file("ca.cnf"), "-valid", p.file(name+".pem"))
	}
}

// rewrite writes a file anew with a piece of its text replaced.
func (p pki) rewrite(t *testing.T, name string, text []byte, old, new string) {
	t.Helper()
	if !bytes.Contains(text, []byte(old)) {
		t.Fatalf("%s has no %q", name, old)
	}
	if err := os.WriteFile(p.file(name), bytes.Replace(text, []byte(old), []byte(new), 1), 0o600); err != nil {
		t.Fatal(err)
	}
}

// sallyport runs a command of the program.
func (p pki) sallyport(t *testing.T, args ...string) {
	t.Helper()
	if out, err := exec.CommandContext(t.Context(), binary, args...).CombinedOutput(); err != nil {
		t.Fatalf("sallyport %s: %v\n%s", args[0], err, out)
	}
}
