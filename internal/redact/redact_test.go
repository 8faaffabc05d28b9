package redact

import (
	"bytes"
	"strings"
	"testing"
)

// secret stands for what must not be left; mask for what stands there instead.
const secret, mask = "s3cret+=xy", "**********"

var lines = []struct{ name, text string }{
	{"digest", "Authorization: SECRET"},
	{"bearer", "authorization : SECRET SECRET"},
	{"to a proxy", "PROXY-AUTHORIZATION:SECRET"},
	{"folded", "Authorization: SECRET\r\n SECRET\r\n\tSECRET"},
	{"digest of the server", "Authentication-Info: SECRET"},
	{"digest of a proxy", "Proxy-Authentication-Info: SECRET"},
	{"a token of somebody's own", "X-Acme-Auth-Token: SECRET"},
	{"a key of somebody's own", "x-api-KEY: SECRET"},
	{"a password in a URI", "From: <sip:alice:SECRET@a.example>;tag=1"},
	{"a password after a scheme in capitals", "To:SIPS:alice:SECRET@a.example"},
	{"a password with colons", "Contact: <sip:alice:SECRET:SECRET@a.example>"},
	{"a password in a request line", "INVITE sip:alice:SECRET@a.example SIP/2.0"},
	{"a password in a page's address", "Call-Info: <https://alice:SECRET@a.example/a@b>"},
	{"a password after much else", "Contact: <sip:" + strings.Repeat("a", 600) + ":SECRET@a.example>"},
	{"a long password", "Contact: <sip:alice:" + strings.Repeat("*", 600) + "SECRET@a.example>"},
	{"credentials in a URI", "Refer-To: <sip:a@b?Replaces=1%3Bto-tag%3D2&Authorization=Digest%20response%3D%22SECRET%22&Subject=x>"},
	{"credentials by an escaped name", "Refer-To: sip:a@b?Proxy%2DAuthoriz%61tion=SECRET"},
	{"a body in a URI", "Refer-To: <sip:a@b?body=a%3Dcrypto%3A1%20X%20inline%3ASECRET>"},
	{"an escaped URI with a password", "Refer-To: <sip:a@b?Subject=y&Referred-By=%3Csip%3Ax%3ASECRET%40h%3E&Priority=x>"},
	{"a token of a page", "Call-Info: <https://a.example/x?id=1&access_token=SECRET>;purpose=info"},
	{"SRTP", "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:SECRET|2^20|1:4"},
	{"MIKEY", "a=key-mgmt:mikey SECRET"},
	{"ICE", "a=ice-pwd:SECRET"},
	{"k=", "k=base64:SECRET"},
	{"k= in clear", "k=clear:SECRET"},
}

// plain is what has no secret.
const plain = "INVITE sip:bob@b.example:5061;transport=tls SIP/2.0\r\n" +
	"Via: SIP/2.0/TLS [2001:db8::1]:5061;branch=z9hG4bK1\r\nFrom: \"Alice: @ home\" <sip:alice@a.example>;tag=a:b\r\n" +
	"To:sip:bob@b.example\r\nCall-ID: a:b@[2001:db8::1]:5060\r\nWWW-Authenticate: Digest realm=\"x\", nonce=\"y\"\r\n" +
	"P-Asserted-Identity: <tel:+4930123456>\r\nX-Colour: red\r\nx: 5\r\nAccept: application/sdp\r\nAllow: INVITE\r\n" +
	"Call-Info: <http://a.example:80/x:y@z?a=b:c@d&e=f>\r\nRefer-To: <sip:a@b?Replaces=x%40[::1]%3Bto-tag%3D2&Subject=?>\r\nOrganization: gossip:a@b\r\n\r\n" +
	"v=0\r\nk=prompt\r\na=crypto\r\na=ice-ufrag:abcd\r\na=fingerprint:sha-256 00:11\r\na=crypto:1 X\r\n"

