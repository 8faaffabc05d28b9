package cli

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/charmbracelet/x/term"
	"github.com/spf13/cobra"

	"github.com/sallyport-sip/sallyport/internal/api"
	"github.com/sallyport-sip/sallyport/internal/callflow/export"
	"github.com/sallyport-sip/sallyport/internal/tui"
)

// watchWith are the flags of watch.
type watchWith struct {
	running
	api, token, ca string
	filter, open   string
}

func watchCommand(a *app) *cobra.Command {
	c := &cobra.Command{
		Use:   "watch [FILE.json | --config FILE | --api URL]",
		Short: "Watch calls in the terminal, live or from a file",
		Long: "Watch shows the calls of a running gateway in the terminal, as they happen: the\n" +
			"list, the ladder of each with its TLS handshakes and both verdicts, messages and\n" +
			"what differs between two, connections, findings. Without arguments it asks the\n" +
			"gateway of the configuration by the socket in its data directory; with --api one\n" +
			"elsewhere. FILE.json is what a call was exported to as json. The keys are those\n" +
			"of sngrep where both have one; ? lists them, and so does docs/howto/watch.md.",
		Example: "  sallyport watch\n" +
			"  sallyport watch --config gw/sallyport.yaml --filter state:failed\n" +
			"  sallyport watch --api https://gw.example:8443 --token-file token\n" +
			"  sallyport watch call-41.json --open call/41/row/17",
		Args: cobra.ArbitraryArgs,
	}
	exits(c, "the user left", "there is no terminal, no such file, or no gateway to ask")
	w := watchWith{running: runningFlags(c)}
	flags := c.Flags()
	flags.StringVar(&w.api, "api", "", "`URL`: the API of a gateway elsewhere, such as https://gw.example:8443")
	flags.StringVar(&w.token, "token-file", "", "`FILE`: the token for --api")
	flags.StringVar(&w.ca, "ca", "", "`FILE`: the CA of the certificate at --api (default: the system's)")
	flags.StringVar(&w.filter, "filter", "", "list only the calls that fit this `FILTER`")
	flags.StringVar(&w.open, "open", "", "begin at this `ADDRESS`, such as call/41/row/17")
	c.RunE = func(c *cobra.Command, args []string) error {
		if err := w.check(args); err != nil {
			return err
		}
		in, err := a.screen()
		if err != nil {
			return err
		}
		src, o, err := a.watched(c, &w, args)
		if err != nil {
			return err
		}
		o.Filter, o.Open, o.ASCII, o.Colour = w.filter, w.open, a.ascii, a.colour
		o.In, o.Out, o.Env = in, a.stdout, a.terminalEnv()
		return tui.Run(c.Context(), src, o)
	}
	return c
}

// check refuses what does not go together.
func (w *watchWith) check(args []string) error {
	switch {
	case len(args) > 1:
		return usagef("one file is watched at a time, and %d were named", len(args))
	case len(args) > 0 && (w.api != "" || *w.file != "" || *w.data != ""):
		return usagef("a file and a gateway cannot be watched at once: leave out %s or the flag", args[0])
	case w.api != "" && (*w.file != "" || *w.data != ""):
		return usagef("--api and --config or --data all say which gateway: give one")
	case w.api == "" && w.token != "":
		return usagef("--token-file is for --api: the gateway on this machine asks for none")
	case w.api == "" && w.ca != "":
		return usagef("--ca is for --api")
	}
	if err := tui.CheckFilter(w.filter, len(args) == 0, time.Now()); err != nil {
		return usagef("--filter: %v", err)
	}
	if w.open != "" && !tui.IsAddress(w.open) {
		return usagef("--open %q is no address such as call/41 or call/41/row/17", w.open)
	}
	return nil
}

