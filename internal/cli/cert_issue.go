package cli

import (
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sallyport-sip/sallyport/internal/trust"
)

func certIssue(a *app) *cobra.Command {
	m := &minting{app: a}
	var caFile, caKey string
	c := &cobra.Command{
		Use:   "issue --ca FILE --sip DOMAIN --out FILE",
		Short: "Make a certificate signed by your authority",
		Long: "Issue makes a certificate with a new key, signed by the authority of \"cert ca\"\n" +
			"or by any other whose key is at hand. It is good for TLS clients and servers.",
		Example: "  sallyport cert issue --ca ca.pem --sip gw.example --out gw.pem\n" +
			"  sallyport cert issue --ca ca.pem --sip a.example --dns b.example --out b.pem",
		Args: noArgs,
	}
	exits(c, "certificate and key were written", "they were not, for example because a file is there already")
	c.Flags().StringVar(&caFile, "ca", "", "`FILE`: PEM file with the authority's certificate")
	c.Flags().StringVar(&caKey, "ca-key", "", "`FILE`: PEM file with the authority's key (default: the name of --ca with -key before its extension)")
	m.nameFlags(c)
	m.flags(c, "", 397)
	c.RunE = func(*cobra.Command, []string) error {
		if caFile == "" {
			return usagef("--ca is missing: name the authority's certificate, or make one with sallyport cert ca")
		}
		if err := m.needNames(); err != nil {
			return err
		}
		if err := m.prepare(); err != nil {
			return err
		}
		if caKey == "" {
			ext := filepath.Ext(caFile)
			caKey = strings.TrimSuffix(caFile, ext) + "-key" + ext
		}
		ca, err := trust.ReadIssued(caFile, caKey, nil)
		if err != nil {
			return err
		}
		leaf, err := trust.Issue(ca, m.request)
		if err != nil {
			return err
		}
		return m.write(leaf, "In the configuration:\n  identities: {gateway: {certificate: "+m.out+", key: "+m.keyOut+"}}\n"+
			"Whoever is to believe it needs "+caFile+" in its trust.")
	}
	return c
}
