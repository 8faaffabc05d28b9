package cli

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sallyport-sip/sallyport/internal/callflow"
	"github.com/sallyport-sip/sallyport/internal/callflow/export"
	"github.com/sallyport-sip/sallyport/internal/config"
)

// timeFlag is --time of what draws flows.
func timeFlag(c *cobra.Command) *string {
	when := c.Flags().String("time", "delta", "`WORD`: times at the left: delta since the row above, day for the time of day, since the beginning, scaled with room for pauses")
	c.RegisterFlagCompletionFunc("time", cobra.FixedCompletions(export.TimesNames(), cobra.ShellCompDirectiveNoFileComp))
	return when
}

func flowTime(name string) (export.Times, error) {
	times, err := export.LookupTimes(name)
	if near, ok := config.Nearest(name, export.TimesNames()); err != nil && ok {
		return 0, usagef("--time %v (did you mean %s?)", err, near)
	}
	if err != nil {
		return 0, usagef("--time %v", err)
	}
	return times, nil
}

func flowShow(a *app) *cobra.Command {
	c := &cobra.Command{
		Use:   "show ID [--config FILE | --data DIR | --file FILE.json]",
		Short: "Draw one flow as a ladder",
		Long: "Show draws a flow: the sentence, what is wrong and what to do, and each message\n" +
			"and handshake as an arrow. ID is what the list has, or call/41/row/17.\n" +
			"Handshakes that were good take one row, unless --unfold says otherwise.",
		Example: "  sallyport flow show 41\n" +
			"  sallyport flow show k3f9qz-41 --unfold --time since\n" +
			"  sallyport flow show 41 --raw 17\n" +
			"  sallyport flow show 41 --diff 13,28\n" +
			"  sallyport flow show conn-9 --file monday.json --ascii",
		Args: func(_ *cobra.Command, given []string) error {
			if len(given) != 1 {
				return usagef("show draws one flow, and %d were named", len(given))
			}
			return nil
		},
	}
	exits(c, "it was drawn", "there is none with that id, or it cannot be read")
	from := flowFlags(c)
	when := timeFlag(c)
	unfold := c.Flags().Bool("unfold", false, "each step of each handshake")
	raw := c.Flags().Int("raw", 0, "print the message of this `ROW` as it was, and nothing else")
	diff := c.Flags().String("diff", "", "`A,B`: how the messages of two rows differ, as what the gateway changed")
	c.ValidArgsFunction = a.completeFlows(from)
	c.RunE = func(c *cobra.Command, args []string) error {
		times, err := flowTime(*when)
		if err != nil {
			return err
		}
		if c.Flags().Changed("raw") && *raw < 1 {
			return usagef("--raw %d: rows are numbered from 1", *raw)
		}
		var rows [2]int
		if c.Flags().Changed("diff") {
			if rows, err = twoRows(*diff); err != nil {
				return err
			}
			if *raw > 0 {
				return usagef("--raw prints one message and --diff compares two: leave one of them out")
			}
		}
		source, err := a.openFlows(from, "")
		if err != nil {
			return err
		}
		f, err := find(c.Context(), source, args[0])
		if err != nil {
			return err
		}
		if *raw > 0 {
			return a.showRaw(f, *raw)
		}
		s := a.style(a.stdout)
		if rows[0] > 0 {
			d, err := export.DiffRows(f, rows[0], rows[1])
			if err != nil {
				return err
			}
			return export.DiffText(a.stdout, d, export.Options{ASCII: s.ascii, Colour: s.colour, Width: s.width})
		}
		return export.Text(a.stdout, []*callflow.Flow{f}, export.Options{ASCII: s.ascii, Colour: s.colour, Width: s.width, FoldTLS: !*unfold, Times: times, Numbers: true})
	}
	return c
}

// twoRows reads --diff.
func twoRows(text string) (rows [2]int, err error) {
	parts := strings.Split(text, ",")
	for i := range rows {
		if len(parts) == 2 {
			rows[i], err = strconv.Atoi(strings.TrimSpace(parts[i]))
		}
		if err != nil || rows[i] < 1 {
			return rows, usagef("--diff %q: name two rows by their numbers, as --diff 13,28", text)
		}
	}
	return rows, nil
}

// showRaw prints a message as it was recorded. To a terminal it goes without what would move it.
func (a *app) showRaw(f *callflow.Flow, row int) error {
	i := slices.IndexFunc(f.Rows, func(r callflow.Row) bool { return r.Number == row })
	if i < 0 {
		return fmt.Errorf("flow %s has no row %d: the last one is %d", f.ID, row, len(f.Rows))
	}
	if len(f.Rows[i].Raw) == 0 {
		var with []string
		for j := range f.Rows {
			if len(f.Rows[j].Raw) > 0 && len(with) < 20 {
				with = append(with, strconv.Itoa(f.Rows[j].Number))
			}
		}
		if len(with) == 0 {
			return fmt.Errorf("row %d of flow %s is no SIP message, and no row of it is", row, f.ID)
		}
		return fmt.Errorf("row %d of flow %s is no SIP message; rows that are: %s", row, f.ID, strings.Join(with, ", "))
	}
	if !terminal(a.stdout) {
		_, err := a.stdout.Write(f.Rows[i].Raw)
		return err
	}
	s := a.style(a.stdout)
	for line := range strings.Lines(string(f.Rows[i].Raw)) {
		if _, err := fmt.Fprintln(a.stdout, s.plain(strings.TrimRight(line, "\r\n"))); err != nil {
			return err
		}
	}
	return nil
}
