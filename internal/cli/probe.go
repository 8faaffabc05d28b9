package cli

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sallyport-sip/sallyport/internal/config"
	"github.com/sallyport-sip/sallyport/internal/probe"
)

// probing is what the flags of probe say.
type probing struct {
	*app
	config, save, fingerprint, source, version string
	yes, all                                   bool
	timeout                                    time.Duration
	json                                       *bool
	target                                     probe.Target
}

// ofURI are the flags that a peer of a configuration has in its file.
var ofURI = []string{"cert", "key", "password-file", "password-env", "trust", "names", "tls"}

func probeCommand(a *app) *cobra.Command {
	p := &probing{app: a}
	c := &cobra.Command{
		Use:   "probe URI|PEER",
		Short: "Try one hop to a SIP server, and say why it does not work",
		Long: "Probe looks a server up, connects, shakes hands and asks OPTIONS, and shows each\n" +
			"step. The first line is the answer, the second what to do; the rest is evidence.\n" +
			"A URI needs neither a configuration nor a running gateway. A PEER is tried as\n" +
			"the gateway with that configuration would try it, and what its profile and\n" +
			"policy ask for is compared, row by row. No connection of a gateway is touched.",
		Example: "  sallyport probe sips:sip.example.com\n" +
			"  sallyport probe \"sip:192.0.2.1;transport=tls\" --names pbx.example\n" +
			"  sallyport probe sips:pbx.example --cert gw.pem --key gw-key.pem --tls 1.2\n" +
			"  sallyport probe sips:pbx.example --save-trust pbx.pem\n" +
			"  sallyport probe acme --config sallyport.yaml",
		Args: func(_ *cobra.Command, args []string) error {
			switch {
			case p.all && len(args) > 0:
				return usagef("--all probes every peer: leave %q out", args[0])
			case !p.all && len(args) == 0:
				return usagef("name what to try: a URI such as sips:sip.example.com, or a peer of a configuration")
			case len(args) > 1:
				return &usageError{text: fmt.Sprintf("probe takes one URI or peer, got %d", len(args)), hint: "put a URI with ; in quotes, for the shell"}
			}
			return nil
		},
	}
	exits(c, "the hop works, and the peer meets what is configured", "it does not")
	f := c.Flags()
	f.StringVar(&p.config, "config", "", "`FILE`: for a peer, the configuration (default: where serve looks)")
	f.StringVar(&p.target.Cert, "cert", "", "`FILE`: for a URI, the certificate to show when the server asks")
	f.StringVar(&p.target.Key, "key", "", "`FILE`: its private key (default: the file of --cert)")
	f.StringVar(&p.target.PasswordFile, "password-file", "", "`FILE`: whose first line is the key's password")
	f.StringVar(&p.target.PasswordEnv, "password-env", "", "`NAME`: environment variable that holds it")
	f.StringSliceVar(&p.target.Trust, "trust", nil, "`FILE`: for a URI, whom to believe (default: the system's CAs); may be repeated")
	f.StringSliceVar(&p.target.Names, "names", nil, "`NAME`: for a URI, whose certificate it must be (default: its host); may be repeated")
	f.StringVar(&p.version, "tls", "", "`VERSION`: for a URI, the one version of TLS to speak, 1.0 to 1.3 (default: 1.2 and 1.3)")
	f.StringVar(&p.source, "source", "", "`ADDRESS`: our address to leave from (default: the listener's, or the system's choice)")
	f.DurationVar(&p.timeout, "timeout", 5*time.Second, "`TIME`: how long each step may take")
	f.StringVar(&p.save, "save-trust", "", "`FILE`: keep the topmost certificate shown, to be named as trust, once its fingerprint is confirmed")
	f.StringVar(&p.fingerprint, "fingerprint", "", "`SHA256`: with --save-trust: confirms that very certificate")
	f.BoolVar(&p.yes, "yes", false, "with --save-trust: confirms whatever was shown")
	f.BoolVar(&p.all, "all", false, "probe every peer of the configuration, one line each")
	p.json = jsonFlag(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		if err := p.check(c); err != nil {
			return err
		}
		if p.all {
			return p.everyPeer(c)
		}
		if lower := strings.ToLower(args[0]); strings.HasPrefix(lower, "sip:") || strings.HasPrefix(lower, "sips:") {
			return p.uri(c, args[0])
		}
		return p.peer(c, args[0])
	}
	return c
}

// check finds what is wrong with the flags alone.
func (p *probing) check(c *cobra.Command) error {
	switch {
	case p.timeout < 100*time.Millisecond || p.timeout > 5*time.Minute:
		return usagef("--timeout %v is not between 100ms and 5m", p.timeout)
	case p.version != "" && !slices.Contains([]string{"1.0", "1.1", "1.2", "1.3"}, p.version):
		return usagef("--tls %q is not 1.0, 1.1, 1.2 or 1.3", p.version)
	case p.target.Cert == "" && (p.target.Key != "" || p.target.PasswordFile != "" || p.target.PasswordEnv != ""):
		return usagef("--cert is missing: name the certificate that the key belongs to")
	case p.target.PasswordFile != "" && p.target.PasswordEnv != "":
		return usagef("--password-file and --password-env: there is one password")
	case p.save == "" && (p.yes || p.fingerprint != ""):
		return usagef("--yes and --fingerprint go with --save-trust")
	case p.all && p.save != "":
		return usagef("--save-trust keeps the certificate of one server: name it")
	}
	if p.target.Cert != "" && p.target.Key == "" {
		p.target.Key = p.target.Cert
	}
	p.target.Version = config.TLSVersion(p.version)
	if p.source != "" {
		if a, err := netip.ParseAddr(p.source); err != nil || a.IsUnspecified() {
			return usagef("--source %q is no IP address of ours", p.source)
		}
	}
	if err := checkNames(c, p.target.Names); err != nil {
		return err
	}
	if p.save != "" {
		return notThere(p.save)
	}
	return nil
}

