//go:build interop

package e2e

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const certPassword = "correct horse"

// certDir is a directory with a password file, and how to run programs in it. Both say what they printed when they fail.
type certDir struct {
	t   *testing.T
	dir string
}

func newCertDir(t *testing.T) certDir {
	t.Helper()
	need(t, "openssl", "openssl")
	d := certDir{t, t.TempDir()}
	if err := os.WriteFile(filepath.Join(d.dir, "pw"), []byte(certPassword+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return d
}

// run runs a line; its words are separated by spaces, and PASS stands for openssl's word for the password.
func (d certDir) run(program, line string) string {
	d.t.Helper()
	var args []string
	for word := range strings.FieldsSeq(line) {
		args = append(args, strings.ReplaceAll(word, "PASS", "file:pw"))
	}
	c := exec.CommandContext(d.t.Context(), program, args...)
	c.Dir = d.dir
	out, err := c.CombinedOutput()
	if err != nil {
		d.t.Fatalf("%s %s: %v\n%s", filepath.Base(program), line, err, out)
	}
	return string(out)
}

func (d certDir) openssl(line string) string { d.t.Helper(); return d.run("openssl", line) }
func (d certDir) cert(line string) string    { d.t.Helper(); return d.run(binary, "cert "+line) }

// wants looks for text in what was printed, with blanks as one.
func (d certDir) wants(got string, want ...string) {
	d.t.Helper()
	flat := strings.Join(strings.Fields(got), " ")
	for _, w := range want {
		if !strings.Contains(flat, w) {
			d.t.Errorf("%q is not in\n%s", w, got)
		}
	}
}

// TestOpenSSLReadsOurs: openssl reads, verifies and decrypts everything that "sallyport cert" writes.
func TestOpenSSLReadsOurs(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"p256", "p384", "rsa2048", "rsa3072"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			d := newCertDir(t)
			d.cert("ca --name root --path-length 1 --out root.pem --new-password-file pw --key " + kind)
			d.cert("ca --ca root.pem --password-file pw --name sub --out sub.pem --key " + kind)
			d.cert("issue --ca sub.pem --sip gw.example --dns gw1.example --ip 192.0.2.1 --sip-domain --out gw.pem --key " + kind)
			d.cert("csr --sip pbx.example --dns pbx.example --out pbx.csr --new-password-file pw --key " + kind)
			d.cert("issue --ca sub.pem --csr pbx.csr --out pbx.pem --for server")
			d.cert("self-signed --dns own.example --out own.pem --key " + kind)

			// The chains hold by openssl's strictest rules, and the path length is heeded.
			d.wants(d.openssl("verify -x509_strict -purpose sslserver -CAfile root.pem -untrusted gw.pem gw.pem"), "gw.pem: OK")
			d.wants(d.openssl("verify -x509_strict -purpose sslclient -CAfile root.pem -untrusted gw.pem gw.pem"), "gw.pem: OK")
			d.wants(d.openssl("verify -x509_strict -purpose sslserver -CAfile root.pem -untrusted pbx.pem pbx.pem"), "pbx.pem: OK")
			d.wants(d.openssl("verify -CAfile own.pem own.pem"), "own.pem: OK")
			d.wants(d.openssl("x509 -in gw.pem -noout -ext subjectAltName,extendedKeyUsage"),
				"DNS:gw1.example, IP Address:192.0.2.1, URI:sip:gw.example", "TLS Web Server Authentication, TLS Web Client Authentication", "1.3.6.1.5.5.7.3.20")
			d.wants(d.openssl("x509 -in root.pem -noout -ext basicConstraints,keyUsage"), "CA:TRUE, pathlen:1", "Certificate Sign, CRL Sign")
			d.wants(d.openssl("x509 -in sub.pem -noout -ext basicConstraints"), "CA:TRUE, pathlen:0")
			d.wants(d.openssl("req -in pbx.csr -noout -verify -text"), "Certificate request self-signature verify OK", "DNS:pbx.example, URI:sip:pbx.example")

			// Keys, in the clear and encrypted, in each form; the sums are openssl's.
			public := d.openssl("x509 -in gw.pem -noout -pubkey")
			same := func(got string) {
				t.Helper()
				if got != public {
					t.Errorf("another key: %s", got)
				}
			}
			same(d.openssl("pkey -in gw-key.pem -pubout"))
			d.openssl("pkey -in root-key.pem -passin PASS -noout -check")
			d.openssl("pkey -in pbx-key.pem -passin PASS -noout -check")
			d.cert("convert gw-key.pem --out locked.pem --new-password-file pw")
			same(d.openssl("pkey -in locked.pem -passin PASS -pubout"))
			d.cert("convert gw-key.pem --to der --out locked.der --new-password-file pw")
			same(d.openssl("pkey -inform DER -in locked.der -passin PASS -pubout"))
			form := map[bool]string{true: "pkcs1", false: "ec"}[strings.HasPrefix(kind, "rsa")]
			d.cert("convert gw-key.pem --key-form " + form + " --out old.pem")
			same(d.openssl("pkey -in old.pem -pubout"))
			d.cert("convert gw-key.pem --key-form " + form + " --to der --out old.der")
			same(d.openssl("pkey -inform DER -in old.der -pubout"))
			d.cert("convert root.pem --to der --out root.cer")
			d.wants(d.openssl("x509 -inform DER -in root.cer -noout -subject"), "CN = root")
			sum := strings.ToLower(strings.ReplaceAll(d.openssl("x509 -in root.pem -noout -fingerprint -sha256"), ":", ""))
			_, sum, _ = strings.Cut(strings.TrimSpace(sum), "=")
			d.wants(d.cert("show root.pem"), "sha256 "+sum)

			// PKCS #12 of today and of yesterday, and a chain in order.
			d.cert("convert gw.pem gw-key.pem root.pem --to pkcs12 --out gw.pfx --new-password-file pw")
			d.cert("convert gw.pem gw-key.pem root.pem --to pkcs12-legacy --out old.pfx --new-password-file pw")
			if got := d.openssl("pkcs12 -in gw.pfx -passin PASS -nodes"); strings.Count(got, "BEGIN CERTIFICATE") != 3 || strings.Count(got, "BEGIN PRIVATE KEY") != 1 {
				t.Error(got)
			}
			if got := d.openssl("pkcs12 -in old.pfx -passin PASS -nodes -legacy"); strings.Count(got, "BEGIN CERTIFICATE") != 3 || strings.Count(got, "BEGIN PRIVATE KEY") != 1 {
				t.Error(got)
			}
			d.openssl("x509 -in gw.pem -out alone.pem")
			d.cert("bundle root.pem sub.pem alone.pem --with-root --out chain.pem")
			d.openssl("crl2pkcs7 -nocrl -certfile chain.pem -out chain.p7b")
			if got := d.openssl("pkcs7 -in chain.p7b -print_certs -noout"); strings.Count(got, "subject=") != 3 || strings.Index(got, "CN = gw.example") > strings.Index(got, "CN = root") {
				t.Error(got)
			}
		})
	}
}

