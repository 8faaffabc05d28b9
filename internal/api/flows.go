package api

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"

	"github.com/sallyport-sip/sallyport/internal/callflow"
	"github.com/sallyport-sip/sallyport/internal/callflow/export"
)

// mostFlows is how many flows are returned when nobody says.
const mostFlows = 100

// flows is GET /api/v1/flows?limit=N: what is recorded, the newest first, as the
// document of "demo --json". limit=0 is all of it.
func (s *Server) flows(w http.ResponseWriter, r *http.Request) {
	limit := mostFlows
	if text := r.URL.Query().Get("limit"); text != "" {
		n, err := strconv.ParseUint(text, 10, 31)
		if err != nil {
			http.Error(w, fmt.Sprintf("limit %q is no whole number from 0 on", text), http.StatusBadRequest)
			return
		}
		limit = int(n)
	}
	all := slices.Clone(s.gateway.Recorder().Flows())
	slices.Reverse(all)
	if limit > 0 && len(all) > limit {
		all = all[:limit]
	}
	w.Header().Set("Content-Type", "application/json")
	writeFlows(w, all)
}

// writeFlows writes one flow at a time, so that only one is rendered at once. An
// error means that the reader has gone.
func writeFlows(w io.Writer, all []*callflow.Flow) {
	head := export.NewDocument(all[:min(len(all), 1)])
	open := fmt.Sprintf("{\"version\": %d, \"gateway\": %q, \"calls\": [", head.Version, head.Gateway)
	for _, f := range all {
		b, err := json.Marshal(export.Call(f))
		if err != nil {
			return
		}
		if _, err := fmt.Fprintf(w, "%s\n%s", open, b); err != nil {
			return
		}
		open = ","
	}
	if len(all) == 0 {
		io.WriteString(w, open)
	}
	io.WriteString(w, "\n]}\n")
}
