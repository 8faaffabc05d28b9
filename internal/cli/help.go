package cli

import (
	"cmp"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
)

// Annotation keys under which exits keeps a command's meaning of statuses 0 and 1.
const (
	statusGood   = "exit 0"
	statusFailed = "exit 1"
	helpGroup    = "group" // the heading in the help of the command above
)

// exits says in c's help what its exit statuses 0 and 1 mean; failed is empty when c cannot end with 1. Status 2 always
// means that the command line was not understood.
func exits(c *cobra.Command, good, failed string) {
	if c.Annotations == nil {
		c.Annotations = map[string]string{}
	}
	c.Annotations[statusGood], c.Annotations[statusFailed] = good, failed
}

// helpCommand is "sallyport help [command]".
func helpCommand() *cobra.Command {
	c := &cobra.Command{
		Use:     "help [COMMAND]",
		Short:   "Show help for a command",
		Example: "  sallyport help cert issue",
		RunE: func(c *cobra.Command, words []string) error {
			at := c.Root()
			for _, word := range words {
				next := child(at, word)
				if next == nil {
					return unknownCommand(at, word)
				}
				at = next
			}
			return at.Help()
		},
		DisableFlagsInUseLine: true,
	}
	exits(c, "help was shown", "")
	c.Annotations[helpGroup] = "About sallyport"
	return c
}

func child(c *cobra.Command, name string) *cobra.Command {
	for _, sub := range c.Commands() {
		if sub.Name() == name || sub.HasAlias(name) {
			return sub
		}
	}
	return nil
}

// help is the page that --help prints: what the command does, how it is called, an example, its flags and its exit
// statuses, in 80 columns.
func (a *app) help(c *cobra.Command, _ []string) {
	w := a.stdout
	if c.HasSubCommands() && c.Flags().NArg() > 0 {
		a.misplaced = unknownCommand(c, c.Flags().Arg(0))
		return
	}
	text := c.Long
	if text == "" {
		text = c.Short + "."
	}
	fmt.Fprintf(w, "%s\n\nUsage:\n  %s\n", strings.TrimSpace(text), c.UseLine())
	if c.Example != "" {
		fmt.Fprintf(w, "\nExamples:\n%s\n", strings.TrimRight(c.Example, "\n"))
	}
	if c.HasSubCommands() {
		title := ""
		for _, sub := range inTableOrder(c) {
			if in := cmp.Or(sub.Annotations[helpGroup], "Commands"); in != title {
				title = in
				fmt.Fprintf(w, "\n%s:\n", title)
			}
			fmt.Fprintf(w, "  %-*s  %s\n", c.NamePadding(), sub.Name(), sub.Short)
		}
	}
	if c.HasAvailableLocalFlags() {
		fmt.Fprint(w, "\nFlags:\n")
		helpFlags(w, c.LocalFlags())
	}
	if c.HasAvailableInheritedFlags() {
		fmt.Fprint(w, "\nFlags of every command:\n")
		helpFlags(w, c.InheritedFlags())
	}
	helpStatuses(w, c)
}

// inTableOrder returns c's commands as the table has them; cobra would sort them by name.
func inTableOrder(c *cobra.Command) []*cobra.Command {
	var subs []*cobra.Command
	for _, row := range commands {
		sub := c.Root()
		for word := range strings.FieldsSeq(row.name) {
			sub = child(sub, word)
		}
		if sub.Parent() == c {
			subs = append(subs, sub)
		}
	}
	if help := child(c, "help"); help != nil {
		subs = append(subs, help)
	}
	return subs
}

func helpStatuses(w io.Writer, c *cobra.Command) {
	good, failed := c.Annotations[statusGood], c.Annotations[statusFailed]
	if good == "" {
		return
	}
	fmt.Fprintf(w, "\nExit status:\n  %d  %s\n", exitGood, good)
	if failed != "" {
		fmt.Fprintf(w, "  %d  %s\n", exitFailed, failed)
	}
	fmt.Fprintf(w, "  %d  the command line was not understood\n", exitUsage)
}