// TestWeReadOpenSSLs: the commands and the gateway read everything that openssl writes: keys encrypted in each way,
// PKCS #12 of today, of yesterday and as Windows exports it, PKCS #7, requests, revocation lists.
func TestWeReadOpenSSLs(t *testing.T) {
	t.Parallel()
	for kind, how := range map[string]string{"ec": "-algorithm EC -pkeyopt ec_paramgen_curve:P-256", "rsa": "-algorithm RSA -pkeyopt rsa_keygen_bits:2048", "ed25519": "-algorithm ED25519"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			d := newCertDir(t)
			d.openssl("genpkey " + how + " -out key.pem")
			d.openssl("req -x509 -new -key key.pem -days 30 -subj /CN=root -addext keyUsage=keyCertSign,cRLSign -out root.pem")
			d.openssl("genpkey " + how + " -out gw-key.pem")
			d.openssl("req -new -key gw-key.pem -subj /CN=gw.example -addext subjectAltName=URI:sip:gw.example -out gw.csr")
			if err := os.WriteFile(filepath.Join(d.dir, "ext"), []byte("subjectAltName=URI:sip:gw.example\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			d.openssl("x509 -req -in gw.csr -CA root.pem -CAkey key.pem -CAcreateserial -days 20 -extfile ext -out gw.pem")
			d.wants(d.cert("show gw.csr gw-key.pem"), "it is signed by its own key", "belongs to request for CN=gw.example")
			d.cert("issue --ca root.pem --ca-key key.pem --csr gw.csr --out again.pem")
			d.wants(d.openssl("verify -CAfile root.pem again.pem"), "again.pem: OK")
			d.wants(d.cert("verify gw.pem gw-key.pem --trust root.pem --names gw.example"), "it would be accepted")

			locked := map[string]string{
				"default": "pkcs8 -topk8 -in gw-key.pem -passout PASS -out ",
				"sha1":    "pkcs8 -topk8 -v2 aes-128-cbc -v2prf hmacWithSHA1 -in gw-key.pem -passout PASS -out ",
				"sha512":  "pkcs8 -topk8 -v2 aes-256-cbc -v2prf hmacWithSHA512 -in gw-key.pem -passout PASS -out ",
				"3des":    "pkcs8 -topk8 -v2 des3 -in gw-key.pem -passout PASS -out ",
				"scrypt":  "pkcs8 -topk8 -scrypt -in gw-key.pem -passout PASS -out ",
				"der":     "pkcs8 -topk8 -outform DER -in gw-key.pem -passout PASS -out ",
			}
			if kind != "ed25519" {
				locked["old aes"] = "pkey -traditional -aes256 -in gw-key.pem -passout PASS -out "
				locked["old 3des"] = "pkey -traditional -des3 -in gw-key.pem -passout PASS -out "
			}
			for name, line := range locked {
				file := strings.ReplaceAll(name, " ", "-") + ".key"
				d.openssl(line + file)
				d.wants(d.cert("show gw.pem "+file+" --password-file pw"), "belongs to certificate CN=gw.example in gw.pem", "encrypted ")
				d.loads(file+" with gw.pem", "gw.pem", file)
			}
			for name, line := range map[string]string{
				"today.p12":   "pkcs12 -export",
				"legacy.p12":  "pkcs12 -export -legacy",
				"aes128.p12":  "pkcs12 -export -keypbe AES-128-CBC -certpbe AES-128-CBC -macalg sha1",
				"windows.pfx": "pkcs12 -export -legacy -LMK -keypbe PBE-SHA1-3DES -certpbe PBE-SHA1-3DES -macalg sha1 -name gateway",
			} {
				d.openssl(line + " -in gw.pem -inkey gw-key.pem -certfile root.pem -passout PASS -out " + name)
				d.wants(d.cert("show "+name+" --password-file pw"), "subject CN=gw.example", "subject CN=root", "belongs to certificate CN=gw.example in "+name)
				d.cert("convert " + name + " --password-file pw --out out.pem --key-out out-key.pem --force")
				if d.openssl("pkey -in out-key.pem -pubout") != d.openssl("x509 -in gw.pem -noout -pubkey") {
					t.Errorf("%s: another key", name)
				}
				d.loads(name, name, name)
			}
			d.openssl("crl2pkcs7 -nocrl -certfile root.pem -certfile gw.pem -outform DER -out chain.p7b")
			d.wants(d.cert("show chain.p7b"), "(PKCS #7)", "subject CN=gw.example")
			d.wants(d.cert("bundle chain.p7b --out chain.pem"), "first CN=gw.example", "root CN=root is left out")
			d.openssl("x509 -in gw.pem -outform DER -out gw.cer")
			d.openssl("pkey -in gw-key.pem -outform DER -out gw-key.der")
			d.loads("DER", "gw.cer", "gw-key.der")
		})
	}
}

