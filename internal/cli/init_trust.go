package cli

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"strings"
	"time"

	"github.com/sallyport-sip/sallyport/internal/trust"
	"github.com/sallyport-sip/sallyport/sip/domaincert"
)

// initTrust is by whose word a peer's certificate is taken.
type initTrust struct {
	kind  string // of the constants below
	certs []*x509.Certificate
}

const (
	trustOurs   = "ours"   // the authority that init makes
	trustSystem = "system" // the operating system's CAs
	trustFile   = "file"   // what --trust names
	trustNone   = ""       // no TLS
)

// peerTrust reads --trust.
func (f *initFlags) peerTrust(p *initPlan) error {
	for i := range p.peers {
		switch peer := &p.peers[i]; {
		case !peer.uri.TLS():
			peer.trust.kind = trustNone
		case i == 0:
			peer.trust.kind = trustOurs
		default:
			peer.trust.kind = trustSystem
		}
	}
	seen := map[string]bool{}
	err := f.each(p, "--trust", f.trust, func(peer *initPeer, file string) error {
		switch {
		case !peer.uri.TLS():
			return usagef("--trust %s: that peer is reached over %s and shows no certificate: add ;transport=tls to its URI", peer.name, peer.uri.Transport)
		case seen[peer.name]:
			return usagef("--trust %s is given twice: put the certificates into one file", peer.name)
		}
		seen[peer.name] = true
		if file == trustSystem {
			peer.trust.kind = trustSystem
			return nil
		}
		certs, err := readTrust(file)
		if err != nil {
			return fmt.Errorf("--trust %s: %w", peer.name, err)
		}
		peer.trust = initTrust{trustFile, certs}
		return peer.checkSelfSigned(file)
	})
	return err
}

// readTrust reads a file whose certificates are to be believed.
func readTrust(file string) ([]*x509.Certificate, error) {
	f, err := trust.ReadFile(file)
	if err != nil {
		return nil, err
	}
	if len(f.Keys) > 0 || f.Encrypted {
		return nil, fmt.Errorf("%s: it holds a private key, which nobody but its owner may have: name a file with the certificate alone", file)
	}
	now, believed := time.Now(), 0
	for _, c := range f.Certs {
		switch {
		case now.After(c.NotAfter):
			err = fmt.Errorf("%s: %s expired on %s: ask the peer for the one that is valid now", file, trust.Subject(c), isoDay(c.NotAfter))
		case now.Before(c.NotBefore):
			err = fmt.Errorf("%s: %s is valid only from %s: check the clock of this machine", file, trust.Subject(c), isoDay(c.NotBefore))
		case c.IsCA || trust.IsSelfSigned(c):
			believed++
		default:
			err = fmt.Errorf("%s: %s is neither a CA's certificate nor self-signed: name the file with its CA, %s", file, trust.Subject(c), c.Issuer)
		}
	}
	if believed == 0 {
		return nil, err
	}
	return f.Certs, nil
}

// checkSelfSigned refuses a self-signed certificate of the peer itself that is for somebody else: no call would ever get
// through, and here it can still be said why.
func (p *initPeer) checkSelfSigned(file string) error {
	var err error
	for _, c := range p.trust.certs {
		if c.IsCA {
			return nil
		}
		if _, mismatch := domaincert.Match(c, p.names, domaincert.Options{}); mismatch == nil {
			return nil
		} else if err == nil {
			err = mismatch
		}
	}
	return fmt.Errorf("--trust %s: %s: %w: write the name of its certificate with --certificate-name %[1]s=DOMAIN", p.name, file, err)
}

// trustSet is the name of the peer's trust in the configuration.
func (p *initPeer) trustSet() string {
	if p.trust.kind == trustFile {
		return p.name
	}
	return p.trust.kind
}

// trustFileName is where the certificates of --trust go.
func (p *initPeer) trustFileName() string { return "trust-" + p.name + ".pem" }

// known says how the peer is recognised.
func (p *initPeer) known() string {
	if !p.uri.TLS() {
		return "by its address, " + inWords(p.sources)
	}
	by := map[string]string{
		trustOurs:   "signed by the authority made here",
		trustSystem: "signed by a CA that this system trusts",
		trustFile:   "by the word of " + p.trustFileName(),
	}[p.trust.kind]
	text := "by a certificate for " + inWords(p.names) + ", " + by
	if len(p.sources) > 0 {
		text += ", from " + inWords(p.sources)
	}
	return text
}

// trustPEM is a file of the certificates alone.
func trustPEM(certs []*x509.Certificate) []byte {
	var out []byte
	for _, c := range certs {
		out = append(out, fmt.Sprintf("# %s, valid until %s\n", trust.Subject(c), isoDay(c.NotAfter))...)
		out = append(out, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})...)
	}
	return out
}

// isoDay is a date in the form of ISO 8601.
func isoDay(t time.Time) string { return t.UTC().Format(time.DateOnly) }

// sha256Of is the fingerprint of a certificate, as "cert show" has it.
func sha256Of(c *x509.Certificate) string {
	sum := sha256.Sum256(c.Raw)
	return hex.EncodeToString(sum[:])
}

// pinOf is the fingerprint of a certificate's public key alone, which stays when the certificate is renewed with the
// same key.
func pinOf(c *x509.Certificate) string {
	sum := sha256.Sum256(c.RawSubjectPublicKeyInfo)
	return base64.StdEncoding.EncodeToString(sum[:])
}

// inWords joins what can be printed: "a, b and c".
func inWords[T any](all []T) string {
	var texts []string
	for _, one := range all {
		texts = append(texts, fmt.Sprint(one))
	}
	if n := len(texts) - 1; n > 0 {
		return strings.Join(texts[:n], ", ") + " and " + texts[n]
	}
	return strings.Join(texts, "")
}
