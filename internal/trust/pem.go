package trust

import (
	"bytes"
	"cmp"
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// maxPEM bounds a PEM file, in bytes. The bundle of all public CAs is a fifth of it.
const maxPEM = 1 << 20

// fault says what is wrong with a file, why that is so, and what to do: the parts of a config.Problem.
type fault struct{ what, why, remedy string }

func (f *fault) Error() string {
	var parts []string
	for _, s := range []string{f.what, f.why, f.remedy} {
		if s != "" {
			parts = append(parts, s)
		}
	}
	return strings.Join(parts, ", ")
}

// File is what a PEM file holds, in its order.
type File struct {
	Certs     []*x509.Certificate
	Keys      []crypto.Signer
	Encrypted bool // one of its keys has a passphrase, and is not among Keys

	path string
}

// ReadFile reads the certificates and private keys of a PEM file, of which there is at least one. The error names the
// file, what is wrong with it and a remedy.
func ReadFile(path string) (*File, error) {
	f, bad := readPEM(path)
	if bad != nil {
		bad.what = path + ": " + bad.what
		return nil, bad
	}
	return f, nil
}

// ReadCertificates returns the certificates of a PEM file, of which there is at least one, in its order. Other blocks
// are passed over. The error names the file, what is wrong with it and a remedy.
func ReadCertificates(path string) ([]*x509.Certificate, error) {
	f, bad := readPEM(path)
	if bad == nil {
		bad = f.needCertificates()
	}
	if bad != nil {
		bad.what = path + ": " + bad.what
		return nil, bad
	}
	return f.Certs, nil
}

// readPEM reads every certificate and private key of a file.
func readPEM(path string) (*File, *fault) {
	data, bad := readFile(path)
	if bad != nil {
		return nil, bad
	}
	f := &File{path: path}
	for rest := data; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if bad := f.take(block); bad != nil {
			return nil, bad
		}
	}
	if len(f.Certs) == 0 && len(f.Keys) == 0 && !f.Encrypted {
		return nil, notPEM(path, data)
	}
	return f, nil
}

func (f *File) take(b *pem.Block) *fault {
	switch {
	case b.Type == "CERTIFICATE" || b.Type == "X509 CERTIFICATE":
		c, err := x509.ParseCertificate(b.Bytes)
		if err != nil {
			return &fault{fmt.Sprintf("certificate %d in the file cannot be read", len(f.Certs)+1), clean(err.Error(), 200), "write the file again from its source"}
		}
		f.Certs = append(f.Certs, c)
	case b.Type == "ENCRYPTED PRIVATE KEY" || strings.Contains(b.Headers["Proc-Type"], "ENCRYPTED"):
		f.Encrypted = true
	case strings.HasSuffix(b.Type, "PRIVATE KEY"):
		key, err := parseKey(b)
		if err != nil {
			return &fault{"the private key cannot be read", clean(err.Error(), 200), "write it as PKCS #8 in PEM, with an RSA, ECDSA or Ed25519 key"}
		}
		f.Keys = append(f.Keys, key)
	}
	return nil
}

