package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sallyport-sip/sallyport/internal/config"
	"github.com/sallyport-sip/sallyport/internal/gateway"
	"github.com/sallyport-sip/sallyport/internal/memnet"
	"github.com/sallyport-sip/sallyport/internal/testca"
	"github.com/sallyport-sip/sallyport/internal/trust"
)

// initLines are the kinds of gateways that init begins; each word of a line is an argument.
var initLines = map[string]string{
	"PBX over UDP":     "--pbx sip:10.0.0.5 --carrier acme=sip:sip.acme.example:5061",
	"PBX over TCP":     "--pbx sip:10.0.0.5:5070;transport=tcp --carrier acme=sip:sip.acme.example --lan 127.0.0.1:5062",
	"PBX over TLS":     "--pbx office=sip:pbx.example.com;transport=tls --carrier acme=sips:sip.acme.example",
	"PBX by name":      "--pbx sip:pbx.example.com;transport=udp --accept-from pbx=10.0.0.0/24 --carrier acme=sip:acme.example",
	"several carriers": "--pbx sip:10.0.0.5 --carrier a=sip:a.example --carrier b=sip:198.51.100.7 --certificate-name b=b.example --certificate-name b=c.example --carrier c-3.x=sip:203.0.113.9:5060;transport=udp",
	"IPv6":             "--pbx sip:[fd00::5]:5060 --carrier acme=sip:[2001:db8::7]:5061 --carrier other=sip:other.example --lan [::1]:5060 --advertise [2001:db8::1]",
	"IPv6 by TCP":      "--pbx sip:[fd00::5];transport=tcp --carrier acme=sip:[2001:db8::7]",
	"behind NAT":       "--pbx sip:10.0.0.5 --carrier acme=sip:acme.example --advertise 203.0.113.1:15061 --listen 10.0.0.2:5061 --lan 0.0.0.0",
	"names for YAML":   "--pbx on=sip:10.0.0.5 --carrier 123=sip:acme.example --carrier true=sip:other.example --carrier 1e3=sip:third.example",
	"public CA":        "--pbx sip:pbx.example.com;transport=tls --trust pbx=system --carrier acme=sip:acme.example --key rsa2048",
	"more than one":    "--pbx sip:10.0.0.5 --accept-from pbx=10.0.0.6 --accept-from pbx=10.0.0.5 --carrier acme=sip:acme.example --accept-from acme=198.51.100.0/24",
}

// initArgs completes a line.
func initArgs(dir, line string) []string {
	return append([]string{"init", dir, "--name", "sbc.example.com"}, strings.Fields(line)...)
}

// TestInitPassesCheck wants every file that init writes to be good as it is and a gateway to start with it, and each of
// its settings in comments to be good when it is taken out of them.
func TestInitPassesCheck(t *testing.T) {
	for name, line := range initLines {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(t.TempDir(), "gw")
			got := run(t, initArgs(dir, line)...)
			if got.status != exitGood || got.stderr != "" {
				t.Fatalf("%+v", got)
			}
			file := filepath.Join(dir, configName)
			if checked := run(t, "check", file); checked.status != exitGood || checked.stderr != "" {
				t.Errorf("check: %+v", checked)
			}
			startInMemory(t, file)
			for _, file := range []string{"public.pem", "public-key.pem"} { // the page says to put them there
				from := strings.Replace(file, "public", "gateway", 1)
				if data, err := os.ReadFile(filepath.Join(dir, from)); err != nil || os.WriteFile(filepath.Join(dir, file), data, 0o600) != nil {
					t.Fatal(err)
				}
			}
			text := string(readAll(t, file))
			commented := regexp.MustCompile(`(?m)^( *)# ((?:[a-z_]+: \S|- \{).*)$`)
			at := commented.FindAllStringSubmatchIndex(text, -1)
			if len(at) < 8 {
				t.Errorf("%d settings in comments, want more:\n%s", len(at), text)
			}
			all := commented.ReplaceAllString(text, "$1$2")
			for _, i := range at {
				checkInitText(t, file, text[:i[0]]+text[i[2]:i[3]]+text[i[4]:i[5]]+text[i[1]:], "public")
			}
			checkInitText(t, file, all, "")
		})
	}
}

// startInMemory starts a gateway whose network is in memory, so that it has whatever addresses it likes.
func startInMemory(t *testing.T, file string) {
	t.Helper()
	cfg, _ := config.Load(file)
	g, problems := gateway.New(cfg, gateway.Options{Network: memnet.New(memnet.Options{}), Shards: 1})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	if err := g.Start(); err != nil {
		t.Errorf("start: %v", err)
		return
	}
	if got := len(g.Listeners()); got != len(cfg.Listeners) {
		t.Errorf("%d listeners are open, want %d", got, len(cfg.Listeners))
	}
	if err := g.Close(t.Context()); err != nil {
		t.Errorf("close: %v", err)
	}
}

