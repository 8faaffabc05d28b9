package cli

import (
	"crypto"
	"crypto/x509"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sallyport-sip/sallyport/internal/certfile"
	"github.com/sallyport-sip/sallyport/internal/trust"
)

// shown is one file or server in the document of "cert show --json", which is {"files": [...]}.
type shown struct {
	File         string         `json:"file"`
	Format       string         `json:"format,omitempty"`     // "PEM", "DER", "PKCS #12", "PKCS #7"; empty for a server
	Protection   string         `json:"protection,omitempty"` // what encrypts a PKCS #12 file
	Live         *shownLive     `json:"live,omitempty"`       // of a server
	Certificates []shownCert    `json:"certificates"`
	Keys         []shownKey     `json:"keys"`
	Requests     []shownRequest `json:"requests"`
	CRLs         []shownCRL     `json:"crls"`
	Order        string         `json:"order,omitempty"` // of several certificates: "right", "wrong" or "any"
	OrderWhy     string         `json:"order_why,omitempty"`
	Error        string         `json:"error,omitempty"`
}

func certShow(a *app) *cobra.Command {
	var secret password
	c := &cobra.Command{
		Use:   "show {FILE | HOST:PORT | SIP-URI}... [--json]",
		Short: "Show what files and live servers have",
		Long: "Show tells of every certificate what it is, for whom by the rules of RFC 5922,\n" +
			"who signed it, for which roles, and how long it is valid. Files are PEM, DER,\n" +
			"PKCS #7 or PKCS #12, and may hold keys, requests and revocation lists too; a\n" +
			"server is asked over TLS. Of a key it tells which certificate it belongs to.",
		Example: "  sallyport cert show gw.pem gw-key.pem\n" +
			"  sallyport cert show partner.pfx --password-file partner.pw\n" +
			"  sallyport cert show sip.example.com:5061\n" +
			"  sallyport cert show --json ca.pem gw.pem",
		Args: func(c *cobra.Command, files []string) error {
			if len(files) == 0 {
				return usagef("name the files or servers to show")
			}
			return nil
		},
	}
	exits(c, "everything could be read", "something could not be read")
	secret.flags(c, "", "encrypted keys and PKCS #12 files")
	asJSON := jsonFlag(c)
	c.RunE = func(c *cobra.Command, names []string) error {
		known, err := secret.read(a)
		if err != nil {
			return err
		}
		all := []shown{}
		var failed error
		for _, name := range names {
			m, err := a.material(c.Context(), name, known)
			one := m.show(name)
			if err != nil {
				one.Error, failed = err.Error(), errReported
			}
			all = append(all, one)
		}
		belong(all)
		if *asJSON {
			if err := a.writeJSON(map[string]any{"files": all}); err != nil {
				return err
			}
			return failed
		}
		s := a.style(a.stdout)
		for i, f := range all {
			if f.Error != "" {
				fmt.Fprintf(a.stderr, "sallyport: %s\n", f.Error)
				continue
			}
			if i > 0 {
				fmt.Fprintln(a.stdout)
			}
			f.draw(a.stdout, s)
		}
		return failed
	}
	return c
}

// material is what a file holds or a server shows.
type material struct {
	*certfile.Contents
	live *shownLive // nil: a file
}

func (m material) show(name string) shown {
	out := shown{File: name, Live: m.live, Certificates: []shownCert{}, Keys: []shownKey{}, Requests: []shownRequest{}, CRLs: []shownCRL{}}
	if m.Contents == nil {
		return out
	}
	out.Format, out.Protection = string(m.Format), m.Cipher
	for _, i := range m.Items {
		switch {
		case i.Cert != nil:
			c := showCert(i.Cert)
			c.Doubt = i.Doubt
			out.Certificates = append(out.Certificates, c)
		case i.Request != nil:
			out.Requests = append(out.Requests, showRequest(i.Request))
		case i.CRL != nil:
			out.CRLs = append(out.CRLs, showCRL(i.CRL))
		default:
			out.Keys = append(out.Keys, showKey(i))
		}
	}
	out.Order, out.OrderWhy = order(m.Certs(), m.live != nil)
	return out
}

// order says whether several certificates stand as a peer expects them: leaf first, each signed by the next.
func order(certs []*x509.Certificate, live bool) (word, why string) {
	if len(certs) < 2 {
		return "", ""
	}
	authorities := true
	for _, c := range certs {
		authorities = authorities && c.IsCA
	}
	c, next := trust.Misplaced(certs)
	last := certs[len(certs)-1]
	switch {
	case c != nil && authorities:
		return "any", "these are authorities for a trust, whose order does not matter"
	case c != nil && live:
		return "wrong", fmt.Sprintf("%s comes after %s and did not sign it; strict peers refuse that (RFC 5246 §7.4.2): put the server's file in order, with sallyport cert bundle", trust.Subject(next), trust.Subject(c))
	case c != nil:
		return "wrong", fmt.Sprintf("%s comes after %s and did not sign it; strict peers refuse that (RFC 5246 §7.4.2): sallyport cert bundle puts it in order", trust.Subject(next), trust.Subject(c))
	case trust.IsSelfSigned(last):
		return "right", "each is signed by the next; the last one is the root, which need not be sent"
	}
	return "right", "each is signed by the next; the root, " + trust.Issuer(last) + ", is not sent, and need not be"
}

// belong finds which keys and certificates go together, in all that is shown.
func belong(all []shown) {
	for i := range all {
		for j := range all[i].Keys {
			k := &all[i].Keys[j]
			if k.key == nil {
				continue
			}
			for _, f := range all {
				for _, c := range f.Certificates {
					if c.Pin == k.Pin {
						k.BelongsTo = append(k.BelongsTo, "certificate "+c.Subject+" in "+f.File)
					}
				}
				for _, r := range f.Requests {
					if same, ok := r.key.(interface{ Equal(crypto.PublicKey) bool }); ok && same.Equal(k.key) {
						k.BelongsTo = append(k.BelongsTo, "request for "+r.Subject+" in "+f.File)
					}
				}
			}
			k.Stranger = len(k.BelongsTo) == 0 && others(all)
		}
	}
}

// others reports whether there is a certificate or request that a key could belong to.
func others(all []shown) bool {
	for _, f := range all {
		if len(f.Certificates)+len(f.Requests) > 0 {
			return true
		}
	}
	return false
}

// draw writes one file or server.
func (f shown) draw(w io.Writer, s style) {
	title := s.plain(f.File)
	if f.Format != "" && f.Format != string(certfile.PEM) {
		title += " (" + f.Format + ")"
	}
	fmt.Fprintln(w, s.paint(bold, title))
	if f.Live != nil {
		f.Live.draw(w, s)
	}
	parts := []string{}
	for _, c := range f.Certificates {
		parts = append(parts, c.rows(s))
	}
	part := func(draw func(io.Writer)) {
		var b strings.Builder
		draw(&b)
		parts = append(parts, b.String())
	}
	for _, r := range f.Requests {
		part(func(w io.Writer) { r.draw(w, s) })
	}
	for _, l := range f.CRLs {
		part(func(w io.Writer) { l.draw(w, s, time.Now()) })
	}
	for _, k := range f.Keys {
		part(func(w io.Writer) { k.draw(w, s) })
	}
	if f.Order != "" {
		part(func(w io.Writer) {
			s.row(w, "order", f.Order+": "+f.OrderWhy, map[string]string{"right": green, "wrong": red}[f.Order])
		})
	}
	fmt.Fprint(w, strings.Join(parts, "\n"))
}
