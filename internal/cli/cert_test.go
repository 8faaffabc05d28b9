package cli

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-sip/sallyport/internal/testca"
)

func TestCertificatesForAFirstSetUp(t *testing.T) {
	dir := t.TempDir()
	in := func(name string) string { return filepath.Join(dir, name) }
	for _, line := range [][]string{
		{"cert", "ca", "--name", "Lab CA", "--out", in("ca.pem")},
		{"cert", "issue", "--ca", in("ca.pem"), "--sip", "gw.example", "--dns", "gw1.example", "--ip", "127.0.0.1,::1", "--out", in("gw.pem")},
		{"cert", "self-signed", "--dns", "alone.example", "--out", in("alone.pem"), "--key-out", in("alone.key"), "--key", "rsa2048", "--days", "20", "--for", "server"},
	} {
		if got := run(t, line...); got.status != exitGood || got.stderr != "" || !strings.Contains(got.stdout, "keep it secret") {
			t.Fatalf("%v: %+v", line, got)
		}
	}
	pair, err := tls.LoadX509KeyPair(in("gw.pem"), in("gw-key.pem"))
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	ca, err := os.ReadFile(in("ca.pem"))
	if err != nil || !pool.AppendCertsFromPEM(ca) {
		t.Fatal(err)
	}
	for _, name := range []string{"gw1.example", "127.0.0.1", "::1"} {
		if _, err := pair.Leaf.Verify(x509.VerifyOptions{Roots: pool, DNSName: name}); err != nil {
			t.Error(err)
		}
	}
	for _, key := range []string{"ca-key.pem", "gw-key.pem", "alone.key"} {
		if info, err := os.Stat(in(key)); err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", key, info, err)
		}
	}
	again := run(t, "cert", "ca", "--out", in("ca.pem"))
	if again.status != exitFailed || !strings.Contains(again.stderr, "--force") {
		t.Errorf("an existing file: %+v", again)
	}
	if now, _ := os.ReadFile(in("ca.pem")); string(now) != string(ca) {
		t.Error("the existing file was replaced")
	}
	if forced := run(t, "cert", "ca", "--out", in("ca.pem"), "--force"); forced.status != exitGood {
		t.Errorf("--force: %+v", forced)
	}
	if other := run(t, "cert", "issue", "--ca", in("alone.pem"), "--ca-key", in("alone.key"), "--sip", "x.example", "--out", in("x.pem")); other.status != exitFailed || !strings.Contains(other.stderr, "is no CA certificate") {
		t.Errorf("signed by a leaf: %+v", other)
	}
}

func TestCertJSON(t *testing.T) {
	dir := t.TempDir()
	in := func(name string) string { return filepath.Join(dir, name) }
	got := run(t, "cert", "self-signed", "--sip", "gw.example", "--dns", "gw1.example", "--out", in("gw.pem"), "--days", "20", "--for", "client", "--json")
	var made minted
	if err := json.Unmarshal([]byte(got.stdout), &made); err != nil {
		t.Fatalf("%v in %+v", err, got)
	}
	if made.Certificate != in("gw.pem") || made.Key != in("gw-key.pem") || made.Made.Kind != "self-signed" || made.Made.DaysLeft != 20 ||
		strings.Join(made.Made.Usage, " ") != "clientAuth" || strings.Join(made.Made.Names, " ") != "URI:sip:gw.example" || len(made.Made.NotCounted) != 1 {
		t.Errorf("%+v", made)
	}
	got = run(t, "cert", "show", "--json", in("gw.pem"), in("gw-key.pem"), in("none.pem"))
	var doc struct{ Files []shown }
	if err := json.Unmarshal([]byte(got.stdout), &doc); err != nil || got.status != exitFailed || len(doc.Files) != 3 {
		t.Fatalf("%v in %+v", err, got)
	}
	if f := doc.Files[0]; len(f.Certificates) != 1 || f.Certificates[0].SHA256 != made.Made.SHA256 || len(f.Keys) != 0 {
		t.Errorf("certificate: %+v", f)
	}
	if f := doc.Files[1]; len(f.Certificates) != 0 || len(f.Keys) != 1 || f.Keys[0].Kind != "ECDSA P-256" {
		t.Errorf("key: %+v", f)
	}
	if f := doc.Files[2]; !strings.Contains(f.Error, "none.pem: there is no such file") {
		t.Errorf("missing: %+v", f)
	}
}

