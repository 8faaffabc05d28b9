package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// result is what one run in process left behind.
type result struct {
	status         int
	stdout, stderr string
}

// runWith runs a command line with these environment variables.
func runWith(t *testing.T, env map[string]string, args ...string) result {
	t.Helper()
	var out, err bytes.Buffer
	a := &app{stdin: strings.NewReader(""), stdout: &out, stderr: &err, getenv: func(k string) string { return env[k] }}
	status := a.run(t.Context(), args)
	return result{status, out.String(), err.String()}
}

func run(t *testing.T, args ...string) result {
	t.Helper()
	return runWith(t, nil, args...)
}

func TestUsageErrors(t *testing.T) {
	for _, tt := range []struct {
		line string
		want []string // parts of standard error
	}{
		{"", []string{"no command given\n", "to see calls at once: ", " demo\n", "to begin a gateway: ", "to see all commands: ", " --help\n"}},
		{"cert", []string{"no command given\n", "see: sallyport cert --help\n"}},
		{"start", []string{`"start" is not a command of sallyport (did you mean "serve"?)`}},
		{"cert new", []string{`"new" is not a command of sallyport cert` + "\n"}},
		{"--version", []string{"the version is a command, no flag\nit is: sallyport version\n"}},
		{"-V", []string{"the version is a command, no flag\n"}},
		{"serve gw/sallyport.yaml", []string{`serve takes no argument, got "gw/sallyport.yaml"` + "\n", "name the configuration so: sallyport serve --config gw/sallyport.yaml\n"}},
		{"cdr --limit many", []string{`--limit "many" is not a whole number` + "\n"}},
		{"serve --config", []string{"--config is without its value: --config FILE\n"}},
		{"init gw --name sbc.example.com", []string{"--pbx is missing: ", "for instance --pbx sip:"}},
		{"versoin", []string{`"versoin" is not a command of sallyport (did you mean "version"?)`, "see: sallyport --help"}},
		{"frobnicate", []string{`"frobnicate" is not a command of sallyport` + "\n"}},
		{"frobnicate --help", []string{`"frobnicate" is not a command of sallyport` + "\n"}},
		{"help frobnicate", []string{`"frobnicate" is not a command of sallyport` + "\n", "see: sallyport --help"}},
		{"version --jsno", []string{"unknown flag --jsno (did you mean --json?)", "see: sallyport version --help"}},
		{"version --zzzzzz", []string{"unknown flag --zzzzzz\n"}},
		{"version -x", []string{"unknown flag -x\n"}},
		{"version --json=maybe", []string{`--json "maybe" is not true or false`}},
		{"version now", []string{`takes no argument, got "now"`}},
		{"version --color=red", []string{`--color "red" is not auto, always or never`}},
		{"completion", []string{"needs one shell"}},
		{"completion bahs", []string{`no completion for "bahs" (did you mean "bash"?)`}},
	} {
		t.Run(tt.line, func(t *testing.T) {
			got := run(t, strings.Fields(tt.line)...)
			if got.status != exitUsage {
				t.Errorf("status %d, want %d", got.status, exitUsage)
			}
			if got.stdout != "" {
				t.Errorf("standard output has %q, want nothing", got.stdout)
			}
			for _, want := range tt.want {
				if !strings.Contains(got.stderr, want) {
					t.Errorf("standard error lacks %q:\n%s", want, got.stderr)
				}
			}
		})
	}
}

// TestHelp holds every command's help to the same promises: an example that is itself a valid command line, the exit
// statuses, 80 columns.
func TestHelp(t *testing.T) {
	a := &app{getenv: func(string) string { return "" }}
	root := a.root()
	var visit func(*cobra.Command)
	visit = func(c *cobra.Command) {
		t.Run(c.CommandPath(), func(t *testing.T) { checkHelp(t, c) })
		for _, sub := range c.Commands() {
			visit(sub)
		}
	}
	visit(root)
	for _, row := range commands {
		if c, _, err := root.Find(strings.Fields(row.name)); err != nil || c.CommandPath() != "sallyport "+row.name {
			t.Errorf("row %q builds the command %q (error %v)", row.name, c.CommandPath(), err)
		}
	}
}

func checkHelp(t *testing.T, c *cobra.Command) {
	words := strings.Fields(c.CommandPath())[1:]
	got := run(t, append(words, "--help")...)
	if got.status != exitGood || got.stderr != "" {
		t.Fatalf("status %d, standard error %q", got.status, got.stderr)
	}
	for _, want := range []string{"Usage:\n  sallyport", "Exit status:\n  0  ", "\n  2  "} {
		if !strings.Contains(got.stdout, want) {
			t.Errorf("help lacks %q:\n%s", want, got.stdout)
		}
	}
	for line := range strings.Lines(got.stdout) {
		if len([]rune(strings.TrimRight(line, "\n"))) > 80 {
			t.Errorf("more than 80 columns: %q", line)
		}
	}
	if c.Short == "" || strings.HasSuffix(c.Short, ".") {
		t.Errorf("short text %q: want a sentence without a full stop", c.Short)
	}
	examples := 0
	for line := range strings.Lines(strings.ReplaceAll(c.Example, "\\\n", "")) {
		_, line, ok := strings.Cut(line, "sallyport ")
		if !ok {
			continue
		}
		examples++
		line, _, _ = strings.Cut(strings.NewReplacer("|", "\x00", ">", "\x00", ")", "\x00").Replace(line), "\x00")
		checkExample(t, strings.Fields(line))
	}
	if examples == 0 {
		t.Errorf("no example in %q", c.Example)
	}
}

