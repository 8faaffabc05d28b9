package certfile_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/sallyport-sip/sallyport/internal/certfile"
	"github.com/sallyport-sip/sallyport/internal/testca"
)

var password = []byte("correct horse")

func vector(t testing.TB, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// What OpenSSL 3.0 writes (testdata/make.sh), read with the right password, with none, and with a wrong one.
func TestVectors(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		file           string
		format         certfile.Format
		certs, keys    int
		cipher         string // of the key
		without, wrong string // error with no password; with a wrong one. Empty: none
		locked         bool
	}{
		{file: "root.pem", format: certfile.PEM, certs: 1},
		{file: "trusted.pem", format: certfile.PEM, certs: 1},
		{file: "rsa.key", format: certfile.PEM, keys: 1},
		{file: "pkcs1.key", format: certfile.PEM, keys: 1},
		{file: "ec.key", format: certfile.PEM, keys: 1},
		{file: "p8-default.key", format: certfile.PEM, keys: 1, cipher: "AES-256-CBC, PBKDF2 with SHA-256, 2048 rounds", wrong: "the password does not open", locked: true},
		{file: "p8-aes128-sha1.key", format: certfile.PEM, keys: 1, cipher: "AES-128-CBC, PBKDF2 with SHA-1, 2048 rounds", wrong: "the password does not open", locked: true},
		{file: "p8-aes192-sha384.key", format: certfile.PEM, keys: 1, cipher: "AES-192-CBC, PBKDF2 with SHA-384, 2048 rounds", wrong: "the password does not open", locked: true},
		{file: "p8-aes256-sha512.key", format: certfile.PEM, keys: 1, cipher: "AES-256-CBC, PBKDF2 with SHA-512, 2048 rounds", wrong: "the password does not open", locked: true},
		{file: "p8-3des.key", format: certfile.PEM, keys: 1, cipher: "3DES-CBC, PBKDF2 with SHA-256, 2048 rounds", wrong: "the password does not open", locked: true},
		{file: "p8-scrypt.key", format: certfile.PEM, keys: 1, cipher: "AES-256-CBC, scrypt with N=16384", wrong: "the password does not open", locked: true},
		{file: "p8.der", format: certfile.DER, keys: 1, cipher: "AES-256-CBC, PBKDF2 with SHA-256, 2048 rounds", wrong: "the password does not open", locked: true},
		{file: "old-aes.key", format: certfile.PEM, keys: 1, cipher: "old PEM encryption, MD5 and AES-128-CBC", wrong: "the password does not open", locked: true},
		{file: "old-3des.key", format: certfile.PEM, keys: 1, cipher: "old PEM encryption, MD5 and DES-EDE3-CBC", wrong: "the password does not open", locked: true},
		{file: "modern.p12", format: certfile.PKCS12, certs: 2, keys: 1, cipher: "PBES2, as programs of today write it", without: "protected by a password", wrong: "the password does not open"},
		{file: "legacy.p12", format: certfile.PKCS12, certs: 2, keys: 1, cipher: "RC2-40, which anybody can break", without: "protected by a password", wrong: "the password does not open"},
		{file: "windows.pfx", format: certfile.PKCS12, certs: 2, keys: 1, cipher: "RC2-40, which anybody can break", without: "protected by a password", wrong: "the password does not open"},
		{file: "chain.p7b", format: certfile.PKCS7, certs: 2},
		{file: "chain.p7b.pem", format: certfile.PEM, certs: 2},
		{file: "leaf.csr", format: certfile.PEM},
		{file: "crl.pem", format: certfile.PEM},
	} {
		data := vector(t, tt.file)
		c, err := certfile.Decode(data, password)
		if err != nil {
			t.Errorf("%s: %v", tt.file, err)
			continue
		}
		if c.Format != tt.format || len(c.Certs()) != tt.certs || len(c.Keys()) != tt.keys || c.Locked() {
			t.Errorf("%s: %s with %d certificates and %d keys, locked %v", tt.file, c.Format, len(c.Certs()), len(c.Keys()), c.Locked())
		}
		for _, i := range c.Items {
			if i.Key != nil && i.Cipher != tt.cipher {
				t.Errorf("%s: encrypted by %q", tt.file, i.Cipher)
			}
			if k, ok := i.Key.(*ecdsa.PrivateKey); ok && !k.Equal(keyOf(t, "ec.key")) {
				t.Errorf("%s: another key came out", tt.file)
			}
		}
		c, err = certfile.Decode(data, nil)
		wants(t, tt.file+" without a password", err, tt.without)
		if err == nil && c.Locked() != tt.locked {
			t.Errorf("%s without a password: locked %v", tt.file, c.Locked())
		}
		if _, err = certfile.Decode(data, []byte("wrong")); tt.wrong != "" && !errors.Is(err, certfile.ErrWrongPassword) {
			t.Errorf("%s with a wrong password: %v", tt.file, err)
		}
		wants(t, tt.file+" with a wrong password", err, tt.wrong)
	}
}

