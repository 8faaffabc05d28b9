package trust_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/sallyport-sip/sallyport/internal/config"
	"github.com/sallyport-sip/sallyport/internal/testca"
	"github.com/sallyport-sip/sallyport/internal/trust"
)

const loadYAML = `listeners:
  outside: {listen: "tls:127.0.0.1:5061"}
identities:
  gateway:
    certificate: gw.pem
    key: gw-key.pem
trust:
  partners: {files: [ca.pem, more.pem]}
defaults: {identity: gateway, trust: [partners]}
peers:
  acme: {uri: "sip:sip.acme.example;transport=tls"}
routes: [{from: [acme], to: [acme]}]
`

// Every problem of a PEM file, with its place in the configuration.
func TestProblemsOfFiles(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		root := testca.New("Lab Root")
		issuer := root.Intermediate("Lab Issuer")
		leaf, other := issuer.Leaf("gw.example"), root.Leaf("other.example")
		broken12 := []byte{0x30, 0x82, 0x04, 0x00, 0x02, 0x01, 0x03, 0x30}
		x25519 := &pem.Block{Type: "OPENSSH PRIVATE KEY", Bytes: []byte("x")}
		traditional := &pem.Block{Type: "EC PRIVATE KEY", Headers: map[string]string{"Proc-Type": "4,ENCRYPTED", "DEK-Info": "AES-128-CBC,00"}, Bytes: []byte("x")}
		broken := bytes.Replace(root.PEM(), []byte("MII"), []byte("M!I"), 1)
		var s strings.Builder
		for _, tt := range []struct {
			name  string
			files map[string][]byte // nil: the file is not there
		}{
			{"nothing wrong", nil},
			{"swapped", map[string][]byte{"gw.pem": leaf.KeyPEM(), "gw-key.pem": leaf.PEM()}},
			{"not there", map[string][]byte{"gw.pem": nil, "gw-key.pem": nil, "more.pem": nil}},
			{"empty", map[string][]byte{"gw.pem": []byte(" \n"), "gw-key.pem": {}, "ca.pem": {}}},
			{"DER", map[string][]byte{"gw.pem": leaf.Cert().Raw, "gw-key.pem": pkcs8(t, leaf), "ca.pem": root.Cert.Raw}},
			{"PKCS #12, broken", map[string][]byte{"gw.pem": broken12, "ca.pem": broken12}},
			{"other text", map[string][]byte{"gw.pem": []byte("hello"), "ca.pem": broken}},
			{"request", map[string][]byte{"gw.pem": request(t, leaf)}},
			{"public key", map[string][]byte{"gw.pem": pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: []byte("x")})}},
			{"bad certificate", map[string][]byte{"ca.pem": pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte("x")})}},
			{"too large", map[string][]byte{"ca.pem": bytes.Repeat([]byte{'x'}, 1<<20+1)}},
			{"mismatch", map[string][]byte{"gw-key.pem": other.KeyPEM()}},
			{"key twice", map[string][]byte{"gw.pem": leaf.KeyPEM()}},
			{"certificate twice", map[string][]byte{"gw-key.pem": leaf.PEM()}},
			{"key in the trust", map[string][]byte{"ca.pem": leaf.KeyPEM()}},
			{"encrypted PKCS #8", map[string][]byte{"gw-key.pem": locked(t, leaf)}},
			{"PKCS #12 with a password", map[string][]byte{"gw.pem": p12(t, leaf), "gw-key.pem": p12(t, leaf), "ca.pem": p12(t, leaf)}},
			{"encrypted, old form", map[string][]byte{"gw-key.pem": pem.EncodeToMemory(traditional)}},
			{"unknown key", map[string][]byte{"gw-key.pem": pem.EncodeToMemory(x25519)}},
			{"bad key", map[string][]byte{"gw-key.pem": pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: []byte("x")})}},
			{"expired", pair(issuer.Leaf("gw.example", testca.Expired()))},
			{"not yet valid", pair(issuer.Leaf("gw.example", testca.NotYetValid()))},
			{"expired intermediate", pair(root.Intermediate("Old Issuer", testca.Expired()).Leaf("gw.example"))},
			{"wrong intermediate", map[string][]byte{"gw.pem": append(leaf.Alone().PEM(), root.Intermediate("Other Issuer").PEM()...)}},
			{"anchor that OpenSSL's notes reject", map[string][]byte{"ca.pem": append(other.PEM(), rejected(root)...)}},
			{"expired anchor", map[string][]byte{"ca.pem": testca.New("Old Root", testca.Expired()).PEM()}},
			{"expired anchor beside a good one", map[string][]byte{"ca.pem": append(testca.New("Old Root", testca.Expired()).PEM(), root.PEM()...)}},
		} {
			dir := t.TempDir()
			files := map[string][]byte{"gw.pem": leaf.PEM(), "gw-key.pem": leaf.KeyPEM(), "ca.pem": root.PEM(), "more.pem": other.PEM()}
			maps.Copy(files, tt.files)
			for name, data := range files {
				if data != nil {
					write(t, filepath.Join(dir, name), data)
				}
			}
			fmt.Fprintf(&s, "== %s ==\n", tt.name)
			for _, p := range check(t, dir) {
				fmt.Fprintln(&s, strings.ReplaceAll(p.String(), dir+string(filepath.Separator), "DIR/"))
			}
			s.WriteByte('\n')
		}
		golden(t, "files.txt", s.String())
	})
}

