package api

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/sallyport-sip/sallyport/internal/callflow"
	"github.com/sallyport-sip/sallyport/internal/callflow/export"
	"github.com/sallyport-sip/sallyport/internal/filter"
	"github.com/sallyport-sip/sallyport/internal/history"
)

const (
	// someFlows is how many flows are listed when nobody says.
	someFlows = 100
	// mostFlows is how many are listed at once, whatever is asked for.
	mostFlows = 10000
)

// listFlows is GET /api/v1/flows: a page of the flows that fit, the newest first.
func (s *Server) listFlows(w http.ResponseWriter, r *http.Request) {
	q, err := flowQueryOf(r.URL.Query())
	if err == nil {
		q.filter, err = s.filterOf(r, filter.Flows)
	}
	if err != nil {
		badQuery(w, err)
		return
	}
	doc, err := s.searchFlows(r.Context(), &q)
	if err != nil {
		s.log.Error("the history of flows cannot be searched", "cause", err)
		http.Error(w, "the history of flows cannot be searched: see the gateway's log", http.StatusInternalServerError)
		return
	}
	writeJSON(w, doc)
}

// permanent is the id by which a flow of this run is known for ever.
func (s *Server) permanent(id string) string { return s.gateway.Recorder().Run() + "-" + id }

// filterOf reads the filter of a request.
func (s *Server) filterOf(r *http.Request, of filter.Subject) (*filter.Filter, error) {
	return filter.Parse(r.URL.Query().Get("filter"), filter.Options{Now: time.Now(), For: of, Saved: s.gateway.Config().SavedFilters()})
}

// badQuery answers what cannot be understood. Of a filter it shows the place.
func badQuery(w http.ResponseWriter, err error) {
	text := err.Error()
	if e, ok := errors.AsType[*filter.Error](err); ok {
		text += "\n" + e.Caret()
	}
	http.Error(w, text, http.StatusBadRequest)
}

// A flowQuery is which flows a request wants.
type flowQuery struct {
	limit  int
	before *place // those that come after it in a list; nil: from the newest on
	filter *filter.Filter
}

func flowQueryOf(q url.Values) (f flowQuery, err error) {
	f.limit = someFlows
	if text := q.Get("limit"); text != "" {
		n, err := strconv.ParseUint(text, 10, 31)
		if err != nil {
			return f, fmt.Errorf("limit %q is no whole number from 0 on", text)
		}
		f.limit = min(cmp.Or(int(n), mostFlows), mostFlows)
	}
	if text := q.Get("before"); text != "" {
		nanos, id, ok := strings.Cut(text, "-")
		n, err := strconv.ParseInt(nanos, 10, 64)
		if err != nil || !ok || id == "" {
			return f, fmt.Errorf("before %q is not what an earlier list has as next", text)
		}
		f.before = &place{n, id}
	}
	return f, nil
}

// Cursor is what before= is for the flows that follow s, a flow in memory.
func Cursor(s *callflow.Summary) string { return placeOf(s).cursor() }

// flow is GET /api/v1/flows/ID: one whole.
func (s *Server) flow(w http.ResponseWriter, r *http.Request) {
	f, err := s.findFlow(r.Context(), r.PathValue("id"))
	if err != nil {
		s.noFlow(w, err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	export.JSON(w, []*callflow.Flow{f}, export.Options{}) // an error means that the reader has gone
}

// findFlow finds a flow by its id: in the ring, or in the history when that tells more of it.
func (s *Server) findFlow(ctx context.Context, id string) (*callflow.Flow, error) {
	rec := s.gateway.Recorder()
	live := rec.Flow(id)
	if live != nil && rec.Stats().Dropped == 0 {
		return s.named(live), nil
	}
	kept, err := s.gateway.History().Flow(ctx, id)
	switch {
	case kept != nil && (live == nil || len(kept.Rows) > len(live.Rows)):
		return kept, nil
	case live != nil:
		return s.named(live), nil
	}
	return nil, fmt.Errorf("there is no flow %q in memory, and %w", id, err)
}

// named is a flow of this run with its permanent id.
func (s *Server) named(f *callflow.Flow) *callflow.Flow {
	n := *f
	n.ID = s.permanent(f.ID)
	return &n
}

// noFlow answers for a flow that could not be had.
func (s *Server) noFlow(w http.ResponseWriter, err error) {
	if !errors.Is(err, history.ErrNone) && !errors.Is(err, history.ErrOff) {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	http.Error(w, err.Error(), http.StatusNotFound)
}

// exportFlow is GET /api/v1/flows/ID/export?format=NAME: one flow as a file, drawn as export.ReadOptions reads it.
func (s *Server) exportFlow(w http.ResponseWriter, r *http.Request) {
	format, err := export.Lookup(cmp.Or(r.URL.Query().Get("format"), "text"))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	f, err := s.findFlow(r.Context(), r.PathValue("id"))
	if err != nil {
		s.noFlow(w, err)
		return
	}
	o, err := export.ReadOptions(r.URL.Query(), f)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	o.Width = cmp.Or(o.Width, exportWidth)
	kind, ok := fileKinds[format.Name]
	if !ok {
		kind = fileKind{format.Name, "application/octet-stream"}
	}
	if r.URL.Query().Get("secrets") == "1" {
		if o.Kept, err = s.secrets(r, format.Name, f); err != nil {
			http.Error(w, err.Error(), http.StatusForbidden)
			return
		}
	}
	h := w.Header()
	h.Set("Content-Type", kind.media)
	h.Set("Content-Disposition", fmt.Sprintf("attachment; filename=%q", "flow-"+fileName(f.ID)+"."+kind.extension))
	h.Set("Content-Security-Policy", "sandbox") // should a browser show it all the same
	format.Write(w, []*callflow.Flow{f}, o)
}

// secrets returns what is kept on the wire of a flow's connections, or says why it is not to be had: it is for pcapng, for the user of
// the gateway's socket alone, and for peers with keep_keys.
func (s *Server) secrets(r *http.Request, format string, f *callflow.Flow) (func(*callflow.Link) *export.Kept, error) {
	switch {
	case format != "pcapng":
		return nil, fmt.Errorf("export with secrets: only format pcapng has a place for them, not %s", format)
	case !isLocal(r):
		return nil, errors.New("export with secrets: only on the gateway's own socket: run sallyport flow export --with-secrets where it runs")
	}
	return s.gateway.Secrets(f, "the gateway's socket")
}

// exportWidth is the columns of a ladder in a file.
const exportWidth = 120

// A fileKind is how files of one format are called and sent.
type fileKind struct{ extension, media string }

// fileKinds has them by the format's name.
var fileKinds = map[string]fileKind{
	"text":     {"txt", "text/plain; charset=utf-8"},
	"json":     {"json", "application/json"},
	"svg":      {"svg", "image/svg+xml"},
	"html":     {"html", "text/html; charset=utf-8"},
	"plantuml": {"puml", "text/plain; charset=utf-8"},
	"mermaid":  {"mmd", "text/plain; charset=utf-8"},
	"pcapng":   {"pcapng", "application/x-pcapng"},
}

// fileName is a text with nothing in it that a file name could stumble over.
func fileName(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r == '-' {
			return r
		}
		return '_'
	}, s)
}