// checkInitText wants a text to be good in the place of a configuration; a problem about one word is let pass.
func checkInitText(t *testing.T, file, text, pass string) {
	t.Helper()
	cfg, problems := config.Parse(file, []byte(text))
	if len(problems) == 0 {
		problems = gateway.Check(cfg)
	}
	for _, p := range problems {
		if pass == "" || !strings.Contains(p.What, fmt.Sprintf("identity %q is not defined", pass)) {
			t.Errorf("%s\n%s", p, text)
		}
	}
}

func readAll(t *testing.T, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestInitWrites(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "it's a gateway")
	got := run(t, initArgs(dir, initLines["several carriers"]+" --advertise gw.example.com:15061")...)
	if got.status != exitGood {
		t.Fatalf("%+v", got)
	}
	want := []string{"ca-key.pem", "ca.pem", "gateway-key.pem", "gateway.pem", "sallyport.yaml", "send-to-a.txt", "send-to-b.txt", "send-to-c-3.x.txt", "send-to-pbx.txt"}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
		info, err := e.Info()
		if err != nil {
			t.Fatal(err)
		}
		if secret := strings.HasSuffix(e.Name(), "-key.pem"); secret != (info.Mode().Perm() == 0o600) && runtime.GOOS != "windows" {
			t.Errorf("%s has mode %v", e.Name(), info.Mode())
		}
	}
	if !slices.Equal(names, want) {
		t.Errorf("got %q, want %q", names, want)
	}
	quoted := quoteForShell(filepath.Join(dir, configName))
	if runtime.GOOS != "windows" && quoted != "'"+strings.ReplaceAll(filepath.Join(dir, configName), "'", `'\''`)+"'" {
		t.Errorf("quoted for the shell: %s", quoted)
	}
	for _, next := range []string{" check ", " serve --config ", " status --config "} {
		if !strings.Contains(got.stdout, "  "+program()+next+quoted+"\n") {
			t.Errorf("the next commands lack %s%s:\n%s", next, quoted, got.stdout)
		}
	}
	if text := string(readAll(t, filepath.Join(dir, configName))); !strings.Contains(text, `advertise: "gw.example.com:15061"`) {
		t.Errorf("no port in advertise:\n%s", text)
	}
	own, err := trust.ReadIssued(filepath.Join(dir, certName), filepath.Join(dir, keyFile), nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(certNames(own.Chain[0]), own.Chain[0].DNSNames, trust.UsageNames(own.Chain[0])); got !=
		"[URI:sip:sbc.example.com URI:sip:gw.example.com] [sbc.example.com gw.example.com] [serverAuth clientAuth]" {
		t.Errorf("our certificate is for %s", got)
	}
	ca, err := trust.ReadIssued(filepath.Join(dir, caName), filepath.Join(dir, caKeyName), nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := own.Chain[0].CheckSignatureFrom(ca.Chain[0]); err != nil {
		t.Error(err)
	}
}

func TestInitJSON(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "gw")
	got := run(t, append(initArgs(dir, initLines["PBX over TCP"]), "--json")...)
	var made initiated
	if err := json.Unmarshal([]byte(got.stdout), &made); err != nil {
		t.Fatalf("%v in %+v", err, got)
	}
	if made.Directory != dir || len(made.Files) != 7 || len(made.Peers) != 2 || len(made.Next) != 3 ||
		made.Peers[1].URI != "sip:sip.acme.example;transport=tls" || len(made.Notes) != 1 || bytes.Contains([]byte(got.stdout), []byte("BEGIN")) {
		t.Errorf("%+v", made)
	}
}

