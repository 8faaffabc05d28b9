package cli

import (
	"github.com/spf13/cobra"

	"github.com/sallyport-sip/sallyport/internal/trust"
)

func certCA(a *app) *cobra.Command {
	m := &minting{app: a}
	var above signer
	c := &cobra.Command{
		Use:   "ca [--name NAME] [--out FILE]",
		Short: "Make a certificate authority of your own",
		Long: "Ca makes a certificate authority: a certificate to give to everybody, and a\n" +
			"private key to keep away from everybody, which signs other certificates. With\n" +
			"--ca it is an intermediate authority, signed by that one.",
		Example: "  sallyport cert ca\n" +
			"  sallyport cert ca --name lab-root --out root.pem --key rsa3072 --path-length 1\n" +
			"  sallyport cert ca --ca root.pem --name lab-ca --out lab-ca.pem --days 1825",
		Args: noArgs,
	}
	exits(c, "certificate and key were written", "they were not, for example because a file is there already")
	m.flags(c, "ca.pem", 3650)
	above.flags(c)
	c.Flags().StringVar(&m.request.Name, "name", "Sallyport CA", "`NAME`: name of the authority")
	c.Flags().IntVar(&m.request.PathLength, "path-length", 0, "`N`: how many authorities may follow each other below it")
	c.RunE = func(*cobra.Command, []string) error {
		if err := m.prepare(); err != nil {
			return err
		}
		if m.request.Name == "" {
			return usagef("--name is empty: an authority needs a name")
		}
		if n := m.request.PathLength; n < 0 || n > 8 {
			return usagef("--path-length %d is not between 0 and 8", n)
		}
		next := "Next:\n" + command("sallyport cert issue --ca "+m.out, m.secret.args(), "--sip YOUR.DOMAIN", "--out gw.pem")
		if above.cert == "" {
			ca, err := trust.NewCA(m.request)
			if err != nil {
				return err
			}
			return m.write(ca, next+"In the configuration:  trust: {partners: {files: ["+m.out+"]}}")
		}
		root, err := above.read(a)
		if err != nil {
			return err
		}
		ca, err := trust.NewIntermediate(root, m.request)
		if err != nil {
			return err
		}
		return m.write(ca, next+"Certificates of it are believed where "+above.cert+" is in the trust.")
	}
	return c
}

// signer holds the flags that name an authority with its key.
type signer struct {
	cert, key string
	secret    password
}

func (s *signer) flags(c *cobra.Command) {
	c.Flags().StringVar(&s.cert, "ca", "", "`FILE`: file with the certificate of the authority that signs")
	c.Flags().StringVar(&s.key, "ca-key", "", "`FILE`: file with its key (default: the name of --ca with -key before its extension)")
	s.secret.flags(c, "", "the authority's key")
}

func (s *signer) read(a *app) (*trust.Issued, error) {
	secret, err := s.secret.read(a)
	if err != nil {
		return nil, err
	}
	if s.key == "" {
		s.key = besides(s.cert)
	}
	ca, err := trust.ReadIssued(s.cert, s.key, secret)
	return ca, passwordHint(err)
}
