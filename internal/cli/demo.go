package cli

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/sallyport-sip/sallyport/internal/callflow"
	"github.com/sallyport-sip/sallyport/internal/callflow/export"
	"github.com/sallyport-sip/sallyport/internal/gateway"
)

// demoOptions are the flags of demo.
type demoOptions struct {
	once, json bool
	version    uint16 // of TLS; 0: whatever both sides like best
	keyLog     string
}

func demo(a *app) *cobra.Command {
	c := &cobra.Command{
		Use:   "demo [--once] [--tls 1.2|1.3] [--json] [--keylog FILE]",
		Short: "Watch four calls cross a gateway over mutual TLS",
		Long: "Demo makes a CA, certificates and a configuration in a temporary directory,\n" +
			"starts a gateway on it, and places four calls between two peers of its own: one\n" +
			"that is answered, one busy, one cancelled, and one from a peer whose certificate\n" +
			"nobody knows, which is refused. It draws each as a ladder and runs on until\nCtrl-C.",
		Example: "  sallyport demo\n  sallyport demo --once --tls 1.2\n  sallyport demo --once --json --keylog keys.log",
		Args:    noArgs,
	}
	exits(c, "all four calls went as they should", "one did not")
	asJSON := jsonFlag(c)
	var o demoOptions
	c.Flags().BoolVar(&o.once, "once", false, "end after the four calls")
	version := c.Flags().String("tls", "", "`VERSION`: use this version only, 1.2 or 1.3")
	c.Flags().StringVar(&o.keyLog, "keylog", "", "write the TLS secrets of this demo to `FILE`, for Wireshark")
	c.RunE = func(c *cobra.Command, _ []string) error {
		o.json = *asJSON
		var ok bool
		if o.version, ok = tlsVersions[*version]; !ok {
			return usagef("--tls %q is not 1.2 or 1.3", *version)
		}
		return a.demo(c.Context(), o)
	}
	return c
}

var tlsVersions = map[string]uint16{"": 0, "1.2": tls.VersionTLS12, "1.3": tls.VersionTLS13}

// demo runs the whole of it.
func (a *app) demo(ctx context.Context, o demoOptions) (err error) {
	var keys io.Writer
	if o.keyLog != "" {
		log, e := openKeyLog(o.keyLog)
		if e != nil {
			return e
		}
		defer func() { err = errors.Join(err, log.Close()) }()
		keys = log
	}
	stage, err := a.newDemoStage(o, keys)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stage.close()) }()

	s := &demoShow{app: a, site: stage.site, gateway: stage.gateway, options: o}
	if err := s.play(ctx, stage.peers); err != nil {
		return err
	}
	if o.once && ctx.Err() != nil {
		s.wrong = append(s.wrong, "the demo was interrupted before its four calls were over")
	}
	if o.once || ctx.Err() != nil {
		return s.verdict()
	}
	return s.goOn(ctx)
}

// demoCalls are the calls of the demo, in order, with how each should end.
var demoCalls = []struct {
	title string
	state callflow.State
	place func(*demoPeers, context.Context) error
}{
	{"A call that is answered, and ended by the caller", callflow.StateEnded, (*demoPeers).answeredCall},
	{"A call to a number that is busy", callflow.StateBusy, (*demoPeers).busyCall},
	{"A call that the caller gives up while it rings", callflow.StateCancelled, (*demoPeers).cancelledCall},
	{"A call from a peer whose certificate is of an unknown CA", callflow.StateRefused, (*demoPeers).refusedCall},
}

// demoShow places the calls and shows what the gateway recorded.
type demoShow struct {
	app     *app
	site    *demoSite
	gateway *gateway.Gateway
	options demoOptions
	flows   []*callflow.Flow // of the four calls
	wrong   []string         // what did not go as it should
}

// patience is how long the demo waits for what should take milliseconds.
const patience = 20 * time.Second