func wants(t *testing.T, what string, err error, text string) {
	t.Helper()
	switch {
	case text == "" && err != nil:
		t.Errorf("%s: %v", what, err)
	case text != "" && (err == nil || !strings.Contains(err.Error(), text)):
		t.Errorf("%s: %v, want %q", what, err, text)
	case text != "" && strings.Contains(err.Error(), "horse"):
		t.Errorf("%s: the password is in %v", what, err)
	}
}

func keyOf(t testing.TB, name string) *ecdsa.PrivateKey {
	c, err := certfile.Decode(vector(t, name), password)
	if err != nil {
		t.Fatal(err)
	}
	return c.Keys()[0].(*ecdsa.PrivateKey)
}

// A PKCS #12 file under the empty password needs none.
func TestEmptyPassword(t *testing.T) {
	t.Parallel()
	c, err := certfile.Decode(vector(t, "empty.p12"), nil)
	if err != nil || len(c.Keys()) != 1 {
		t.Fatal(c, err)
	}
}

// Each file that is no good has one error, which says what to do.
func TestRefused(t *testing.T) {
	t.Parallel()
	leaf := testca.New("Root").Leaf("gw.example")
	ec := vector(t, "p8.der")
	block := func(typ string, der []byte) []byte {
		return pem.EncodeToMemory(&pem.Block{Type: typ, Bytes: der})
	}
	for name, tt := range map[string]struct {
		data []byte
		want string
	}{
		"empty":                    {[]byte(" \n"), "the file is empty"},
		"text":                     {[]byte("hello"), "it is not a PEM file"},
		"binary":                   {[]byte{0x30, 3, 2, 1, 1}, "binary data that is no certificate"},
		"certificate, cut off":     {leaf.Cert().Raw[:200], "binary data that is no certificate"},
		"PEM, cut off":             {leaf.PEM()[:300], "its PEM text is damaged"},
		"PEM, second one cut off":  {append(leaf.PEM(), leaf.PEM()[:300]...), "its PEM text is damaged"},
		"PEM, indented":            {append(leaf.PEM(), append([]byte("  "), leaf.PEM()...)...), "a BEGIN is not at the start of its line"},
		"PEM, no end of line":      {append(bytes.TrimSpace(leaf.PEM()), leaf.PEM()...), "its PEM text is damaged"},
		"UTF-16":                   {[]byte("\xff\xfe-\x00-\x00"), "it is text in UTF-16"},
		"bad certificate":          {block("CERTIFICATE", []byte("x")), "certificate 1 in the file cannot be read"},
		"bad request":              {block("CERTIFICATE REQUEST", []byte("x")), "the certificate request in the file cannot be read"},
		"bad key":                  {block("PRIVATE KEY", []byte("x")), "the private key cannot be read"},
		"unknown key":              {block("OPENSSH PRIVATE KEY", []byte("x")), "a OPENSSH PRIVATE KEY is not supported"},
		"nothing of use":           {block("EC PARAMETERS", []byte("x")), "neither a certificate nor a private key"},
		"PBES1":                    {vector(t, "p8-pbes1.key"), "not PBES2 (RFC 8018), write it anew: openssl pkcs8 -topk8 -v2 aes-256-cbc"},
		"encrypted key, cut off":   {block("ENCRYPTED PRIVATE KEY", ec[:100]), "the private key cannot be read"},
		"encrypted key, cut short": {block("ENCRYPTED PRIVATE KEY", replaced(t, ec, func(i *info) { i.Data = i.Data[:15] })), "the password does not open"},
		"PKCS #12 without a key":   {vector(t, "nokey.p12"), "holds no private key"},
		"PKCS #12 without a MAC":   {vector(t, "nomac.p12"), "the PKCS #12 file has no checksum (MAC)"},
		"PKCS #12, cut off":        {vector(t, "modern.p12")[:500], "the PKCS #12 file cannot be read"},
		"PKCS #7, cut off":         {vector(t, "chain.p7b")[:700], "binary data that is no certificate"},
	} {
		_, err := certfile.Decode(tt.data, password)
		if e, ok := errors.AsType[*certfile.Error](err); !ok || e.Remedy == "" {
			t.Errorf("%s: no remedy: %v", name, err)
		}
		wants(t, name, err, tt.want)
	}
}

