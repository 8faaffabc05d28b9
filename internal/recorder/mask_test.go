package recorder

import (
	"strings"
	"testing"
)

func TestMask(t *testing.T) {
	tests := []struct{ name, in, want string }{
		{"credentials", "REGISTER sip:a SIP/2.0\r\nAuthorization: Digest username=\"a\"\r\nTo: b\r\n\r\n",
			"REGISTER sip:a SIP/2.0\r\nAuthorization: ****** ************\r\nTo: b\r\n\r\n"},
		{"any case, blanks before the colon", "X\nPROXY-authorization \t: Basic YTpi\r\n", "X\nPROXY-authorization \t: ***** ****\r\n"},
		{"folded", "X\nAuthorization: Digest\r\n realm=x,\r\n\tresponse=y\r\nTo: b\r\n",
			"X\nAuthorization: ******\r\n ********\r\n\t**********\r\nTo: b\r\n"},
		{"challenges are no secret", "X\nWWW-Authenticate: Digest nonce=x\r\nAuthentication-Info: rspauth=x\r\nAuthorizations: x\r\n", ""},
		{"media keys", "v=0\r\na=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:c2VjcmV0|2^20|1:4 FEC_ORDER=FEC_SRTP\r\nm=audio\r\n",
			"v=0\r\na=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:" + "***************** ******************" + "\r\nm=audio\r\n"},
		{"crypto without a key", "a=crypto:1 X\r\na=cryptic inline:x\r\na=cry", ""},
		{"at the very end", "X\nAuthorization: s", "X\nAuthorization: *"},
		{"nothing after the colon", "X\nAuthorization:", ""},
		{"fingerprints are public", "a=fingerprint:sha-256 AB:CD\r\n", ""},
		{"empty", "", ""},
		{"no line end", "PPPPP", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			want := tt.want
			if want == "" {
				want = tt.in
			}
			b := []byte(tt.in)
			if found := hasSecret(b); found != (want != tt.in) && tt.name != "nothing after the colon" {
				t.Errorf("hasSecret: got %v", found)
			}
			if mask(b); string(b) != want {
				t.Errorf("got %q, want %q", b, want)
			}
		})
	}
}

func FuzzMask(f *testing.F) {
	f.Add("INVITE x\r\nAuthorization: a\r\n b\r\n\r\na=crypto:1 X inline:k\r\n")
	f.Fuzz(func(t *testing.T, s string) {
		b := []byte(s)
		mask(b)
		if len(b) != len(s) || strings.Count(string(b), "\n") != strings.Count(s, "\n") {
			t.Fatalf("the shape changed: %q to %q", s, b)
		}
		once := string(b)
		if mask(b); string(b) != once {
			t.Errorf("masking twice: %q, then %q", once, b)
		}
	})
}
