package cli

import (
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sallyport-sip/sallyport/internal/api"
	"github.com/sallyport-sip/sallyport/internal/config"
	"github.com/sallyport-sip/sallyport/internal/gateway"
	"github.com/sallyport-sip/sallyport/internal/trust"
)

func certList(a *app) *cobra.Command {
	c := &cobra.Command{
		Use:   "list [--config FILE]",
		Short: "Show which certificates of a gateway end when",
		Long: "List shows the certificates of a configuration by the days that are left: our\n" +
			"own, those that are trusted, and, when the gateway runs, those that its peers\n" +
			"have shown last; with them CRLs and the OCSP answers that we staple. When no\n" +
			"gateway runs it reads the files that the configuration names.",
		Example: "  sallyport cert list\n  sallyport cert list --config /etc/sallyport/sallyport.yaml --days 30 --json",
		Args:    noArgs,
	}
	exits(c, "they were listed", "nothing could be listed, or a file has a problem")
	which := runningFlags(c)
	days := c.Flags().Int("days", 0, "`DAYS`: only what ends within so many days, or has ended (default: all)")
	asJSON := jsonFlag(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		if c.Flags().Changed("days") && *days < 0 {
			return usagef("--days %d is less than 0", *days)
		}
		doc, running, problems, err := a.endings(c, which)
		if err != nil {
			return err
		}
		if c.Flags().Changed("days") {
			doc.Certificates = slices.DeleteFunc(doc.Certificates, func(e api.Ending) bool { return e.Days >= *days })
		}
		if *asJSON {
			err = a.writeJSON(doc)
		} else {
			_, err = fmt.Fprint(a.stdout, endingTable{a.style(a.stdout), time.Now()}.draw(doc.Certificates, running))
		}
		if err == nil && len(problems) > 0 {
			return a.report(problems)
		}
		return err
	}
	return c
}

// endings asks the running gateway, or reads the files when none runs.
func (a *app) endings(c *cobra.Command, which running) (doc api.Endings, running bool, problems []config.Problem, err error) {
	_, err = a.ask(c, which, http.MethodGet, "/api/v1/certificates", &doc)
	if err == nil {
		return doc, true, nil, nil
	}
	if _, nobody := errors.AsType[notRunning](err); !nobody {
		return doc, false, nil, err
	}
	file, err := a.configFile(*which.file)
	if err != nil {
		return doc, false, nil, err
	}
	cfg, problems := config.Load(file)
	if len(problems) > 0 {
		return doc, false, nil, a.report(problems)
	}
	all, problems := gateway.Endings(cfg, trust.Options{Getenv: a.getenv})
	return api.EndingsOf(all, time.Now()), false, problems, nil
}

// endingTable draws what ends.
type endingTable struct {
	style
	now time.Time
}

func (t endingTable) draw(all []api.Ending, running bool) string {
	var b strings.Builder
	for _, e := range all {
		left := gateway.DaysLeft(e.Ends.Sub(t.now))
		colour := green
		switch {
		case e.Ends.Before(t.now):
			left, colour = "ended", red
		case e.Days < 7:
			colour = red
		case e.Days < 30:
			colour = yellow
		}
		head := fmt.Sprintf("%s %s", e.Kind, t.plain(e.Name))
		fmt.Fprintf(&b, "%s  %s  %s\n", t.paint(colour, fmt.Sprintf("%10s", left)), e.Ends.Format("2006-01-02 15:04 UTC"), t.paint(bold, head))
		t.lines(&b, e.Subject)
		if e.Issuer != e.Subject {
			t.lines(&b, "by "+e.Issuer)
		}
		var where []string
		if e.File != "" {
			where = append(where, filepath.Base(e.File))
		}
		switch {
		case len(e.Used) > 0 && e.Kind != "peer":
			where = append(where, "used by "+strings.Join(e.Used, ", "))
		case len(e.Used) == 0:
			where = append(where, "not used")
		}
		if len(where) > 0 {
			t.lines(&b, strings.Join(where, "; "))
		}
	}
	if len(all) == 0 {
		b.WriteString("nothing ends\n")
	}
	if !running {
		b.WriteString("\nno gateway runs with this configuration: what peers show is not known\n")
	}
	return b.String()
}

func (t endingTable) lines(b *strings.Builder, text string) {
	for _, line := range wrapWords(t.plain(text), t.width-12) {
		fmt.Fprintf(b, "            %s\n", line)
	}
}
