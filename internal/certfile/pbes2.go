package certfile

import (
	"crypto"
	"crypto/aes"
	"crypto/cipher"
	"crypto/des"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"hash"
	"slices"

	"golang.org/x/crypto/scrypt"
)

// What a file may ask for before a password is known to be right: rounds of PBKDF2 and PKCS #12 (OpenSSL makes 2048,
// careful people 600 000), and bytes of scrypt (OpenSSL takes 16 MiB).
const (
	maxRounds = 2_000_000
	maxMemory = 64 << 20
)

// rounds is what EncryptKey asks of a guesser.
const rounds = 600_000

var (
	oidPBES2  = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 5, 13}
	oidPBKDF2 = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 5, 12}
	oidScrypt = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 11591, 4, 11} // RFC 7914 §7
)

// prfs are the pseudo-random functions of PBKDF2 (RFC 8018 appendix B.1).
var prfs = []struct {
	oid  asn1.ObjectIdentifier
	name string
	hash func() hash.Hash
}{
	{asn1.ObjectIdentifier{1, 2, 840, 113549, 2, 7}, "SHA-1", sha1.New},
	{asn1.ObjectIdentifier{1, 2, 840, 113549, 2, 9}, "SHA-256", sha256.New},
	{asn1.ObjectIdentifier{1, 2, 840, 113549, 2, 10}, "SHA-384", sha512.New384},
	{asn1.ObjectIdentifier{1, 2, 840, 113549, 2, 11}, "SHA-512", sha512.New},
}

// schemes are the ciphers (RFC 8018 appendix B.2, RFC 3565).
var schemes = []scheme{
	{asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 1, 2}, "AES-128-CBC", 16, aes.NewCipher},
	{asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 1, 22}, "AES-192-CBC", 24, aes.NewCipher},
	{asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 1, 42}, "AES-256-CBC", 32, aes.NewCipher},
	{asn1.ObjectIdentifier{1, 2, 840, 113549, 3, 7}, "3DES-CBC", 24, des.NewTripleDESCipher},
}

type scheme struct {
	oid  asn1.ObjectIdentifier
	name string
	key  int // bytes
	make func([]byte) (cipher.Block, error)
}

// encryptedPrivateKeyInfo is RFC 5958 §3.
type encryptedPrivateKeyInfo struct {
	Algorithm pkix.AlgorithmIdentifier
	Data      []byte
}

type pbes2Params struct {
	KDF, Scheme pkix.AlgorithmIdentifier
}

type pbkdf2Params struct {
	Salt   []byte
	Rounds int
	Length int                      `asn1:"optional"`
	PRF    pkix.AlgorithmIdentifier `asn1:"optional"`
}

type scryptParams struct {
	Salt    []byte
	N, R, P int
	Length  int `asn1:"optional"`
}

// pbes2 is one encryption by a password (RFC 8018 §6.2), understood and checked.
type pbes2 struct {
	name string // in words
	key  func(password []byte) ([]byte, error)
	new  func(key []byte) (cipher.Block, error)
	iv   []byte
}

// encryptedPKCS8 reads an encrypted key (RFC 5958 §3). Only an error that is an *Error says that der is one.
func encryptedPKCS8(der, password []byte) (Item, error) {
	var info encryptedPrivateKeyInfo
	if rest, err := asn1.Unmarshal(der, &info); err != nil || len(rest) > 0 {
		return Item{}, errors.New("it is no encrypted PKCS #8 structure, or it is cut off")
	}
	if !info.Algorithm.Algorithm.Equal(oidPBES2) {
		return Item{}, &Error{What: "the private key is encrypted in a way that is not read here",
			Why: "its method is " + info.Algorithm.Algorithm.String() + ", not PBES2 (RFC 8018)", Remedy: "write it anew: openssl pkcs8 -topk8 -v2 aes-256-cbc"}
	}
	p, err := readPBES2(info.Algorithm.Parameters.FullBytes)
	if err != nil {
		return Item{}, &Error{What: "the private key is encrypted in a way that is not read here", Why: clean(err.Error()),
			Remedy: "write it anew: openssl pkcs8 -topk8 -v2 aes-256-cbc"}
	}
	item := Item{Form: FormPKCS8, Cipher: p.name}
	if password == nil {
		item.Locked = true
		return item, nil
	}
	plain, err := p.open(info.Data, password)
	if err != nil {
		return Item{}, wrongPassword()
	}
	if item.Key, err = parseKey(FormPKCS8, plain); err != nil {
		return Item{}, wrongPassword() // the padding was right by chance
	}
	return item, nil
}

func readPBES2(der []byte) (*pbes2, error) {
	var params pbes2Params
	if rest, err := asn1.Unmarshal(der, &params); err != nil || len(rest) > 0 {
		return nil, errors.New("its parameters cannot be read")
	}
	i := slices.IndexFunc(schemes, func(s scheme) bool { return s.oid.Equal(params.Scheme.Algorithm) })
	if i < 0 {
		return nil, fmt.Errorf("its cipher is %s, not AES-CBC", params.Scheme.Algorithm)
	}
	scheme := schemes[i]
	p := &pbes2{new: scheme.make}
	if rest, err := asn1.Unmarshal(params.Scheme.Parameters.FullBytes, &p.iv); err != nil || len(rest) > 0 {
		return nil, errors.New("the cipher's parameters cannot be read")
	}
	var err error
	var kdf string
	switch {
	case params.KDF.Algorithm.Equal(oidPBKDF2):
		kdf, p.key, err = readPBKDF2(params.KDF.Parameters.FullBytes, scheme.key)
	case params.KDF.Algorithm.Equal(oidScrypt):
		kdf, p.key, err = readScrypt(params.KDF.Parameters.FullBytes, scheme.key)
	default:
		err = fmt.Errorf("its key derivation is %s, neither PBKDF2 nor scrypt", params.KDF.Algorithm)
	}
	p.name = scheme.name + ", " + kdf
	return p, err
}