// TestInitUsage has what a command line can have wrong: one clear error each, and nothing is written.
func TestInitUsage(t *testing.T) {
	const good = " --name sbc.example.com --pbx sip:10.0.0.5 --carrier acme=sip:acme.example"
	for line, want := range map[string]string{
		"init" + good:           "init makes one new directory",
		"init DIR other" + good: "init makes one new directory",
		"init DIR --pbx sip:10.0.0.5 --carrier acme=sip:acme.example":                                                          "--name is missing",
		"init DIR --name 192.0.2.1 --pbx sip:10.0.0.5 --carrier acme=sip:acme.example":                                         "is an address, and others know us by a name",
		"init DIR --name sip:sbc.example.com --pbx sip:10.0.0.5 --carrier acme=sip:acme.example":                               "is a URI, and a domain is wanted",
		"init DIR --name *.example.com --pbx sip:10.0.0.5 --carrier acme=sip:acme.example":                                     "has a wildcard",
		"init DIR --name sbc_1.example.com --pbx sip:10.0.0.5 --carrier acme=sip:acme.example":                                 "is no domain: write a domain such as",
		"init DIR --name sbc.example.com:5061 --pbx sip:10.0.0.5 --carrier acme=sip:acme.example":                              "is no domain",
		"init DIR --name bücher.example --pbx sip:10.0.0.5 --carrier acme=sip:acme.example":                                    "xn-- form",
		"init DIR --name sbc.example.com --carrier acme=sip:acme.example":                                                      "--pbx is missing",
		"init DIR --pbx sip:10.0.0.6" + good:                                                                                   "2 are named",
		"init DIR --name sbc.example.com --pbx sip:10.0.0.5":                                                                   "--carrier is missing",
		"init DIR --name sbc.example.com --pbx 10.0.0.5 --carrier acme=sip:acme.example":                                       "does not begin with sip: or sips:",
		"init DIR --name sbc.example.com --pbx sip:pbx.example.com --carrier acme=sip:acme.example":                            "--accept-from pbx=ADDRESS",
		"init DIR --carrier sip:b.example" + good:                                                                              "--carrier needs a name before the URI",
		"init DIR --carrier sip:b.example;transport=tls" + good:                                                                "--carrier needs a name before the URI",
		"init DIR --carrier b=b.example" + good:                                                                                "--carrier b: its URI is bad: it does not begin with sip:",
		"init DIR --carrier b=sip:b:hunter2@b.example" + good:                                                                  "a password has no place in it",
		"init DIR --carrier b=sip:b.example;transport=sctp" + good:                                                             "is unknown",
		"init DIR --carrier b=sip:b.example:5060" + good:                                                                       "add ;transport=tls, or ;transport=udp",
		"init DIR --carrier ACME=sip:b.example" + good:                                                                         `two peers have the name "acme"`,
		"init DIR --carrier pbx=sip:b.example" + good:                                                                          `two peers have the name "pbx"`,
		"init DIR --carrier system=sip:b.example" + good:                                                                       "is that of a trust",
		"init DIR --carrier a/b=sip:b.example" + good:                                                                          `"a/b" is no name for a peer`,
		"init DIR --carrier ..=sip:b.example" + good:                                                                           `".." is no name for a peer`,
		"init DIR --carrier b=sip:acme.example:5071" + good:                                                                    `would both be known by a certificate for "acme.example"`,
		"init DIR --carrier b=sip:10.0.0.5;transport=udp" + good:                                                               "would both be known by the address 10.0.0.5",
		"init DIR --carrier b=sips:b.example" + good:                                                                           "demand TLS on every hop",
		"init DIR --name sbc.example.com --pbx sips:pbx.example --carrier b=sip:192.0.2.1;transport=udp":                       "could never go there",
		"init DIR --name sbc.example.com --pbx sip:10.0.0.5:5060;transport=tcp --carrier acme=sip:10.0.0.5:5070;transport=udp": "would both be known by the address 10.0.0.5:5070",
		"init DIR --trust amce=x.pem" + good:                                                                                   `there is no peer "amce" (did you mean "acme"?)`,
		"init DIR --trust zzzzzz=x.pem" + good:                                                                                 `there is no peer "zzzzzz": there is pbx, acme`,
		"init DIR --trust x.pem" + good:                                                                                        "is not of the form NAME=VALUE",
		"init DIR --trust pbx=x.pem" + good:                                                                                    "is reached over udp and shows no certificate",
		"init DIR --trust acme=system --trust acme=system" + good:                                                              "is given twice",
		"init DIR --certificate-name pbx=pbx.example" + good:                                                                   "is reached over udp and shows no certificate",
		"init DIR --certificate-name acme=*.acme.example" + good:                                                               "is no domain",
		"init DIR --accept-from acme=acme.example" + good:                                                                      "write its address",
		"init DIR --advertise 0.0.0.0" + good:                                                                                  "nobody can answer to an unspecified address",
		"init DIR --listen 127.0.0.1:0" + good:                                                                                 "others must know the port",
		"init DIR --listen localhost:5061" + good:                                                                              "a listener needs an IP address",
		"init DIR --lan 127.0.0.1:sip" + good:                                                                                  "is not a port",
		"init DIR --key dsa" + good:                                                                                            `--key "dsa" is not`,
		"init DIR --lan 10.0.0.2 --name sbc.example.com --pbx sips:pbx.example --carrier acme=sip:acme.example":                "no peer is reached over UDP or TCP",
		"init DIR --lan 10.0.0.2:5061 --name sbc.example.com --pbx sip:10.0.0.5;transport=tcp --carrier acme=sip:acme.example": "both have port 5061",
		"init DIR --name sbc.example.com --pbx sip:10.0.0.5;transport=tcp --carrier acme=sip:10.0.0.5:5070;transport=tcp":      "would both be known by the address 10.0.0.5",
		"init DIR --lan 127.0.0.1:5060 --listen 127.0.0.1:5060 --name sbc.example.com --pbx sip:10.0.0.5;transport=tcp --carrier acme=sip:acme.example": "both have port 5060",
	} {
		parent := t.TempDir()
		words := strings.Fields(line)
		for i, w := range words {
			words[i] = strings.Replace(w, "DIR", filepath.Join(parent, "gw"), 1)
		}
		got := run(t, words...)
		if got.status != exitUsage || !strings.Contains(got.stderr, want) || got.stdout != "" || strings.Contains(got.stderr, "hunter2") ||
			strings.Count(got.stderr, "\n") != 2 {
			t.Errorf("%s: %+v, want one error with %q", line, got, want)
		}
		wantEmpty(t, parent)
	}
}

