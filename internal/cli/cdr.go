package cli

import (
	"context"
	"encoding/json"
	"iter"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sallyport-sip/sallyport/internal/callflow"
	"github.com/sallyport-sip/sallyport/internal/config"
	"github.com/sallyport-sip/sallyport/internal/filter"
	"github.com/sallyport-sip/sallyport/internal/store"
)

// cdrShown is how many calls a table has when --limit does not say.
const cdrShown = 50

// cdrFlags are the command's flags as they were given.
type cdrFlags struct {
	config, data string
	since, until string
	state        string
	verdict      string
	format       string
	limit        int
	follow       bool
	filter       store.Filter
	text         string // --filter
	wanted       *filter.Filter
}

func cdr(a *app) *cobra.Command {
	c := &cobra.Command{
		Use:   "cdr [--config FILE | --data DIR] [FILTER...]",
		Short: "List the records of calls",
		Long: "Cdr lists the records of calls that a gateway keeps in its data directory, the\n" +
			"newest last; the gateway may run, be stopped, or have been killed. A call is\n" +
			"listed when all filters fit. A table has the newest 50, unless --limit says\n" +
			"otherwise; csv and json have all.",
		Example: "  sallyport cdr --since 2h --failed\n" +
			"  sallyport cdr --verdict downgraded --limit 0\n" +
			"  sallyport cdr --data /var/lib/sallyport --number '+4930*' --limit 0\n" +
			"  sallyport cdr --since 2026-03-01 --until 2026-04-01 --format csv > march.csv\n" +
			"  sallyport cdr --follow --format json",
		Args: noArgs,
	}
	exits(c, "the calls were listed, perhaps none", "the records cannot be read")
	f := &cdrFlags{}
	flags := c.Flags()
	flags.StringVar(&f.config, "config", "", "`FILE`: the configuration that names the data directory (default: where serve looks)")
	flags.StringVar(&f.data, "data", "", "`DIR`: the data directory itself, where there is no configuration")
	flags.StringVar(&f.since, "since", "", "calls that began then or later: a `TIME`, 2026-03-01 or 2026-03-01T09:30, or how long ago, 2h or 7d")
	flags.StringVar(&f.until, "until", "", "calls that began before this `TIME`, in the same forms")
	flags.StringVar(&f.filter.Number, "number", "", "calls of or to this `NUMBER`; +49* is every one that begins so")
	flags.StringVar(&f.filter.Peer, "peer", "", "calls with this `PEER` on either side")
	flags.StringVar(&f.filter.CallID, "call-id", "", "`ID`: the call with this Call-ID on either side")
	flags.StringVar(&f.state, "state", "", "calls in this `STATE`: "+strings.Join(cdrStates(), ", "))
	flags.StringVar(&f.verdict, "verdict", "", "calls whose signalling was secured so: a `WORD` of "+strings.Join(callflow.SecurityWords, ", "))
	flags.StringVar(&f.text, "filter", "", "calls that fit this `FILTER` besides, such as 'state:failed peer:acme to:+49*': docs/reference/filter.md")
	flags.BoolVar(&f.filter.Failed, "failed", false, "calls that were refused or interrupted")
	flags.IntVar(&f.limit, "limit", cdrShown, "the newest `N` of them, 0 for all")
	flags.BoolVar(&f.follow, "follow", false, "print each new state of a call as it comes, until Ctrl-C")
	flags.StringVar(&f.format, "format", "table", "`FORMAT`: table, csv, or json, which has one record a line")
	c.RunE = func(c *cobra.Command, _ []string) error {
		if err := f.check(time.Now()); err != nil {
			return err
		}
		if f.format != "table" && !c.Flags().Changed("limit") {
			f.limit = 0
		}
		dir, saved, err := a.cdrDir(f)
		if err != nil {
			return err
		}
		if f.wanted, err = readFilter(f.text, filter.Calls, saved); err != nil {
			return err
		}
		f.filter = f.wanted.Narrow(f.filter)
		return a.printCDRs(f, f.records(c.Context(), dir))
	}
	return c
}

func cdrStates() []string {
	var words []string
	for _, s := range []store.State{store.Opened, store.Answered, store.Ended, store.Refused, store.Cancelled, store.Interrupted} {
		words = append(words, string(s))
	}
	return words
}

