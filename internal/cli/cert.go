package cli

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"fmt"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sallyport-sip/sallyport/internal/trust"
	"github.com/sallyport-sip/sallyport/sip/domaincert"
)

// cert holds the commands about certificates.
func cert(*app) *cobra.Command {
	return &cobra.Command{
		Use:   "cert COMMAND",
		Short: "Make certificates, read them, and tell who would accept them",
		Long: "Cert makes the certificates that a secure set-up needs, shows what files and\n" +
			"live servers have, in the words of RFC 5922, and tells whether a peer would\n" +
			"accept it. Passwords come from files or the environment, never as arguments.",
		Example: "  sallyport cert ca --name lab-ca --out ca.pem\n" +
			"  sallyport cert issue --ca ca.pem --sip gw.example --out gw.pem\n" +
			"  sallyport cert show gw.pem ca.pem\n" +
			"  sallyport cert verify gw.pem --trust ca.pem --names gw.example",
	}
}

// minting holds the flags that the commands have in common which make a certificate.
type minting struct {
	app     *app
	request trust.Request
	ips     []string
	key     string
	usage   string
	out     string
	keyOut  string
	force   bool
	json    *bool
	secret  password // of the new key
}

// flags gives c the flags of a certificate to make; out is the default of --out, empty when it has none.
func (m *minting) flags(c *cobra.Command, out string, days int) {
	m.fileFlags(c, out, "for the certificate")
	c.Flags().IntVar(&m.request.Days, "days", days, "`DAYS`: lifetime in days")
}

// fileFlags gives c the flags of the files and of the new key.
func (m *minting) fileFlags(c *cobra.Command, out, what string) {
	f := c.Flags()
	f.StringVar(&m.out, "out", out, "`FILE`: PEM file "+what)
	f.StringVar(&m.keyOut, "key-out", "", "`FILE`: PEM file for the private key (default: the name of --out with -key before its extension)")
	f.StringVar(&m.key, "key", string(trust.P256), "`KIND`: kind of the new key: p256, p384, rsa2048, rsa3072 or rsa4096")
	m.secret.flags(c, "new-", "the new key, which is written encrypted")
	f.BoolVar(&m.force, "force", false, "replace files that are there already")
	m.json = jsonFlag(c)
}

// subjectFlags gives c the flags for whom the certificate is.
func (m *minting) subjectFlags(c *cobra.Command) {
	f := c.Flags()
	f.StringSliceVar(&m.request.SIP, "sip", nil, "`DOMAIN`: SIP domain it is for; becomes the URI sip:DOMAIN; may be repeated")
	f.StringSliceVar(&m.request.DNS, "dns", nil, "`NAME`: DNS name it is for; strict peers look at it only when there is no --sip (RFC 5922); may be repeated")
	f.StringSliceVar(&m.ips, "ip", nil, "`ADDRESS`: IP address it is for; may be repeated")
	f.StringVar(&m.request.Name, "name", "", "`NAME`: common name, for people only (default: the first name)")
}

// nameFlags gives c the flags for whom the certificate is, and for what.
func (m *minting) nameFlags(c *cobra.Command) {
	m.subjectFlags(c)
	c.Flags().StringVar(&m.usage, "for", "both", "`ROLE`: TLS role it may be used in: both, client or server")
	c.Flags().BoolVar(&m.request.SIPDomain, "sip-domain", false, "mark it as a certificate for SIP domains (id-kp-sipDomain, RFC 5924)")
}

// prepare turns flags into the request. Its errors are usage errors.
func (m *minting) prepare() error {
	if m.out == "" {
		return usagef("--out is missing: name the PEM file to write, for instance --out gw.pem")
	}
	if m.keyOut == "" {
		m.keyOut = besides(strings.TrimSuffix(m.out, ".csr"))
		if strings.HasSuffix(m.out, ".csr") {
			m.keyOut += ".pem"
		}
	}
	if m.request.Days < 1 || m.request.Days > 36500 {
		return usagef("--days %d is not between 1 and 36500", m.request.Days)
	}
	if m.request.Key = trust.KeyKind(m.key); !slices.Contains(trust.KeyKinds, m.request.Key) {
		return usagef("--key %q is not p256, p384, rsa2048, rsa3072 or rsa4096", m.key)
	}
	for _, s := range m.ips {
		a, err := netip.ParseAddr(s)
		if err != nil || a.Zone() != "" {
			return usagef("--ip %q is no IP address", s)
		}
		m.request.IP = append(m.request.IP, a)
	}
	switch m.usage {
	case "", "both":
	case "client":
		m.request.Usage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	case "server":
		m.request.Usage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	default:
		return usagef("--for %q is not both, client or server", m.usage)
	}
	return nil
}