// play places the four calls and draws them.
func (s *demoShow) play(ctx context.Context, peers *demoPeers) error {
	if !s.options.json {
		fmt.Fprintf(s.app.stdout, "A gateway on %s, a PBX and a carrier, mutual TLS on both sides.\n", s.site.gateway)
	}
	within, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for i, call := range demoCalls {
		if err := call.place(peers, within); err != nil && ctx.Err() == nil {
			s.wrong = append(s.wrong, fmt.Sprintf("call %d, %s: %v", i+1, call.title, err))
		}
	}
	peers.hangUp()
	s.gateway.Recorder().Wait(within, func(flows []*callflow.Flow) bool {
		s.flows = peers.flows(flows)
		return len(s.flows) == len(demoCalls) && allDone(s.flows)
	})
	for i, call := range demoCalls {
		switch {
		case ctx.Err() != nil:
		case i >= len(s.flows) || s.flows[i] == nil:
			s.wrong = append(s.wrong, fmt.Sprintf("call %d, %s: nothing was recorded", i+1, call.title))
		case s.flows[i].State != call.state:
			s.wrong = append(s.wrong, fmt.Sprintf("call %d, %s: its state is %s, not %s", i+1, call.title, s.flows[i].State, call.state))
		}
	}
	s.flows = slices.DeleteFunc(s.flows, func(f *callflow.Flow) bool { return f == nil })
	return s.draw()
}

// allDone says that each call has ended and each connection is closed, so that
// a ladder shows its close_notify too.
func allDone(flows []*callflow.Flow) bool {
	for _, f := range flows {
		if f == nil || !f.Done {
			return false
		}
	}
	return true
}

func (s *demoShow) draw() error {
	if s.options.json {
		return export.JSON(s.app.stdout, s.flows, export.Options{})
	}
	st := s.app.style(s.app.stdout)
	for i, f := range s.flows {
		if i < len(demoCalls) {
			fmt.Fprintf(s.app.stdout, "\n%s\n\n", st.paint(bold, fmt.Sprintf("%d. %s", i+1, demoCalls[i].title)))
		}
		if err := export.Ladder(s.app.stdout, f, s.ladder(st)); err != nil {
			return err
		}
	}
	return s.epilogue()
}

func (s *demoShow) ladder(st style) export.Options {
	return export.Options{ASCII: st.ascii, Colour: st.colour, Width: st.width}
}

// epilogue says where everything is and what to try next.
func (s *demoShow) epilogue() error {
	dir, w := s.site.dir, s.app.stdout
	fmt.Fprintf(w, "\nsallyport.yaml, the CA and every certificate are in\n  %s\n", dir)
	if s.options.keyLog != "" {
		fmt.Fprintf(w, "The TLS secrets of these calls, with which anybody can read them, are in\n  %s\n", s.options.keyLog)
	}
	us := program()
	fmt.Fprintf(w, "\nTry next:\n"+
		"  %s demo --tls 1.2\n      the fifteen steps of the classical handshake\n"+
		"  %s check %s/sallyport.yaml\n"+
		"  %s cert show %s/gateway.pem\n"+
		"  %s serve --help\n      a configuration of your own\n", us, us, dir, us, dir, us)
	return nil
}

// verdict ends the demo: status 0 only when all went as it should.
func (s *demoShow) verdict() error {
	if len(s.wrong) == 0 {
		return nil
	}
	for _, w := range s.wrong {
		fmt.Fprintln(s.app.stderr, "sallyport:", w)
	}
	return errReported
}

// goOn lets the gateway run until the context ends, and draws what it sees.
func (s *demoShow) goOn(ctx context.Context) error {
	if err := s.verdict(); err != nil {
		return err
	}
	if !s.options.json {
		fmt.Fprintf(s.app.stdout, "\nThe gateway goes on, ready for calls; Ctrl-C ends it. A connection by hand:\n"+
			"  cd %s\n"+
			"  openssl s_client -connect %s -quiet -CAfile ca.pem \\\n"+
			"    -cert pbx.pem -key pbx-key.pem\n"+
			"What it recorded, to look at: http://%s/\n", s.site.dir, s.site.gateway, s.site.admin)
	}
	shown := make(map[string]bool)
	for _, f := range s.flows {
		shown[f.ID] = true
	}
	for {
		var next []*callflow.Flow
		err := s.gateway.Recorder().Wait(ctx, func(flows []*callflow.Flow) bool {
			for _, f := range flows {
				if f.Done && !shown[f.ID] {
					next = append(next, f)
				}
			}
			return len(next) > 0
		})
		if err != nil {
			return nil // Ctrl-C
		}
		for _, f := range next {
			shown[f.ID] = true
			if s.options.json {
				continue
			}
			fmt.Fprintln(s.app.stdout)
			if err := export.Ladder(s.app.stdout, f, s.ladder(s.app.style(s.app.stdout))); err != nil {
				return err
			}
		}
	}
}
