package cli

import (
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sallyport-sip/sallyport/internal/certfile"
	"github.com/sallyport-sip/sallyport/internal/trust"
)

// conversion holds what cert convert was asked for.
type conversion struct {
	app              *app
	to, only, form   string
	out, keyOut      string
	force            bool
	secret, sealWith password
	json             *bool
}

// converted is the document of cert convert --json.
type converted struct {
	Out          string `json:"out"`
	KeyOut       string `json:"key_out,omitempty"`
	Format       string `json:"format"`
	Certificates int    `json:"certificates"`
	Keys         int    `json:"keys"`
	Encrypted    bool   `json:"encrypted"`
}

// keyForms are the values of --key-form.
var keyForms = map[string]string{"pkcs8": certfile.FormPKCS8, "pkcs1": certfile.FormPKCS1, "ec": certfile.FormEC}

func certConvert(a *app) *cobra.Command {
	v := &conversion{app: a}
	c := &cobra.Command{
		Use:   "convert FILE... --out FILE [--to FORMAT]",
		Short: "Write certificates and keys in another form",
		Long: "Convert reads certificates and keys in any form and writes them in another: PEM,\n" +
			"DER, or PKCS #12 for Windows and Java. A key is written encrypted when a new\n" +
			"password is named, and in the clear when none is. Files with keys are closed to\n" +
			"others (mode 0600).",
		Example: "  sallyport cert convert gw.pfx --password-file pfx.pw --out gw.pem \\\n" +
			"      --key-out gw-key.pem\n" +
			"  sallyport cert convert gw.pem gw-key.pem --to pkcs12 --out gw.pfx \\\n" +
			"      --new-password-file pfx.pw\n" +
			"  sallyport cert convert old-key.pem --password-env OLD --out key.pem --force\n" +
			"  sallyport cert convert ca.pem --to der --out ca.cer",
		Args: func(c *cobra.Command, files []string) error {
			if len(files) == 0 {
				return usagef("name the files to convert")
			}
			return nil
		},
	}
	exits(c, "it was written", "it was not, for example because a file is there already")
	f := c.Flags()
	f.StringVar(&v.to, "to", "pem", "`FORMAT`: pem, der, pkcs12, or pkcs12-legacy for programs before 2019")
	f.StringVar(&v.only, "only", "", "`WHAT`: write nothing else: certificates or key")
	f.StringVar(&v.form, "key-form", "pkcs8", "`FORM`: of keys: pkcs8, pkcs1 (RSA) or ec (ECDSA), both for old programs")
	f.StringVar(&v.out, "out", "", "`FILE`: file to write")
	f.StringVar(&v.keyOut, "key-out", "", "`FILE`: file for the key (default: the same as --out)")
	f.BoolVar(&v.force, "force", false, "replace files that are there already")
	v.secret.flags(c, "", "what is read")
	v.sealWith.flags(c, "new-", "what is written")
	v.json = jsonFlag(c)
	c.RunE = func(c *cobra.Command, files []string) error {
		if err := v.check(); err != nil {
			return err
		}
		return v.run(files)
	}
	return c
}

func (v *conversion) check() error {
	switch v.to {
	case "pem", "der", "pkcs12", "pkcs12-legacy":
	default:
		return usagef("--to %q is not pem, der, pkcs12 or pkcs12-legacy", v.to)
	}
	if v.only != "" && v.only != "certificates" && v.only != "key" {
		return usagef("--only %q is not certificates or key", v.only)
	}
	if keyForms[v.form] == "" {
		return usagef("--key-form %q is not pkcs8, pkcs1 or ec", v.form)
	}
	if v.out == "" {
		return usagef("--out is missing: name the file to write")
	}
	if v.keyOut != "" && (v.to != "pem" || v.only != "") {
		return usagef("--key-out is for --to pem of certificates and keys together")
	}
	return nil
}

func (v *conversion) run(files []string) error {
	known, err := v.secret.read(v.app)
	if err != nil {
		return err
	}
	seal, err := v.sealWith.read(v.app)
	if err != nil {
		return err
	}
	certs, keys, err := v.read(files, known)
	if err != nil {
		return err
	}
	if seal != nil && len(keys) == 0 {
		return fmt.Errorf("there is no private key to encrypt in %s: leave the new password out", strings.Join(files, ", "))
	}
	switch v.to {
	case "der":
		err = v.writeDER(certs, keys, seal)
	case "pem":
		err = v.writePEM(certs, keys, seal)
	default:
		err = v.writePKCS12(certs, keys, seal)
	}
	if err != nil {
		return err
	}
	doc := converted{v.out, v.keyOut, v.to, len(certs), len(keys), seal != nil}
	if *v.json {
		return v.app.writeJSON(doc)
	}
	return doc.draw(v.app)
}