// rejected is what "openssl x509 -trustout -addreject serverAuth" writes.
func rejected(root *testca.CA) []byte {
	notes := []byte{0x30, 12, 0xa0, 10, 6, 8, 0x2b, 6, 1, 5, 5, 7, 3, 1}
	return pem.EncodeToMemory(&pem.Block{Type: "TRUSTED CERTIFICATE", Bytes: append(bytes.Clone(root.Cert.Raw), notes...)})
}

func check(t *testing.T, dir string) []config.Problem {
	t.Helper()
	cfg, problems := config.Parse(filepath.Join(dir, "sallyport.yaml"), []byte(loadYAML))
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	problems = trust.Check(cfg)
	if set, again := trust.Load(cfg); (set == nil) != (len(problems) > 0) || len(again) != len(problems) {
		t.Errorf("Load: set %v, %d problems; Check: %d", set != nil, len(again), len(problems))
	}
	return problems
}

func write(t *testing.T, path string, data []byte) {
	t.Helper()
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

func pair(l *testca.Leaf) map[string][]byte {
	return map[string][]byte{"gw.pem": l.PEM(), "gw-key.pem": l.KeyPEM()}
}

func pkcs8(t *testing.T, l *testca.Leaf) []byte {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(l.Key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func TestDirectoriesAndPermissions(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	l := testca.New("Lab Root").Leaf("gw.example")
	write(t, filepath.Join(dir, "gw.pem"), l.PEM())
	write(t, filepath.Join(dir, "gw-key.pem"), l.KeyPEM())
	write(t, filepath.Join(dir, "ca.pem"), l.PEM())
	if err := os.Mkdir(filepath.Join(dir, "more.pem"), 0o700); err != nil {
		t.Fatal(err)
	}
	problems := check(t, dir)
	if len(problems) != 1 || problems[0].Line != 8 || !strings.Contains(problems[0].What, `more.pem": it is a directory`) {
		t.Errorf("directory: %v", problems)
	}
	if err := os.Remove(filepath.Join(dir, "more.pem")); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "more.pem"), l.PEM())
	if err := os.Chmod(filepath.Join(dir, "gw-key.pem"), 0); err != nil {
		t.Fatal(err)
	}
	if _, err := os.ReadFile(filepath.Join(dir, "gw-key.pem")); err == nil {
		t.Skip("this user reads every file")
	}
	problems = check(t, dir)
	if len(problems) != 1 || problems[0].Line != 6 || !strings.Contains(problems[0].What, "may not be read") {
		t.Errorf("permissions: %v", problems)
	}
}

// Files that are unusual and right: certificates in another order, both in one file, older forms of keys, text around
// the blocks.
func TestFilesOfEveryForm(t *testing.T) {
	t.Parallel()
	root := testca.New("Lab Root")
	issuer := root.Intermediate("Lab Issuer")
	leaf := issuer.Leaf("gw.example")
	wide := root.Leaf("gw.example", testca.RSA(2048))
	ec, err := x509.MarshalECPrivateKey(leaf.Key.(*ecdsa.PrivateKey))
	if err != nil {
		t.Fatal(err)
	}
	ecPEM := append([]byte("-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n"),
		pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: ec})...)
	rsaPEM := pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(wide.Key.(*rsa.PrivateKey))})
	spare, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	chain := []string{"CN=gw.example", "CN=Lab Issuer"}
	join := func(parts ...[]byte) []byte { return bytes.Join(parts, []byte("some text\r\n")) }
	for name, tt := range map[string]struct {
		cert, key []byte
		want      []string
	}{
		"leaf first":            {leaf.PEM(), leaf.KeyPEM(), chain},
		"root first":            {join(root.PEM(), issuer.PEM(), leaf.Alone().PEM()), leaf.KeyPEM(), chain},
		"leaf twice":            {join(leaf.PEM(), leaf.PEM()), leaf.KeyPEM(), chain},
		"key before":            {join(leaf.KeyPEM(), leaf.PEM()), leaf.KeyPEM(), chain},
		"both files the same":   {join(leaf.PEM(), leaf.KeyPEM()), join(leaf.PEM(), leaf.KeyPEM()), chain},
		"with Windows newlines": {bytes.ReplaceAll(leaf.PEM(), []byte("\n"), []byte("\r\n")), leaf.KeyPEM(), chain},
		"SEC 1 key":             {leaf.PEM(), ecPEM, chain},
		"PKCS #1 key":           {wide.PEM(), rsaPEM, chain[:1]},
		"second key":            {leaf.PEM(), join((&testca.Leaf{Key: spare}).KeyPEM(), leaf.KeyPEM()), chain},
		"without intermediate":  {leaf.Alone().PEM(), leaf.KeyPEM(), chain[:1]},
		"self-signed":           {testca.SelfSigned("gw.example", testca.Key(leaf.Key)).PEM(), leaf.KeyPEM(), chain[:1]},
	} {
		dir := t.TempDir()
		write(t, filepath.Join(dir, "gw.pem"), tt.cert)
		write(t, filepath.Join(dir, "gw-key.pem"), tt.key)
		write(t, filepath.Join(dir, "ca.pem"), root.PEM())
		write(t, filepath.Join(dir, "more.pem"), join(root.PEM(), issuer.PEM()))
		cfg, _ := config.Parse(filepath.Join(dir, "sallyport.yaml"), []byte(loadYAML))
		set, problems := trust.Load(cfg)
		if len(problems) > 0 {
			t.Errorf("%s: %v", name, problems)
			continue
		}
		var got []string
		for _, c := range set.Identity("gateway").Chain {
			got = append(got, trust.Subject(c))
		}
		if fmt.Sprint(got) != fmt.Sprint(tt.want) {
			t.Errorf("%s: chain %v, want %v", name, got, tt.want)
		}
		if set.PeerIdentity("acme") != set.Identity("gateway") || set.ListenerIdentity("outside", "") != set.Identity("gateway") || set.ListenerIdentity("nobody", "") != nil {
			t.Errorf("%s: the identity is not that of the defaults", name)
		}
	}
}