func wantEmpty(t *testing.T, dir string) {
	t.Helper()
	if entries, err := os.ReadDir(dir); err != nil || len(entries) > 0 {
		t.Errorf("%v in %s (%v), want nothing", entries, dir, err)
	}
}

func TestInitTrustFiles(t *testing.T) {
	dir := t.TempDir()
	root := testca.New("Acme Root")
	leaf := root.Leaf("acme.example")
	for name, tt := range map[string]struct {
		data []byte
		want string // empty: it is good
	}{
		"ca":            {root.PEM(), ""},
		"chain":         {append(leaf.PEM(), root.PEM()...), ""},
		"self-signed":   {testca.SelfSigned("acme.example", testca.DNS("acme.example")).PEM(), ""},
		"one of two":    {append(testca.SelfSigned("old.example", testca.Expired()).PEM(), root.PEM()...), ""},
		"for others":    {testca.SelfSigned("other.example", testca.DNS("other.example")).PEM(), "--certificate-name acme=DOMAIN"},
		"with key":      {append(leaf.PEM(), leaf.KeyPEM()...), "it holds a private key"},
		"key alone":     {leaf.KeyPEM(), "it holds a private key"},
		"leaf alone":    {root.Leaf("acme.example").PEM()[:0], "the file is empty"},
		"expired":       {testca.SelfSigned("acme.example", testca.Expired()).PEM(), "expired on "},
		"not yet valid": {testca.SelfSigned("acme.example", testca.NotYetValid()).PEM(), "is valid only from "},
		"no PEM":        {[]byte("hello"), "it is not a PEM file"},
		"missing":       {nil, "there is no such file"},
	} {
		file := filepath.Join(dir, strings.ReplaceAll(name, " ", "-")+".pem")
		if tt.data != nil {
			if err := os.WriteFile(file, tt.data, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		gw := filepath.Join(t.TempDir(), "gw")
		got := run(t, initArgs(gw, "--pbx sip:10.0.0.5 --carrier acme=sip:acme.example --trust acme="+file)...)
		if tt.want == "" {
			kept, err := trust.ReadFile(filepath.Join(gw, "trust-acme.pem"))
			if got.status != exitGood || err != nil || len(kept.Certs) == 0 {
				t.Errorf("%s: %+v, %v", name, got, err)
			}
			if checked := run(t, "check", filepath.Join(gw, configName)); checked.status != exitGood {
				t.Errorf("%s: check: %+v", name, checked)
			}
			continue
		}
		if got.status != exitFailed || !strings.Contains(got.stderr, tt.want) || !strings.Contains(got.stderr, file) || strings.Count(got.stderr, "\n") != 1 {
			t.Errorf("%s: %+v, want one error with %q", name, got, tt.want)
		}
		wantEmpty(t, filepath.Dir(gw))
	}
}

// TestInitReplacesNothing begins a gateway where there is something.
func TestInitReplacesNothing(t *testing.T) {
	parent := t.TempDir()
	dir := filepath.Join(parent, "gw")
	line := initLines["PBX over UDP"]
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if got := run(t, initArgs(dir, line)...); got.status != exitGood {
		t.Fatalf("into an empty directory: %+v", got)
	}
	before := readAll(t, filepath.Join(dir, keyFile))
	again := run(t, initArgs(dir, line)...)
	if again.status != exitFailed || !strings.Contains(again.stderr, filepath.Join(dir, configName)+" is there already") {
		t.Errorf("a second time: %+v", again)
	}
	if !bytes.Equal(before, readAll(t, filepath.Join(dir, keyFile))) {
		t.Error("the key was replaced")
	}
	if entries, err := os.ReadDir(parent); err != nil || len(entries) != 1 {
		t.Errorf("beside it is %v (%v)", entries, err)
	}
	for where, want := range map[string]string{
		filepath.Join(dir, configName):          "it is a file",
		filepath.Join(dir, configName, "below"): "it is a file, or lies in one",
		filepath.Join(parent, "no", "where"):    "there is no directory " + filepath.Join(parent, "no"),
	} {
		if got := run(t, initArgs(where, line)...); got.status != exitFailed || !strings.Contains(got.stderr, want) {
			t.Errorf("%s: %+v, want %q", where, got, want)
		}
	}
}

// TestInitAllOrNothing lets the disk fail at each file in turn, in a new directory and in an empty one.
func TestInitAllOrNothing(t *testing.T) {
	for _, there := range []bool{false, true} {
		for fail := range 8 {
			parent := t.TempDir()
			dir := filepath.Join(parent, "gw")
			if there {
				if err := os.Mkdir(dir, 0o755); err != nil {
					t.Fatal(err)
				}
			}
			p, err := (&initFlags{name: "sbc.example.com", key: "p256", pbx: []string{"sip:10.0.0.5"}, carriers: []string{"acme=sip:acme.example"}}).plan(dir)
			if err != nil {
				t.Fatal(err)
			}
			written := 0
			_, err = p.write(func(path string, data []byte, mode fs.FileMode) error {
				if written++; written == fail+1 {
					return errors.Join(writeDurable(path, data[:len(data)/2], mode), &fs.PathError{Op: "write", Path: path, Err: syscall.ENOSPC})
				}
				return writeDurable(path, data, mode)
			})
			if fail == 7 {
				if err != nil {
					t.Errorf("with room for all: %v", err)
				}
				continue
			}
			if err == nil || !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), "make room") || strings.Contains(err.Error(), ".sallyport-init") {
				t.Errorf("file %d: %v, want a remedy for a full disk", fail, err)
			}
			if there {
				wantEmpty(t, dir)
			} else {
				wantEmpty(t, parent)
			}
		}
	}
}

