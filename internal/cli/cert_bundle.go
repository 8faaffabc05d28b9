package cli

import (
	"context"
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/sallyport-sip/sallyport/internal/trust"
)

// bundled is the document of cert bundle --json.
type bundled struct {
	Out     string   `json:"out,omitempty"`
	Chain   []string `json:"chain"` // subjects, leaf first, as written
	Root    string   `json:"root,omitempty"`
	Doubles int      `json:"doubles"`           // certificates that stood there more than once
	Others  []string `json:"others,omitempty"`  // that belong to another chain, left out
	Missing string   `json:"missing,omitempty"` // the issuer of the last one, when it is not there
	URL     string   `json:"url,omitempty"`     // where that is, as the certificate says
}

func certBundle(a *app) *cobra.Command {
	var out string
	var withRoot, force bool
	var secret password
	c := &cobra.Command{
		Use:   "bundle FILE... [--out FILE]",
		Short: "Put a certificate and its intermediates in order",
		Long: "Bundle finds in a heap of files the certificate of a client or server and its\n" +
			"issuers, and writes them in the order in which a handshake shows them: its own\n" +
			"first, each signed by the next. What stands there twice or belongs elsewhere is\n" +
			"left out, and what is missing is named. The root is left out too: peers have it.\n" +
			"A key among the files tells which certificate is meant; it is not written.",
		Example: "  sallyport cert bundle answer.p7b gw-key.pem --out gw.pem\n" +
			"  sallyport cert bundle gw.crt ca1.crt ca2.crt root.crt --with-root --out gw.pem",
		Args: func(c *cobra.Command, files []string) error {
			if len(files) == 0 {
				return usagef("name the files to take certificates from")
			}
			return nil
		},
	}
	exits(c, "the chain was written", "it was not, for example because no leaf was found")
	f := c.Flags()
	f.StringVar(&out, "out", "", "`FILE`: PEM file to write (default: standard output)")
	f.BoolVar(&withRoot, "with-root", false, "write the root too, for the few peers that ask for it")
	f.BoolVar(&force, "force", false, "replace a file that is there already")
	secret.flags(c, "", "encrypted keys and PKCS #12 files")
	asJSON := jsonFlag(c)
	c.RunE = func(c *cobra.Command, files []string) error {
		if *asJSON && out == "" {
			return usagef("--json needs --out: the chain itself would go to standard output")
		}
		b, err := a.arrange(c.Context(), files, &secret)
		if err != nil {
			return err
		}
		chain := b.Chain
		if withRoot && b.Root != nil {
			chain = append(chain, b.Root)
		}
		var text []byte
		for _, c := range chain {
			text = append(text, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})...)
		}
		doc := describeBundle(b, chain, out)
		w := a.stdout
		if out == "" {
			if _, err := a.stdout.Write(text); err != nil {
				return err
			}
			w = a.stderr
		} else if err := trust.WriteFile(out, text, 0o644, force); err != nil {
			return err
		}
		if *asJSON {
			return a.writeJSON(doc)
		}
		s := a.style(w)
		if out != "" {
			fmt.Fprintln(w, s.paint(bold, s.plain(out)))
		}
		for i, name := range doc.Chain {
			s.row(w, []string{"first", "then"}[min(i, 1)], name, green)
		}
		doc.draw(w, s, withRoot)
		return nil
	}
	return c
}

// arrange reads files and puts their certificates in order.
func (a *app) arrange(ctx context.Context, files []string, secret *password) (*trust.Bundle, error) {
	known, err := secret.read(a)
	if err != nil {
		return nil, err
	}
	var certs []*x509.Certificate
	var key crypto.Signer
	for _, name := range files {
		m, err := a.material(ctx, name, known)
		if err != nil {
			return nil, err
		}
		certs = append(certs, m.Certs()...)
		if keys := m.Keys(); len(keys) > 0 {
			key = keys[0]
		} else if m.Locked() {
			return nil, fmt.Errorf("%s: the private key is encrypted: name its password with --password-file FILE or --password-env NAME, or leave the file out", name)
		}
	}
	b, err := trust.Arrange(certs, key)
	if err != nil {
		return nil, fmt.Errorf("no chain can be made of these files: %w", err)
	}
	return b, nil
}

func describeBundle(b *trust.Bundle, chain []*x509.Certificate, out string) bundled {
	doc := bundled{Out: out, Doubles: b.Doubles}
	for _, c := range chain {
		doc.Chain = append(doc.Chain, trust.Subject(c))
	}
	for _, c := range b.Others {
		doc.Others = append(doc.Others, trust.Subject(c))
	}
	if b.Root != nil {
		doc.Root = trust.Subject(b.Root)
	}
	if !b.Complete() {
		doc.Missing, doc.URL = trust.Issuer(b.Last()), issuerURL(b.Last())
	}
	return doc
}

func (d bundled) draw(w io.Writer, s style, withRoot bool) {
	if d.Root != "" && !withRoot {
		s.row(w, "root", d.Root+" is left out: peers have it", "")
	}
	if d.Doubles > 0 {
		s.row(w, "dropped", count(d.Doubles, "certificate")+" that stood there already", "")
	}
	for _, o := range d.Others {
		s.row(w, "left out", o+", which is not of this chain", yellow)
	}
	if d.Missing != "" {
		s.row(w, "missing", d.Missing+" is not among these files. If it is a root that peers trust, the chain is complete; else add its certificate", yellow)
		if d.URL != "" {
			s.row(w, "", "the certificate says where it is: "+d.URL, yellow)
		}
	}
}
