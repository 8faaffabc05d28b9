package config

import (
	"crypto/sha256"
	"crypto/x509"
	"fmt"
	"testing"
)

// Every form in which tools print the two sums is read, as what it is of.
func TestPinsOfEveryForm(t *testing.T) {
	t.Parallel()
	const (
		base64 = "LXEWQrcmsEQBYnyp+6wy9chTD7GQPMTbAiWHF5IaSIE="
		hex    = "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"
		colons = "2D:71:16:42:B7:26:B0:44:01:62:7C:A9:FB:AC:32:F5:C8:53:0F:B1:90:3C:C4:DB:02:25:87:17:92:1A:48:81"
	)
	key, certificate := Pin{Sum: sha256.Sum256([]byte("x"))}, Pin{Certificate: true, Sum: sha256.Sum256([]byte("x"))}
	if key.String() != "sha256/"+base64 || certificate.String() != colons {
		t.Errorf("they are written as %s and %s", key, certificate)
	}
	for text, want := range map[string]Pin{
		base64:                          key,
		"sha256/" + base64:              key,
		"sha256//" + base64:             key,
		"pin-sha256=\"" + base64 + "\"": key,
		"LXEWQrcmsEQBYnyp-6wy9chTD7GQPMTbAiWHF5IaSIE": key, // base64url, as in a thumbprint
		"key:" + hex:                   key,
		"key:" + colons:                key,
		hex:                            certificate,
		colons:                         certificate,
		" " + colons + "\n":            certificate,
		"sha256 Fingerprint=" + colons: certificate,
		"SHA256 Fingerprint=" + colons: certificate,
		"certificate:" + hex:           certificate,
		"certificate:" + base64:        certificate,
		"certificate: " + colons:       certificate,
	} {
		if got, err := parse[Pin](text); err != nil || got != want {
			t.Errorf("%q: got %v of a certificate: %v, %v", text, got, got.Certificate, err)
		}
	}
}

// Two lists keep certificates apart only when all of their pins are of one kind: whether a certificate has a pinned key
// is not seen from its own pin.
func TestPinsApart(t *testing.T) {
	t.Parallel()
	a := &x509.Certificate{Raw: []byte("a"), RawSubjectPublicKeyInfo: []byte("ka")}
	b := &x509.Certificate{Raw: []byte("b"), RawSubjectPublicKeyInfo: []byte("kb")}
	keyA, keyB, certA, certB := KeyPin(a), KeyPin(b), CertificatePin(a), CertificatePin(b)
	if !keyA.Fits(a) || keyA.Fits(b) || !certA.Fits(a) || certA.Fits(b) {
		t.Error("a pin does not know its own")
	}
	type pins = []Pin
	for _, tt := range []struct {
		a, b  pins
		apart bool
	}{
		{pins{keyA}, pins{keyB}, true},
		{pins{certA}, pins{certB}, true},
		{pins{keyA}, pins{keyA}, false},
		{pins{keyA}, pins{certB}, false},
		{pins{keyA, certA}, pins{keyB}, false},
		{pins{keyA, keyB}, pins{keyB}, false},
		{nil, pins{keyB}, false},
		{nil, nil, false},
	} {
		if got := PinsApart(tt.a, tt.b); got != tt.apart || PinsApart(tt.b, tt.a) != got {
			t.Errorf("%s: %v", fmt.Sprint(tt.a, tt.b), got)
		}
	}
}