func TestCertShow(t *testing.T) {
	dir := t.TempDir()
	root := testca.New("Lab Root")
	issuer := root.Intermediate("Lab Issuer")
	write := func(name string, data ...[]byte) string {
		path := filepath.Join(dir, name)
		var all []byte
		for _, d := range data {
			all = append(all, d...)
		}
		if err := os.WriteFile(path, all, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	good := issuer.Leaf("gw.example", testca.URI("sip:gw.example", "sips:gw.example"), testca.DNS("gw1.example"), testca.IP("192.0.2.1"))
	for name, tt := range map[string]struct {
		file string
		want []string
		not  string
	}{
		"chain and key": {write("gw.pem", good.PEM(), good.KeyPEM()), []string{
			"signed by an authority", "signed by   CN=Lab Issuer", "for         URI:sip:gw.example", "            IP:192.0.2.1",
			"DNS:gw1.example does not count beside a sip: URI (RFC 5922 section 7.1)", "URI:sips:gw.example is not a sip: URI",
			"usage       serverAuth, clientAuth", "2 days left", "key         ECDSA P-256",
			"of an authority, signed by another", "private key ECDSA P-256, PKCS #8", "belongs to certificate CN=gw.example", "order right: each is signed by the next"}, "expired"},
		"root":        {write("ca.pem", root.PEM()), []string{"of an authority, self-signed"}, "signed by   "},
		"expired":     {write("old.pem", root.Leaf("a.example", testca.Expired()).PEM()), []string{"expired less than a day ago"}, "left"},
		"not yet":     {write("new.pem", root.Leaf("a.example", testca.NotYetValid()).PEM()), []string{"not yet valid"}, "left"},
		"for nobody":  {write("nobody.pem", root.Leaf("Some Body", testca.CommonNameOnly(), testca.Usages()).PEM()), []string{"no SIP domain", "usage       any"}, "but"},
		"long life":   {write("long.pem", testca.SelfSigned("a.example", testca.Valid(0, 100*24*time.Hour)).PEM()), []string{"self-signed: peers need", "100 days left"}, "signed by   "},
		"wild issuer": {write("wild.pem", testca.New("\x1b[31mRed "+strings.Repeat("Long", 30)).Leaf("a.example").PEM()), []string{"CN=?[31mRed"}, "\x1b"},
	} {
		got := run(t, "cert", "show", "--ascii", tt.file)
		if got.status != exitGood || got.stderr != "" || !strings.HasPrefix(got.stdout, tt.file+"\n") {
			t.Errorf("%s: %+v", name, got)
		}
		flat := strings.Join(strings.Fields(got.stdout), " ")
		for _, want := range tt.want {
			if !strings.Contains(got.stdout, want) && !strings.Contains(flat, want) {
				t.Errorf("%s lacks %q:\n%s", name, want, got.stdout)
			}
		}
		if strings.Contains(got.stdout, tt.not) {
			t.Errorf("%s has %q:\n%s", name, tt.not, got.stdout)
		}
		for line := range strings.Lines(strings.TrimPrefix(got.stdout, tt.file)) {
			if len(line) > 81 {
				t.Errorf("%s: more than 80 columns: %q", name, line)
			}
		}
	}
	coloured := run(t, "cert", "show", "--color=always", filepath.Join(dir, "old.pem"))
	if !strings.Contains(coloured.stdout, "\x1b["+red+"m") {
		t.Errorf("no red for an expired certificate: %q", coloured.stdout)
	}
	both := run(t, "cert", "show", filepath.Join(dir, "none.pem"), filepath.Join(dir, "ca.pem"))
	if both.status != exitFailed || !strings.Contains(both.stdout, "Lab Root") || !strings.Contains(both.stderr, "no such file") {
		t.Errorf("one of two files missing: %+v", both)
	}
}

func TestCertUsage(t *testing.T) {
	for line, want := range map[string]string{
		"cert":                                 "no command given",
		"cert isue":                            `did you mean "issue"?`,
		"cert show":                            "name the files or servers",
		"cert issue --sip a.example --out x":   "--ca is missing",
		"cert issue --ca ca.pem --out x":       "--sip DOMAIN",
		"cert self-signed --sip a.example":     "--out is missing",
		"cert self-signed --out x":             "--sip DOMAIN",
		"cert ca --name= --out x":              "--name is empty",
		"cert ca --key dsa":                    `--key "dsa" is not`,
		"cert ca --days 0":                     "--days 0 is not",
		"cert ca extra":                        "takes no argument",
		"cert self-signed --ip a --out x":      `--ip "a" is no IP address`,
		"cert self-signed --ip ::1%lo --out x": "is no IP address",
		"cert self-signed --sip a.example --for nobody --out x": `--for "nobody" is not`,
	} {
		if got := run(t, strings.Fields(line)...); got.status != exitUsage || !strings.Contains(got.stderr, want) || got.stdout != "" {
			t.Errorf("%s: %+v, want %q", line, got, want)
		}
	}
}

// A file that cannot be made is named with its directory, whether or not another one may be replaced.
func TestCertIntoNoDirectory(t *testing.T) {
	out := filepath.Join(t.TempDir(), "nosuch", "gw.pem")
	for _, more := range [][]string{nil, {"--force"}} {
		got := run(t, append([]string{"cert", "self-signed", "--sip", "a.example", "--out", out}, more...)...)
		want := "cannot be written: there is no directory " + filepath.Dir(out) + ": make it first\n"
		if got.status != exitFailed || !strings.HasSuffix(got.stderr, want) {
			t.Errorf("%v: %+v, want %q", more, got, want)
		}
	}
}
