package trust

import (
	"bytes"
	"cmp"
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/sallyport-sip/sallyport/internal/certfile"
)

// maxPEM bounds a file, in bytes. The bundle of all public CAs is a fifth of it.
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

// File is what a file with certificates and keys holds, in its order.
type File struct {
	Certs     []*x509.Certificate
	Keys      []crypto.Signer
	Encrypted bool // one of its keys has a password that is not known, and is not among Keys

	path  string
	other bool   // it holds something else, such as a request
	doubt *fault // why not all of Certs may be trusted; nil: they may
}

// ReadFile reads the certificates and private keys of a file without a password: PEM, DER, PKCS #7 or PKCS #12. There is
// at least one. The error names the file, what is wrong with it and a remedy.
func ReadFile(path string) (*File, error) {
	f, bad := readPEM(path, nil)
	if bad == nil && len(f.Certs) == 0 && len(f.Keys) == 0 && !f.Encrypted {
		bad = f.needCertificates()
	}
	if bad != nil {
		return nil, bad.in(path)
	}
	return f, nil
}

// ReadContents reads all that a file holds, in whatever form. A nil password is none. The error names the file, what is
// wrong with it and a remedy, and wraps certfile.ErrNoPassword or ErrWrongPassword where it is about that.
func ReadContents(path string, password []byte) (*certfile.Contents, error) {
	data, bad := readFile(path)
	if bad != nil {
		return nil, bad.in(path)
	}
	c, err := certfile.Decode(data, password)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return c, nil
}

// ReadCertificates returns the certificates of a file, of which there is at least one, in its order, and none of which its
// notes forbid to trust. What else it holds is passed over. The error names the file, what is wrong with it and a remedy.
func ReadCertificates(path string) ([]*x509.Certificate, error) {
	f, bad := readPEM(path, nil)
	if bad == nil {
		bad = f.needAnchors()
	}
	if bad != nil {
		return nil, bad.in(path)
	}
	return f.Certs, nil
}

func (f *fault) in(path string) *fault {
	return &fault{path + ": " + f.what, f.why, f.remedy}
}

// readPEM reads every certificate and private key of a file, which may be of another form than PEM too.
func readPEM(path string, password []byte) (*File, *fault) {
	data, bad := readFile(path)
	if bad != nil {
		return nil, bad
	}
	c, err := certfile.Decode(data, password)
	if err != nil {
		return nil, decodeFault(err)
	}
	f := &File{Certs: c.Certs(), Keys: c.Keys(), Encrypted: c.Locked(), path: path}
	for _, i := range c.Items {
		f.other = f.other || i.Request != nil
		if i.Doubt != "" && f.doubt == nil {
			f.doubt = &fault{Subject(i.Cert) + " is not to be trusted", i.Doubt, "leave it out; or, if it is to be trusted, write it without them: openssl x509 -in FILE -out NEW"}
		}
	}
	return f, nil
}

// decodeFault puts what certfile says into the words of a configuration.
func decodeFault(err error) *fault {
	e, ok := errors.AsType[*certfile.Error](err)
	switch {
	case !ok:
		return &fault{"it cannot be read", clean(err.Error(), 200), "write the file again from its source"}
	case errors.Is(err, certfile.ErrNoPassword):
		return &fault{e.What, "", namePassword}
	case errors.Is(err, certfile.ErrWrongPassword):
		return &fault{e.What, e.Why, "correct what password_file or password_env of the identity names"}
	}
	return &fault{e.What, e.Why, e.Remedy}
}

const namePassword = "put the password into a file that only the gateway may read, and name that as password_file of the identity"

func (f *File) needCertificates() *fault {
	switch {
	case len(f.Certs) > 0:
		return nil
	case len(f.Keys) > 0 || f.Encrypted:
		return &fault{"it holds a private key and no certificate", "", "name the file with the certificate"}
	}
	if f.other {
		return &fault{"it is a request for a certificate", "", "name the certificate that the CA has made of it"}
	}
	return &fault{"it holds no certificate", "", "name the file with the certificate"}
}

// needAnchors wants certificates of which each may be trusted.
func (f *File) needAnchors() *fault {
	if bad := f.needCertificates(); bad != nil {
		return bad
	}
	return f.doubt
}

func (f *File) needKey() *fault {
	switch {
	case len(f.Keys) > 0:
		return nil
	case f.Encrypted:
		return &fault{"the private key is encrypted", "nobody is there to type its password when the gateway starts", namePassword}
	}
	return &fault{"it holds no private key", "", "name the file with the private key"}
}

func readFile(path string) ([]byte, *fault) {
	return readAtMost(path, maxPEM, &fault{"the file is larger than 1 MiB", "", "name a PEM file that holds certificates or a key only"})
}

// readAtMost reads an ordinary file of at most so many bytes; a larger one is tooLarge.
func readAtMost(path string, most int, tooLarge *fault) ([]byte, *fault) {
	info, err := os.Stat(path) // before it is opened: that would wait for the other end of a pipe, and devices never end
	switch {
	case err != nil:
		return nil, openFault(path, err)
	case info.IsDir():
		return nil, &fault{"it is a directory", "", "name a PEM file" + inDirectory(path)}
	case !info.Mode().IsRegular():
		return nil, &fault{"it is a pipe or a device", "it would have to be read again at each reload", "name an ordinary file"}
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, openFault(path, err)
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, int64(most)+1))
	switch {
	case err != nil:
		return nil, openFault(path, err)
	case len(bytes.TrimSpace(data)) == 0:
		return nil, &fault{"the file is empty", "", "write it again from its source"}
	case len(data) > most:
		return nil, tooLarge
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
		case ".pem", ".crt", ".cer", ".key", ".p12", ".pfx", ".p7b", ".der":
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
