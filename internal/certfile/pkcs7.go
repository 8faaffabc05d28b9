package certfile

import (
	"crypto/x509"
	"encoding/asn1"
	"errors"
)

var oidSignedData = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 2}

// signedData is RFC 5652 §5.1, as far as certificates and revocation lists go.
type signedData struct {
	Version int
	Digests asn1.RawValue
	Content asn1.RawValue
	Certs   asn1.RawValue `asn1:"optional,tag:0"`
	CRLs    asn1.RawValue `asn1:"optional,tag:1"`
	Signers asn1.RawValue
}

// decodePKCS7 reads the certificates and revocation lists of a SignedData structure, which is how Windows and many CAs
// hand out a chain (.p7b). Signatures in it are not looked at. Only an error that is an *Error says that der is one.
func decodePKCS7(der []byte) ([]Item, error) {
	var outer struct {
		Type    asn1.ObjectIdentifier
		Content asn1.RawValue `asn1:"explicit,tag:0"`
	}
	if rest, err := asn1.Unmarshal(der, &outer); err != nil || len(rest) > 0 || !outer.Type.Equal(oidSignedData) {
		return nil, errors.New("it is no PKCS #7 structure with certificates, or it is cut off")
	}
	bad := func(what string, err error) error {
		return &Error{What: what + " in the PKCS #7 file cannot be read", Why: clean(err.Error()), Remedy: "write the file again from its source"}
	}
	var s signedData
	if _, err := asn1.Unmarshal(outer.Content.Bytes, &s); err != nil {
		return nil, bad("the list", err)
	}
	var items []Item
	certs, err := x509.ParseCertificates(s.Certs.Bytes)
	if err != nil {
		return nil, bad("a certificate", err)
	}
	for _, c := range certs {
		items = append(items, Item{Cert: c})
	}
	for rest := s.CRLs.Bytes; len(rest) > 0; {
		var raw asn1.RawValue
		if rest, err = asn1.Unmarshal(rest, &raw); err != nil {
			return nil, bad("a revocation list", err)
		}
		l, err := x509.ParseRevocationList(raw.FullBytes)
		if err != nil {
			return nil, bad("a revocation list", err)
		}
		items = append(items, Item{CRL: l})
	}
	if len(items) == 0 {
		return nil, &Error{What: "the PKCS #7 file holds no certificate", Remedy: "name another file"}
	}
	return items, nil
}
