package cli

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sallyport-sip/sallyport/internal/api"
	"github.com/sallyport-sip/sallyport/internal/callflow"
)

// flowsShown is how many flows are listed when --limit does not say.
const flowsShown = 50

func flowList(a *app) *cobra.Command {
	c := &cobra.Command{
		Use:   "list [FILTER] [--config FILE | --data DIR | --file FILE.json]",
		Short: "List calls, requests and refused handshakes",
		Long: "List prints a line for each flow, the newest last, and below one that failed\n" +
			"why. FILTER says which: state:failed peer:acme to:+49* since:1h; how filters are\n" +
			"written is in docs/reference/filter.md. With --follow it goes on and prints each\n" +
			"flow again when it changes.",
		Example: "  sallyport flow list state:failed since:1h\n" +
			"  sallyport flow list --filter 'peer:acme setup>2s' --limit 200\n" +
			"  sallyport flow list -- -state:ended\n" +
			"  sallyport flow list --follow --json | jq .sentence",
		Args: cobra.ArbitraryArgs,
	}
	exits(c, "the flows were listed, perhaps none", "they cannot be read")
	from := flowFlags(c)
	text := c.Flags().String("filter", "", "only those that fit this `FILTER`; the same as without --filter")
	limit := c.Flags().Int("limit", flowsShown, "the newest `N` of them, 0 for as many as the gateway gives at once")
	before := c.Flags().String("before", "", "those that come before: what an earlier list has named here as `PLACE`")
	follow := c.Flags().Bool("follow", false, "print each change as it comes, until Ctrl-C")
	asJSON := c.Flags().Bool("json", false, "print one JSON document; with --follow one flow a line")
	c.RunE = func(c *cobra.Command, args []string) error {
		wanted := strings.TrimSpace(strings.Join(append([]string{*text}, args...), " "))
		if *limit < 0 {
			return usagef("--limit %d is less than 0", *limit)
		}
		source, err := a.openFlows(from, wanted)
		if err != nil {
			return err
		}
		if *before != "" && (*follow || *from.saved != "") {
			return usagef("--before is for the list of a running gateway, without --follow and --file")
		}
		table := &flowTable{w: a.stdout, style: a.style(a.stdout)}
		if *follow {
			live, ok := source.(*liveFlows)
			if !ok {
				return usagef("--follow is for a running gateway: nothing happens in a file")
			}
			print := table.print
			if *asJSON {
				print = json.NewEncoder(a.stdout).Encode
			}
			return live.follow(c.Context(), wanted, print)
		}
		doc, err := source.list(c.Context(), wanted, *limit, *before)
		if err != nil {
			return err
		}
		if *asJSON {
			return a.writeJSON(doc)
		}
		for _, s := range slices.Backward(doc.Flows) {
			if err := table.print(&s); err != nil {
				return err
			}
		}
		return table.end(doc)
	}
	return c
}

// A flowTable prints flows: a line for each day, one for each flow, and the sentence below what went wrong.
type flowTable struct {
	w     io.Writer
	style style
	day   string
	n     int
}

// flowIndent is the columns before the sentence below a line.
const flowIndent = 11

