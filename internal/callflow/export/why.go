package export

import (
	"fmt"
	"strconv"

	"github.com/sallyport-sip/sallyport/internal/callflow"
)

// An Edge is why one leg of a flow belongs to it.
type Edge struct {
	Legs     string // "A + B"
	Evidence string // in words
}

// Why says of each leg after the first why it belongs to the flow, and then what else ties its legs together or to others.
func Why(f *callflow.Flow) []Edge {
	var edges []Edge
	for _, l := range f.Legs[min(len(f.Legs), 1):] {
		evidence := f.JoinedBy
		switch {
		case l.Because != "":
			evidence = "the gateway's record, which is exact: " + l.Because
		case f.JoinedBy == "":
			evidence = "the gateway made it for the same call"
		}
		edges = append(edges, Edge{f.Legs[0].Name + " + " + l.Name, evidence})
	}
	if f.Session != "" {
		edges = append(edges, Edge{"session", fmt.Sprintf("%s in Session-ID of its legs (RFC 7989)", f.Session)})
	}
	for _, r := range f.Related {
		edge := Edge{"related", r.Kind + " call " + r.Flow + "; another call, not joined with this one"}
		if r.Row > 0 {
			edge.Evidence += ", as row " + strconv.Itoa(r.Row) + " tells"
		}
		edges = append(edges, edge)
	}
	return edges
}