// parseKey reads the three forms in which private keys stand in PEM files.
func parseKey(b *pem.Block) (crypto.Signer, error) {
	var key any
	var err error
	switch b.Type {
	case "RSA PRIVATE KEY":
		key, err = x509.ParsePKCS1PrivateKey(b.Bytes)
	case "EC PRIVATE KEY":
		key, err = x509.ParseECPrivateKey(b.Bytes)
	case "PRIVATE KEY":
		key, err = x509.ParsePKCS8PrivateKey(b.Bytes)
	default:
		return nil, fmt.Errorf("a %s is not supported", b.Type)
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

func (f *File) needCertificates() *fault {
	switch {
	case len(f.Certs) > 0:
		return nil
	case len(f.Keys) > 0 || f.Encrypted:
		return &fault{"it holds a private key and no certificate", "", "name the file with the certificate"}
	}
	return &fault{"it holds no certificate", "", "name the file with the certificate"}
}

func (f *File) needKey() *fault {
	switch {
	case len(f.Keys) > 0:
		return nil
	case f.Encrypted:
		return &fault{"the private key is encrypted", "nobody is there to type its passphrase when the gateway starts",
			"store it without one, readable by the gateway alone: openssl pkey -in " + f.path + " -out NEW"}
	}
	return &fault{"it holds no private key", "", "name the file with the private key"}
}

func readFile(path string) ([]byte, *fault) {
	info, err := os.Stat(path) // before it is opened: that would wait for the other end of a pipe, and devices never end
	switch {
	case err != nil:
		return nil, openFault(path, err)
	case info.IsDir():
		return nil, &fault{"it is a directory", "", "name a PEM file" + inDirectory(path)}
	case !info.Mode().IsRegular():
		return nil, &fault{"it is a pipe or a device", "it would have to be read again at each reload", "name a PEM file"}
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, openFault(path, err)
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, maxPEM+1))
	switch {
	case err != nil:
		return nil, openFault(path, err)
	case len(bytes.TrimSpace(data)) == 0:
		return nil, &fault{"the file is empty", "", "write it again from its source"}
	case len(data) > maxPEM:
		return nil, &fault{"the file is larger than 1 MiB", "", "name a PEM file that holds certificates or a key only"}
	}
	return data, nil
}

func openFault(path string, err error) *fault {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return &fault{"there is no such file", "", cmp.Or(strings.TrimPrefix(inDirectory(filepath.Dir(path)), ": "), "make it with sallyport cert, or name another one")}
	case errors.Is(err, fs.ErrPermission):
		return &fault{"the file may not be read", "the permissions forbid it", "let the user that runs the gateway read it"}
	}
	if pe, ok := errors.AsType[*fs.PathError](err); ok {
		err = pe.Err
	}
	return &fault{"the file cannot be read", err.Error(), "name a readable file"}
}

// inDirectory names a few of the PEM files of a directory, because the right one is often there under another name.
func inDirectory(dir string) string {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return ""
	}
	var names []string
	for _, e := range entries {
		switch strings.ToLower(filepath.Ext(e.Name())) {
		case ".pem", ".crt", ".cer", ".key":
			if !e.IsDir() {
				names = append(names, e.Name())
			}
		}
	}
	if len(names) == 0 {
		return ""
	}
	return ": in its directory there is " + list(names)
}

// notPEM says what a file without a usable PEM block seems to be.
func notPEM(path string, data []byte) *fault {
	if _, err := x509.ParseCertificate(data); err == nil {
		return &fault{"it is a certificate in DER form, not PEM", "", "convert it: openssl x509 -inform der -in " + path + " -out NEW"}
	}
	for _, typ := range []string{"PRIVATE KEY", "EC PRIVATE KEY", "RSA PRIVATE KEY"} {
		if _, err := parseKey(&pem.Block{Type: typ, Bytes: data}); err == nil {
			return &fault{"it is a private key in DER form, not PEM", "", "convert it: openssl pkey -inform der -in " + path + " -out NEW"}
		}
	}
	switch {
	case isPKCS12(data):
		return &fault{"it is a PKCS #12 file, not PEM", "", "convert it: openssl pkcs12 -nodes -in " + path + " -out NEW"}
	case bytes.Contains(data, []byte("-----BEGIN CERTIFICATE REQUEST")), bytes.Contains(data, []byte("-----BEGIN NEW CERTIFICATE REQUEST")):
		return &fault{"it is a request for a certificate", "", "name the certificate that the CA has made of it"}
	case bytes.Contains(data, []byte("-----BEGIN CERTIFICATE-----")), bytes.Contains(data, []byte("PRIVATE KEY-----")):
		return &fault{"its PEM text is damaged", "a line between BEGIN and END is broken or missing", "write the file again from its source"}
	case bytes.Contains(data, []byte("-----BEGIN ")):
		return &fault{"it holds neither a certificate nor a private key", "", "name another PEM file"}
	}
	return &fault{"it is not a PEM file", "there is no line that begins with -----BEGIN", "name a PEM file"}
}

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
