package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"runtime"
	"runtime/debug"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/sallyport-sip/sallyport/internal/api"
	"github.com/sallyport-sip/sallyport/internal/config"
	"github.com/sallyport-sip/sallyport/internal/gateway"
	"github.com/sallyport-sip/sallyport/internal/watch"
	"github.com/sallyport-sip/sallyport/internal/web"
)

// stopWithin bounds how long a gateway takes to end, once its calls have had
// their time.
const stopWithin = 10 * time.Second

func serve(a *app) *cobra.Command {
	c := &cobra.Command{
		Use:   "serve [--config FILE]",
		Short: "Run the gateway",
		Long: "Serve runs the gateway until it gets SIGTERM or Ctrl-C. Then it takes no new\n" +
			"calls, and ends those that are left after the time that \"drain\" says; a second\n" +
			"signal ends them at once. SIGHUP has it read its configuration again. It logs\n" +
			"to standard error.",
		Example: "  sallyport serve --config sallyport.yaml\n  sallyport serve --config sallyport.yaml --log-format json",
		Args:    noArgs,
	}
	exits(c, "it ran and was told to end", "the configuration is wrong, or a listener cannot be opened")
	file := configFlag(c)
	format := c.Flags().String("log-format", "text", "`FORMAT`: how the log is written: text or json")
	level := c.Flags().String("log-level", "info", "`LEVEL`: what is logged, from here on: debug, info, warn or error")
	c.RunE = func(c *cobra.Command, _ []string) error {
		lines := newLogQueue(a.stderr)
		defer lines.close()
		log, err := newLog(lines, *format, *level)
		if err != nil {
			return err
		}
		signals := newSignals()
		defer signals.close()
		path, err := a.configFile(*file)
		if err != nil {
			return err
		}
		cfg, problems := config.Load(path)
		if len(problems) > 0 {
			return a.report(append(problems, fileProblems(a.gatewayOptions(), cfg, problems)...))
		}
		a.useCores(log)
		options := a.gatewayOptions()
		info, _ := debug.ReadBuildInfo()
		options.Log, options.Watch, options.Version = log, &watch.Config{}, buildOf(info).Version
		g, problems := gateway.New(cfg, options)
		if len(problems) > 0 {
			return a.report(problems)
		}
		return serveUntilDone(c.Context(), g, signals, log)
	}
	return c
}

// serveUntilDone serves until the context ends, and then until calls have ended.
func serveUntilDone(ctx context.Context, g *gateway.Gateway, signals *signals, log *slog.Logger) error {
	file := g.Config().File
	if err := g.Start(); err != nil {
		return remedied(err, file)
	}
	info, _ := debug.ReadBuildInfo()
	admin, err := api.Start(g, api.Options{Version: buildOf(info).Version, Log: log, Page: web.Handler()})
	if err != nil {
		err = remedied(err, file)
	} else {
		log.Info("serving", "configuration", file, "cores", runtime.GOMAXPROCS(0), "admin", admin.Addr())
		signals.reloadUntil(ctx, func() { g.Reload() })
		log.Info("stopping", "calls", g.Calls())
		atOnce, cancel := signals.next(ctx)
		left := g.Drain(atOnce)
		cancel()
		if left > 0 {
			log.Info("ending the calls that are left", "calls", left)
		}
	}
	within, cancel := context.WithTimeout(context.Background(), stopWithin)
	defer cancel()
	err = errors.Join(err, admin.Close(within), g.Close(within))
	log.Info("stopped")
	return err
}

// remedied adds to an error of the start what to do about it, where that is
// known.
func remedied(err error, file string) error {
	var remedy string
	_, network := errors.AsType[*net.OpError](err)
	switch {
	case network && errors.Is(err, syscall.EADDRINUSE):
		remedy = "another program has this port, perhaps a gateway that runs already: end that one, or choose another port in " + file
	case network && errors.Is(err, syscall.EADDRNOTAVAIL):
		remedy = "this machine has no such address: choose one that it has, or 0.0.0.0 with advertise, in " + file
	case network && errors.Is(err, fs.ErrPermission):
		remedy = "ports below 1024 need a privilege (on Linux CAP_NET_BIND_SERVICE): give it, or choose another port in " + file
	case !network && errors.Is(err, fs.ErrPermission):
		remedy = "let the user that runs the gateway write there, or name another directory as data in " + file
	default:
		return err
	}
	return fmt.Errorf("%w\n%s", err, remedy)
}

// configUsage is the usage of --config. It says where configFile looks.
const configUsage = "`FILE`: the configuration (default: $SALLYPORT_CONFIG, else ./sallyport.yaml, else /etc/sallyport/sallyport.yaml)"

// configFlag gives c the flag --config and returns where its value will be.
func configFlag(c *cobra.Command) *string {
	return c.Flags().String("config", "", configUsage)
}

// configFile returns the file to read: the one that was named, or the first
// there is of the usual ones.
func (a *app) configFile(named string) (string, error) {
	if named != "" {
		return named, nil
	}
	if env := a.getenv("SALLYPORT_CONFIG"); env != "" {
		return env, nil
	}
	for _, path := range []string{"sallyport.yaml", "/etc/sallyport/sallyport.yaml"} {
		if _, err := os.Stat(path); err == nil {
			return path, nil
		}
	}
	return "", &usageError{
		text: "there is no configuration: neither --config nor $SALLYPORT_CONFIG names one, and ./sallyport.yaml and /etc/sallyport/sallyport.yaml do not exist",
		hint: toBegin(),
	}
}

// toBegin are the two ways in.
func toBegin() string {
	return fmt.Sprintf("to see calls at once:      %[1]s demo\nto begin a gateway:        %[1]s init --help", program())
}

// newLog makes the log of a long-running command.
func newLog(w io.Writer, format, level string) (*slog.Logger, error) {
	var l slog.Level
	if err := l.UnmarshalText([]byte(level)); err != nil {
		return nil, usagef("--log-level %q is not debug, info, warn or error", level)
	}
	options := &slog.HandlerOptions{Level: l}
	switch format {
	case "text":
		return slog.New(slog.NewTextHandler(w, options)), nil
	case "json":
		return slog.New(slog.NewJSONHandler(w, options)), nil
	}
	return nil, usagef("--log-format %q is not text or json", format)
}

// useCores sets GOMAXPROCS to the cores that are really available: shards are
// as many, and more of either costs without bringing anything.
func (a *app) useCores(log *slog.Logger) {
	if a.getenv("GOMAXPROCS") != "" {
		return
	}
	if n := quota(); n > 0 && n < runtime.GOMAXPROCS(0) {
		runtime.GOMAXPROCS(n)
		log.Debug("limited by the CPU quota", "cores", n)
	}
}

// report prints problems, one to a line, and ends the command with status 1.
func (a *app) report(problems []config.Problem) error {
	config.SortProblems(problems)
	for _, p := range problems {
		fmt.Fprintln(a.stderr, p)
	}
	return errReported
}