// needNames refuses a certificate for nobody.
func (m *minting) needNames() error {
	if len(m.request.SIP)+len(m.request.DNS)+len(m.ips) == 0 {
		return usagef("name whom the certificate is for: --sip DOMAIN, --dns NAME or --ip ADDRESS")
	}
	return nil
}

// minted is the document of the commands that make a certificate.
type minted struct {
	Certificate string    `json:"certificate"`   // file
	Key         string    `json:"key,omitempty"` // file; none when the certificate was made from a request
	Made        shownCert `json:"made"`
	Notes       []string  `json:"notes,omitempty"`
}

// write stores the files and says what was made and what to do with it. Notes say what is not as it was asked for.
func (m *minting) write(i *trust.Issued, next string, notes ...string) error {
	var err error
	if i.Password, err = m.secret.read(m.app); err != nil {
		return err
	}
	if i.Key == nil {
		m.keyOut = ""
	}
	if err := i.Write(m.out, m.keyOut, m.force); err != nil {
		return err
	}
	made := showCert(i.Chain[0])
	if *m.json {
		return m.app.writeJSON(minted{m.out, m.keyOut, made, notes})
	}
	w := m.app.stdout
	s := m.app.style(w)
	fmt.Fprintf(w, "%s\n%s", s.paint(bold, m.out), made.rows(s))
	for _, n := range notes {
		s.row(w, "left out", n, yellow)
	}
	if i.Key != nil {
		fmt.Fprintf(w, "%s\n  private key, %s%s; keep it secret\n", s.paint(bold, m.keyOut), keyName(i.Key.Public()), map[bool]string{true: ", encrypted"}[i.Password != nil])
	}
	_, err = fmt.Fprintf(w, "\n%s\n", next)
	return err
}

// identity is how the configuration names what was made.
func (m *minting) identity() string {
	secret := ""
	switch {
	case m.secret.file != "":
		secret = ", password_file: " + m.secret.file
	case m.secret.env != "":
		secret = ", password_env: " + m.secret.env
	}
	return "In the configuration:\n  identities:\n    gateway: {certificate: " + m.out + ", key: " + m.keyOut + secret + "}\n"
}

// command writes a command to be copied, indented by two; what does not fit a line is continued on the next.
func command(parts ...string) string {
	const width = 78
	var b strings.Builder
	line := " "
	for _, part := range parts {
		if part = strings.TrimSpace(part); part == "" {
			continue
		}
		if strings.TrimSpace(line) != "" && len(line)+1+len(part) > width {
			b.WriteString(line + " \\\n")
			line = "     "
		}
		line += " " + part
	}
	return b.String() + line + "\n"
}

// besides returns the name of path with -key before its extension.
func besides(path string) string {
	ext := filepath.Ext(path)
	return strings.TrimSuffix(path, ext) + "-key" + ext
}

// keyName describes a public key, for example "ECDSA P-256".
func keyName(public any) string {
	switch k := public.(type) {
	case *ecdsa.PublicKey:
		return "ECDSA " + k.Params().Name
	case *rsa.PublicKey:
		return fmt.Sprintf("RSA %d", k.N.BitLen())
	case ed25519.PublicKey:
		return "Ed25519"
	}
	return fmt.Sprintf("%T", public)
}

// certNames lists the identities of a certificate by RFC 5922.
func certNames(c *x509.Certificate) []string {
	all := []string{}
	for _, n := range domaincert.Names(c) {
		all = append(all, n.String())
	}
	return all
}
