// Package certfile reads what files with certificates and keys hold, whatever their form, and writes them: PEM and DER,
// PKCS #8 with and without a password, the older forms of keys, PKCS #12, PKCS #7, requests and revocation lists.
//
// Reading starts at Decode, which makes Contents of bytes; encode.go is the way back. Passwords come in as bytes: nil
// means that none is known. Everything is pure: no file, no clock, no goroutine. What is read may come from anywhere, so
// the work that a file can ask for is bounded: Decode refuses key derivations above maxRounds and maxMemory.
//
// RFC 7468 (PEM), RFC 5958 and 5208 (PKCS #8), RFC 8018 (PBES2), RFC 7914 (scrypt), RFC 8017 (PKCS #1), RFC 5915 (EC
// keys), RFC 7292 (PKCS #12), RFC 5652 (PKCS #7), RFC 2986 (requests), RFC 5280 (certificates, revocation lists).
package certfile

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"regexp"
	"strings"
)

// What a password did not open. Tested with errors.Is.
var (
	ErrNoPassword    = errors.New("it is protected by a password")
	ErrWrongPassword = errors.New("the password does not open it")
)

// Error says what is wrong with a file, why that is so, and what to do. Err may be one of the sentinels.
type Error struct {
	What, Why, Remedy string
	Err               error
}

// Error returns the three parts, as far as there are any.
func (e *Error) Error() string {
	var parts []string
	for _, s := range []string{e.What, e.Why, e.Remedy} {
		if s != "" {
			parts = append(parts, s)
		}
	}
	return strings.Join(parts, ", ")
}

// Unwrap returns Err.
func (e *Error) Unwrap() error { return e.Err }

// Format is the form of a whole file.
type Format string

// The formats.
const (
	PEM    Format = "PEM"
	DER    Format = "DER"
	PKCS12 Format = "PKCS #12"
	PKCS7  Format = "PKCS #7"
)

// Contents is what one file holds, in its order.
type Contents struct {
	Format Format
	Items  []Item
	Cipher string // what protects a PKCS #12 file, in words
}

// Item is one thing in a file. Exactly one of Cert, Key, Request, CRL and Public is set, unless it is Locked.
type Item struct {
	Cert    *x509.Certificate
	Key     crypto.Signer
	Request *x509.CertificateRequest
	CRL     *x509.RevocationList
	Public  crypto.PublicKey

	Form   string // of a key: "PKCS #8", "PKCS #1", "EC", and whether it was encrypted
	Cipher string // what encrypts a key, in words; empty: nothing does
	Locked bool   // a key whose password is not known

	// Doubt says why a certificate may not be made a trust anchor: OpenSSL's notes in the file forbid it. Empty: nothing does.
	Doubt string
}

// Certs returns the certificates.
func (c *Contents) Certs() []*x509.Certificate {
	var all []*x509.Certificate
	for _, i := range c.Items {
		if i.Cert != nil {
			all = append(all, i.Cert)
		}
	}
	return all
}

// Keys returns the private keys that could be read.
func (c *Contents) Keys() []crypto.Signer {
	var all []crypto.Signer
	for _, i := range c.Items {
		if i.Key != nil {
			all = append(all, i.Key)
		}
	}
	return all
}

// Locked reports whether a key needs a password that was not given.
func (c *Contents) Locked() bool {
	for _, i := range c.Items {
		if i.Locked {
			return true
		}
	}
	return false
}

// Decode reads a file. A nil password means that none is known: encrypted keys are then Locked, and a PKCS #12 file is
// tried with the empty password. The error is an *Error.
func Decode(data, password []byte) (*Contents, error) {
	if len(bytes.TrimSpace(data)) == 0 {
		return nil, &Error{What: "the file is empty", Remedy: "write it again from its source"}
	}
	if bytes.HasPrefix(data, []byte("\xff\xfe")) || bytes.HasPrefix(data, []byte("\xfe\xff")) {
		return nil, &Error{What: "it is text in UTF-16", Why: "as redirected by Windows PowerShell", Remedy: "write it as ASCII: Get-Content FILE | Set-Content -Encoding ascii NEW"}
	}
	if bytes.Contains(data, begin) {
		return decodePEM(data, password)
	}
	return decodeDER(data, password)
}

// begin opens a PEM block. begun finds the lines that ought to: all but those that somebody has made comments of.
var (
	begin = []byte("-----BEGIN ")
	begun = regexp.MustCompile(`(?m)^[^#\n]*-----BEGIN `)
)