// options are those of every probe.
func (p *probing) options() probe.Options {
	o := probe.Options{Timeout: p.timeout, Agent: "sallyport-probe", Getenv: p.getenv}
	o.Source, _ = netip.ParseAddr(p.source)
	return o
}

// uri probes a server that stands in no configuration.
func (p *probing) uri(c *cobra.Command, text string) error {
	if c.Flags().Changed("config") {
		return usagef("--config goes with a peer: a URI is tried without a configuration")
	}
	uri, err := config.ParseURI(text)
	if err != nil {
		return usagef("%q cannot be probed: %v", text, err)
	}
	p.target.URI = uri
	tls := slices.ContainsFunc(ofURI, c.Flags().Changed)
	o := p.options()
	o.Target, o.Open = true, uri.Open && !tls
	if tls && !uri.Open && !uri.TLS() {
		return &usageError{text: fmt.Sprintf("%s is without TLS, and the flags are about TLS", uri.Text), hint: "write sips:, or ;transport=tls"}
	}
	run, problems := probe.New(p.target.Config(), o)
	if len(problems) > 0 {
		for _, problem := range problems {
			fmt.Fprintf(p.stderr, "sallyport: %s\n", sentence(problem.What, problem.Why, problem.Remedy))
		}
		return errReported
	}
	defer run.Close()
	report, err := run.Run(c.Context(), uri.Host)
	if err != nil {
		return err
	}
	return p.finish(c, report)
}

// sentence joins the parts of a problem that stands in no file.
func sentence(parts ...string) string {
	return strings.Join(slices.DeleteFunc(parts, func(s string) bool { return s == "" }), ", ")
}

// load reads the configuration for peers.
func (p *probing) load(c *cobra.Command) (*probe.Probe, *config.Config, error) {
	for _, name := range ofURI {
		if c.Flags().Changed(name) {
			return nil, nil, usagef("--%s is for a URI: the configuration says it of a peer", name)
		}
	}
	file, err := p.configFile(p.config)
	if err != nil {
		return nil, nil, err
	}
	cfg, problems := config.Load(file)
	if len(problems) > 0 {
		return nil, nil, p.report(problems)
	}
	run, problems := probe.New(cfg, p.options())
	if len(problems) > 0 {
		return nil, nil, p.report(problems)
	}
	return run, cfg, nil
}

// peer probes a peer as the gateway would.
func (p *probing) peer(c *cobra.Command, name string) error {
	run, cfg, err := p.load(c)
	if _, ok := err.(*usageError); ok && p.config == "" && strings.ContainsAny(name, ".:") {
		return &usageError{text: fmt.Sprintf("%q is no URI, and there is no configuration in which it could be a peer", name), hint: "as a URI: sips:" + name}
	}
	if err != nil {
		return err
	}
	defer run.Close()
	if err := known(cfg, name); err != nil {
		return err
	}
	report, err := run.Run(c.Context(), name)
	if err != nil {
		return err
	}
	return p.finish(c, report)
}

// known refuses a name that is no peer of the file.
func known(cfg *config.Config, name string) error {
	var names []string
	for i := range cfg.Peers {
		names = append(names, cfg.Peers[i].Name)
	}
	if slices.Contains(names, name) {
		return nil
	}
	err := &usageError{text: fmt.Sprintf("%s has no peer %q", cfg.File, name), hint: "its peers: " + strings.Join(names, ", ")}
	if near, ok := config.Nearest(name, names); ok {
		err.text += fmt.Sprintf(" (did you mean %q?)", near)
	}
	if strings.Contains(name, ".") {
		err.hint += "; as a URI: sips:" + name
	}
	return err
}

// finish prints the report, keeps the certificate, and makes the exit status: with --save-trust, whether it was kept.
func (p *probing) finish(c *cobra.Command, report *probe.Report) error {
	if err := c.Context().Err(); err != nil {
		return fmt.Errorf("interrupted")
	}
	doc := documentOf(report)
	if !*p.json {
		p.draw(report)
	}
	if p.save == "" {
		if *p.json {
			if err := p.writeJSON(doc); err != nil {
				return err
			}
		}
		if !report.Well {
			return errReported
		}
		return nil
	}
	kept := p.keep(report)
	if kept == nil {
		doc.Kept = p.save
	}
	if *p.json {
		if err := p.writeJSON(doc); err != nil {
			return err
		}
	}
	return kept
}

// everyPeer probes all peers, with one line for each.
func (p *probing) everyPeer(c *cobra.Command) error {
	run, cfg, err := p.load(c)
	if err != nil {
		return err
	}
	defer run.Close()
	reports := []*probe.Report{}
	var failed error
	for i := range cfg.Peers {
		if cfg.Peers[i].URI.Unreachable() {
			continue // a browser, whom nobody can call
		}
		report, err := run.Run(c.Context(), cfg.Peers[i].Name)
		if err != nil {
			return err
		}
		if c.Context().Err() != nil {
			return fmt.Errorf("interrupted")
		}
		if !report.Well {
			failed = errReported
		}
		reports = append(reports, report)
		if !*p.json {
			p.line(report)
		}
	}
	if *p.json {
		docs := []probeDoc{}
		for _, r := range reports {
			docs = append(docs, documentOf(r))
		}
		if err := p.writeJSON(map[string]any{"probes": docs}); err != nil {
			return err
		}
	}
	return failed
}
