package cli

import (
	"github.com/spf13/cobra"

	"github.com/sallyport-sip/sallyport/internal/trust"
)

func certCA(a *app) *cobra.Command {
	m := &minting{app: a}
	c := &cobra.Command{
		Use:   "ca [--name NAME] [--out FILE]",
		Short: "Make a certificate authority of your own",
		Long: "Ca makes a certificate authority: a certificate to give to everybody, and a\n" +
			"private key to keep away from everybody, which signs other certificates.",
		Example: "  sallyport cert ca\n  sallyport cert ca --name lab-ca --out lab-ca.pem --key rsa3072",
		Args:    noArgs,
	}
	exits(c, "certificate and key were written", "they were not, for example because a file is there already")
	m.flags(c, "ca.pem", 3650)
	c.Flags().StringVar(&m.request.Name, "name", "Sallyport CA", "`NAME`: name of the authority")
	c.RunE = func(*cobra.Command, []string) error {
		if err := m.prepare(); err != nil {
			return err
		}
		if m.request.Name == "" {
			return usagef("--name is empty: an authority needs a name")
		}
		ca, err := trust.NewCA(m.request)
		if err != nil {
			return err
		}
		return m.write(ca, "Next: sallyport cert issue --ca "+m.out+" --sip YOUR.DOMAIN --out gw.pem\n"+
			"In the configuration:  trust: {partners: {files: ["+m.out+"]}}")
	}
	return c
}
