package cli

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"flag"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/sallyport-sip/sallyport/internal/certfile"
	"github.com/sallyport-sip/sallyport/internal/testca"
	"github.com/sallyport-sip/sallyport/internal/trust"
)

var update = flag.Bool("update", false, "write the golden files anew")

// The text of every cert command, at the time of a bubble; sums, which differ each time, are masked.
func TestCertTexts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in := files(t, map[string][]byte{"pw": []byte("correct horse\n")})
		t.Chdir(filepath.Dir(in("x")))
		var s strings.Builder
		for _, line := range []string{
			"cert ca --name root --out root.pem --path-length 1 --new-password-file pw",
			"cert ca --ca root.pem --password-file pw --name lab-ca --out ca.pem --days 1825",
			"cert issue --ca ca.pem --sip sealed.example --out sealed.pem --new-password-file pw",
			"cert csr --dns sealed.example --out sealed.csr --use-key sealed-key.pem --password-file pw",
			"cert csr --dns sealed.example --out sealed2.csr --new-password-file pw",
			"cert issue --ca ca.pem --sip gw.example --dns gw1.example --ip 192.0.2.1 --out gw.pem --sip-domain",
			"cert csr --sip pbx.example --out pbx.csr --key rsa2048",
			"cert issue --ca ca.pem --csr pbx.csr --out pbx.pem --for server --days 20",
			"cert self-signed --dns own.example --out own.pem --key p384 --for client",
			"cert show gw.pem gw-key.pem root-key.pem",
			"cert show root-key.pem --password-file pw",
			"cert show pbx.csr pbx-key.pem",
			"cert verify gw.pem gw-key.pem --trust root.pem --names gw.example",
			"cert verify gw.pem pbx-key.pem --trust root.pem --names gw.example",
			"cert bundle pbx.pem ca.pem gw.pem gw-key.pem root.pem ca.pem --out chain.pem",
			"cert bundle own.pem --out own-chain.pem",
			"cert convert gw.pem gw-key.pem --to pkcs12 --new-password-file pw --out gw.pfx",
			"cert show gw.pfx --password-file pw",
			"cert convert gw.pfx --password-file pw --out both.pem",
			"cert show gw.pfx",
			"cert issue --ca ca.pem --sip gw.example --out gw.pem",
			"cert issue --ca root.pem --sip gw.example --out x.pem",
			"cert ca --ca ca.pem --ca-key ca-key.pem --name too-deep --out x.pem",
		} {
			got := run(t, strings.Fields(line)...)
			s.WriteString("$ sallyport " + line + "\n" + got.stdout + got.stderr + "\n")
		}
		text := regexp.MustCompile(`sha256/[A-Za-z0-9+/]{43}=`).ReplaceAllString(s.String(), "sha256/PIN")
		text = regexp.MustCompile(`[0-9a-f]{64}`).ReplaceAllString(text, "SUM")
		for line := range strings.Lines(text) {
			if !strings.HasPrefix(line, "$") && !strings.HasPrefix(line, "sallyport: ") && len([]rune(line)) > 81 {
				t.Errorf("more than 80 columns: %q", line)
			}
		}
		golden(t, "cert.txt", text)
	})
}

// golden compares with a file of testdata, from the directory in which the tests began.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join(began, "testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		have, wants := strings.Split(got, "\n"), strings.Split(string(want), "\n")
		for i := range min(len(have), len(wants)) {
			if have[i] != wants[i] {
				t.Fatalf("%s:%d:\ngot  %s\nwant %s\n(-update rewrites it)", name, i+1, have[i], wants[i])
			}
		}
		t.Fatalf("%s: %d lines, want %d (-update rewrites it)", name, len(have), len(wants))
	}
}

var began, _ = os.Getwd()

