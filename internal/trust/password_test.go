package trust_test

import (
	"bytes"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sallyport-sip/sallyport/internal/certfile"
	"github.com/sallyport-sip/sallyport/internal/config"
	"github.com/sallyport-sip/sallyport/internal/testca"
	"github.com/sallyport-sip/sallyport/internal/trust"
)

const secret = "tr0ub4dor & 3"

func locked(t *testing.T, l *testca.Leaf) []byte {
	t.Helper()
	text, err := certfile.KeyPEM(l.Key, certfile.FormPKCS8, []byte(secret))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func p12(t *testing.T, l *testca.Leaf) []byte {
	t.Helper()
	data, err := certfile.EncodePKCS12(l.Key, l.Chain, []byte(secret), false)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func request(t *testing.T, l *testca.Leaf) []byte {
	t.Helper()
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{DNSNames: []string{"gw.example"}}, l.Key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der})
}

// An identity's password comes from a file or from the environment, opens encrypted PEM, DER and PKCS #12, and is in no
// text.
func TestPasswordOfIdentity(t *testing.T) {
	t.Parallel()
	leaf := testca.New("Lab Root").Leaf("gw.example")
	lockedDER, _ := pem.Decode(locked(t, leaf))
	type files map[string][]byte
	encrypted := files{"gw.pem": leaf.PEM(), "gw-key.pem": locked(t, leaf)}
	for name, tt := range map[string]struct {
		files files
		more  string // keys of the identity
		want  string // a problem
	}{
		"file":                {files: encrypted, more: "password_file: pw"},
		"file, Windows lines": {files: encrypted, more: "password_file: pw-crlf"},
		"file, Windows mark":  {files: encrypted, more: "password_file: pw-mark"},
		"environment":         {files: encrypted, more: "password_env: GW_PASSWORD"},
		"DER":                 {files: files{"gw.pem": leaf.Cert().Raw, "gw-key.pem": lockedDER.Bytes}, more: "password_file: pw"},
		"PKCS #12":            {files: files{"gw.pem": p12(t, leaf), "gw-key.pem": p12(t, leaf)}, more: "password_file: pw"},
		"none":                {files: encrypted, want: "the private key is encrypted, nobody is there to type its password when the gateway starts, put the password into a file"},
		"wrong":               {files: encrypted, more: "password_file: pw-wrong", want: "the password does not open the private key, it is another one, or the file is damaged, correct what password_file"},
		"wrong for PKCS #12":  {files: files{"gw.pem": p12(t, leaf), "gw-key.pem": p12(t, leaf)}, more: "password_file: pw-wrong", want: "the password does not open the PKCS #12 file"},
		"not needed":          {files: files{"gw.pem": leaf.PEM(), "gw-key.pem": leaf.KeyPEM()}, more: "password_file: pw"},
		"no such file":        {files: encrypted, more: "password_file: nosuch", want: `nosuch": there is no such file, name an ordinary file whose first line is the password`},
		"a directory":         {files: encrypted, more: "password_file: .", want: "it is a directory"},
		"empty":               {files: encrypted, more: "password_file: pw-empty", want: "its first line is empty"},
		"too long":            {files: encrypted, more: "password_file: pw-long", want: "more than 1024 bytes"},
		"the key itself":      {files: encrypted, more: "password_file: gw-key.pem", want: "it is a PEM file"},
		"not set":             {files: encrypted, more: "password_env: NOT_SET", want: "the environment variable NOT_SET is empty or not set"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			for file, data := range tt.files {
				write(t, filepath.Join(dir, file), data)
			}
			for file, text := range map[string]string{"pw": secret, "pw-crlf": secret + "\r\nmore\r\n", "pw-mark": "\uFEFF" + secret + "\r\n", "pw-wrong": "wrong " + secret + "\n", "pw-empty": "\n" + secret, "pw-long": strings.Repeat("x", 1025)} {
				write(t, filepath.Join(dir, file), []byte(text))
			}
			yaml := "identities:\n  gateway: {certificate: gw.pem, key: gw-key.pem, " + tt.more + "}\nlisteners:\n  outside: {listen: \"tls:127.0.0.1:5061\", identity: gateway, client_certificates: none}\n"
			cfg, _ := config.Parse(filepath.Join(dir, "sallyport.yaml"), []byte(yaml))
			set, problems := trust.Options{Getenv: func(name string) string { return map[string]string{"GW_PASSWORD": secret}[name] }}.Load(cfg)
			if tt.want == "" {
				if len(problems) > 0 || set.Identity("gateway") == nil || !set.Identity("gateway").Chain[0].Equal(leaf.Cert()) {
					t.Fatal(problems)
				}
				return
			}
			if len(problems) == 0 || !strings.Contains(problems[0].String(), tt.want) {
				t.Fatalf("%v, want %q", problems, tt.want)
			}
			for _, p := range problems {
				if strings.Contains(p.String(), secret) || p.Line == 0 {
					t.Error(p)
				}
			}
		})
	}
}

func TestReadPassword(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "pw")
	write(t, path, []byte(" with spaces \nsecond"))
	if got, err := trust.ReadPassword(path); err != nil || !bytes.Equal(got, []byte(" with spaces ")) {
		t.Errorf("%q, %v", got, err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if _, err := trust.ReadPassword(path); err == nil || !strings.Contains(err.Error(), path) {
		t.Error(err)
	}
}