// What an editor of Windows writes before the first certificate hides none, and what is a comment is none.
func TestNothingIsPassedOverInSilence(t *testing.T) {
	t.Parallel()
	one, two := testca.New("One").PEM(), testca.New("Two").PEM()
	mark := []byte("\uFEFF")
	for name, tt := range map[string]struct {
		data []byte
		want int
	}{
		"mark at the start":    {slices.Concat(mark, one, two), 2},
		"mark in the middle":   {slices.Concat(one, mark, two), 2},
		"text before it":       {slices.Concat([]byte("Issuer: CN=x\r\n"), one, two), 2},
		"one made a comment":   {slices.Concat(one, bytes.ReplaceAll(append([]byte("# "), two...), []byte("\n"), []byte("\n# "))), 1},
		"ends of DOS":          {bytes.ReplaceAll(slices.Concat(one, two), []byte("\n"), []byte("\r\n")), 2},
		"no line end at last":  {bytes.TrimSpace(slices.Concat(one, two)), 2},
		"blanks after the end": {bytes.ReplaceAll(slices.Concat(one, two), []byte("E-----\n"), []byte("E----- \n")), 2},
	} {
		c, err := certfile.Decode(tt.data, nil)
		if err != nil || len(c.Certs()) != tt.want {
			t.Errorf("%s: %v, %v", name, c, err)
		}
	}
}