// checkExample parses an example's words on a tree of their own.
func checkExample(t *testing.T, words []string) {
	a := &app{getenv: func(string) string { return "" }}
	c, rest, err := a.root().Find(words)
	if err != nil {
		t.Errorf("example %q: %v", words, err)
		return
	}
	if err := c.ParseFlags(rest); err != nil {
		t.Errorf("example %q: %v", words, err)
	}
	if c.Args == nil {
		return
	}
	if err := c.Args(c, c.Flags().Args()); err != nil {
		t.Errorf("example %q: %v", words, err)
	}
}

// TestHelpBeginsWithWhatANewcomerDoes: the first page has the way to a gateway, its commands under headings, and each
// value of a flag once.
func TestHelpBeginsWithWhatANewcomerDoes(t *testing.T) {
	page := run(t, "--help").stdout
	at := 0
	for _, want := range []string{
		"Examples:\n  sallyport demo\n", "sallyport init ", "sallyport serve ", "sallyport status ", "sallyport cdr ",
		"\nTo begin:\n  demo ", "\nTo run a gateway:\n", "\nTo see what it does:\n", "\nAbout sallyport:\n  version ", "  help  ",
		"--color WHEN   colour the output",
	} {
		i := strings.Index(page[at:], want)
		if i < 0 {
			t.Fatalf("no %q, or not in its place:\n%s", want, page)
		}
		at += i
	}
	if page := run(t, "serve", "--help").stdout; !strings.Contains(page, "--config FILE         the configuration (default: $SALLYPORT_CONFIG, else\n") {
		t.Errorf("serve does not say where it looks:\n%s", page)
	}
}

// TestFlagsAreNamedAlike: the word for a value is in capitals, as it is in the usage line.
func TestFlagsAreNamedAlike(t *testing.T) {
	var visit func(*cobra.Command)
	visit = func(c *cobra.Command) {
		c.Flags().VisitAll(func(f *pflag.Flag) {
			if value, _ := pflag.UnquoteUsage(f); value != strings.ToUpper(value) {
				t.Errorf("%s: --%s %s is not in capitals", c.CommandPath(), f.Name, value)
			}
		})
		for _, sub := range c.Commands() {
			visit(sub)
		}
	}
	visit((&app{getenv: func(string) string { return "" }}).root())
}

func TestCount(t *testing.T) {
	for n, want := range map[int]string{0: "0 routes", 1: "1 route", 2: "2 routes"} {
		if got := count(n, "route"); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

func TestVersion(t *testing.T) {
	got := run(t, "version")
	if got.status != exitGood || !strings.HasPrefix(got.stdout, "sallyport ") || !strings.Contains(got.stdout, ", go1.") {
		t.Errorf("version: %+v", got)
	}
	got = run(t, "version", "--json")
	var b build
	if err := json.Unmarshal([]byte(got.stdout), &b); err != nil {
		t.Fatalf("version --json: %v in %q", err, got.stdout)
	}
	if b.Version == "" || !strings.HasPrefix(b.Go, "go1.") || b.OS == "" || b.Arch == "" {
		t.Errorf("version --json: %+v", b)
	}
}

func TestBuildString(t *testing.T) {
	b := build{Version: "v1.2.3", Revision: "0123456789abcdef", Modified: true, Go: "go1.26.8", OS: "linux", Arch: "arm64"}
	if got, want := b.String(), "sallyport v1.2.3 0123456789ab modified, go1.26.8 linux/arm64"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestCompletionScripts(t *testing.T) {
	for shell, want := range map[string]string{
		"bash": "complete -o default", "zsh": "#compdef sallyport", "fish": "complete -c sallyport",
		"powershell": "Register-ArgumentCompleter",
	} {
		if got := run(t, "completion", shell); got.status != exitGood || !strings.Contains(got.stdout, want) {
			t.Errorf("completion %s: status %d, no %q", shell, got.status, want)
		}
	}
	// What the scripts call: the words that may follow.
	if got := run(t, "__complete", "ver"); !strings.HasPrefix(got.stdout, "version\t") {
		t.Errorf("completing \"ver\": %q", got.stdout)
	}
}

func TestExit(t *testing.T) {
	for _, tt := range []struct {
		err    error
		status int
		stderr string
	}{
		{nil, 0, ""},
		{errReported, 1, ""},
		{errors.New("no such thing"), 1, "sallyport: no such thing\n"},
		{context.Canceled, 1, "sallyport: context canceled\n"},
		{usagef("no %s", "file"), 2, "sallyport: no file\nsee: sallyport --help\n"},
		{&usageError{text: "no file", hint: "try: sallyport demo"}, 2, "sallyport: no file\ntry: sallyport demo\n"},
	} {
		var stderr bytes.Buffer
		a := &app{stderr: &stderr}
		if got := a.exit(a.root(), tt.err); got != tt.status || stderr.String() != tt.stderr {
			t.Errorf("%v: status %d and %q, want %d and %q", tt.err, got, stderr.String(), tt.status, tt.stderr)
		}
	}
}
