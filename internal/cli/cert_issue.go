package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/sallyport-sip/sallyport/internal/trust"
)

func certIssue(a *app) *cobra.Command {
	m := &minting{app: a}
	var ca signer
	var csr string
	c := &cobra.Command{
		Use:   "issue --ca FILE {--sip DOMAIN | --csr FILE} --out FILE",
		Short: "Make a certificate signed by your authority",
		Long: "Issue makes a certificate with a new key, signed by the authority of \"cert ca\"\n" +
			"or by any other whose key is at hand. It is good for TLS clients and servers,\n" +
			"unless --for says otherwise. From a request, with --csr, it takes the key, and\n" +
			"the names when none are given here; that the maker of the request has its key\n" +
			"is verified.",
		Example: "  sallyport cert issue --ca ca.pem --sip gw.example --out gw.pem\n" +
			"  sallyport cert issue --ca ca.pem --sip a.example --dns b.example --out b.pem\n" +
			"  sallyport cert issue --ca ca.pem --csr pbx.csr --out pbx.pem --for server",
		Args: noArgs,
	}
	exits(c, "certificate and key were written", "they were not, for example because a file is there already")
	ca.flags(c)
	c.Flags().StringVar(&csr, "csr", "", "`FILE`: certificate signing request of somebody else")
	m.nameFlags(c)
	m.flags(c, "", 397)
	c.RunE = func(c *cobra.Command, _ []string) error {
		if ca.cert == "" {
			return usagef("--ca is missing: name the authority's certificate, or make one with sallyport cert ca")
		}
		if csr != "" {
			for _, f := range []string{"key", "key-out", "new-password-file", "new-password-env"} {
				if c.Flags().Changed(f) {
					return usagef("--%s is for a new key, and with --csr none is made", f)
				}
			}
		} else if err := m.needNames(); err != nil {
			return err
		}
		if err := m.prepare(); err != nil {
			return err
		}
		by, err := ca.read(a)
		if err != nil {
			return err
		}
		if csr != "" {
			return m.issueFor(by, csr, ca.cert)
		}
		leaf, err := trust.Issue(by, m.request)
		if err != nil {
			return err
		}
		return m.write(leaf, m.identity()+
			believers(by, ca.cert))
	}
	return c
}

// believers says who believes what ca has signed.
func believers(ca *trust.Issued, file string) string {
	if trust.IsSelfSigned(ca.Chain[0]) {
		return "Whoever is to believe it needs " + file + " in its trust."
	}
	return "Whoever is to believe it needs " + trust.Issuer(ca.Chain[len(ca.Chain)-1]) + " in its trust."
}

// issueFor makes the certificate that the request in a file asks for.
func (m *minting) issueFor(ca *trust.Issued, file, caFile string) error {
	c, err := trust.ReadContents(file, nil)
	if err != nil {
		return err
	}
	for _, i := range c.Items {
		if i.Request == nil {
			continue
		}
		leaf, notes, err := trust.IssueFor(ca, i.Request, m.request)
		if err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
		return m.write(leaf, "Give "+m.out+" to whoever made the request; the key is there already.\n"+
			believers(ca, caFile), notes...)
	}
	return fmt.Errorf("%s: it holds no certificate signing request: name the file that sallyport cert csr, or the device, has made", file)
}
