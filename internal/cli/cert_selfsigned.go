package cli

import (
	"github.com/spf13/cobra"

	"github.com/sallyport-sip/sallyport/internal/trust"
)

func certSelfSigned(a *app) *cobra.Command {
	m := &minting{app: a}
	c := &cobra.Command{
		Use:   "self-signed --sip DOMAIN --out FILE",
		Short: "Make a certificate that is its own authority",
		Long: "Self-signed makes a certificate that no authority stands behind. Everybody who\n" +
			"is to believe it needs this very certificate in the trust.",
		Example: "  sallyport cert self-signed --sip gw.example --out gw.pem\n" +
			"  sallyport cert self-signed --ip 192.0.2.1 --out gw.pem --days 90",
		Args: noArgs,
	}
	exits(c, "certificate and key were written", "they were not, for example because a file is there already")
	m.nameFlags(c)
	m.flags(c, "", 397)
	c.RunE = func(*cobra.Command, []string) error {
		if err := m.needNames(); err != nil {
			return err
		}
		if err := m.prepare(); err != nil {
			return err
		}
		leaf, err := trust.SelfSigned(m.request)
		if err != nil {
			return err
		}
		return m.write(leaf, m.identity()+
			"Give "+m.out+", not the key, to every peer for its trust.")
	}
	return c
}
