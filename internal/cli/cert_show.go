package cli

import (
	"cmp"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"math"
	"strings"
	"time"
	"unicode"

	"github.com/spf13/cobra"

	"github.com/sallyport-sip/sallyport/internal/trust"
	"github.com/sallyport-sip/sallyport/sip/domaincert"
)

// shown is one file in the document of "cert show --json", which is {"files": [...]}.
type shown struct {
	File         string      `json:"file"`
	Certificates []shownCert `json:"certificates"`
	Keys         []string    `json:"keys"`          // what kind each private key is
	Encrypted    bool        `json:"encrypted_key"` // it holds a key with a passphrase
	Error        string      `json:"error,omitempty"`
}

// shownCert is one certificate.
type shownCert struct {
	Kind       string    `json:"kind"` // "authority", "self-signed", or "issued"
	Subject    string    `json:"subject"`
	Issuer     string    `json:"issuer"`
	Names      []string  `json:"names"`       // the identities by RFC 5922
	NotCounted []string  `json:"not_counted"` // names that do not count, and why
	Usage      []string  `json:"usage"`       // extended key usages; empty: any
	NotBefore  time.Time `json:"not_before"`
	NotAfter   time.Time `json:"not_after"`
	DaysLeft   int       `json:"days_left"` // rounded; negative: days since it expired
	Key        string    `json:"key"`
	SHA256     string    `json:"sha256"`
	Serial     string    `json:"serial"`
}

func certShow(a *app) *cobra.Command {
	c := &cobra.Command{
		Use:   "show FILE... [--json]",
		Short: "Show what PEM files hold",
		Long: "Show tells of every certificate in the files what it is, for whom by the rules\n" +
			"of RFC 5922, who signed it, and how long it is valid. Of keys it tells the kind.",
		Example: "  sallyport cert show gw.pem\n  sallyport cert show --json ca.pem gw.pem gw-key.pem",
		Args: func(c *cobra.Command, files []string) error {
			if len(files) == 0 {
				return usagef("name the PEM files to show")
			}
			return nil
		},
	}
	exits(c, "every file could be read", "a file could not be read")
	asJSON := jsonFlag(c)
	c.RunE = func(_ *cobra.Command, files []string) error {
		all := []shown{}
		var failed error
		for _, f := range files {
			one := showFile(f)
			if one.Error != "" {
				failed = errReported
			}
			all = append(all, one)
		}
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
			fmt.Fprint(a.stdout, f.text(s))
		}
		return failed
	}
	return c
}

func showFile(path string) shown {
	out := shown{File: path, Certificates: []shownCert{}, Keys: []string{}}
	f, err := trust.ReadFile(path)
	if err != nil {
		out.Error = err.Error()
		return out
	}
	for _, c := range f.Certs {
		out.Certificates = append(out.Certificates, showCert(c))
	}
	for _, k := range f.Keys {
		out.Keys = append(out.Keys, keyName(k.Public()))
	}
	out.Encrypted = f.Encrypted
	return out
}

func showCert(c *x509.Certificate) shownCert {
	sum := sha256.Sum256(c.Raw)
	out := shownCert{
		Kind:       "issued",
		Subject:    trust.Subject(c),
		Issuer:     c.Issuer.String(),
		Names:      certNames(c),
		NotCounted: []string{},
		Usage:      append([]string{}, trust.UsageNames(c)...),
		NotBefore:  c.NotBefore.UTC(),
		NotAfter:   c.NotAfter.UTC(),
		DaysLeft:   int(math.Round(time.Until(c.NotAfter).Hours() / 24)),
		Key:        keyName(c.PublicKey),
		SHA256:     hex.EncodeToString(sum[:]),
		Serial:     fmt.Sprintf("%x", c.SerialNumber),
	}
	switch {
	case c.IsCA:
		out.Kind = "authority"
	case trust.IsSelfSigned(c):
		out.Kind = "self-signed"
	}
	for _, i := range domaincert.NotCounted(c) {
		out.NotCounted = append(out.NotCounted, i.Value+" "+i.Why)
	}
	return out
}

