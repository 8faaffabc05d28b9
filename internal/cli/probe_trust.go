package cli

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/sallyport-sip/sallyport/internal/probe"
	"github.com/sallyport-sip/sallyport/internal/trust"
)

// notThere refuses a file that exists, before anything is sent.
func notThere(path string) error {
	_, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("--save-trust %s: %w", path, err)
	}
	return fmt.Errorf("%s is there already: name another file, or remove it; nothing was probed", path)
}

// topmost is the certificate that stands for the server in a trust: the last one to which the chain leads, each link
// proved by its signature; a self-signed one is that itself.
func topmost(report *probe.Report) *x509.Certificate {
	h := report.Best()
	if h == nil || h.TLS == nil || len(h.TLS.Chain) == 0 {
		return nil
	}
	top := h.TLS.Chain[0]
	for _, next := range h.TLS.Chain[1:] {
		if !bytes.Equal(next.RawSubject, top.RawIssuer) || top.CheckSignatureFrom(next) != nil {
			break
		}
		top = next
	}
	return top
}

// keep writes the topmost certificate to the file of --save-trust, once it is confirmed.
func (p *probing) keep(report *probe.Report) error {
	top := topmost(report)
	if top == nil {
		return errors.New("nothing was kept: the server has shown no certificate")
	}
	sum := sha256.Sum256(top.Raw)
	if err := p.confirm(top, hex.EncodeToString(sum[:])); err != nil {
		return err
	}
	f, err := os.OpenFile(p.save, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return fmt.Errorf("nothing was kept: %w", err)
	}
	_, err = f.Write(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: top.Raw}))
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("the certificate could not be written: %w", err)
	}
	fmt.Fprintf(p.stderr, "kept in %s: %s\ntry it: %s probe %s --trust %s\n", p.save, trust.Subject(top), program(), quoted(report.Target), p.save)
	return nil
}

// quoted is a URI as a shell takes it.
func quoted(uri string) string {
	if strings.ContainsAny(uri, ";&?*[]$'\"\\ ") {
		return "'" + strings.ReplaceAll(uri, "'", `'\''`) + "'"
	}
	return uri
}

// confirm returns nil when somebody has said that this certificate is the right one: by its fingerprint, by --yes, or
// on a terminal. The comparison with what the server's operator says is the whole proof there is.
func (p *probing) confirm(top *x509.Certificate, sum string) error {
	fmt.Fprintf(p.stderr, "\n%s\n  SHA-256 %s\n", trust.Subject(top), spaced(sum))
	if top.IsCA {
		fmt.Fprint(p.stderr, "  It is an authority's: who trusts it believes every certificate that it signs,\n  not this server's alone.\n")
	}
	switch {
	case p.fingerprint != "":
		given := strings.ToLower(strings.NewReplacer(":", "", " ", "", "-", "").Replace(p.fingerprint))
		if given != sum {
			return fmt.Errorf("nothing was kept: the fingerprint is another one than --fingerprint says: this is not the server that you mean, or somebody is on the way")
		}
		return nil
	case p.yes:
		return nil
	}
	if f, ok := p.stdin.(*os.File); !ok || !terminal(f) {
		return errors.New("nothing was kept: nobody can be asked here; compare the fingerprint with that of the server's operator, and give it with --fingerprint")
	}
	fmt.Fprint(p.stderr, "Is this the fingerprint that the server's operator has told you? [y/N] ")
	answer, _ := bufio.NewReader(p.stdin).ReadString('\n')
	if a := strings.ToLower(strings.TrimSpace(answer)); a != "y" && a != "yes" {
		return errors.New("nothing was kept")
	}
	return nil
}

// spaced writes a fingerprint in pairs, as other programs show it.
func spaced(sum string) string {
	var b strings.Builder
	for i := 0; i < len(sum); i += 2 {
		if i > 0 {
			b.WriteByte(':')
		}
		b.WriteString(strings.ToUpper(sum[i : i+2]))
	}
	return b.String()
}