// Whatever is converted is the same certificate and key, and files with keys are closed to others.
func TestCertConvert(t *testing.T) {
	t.Parallel()
	for kind, opts := range map[string][]testca.Option{"ec": nil, "pkcs1": {testca.RSA(2048)}} {
		leaf := testca.New("Lab Root").Leaf("gw.example", opts...)
		in := files(t, map[string][]byte{"gw.pem": leaf.PEM(), "gw-key.pem": leaf.KeyPEM(), "pw": []byte("correct horse"), "wrong": []byte("wrong")})
		for _, line := range []string{
			"gw.pem gw-key.pem --out both.pem",
			"gw.pem gw-key.pem --out split.pem --key-out split-key.pem",
			"gw.pem --to der --out gw.cer",
			"gw-key.pem --to der --out key.der --key-form " + kind,
			"key.der --out sealed.pem --new-password-file pw",
			"sealed.pem --password-file pw --out open.pem",
			"sealed.pem --password-env KEY_PASSWORD --to der --out sealed.der --new-password-file pw",
			"gw.cer sealed.der --password-file pw --to pkcs12 --out gw.p12 --new-password-file pw",
			"gw.cer sealed.der --password-file pw --to pkcs12-legacy --out old.p12 --new-password-file pw",
			"gw.p12 --password-file pw --only key --key-form " + kind + " --out back-key.pem",
			"old.p12 --password-file pw --only certificates --out back.pem",
			"open.pem --out open.pem --force --new-password-file pw",
		} {
			var args []string
			for word := range strings.FieldsSeq(line) {
				if strings.Contains(word, ".") || word == "pw" {
					word = in(word)
				}
				args = append(args, word)
			}
			got := runWith(t, map[string]string{"KEY_PASSWORD": "correct horse"}, append([]string{"cert", "convert"}, args...)...)
			if got.status != exitGood || got.stderr != "" {
				t.Fatalf("%s: %+v", line, got)
			}
		}
		for file, keys := range map[string]int{"both.pem": 1, "split.pem": 0, "split-key.pem": 1, "gw.cer": 0, "key.der": 1, "sealed.pem": 1, "open.pem": 1, "sealed.der": 1, "gw.p12": 1,
			"old.p12": 1, "back-key.pem": 1, "back.pem": 0} {
			c, err := trust.ReadContents(in(file), []byte("correct horse"))
			if err != nil {
				t.Error(err)
				continue
			}
			for _, k := range c.Keys() {
				if !certfile.Belongs(k, leaf.Cert().PublicKey) {
					t.Errorf("%s: another key", file)
				}
			}
			for _, cert := range c.Certs() {
				if !cert.Equal(leaf.Cert()) {
					t.Errorf("%s: another certificate", file)
				}
			}
			info, err := os.Stat(in(file))
			if len(c.Keys()) != keys || err != nil || runtime.GOOS != "windows" && (info.Mode().Perm()&0o077 == 0) != (keys > 0) {
				t.Errorf("%s: %d keys, %v, %v", file, len(c.Keys()), info.Mode(), err)
			}
		}
	}
}