func decodePEM(data, password []byte) (*Contents, error) {
	c := &Contents{Format: PEM}
	data = bytes.ReplaceAll(data, append([]byte("\uFEFF"), begin...), begin) // the mark of Windows' editors
	blocks := 0
	for rest := data; ; {
		var b *pem.Block
		if b, rest = pem.Decode(rest); b == nil {
			break
		}
		blocks++
		items, err := block(b, password)
		if err != nil {
			return nil, about(err, b.Type, c)
		}
		c.Items = append(c.Items, items...)
	}
	if len(begun.FindAll(data, -1)) > blocks { // nothing is passed over in silence
		return nil, &Error{What: "its PEM text is damaged", Why: "a BEGIN is not at the start of its line, or a line between BEGIN and END is broken or missing",
			Remedy: "write the file again from its source"}
	}
	if len(c.Items) == 0 {
		return nil, &Error{What: "it holds neither a certificate nor a private key", Remedy: "name another PEM file"}
	}
	return c, nil
}

// block reads one PEM block. Types that mean nothing here, such as EC PARAMETERS, give nothing.
func block(b *pem.Block, password []byte) ([]Item, error) {
	switch {
	case strings.HasSuffix(b.Type, "PRIVATE KEY"):
		i, err := privateKey(b, password)
		return []Item{i}, err
	case b.Type == "TRUSTED CERTIFICATE":
		i, err := trustedCertificate(b.Bytes)
		return []Item{i}, err
	case b.Type == "CERTIFICATE", b.Type == "X509 CERTIFICATE":
		c, err := x509.ParseCertificate(b.Bytes)
		return []Item{{Cert: c}}, err
	case b.Type == "CERTIFICATE REQUEST", b.Type == "NEW CERTIFICATE REQUEST":
		r, err := x509.ParseCertificateRequest(b.Bytes)
		return []Item{{Request: r}}, err
	case b.Type == "X509 CRL":
		l, err := x509.ParseRevocationList(b.Bytes)
		return []Item{{CRL: l}}, err
	case b.Type == "PUBLIC KEY":
		k, err := x509.ParsePKIXPublicKey(b.Bytes)
		return []Item{{Public: k}}, err
	case b.Type == "PKCS7", b.Type == "CMS":
		items, err := decodePKCS7(b.Bytes)
		return items, err
	}
	return nil, nil
}

// about turns the error of one PEM block into one that says which block it was.
func about(err error, kind string, c *Contents) error {
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	if strings.HasSuffix(kind, "PRIVATE KEY") {
		return &Error{What: "the private key cannot be read", Why: clean(err.Error()), Remedy: "write it as PKCS #8 in PEM, with an RSA, ECDSA or Ed25519 key"}
	}
	what := "the " + strings.ToLower(kind) + " in the file cannot be read"
	if strings.HasSuffix(kind, "CERTIFICATE") {
		what = fmt.Sprintf("certificate %d in the file cannot be read", len(c.Certs())+1)
	}
	return &Error{What: what, Why: clean(err.Error()), Remedy: "write the file again from its source"}
}

// decodeDER tries the forms of binary files one after the other. All begin with a SEQUENCE, so what fails in the one may
// be right in the next.
func decodeDER(data, password []byte) (*Contents, error) {
	if data[0] != 0x30 {
		return nil, &Error{What: "it is not a PEM file", Why: "there is no line that begins with -----BEGIN, and it is no DER either",
			Remedy: "name a file with a certificate or a key"}
	}
	if certs, err := x509.ParseCertificates(data); err == nil && len(certs) > 0 {
		c := &Contents{Format: DER}
		for _, cert := range certs {
			c.Items = append(c.Items, Item{Cert: cert})
		}
		return c, nil
	}
	for _, typ := range []string{"PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY", "ENCRYPTED PRIVATE KEY", "CERTIFICATE REQUEST", "X509 CRL", "PUBLIC KEY"} {
		items, err := block(&pem.Block{Type: typ, Bytes: data}, password)
		if err == nil {
			return &Contents{Format: DER, Items: items}, nil
		}
		if e, ok := errors.AsType[*Error](err); ok {
			return nil, e // it is of this form, and something else is wrong with it
		}
	}
	if isPKCS12(data) {
		return decodePKCS12(data, password)
	}
	if items, err := decodePKCS7(data); err == nil {
		return &Contents{Format: PKCS7, Items: items}, nil
	} else if e, ok := errors.AsType[*Error](err); ok {
		return nil, e
	}
	return nil, &Error{What: "it is binary data that is no certificate, key, request, revocation list, PKCS #7 or PKCS #12 file",
		Why: "it may be cut off or damaged", Remedy: "write the file again from its source"}
}

// clean makes the text of a parser fit for a terminal, and short.
func clean(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r > 0x7e && r < 0xa0 {
			return '?'
		}
		return r
	}, s)
	if len(s) > 200 {
		s = strings.ToValidUTF8(s[:197], "") + "..."
	}
	return s
}
