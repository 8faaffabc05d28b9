package cli

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/sallyport-sip/sallyport/internal/config"
)

// The exit statuses of every command.
const (
	exitGood   = 0 // what was asked for was done, and what was checked is right
	exitFailed = 1 // it was understood, and did not succeed or is not right
	exitUsage  = 2 // it was not understood: an unknown command or flag, a missing file name, no configuration
)

// usageError is the user's mistake on the command line: it ends with status 2 and a pointer to the command's help.
type usageError struct {
	text string
	hint string // a remedy in words of its own; empty: the command's help is named
}

func (e *usageError) Error() string { return e.text }

// usagef returns a usageError with this text.
func usagef(format string, args ...any) error {
	return &usageError{text: fmt.Sprintf(format, args...)}
}

// errReported ends a command with status 1 when the command has already said why, for example after a list of problems.
var errReported = errors.New("already reported")

// exit prints what there is to say about err and returns the exit status.
func (a *app) exit(cmd *cobra.Command, err error) int {
	if err == nil {
		return exitGood
	}
	if errors.Is(err, errReported) {
		return exitFailed
	}
	fmt.Fprintf(a.stderr, "sallyport: %v\n", err)
	usage, ok := errors.AsType[*usageError](err)
	if !ok {
		return exitFailed
	}
	if usage.hint == "" {
		usage.hint = "see: " + cmd.CommandPath() + " --help"
	}
	fmt.Fprintln(a.stderr, usage.hint)
	return exitUsage
}

// flagError gives pflag's complaint the form of ours, with the nearest flag when there is one.
func flagError(c *cobra.Command, err error) error {
	if bad, ok := errors.AsType[*pflag.InvalidValueError](err); ok {
		return usagef("--%s %q is not %s", bad.GetFlag().Name, bad.GetValue(), kindOf(bad.GetFlag()))
	}
	if bare, ok := errors.AsType[*pflag.ValueRequiredError](err); ok {
		value, _ := pflag.UnquoteUsage(bare.GetFlag())
		return usagef("--%[1]s is without its value: --%[1]s %[2]s", bare.GetFlag().Name, value)
	}
	unknown, ok := errors.AsType[*pflag.NotExistError](err)
	if !ok {
		return usagef("%v", err)
	}
	name := unknown.GetSpecifiedName()
	if !c.HasParent() && (name == "version" || strings.EqualFold(name, "v")) {
		return &usageError{text: "the version is a command, no flag", hint: "it is: " + c.CommandPath() + " version"}
	}
	if len(name) == 1 || unknown.GetSpecifiedShortnames() != "" {
		return usagef("unknown flag -%s", name)
	}
	var known []string
	c.Flags().VisitAll(func(f *pflag.Flag) {
		if !f.Hidden {
			known = append(known, f.Name)
		}
	})
	text := "unknown flag --" + name
	if near, ok := config.Nearest(name, known); ok {
		text += fmt.Sprintf(" (did you mean --%s?)", near)
	}
	return usagef("%s", text)
}

// kindOf says what the value of a flag has to be.
func kindOf(f *pflag.Flag) string {
	switch f.Value.Type() {
	case "bool":
		return "true or false"
	case "int":
		return "a whole number"
	}
	return "a " + f.Value.Type()
}

// otherWords are commands of other programs, by what ours are called.
var otherWords = map[string]string{"start": "serve", "run": "serve", "validate": "check", "test": "check", "calls": "cdr", "cdrs": "cdr", "certs": "cert", "setup": "init", "new": "init"}

// unknownCommand is the error for a word that is no command of c, with the nearest one when there is one.
func unknownCommand(c *cobra.Command, word string) error {
	var known []string
	for _, sub := range c.Commands() {
		if sub.IsAvailableCommand() || sub.Name() == "help" {
			known = append(known, sub.Name())
		}
	}
	text := fmt.Sprintf("%q is not a command of %s", word, c.CommandPath())
	near, ok := config.Nearest(word, known)
	if other := otherWords[word]; other != "" && !c.HasParent() {
		near, ok = other, true
	}
	if ok {
		text += fmt.Sprintf(" (did you mean %q?)", near)
	}
	return &usageError{text: text, hint: "see: " + c.CommandPath() + " --help"}
}

// noArgs is the Args of a command that takes flags only.
func noArgs(c *cobra.Command, given []string) error {
	if len(given) == 0 {
		return nil
	}
	err := &usageError{text: fmt.Sprintf("%s takes no argument, got %q", c.Name(), given[0])}
	if c.Flags().Lookup("config") != nil && filepath.Ext(given[0]) == ".yaml" {
		err.hint = fmt.Sprintf("name the configuration so: %s --config %s", c.CommandPath(), given[0])
	}
	return err
}