// screen is the terminal that keys come from, or the error that says what there is in place of one.
func (a *app) screen() (io.Reader, error) {
	const instead = "sallyport flow list prints the calls for scripts and pipes"
	in, isFile := a.stdin.(*os.File)
	switch out, ok := a.stdout.(*os.File); {
	case !isFile || !term.IsTerminal(in.Fd()):
		return nil, errors.New("watch takes keys, and standard input is no terminal\n" + instead)
	case !ok || !term.IsTerminal(out.Fd()):
		return nil, errors.New("watch draws on a terminal, and standard output is none\n" + instead)
	case a.getenv("TERM") == "dumb" || a.getenv("TERM") == "":
		return nil, fmt.Errorf("watch draws on the whole screen, and this terminal cannot do that: TERM is %q\n%s", a.getenv("TERM"), instead)
	}
	return in, nil
}

// terminalEnv is what the terminal's colours depend on.
func (a *app) terminalEnv() (env []string) {
	for _, name := range []string{"TERM", "COLORTERM", "NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE", "TERM_PROGRAM", "TMUX", "STY", "LANG", "LC_ALL", "LC_CTYPE"} {
		if v := a.getenv(name); v != "" {
			env = append(env, name+"="+v)
		}
	}
	return env
}

// watched is where the calls come from. A gateway that cannot be asked at the beginning is an error; one that goes later is waited
// for.
func (a *app) watched(c *cobra.Command, w *watchWith, args []string) (tui.Source, tui.Options, error) {
	if len(args) > 0 {
		f, err := os.Open(args[0])
		if err != nil {
			return nil, tui.Options{}, err
		}
		defer f.Close()
		flows, err := export.Decode(f)
		if err != nil {
			return nil, tui.Options{}, fmt.Errorf("%s: %w", args[0], err)
		}
		return tui.File(flows), tui.Options{Name: filepath.Base(args[0]), Now: time.Now()}, nil
	}
	if w.api != "" {
		client, token, err := w.remote()
		if err != nil {
			return nil, tui.Options{}, err
		}
		return tui.Gateway(client, w.api, token), tui.Options{Name: w.api, Live: true}, tui.Reach(c.Context(), client, w.api, token)
	}
	var doc api.Status
	file, err := a.ask(c, w.running, http.MethodGet, "/api/v1/status", &doc)
	if err != nil {
		return nil, tui.Options{}, err
	}
	dir := *w.data
	if dir == "" {
		if dir, err = a.dataOf(file); err != nil {
			return nil, tui.Options{}, err
		}
	}
	return tui.Gateway(api.Local(dir), "http://gateway", ""), tui.Options{Name: file, Live: true}, nil
}

// remote is how the API of another machine is asked.
func (w *watchWith) remote() (*http.Client, string, error) {
	u, err := url.Parse(w.api)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, "", usagef("--api %q is no URL such as https://gw.example:8443", w.api)
	}
	t := &http.Transport{TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12}, TLSHandshakeTimeout: 10 * time.Second}
	if w.ca != "" {
		pem, err := os.ReadFile(w.ca)
		if err != nil {
			return nil, "", err
		}
		t.TLSClientConfig.RootCAs = x509.NewCertPool()
		if !t.TLSClientConfig.RootCAs.AppendCertsFromPEM(pem) {
			return nil, "", fmt.Errorf("%s: there is no certificate in this file", w.ca)
		}
	}
	if w.token == "" {
		return &http.Client{Transport: t}, "", nil
	}
	if u.Scheme == "http" {
		return nil, "", usagef("--api %s would send the token in clear: name it with https://", w.api)
	}
	b, err := os.ReadFile(w.token)
	token := strings.TrimSpace(string(b))
	switch {
	case err != nil:
		return nil, "", err
	case token == "" || strings.ContainsAny(token, "\r\n"):
		return nil, "", fmt.Errorf("%s: a token is one line, and this file has %s", w.token, cmp.Or(map[bool]string{true: "none"}[token == ""], "more"))
	}
	return &http.Client{Transport: t}, token, nil
}
