package api

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"

	"github.com/sallyport-sip/sallyport/internal/callflow"
	"github.com/sallyport-sip/sallyport/internal/callflow/export"
)

// diffFlow is GET /api/v1/flows/ID/diff?a=ROW&b=ROW: how two messages of one flow differ, mostly one message on two hops and
// so what the gateway changed. format=text gives it as a terminal shows it.
func (s *Server) diffFlow(w http.ResponseWriter, r *http.Request) {
	f, err := s.findFlow(r.Context(), r.PathValue("id"))
	if err != nil {
		s.noFlow(w, err)
		return
	}
	writeDiff(w, f, r.URL.Query())
}

func writeDiff(w http.ResponseWriter, f *callflow.Flow, q url.Values) {
	rows := [2]int{}
	for i, name := range []string{"a", "b"} {
		n, err := strconv.ParseUint(q.Get(name), 10, 31)
		if err != nil || n == 0 {
			http.Error(w, fmt.Sprintf("%s=%q is no number of a row: name two rows, as a=2&b=16", name, q.Get(name)), http.StatusBadRequest)
			return
		}
		rows[i] = int(n)
	}
	format := q.Get("format")
	if format != "" && format != "json" && format != "text" {
		http.Error(w, fmt.Sprintf("format %q: unknown, use json or text", format), http.StatusBadRequest)
		return
	}
	d, err := export.DiffRows(f, rows[0], rows[1])
	switch {
	case err != nil:
		http.Error(w, err.Error(), http.StatusBadRequest)
	case format == "text":
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		export.DiffText(w, d, export.Options{Width: exportWidth}) // an error means that the reader has gone
	default:
		writeJSON(w, d)
	}
}