// Files and passwords that are no good: one clear error each, and the password in none of them.
func TestCertBadFiles(t *testing.T) {
	t.Parallel()
	ca := testca.New("Lab Root")
	leaf := ca.Leaf("gw.example")
	p12, err := certfile.EncodePKCS12(leaf.Key, leaf.Chain, []byte("correct horse"), false)
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := certfile.KeyPEM(leaf.Key, certfile.FormPKCS8, []byte("correct horse"))
	if err != nil {
		t.Fatal(err)
	}
	in := files(t, map[string][]byte{
		"ca.pem": ca.PEM(), "gw.pem": leaf.PEM(), "gw-key.pem": leaf.KeyPEM(), "sealed.pem": sealed, "gw.p12": p12, "cut.p12": p12[:len(p12)/2], "cut.pem": leaf.PEM()[:100],
		"huge.pem": make([]byte, 1<<20+1), "text": []byte("hello"), "pw": []byte("correct horse"), "wrong": []byte("battery staple"), "dir": nil,
		"rejected.pem": pem.EncodeToMemory(&pem.Block{Type: "TRUSTED CERTIFICATE", Bytes: append(bytes.Clone(ca.Cert.Raw), 0x30, 12, 0xa0, 10, 6, 8, 0x2b, 6, 1, 5, 5, 7, 3, 1)}),
		"a.csr":        []byte("-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n"),
	})
	if err := os.Remove(in("dir")); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(in("dir"), 0o700); err != nil {
		t.Fatal(err)
	}
	for line, want := range map[string]string{
		"show sealed.pem --password-file wrong":          "the password does not open the private key",
		"show gw.p12 --password-file wrong":              "the password does not open the PKCS #12 file",
		"show gw.p12":                                    "--password-file FILE or --password-env NAME",
		"show cut.p12 --password-file pw":                "the PKCS #12 file cannot be read",
		"show cut.pem":                                   "its PEM text is damaged",
		"show huge.pem":                                  "the file is larger than 1 MiB",
		"show text":                                      "it is not a PEM file",
		"show dir":                                       "it is a directory",
		"show a.csr":                                     "the certificate request in the file cannot be read",
		"show gw.pem --password-file dir":                "it is a directory, name an ordinary file",
		"convert sealed.pem --out x.pem":                 "the private key is encrypted: name its password",
		"convert gw.pem gw-key.pem --to der --out x.der": "a DER file holds one thing",
		"convert gw.pem --to pkcs12 --out x.p12 --new-password-file pw":      "there is no private key to encrypt",
		"convert gw-key.pem --to pkcs12 --out x.p12 --new-password-file pw":  "and there are 1 key and 0 certificates",
		"convert gw.pem gw-key.pem --to pkcs12 --out x.p12":                  "a PKCS #12 file needs a password",
		"convert gw-key.pem --key-form pkcs1 --out x.pem":                    "PKCS #1 is for RSA keys",
		"convert gw-key.pem --out dir --force":                               "is a directory: name a file in it",
		"convert gw.pem --out gw-key.pem":                                    "is there already",
		"convert gw-key.pem --only certificates --out x.pem":                 "there is nothing of that kind to write",
		"convert gw.pem --out x.pem --key-out y.pem":                         "--key-out needs certificates and a key",
		"convert gw.pem --to pdf --out x.pem":                                `--to "pdf" is not`,
		"bundle ca.pem gw.pem wrong":                                         "it is not a PEM file",
		"bundle gw-key.pem":                                                  "no chain can be made of these files: the key belongs to none",
		"bundle ca.pem gw.pem sealed.pem":                                    "the private key is encrypted",
		"bundle gw.pem --json":                                               "--json needs --out",
		"issue --ca ca.pem --ca-key sealed.pem --sip a.example --out x":      "the private key is encrypted",
		"issue --ca ca.pem --ca-key gw-key.pem --sip a.example --out x":      "does not belong",
		"issue --ca gw.pem --csr gw.pem --out x.pem":                         "it holds no certificate signing request",
		"issue --ca ca.pem --csr a.csr --key rsa2048 --out x.pem":            "--key is for a new key",
		"csr --dns a.example --out x.csr --use-key sealed.pem":               "the private key is encrypted",
		"csr --dns a.example --out x.csr --use-key gw-key.pem --key rsa2048": "--key is for a new key",
		"csr --dns a.example --out x.csr --new-password-env NOT_SET":         "there is no environment variable of that name",
		"ca --out x.pem --path-length 9":                                     "--path-length 9 is not between 0 and 8",
		"verify gw.pem":                                                      "say what the peer trusts",
		"verify gw-key.pem --trust ca.pem":                                   "there is no certificate to verify",
		"verify gw.pem --trust ca.pem --names=":                              "--names is empty",
		"verify gw.pem --trust ca.pem --names ,":                             `--names "" is no domain name`,
		"verify gw.pem --trust ca.pem --names sip:gw.example":                `--names "sip:gw.example" is no domain name`,
		"verify gw.pem --trust ca.pem --names *.example":                     `--names "*.example" is no domain name`,
		"verify gw.pem --trust rejected.pem":                                 "CN=Lab Root is not to be trusted, the notes of OpenSSL behind it reject it for TLS",
		"convert rejected.pem --out x.pem":                                   "CN=Lab Root: the notes of OpenSSL behind it reject it for TLS",
		"verify gw.pem --trust gw-key.pem":                                   "it holds a private key and no certificate",
	} {
		var args []string
		for i, word := range strings.Fields(line) {
			if _, err := os.Stat(in(word)); i > 0 && (err == nil || strings.HasPrefix(word, "x")) {
				word = in(word)
			}
			args = append(args, word)
		}
		got := run(t, append([]string{"cert"}, args...)...)
		if got.status == exitGood || !strings.Contains(got.stderr, want) {
			t.Errorf("%s: %+v, want %q", line, got, want)
		}
		if strings.Contains(got.stderr, "horse") || strings.Contains(got.stderr, "staple") {
			t.Errorf("%s: the password is in %s", line, got.stderr)
		}
	}
	left, err := filepath.Glob(in("x*"))
	if more, _ := filepath.Glob(in(".new-*")); err != nil || len(left)+len(more) > 0 {
		t.Errorf("left behind: %v %v", left, more)
	}
}

