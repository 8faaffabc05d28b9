package resolve

import (
	"fmt"
	"net/netip"
	"strings"
	"time"
)

// Event is one thing that a walk did, for whoever wants to see why it leads where
// it leads: a question with its answer, or a choice.
type Event struct {
	Question string        // "SRV _sips._tcp.example.com"; empty for a choice
	Records  []string      // the answer as a zone file has it: "10 60 5061 gw.example.com"
	Took     time.Duration // hardly anything when the cache knew it
	Err      error         // why there is no answer
	Choice   string        // what follows, in words
}

// chose tells of a choice.
func (w *Walk) chose(format string, args ...any) {
	if w.query.Trace != nil && !w.cached {
		w.query.Trace(Event{Choice: fmt.Sprintf(format, args...)})
	}
}

// answered tells of a question. Choices that were made from the cache alone are
// not told.
func (w *Walk) answered(q question, a answer, err error, took time.Duration) {
	if w.query.Trace == nil || waits(err) {
		return
	}
	e := Event{Question: kindName(q.kind) + " " + q.name, Took: took, Err: err}
	if err == nil {
		e.Records = a.records(q.kind)
	}
	w.query.Trace(e)
}

// records writes an answer as zone files do.
func (a answer) records(kind uint16) (out []string) {
	switch kind {
	case typeNAPTR:
		for _, n := range a.naptrs {
			regexp := `""`
			if n.regexp {
				regexp = `"…"`
			}
			out = append(out, fmt.Sprintf("%d %d %q %q %s %s", n.order, n.preference, n.flags, n.service, regexp, n.replacement))
		}
	case typeSRV:
		for _, s := range a.srvs {
			out = append(out, fmt.Sprintf("%d %d %d %s", s.priority, s.weight, s.port, s.target))
		}
	default:
		for _, addr := range a.addrs {
			out = append(out, addr.String())
		}
	}
	return out
}

// names joins the hosts in their order.
func names(hosts []place) string {
	var out []string
	for _, h := range hosts {
		out = append(out, fmt.Sprintf("%s:%d", h.host, h.port))
	}
	return strings.Join(out, ", then ")
}

// inOrder joins addresses.
func inOrder(addrs []netip.Addr) string {
	var out []string
	for _, a := range addrs {
		out = append(out, a.String())
	}
	return strings.Join(out, ", then ")
}
