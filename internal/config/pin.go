package config

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
)

// Pin is the SHA-256 sum of a peer's key or certificate.
type Pin struct {
	Certificate bool // of the whole certificate; else of its key (SubjectPublicKeyInfo, as in RFC 7469 §2.4)
	Sum         [sha256.Size]byte
}

// KeyPin returns the pin of a certificate's key, which a renewed certificate for the same key has too.
func KeyPin(c *x509.Certificate) Pin { return Pin{Sum: sha256.Sum256(c.RawSubjectPublicKeyInfo)} }

// CertificatePin returns the pin of one certificate.
func CertificatePin(c *x509.Certificate) Pin {
	return Pin{Certificate: true, Sum: sha256.Sum256(c.Raw)}
}

// Fits says whether a certificate is the pinned one, or has the pinned key.
func (p Pin) Fits(c *x509.Certificate) bool {
	if p.Certificate {
		return p == CertificatePin(c)
	}
	return p == KeyPin(c)
}

// String renders it as others write it: a key as "sha256/" and base64, a
// certificate as openssl prints its fingerprint.
func (p Pin) String() string {
	if !p.Certificate {
		return "sha256/" + base64.StdEncoding.EncodeToString(p.Sum[:])
	}
	var pairs []string
	for _, b := range p.Sum {
		pairs = append(pairs, fmt.Sprintf("%02X", b))
	}
	return strings.Join(pairs, ":")
}

// pinForms are the beginnings by which a pin says what it is of. Without one,
// hexadecimal digits are a certificate's and base64 is a key's, as the tools
// that print them have it.
var pinForms = []struct {
	begins      string
	certificate bool
}{
	{"key:", false},
	{"certificate:", true},
	{"pin-sha256=", false},         // RFC 7469
	{"sha256//", false},            // curl
	{"sha256/", false},             // browsers
	{"sha256 fingerprint=", true},  // openssl x509 -fingerprint -sha256
	{"sha-256 fingerprint=", true}, // in other words
}

func (p *Pin) set(text string) *fault {
	const forms = `write a key's as "sha256/…" in base64, or a certificate's fingerprint as "AB:CD:…": sallyport cert show prints both`
	rest, said, certificate := strings.TrimSpace(text), false, false
	for _, f := range pinForms {
		if len(rest) >= len(f.begins) && strings.EqualFold(rest[:len(f.begins)], f.begins) {
			rest, said, certificate = strings.Trim(rest[len(f.begins):], ` "`), true, f.certificate
			break
		}
	}
	sum, isHex := pinHex(rest)
	switch {
	case isHex && len(sum) == 20, isHex && len(sum) == 16:
		return &fault{why: fmt.Sprintf("it has %d bytes, so it is a SHA-1 or MD5 sum, which proves nothing any more", len(sum)),
			remedy: "write the SHA-256 sum: openssl x509 -noout -fingerprint -sha256 -in FILE"}
	case !isHex:
		sum = pinBase64(rest)
	}
	if len(sum) != sha256.Size {
		return &fault{why: "it is no SHA-256 sum in hexadecimal digits or base64", remedy: forms}
	}
	*p = Pin{Certificate: isHex, Sum: [sha256.Size]byte(sum)}
	if said {
		p.Certificate = certificate
	}
	return nil
}

// pinHex reads pairs of hexadecimal digits, with colons or spaces between them
// or without.
func pinHex(text string) ([]byte, bool) {
	sum, err := hex.DecodeString(strings.NewReplacer(":", "", " ", "").Replace(text))
	return sum, err == nil && len(sum) > 0
}

// pinBase64 reads either alphabet, padded or not; nil when it is neither.
func pinBase64(text string) []byte {
	text = strings.TrimRight(strings.NewReplacer("-", "+", "_", "/").Replace(text), "=")
	sum, err := base64.RawStdEncoding.DecodeString(text)
	if err != nil {
		return nil
	}
	return sum
}

// checkPins judges the list; that it is for TLS only is judged with the other
// keys of which that is true.
func checkPins(r *report, p *Peer, label string) {
	if p.Has("pins") && len(p.Pins) == 0 && !p.Broken("pins") {
		r.add(p.At("pins"), label+`: "pins" is an empty list`, "no certificate could be the peer's", "write a pin, or leave the key out")
	}
	for i, pin := range p.Pins {
		if slices.Contains(p.Pins[:i], pin) {
			r.add(p.AtItem("pins", i), fmt.Sprintf("%s: %s stands twice in \"pins\"", label, pin), "", "remove one of them")
		}
	}
}

// PinsApart says whether no certificate can be pinned by both lists: each of
// them has pins, all are of the same kind, and none is in both.
func PinsApart(a, b []Pin) bool {
	for _, x := range a {
		for _, y := range b {
			if x.Certificate != y.Certificate || x == y {
				return false
			}
		}
	}
	return len(a) > 0 && len(b) > 0
}
