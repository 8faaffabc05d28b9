package certfile

import (
	"crypto/x509"
	"encoding/asn1"
	"slices"
)

// auxiliary is what OpenSSL writes behind a TRUSTED CERTIFICATE: for which usages its owner trusts it and for which not.
// Files of distributions with distrusted CAs in them have this form.
type auxiliary struct {
	Trust  []asn1.ObjectIdentifier `asn1:"optional"`
	Reject []asn1.ObjectIdentifier `asn1:"optional,tag:0"`
	Alias  string                  `asn1:"optional,utf8"`
	KeyID  []byte                  `asn1:"optional"`
	Other  asn1.RawValue           `asn1:"optional,tag:1"`
}

// The usages of TLS (RFC 5280 §4.2.1.12).
var (
	oidServerAuth = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 3, 1}
	oidClientAuth = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 3, 2}
	oidAnyUsage   = asn1.ObjectIdentifier{2, 5, 29, 37, 0}
)

// trustedCertificate reads a certificate with those notes, which are not looked over: who rejected a CA does not want it
// believed because it stands in a file.
func trustedCertificate(der []byte) (Item, error) {
	var first asn1.RawValue
	notes, err := asn1.Unmarshal(der, &first)
	if err != nil {
		return Item{}, err
	}
	c, err := x509.ParseCertificate(first.FullBytes)
	if err != nil {
		return Item{}, err
	}
	return Item{Cert: c, Doubt: doubt(notes)}, nil
}

func doubt(notes []byte) string {
	if len(notes) == 0 {
		return ""
	}
	var aux auxiliary
	if rest, err := asn1.Unmarshal(notes, &aux); err != nil || len(rest) > 0 {
		return "the notes of OpenSSL behind it cannot be read"
	}
	in := func(all []asn1.ObjectIdentifier, usage asn1.ObjectIdentifier) bool {
		return slices.ContainsFunc(all, usage.Equal)
	}
	for _, usage := range []asn1.ObjectIdentifier{oidServerAuth, oidClientAuth, oidAnyUsage} {
		if in(aux.Reject, usage) {
			return "the notes of OpenSSL behind it reject it for TLS"
		}
	}
	if len(aux.Trust) > 0 && !in(aux.Trust, oidAnyUsage) && !(in(aux.Trust, oidServerAuth) && in(aux.Trust, oidClientAuth)) {
		return "the notes of OpenSSL behind it do not trust it for clients and servers of TLS alike"
	}
	return ""
}
