package config

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
)

var update = flag.Bool("update", false, "rewrite the wanted problems in testdata/*.txtar")

// TestProblems parses the file of each archive and compares every problem.
func TestProblems(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatal("no goldens", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			archive, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if len(archive.Files)%2 != 0 {
				t.Fatal("want pairs of NAME.yaml and NAME.want")
			}
			for i := 0; i < len(archive.Files); i += 2 {
				in, want := archive.Files[i], &archive.Files[i+1]
				if strings.TrimSuffix(in.Name, ".yaml") != strings.TrimSuffix(want.Name, ".want") {
					t.Fatalf("%s is followed by %s", in.Name, want.Name)
				}
				_, problems := Parse(in.Name, in.Data)
				var got strings.Builder
				for _, p := range problems {
					got.WriteString(p.String() + "\n")
				}
				if *update {
					want.Data = []byte(got.String())
				} else if got.String() != string(want.Data) {
					t.Errorf("%s\ngot:\n%swant:\n%s", in.Name, got.String(), want.Data)
				}
			}
			if *update {
				if err := os.WriteFile(file, txtar.Format(archive), 0o644); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

// compact is the example in the shortest form, to be read alike.
const compact = `
listeners:
  outside: {listen: "tls:127.0.0.1:5061", client_certificates: required}   # required | optional | none
  lan-tcp: {listen: "tcp:127.0.0.1:5060"}
  lan-udp: {listen: "udp:127.0.0.1:5060"}
identities:                # who we are
  gateway: {certificate: gw.pem, key: gw-key.pem}
trust:                     # whom we believe; system: true adds the system's CAs
  partners: {files: [ca.pem]}
defaults: {identity: gateway, trust: [partners]}
profiles:
  carrier: {sips: allowed} # required | allowed | never
  lan: {sips: never}
peers:
  acme:   {uri: "sip:127.0.0.1:5071;transport=tls", certificate_names: [acme.example], profile: carrier, asserts: {domains: [acme.example, 127.0.0.1], numbers: ["+*"]}, hears: [p-asserted-identity]}
  backup: {uri: "sip:127.0.0.1:5072;transport=tls", certificate_names: [backup.example], profile: carrier, limits: {calls_out: 30, rate_out: 10}}
  office: {uri: "sip:127.0.0.1:5080;transport=udp", accept_from: ["127.0.0.1:5080", "127.0.0.1:5090"], profile: lan}
routes:                    # first match wins; targets in order
  - {from: [office], number: "+49*", to: [acme, backup]}
  - {from: [acme, backup], to: [office]}
admin: {listen: "127.0.0.1:8061"}
filters: {bad: "state:failed,busy,refused OR severity:problem"}
data: ./data
cdr_keep: 400d             # cdr and drain are as by default
`

func TestExampleMeansTheSameAsItsCompactForm(t *testing.T) {
	a, problems := Parse("sallyport.yaml", []byte(Example))
	mustBeGood(t, problems)
	b, problems := Parse("sallyport.yaml", []byte(compact))
	mustBeGood(t, problems)
	forgetPlaces(reflect.ValueOf(a))
	forgetPlaces(reflect.ValueOf(b))
	a.Version, b.Version = "", "" // their bytes differ
	if !reflect.DeepEqual(a, b) {
		t.Errorf("got %+v\nwant %+v", a, b)
	}
}

func TestExampleIsComplete(t *testing.T) {
	c, problems := Parse("/etc/sallyport/sallyport.yaml", []byte(Example))
	mustBeGood(t, problems)
	outside, acme, office := c.Listeners[0], c.Peers[0], c.Peers[2]
	for what, got := range map[string][2]any{
		"listener":        {outside.Listen.String(), "tls:127.0.0.1:5061"},
		"client":          {outside.ClientCertificates, CertificateRequired},
		"identity":        {outside.Identity, "gateway"},
		"listener trust":  {outside.Trust[0], "partners"},
		"plain identity":  {c.Listeners[1].Identity, ""},
		"certificate":     {c.Identities[0].Certificate, "/etc/sallyport/gw.pem"},
		"trust file":      {c.Trust[0].Files[0], "/etc/sallyport/ca.pem"},
		"data":            {c.Data, "/etc/sallyport/data"},
		"peer identity":   {acme.Identity, "gateway"},
		"peer trust":      {acme.Trust[0], "partners"},
		"peer transport":  {acme.URI.Transport, TLS},
		"peer any source": {acme.AcceptFrom == nil, true},
		"peer listener":   {c.ListenerFor(&acme).Name, "outside"},
		"source":          {office.AcceptFrom[1].String(), "127.0.0.1:5090"},
		"profile":         {c.ProfileOf(&office).SIPS, SIPSNever},
		"route":           {string(c.Routes[0].Number), "+49*"},
		"route position":  {c.Routes[1].Place.Pos.Line > c.Routes[0].Place.Pos.Line, true},
		"admin":           {c.Admin.Listen.String(), "127.0.0.1:8061"},
	} {
		if got[0] != got[1] {
			t.Errorf("%s: got %v, want %v", what, got[0], got[1])
		}
	}
}

func TestOmittedKeysTakeTheSecureMeaning(t *testing.T) {
	c, problems := Parse("s.yaml", []byte(`
listeners:
  tls: {listen: "tls:[::1]:5061"}
  udp: {listen: "udp:127.0.0.1:5060"}
  tcp: {listen: "tcp:127.0.0.1:5060"}
identities: {us: {certificate: a.pem, key: a.pem}}
trust: {them: {system: true}}
defaults: {identity: us, trust: [them]}
peers:
  a: {uri: "sips:A.Example"}
  b: {uri: "sip:192.0.2.7"}
  c: {uri: "sip:[2001:db8::1]:5070;transport=tcp"}
`))
	mustBeGood(t, problems)
	if got := c.Listeners[0].ClientCertificates; got != CertificateRequired {
		t.Errorf("client_certificates: got %s", got)
	}
	if got := c.Peers[0].CertificateNames; len(got) != 1 || got[0] != "a.example" {
		t.Errorf("certificate_names: got %v", got)
	}
	if p := c.Peers[0]; p.URI.Transport != TLS || p.URI.Port != 0 || p.AcceptFrom != nil {
		t.Errorf("sips peer: got %+v", p)
	}
	if got := c.Peers[1].AcceptFrom; len(got) != 1 || got[0].String() != "192.0.2.7" {
		t.Errorf("accept_from: got %v", got)
	}
	if got := c.Peers[2].AcceptFrom; len(got) != 1 || got[0].String() != "[2001:db8::1]:5070" {
		t.Errorf("accept_from: got %v", got)
	}
	if got := c.ProfileOf(&c.Peers[1]).SIPS; got != SIPSAllowed {
		t.Errorf("sips: got %s", got)
	}
	if c.Admin.Listen.IsValid() {
		t.Errorf("admin: got %v, want none", c.Admin.Listen)
	}
	if c.Data != "data" {
		t.Errorf("data: got %q", c.Data)
	}
}

func TestLoad(t *testing.T) {
	dir := t.TempDir()
	for _, test := range []struct {
		name string
		data []byte
		want string
	}{
		{"good.yaml", []byte(Example), ""},
		{"bom.yaml", append([]byte("\xef\xbb\xbf"), Example...), ""},
		{"crlf.yaml", bytes.ReplaceAll([]byte(Example), []byte("\n"), []byte("\r\n")), ""},
		{"empty.yaml", nil, "the file is empty"},
		{"blank.yaml", []byte("  \n\n"), "the file is empty"},
		{"binary.yaml", []byte("\x7fELF\x01"), "1:1: the file is not a text file"},
		{"utf16.yaml", []byte("\xff\xfea\x00"), "UTF-16"},
		{"latin1.yaml", []byte("data: \xe4"), "1:7: the file is not UTF-8 text"},
		{"huge.yaml", bytes.Repeat([]byte("# 345678\n"), MaxSize/9+1), "the file is too large"},
		{"deep.yaml", []byte("a: " + strings.Repeat("[", 1<<16)), "the nesting is too deep"},
		{"deeper.yaml", []byte(strings.Repeat("- ", 1<<16)), "the nesting is too deep"},
		{"long.yaml", []byte(strings.Repeat("a: b\n", maxKeys+1)), "the mapping is too long"},
		{"bomb.yaml", []byte("a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\n"), "1:4: it holds an anchor"},
	} {
		path := filepath.Join(dir, test.name)
		if err := os.WriteFile(path, test.data, 0o600); err != nil {
			t.Fatal(err)
		}
		cfg, problems := Load(path)
		if cfg == nil {
			t.Fatalf("%s: no config", test.name)
		}
		if test.want == "" {
			mustBeGood(t, problems)
		} else if len(problems) != 1 || !strings.Contains(problems[0].String(), test.want) {
			t.Errorf("%s: got %v, want one with %q", test.name, problems, test.want)
		}
	}
	whole := filepath.Join(dir, "gw")
	if err := os.Mkdir(whole, 0o700); err != nil {
		t.Fatal(err)
	}
	inside := filepath.Join(whole, "sallyport.yaml")
	if err := os.WriteFile(inside, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		filepath.Join(dir, "none.yaml"): "none.yaml: there is no such file, name another one, or begin one: sallyport init ",
		dir:                             ": the file cannot be read, it is a directory, name a file in it",
		whole:                           ": the file cannot be read, it is a directory, name the file in it: " + inside,
	} {
		if _, problems := Load(path); len(problems) != 1 || !strings.Contains(problems[0].String(), want) {
			t.Errorf("got %v, want %q", problems, want)
		}
	}
}

func TestSuggest(t *testing.T) {
	known := []string{"carrier", "lan", "client_certificates"}
	for word, want := range map[string]string{
		"carier":              `did you mean "carrier"?`,
		"CARRIER":             `did you mean "carrier"?`,
		"carreir":             `did you mean "carrier"?`,
		"lna":                 `did you mean "lan"?`,
		"client":              `did you mean "client_certificates"?`,
		"x":                   `none`,
		"client-certificates": `did you mean "client_certificates"?`,
		"wan-side":            `none`,
	} {
		if got := suggest(word, known, "none"); got != want {
			t.Errorf("%s: got %s, want %s", word, got, want)
		}
	}
}

// FuzzParse: whatever the file holds, every problem says where it is, and a
// file without problems still has none when it is checked again.
func FuzzParse(f *testing.F) {
	f.Add([]byte(Example))
	f.Add([]byte(compact))
	files, _ := filepath.Glob("testdata/*.txtar")
	for _, file := range files {
		archive, err := txtar.ParseFile(file)
		if err != nil {
			f.Fatal(err)
		}
		for _, in := range archive.Files {
			f.Add(in.Data)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		cfg, problems := Parse("f.yaml", data)
		lines := bytes.Count(data, []byte("\n")) + bytes.Count(data, []byte("\r")) + 1
		for _, p := range problems {
			if p.Line < 1 || p.Column < 1 || p.Line > lines || p.What == "" || strings.Contains(p.String(), "\n") {
				t.Errorf("bad problem %#v", p)
			}
		}
		if len(problems) == 0 {
			cfg.Complete()
			mustBeGood(t, Check(cfg))
		}
	})
}

func mustBeGood(t *testing.T, problems []Problem) {
	t.Helper()
	for _, p := range problems {
		t.Errorf("unwanted problem: %s", p)
	}
}

// forgetPlaces clears every Place below v.
func forgetPlaces(v reflect.Value) {
	switch v.Kind() {
	case reflect.Pointer:
		forgetPlaces(v.Elem())
	case reflect.Slice:
		for i := range v.Len() {
			forgetPlaces(v.Index(i))
		}
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[Place]() {
			v.SetZero()
			return
		}
		for _, f := range v.Fields() {
			if f.CanSet() {
				forgetPlaces(f)
			}
		}
	}
}
