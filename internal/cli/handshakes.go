package cli

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/sallyport-sip/sallyport/internal/api"
	"github.com/sallyport-sip/sallyport/internal/callflow"
	"github.com/sallyport-sip/sallyport/internal/config"
	"github.com/sallyport-sip/sallyport/internal/filter"
	"github.com/sallyport-sip/sallyport/internal/store"
)

// handshakesShown is how many handshakes are listed when --limit does not say.
const handshakesShown = 50

func handshakes(a *app) *cobra.Command {
	c := &cobra.Command{
		Use:   "handshakes [ID] [--config FILE | --data DIR] [FILTER...]",
		Short: "Say who refused whom in TLS, why, and what to do",
		Long: "Handshakes lists the records of TLS handshakes, the newest last: those of the\n" +
			"running gateway, and those that it has kept in its data directory, which can be\n" +
			"read when no gateway runs, too. With the ID that a line ends with it shows one\n" +
			"handshake whole: its steps, what was offered and chosen, both chains, both\n" +
			"verdicts and the remedy. What the codes mean is in docs/reference/faults.md.",
		Example: "  sallyport handshakes --failed --since 2h\n" +
			"  sallyport handshakes --peer trunk-1\n" +
			"  sallyport handshakes 01kb4y1m5r6zc\n" +
			"  sallyport handshakes --data /var/lib/sallyport --code expired --json",
		Args: cobra.ArbitraryArgs,
	}
	exits(c, "the handshakes were listed, perhaps none", "they cannot be read, or there is none with that ID")
	f, since, until := callflow.HandshakeFilter{}, "", ""
	flags := c.Flags()
	file := flags.String("config", "", "`FILE`: the configuration of the gateway (default: where serve looks)")
	data := flags.String("data", "", "`DIR`: its data directory, where there is no configuration")
	flags.BoolVar(&f.Failed, "failed", false, "only those that came to nothing")
	flags.StringVar(&f.Peer, "peer", "", "only those with this `PEER`, or from an address of its")
	flags.StringVar(&f.Listener, "listener", "", "only those on this `LISTENER`")
	flags.StringVar(&f.Code, "code", "", "only those that failed for this reason: `CODE`, for example expired")
	text := flags.String("filter", "", "only those that fit this `FILTER` besides, such as 'tls.reason:expired -peer:lab': docs/reference/filter.md")
	flags.StringVar(&since, "since", "", "only those that began then or later: a `TIME`, 2026-03-01 or 2026-03-01T09:30, or how long ago, 2h or 7d")
	flags.StringVar(&until, "until", "", "only those that began before this `TIME`, in the same forms")
	flags.IntVar(&f.Limit, "limit", handshakesShown, "the newest `N` of them, 0 for all")
	asJSON := jsonFlag(c)
	c.RunE = func(c *cobra.Command, args []string) (err error) {
		switch {
		case len(args) > 1:
			return usagef("one handshake is shown at a time, and %d were named", len(args))
		case *file != "" && *data != "":
			return usagef("--config and --data both say where the records are: give one")
		case f.Limit < 0:
			return usagef("--limit %d is less than 0", f.Limit)
		}
		if f.Since, err = parseWhen("--since", since, time.Now()); err != nil {
			return err
		}
		if f.Until, err = parseWhen("--until", until, time.Now()); err != nil {
			return err
		}
		if len(args) == 1 {
			f = callflow.HandshakeFilter{ID: args[0], Limit: 1}
		}
		dir, saved := *data, map[string]string(nil)
		if dir == "" {
			if dir, saved, err = a.cdrDir(&cdrFlags{config: *file}); err != nil {
				return err
			}
		}
		wanted, err := readFilter(*text, filter.Handshakes, saved)
		if err != nil {
			return err
		}
		search := wanted.NarrowHandshakes(f)
		found, err := a.findHandshakes(c, dir, &search)
		if err != nil {
			return err
		}
		found = wanted.OnlyHandshakes(found, f.Limit)
		return a.showHandshakes(found, &f, *asJSON)
	}
	return c
}

// dataOf is the data directory of a configuration.
func (a *app) dataOf(file string) (string, error) {
	path, err := a.configFile(file)
	if err != nil {
		return "", err
	}
	cfg, problems := config.Load(path)
	if len(problems) > 0 {
		return "", a.report(problems)
	}
	return cfg.Data, nil
}