// text draws one file.
func (f shown) text(s style) string {
	var b strings.Builder
	fmt.Fprintln(&b, s.paint(bold, f.File))
	for i, c := range f.Certificates {
		if i > 0 {
			b.WriteByte('\n')
		}
		b.WriteString(c.rows(s))
	}
	for _, k := range f.Keys {
		fmt.Fprintf(&b, "  private key, %s\n", k)
	}
	if f.Encrypted {
		b.WriteString("  private key, encrypted with a passphrase: the gateway cannot use it\n")
	}
	return b.String()
}

// rows draws one certificate, two columns wide.
func (c shownCert) rows(s style) string {
	var b strings.Builder
	row := func(name, value, colour string) {
		for i, line := range wrapWords(s.plain(value), s.width-15) {
			if i > 0 {
				name = ""
			}
			fmt.Fprintf(&b, "  %s %s\n", s.paint(dim, fmt.Sprintf("%-11s", name)), s.paint(colour, line))
		}
	}
	row("certificate", c.what(), "")
	row("subject", c.Subject, "")
	if c.Kind != "self-signed" && c.Issuer != c.Subject {
		row("signed by", c.Issuer, "")
	}
	for i, n := range c.Names {
		row([]string{"for", ""}[min(i, 1)], n, green)
	}
	if len(c.Names) == 0 && c.Kind != "authority" {
		row("for", "no SIP domain: no peer can be known by it", red)
	}
	if c.Kind != "authority" {
		for _, n := range c.NotCounted {
			row("but", n, yellow)
		}
		row("usage", cmp.Or(strings.Join(c.Usage, ", "), "any"), "")
	}
	valid, colour := c.validity(time.Now())
	row("valid", valid, colour)
	row("key", c.Key, "")
	row("sha256", c.SHA256, "")
	return b.String()
}

func (c shownCert) what() string {
	switch c.Kind {
	case "authority":
		if c.Issuer == c.Subject {
			return "of an authority, self-signed"
		}
		return "of an authority, signed by another"
	case "self-signed":
		return "self-signed: peers need this very certificate in their trust"
	}
	return "signed by an authority"
}

// validity says until when c is valid, and in which colour.
func (c shownCert) validity(now time.Time) (string, string) {
	const form = "2006-01-02 15:04"
	span := c.NotBefore.Format(form) + " to " + c.NotAfter.Format(form) + " UTC, "
	switch {
	case now.Before(c.NotBefore):
		return span + "not yet valid", red
	case now.After(c.NotAfter):
		return span + fmt.Sprintf("expired %s ago", dayCount(-c.DaysLeft)), red
	case c.DaysLeft < 30:
		return span + dayCount(c.DaysLeft) + " left", yellow
	}
	return span + dayCount(c.DaysLeft) + " left", green
}

func dayCount(n int) string {
	switch n {
	case 0:
		return "less than a day"
	case 1:
		return "1 day"
	}
	return fmt.Sprintf("%d days", n)
}

// plain replaces what cannot be printed, and what is not ASCII when only that may be drawn.
func (s style) plain(text string) string {
	if s.ascii {
		text = strings.NewReplacer("§", "section ", "…", "...").Replace(text)
	}
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) || s.ascii && r > unicode.MaxASCII {
			return '?'
		}
		return r
	}, text)
}

// wrapWords breaks text at spaces into lines of at most width characters; a longer word is cut.
func wrapWords(text string, width int) []string {
	var lines []string
	line := ""
	for word := range strings.FieldsSeq(text) {
		if line != "" && len([]rune(line))+1+len([]rune(word)) <= width {
			line += " " + word
			continue
		}
		if line != "" {
			lines = append(lines, line)
		}
		runes := []rune(word)
		for ; len(runes) > width; runes = runes[width:] {
			lines = append(lines, string(runes[:width]))
		}
		line = string(runes)
	}
	return append(lines, line)
}
