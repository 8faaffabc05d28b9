package cli

import (
	"fmt"
	"net/http"

	"github.com/spf13/cobra"

	"github.com/sallyport-sip/sallyport/internal/api"
)

func reload(a *app) *cobra.Command {
	c := &cobra.Command{
		Use:   "reload [--config FILE] [--evict]",
		Short: "Have the running gateway read its configuration again",
		Long: "Reload has the gateway that runs with this configuration read the file again,\n" +
			"with the certificates and keys that it names. Calls and connections live on. A\n" +
			"file with problems changes nothing; they are printed as check prints them.\n\n" +
			"Connections whose peers would be refused now are listed. They serve the calls\n" +
			"they have and nothing else. With --evict they are closed at once, those of\n" +
			"earlier reloads too, and their calls are ended with BYE.",
		Example: "  sallyport reload\n  sallyport reload --config /etc/sallyport/sallyport.yaml\n  sallyport reload --evict",
		Args:    noArgs,
	}
	exits(c, "the configuration was taken", "it has problems and was not, or no gateway runs")
	running := runningFlags(c)
	asJSON := jsonFlag(c)
	evict := c.Flags().Bool("evict", false, "close connections that would be refused now, and end their calls")
	c.RunE = func(c *cobra.Command, _ []string) error {
		var doc api.Reloaded
		call := "/api/v1/reload"
		if *evict {
			call += "?evict=true"
		}
		path, err := a.ask(c, running, http.MethodPost, call, &doc)
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
			a.changed(doc.Changes)
			a.failing(doc.Failing)
		} else {
			for _, p := range doc.Problems {
				fmt.Fprintln(a.stderr, p)
			}
			for _, text := range doc.InUse {
				fmt.Fprintln(a.stderr, text)
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

// changed prints which certificates are others now.
func (a *app) changed(changes []api.Change) {
	for _, c := range changes {
		fmt.Fprintf(a.stdout, "  %s has changed\n", c.Of)
		for _, old := range c.Old {
			fmt.Fprintf(a.stdout, "    old: %s\n", named(old))
		}
		for _, next := range c.New {
			fmt.Fprintf(a.stdout, "    new: %s\n", named(next))
		}
	}
}

func named(c api.Certificate) string {
	return fmt.Sprintf("%s, serial %s, until %s", c.Subject, c.Serial, clock(c.Until))
}

// failing prints the connections that the configuration refuses.
func (a *app) failing(all []api.Failing) {
	width := a.style(a.stdout).width
	for _, f := range all {
		peer, way, calls := "nobody we know", "to", "without a call"
		if f.Peer != "" {
			peer = "peer " + f.Peer
		}
		if f.Inbound {
			way = "from"
		}
		if n := len(f.Calls); n > 0 {
			calls = "with " + count(n, "call")
		}
		state := "serves only the calls it has"
		if f.Evicted {
			state = "evicted: its calls are ended, and it is closed"
		}
		fmt.Fprintf(a.stdout, "  connection %d of %s, %s %s, %s, %s\n", f.Connection, peer, way, f.Remote, calls, state)
		for _, line := range wrapWords(joinWords(f.Why, f.Remedy), width-4) {
			fmt.Fprintf(a.stdout, "    %s\n", line)
		}
	}
	for _, f := range all {
		if !f.Evicted {
			fmt.Fprintln(a.stdout, "  to close them now, and end their calls: sallyport reload --evict")
			return
		}
	}
}

// joinWords is a cause with its remedy, where there is one.
func joinWords(why, remedy string) string {
	if remedy == "" {
		return why
	}
	return why + ": " + remedy
}