// read takes certificates and keys out of files, as far as they are asked for.
func (v *conversion) read(files []string, known []byte) (certs []*x509.Certificate, keys []crypto.Signer, err error) {
	for _, name := range files {
		c, err := trust.ReadContents(name, known)
		if err != nil {
			return nil, nil, passwordHint(err)
		}
		if c.Locked() && v.only != "certificates" {
			return nil, nil, fmt.Errorf("%s: the private key is encrypted: name its password with --password-file FILE or --password-env NAME", name)
		}
		for _, i := range c.Items {
			if i.Doubt != "" && v.only != "key" { // they would be lost, and it could be trusted by accident
				return nil, nil, fmt.Errorf("%s: %s: %s: leave it out; or, if it is to be trusted, write it without them: openssl x509 -in FILE -out NEW", name, trust.Subject(i.Cert), i.Doubt)
			}
		}
		certs, keys = append(certs, c.Certs()...), append(keys, c.Keys()...)
	}
	switch v.only {
	case "certificates":
		keys = nil
	case "key":
		certs = nil
	}
	if len(certs)+len(keys) == 0 {
		return nil, nil, fmt.Errorf("%s: there is nothing of that kind to write: name other files", strings.Join(files, ", "))
	}
	return certs, keys, nil
}

func (v *conversion) writeDER(certs []*x509.Certificate, keys []crypto.Signer, seal []byte) error {
	switch {
	case len(certs) == 1 && len(keys) == 0:
		return trust.WriteFile(v.out, certs[0].Raw, 0o644, v.force)
	case len(certs) == 0 && len(keys) == 1:
		der, err := certfile.MarshalKey(keys[0], keyForms[v.form])
		if seal != nil && err == nil {
			if v.form != "pkcs8" {
				return usagef("--key-form %s is never encrypted: use pkcs8", v.form)
			}
			der, err = certfile.EncryptKey(keys[0], seal)
		}
		if err != nil {
			return err
		}
		return trust.WriteFile(v.out, der, 0o600, v.force)
	}
	return fmt.Errorf("a DER file holds one thing, and there are %s and %s: choose with --only, or write --to pem", count(len(certs), "certificate"), count(len(keys), "key"))
}

func (v *conversion) writePEM(certs []*x509.Certificate, keys []crypto.Signer, seal []byte) error {
	var certText, keyText []byte
	for _, c := range certs {
		certText = append(certText, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})...)
	}
	for _, k := range keys {
		text, err := certfile.KeyPEM(k, keyForms[v.form], seal)
		if err != nil {
			return err
		}
		keyText = append(keyText, text...)
	}
	switch {
	case v.keyOut != "" && len(keys) > 0 && len(certs) > 0:
		return trust.WritePair(v.out, certText, v.keyOut, keyText, v.force)
	case v.keyOut != "":
		return fmt.Errorf("--key-out needs certificates and a key, and there are %s and %s: leave it out", count(len(certs), "certificate"), count(len(keys), "key"))
	case len(keys) > 0:
		return trust.WriteFile(v.out, append(certText, keyText...), 0o600, v.force)
	}
	return trust.WriteFile(v.out, certText, 0o644, v.force)
}

func (v *conversion) writePKCS12(certs []*x509.Certificate, keys []crypto.Signer, seal []byte) error {
	if seal == nil {
		return usagef("a PKCS #12 file needs a password: --new-password-file FILE or --new-password-env NAME")
	}
	if len(keys) != 1 || len(certs) == 0 {
		return fmt.Errorf("a PKCS #12 file holds one key and its certificates, and there are %s and %s: name the missing file too", count(len(keys), "key"), count(len(certs), "certificate"))
	}
	b, err := trust.Arrange(certs, keys[0])
	if err != nil {
		return err
	}
	chain := b.Chain
	if b.Root != nil {
		chain = append(chain, b.Root)
	}
	data, err := certfile.EncodePKCS12(keys[0], chain, seal, v.to == "pkcs12-legacy")
	if err != nil {
		return err
	}
	return trust.WriteFile(v.out, data, 0o600, v.force)
}

func (d converted) draw(a *app) error {
	what := []string{}
	if d.Certificates > 0 {
		what = append(what, count(d.Certificates, "certificate"))
	}
	if d.Keys > 0 {
		key := count(d.Keys, "private key") + " in the clear: keep it secret"
		if d.Encrypted {
			key = count(d.Keys, "private key") + ", encrypted"
		}
		if d.KeyOut != "" {
			key = key + ", in " + d.KeyOut
		}
		what = append(what, key)
	}
	s := a.style(a.stdout)
	_, err := fmt.Fprintf(a.stdout, "%s (%s)\n", s.paint(bold, s.plain(d.Out)), d.Format)
	for _, line := range what {
		s.row(a.stdout, "holds", line, "")
	}
	return err
}

// oneKey reads the private key of a file.
func (a *app) oneKey(file string, secret *password) (crypto.Signer, error) {
	known, err := secret.read(a)
	if err != nil {
		return nil, err
	}
	c, err := trust.ReadContents(file, known)
	if err != nil {
		return nil, passwordHint(err)
	}
	if keys := c.Keys(); len(keys) > 0 {
		return keys[0], nil
	}
	if c.Locked() {
		return nil, fmt.Errorf("%s: the private key is encrypted: name its password with --password-file FILE or --password-env NAME", file)
	}
	return nil, fmt.Errorf("%s: it holds no private key: name the file with the private key", file)
}
