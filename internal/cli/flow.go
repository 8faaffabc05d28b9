package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sallyport-sip/sallyport/internal/api"
	"github.com/sallyport-sip/sallyport/internal/callflow"
	"github.com/sallyport-sip/sallyport/internal/callflow/export"
	"github.com/sallyport-sip/sallyport/internal/config"
	"github.com/sallyport-sip/sallyport/internal/filter"
)

func flowGroup(*app) *cobra.Command {
	return &cobra.Command{
		Use:   "flow COMMAND",
		Short: "List, show and export the flows of calls and refused handshakes",
		Long: "Flow lists what happened, draws it, and writes it into files: of the running\n" +
			"gateway with the history that it keeps, or of a file that was exported as json.",
		Example: "  sallyport flow list state:failed since:1h\n" +
			"  sallyport flow show 41\n" +
			"  sallyport flow export 41 --format html --out call-41.html",
	}
}

// flowFrom says where the flows are.
type flowFrom struct {
	running
	saved *string // a file of ours
}

func flowFlags(c *cobra.Command) flowFrom {
	return flowFrom{runningFlags(c), c.Flags().String("file", "", "`FILE`: flows that were exported as json, in place of a gateway's")}
}

// flows is where they come from.
type flows interface {
	// list returns those that a filter wants, the newest first.
	list(ctx context.Context, filter string, limit int, before string) (*api.FlowList, error)
	// one returns one whole; the error wraps errNotFound when there is none.
	one(ctx context.Context, id string) (*callflow.Flow, error)
}

// openFlows finds the flows, and reads the filter so that a mistake in it is told before anything is asked.
func (a *app) openFlows(w flowFrom, text string) (flows, error) {
	if *w.saved != "" {
		if *w.file != "" || *w.data != "" {
			return nil, usagef("--file and a gateway cannot be asked at once: leave out --config and --data")
		}
		f, err := os.Open(*w.saved)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		all, err := export.Decode(f)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", *w.saved, err)
		}
		_, err = readFilter(text, filter.Flows, nil)
		return savedFlows{*w.saved, all}, err
	}
	live := &liveFlows{file: *w.file, dir: *w.data}
	var names map[string]string
	path, err := a.configFile(*w.file)
	if err != nil && live.dir == "" {
		return nil, err
	}
	if err == nil {
		cfg, problems := config.Load(path)
		if len(problems) > 0 && live.dir == "" {
			return nil, a.report(problems)
		}
		live.file, names = path, cfg.SavedFilters()
		if live.dir == "" {
			live.dir = cfg.Data
		}
	}
	_, err = readFilter(text, filter.Flows, names)
	return live, err
}

// readFilter reads --filter. What is wrong is marked in it.
func readFilter(text string, of filter.Subject, saved map[string]string) (*filter.Filter, error) {
	f, err := filter.Parse(text, filter.Options{Now: time.Now(), For: of, Saved: saved})
	if e, ok := errors.AsType[*filter.Error](err); ok {
		return nil, &usageError{text: "--" + e.Error() + "\n" + e.Caret(), hint: "how filters are written: docs/reference/filter.md"}
	}
	return f, nil
}

// liveFlows asks a running gateway.
type liveFlows struct{ file, dir string }

func (l *liveFlows) ask(ctx context.Context, path string, doc any) error {
	err := exchange(ctx, l.dir, http.MethodGet, path, nil, doc)
	if errors.Is(err, api.ErrNotRunning) {
		return notRunning{fmt.Sprintf("no gateway runs with the data directory %s, and flows are asked of one\nstart it, or name a file of exported ones: --file FILE.json", l.dir)}
	}
	return err
}

func (l *liveFlows) list(ctx context.Context, text string, limit int, before string) (*api.FlowList, error) {
	doc := &api.FlowList{}
	return doc, l.ask(ctx, "/api/v1/flows?"+url.Values{"filter": {text}, "limit": {strconv.Itoa(limit)}, "before": {before}}.Encode(), doc)
}

func (l *liveFlows) one(ctx context.Context, id string) (*callflow.Flow, error) {
	var doc json.RawMessage
	if err := l.ask(ctx, "/api/v1/flows/"+url.PathEscape(id), &doc); err != nil {
		return nil, err
	}
	all, err := export.Decode(strings.NewReader(string(doc)))
	if err == nil && len(all) != 1 {
		err = fmt.Errorf("%d flows came", len(all))
	}
	if err != nil {
		return nil, fmt.Errorf("the answer of the gateway cannot be read: %w", err)
	}
	return all[0], nil
}

// savedFlows are those of a file.
type savedFlows struct {
	name string
	all  []*callflow.Flow
}

func (s savedFlows) list(_ context.Context, text string, limit int, _ string) (*api.FlowList, error) {
	f, err := readFilter(text, filter.Flows, nil)
	if err != nil {
		return nil, err
	}
	doc := &api.FlowList{Version: 1, Flows: []callflow.Summary{}}
	for _, flow := range s.all {
		if f.Flow(flow) {
			one := callflow.Summarize(flow)
			one.Live = false
			doc.Flows = append(doc.Flows, one)
		}
	}
	slices.SortFunc(doc.Flows, func(a, b callflow.Summary) int { return a.Newer(&b) })
	if limit > 0 && len(doc.Flows) > limit {
		doc.Flows = doc.Flows[:limit]
	}
	return doc, nil
}

func (s savedFlows) one(_ context.Context, id string) (*callflow.Flow, error) {
	for _, f := range s.all {
		if f.ID == id || strings.HasSuffix(f.ID, "-"+id) {
			return f, nil
		}
	}
	return nil, errNotFound
}

// find returns one flow by what a person may have copied: its id, or its address call/41.
func find(ctx context.Context, from flows, id string) (*callflow.Flow, error) {
	f, err := from.one(ctx, flowID(id))
	if !errors.Is(err, errNotFound) {
		return f, err
	}
	text := fmt.Sprintf("there is no flow %q, or it is kept no longer", id)
	if known, err := from.list(ctx, "", 1000, ""); err == nil {
		var ids []string
		for i := range known.Flows {
			ids = append(ids, known.Flows[i].ID)
		}
		if near, ok := config.Nearest(flowID(id), ids); ok {
			text += fmt.Sprintf(" (did you mean %s?)", near)
		}
	}
	return nil, errors.New(text + "\nto see which there are: " + program() + " flow list; the record of an older call: " + program() + " cdr --filter ...")
}

// flowID takes the id out of an address: call/41/row/17.
func flowID(text string) string {
	if rest, ok := strings.CutPrefix(text, "call/"); ok {
		id, _, _ := strings.Cut(rest, "/")
		return id
	}
	return text
}

// completeFlows offers the newest flows to a shell.
func (a *app) completeFlows(w flowFrom) func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	return func(c *cobra.Command, _ []string, _ string) (ids []string, _ cobra.ShellCompDirective) {
		from, err := a.openFlows(w, "")
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if doc, err := from.list(ctx, "", 50, ""); err == nil {
			for i := range doc.Flows {
				ids = append(ids, doc.Flows[i].ID+"\t"+doc.Flows[i].Sentence)
			}
		}
		return ids, cobra.ShellCompDirectiveNoFileComp
	}
}

// writeOut writes to a file that only its user can read, or to standard output when there is no name. A file that cannot be written
// whole is not there.
func (a *app) writeOut(name string, write func(io.Writer) error) error {
	if name == "" {
		return write(a.stdout)
	}
	return writePrivate(name, write)
}
