package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/sallyport-sip/sallyport/internal/trust"
)

func certCSR(a *app) *cobra.Command {
	m := &minting{app: a}
	var use string
	var secret password
	c := &cobra.Command{
		Use:   "csr --dns NAME --out FILE",
		Short: "Make a request for a certificate of somebody else's authority",
		Long: "Csr makes a new key, and a certificate signing request for it, which goes to an\n" +
			"authority. Public authorities certify DNS names only; those of a company may\n" +
			"take --sip too. The key stays here. With --use-key the key is one that is there.",
		Example: "  sallyport cert csr --dns sbc.example.com --out gw.csr\n" +
			"  sallyport cert csr --dns sbc.example.com --use-key gw-key.pem --out next.csr",
		Args: noArgs,
	}
	exits(c, "request and key were written", "they were not, for example because a file is there already")
	f := c.Flags()
	m.subjectFlags(c)
	f.StringVar(&use, "use-key", "", "`FILE`: file with the key to use; none is made then")
	secret.flags(c, "", "that key")
	m.fileFlags(c, "", "for the request")
	c.RunE = func(c *cobra.Command, _ []string) error {
		if err := m.needNames(); err != nil {
			return err
		}
		if m.out == "" {
			return usagef("--out is missing: name the file to write, for instance --out gw.csr")
		}
		m.request.Days = 1 // a request has no lifetime, and any would do
		if err := m.prepare(); err != nil {
			return err
		}
		if use != "" {
			for _, f := range []string{"key", "key-out", "new-password-file", "new-password-env"} {
				if c.Flags().Changed(f) {
					return usagef("--%s is for a new key, and with --use-key none is made", f)
				}
			}
			key, err := a.oneKey(use, &secret)
			if err != nil {
				return err
			}
			m.request.Use = key
		}
		return m.writeRequest(use, secret.args())
	}
	return c
}

// requested is the document of cert csr --json.
type requested struct {
	Request string       `json:"request"`       // file
	Key     string       `json:"key,omitempty"` // file; none when the key was there
	Made    shownRequest `json:"made"`
}

// writeRequest makes the request and writes it; use is the file of a key that was there, and opens are the flags that name
// its password.
func (m *minting) writeRequest(use, opens string) error {
	secret, err := m.secret.read(m.app)
	if err != nil {
		return err
	}
	csr, key, err := trust.NewRequest(m.request)
	if err != nil {
		return err
	}
	text := trust.RequestPEM(csr)
	if use != "" {
		m.keyOut = ""
		err = trust.WriteFile(m.out, text, 0o644, m.force)
	} else {
		made := trust.Issued{Key: key, Password: secret}
		var keyText []byte
		if keyText, err = made.KeyPEM(); err == nil {
			err = trust.WritePair(m.out, text, m.keyOut, keyText, m.force)
		}
	}
	if err != nil {
		return err
	}
	made := showRequest(csr)
	if *m.json {
		return m.app.writeJSON(requested{m.out, m.keyOut, made})
	}
	w := m.app.stdout
	s := m.app.style(w)
	fmt.Fprintf(w, "%s\n", s.paint(bold, m.out))
	made.draw(w, s)
	if use == "" {
		fmt.Fprintf(w, "%s\n  private key, %s%s; keep it secret\n", s.paint(bold, m.keyOut), keyName(key.Public()), map[bool]string{true: ", encrypted"}[secret != nil])
	}
	keyFile := use
	if use == "" {
		keyFile, opens = m.keyOut, m.secret.args()
	}
	_, err = fmt.Fprintf(w, "\nSend %s, not the key, to the authority. Then, with what comes back:\n%s%s", m.out,
		command("sallyport cert bundle ANSWER... "+keyFile, opens, "--out gw.pem"),
		command("sallyport cert verify gw.pem "+keyFile, opens, "--system", "--names YOUR.DOMAIN"))
	return err
}
