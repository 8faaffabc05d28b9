package certfile

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"strings"

	pkcs12 "software.sslmate.com/src/go-pkcs12"
)

// isPKCS12 looks for a SEQUENCE that begins with version 3 (RFC 7292 §4).
func isPKCS12(data []byte) bool {
	if len(data) < 8 || data[0] != 0x30 {
		return false
	}
	skip := 2
	if data[1] > 0x80 {
		skip += int(data[1] - 0x80)
	}
	return bytes.HasPrefix(data[min(skip, len(data)):], []byte{0x02, 0x01, 0x03})
}

// decodePKCS12 reads a PKCS #12 file with one key and its chain, or a Java trust store without a key.
func decodePKCS12(data, password []byte) (*Contents, error) {
	if n := mostRounds(data, 0); n > maxRounds {
		return nil, &Error{What: "the PKCS #12 file asks for too much work", Why: fmt.Sprintf("%d rounds of its key derivation, and %d are the most", n, maxRounds),
			Remedy: "export it again from its source"}
	}
	c := &Contents{Format: PKCS12, Cipher: pkcs12Cipher(data)}
	key, leaf, more, err := pkcs12.DecodeChain(data, string(password))
	if err != nil {
		if certs, stored := pkcs12.DecodeTrustStore(data, string(password)); stored == nil {
			for _, cert := range certs {
				c.Items = append(c.Items, Item{Cert: cert})
			}
			return c, nil
		}
		return nil, pkcs12Error(err, password)
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, &Error{What: "the private key in the PKCS #12 file cannot be read", Why: fmt.Sprintf("a key of type %T cannot sign", key), Remedy: "export an RSA or ECDSA key"}
	}
	for _, cert := range append([]*x509.Certificate{leaf}, more...) {
		c.Items = append(c.Items, Item{Cert: cert})
	}
	c.Items = append(c.Items, Item{Key: signer, Form: FormPKCS8, Cipher: c.Cipher})
	return c, nil
}

func pkcs12Error(err error, password []byte) *Error {
	switch {
	case strings.Contains(err.Error(), "no MAC in data"):
		return &Error{What: "the PKCS #12 file has no checksum (MAC)", Why: "so nothing tells a right password from a wrong one", Remedy: "export it again with one; or write it anew: openssl pkcs12 -in FILE -nodes -out NEW"}
	case errors.Is(err, pkcs12.ErrIncorrectPassword), errors.Is(err, pkcs12.ErrDecryption):
		if len(password) == 0 {
			return &Error{What: "the PKCS #12 file is protected by a password", Remedy: "name the file or the environment variable that has it", Err: ErrNoPassword}
		}
		return &Error{What: "the password does not open the PKCS #12 file", Why: "it is another one, or the file is damaged", Remedy: "correct the password", Err: ErrWrongPassword}
	case strings.Contains(err.Error(), "private key missing"):
		return &Error{What: "the PKCS #12 file holds no private key", Remedy: "take the certificates out of it: openssl pkcs12 -nokeys -in FILE -out NEW"}
	}
	return &Error{What: "the PKCS #12 file cannot be read", Why: clean(strings.TrimPrefix(err.Error(), "pkcs12: ")),
		Remedy: "export it again; or write it anew: openssl pkcs12 -in FILE -nodes -out NEW"}
}

// pkcs12Ciphers are the protections that tell how old a file's maker is.
var pkcs12Ciphers = []struct {
	oid  asn1.ObjectIdentifier
	name string
}{
	{asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 12, 1, 6}, "RC2-40, which anybody can break"},
	{asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 12, 1, 3}, "3DES, as in older exports"},
	{oidPBES2, "PBES2, as programs of today write it"},
}

func pkcs12Cipher(data []byte) string {
	for _, c := range pkcs12Ciphers {
		if der, err := asn1.Marshal(c.oid); err == nil && bytes.Contains(data, der) {
			return c.name
		}
	}
	return ""
}

// mostRounds returns the highest iteration count in der: the INTEGER after the OCTET STRING of a salt, in MacData
// (RFC 7292 §4), in its ciphers' parameters (appendix C) and in PBKDF2's (RFC 8018 appendix A.2). It goes into whatever
// looks like a SEQUENCE, because PKCS #12 keeps its parts in OCTET STRINGs, and it looks at no class of a tag, because
// neither does who reads the file after it.
func mostRounds(der []byte, depth int) int64 {
	const deepest = 24
	if depth > deepest {
		return maxRounds + 1
	}
	var most int64
	salt := false
	for rest := der; len(rest) > 0; {
		var v asn1.RawValue
		var err error
		if rest, err = asn1.Unmarshal(rest, &v); err != nil {
			return most
		}
		switch {
		case v.Class == asn1.ClassUniversal && v.Tag == asn1.TagInteger && salt:
			var n int64
			if _, err := asn1.Unmarshal(v.FullBytes, &n); err != nil {
				n = maxRounds + 1
			}
			most = max(most, n)
		case v.IsCompound, len(v.Bytes) > 1 && v.Bytes[0] == 0x30:
			most = max(most, mostRounds(v.Bytes, depth+1))
		}
		salt = v.Tag == asn1.TagOctetString
	}
	return most
}

// EncodePKCS12 writes a key with its chain, leaf first. The legacy form, 3DES and SHA-1, is for programs that read no
// other, such as Windows Server 2016 and Java 8; the other is AES-256 and SHA-256.
func EncodePKCS12(key crypto.Signer, chain []*x509.Certificate, password []byte, legacy bool) ([]byte, error) {
	e := pkcs12.Modern2023
	if legacy {
		e = pkcs12.LegacyDES
	}
	return e.WithRand(rand.Reader).Encode(key, chain[0], chain[1:], string(password))
}
