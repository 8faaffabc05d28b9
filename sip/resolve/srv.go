package resolve

import (
	"cmp"
	"slices"
)

// srv is an SRV record (RFC 2782).
type srv struct {
	priority, weight, port uint16
	target                 string
}

// unavailable says that the records are the one that stands for "decidedly not
// available at this domain" (RFC 2782, Target).
func unavailable(records []srv) bool { return len(records) == 1 && records[0].target == "." }

// order returns SRV records in the order to try them: by priority, and within
// one drawn at random, each with a chance of its weight among those left, as
// RFC 2782 tells under "Weight". intN draws from [0,n).
func order(records []srv, intN func(int) int) []srv {
	left := slices.Clone(records)
	// Those with weight 0 stand first, which gives them a chance where the others'
	// weights are small.
	slices.SortStableFunc(left, func(a, b srv) int {
		return cmp.Or(cmp.Compare(a.priority, b.priority), cmp.Compare(min(a.weight, 1), min(b.weight, 1)))
	})
	out := make([]srv, 0, len(left))
	for len(left) > 0 {
		n, sum := 0, 0
		for n < len(left) && left[n].priority == left[0].priority {
			sum += int(left[n].weight)
			n++
		}
		draw, i := intN(sum+1), 0
		for at := int(left[0].weight); at < draw; at += int(left[i].weight) {
			i++
		}
		out = append(out, left[i])
		left = slices.Delete(left, i, i+1)
	}
	return out
}
