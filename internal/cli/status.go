package cli

import (
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sallyport-sip/sallyport/internal/api"
	"github.com/sallyport-sip/sallyport/internal/gateway"
)

func status(a *app) *cobra.Command {
	c := &cobra.Command{
		Use:   "status [--config FILE]",
		Short: "Show how the running gateway does",
		Long: "Status asks the gateway that runs with this configuration: since when, with\n" +
			"which version of the file, its listeners, peers and their health, calls,\n" +
			"connections and alarms. It asks by a socket in the data directory, so it must\n" +
			"run as the gateway's user or as root.",
		Example: "  sallyport status\n  sallyport status --config /etc/sallyport/sallyport.yaml --json",
		Args:    noArgs,
	}
	exits(c, "the gateway runs", "no gateway runs with this configuration")
	which := runningFlags(c)
	asJSON := jsonFlag(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		var doc api.Status
		if _, err := a.ask(c, which, http.MethodGet, "/api/v1/status", &doc); err != nil {
			return err
		}
		if *asJSON {
			return a.writeJSON(doc)
		}
		_, err := fmt.Fprint(a.stdout, statusPage{a.style(a.stdout), &strings.Builder{}}.draw(&doc))
		return err
	}
	return c
}

// statusPage draws a status.
type statusPage struct {
	style
	*strings.Builder
}

func (p statusPage) draw(s *api.Status) string {
	state, colour := s.State, green
	if s.State != "serving" {
		colour = yellow
	}
	p.row("sallyport", fmt.Sprintf("%s, %s for %s, %s", s.Version, state, uptime(time.Duration(s.UptimeSeconds)*time.Second), count(s.Calls, "call")), colour)
	p.configuration(&s.Configuration)
	for i, l := range s.Listeners {
		text := fmt.Sprintf("%s: %s %s", l.Name, l.Transport, l.Address)
		if l.Advertised != "" && l.Advertised != l.Address {
			text += ", reached at " + l.Advertised
		}
		p.row([]string{"listeners", ""}[min(i, 1)], text, "")
	}
	conns := fmt.Sprintf("%d: %d made to us, %d by us", s.Connections.Open, s.Connections.Inbound, s.Connections.Outgoing)
	if n := s.Connections.Unknown; n > 0 {
		conns += fmt.Sprintf(", %d from nobody we know", n)
	}
	if n := s.Connections.Aliased; n > 0 {
		conns += fmt.Sprintf("; %d of theirs serve our requests too", n)
	}
	p.row("connections", conns, "")
	if n := s.Connections.Failing; n > 0 {
		p.row("", fmt.Sprintf("%s only for the calls there are: the configuration refuses it; sallyport reload lists and --evict closes", count(n, "connection")), yellow)
	}
	if d := s.Connections.Dead; d != (api.Dead{}) {
		p.row("", fmt.Sprintf("found dead: %d without a pong, %d unacknowledged, %d silent", d.NoPong, d.Unacknowledged, d.Silent), yellow)
	}
	p.peers(s.Peers)
	for i, l := range s.Limits {
		at := "connections of ours"
		if l.Listener != "" {
			at = "listener " + l.Listener
		}
		p.row([]string{"limits", ""}[min(i, 1)], fmt.Sprintf("%s: %s passed %s", at, l.Reason, count(int(l.Times), "time")), yellow)
	}
	for i, alarm := range s.Alarms {
		p.row([]string{"alarms", ""}[min(i, 1)], fmt.Sprintf("since %s: %s", clock(alarm.Since), alarm.Text), red)
		p.row("", alarm.Remedy, "")
	}
	if len(s.Alarms) == 0 {
		p.row("alarms", "none", green)
	}
	return p.String()
}