// The notes that OpenSSL writes behind a certificate say who may be believed by it.
func TestNotesOfOpenSSL(t *testing.T) {
	t.Parallel()
	cert := testca.New("Root").Cert.Raw
	oid := func(last ...int) asn1.ObjectIdentifier {
		return append(asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 3}, last...)
	}
	server, client, mail, everything := oid(1), oid(2), oid(4), asn1.ObjectIdentifier{2, 5, 29, 37, 0}
	type list = []asn1.ObjectIdentifier
	type notes struct {
		Trust  list   `asn1:"optional,omitempty"`
		Reject list   `asn1:"optional,omitempty,tag:0"`
		Alias  string `asn1:"optional,omitempty,utf8"`
		KeyID  []byte `asn1:"optional,omitempty"`
	}
	for _, tt := range []struct {
		name  string
		notes notes
		want  string
	}{
		{"none", notes{}, ""},
		{"a name", notes{Alias: "lab", KeyID: []byte{1}}, ""},
		{"trusted for TLS", notes{Trust: list{server, client}}, ""},
		{"trusted for all", notes{Trust: list{everything}}, ""},
		{"rejected for mail", notes{Reject: list{mail}}, ""},
		{"trusted for servers", notes{Trust: list{server}}, "do not trust it for clients and servers"},
		{"trusted for mail", notes{Trust: list{mail}, Alias: "x"}, "do not trust it for clients and servers"},
		{"rejected for servers", notes{Trust: list{everything}, Reject: list{server}}, "reject it for TLS"},
		{"rejected for clients", notes{Reject: list{mail, client}}, "reject it for TLS"},
		{"rejected for all", notes{Reject: list{everything}}, "reject it for TLS"},
	} {
		der, err := asn1.Marshal(tt.notes)
		if err != nil {
			t.Fatal(err)
		}
		c, err := certfile.Decode(pem.EncodeToMemory(&pem.Block{Type: "TRUSTED CERTIFICATE", Bytes: slices.Concat(cert, der)}), nil)
		if err != nil || len(c.Items) != 1 {
			t.Fatalf("%s: %v", tt.name, err)
		}
		if got := c.Items[0].Doubt; (tt.want == "") != (got == "") || !strings.Contains(got, tt.want) {
			t.Errorf("%s: %q", tt.name, got)
		}
	}
	c, err := certfile.Decode(vector(t, "trusted.pem"), nil) // OpenSSL's own, with -addtrust serverAuth
	if err != nil || c.Items[0].Doubt == "" {
		t.Error(c, err)
	}
	c, err = certfile.Decode(pem.EncodeToMemory(&pem.Block{Type: "TRUSTED CERTIFICATE", Bytes: append(cert, 0x30, 5)}), nil)
	if err != nil || c.Items[0].Doubt == "" {
		t.Error(c, err)
	}
}

type info struct {
	Algorithm asn1.RawValue
	Data      []byte
}

func replaced(t *testing.T, der []byte, change func(*info)) []byte {
	t.Helper()
	var i info
	if _, err := asn1.Unmarshal(der, &i); err != nil {
		t.Fatal(err)
	}
	change(&i)
	out, err := asn1.Marshal(i)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// A file may not keep us busy for long: the work that it asks for is bounded before it is begun.
func TestWorkIsBounded(t *testing.T) {
	t.Parallel()
	for _, file := range []string{"p8.der", "p8-scrypt.key", "modern.p12", "windows.pfx"} {
		data := vector(t, file)
		if b, _ := pem.Decode(data); b != nil {
			data = b.Bytes
		}
		grown := grow(t, data)
		if bytes.Equal(grown, data) {
			t.Fatalf("%s: nothing to make larger", file)
		}
		all := [][]byte{grown}
		if strings.HasPrefix(file, "modern") { // what reads PKCS #12 does not look at the class of a tag
			all = append(all, growAs(t, data, asn1.ClassPrivate))
		}
		for _, grown := range all {
			_, err := certfile.Decode(grown, password)
			if err == nil || !strings.Contains(err.Error(), "are the most") && !strings.Contains(err.Error(), "it asks for scrypt") {
				t.Errorf("%s: %v", file, err)
			}
		}
	}
}

// grow makes every number after a salt as large as it can be in four bytes, at any depth.
func grow(t *testing.T, der []byte) []byte { return growAs(t, der, asn1.ClassUniversal) }

// growAs makes every OCTET STRING besides one of a class.
func growAs(t *testing.T, der []byte, class int) []byte {
	t.Helper()
	var out []byte
	salt := false
	for rest := der; len(rest) > 0; {
		var v asn1.RawValue
		var err error
		if rest, err = asn1.Unmarshal(rest, &v); err != nil {
			t.Fatal(err)
		}
		octets := v.Class == asn1.ClassUniversal && v.Tag == asn1.TagOctetString
		switch {
		case salt && v.Tag == asn1.TagInteger:
			out = append(out, 2, 4, 0x7f, 0xff, 0xff, 0xfe)
		case v.IsCompound, octets:
			inner := asn1.RawValue{Class: v.Class, Tag: v.Tag, IsCompound: v.IsCompound, Bytes: v.Bytes}
			if octets {
				inner.Class = class
			}
			if v.IsCompound || len(v.Bytes) > 64 && v.Bytes[0] == 0x30 {
				inner.Bytes = growAs(t, v.Bytes, class)
			}
			der, err := asn1.Marshal(inner)
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, der...)
		default:
			out = append(out, v.FullBytes...)
		}
		salt = octets
	}
	return out
}

