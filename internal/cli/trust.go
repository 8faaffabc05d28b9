package cli

import "github.com/spf13/cobra"

// trustGroup holds the commands about whom we believe.
func trustGroup(*app) *cobra.Command {
	return &cobra.Command{
		Use:   "trust COMMAND",
		Short: "See what new certificates and trust would do",
		Long: "Trust tells, before a reload, what new certificates, trust sets and policies\n" +
			"would do to the peers.",
		Example: "  sallyport trust diff --config new.yaml",
	}
}