func (p statusPage) configuration(c *api.Configuration) {
	p.row("file", c.File, "")
	p.row("version", fmt.Sprintf("%.12s, loaded %s, %s", c.Version, clock(c.Loaded), count(c.Reloads, "reload")), "")
	if c.Renewed != nil {
		p.row("", fmt.Sprintf("certificate files changed and taken %s, the last time %s", count(c.Renewals, "time"), clock(*c.Renewed)), "")
	}
	for _, note := range c.NeedsRestart {
		p.row("", "needs a restart: "+note, yellow)
	}
	if c.Refused == nil {
		return
	}
	what := "the last reload, %s, was refused:"
	if c.Refused.By == gateway.ByWatch {
		what = "files that have changed, %s, are no good:"
	}
	p.row("", fmt.Sprintf(what, clock(c.Refused.At)), red)
	const shown = 5
	for i, problem := range c.Refused.Problems {
		if i == shown {
			p.row("", fmt.Sprintf("and %d more: sallyport check %s", len(c.Refused.Problems)-shown, c.File), "")
			break
		}
		p.row("", problem.String(), "")
	}
	for _, text := range c.Refused.InUse {
		p.row("", text, "")
	}
}

// peers draws a table, one line each, and why those are down that are.
func (p statusPage) peers(peers []api.Peer) {
	if len(peers) == 0 {
		return
	}
	name := 4
	for _, one := range peers {
		name = min(max(name, len([]rune(one.Name))), 30)
	}
	head := fmt.Sprintf("\n%-*s  %-5s  %9s  %9s  %11s", name, "peer", "state", "calls in", "calls out", "connections")
	fmt.Fprintln(p, strings.Replace(head, strings.TrimSpace(head), p.paint(bold, strings.TrimSpace(head)), 1))
	for _, one := range peers {
		state := p.paint(green, fmt.Sprintf("%-5s", "up"))
		if !one.Up {
			state = p.paint(red, fmt.Sprintf("%-5s", "down"))
		}
		fmt.Fprintf(p, "%-*s  %s  %9s  %9s  %11d\n", name, p.cut(one.Name, name), state, load(one.In), load(one.Out), one.Connections)
		if text := kept(one.Kept); text != "" {
			for _, line := range wrapWords(p.plain(text), p.width-4) {
				fmt.Fprintf(p, "    %s\n", line)
			}
		}
		if d := one.Down; d != nil {
			for _, line := range wrapWords(p.plain(fmt.Sprintf("since %s, not asked until %s: %s", clock(d.Since), d.Until.UTC().Format(time.TimeOnly), d.Why)), p.width-4) {
				fmt.Fprintf(p, "    %s\n", line)
			}
		}
	}
	fmt.Fprintln(p)
}

// kept says how a connection does that is to be kept up; "" when it is up.
func kept(k *api.Kept) string {
	switch {
	case k == nil || k.State == "up":
		return ""
	case k.Next == nil:
		return fmt.Sprintf("connection is being made, after %s: %s", count(k.Failures, "failure"), k.Cause)
	}
	return fmt.Sprintf("no connection since %s, dialled again at %s: %s", clock(k.Since), k.Next.UTC().Format(time.TimeOnly), k.Cause)
}

// load is the calls of one direction, with the limit when there is one.
func load(l api.Load) string {
	if l.MostCalls > 0 {
		return fmt.Sprintf("%d/%d", l.Calls, l.MostCalls)
	}
	return fmt.Sprint(l.Calls)
}

// row is a name and a text, which goes on below itself when it is long.
func (p statusPage) row(name, text, colour string) {
	for i, line := range wrapWords(p.plain(text), p.width-13) {
		if i > 0 {
			name = ""
		}
		fmt.Fprintf(p, "%s  %s\n", p.paint(dim, fmt.Sprintf("%-11s", name)), p.paint(colour, line))
	}
}

// cut is a text of at most width characters.
func (s style) cut(text string, width int) string {
	runes := []rune(s.plain(text))
	if len(runes) <= width {
		return string(runes)
	}
	if s.ascii {
		return string(runes[:width-1]) + "~"
	}
	return string(runes[:width-1]) + "…"
}

// clock is a moment, to the second.
func clock(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") }

// uptime is a time in its two greatest units.
func uptime(d time.Duration) string {
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%d s", d/time.Second)
	case d < time.Hour:
		return fmt.Sprintf("%d min %d s", d/time.Minute, d%time.Minute/time.Second)
	case d < 24*time.Hour:
		return fmt.Sprintf("%d h %d min", d/time.Hour, d%time.Hour/time.Minute)
	}
	return fmt.Sprintf("%d d %d h", d/(24*time.Hour), d%(24*time.Hour)/time.Hour)
}

// count is a number of things.
func count(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}
