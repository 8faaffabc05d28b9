package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/sallyport-sip/sallyport/internal/config"
	"github.com/sallyport-sip/sallyport/internal/gateway"
	"github.com/sallyport-sip/sallyport/internal/trust"
)

func check(a *app) *cobra.Command {
	c := &cobra.Command{
		Use:   "check [FILE]",
		Short: "Check a configuration and the files that it names",
		Long: "Check does all that serve does except open sockets and write files, and prints\n" +
			"every problem at once: file:line:column: what, why, remedy. Notes are about what\n" +
			"is allowed and may not be meant. Without FILE it looks where serve looks.",
		Example: "  sallyport check sallyport.yaml\n  sallyport check --example > sallyport.yaml",
		Args: func(c *cobra.Command, files []string) error {
			if len(files) > 1 {
				return usagef("check takes one file, got %d", len(files))
			}
			return nil
		},
	}
	exits(c, "the configuration is good", "it has problems")
	asJSON := jsonFlag(c)
	example := c.Flags().Bool("example", false, "print a commented configuration to begin with, and check nothing")
	c.RunE = func(_ *cobra.Command, files []string) error {
		if *example {
			_, err := fmt.Fprint(a.stdout, config.Example)
			return err
		}
		named := ""
		if len(files) == 1 {
			named = files[0]
		}
		path, err := a.configFile(named)
		if err != nil {
			return err
		}
		cfg, problems := config.Load(path)
		problems = append(problems, fileProblems(a.gatewayOptions(), cfg, problems)...)
		notes := []config.Problem{}
		if set, _ := a.gatewayOptions().TLS.Load(cfg); set != nil && len(problems) == 0 {
			notes = append(notes, set.Notes(cfg)...)
		}
		if *asJSON {
			if err := a.writeJSON(map[string]any{"file": path, "problems": append([]config.Problem{}, problems...), "notes": notes}); err != nil {
				return err
			}
			if len(problems) > 0 {
				return errReported
			}
			return nil
		}
		if len(problems) > 0 {
			return a.report(problems)
		}
		for _, n := range notes {
			fmt.Fprintf(a.stdout, "note: %s\n", n)
		}
		fmt.Fprintf(a.stdout, "%s: good: %s, %s, %s\n", path, count(len(cfg.Listeners), "listener"), count(len(cfg.Peers), "peer"), count(len(cfg.Routes), "route"))
		return nil
	}
	return c
}

// fileProblems are those that lie beyond the shape of the file. A file that
// could not be read at all has no more of them.
func fileProblems(o gateway.Options, cfg *config.Config, found []config.Problem) []config.Problem {
	if len(found) == 1 && found[0].Line == 0 {
		return nil
	}
	return o.Check(cfg)
}

// gatewayOptions are what every gateway of the command line has in common.
func (a *app) gatewayOptions() gateway.Options {
	return gateway.Options{TLS: trust.Options{Getenv: a.getenv}}
}