func TestInitNotes(t *testing.T) {
	for line, want := range map[string]string{
		"--pbx sip:127.0.0.1:5070 --carrier acme=sip:acme.example":                       "UDP is on 127.0.0.1:5060, this machine's address towards them",
		"--pbx sip:10.0.0.5;transport=tcp --carrier b=sip:198.51.100.7;transport=udp":    "UDP and TCP are on 0.0.0.0:5060",
		"--pbx sip:198.51.100.5;transport=tcp --carrier acme=sip:a.example":              "TCP is on 0.0.0.0:5060",
		"--pbx sip:198.51.100.5 --carrier acme=sip:acme.example":                         "UDP is on 0.0.0.0:5060, in clear",
		"--pbx sip:10.0.0.5 --lan 10.0.0.2:5080 --carrier acme=sip:b.example":            "UDP is on 10.0.0.2:5080, in clear",
		"--pbx sips:pbx.example.com --carrier acme=sip:198.51.100.7":                     "if it is for a name, say that with --certificate-name acme=NAME.",
		"--pbx sips:pbx.example.com --carrier acme=sip:acme.example":                     "",
		"--pbx sip:pbx.example;transport=tls --carrier a=sip:198.51.100.7;transport=udp": "UDP is on 0.0.0.0:5060, in clear",
	} {
		got := run(t, initArgs(filepath.Join(t.TempDir(), "gw"), line)...)
		flat := strings.Join(strings.Fields(got.stdout), " ")
		if got.status != exitGood || !strings.Contains(flat, want) || want == "" && strings.Contains(flat, "UDP") {
			t.Errorf("%s: %+v, want %q", line, got, want)
		}
	}
}

func TestInitDates(t *testing.T) {
	at := time.Date(2026, 3, 4, 23, 30, 0, 0, time.FixedZone("", -5*3600))
	if got := isoDay(at); got != "2026-03-05" {
		t.Errorf("got %s, want the day in UTC", got)
	}
}