// findHandshakes asks the running gateway, and where none runs reads what it has left.
func (a *app) findHandshakes(c *cobra.Command, dir string, f *callflow.HandshakeFilter) ([]*callflow.Handshake, error) {
	var doc api.Handshakes
	q := url.Values{"limit": {strconv.Itoa(f.Limit)}, "failed": {strconv.FormatBool(f.Failed)}}
	for name, value := range map[string]string{"peer": f.Peer, "listener": f.Listener, "code": f.Code} {
		if value != "" {
			q.Set(name, value)
		}
	}
	for name, at := range map[string]time.Time{"since": f.Since, "until": f.Until} {
		if !at.IsZero() {
			q.Set(name, at.UTC().Format(time.RFC3339Nano))
		}
	}
	path, answer := "/api/v1/handshakes?"+q.Encode(), any(&doc)
	one := &callflow.Handshake{}
	if f.ID != "" {
		path, answer = "/api/v1/handshakes/"+url.PathEscape(f.ID), one
	}
	switch err := exchange(c.Context(), dir, http.MethodGet, path, nil, answer); {
	case errors.Is(err, api.ErrNotRunning):
		return store.Handshakes(dir, *f)
	case errors.Is(err, errNotFound):
		return nil, nil
	case err != nil:
		return nil, err
	case f.ID != "":
		return []*callflow.Handshake{one}, nil
	}
	return doc.Handshakes, nil
}

func (a *app) showHandshakes(found []*callflow.Handshake, f *callflow.HandshakeFilter, asJSON bool) error {
	switch {
	case f.ID != "" && len(found) == 0:
		return fmt.Errorf("there is no handshake %q, or it is kept no longer: %s handshakes lists those there are", f.ID, program())
	case asJSON && f.ID != "":
		return a.writeJSON(found[0])
	case asJSON:
		return a.writeJSON(api.Handshakes{Handshakes: append([]*callflow.Handshake{}, found...)})
	case f.ID != "":
		return drawHandshake(a.stdout, a.style(a.stdout), found[0], time.Now())
	}
	t := &handshakeTable{w: a.stdout, style: a.style(a.stdout)}
	for _, h := range slices.Backward(found) {
		if err := t.print(h); err != nil {
			return err
		}
	}
	return t.end(f)
}

// A handshakeTable is the list: a line for each day, and for each handshake one with when, with whom, the version and how it came out; of
// one that failed, the sentence and the remedy below.
type handshakeTable struct {
	w     io.Writer
	style style
	day   string // of the last line
	n     int
}

// handshakeIndent is the columns before the words below a line.
const handshakeIndent = 11

func (t *handshakeTable) print(h *callflow.Handshake) error {
	at := h.At.Local()
	if day := at.Format("Monday, 2 January 2006, MST"); day != t.day {
		if t.day != "" {
			fmt.Fprintln(t.w)
		}
		fmt.Fprintln(t.w, t.style.paint(bold, day))
		t.day = day
	}
	t.n++
	mark, colour := t.style.mark(!h.Failed())
	if h.Outcome == callflow.OutcomeOpen {
		mark, colour = "?", yellow
	}
	way := "to"
	if h.Role == callflow.RoleServer {
		way = "from"
	}
	word := cmp.Or(h.Code, h.Outcome)
	fmt.Fprintf(t.w, "%s %s %-4s %-22s %-4s %s %s\n", at.Format(time.TimeOnly), t.style.paint(colour, mark), way, t.style.cut(h.Who(), 22),
		cmp.Or(h.Chosen.Version, "-"), t.style.paint(colour, fmt.Sprintf("%-21s", word)), t.style.paint(dim, h.ID))
	if h.Failed() {
		t.wrapped(h.Sentence, "")
		t.wrapped("fix: "+h.Remedy, dim)
	}
	if h.Address != "" {
		t.wrapped("it came from an address of "+h.Address, dim)
	}
	if h.Repeats > 0 {
		t.wrapped(fmt.Sprintf("and %d more like it until %s", h.Repeats, h.Until.Local().Format("15:04:05")), dim)
	}
	return nil
}

func (t *handshakeTable) wrapped(text, colour string) {
	for _, line := range wrapWords(t.style.plain(text), t.style.width-handshakeIndent) {
		fmt.Fprintf(t.w, "%*s%s\n", handshakeIndent, "", t.style.paint(colour, line))
	}
}

func (t *handshakeTable) end(f *callflow.HandshakeFilter) error {
	switch {
	case t.n == 0:
		_, err := fmt.Fprintln(t.w, "no handshake fits")
		return err
	case t.n == f.Limit:
		_, err := fmt.Fprintf(t.w, "\nthe newest %d; --limit 0 shows all\n", t.n)
		return err
	}
	return nil
}
