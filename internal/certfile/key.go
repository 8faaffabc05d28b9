package certfile

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
)

// The forms of keys.
const (
	FormPKCS8 = "PKCS #8" // RFC 5958
	FormPKCS1 = "PKCS #1" // RFC 8017 appendix A.1.2: RSA alone
	FormEC    = "EC"      // RFC 5915: ECDSA alone
)

// privateKey reads a block that holds one.
func privateKey(b *pem.Block, password []byte) (Item, error) {
	if b.Type == "ENCRYPTED PRIVATE KEY" {
		return encryptedPKCS8(b.Bytes, password)
	}
	if strings.Contains(b.Headers["Proc-Type"], "ENCRYPTED") {
		return encryptedPEM(b, password)
	}
	form, ok := map[string]string{"PRIVATE KEY": FormPKCS8, "RSA PRIVATE KEY": FormPKCS1, "EC PRIVATE KEY": FormEC}[b.Type]
	if !ok {
		return Item{}, fmt.Errorf("a %s is not supported", b.Type)
	}
	key, err := parseKey(form, b.Bytes)
	return Item{Key: key, Form: form}, err
}

func parseKey(form string, der []byte) (crypto.Signer, error) {
	var key any
	var err error
	switch form {
	case FormPKCS1:
		key, err = x509.ParsePKCS1PrivateKey(der)
	case FormEC:
		key, err = x509.ParseECPrivateKey(der)
	default:
		key, err = x509.ParsePKCS8PrivateKey(der)
	}
	if err != nil {
		return nil, err
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("a key of type %T cannot sign", key)
	}
	return signer, nil
}

// encryptedPEM reads the form of old OpenSSL versions, with the cipher in the head of the PEM block (RFC 1421 §4.6.1.1).
// It is never written: its key derivation is one round of MD5.
func encryptedPEM(b *pem.Block, password []byte) (Item, error) {
	name, _, _ := strings.Cut(b.Headers["DEK-Info"], ",")
	item := Item{Cipher: "old PEM encryption, MD5 and " + clean(name)}
	if password == nil {
		item.Locked = true
		return item, nil
	}
	//lint:ignore SA1019 files of this form are about; they are read and not written, and what decides is the file's owner
	der, err := x509.DecryptPEMBlock(b, password)
	if errors.Is(err, x509.IncorrectPasswordError) {
		return Item{}, wrongPassword()
	} else if err != nil {
		return Item{}, err
	}
	plain := &pem.Block{Type: b.Type, Bytes: der}
	opened, err := privateKey(plain, nil)
	if err != nil { // the padding was right by chance
		return Item{}, wrongPassword()
	}
	opened.Cipher = item.Cipher
	return opened, nil
}

func wrongPassword() *Error {
	return &Error{What: "the password does not open the private key", Why: "it is another one, or the file is damaged",
		Remedy: "correct the password", Err: ErrWrongPassword}
}

// MarshalKey writes a key in one of the forms, as DER. The error says why that form does not serve.
func MarshalKey(key crypto.Signer, form string) ([]byte, error) {
	switch k := key.(type) {
	case *rsa.PrivateKey:
		if form == FormPKCS1 {
			return x509.MarshalPKCS1PrivateKey(k), nil
		}
	case *ecdsa.PrivateKey:
		if form == FormEC {
			return x509.MarshalECPrivateKey(k)
		}
	}
	switch form {
	case FormPKCS1:
		return nil, errors.New("PKCS #1 is for RSA keys, and this is none")
	case FormEC:
		return nil, errors.New("the EC form is for ECDSA keys, and this is none")
	}
	return x509.MarshalPKCS8PrivateKey(key)
}

// KeyPEM writes a key as PEM. With a password, which is for PKCS #8 alone, it is encrypted as EncryptKey does.
func KeyPEM(key crypto.Signer, form string, password []byte) ([]byte, error) {
	if password != nil {
		if form != FormPKCS8 {
			return nil, fmt.Errorf("a key in the form %s is not encrypted here: use PKCS #8", form)
		}
		der, err := EncryptKey(key, password)
		if err != nil {
			return nil, err
		}
		return pem.EncodeToMemory(&pem.Block{Type: "ENCRYPTED PRIVATE KEY", Bytes: der}), nil
	}
	der, err := MarshalKey(key, form)
	if err != nil {
		return nil, err
	}
	typ := map[string]string{FormPKCS8: "PRIVATE KEY", FormPKCS1: "RSA PRIVATE KEY", FormEC: "EC PRIVATE KEY"}[form]
	return pem.EncodeToMemory(&pem.Block{Type: typ, Bytes: der}), nil
}

// Belongs reports whether a certificate or request with this public key goes with key.
func Belongs(key crypto.Signer, public crypto.PublicKey) bool {
	mine, ok := key.Public().(interface{ Equal(crypto.PublicKey) bool })
	return ok && mine.Equal(public)
}