func readPBKDF2(der []byte, length int) (string, func([]byte) ([]byte, error), error) {
	var k pbkdf2Params
	if rest, err := asn1.Unmarshal(der, &k); err != nil || len(rest) > 0 {
		return "", nil, errors.New("the parameters of PBKDF2 cannot be read")
	}
	if k.Rounds < 1 || k.Rounds > maxRounds {
		return "", nil, fmt.Errorf("it asks for %d rounds of PBKDF2, and %d are the most", k.Rounds, maxRounds)
	}
	if k.Length != 0 && k.Length != length {
		return "", nil, fmt.Errorf("its key has %d bytes, and the cipher takes %d", k.Length, length)
	}
	prf := prfs[0] // RFC 8018 appendix A.2: the default
	for _, f := range prfs {
		if f.oid.Equal(k.PRF.Algorithm) {
			prf = f
		}
	}
	if len(k.PRF.Algorithm) > 0 && !prf.oid.Equal(k.PRF.Algorithm) {
		return "", nil, fmt.Errorf("its pseudo-random function is %s, not HMAC with SHA", k.PRF.Algorithm)
	}
	derive := func(password []byte) ([]byte, error) {
		return pbkdf2.Key(prf.hash, string(password), k.Salt, k.Rounds, length)
	}
	return fmt.Sprintf("PBKDF2 with %s, %d rounds", prf.name, k.Rounds), derive, nil
}

func readScrypt(der []byte, length int) (string, func([]byte) ([]byte, error), error) {
	var k scryptParams
	if rest, err := asn1.Unmarshal(der, &k); err != nil || len(rest) > 0 {
		return "", nil, errors.New("the parameters of scrypt cannot be read")
	}
	if k.Length != 0 && k.Length != length {
		return "", nil, fmt.Errorf("its key has %d bytes, and the cipher takes %d", k.Length, length)
	}
	// The memory is 128*N*r bytes, and the time goes with p (RFC 7914 §2).
	if k.N < 2 || k.R < 1 || k.P < 1 || k.N > maxMemory/128 || k.R > maxMemory/128/k.N || k.P > 8 {
		return "", nil, fmt.Errorf("it asks for scrypt with N=%d, r=%d and p=%d: more than %d MiB, more than 8 times, or nonsense", k.N, k.R, k.P, maxMemory>>20)
	}
	derive := func(password []byte) ([]byte, error) { return scrypt.Key(password, k.Salt, k.N, k.R, k.P, length) }
	return fmt.Sprintf("scrypt with N=%d", k.N), derive, nil
}

// open decrypts and takes the padding away (RFC 8018 §6.2.2).
func (p *pbes2) open(data, password []byte) ([]byte, error) {
	key, err := p.key(password)
	if err != nil {
		return nil, err
	}
	b, err := p.new(key)
	if err != nil {
		return nil, err
	}
	size := b.BlockSize()
	if len(p.iv) != size || len(data) == 0 || len(data)%size != 0 {
		return nil, errors.New("the length is wrong")
	}
	plain := make([]byte, len(data))
	cipher.NewCBCDecrypter(b, p.iv).CryptBlocks(plain, data)
	n := int(plain[len(plain)-1])
	if n < 1 || n > size {
		return nil, errors.New("the padding is wrong")
	}
	for _, c := range plain[len(plain)-n:] {
		if int(c) != n {
			return nil, errors.New("the padding is wrong")
		}
	}
	return plain[:len(plain)-n], nil
}

// EncryptKey writes a key as encrypted PKCS #8: AES-256-CBC by PBKDF2 with SHA-256 (RFC 8018 §6.2). Every OpenSSL since
// 1.0 reads it.
func EncryptKey(key crypto.Signer, password []byte) ([]byte, error) {
	if len(password) == 0 {
		return nil, errors.New("the password is empty")
	}
	plain, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	prf, scheme := prfs[1], schemes[2]
	salt, iv := make([]byte, 16), make([]byte, aes.BlockSize)
	rand.Read(salt)
	rand.Read(iv)
	secret, err := pbkdf2.Key(prf.hash, string(password), salt, rounds, scheme.key)
	if err != nil {
		return nil, err
	}
	b, err := scheme.make(secret)
	if err != nil {
		return nil, err
	}
	n := aes.BlockSize - len(plain)%aes.BlockSize
	for range n {
		plain = append(plain, byte(n))
	}
	cipher.NewCBCEncrypter(b, iv).CryptBlocks(plain, plain)
	kdf, err := algorithm(oidPBKDF2, pbkdf2Params{Salt: salt, Rounds: rounds, PRF: pkix.AlgorithmIdentifier{Algorithm: prf.oid, Parameters: asn1.NullRawValue}})
	if err != nil {
		return nil, err
	}
	enc, err := algorithm(scheme.oid, iv)
	if err != nil {
		return nil, err
	}
	whole, err := algorithm(oidPBES2, pbes2Params{kdf, enc})
	if err != nil {
		return nil, err
	}
	return asn1.Marshal(encryptedPrivateKeyInfo{whole, plain})
}

func algorithm(id asn1.ObjectIdentifier, params any) (pkix.AlgorithmIdentifier, error) {
	der, err := asn1.Marshal(params)
	return pkix.AlgorithmIdentifier{Algorithm: id, Parameters: asn1.RawValue{FullBytes: der}}, err
}
