package resolve

import (
	"cmp"
	"slices"
	"strings"
)

// naptr is a NAPTR record (RFC 3403 §4.1).
type naptr struct {
	order, preference uint16
	flags, service    string
	regexp            bool   // it has one
	replacement       string // the name of SRV records
}

// chosen is a transport and the name of its SRV records.
type chosen struct {
	protocol
	srv string
}

// choose returns what NAPTR records offer that will do, in order: of the lowest
// order only (RFC 3403 §4.1: a client "MUST NOT consider any NAPTRs with a
// higher value" once it found one), then by preference, then as we like best.
// What has another flag than "s", or a regular expression, is not for SIP
// (RFC 3263 §4.1).
func choose(records []naptr, accepted []protocol) []chosen {
	records = slices.Clone(records)
	like := func(n naptr) int {
		return slices.IndexFunc(accepted, func(p protocol) bool { return strings.EqualFold(n.service, p.service) })
	}
	records = slices.DeleteFunc(records, func(n naptr) bool {
		return !strings.EqualFold(n.flags, "s") || n.regexp || n.replacement == "." || like(n) < 0
	})
	slices.SortStableFunc(records, func(a, b naptr) int {
		return cmp.Or(cmp.Compare(a.order, b.order), cmp.Compare(a.preference, b.preference), cmp.Compare(like(a), like(b)))
	})
	var out []chosen
	for _, n := range records {
		if n.order == records[0].order {
			out = append(out, chosen{accepted[like(n)], n.replacement})
		}
	}
	return out
}
