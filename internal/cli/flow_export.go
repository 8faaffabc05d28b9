package cli

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sallyport-sip/sallyport/internal/callflow"
	"github.com/sallyport-sip/sallyport/internal/callflow/export"
	"github.com/sallyport-sip/sallyport/internal/config"
)

func flowExport(a *app) *cobra.Command {
	var names, about []string
	for _, f := range export.Formats() {
		names = append(names, f.Name)
		for i, line := range wrapWords(f.About, 68) {
			about = append(about, fmt.Sprintf("  %-9s %s", []string{f.Name, ""}[min(i, 1)], line))
		}
	}
	c := &cobra.Command{
		Use:   "export [ID...] [--filter FILTER] --format NAME [--out FILE]",
		Short: "Write flows into a file",
		Long: "Export writes flows, those that are named and those that fit the filter, into\n" +
			"one file that only its user can read. No format has passwords, keys or TLS\n" +
			"secrets, unless --with-secrets asks for those of peers with keep_keys:\n\n" + strings.Join(about, "\n"),
		Example: "  sallyport flow export 41 --format html --out call-41.html\n" +
			"  sallyport flow export --filter state:failed --format json --out bad.json\n" +
			"  sallyport flow export 41 57 --format pcapng --out both.pcapng\n" +
			"  sallyport flow export 41 --file bad.json --format mermaid",
		Args: cobra.ArbitraryArgs,
	}
	exits(c, "the file was written", "a flow is not there, or the file cannot be written")
	from := flowFlags(c)
	text := c.Flags().String("filter", "", "also all that fit this `FILTER`")
	limit := c.Flags().Int("limit", 1000, "of those that fit the filter the newest `N`")
	format := c.Flags().String("format", "text", "`NAME`: "+strings.Join(names, ", "))
	when := timeFlag(c)
	unfold := c.Flags().Bool("unfold", false, "each step of each handshake")
	secrets := c.Flags().Bool("with-secrets", false, "as it was on the wire, with TLS secrets (pcapng)")
	out := c.Flags().String("out", "", "`FILE` to write (default: standard output)")
	c.ValidArgsFunction = a.completeFlows(from)
	c.RegisterFlagCompletionFunc("format", cobra.FixedCompletions(names, cobra.ShellCompDirectiveNoFileComp))
	c.RunE = func(c *cobra.Command, ids []string) error {
		to, err := export.Lookup(*format)
		switch near, ok := config.Nearest(*format, names); {
		case err != nil && ok:
			return usagef("--format %q is none of %s (did you mean %s?)", *format, strings.Join(names, ", "), near)
		case err != nil:
			return usagef("--format %q is none of %s", *format, strings.Join(names, ", "))
		case len(ids) == 0 && *text == "":
			return usagef("name the flows to export by their ids, or by --filter")
		case *limit < 1:
			return usagef("--limit %d is less than 1", *limit)
		case *out == "" && to.Name == "pcapng" && terminal(a.stdout):
			return usagef("pcapng is no text, and standard output is a terminal: name a file with --out")
		}
		if *secrets && to.Name != "pcapng" {
			return usagef("--with-secrets is for --format pcapng: no other has a place for them")
		}
		if (c.Flags().Changed("time") || *unfold) && !to.Drawn {
			return usagef("--time and --unfold say how a flow is drawn, and %s holds all of it: leave them out", to.Name)
		}
		times, err := flowTime(*when)
		if err != nil {
			return err
		}
		source, err := a.openFlows(from, *text)
		if err != nil {
			return err
		}
		if *secrets {
			return a.withSecrets(c.Context(), source, ids, *out)
		}
		all, err := collect(c, source, ids, *text, *limit)
		if err != nil {
			return err
		}
		err = a.writeOut(*out, func(w io.Writer) error {
			s := a.style(a.stdout)
			return to.Write(w, all, export.Options{ASCII: a.ascii, Colour: s.colour && *out == "", Width: s.width, FoldTLS: !*unfold, Times: times})
		})
		if err == nil && *out != "" {
			flows := "flows"
			if len(all) == 1 {
				flows = "flow"
			}
			_, err = fmt.Fprintf(a.stderr, "%s: %d %s as %s\n", *out, len(all), flows, to.Name)
		}
		return err
	}
	return c
}

// collect fetches flows by their ids, then those that a filter wants, the oldest first, each once.
func collect(c *cobra.Command, from flows, ids []string, text string, limit int) (all []*callflow.Flow, err error) {
	have := map[string]bool{}
	for _, id := range ids {
		f, err := find(c.Context(), from, id)
		if err != nil {
			return nil, err
		}
		if !have[f.ID] {
			have[f.ID] = true
			all = append(all, f)
		}
	}
	if text == "" {
		return all, nil
	}
	doc, err := from.list(c.Context(), text, limit, "")
	if err != nil {
		return nil, err
	}
	for i := len(doc.Flows) - 1; i >= 0; i-- {
		if id := doc.Flows[i].ID; !have[id] {
			f, err := from.one(c.Context(), id)
			if errors.Is(err, errNotFound) {
				continue // it has just been dropped
			}
			if err != nil {
				return nil, err
			}
			have[id] = true
			all = append(all, f)
		}
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("no flow fits %s: nothing is written", text)
	}
	return all, nil
}

// writePrivate writes a file that only its user can read. It has its name when it is whole.
func writePrivate(name string, write func(io.Writer) error) (err error) {
	f, err := os.CreateTemp(filepath.Dir(name), ".sallyport-*") // 0600
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			f.Close()
			os.Remove(f.Name())
		}
	}()
	if err = write(f); err != nil {
		return err
	}
	if err = f.Close(); err != nil {
		return err
	}
	return os.Rename(f.Name(), name)
}