func (t *flowTable) print(v any) error {
	s := v.(*callflow.Summary)
	at := s.Start.Local()
	if day := at.Format("Monday, 2 January 2006, MST"); day != t.day {
		if t.day != "" {
			fmt.Fprintln(t.w)
		}
		fmt.Fprintln(t.w, t.style.paint(bold, day))
		t.day = day
	}
	t.n++
	bad := s.State == callflow.StateFailed || s.State == callflow.StateRefused || s.State == callflow.StateUnanswered
	mark, colour := t.style.mark(!bad)
	if !s.Done && !bad {
		mark, colour = "-", yellow
	}
	arrow := " → "
	if t.style.ascii {
		arrow = " > "
	}
	room := t.style.width - 8 - 1 - 1 - 1 - 16 - 1 - 1 - 14 - 1 - 7
	parties := s.From + arrow + s.To
	if len([]rune(parties)) > room { // the hosts are the least
		from, _, _ := strings.Cut(s.From, "@")
		to, _, _ := strings.Cut(s.To, "@")
		parties = from + arrow + to
	}
	if s.From == "" && s.To == "" {
		parties = strings.Join(s.Peers, ", ")
	}
	state := string(s.State)
	if s.State == callflow.StateEnded || s.State == callflow.StateAnswered {
		state += " " + callflow.Span(time.Duration(s.DurationMicros)*time.Microsecond)
	}
	_, err := fmt.Fprintf(t.w, "%s %s %-16s %s %s %s\n", at.Format(time.TimeOnly), t.style.paint(colour, mark), t.style.cut(t.style.plain(s.ID), 16),
		t.style.padded(parties, room), t.style.paint(colour, t.style.padded(state, 14)), t.style.paint(dim, t.style.plain(strings.Join(s.Hops, ">"))))
	if err == nil && bad {
		t.below(s.Sentence, colour)
	}
	if err == nil && len(s.Findings) > 0 {
		t.below("found: "+strings.Join(s.Findings, ", "), dim)
	}
	return err
}

// below writes a text under a line.
func (t *flowTable) below(text, colour string) {
	for _, line := range wrapWords(t.style.plain(text), t.style.width-flowIndent) {
		fmt.Fprintf(t.w, "%*s%s\n", flowIndent, "", t.style.paint(colour, line))
	}
}

// padded is a text of just so many columns.
func (s style) padded(text string, width int) string {
	text = s.cut(s.plain(text), width)
	return text + strings.Repeat(" ", max(0, width-len([]rune(text))))
}

func (t *flowTable) end(doc *api.FlowList) (err error) {
	switch {
	case doc.Cut:
		_, err = fmt.Fprintf(t.w, "\nthe history is long: after two seconds, %d found, the search stopped;\nit goes on with --before %s,\nand is quicker with a number, a peer or since:\n", t.n, doc.Next)
	case t.n == 0:
		_, err = fmt.Fprintln(t.w, "no flow fits")
	case doc.Next != "":
		_, err = fmt.Fprintf(t.w, "\nthe newest %d; --limit shows more, --before %s those before\n", t.n, doc.Next)
	}
	return err
}

// follow prints what changes until ctx ends. A gateway that goes is an error; what it began anew is printed again.
func (l *liveFlows) follow(ctx context.Context, text string, print func(any) error) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://gateway/api/v1/stream?"+url.Values{"filter": {text}}.Encode(), nil)
	if err != nil {
		return err
	}
	answer, err := api.Local(l.dir).Do(req)
	if errors.Is(err, api.ErrNotRunning) {
		return notRunning{fmt.Sprintf("no gateway runs with the data directory %s: start it first", l.dir)}
	}
	if err != nil {
		return fmt.Errorf("the gateway cannot be asked: %w", err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		why, _ := io.ReadAll(io.LimitReader(answer.Body, 1<<10))
		return fmt.Errorf("the gateway answers %s: %s", answer.Status, why)
	}
	err = eachEvent(answer.Body, func(name string, data []byte) error {
		if name != "flows" {
			return nil
		}
		var c api.FlowChanges
		if err := json.Unmarshal(data, &c); err != nil {
			return fmt.Errorf("the stream of the gateway cannot be read: %w", err)
		}
		for _, s := range slices.Backward(c.Changed) {
			if err := print(&s); err != nil {
				return err
			}
		}
		return nil
	})
	if ctx.Err() != nil {
		return nil // Ctrl-C
	}
	if err == nil {
		err = errors.New("the gateway has ended the stream: it stops, or serves its API elsewhere")
	}
	return err
}

// eachEvent reads server-sent events of one line of data each.
func eachEvent(r io.Reader, do func(name string, data []byte) error) error {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 64<<20)
	name := ""
	for lines.Scan() {
		key, value, _ := strings.Cut(lines.Text(), ": ")
		switch key {
		case "event":
			name = value
		case "data":
			if err := do(name, []byte(value)); err != nil {
				return err
			}
		}
	}
	return lines.Err()
}
