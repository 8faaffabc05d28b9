package cli

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sallyport-sip/sallyport/internal/api"
	"github.com/sallyport-sip/sallyport/internal/config"
	"github.com/sallyport-sip/sallyport/internal/gateway"
)

func trustDiff(a *app) *cobra.Command {
	c := &cobra.Command{
		Use:   "diff --config NEW [--running FILE] [--data DIR]",
		Short: "See which peers a configuration and its files would cut off",
		Long: "Diff tells whom a configuration, with the certificates, keys and trust that it\n" +
			"names, would affect before a reload takes it: by the certificates that the\n" +
			"peers showed last, which of them would stop verifying, and which would see\n" +
			"another certificate from us. It compares with the gateway that runs, and\n" +
			"without one with what is in its data directory. Nothing is changed.",
		Example: "  sallyport trust diff --config new.yaml\n  sallyport trust diff --config new.yaml --running sallyport.yaml --json",
		Args:    noArgs,
	}
	exits(c, "nothing would break", "a peer would stop verifying, or the configuration has problems")
	file := configFlag(c)
	running := c.Flags().String("running", "", "`FILE`: the configuration that runs, or ran last, if NEW has another data directory")
	data := c.Flags().String("data", "", "`DIR`: the data directory of the gateway, if neither file names it")
	asJSON := jsonFlag(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		path, err := a.configFile(*file)
		if err != nil {
			return err
		}
		d := diffing{app: a, c: c, path: path, data: *data, running: *running}
		doc, source, err := d.run()
		if err != nil {
			return err
		}
		if *asJSON {
			err = a.writeJSON(doc)
		} else if len(doc.Problems) > 0 {
			err = a.report(doc.Problems)
		} else {
			_, err = fmt.Fprint(a.stdout, diffPage{a.style(a.stdout), &strings.Builder{}}.draw(path, source, doc))
		}
		if err == nil && (doc.Breaks || len(doc.Problems) > 0) {
			err = errReported
		}
		return err
	}
	return c
}

// diffing is one run of trust diff.
type diffing struct {
	*app
	c                   *cobra.Command
	path, running, data string
}

// run asks the gateway that runs, or compares by what one has left. source says
// which.
func (d *diffing) run() (doc api.TrustDiff, source string, err error) {
	after, problems := config.Load(d.path)
	if len(problems) > 0 {
		doc.Problems = append(problems, fileProblems(d.gatewayOptions(), after, problems)...)
		config.SortProblems(doc.Problems)
		return doc, "", nil
	}
	var before *config.Config
	dir := after.Data
	if d.running != "" {
		if before, problems = config.Load(d.running); len(problems) > 0 {
			return doc, "", d.report(problems)
		}
		dir = before.Data
	}
	dir = cmp.Or(d.data, dir)
	abs, err := filepath.Abs(d.path)
	if err != nil {
		return doc, "", err
	}
	err = exchange(d.c.Context(), dir, http.MethodPost, "/api/v1/trust/diff", map[string]string{"file": abs}, &doc)
	if !errors.Is(err, api.ErrNotRunning) {
		return doc, "the gateway that runs with " + dir, err
	}
	return d.offline(dir, before, after)
}

// offline compares without a gateway.
func (d *diffing) offline(dir string, before, after *config.Config) (doc api.TrustDiff, source string, err error) {
	o := d.gatewayOptions().TLS
	next, problems := gateway.LoadSide(after, o)
	if len(problems) > 0 {
		doc.Problems = problems
		return doc, "", nil
	}
	source = "what peers showed last, by " + dir + "; no gateway runs there"
	var was gateway.Side
	if before != nil {
		if was, problems = gateway.LoadSide(before, o); len(problems) > 0 {
			return doc, "", d.report(problems)
		}
		source += "; before is " + d.running
	}
	diff, err := gateway.DiffFrom(dir, was, next)
	if err != nil {
		return doc, "", fmt.Errorf("what peers have shown is not known: %w", err)
	}
	return api.TrustDiffOf(diff, nil), source, nil
}

// diffPage draws a comparison.
type diffPage struct {
	style
	*strings.Builder
}