func TestSystemTrust(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.cfg.Trust[0].System = true
	set := w.load()
	if set.ServerConfig("outside").ClientCAs != nil {
		t.Error("the system's CAs are all named to the client")
	}
	if _, s := meet(t, foreign(w.root.Leaf("acme.example"), 0), set.ServerConfig("outside")); s.err != nil {
		t.Errorf("a CA from a file beside the system's: %v", s.err)
	}
	if _, s := meet(t, foreign(testca.New("Rogue").Leaf("acme.example"), 0), set.ServerConfig("outside")); s.err == nil {
		t.Error("an unknown CA was accepted")
	}
}

func FuzzPEM(f *testing.F) {
	l := testca.New("Lab Root").Leaf("gw.example")
	f.Add(l.PEM())
	f.Add(l.KeyPEM())
	f.Add([]byte("-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n"))
	f.Add([]byte{0x30, 0x82})
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, data []byte) {
		path := filepath.Join(dir, "x.pem")
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		certs, err := trust.ReadCertificates(path)
		if (err == nil) != (len(certs) > 0) {
			t.Errorf("%d certificates and %v", len(certs), err)
		}
		if err != nil && !strings.HasPrefix(err.Error(), path+": ") {
			t.Errorf("error without the file's name: %v", err)
		}
	})
}
