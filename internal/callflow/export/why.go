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

// Why says of each leg after the first why it belongs to the flow and how sure that is, and then which other flows it has to do with.
func Why(f *callflow.Flow) []Edge {
	var edges []Edge
	for _, e := range f.Joins {
		sure := "exact"
		if e.Score < 100 {
			sure = fmt.Sprintf("%d of 100 sure", e.Score)
		}
		edges = append(edges, Edge{e.A + " + " + e.B, fmt.Sprintf("%s (%s)", e, sure)})
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