// TestServeWithEncryptedKey: a gateway whose key is encrypted, with the password from the environment, shows its certificate.
func TestServeWithEncryptedKey(t *testing.T) {
	t.Setenv("SALLYPORT_TEST_PASSWORD", certPassword)
	d := newCertDir(t)
	d.openssl("req -x509 -newkey rsa:2048 -passout PASS -keyout gw.key -days 20 -subj /CN=gw.example -addext subjectAltName=URI:sip:gw.example -out gw.pem")
	addr := net.JoinHostPort("127.0.0.1", freePort(t, "127.0.0.1"))
	serve(t, d.dir, fmt.Sprintf("listeners:\n  outside: {listen: \"tls:%s\", identity: gw, client_certificates: none}\n"+
		"identities:\n  gw: {certificate: gw.pem, key: gw.key, password_env: SALLYPORT_TEST_PASSWORD}\n", addr))
	d.wants(d.cert("show "+addr+" gw.key --password-file pw"), "subject CN=gw.example", "over TLS 1.3", "belongs to certificate CN=gw.example in "+addr)
	text, _ := output(t, 20*time.Second, "", "openssl", "s_client", "-connect", addr, "-CAfile", filepath.Join(d.dir, "gw.pem"), "-verify_return_error", "-brief")
	d.wants(text, "Verification: OK")
}

// loads checks a configuration with these files as an identity.
func (d certDir) loads(what, cert, key string) {
	d.t.Helper()
	yaml := fmt.Sprintf("listeners:\n  outside: {listen: \"tls:127.0.0.1:0\", identity: gw, client_certificates: none}\nidentities:\n  gw: {certificate: %s, key: %s, password_file: pw}\n", cert, key)
	if err := os.WriteFile(filepath.Join(d.dir, "gw.yaml"), []byte(yaml), 0o600); err != nil {
		d.t.Fatal(err)
	}
	d.wants(d.run(binary, "check gw.yaml"), "good")
}