func TestMask(t *testing.T) {
	for _, l := range lines {
		for shift := range 9 { // at every place of the eight bytes that are looked at at once
			before := strings.Repeat("x", shift) + "\r\nSubject: a@b\r\n"
			if strings.HasPrefix(l.name, "a password") && shift%2 == 0 {
				before = strings.Repeat(" ", shift)
			}
			in := []byte(before + strings.ReplaceAll(l.text, "SECRET", secret) + "\r\n" + plain)
			from := len(before)
			if !Has(in) {
				t.Errorf("%s, %d: not found", l.name, shift)
			}
			out := bytes.Clone(in)
			Mask(out)
			if bytes.Contains(out, []byte(secret)) {
				t.Errorf("%s, %d: left in %q", l.name, shift, out[:len(out)-len(plain)])
			}
			text := string(out[from : len(out)-len(plain)-2])
			if !strings.Contains(text, mask) || len(out) != len(in) || string(out[len(out)-len(plain):]) != plain {
				t.Errorf("%s, %d: became %q", l.name, shift, out)
			}
			if end := strings.LastIndex(l.text, "SECRET") + 6; strings.HasPrefix(l.name, "a password") && !strings.HasSuffix(text, l.text[end:]) {
				t.Errorf("%s, %d: became %q", l.name, shift, text)
			}
			if Mask(out); string(out[from:len(out)-len(plain)-2]) != text {
				t.Errorf("%s: masked twice it differs", l.name)
			}
		}
	}
	if in := []byte(plain); Has(in) {
		Mask(in)
		t.Errorf("found in what has none:\n%s", in)
	}
}

// TestMaskTakesAnything that a fuzzer thinks of, and never changes a length or a blank.
func FuzzMask(f *testing.F) {
	f.Add([]byte(plain))
	for _, l := range lines {
		f.Add([]byte(l.text))
	}
	f.Add([]byte("@"))
	f.Add([]byte(":@\nA\nk=:\na=crypto:inline:"))
	f.Fuzz(func(t *testing.T, in []byte) {
		out := bytes.Clone(in)
		Mask(out)
		if Has(in) == bytes.Equal(in, out) && !bytes.Contains(in, []byte("*")) && Has(in) != Has(out) {
			t.Errorf("%q: found %v, became %q", in, Has(in), out)
		}
		Numbers(out)
		for i := range in {
			if in[i] <= ' ' && out[i] != in[i] {
				t.Fatalf("%q became %q", in, out)
			}
		}
	})
}

func TestNumbers(t *testing.T) {
	for in, want := range map[string]string{
		"INVITE sip:+4930123456@b.example SIP/2.0":       "INVITE sip:+*******456@b.example SIP/2.0",
		"From: \"+49 30\" <sip:004930123456@a>":          "From: \"+49 30\" <sip:*********456@a>",
		"From: \"030123456\" <sips:+49-30-123456@a;x=1>": "From: \"******456\" <sips:+**-**-***456@a;x=1>",
		"P-Asserted-Identity: <tel:+4930123456;phone=1>": "P-Asserted-Identity: <tel:+*******456;phone=1>",
		"To: sip:12345@a": "To: sip:12345@a",
		"Contact: <sip:192.0.2.100:5061;transport=tls>":      "Contact: <sip:192.0.2.100:5061;transport=tls>",
		"Contact: <sip:192.0.2.100>":                         "Contact: <sip:192.0.2.100>",
		"Via: SIP/2.0/TLS h:12345678;branch=z9hG4bK123456":   "Via: SIP/2.0/TLS h:12345678;branch=z9hG4bK123456",
		"From: <sip:12345678abc@a>":                          "From: <sip:12345678abc@a>",
		"Content-Length: 24\r\n\r\nSignal=5\r\nDuration=160": "Content-Length: 24\r\n\r\nSignal=*\r\nDuration=160",
	} {
		b := []byte(in)
		if Numbers(b); string(b) != want {
			t.Errorf("%q became %q, want %q", in, b, want)
		}
	}
}

func BenchmarkHas(b *testing.B) {
	m := []byte(plain + strings.Repeat("a=rtpmap:0 PCMU/8000\r\n", 10))
	b.SetBytes(int64(len(m)))
	b.ReportAllocs()
	for b.Loop() {
		if Has(m) {
			b.Fatal("a secret")
		}
	}
}
