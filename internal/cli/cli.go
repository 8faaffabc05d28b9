// Package cli is the command line: one file per command, one row per command in the table below, and the few things
// that all of them share.
//
// Reading starts at Main and the table commands. A command is a function that takes the app (what the process was
// given: streams, environment) and returns its cobra.Command; its RunE returns nil, a usageError, or another error, and
// exit.go makes the exit status of it. Only this package reads flags and the environment. Main starts no goroutine that
// outlives it, apart from those that the called command waits for.
package cli

import (
	"cmp"
	"context"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
)

// commands is the whole command line, in the order and under the headings in which help lists it. A name of two words
// belongs to the group that the first names; the group's own row stands above, and has the heading.
var commands = []struct {
	name    string
	heading string
	build   func(*app) *cobra.Command
}{
	{"demo", "To begin", demo},
	{"init", "To begin", initCommand},
	{"cert", "To begin", cert},
	{"cert ca", "", certCA},
	{"cert issue", "", certIssue},
	{"cert csr", "", certCSR},
	{"cert self-signed", "", certSelfSigned},
	{"cert show", "", certShow},
	{"cert verify", "", certVerify},
	{"cert list", "", certList},
	{"cert bundle", "", certBundle},
	{"cert convert", "", certConvert},
	{"check", "To run a gateway", check},
	{"serve", "To run a gateway", serve},
	{"reload", "To run a gateway", reload},
	{"trust", "To run a gateway", trustGroup},
	{"trust diff", "", trustDiff},
	{"probe", "To see what it does", probeCommand},
	{"status", "To see what it does", status},
	{"watch", "To see what it does", watchCommand},
	{"flow", "To see what it does", flowGroup},
	{"flow list", "", flowList},
	{"flow show", "", flowShow},
	{"flow export", "", flowExport},
	{"handshakes", "To see what it does", handshakes},
	{"cdr", "To see what it does", cdr},
	{"version", "About sallyport", version},
	{"completion", "About sallyport", completion},
}

// app is what one run of the program was given. It is made by Main and read by the commands.
type app struct {
	stdin  io.Reader
	stdout io.Writer
	stderr io.Writer
	getenv func(string) string

	// colour and ascii hold the flags that every command has; style makes the answer of them.
	colour string
	ascii  bool

	// misplaced is what help found wrong: cobra's help function cannot return an error.
	misplaced error
}

// Main runs the command line args (without the program's name) and returns the exit status: 0 when all is well, 1 when
// what was asked for did not succeed, 2 when it was not understood. SIGINT and SIGTERM cancel the command's context; a
// second one ends the process at once.
func Main(args []string, stdin io.Reader, stdout, stderr io.Writer, getenv func(string) string) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop)
	a := &app{stdin: stdin, stdout: stdout, stderr: stderr, getenv: getenv}
	return a.run(ctx, args)
}

// run is Main under a context of the caller's, which the tests use.
func (a *app) run(ctx context.Context, args []string) int {
	root := a.root()
	root.SetArgs(args)
	cmd, err := root.ExecuteContextC(ctx)
	return a.exit(cmd, cmp.Or(err, a.misplaced))
}

// root builds the tree of commands from the table.
func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "sallyport COMMAND",
		Short: "A secure SIP gateway",
		Long: "Sallyport is a secure SIP gateway: it joins phones, PBXs, carriers and clouds\n" +
			"over mutually authenticated TLS and shows every call, handshake included, as a\nladder.",
		Example: "  sallyport demo\n" +
			"  sallyport init gw --name sbc.example.com --pbx sip:10.0.0.5 \\\n" +
			"      --carrier acme=sip:sip.acme.example:5061\n" +
			"  sallyport serve --config gw/sallyport.yaml\n" +
			"  sallyport status --config gw/sallyport.yaml\n" +
			"  sallyport cdr --config gw/sallyport.yaml --failed",
		DisableFlagsInUseLine: true,
		SilenceErrors:         true,
		SilenceUsage:          true,
		CompletionOptions:     cobra.CompletionOptions{DisableDefaultCmd: true},
	}
	root.SetIn(a.stdin)
	root.SetOut(a.stdout)
	root.SetErr(a.stderr)
	root.SetHelpFunc(a.help)
	root.SetFlagErrorFunc(flagError)
	root.SetHelpCommand(helpCommand())
	flags := root.PersistentFlags()
	flags.StringVar(&a.colour, "color", "auto", "`WHEN`: colour the output: auto, always or never")
	flags.BoolVar(&a.ascii, "ascii", false, "draw with ASCII characters only")
	flags.BoolP("help", "h", false, "show help for this command")
	root.PersistentPreRunE = func(*cobra.Command, []string) error { return a.checkStyle() }
	group(root)

	groups := map[string]*cobra.Command{"": root}
	for _, row := range commands {
		parent, name := "", row.name
		if i := strings.LastIndexByte(name, ' '); i >= 0 {
			parent = name[:i]
		}
		c := row.build(a)
		c.DisableFlagsInUseLine = true
		if c.RunE == nil {
			group(c)
			groups[name] = c
		}
		c.Annotations[helpGroup] = row.heading
		groups[parent].AddCommand(c)
	}
	return root
}

// group makes c a command that only holds others: alone, or followed by a word that none of them has, it is a usage
// error.
func group(c *cobra.Command) {
	c.Args = cobra.ArbitraryArgs
	c.RunE = func(c *cobra.Command, args []string) error {
		switch {
		case len(args) > 0:
		case c.HasParent():
			return usagef("no command given")
		default:
			return &usageError{text: "no command given", hint: toBegin() + "\nto see all commands:       " + program() + " --help"}
		}
		return unknownCommand(c, args[0])
	}
	exits(c, "help was shown", "")
}