func (p diffPage) draw(path, source string, doc api.TrustDiff) string {
	p.text("", 0, fmt.Sprintf("%s, compared with %s", path, source))
	for _, c := range doc.Changes {
		p.text("", 2, fmt.Sprintf("%s would change: %s go, %s come", c.Of, count(len(c.Old), "certificate"), count(len(c.New), "certificate")))
	}
	byState := map[string][]api.PeerDiff{}
	for _, one := range doc.Peers {
		byState[one.State] = append(byState[one.State], one)
	}
	for _, part := range []struct{ state, title, colour string }{
		{gateway.DiffStops, "would stop verifying", red},
		{gateway.DiffFails, "refused now, and would be", yellow},
		{gateway.DiffMends, "refused now, and would be accepted", green},
	} {
		if peers := byState[part.state]; len(peers) > 0 {
			p.title(part.title, len(peers), part.colour)
			for _, one := range peers {
				p.peer(one)
			}
		}
	}
	p.shown(doc.Peers)
	if unknown := byState[gateway.DiffUnknown]; len(unknown) > 0 {
		p.title("never seen, so nothing can be said of them", len(unknown), yellow)
		p.text("", 2, peerNames(unknown))
	}
	if len(doc.Gone) > 0 {
		p.title("not in the new configuration", len(doc.Gone), yellow)
		p.text("", 2, strings.Join(doc.Gone, ", "))
	}
	p.title("unaffected", len(byState[gateway.DiffUnaffected]), green)
	return p.String()
}

func peerNames(peers []api.PeerDiff) string {
	var names []string
	for _, one := range peers {
		names = append(names, one.Peer)
	}
	return strings.Join(names, ", ")
}

func (p diffPage) title(what string, n int, colour string) {
	p.text(colour, 0, fmt.Sprintf("%s: %s", what, count(n, "peer")))
}

func (p diffPage) text(colour string, indent int, text string) {
	for _, line := range wrapWords(p.plain(text), p.width-indent) {
		fmt.Fprintf(p, "%s%s\n", strings.Repeat(" ", indent), p.paint(colour, line))
	}
}

// peer says why a peer would be refused, and what that concerns.
func (p diffPage) peer(one api.PeerDiff) {
	calls := 0
	for _, f := range one.Failing {
		calls += len(f.Calls)
	}
	head := one.Peer
	if len(one.Failing) > 0 {
		head += fmt.Sprintf(": %s with %s would begin nothing new", count(len(one.Failing), "connection"), count(calls, "call"))
	}
	p.text(bold, 2, head)
	for _, j := range one.Seen {
		if j.State != one.State {
			continue
		}
		when := "seen last " + clock(j.At)
		if j.Live {
			when = "connected"
		}
		where := "when we call it"
		if j.Role == "client" {
			where = cmp.Or("when it calls us on listener "+j.Listener, "when it calls us")
		}
		p.text("", 4, fmt.Sprintf("%s (%s, %s)", where, j.Subject, when))
		if j.Why != "" {
			p.text("", 6, fmt.Sprintf("%s [%s]", j.Why, cmp.Or(j.Code, "no code")))
		}
		if j.Remedy != "" {
			p.text("", 6, "remedy: "+j.Remedy)
		}
	}
}

// shown says who would see another certificate of ours, one line for each that is
// another in the same way.
func (p diffPage) shown(peers []api.PeerDiff) {
	type way struct{ where, text string }
	var order []way
	who, all := map[way][]string{}, map[string]bool{}
	for _, one := range peers {
		for _, s := range one.Shown {
			w := way{"when we call", changeOf(s)}
			if s.Listener != "" {
				w.where = "on listener " + s.Listener
			}
			if who[w] == nil {
				order = append(order, w)
			}
			who[w] = append(who[w], one.Peer)
			all[one.Peer] = true
		}
	}
	if len(all) == 0 {
		return
	}
	p.title("would see another certificate from us", len(all), yellow)
	for _, w := range order {
		p.text("", 2, fmt.Sprintf("%s: %s", w.where, strings.Join(who[w], ", ")))
		for line := range strings.SplitSeq(w.text, "\n") {
			p.text("", 4, line)
		}
	}
}

func changeOf(s api.Shown) string {
	leaf := func(chain []api.Certificate) string {
		if len(chain) == 0 {
			return "none"
		}
		return fmt.Sprintf("%s, serial %s, from %s, until %s", chain[0].Subject, chain[0].Serial, chain[0].Issuer, clock(chain[0].Until))
	}
	text := "old: " + leaf(s.Old) + "\nnew: " + leaf(s.New)
	if s.MustKnow != "" {
		text += "\nsee to it that they trust " + s.MustKnow
	}
	return text
}
