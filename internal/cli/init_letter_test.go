package cli

import (
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sallyport-sip/sallyport/internal/testca"
	"github.com/sallyport-sip/sallyport/internal/trust"
)

// TestInitLetters wants each letter to say what the other side must know, and no letter to have a secret.
func TestInitLetters(t *testing.T) {
	root := testca.New("Acme Root")
	dir := t.TempDir()
	rootFile := filepath.Join(dir, "acme-root.pem")
	if err := os.WriteFile(rootFile, root.PEM(), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		line  string
		wants map[string][]string // by peer
	}{
		"TLS": {"--pbx sip:192.0.2.20:5061;transport=tls --carrier acme=sip:sip.acme.example --trust acme=" + rootFile + " --advertise 203.0.113.1", map[string][]string{
			"pbx": {"cert issue --ca ca.pem --ip 192.0.2.20 --out pbx.pem", "To          192.0.2.20:5061, TLS", "Signed by   our authority"},
			"acme": {"Host        203.0.113.1\n", "Port        5061, TCP", "versions 1.2 and 1.3", "sip:NUMBER@203.0.113.1:5061;transport=tls",
				"To          sip.acme.example:5061, TLS", "From        203.0.113.1, from any port", "sip:NUMBER@sip.acme.example;transport=tls",
				"URI:sip:sbc.example.com", "DNS:sbc.example.com", "IP:203.0.113.1", "serverAuth and clientAuth", "For         sip.acme.example\n",
				"Signed by   CN=Acme Root", "public CAs only", "In          TCP to sip.acme.example:5061, from 203.0.113.1", "Out         TCP to 203.0.113.1:5061", "403", "Warning 380"},
		}},
		"UDP and sips": {"--pbx sip:10.0.0.5:5070 --lan 10.0.0.2 --carrier acme=sip:a.example --carrier old=sip:198.51.100.9;transport=tcp", map[string][]string{
			"pbx": {"Host        10.0.0.2", "Port        5060, UDP", "in clear", "Address     10.0.0.5:5070", "send from port 5070", "From        10.0.0.2, port 5060", "REGISTER    is not taken"},
			"old": {"sip:NUMBER@198.51.100.9;transport=tcp", "Out         TCP to 10.0.0.2:5060"},
			"acme": {"Host        sbc.example.com", "the addresses that DNS has for sbc.example.com", "Signed by   a public CA",
				"DNS         sbc.example.com must have its address"},
		}},
		"sips": {"--pbx sips:pbx.example.com --carrier acme=sips:a.example:5091", map[string][]string{
			"acme": {"sips:NUMBER@a.example:5091\n", "sips:CALLER@sbc.example.com", "a sip: request is refused with 480"},
		}},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "gw")
			if got := run(t, initArgs(dir, tt.line)...); got.status != exitGood {
				t.Fatalf("%+v", got)
			}
			for peer, wants := range tt.wants {
				letter := string(readAll(t, filepath.Join(dir, "send-to-"+peer+".txt")))
				for _, want := range wants {
					if !strings.Contains(letter, want) {
						t.Errorf("the letter to %s lacks %q:\n%s", peer, want, letter)
					}
				}
				for line := range strings.Lines(letter) {
					if len(line) > 81 {
						t.Errorf("the letter to %s has a long line: %q", peer, line)
					}
				}
				noSecret(t, dir, letter)
			}
			noSecret(t, dir, string(readAll(t, filepath.Join(dir, configName))))
			checkLetterCertificates(t, dir, string(readAll(t, filepath.Join(dir, "send-to-acme.txt"))))
		})
	}
}

// noSecret wants nothing of the keys in a text, neither in PEM nor in another form.
func noSecret(t *testing.T, dir, text string) {
	t.Helper()
	for _, name := range []string{keyFile, caKeyName} {
		block, _ := pem.Decode(readAll(t, filepath.Join(dir, name)))
		key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		secret := key.(interface{ Bytes() ([]byte, error) })
		raw, err := secret.Bytes()
		if err != nil {
			t.Fatal(err)
		}
		for i := 0; i+12 <= len(raw); i++ {
			part := raw[i : i+12]
			for _, form := range []string{fmt.Sprintf("%x", part), fmt.Sprintf("%X", part), base64.StdEncoding.EncodeToString(part), string(part)} {
				if strings.Contains(text, form) {
					t.Fatalf("bytes of %s are in\n%s", name, text)
				}
			}
		}
		for line := range strings.Lines(string(readAll(t, filepath.Join(dir, name)))) {
			if strings.Contains(text, strings.TrimSpace(line)) {
				t.Errorf("a line of %s is in\n%s", name, text)
			}
		}
	}
}

// checkLetterCertificates wants the authority's certificate in the letter, and the fingerprints of both.
func checkLetterCertificates(t *testing.T, dir, letter string) {
	t.Helper()
	if !strings.Contains(letter, strings.TrimSpace(string(readAll(t, filepath.Join(dir, caName))))) {
		t.Errorf("the authority's certificate is not in\n%s", letter)
	}
	for _, name := range []string{certName, caName} {
		certs, err := trust.ReadCertificates(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{sha256Of(certs[0]), isoDay(certs[0].NotBefore) + " to " + isoDay(certs[0].NotAfter)} {
			if !strings.Contains(letter, want) {
				t.Errorf("%s of %s is not in\n%s", want, name, letter)
			}
		}
	}
}