// What is written is read again, in every form.
func TestWrittenIsReadAgain(t *testing.T) {
	t.Parallel()
	ca := testca.New("Root")
	_, edwards, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for _, leaf := range []*testca.Leaf{ca.Leaf("ec.example"), ca.Leaf("rsa.example", testca.RSA(2048)), ca.Leaf("ed.example", testca.Key(edwards))} {
		name := leaf.Cert().Subject.CommonName
		for _, form := range []string{certfile.FormPKCS8, certfile.FormPKCS1, certfile.FormEC} {
			text, err := certfile.KeyPEM(leaf.Key, form, nil)
			fits := form == certfile.FormPKCS8 || form == certfile.FormPKCS1 && name == "rsa.example" || form == certfile.FormEC && name == "ec.example"
			if (err == nil) != fits {
				t.Errorf("%s as %s: %v", name, form, err)
			}
			if err == nil {
				sameKey(t, name+" as "+form, leaf, text, nil, form)
			}
		}
		locked, err := certfile.KeyPEM(leaf.Key, certfile.FormPKCS8, password)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(locked, []byte("BEGIN PRIVATE")) {
			t.Error("not encrypted")
		}
		sameKey(t, name+" encrypted", leaf, locked, password, certfile.FormPKCS8)
		if _, err := certfile.KeyPEM(leaf.Key, certfile.FormPKCS1, password); err == nil {
			t.Error("a PKCS #1 key was encrypted")
		}
		for _, legacy := range []bool{false, true} {
			p12, err := certfile.EncodePKCS12(leaf.Key, leaf.Chain, password, legacy)
			if err != nil {
				t.Fatal(err)
			}
			sameKey(t, name+" in PKCS #12", leaf, p12, password, certfile.FormPKCS8)
		}
	}
	if _, err := certfile.KeyPEM(edwards, certfile.FormPKCS8, []byte{}); err == nil {
		t.Error("an empty password was taken")
	}
}

func sameKey(t *testing.T, what string, leaf *testca.Leaf, data, password []byte, form string) {
	t.Helper()
	c, err := certfile.Decode(data, password)
	if err != nil {
		t.Errorf("%s: %v", what, err)
		return
	}
	if len(c.Keys()) != 1 || !certfile.Belongs(c.Keys()[0], leaf.Cert().PublicKey) || c.Items[len(c.Items)-1].Form != form {
		t.Errorf("%s: %+v", what, c)
	}
}

func FuzzDecode(f *testing.F) {
	files, err := filepath.Glob("testdata/*.*")
	if err != nil || len(files) == 0 {
		f.Fatal(err)
	}
	for _, name := range files {
		f.Add(vector(f, filepath.Base(name)), true)
	}
	f.Fuzz(func(t *testing.T, data []byte, known bool) {
		var secret []byte
		if known {
			secret = password
		}
		c, err := certfile.Decode(data, secret)
		if err != nil {
			if e, ok := errors.AsType[*certfile.Error](err); !ok || e.What == "" || e.Remedy == "" {
				t.Errorf("an error without a remedy: %#v", err)
			}
			return
		}
		if len(c.Items) == 0 {
			t.Error("neither contents nor an error")
		}
		for _, i := range c.Items {
			set := 0
			for _, there := range []bool{i.Cert != nil, i.Key != nil, i.Request != nil, i.CRL != nil, i.Public != nil, i.Locked} {
				if there {
					set++
				}
			}
			if set != 1 {
				t.Errorf("an item that is %d things: %+v", set, i)
			}
		}
	})
}
