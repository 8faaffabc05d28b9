package cli

import (
	"fmt"
	"net/http"

	"github.com/spf13/cobra"

	"github.com/sallyport-sip/sallyport/internal/api"
)

func reload(a *app) *cobra.Command {
	c := &cobra.Command{
		Use:   "reload [--config FILE]",
		Short: "Have the running gateway read its configuration again",
		Long: "Reload has the gateway that runs with this configuration read the file again,\n" +
			"with the certificates and keys that it names. Calls and connections live on. A\n" +
			"file with problems changes nothing; they are printed as check prints them.",
		Example: "  sallyport reload\n  sallyport reload --config /etc/sallyport/sallyport.yaml",
		Args:    noArgs,
	}
	exits(c, "the configuration was taken", "it has problems and was not, or no gateway runs")
	running := runningFlags(c)
	asJSON := jsonFlag(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		var doc api.Reloaded
		path, err := a.ask(c, running, http.MethodPost, "/api/v1/reload", &doc)
		if err != nil {
			return err
		}
		if *asJSON {
			err = a.writeJSON(doc)
		} else if doc.Taken {
			fmt.Fprintf(a.stdout, "%s: taken: version %.12s\n", path, doc.Version)
			for _, note := range doc.NeedsRestart {
				fmt.Fprintf(a.stdout, "  needs a restart: %s\n", note)
			}
		} else {
			for _, p := range doc.Problems {
				fmt.Fprintln(a.stderr, p)
			}
			fmt.Fprintf(a.stderr, "nothing was changed: version %.12s is still in force\n", doc.Version)
		}
		if err == nil && !doc.Taken {
			err = errReported
		}
		return err
	}
	return c
}