// check completes the filter from the flags that are text.
func (f *cdrFlags) check(now time.Time) (err error) {
	if f.config != "" && f.data != "" {
		return usagef("--config and --data both say where the records are: give one")
	}
	if f.state != "" && !slices.Contains(cdrStates(), f.state) {
		text := "--state " + strconv.Quote(f.state) + " is none of " + strings.Join(cdrStates(), ", ")
		if near, ok := config.Nearest(f.state, cdrStates()); ok {
			text += " (did you mean " + near + "?)"
		}
		return usagef("%s", text)
	}
	f.filter.State = store.State(f.state)
	if f.verdict != "" && !slices.Contains(callflow.SecurityWords, f.verdict) {
		text := "--verdict " + strconv.Quote(f.verdict) + " is none of " + strings.Join(callflow.SecurityWords, ", ")
		if near, ok := config.Nearest(f.verdict, callflow.SecurityWords); ok {
			text += " (did you mean " + near + "?)"
		}
		return usagef("%s", text)
	}
	f.filter.Verdict = f.verdict
	if !slices.Contains([]string{"table", "csv", "json"}, f.format) {
		return usagef("--format %q is not table, csv or json", f.format)
	}
	if f.limit < 0 {
		return usagef("--limit %d is less than 0", f.limit)
	}
	if f.filter.Since, err = parseWhen("--since", f.since, now); err != nil {
		return err
	}
	f.filter.Until, err = parseWhen("--until", f.until, now)
	return err
}

// parseWhen reads a time in one of the usual forms, in the local time zone where it names none, or how long before now
// it was.
func parseWhen(flag, text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if days, ok := strings.CutSuffix(text, "d"); ok {
		if n, err := strconv.ParseUint(days, 10, 16); err == nil {
			return now.AddDate(0, 0, -int(n)), nil
		}
	}
	if ago, err := time.ParseDuration(text); err == nil && ago >= 0 {
		return now.Add(-ago), nil
	}
	for _, form := range []string{time.RFC3339, time.DateTime, "2006-01-02 15:04", "2006-01-02T15:04:05", "2006-01-02T15:04", time.DateOnly} {
		if t, err := time.ParseInLocation(form, text, now.Location()); err == nil {
			return t, nil
		}
	}
	for _, form := range []string{time.TimeOnly, "15:04"} {
		if t, err := time.ParseInLocation(form, text, now.Location()); err == nil {
			return time.Date(now.Year(), now.Month(), now.Day(), t.Hour(), t.Minute(), t.Second(), 0, now.Location()), nil
		}
	}
	return time.Time{}, usagef("%s %q is no time: write 90m, 2h, 7d, 15:04, 2006-01-02 or 2006-01-02 15:04", flag, text)
}

// cdrDir is the data directory, with the filters that its configuration saves.
func (a *app) cdrDir(f *cdrFlags) (dir string, saved map[string]string, err error) {
	if f.data != "" {
		return f.data, nil, nil
	}
	path, err := a.configFile(f.config)
	if err != nil {
		return "", nil, err
	}
	cfg, problems := config.Load(path)
	if len(problems) > 0 {
		return "", nil, a.report(problems)
	}
	return cfg.Data, cfg.SavedFilters(), nil
}

// records are those that the flags want, the newest last.
func (f *cdrFlags) records(ctx context.Context, dir string) iter.Seq2[*store.CDR, error] {
	if f.follow {
		return f.wanted.Only(store.Follow(ctx, dir, f.filter), 0)
	}
	search := f.filter
	search.Oldest = f.limit == 0
	if f.wanted.Empty() {
		search.Limit = f.limit
	}
	found := f.wanted.Only(store.Query(dir, search), f.limit)
	if search.Oldest {
		return found
	}
	return func(yield func(*store.CDR, error) bool) {
		var all []*store.CDR
		for c, err := range found {
			if err != nil {
				yield(nil, err)
				return
			}
			all = append(all, c)
		}
		for _, c := range slices.Backward(all) {
			if !yield(c, nil) {
				return
			}
		}
	}
}

// A cdrPrinter writes records in one format, each at once.
type cdrPrinter interface {
	print(*store.CDR) error
	end() error
}

// printCDRs prints what there is.
func (a *app) printCDRs(f *cdrFlags, found iter.Seq2[*store.CDR, error]) error {
	var p cdrPrinter
	switch f.format {
	case "csv":
		p = newCDRSheet(a.stdout, f.follow)
	case "json":
		e := json.NewEncoder(a.stdout)
		e.SetEscapeHTML(false)
		p = cdrLines{e}
	default:
		p = &cdrTable{w: a.stdout, style: a.style(a.stdout), now: time.Now, follow: f.follow}
	}
	for c, err := range found {
		if err == nil {
			err = p.print(c)
		}
		if err != nil {
			return err
		}
	}
	return p.end()
}

// cdrLines is the format json: the record as it is stored, one a line.
type cdrLines struct{ e *json.Encoder }

func (l cdrLines) print(c *store.CDR) error { return l.e.Encode(c) }

func (l cdrLines) end() error { return nil }