// A request proves that its maker has the key, is given no more than a leaf, and keeps its names unless others are given.
func TestCertIssueFromRequest(t *testing.T) {
	t.Parallel()
	in := files(t, nil)
	for _, line := range [][]string{
		{"ca", "--out", in("ca.pem")},
		{"csr", "--sip", "pbx.example", "--dns", "pbx1.example", "--ip", "192.0.2.7", "--out", in("pbx.csr")},
	} {
		if got := run(t, append([]string{"cert"}, line...)...); got.status != exitGood {
			t.Fatal(got)
		}
	}
	issue := func(more ...string) minted {
		t.Helper()
		got := run(t, append([]string{"cert", "issue", "--ca", in("ca.pem"), "--csr", in("pbx.csr"), "--out", in("pbx.pem"), "--force", "--json"}, more...)...)
		var doc minted
		if err := json.Unmarshal([]byte(got.stdout), &doc); err != nil {
			t.Fatalf("%v in %+v", err, got)
		}
		return doc
	}
	doc := issue("--for", "server")
	if strings.Join(doc.Made.Names, " ") != "URI:sip:pbx.example IP:192.0.2.7" || len(doc.Made.NotCounted) != 1 || doc.Key != "" || strings.Join(doc.Made.Usage, " ") != "serverAuth" {
		t.Errorf("names of the request: %+v", doc)
	}
	if _, err := tls.LoadX509KeyPair(in("pbx.pem"), in("pbx-key.pem")); err != nil {
		t.Error(err)
	}
	if doc = issue("--sip", "other.example"); strings.Join(doc.Made.Names, " ") != "URI:sip:other.example" || doc.Made.Subject != "CN=other.example" {
		t.Errorf("names given: %+v", doc)
	}
	text, err := os.ReadFile(in("pbx.csr"))
	if err != nil {
		t.Fatal(err)
	}
	c, err := certfile.Decode(text, nil)
	if err != nil {
		t.Fatal(err)
	}
	forged := slices.Clone(c.Items[0].Request.Raw)
	forged[len(forged)-1] ^= 1
	if err := os.WriteFile(in("forged.csr"), forged, 0o600); err != nil {
		t.Fatal(err)
	}
	got := run(t, "cert", "issue", "--ca", in("ca.pem"), "--csr", in("forged.csr"), "--out", in("forged.pem"))
	if got.status != exitFailed || !strings.Contains(got.stderr, "has not shown that the key is theirs") {
		t.Errorf("forged: %+v", got)
	}
}

// A live server shows its chain, also when it wants a certificate that we do not have; one that speaks no TLS says so.
func TestCertShowLive(t *testing.T) {
	t.Parallel()
	leaf := testca.New("Lab Root").Intermediate("Lab Issuer").Leaf("gw.example", testca.URI("sip:gw.example"))
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{leaf.TLS()}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: x509.NewCertPool(), MinVersion: version, MaxVersion: version})
		if err != nil {
			t.Fatal(err)
		}
		serveAll(t, l, func(c net.Conn) { c.(*tls.Conn).Handshake() })
		for _, name := range []string{l.Addr().String(), "sips:alice@" + l.Addr().String() + ";transport=tls"} {
			got := run(t, "cert", "show", "--json", name)
			var doc struct{ Files []shown }
			if err := json.Unmarshal([]byte(got.stdout), &doc); err != nil || len(doc.Files) != 1 || got.status != exitGood {
				t.Fatalf("%v in %+v", err, got)
			}
			f := doc.Files[0]
			if len(f.Certificates) != 2 || f.Certificates[0].Subject != "CN=gw.example" || !f.Live.Asked || f.Live.Version != tls.VersionName(version) || f.Order != "right" {
				t.Errorf("%s: %+v", name, f)
			}
		}
	}
	plain, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	serveAll(t, plain, func(c net.Conn) { c.Write([]byte("SIP/2.0 400 Bad Request\r\n\r\n")) })
	if got := run(t, "cert", "show", plain.Addr().String()); got.status != exitFailed || !strings.Contains(got.stderr, "it showed no certificate: TLS was spoken to a port that expects plain SIP") {
		t.Errorf("plain: %+v", got)
	}
	plain.Close()
	if got := run(t, "cert", "show", plain.Addr().String()); got.status != exitFailed || !strings.Contains(got.stderr, "the connection was refused") {
		t.Errorf("nobody there: %+v", got)
	}
}

// serveAll answers each connection until the test is over.
func serveAll(t *testing.T, l net.Listener, answer func(net.Conn)) {
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			answer(c)
			c.Close()
		}
	}()
}
