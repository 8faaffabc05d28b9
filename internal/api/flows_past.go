package api

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sallyport-sip/sallyport/internal/callflow"
	"github.com/sallyport-sip/sallyport/internal/filter"
	"github.com/sallyport-sip/sallyport/internal/store"
)

// searchWithin is how long one request may search the records of calls.
const searchWithin = 2 * time.Second

// A place is where a line stands in the list of all flows. A flow in memory stands at its start. A record stands at the time of its own
// id, which counts up even when the clock goes back, so that those that follow a place are always the same ones.
type place struct {
	nanos int64 // since 1970
	id    string
}

func placeOf(s *callflow.Summary) place { return place{s.Start.UnixNano(), s.ID} }

// recordPlace is that of a record of a call or of a handshake, by its id in the store.
func recordPlace(id string) place {
	n, _ := store.ParseID(id)
	return place{store.IDTime(n).UnixNano(), id}
}

// cursor writes a place as before= has it.
func (p place) cursor() string { return strconv.FormatInt(p.nanos, 10) + "-" + p.id }

// newer orders places as the list does.
func (p place) newer(o place) int {
	return cmp.Or(cmp.Compare(o.nanos, p.nanos), strings.Compare(o.id, p.id))
}

// record is the id before which all records stand that follow a place.
func (p place) record() string {
	if n, ok := store.ParseID(p.id); ok && store.IDTime(n).UnixNano() == p.nanos {
		return p.id
	}
	return store.FirstID(time.Unix(0, p.nanos).Add(time.Millisecond))
}

// A listed flow is a line with its place.
type listed struct {
	line callflow.Summary
	at   place
}

// A flowSearch puts together one page of the list: of the flows in memory, and of the records of calls and handshakes that memory has not
// or no longer. It belongs to its request's goroutine.
type flowSearch struct {
	*Server
	*flowQuery
	ctx   context.Context
	found []listed
	calls map[string]bool // ids of the calls in memory
	conns map[uint64]bool // numbers of the connections that a flow in memory tells of
	cut   *place          // the place up to which all was looked at; nil: to the end, or far enough
}

// searchFlows is the page that a query wants.
func (s *Server) searchFlows(ctx context.Context, q *flowQuery) (*FlowList, error) {
	f := &flowSearch{Server: s, flowQuery: q, ctx: ctx, calls: map[string]bool{}, conns: map[uint64]bool{}}
	// What leaves memory after this has been recorded before.
	f.memory()
	if err := f.records(); err != nil {
		return nil, err
	}
	if err := f.handshakes(); err != nil {
		return nil, err
	}
	return f.page(), nil
}

// page is what was found, in order and as much as is wanted.
func (f *flowSearch) page() *FlowList {
	doc := &FlowList{Version: 1, Flows: []callflow.Summary{}, Dropped: f.gateway.Recorder().Stats().Dropped}
	slices.SortFunc(f.found, func(a, b listed) int { return a.at.newer(b.at) })
	for i := range f.found {
		l := &f.found[i]
		if f.cut != nil && l.at.newer(*f.cut) > 0 { // calls may stand before it that nobody has looked at
			break
		}
		if len(doc.Flows) == f.limit {
			doc.Next = f.found[i-1].at.cursor()
			return doc
		}
		doc.Flows = append(doc.Flows, l.line)
	}
	if f.cut != nil {
		doc.Cut, doc.Next = true, f.cut.cursor()
	}
	return doc
}

func (f *flowSearch) add(line callflow.Summary, at place) {
	if f.before == nil || f.before.newer(at) < 0 {
		f.found = append(f.found, listed{line, at})
	}
}

// memory takes the flows in memory.
func (f *flowSearch) memory() {
	for _, flow := range f.gateway.Recorder().Flows() {
		one := callflow.Summarize(flow)
		one.ID = f.permanent(one.ID)
		f.calls[one.ID] = true
		for _, l := range flow.Legs {
			if l.Hop.Link != nil && l.Hop.Refused {
				f.conns[l.Hop.Link.ID] = true
			}
		}
		if f.filter.Flow(flow) {
			f.add(one, placeOf(&one))
		}
	}
}

// records takes the calls that are recorded, until there are enough or it has taken long.
func (f *flowSearch) records() error {
	end, enough, n := time.Now().Add(f.searchWithin), f.limit+1, 0
	over := func(before string) bool {
		if f.ctx.Err() == nil && time.Now().Before(end) {
			return false
		}
		at := recordPlace(before)
		f.cut = &at
		return true
	}
	want := f.filter.Calls()
	want.Look = func(before string) bool { return !over(before) }
	if f.before != nil {
		want.Before = f.before.record()
	}
	for c, err := range f.gateway.Records(want) {
		if err != nil {
			return err
		}
		if line := callLine(c); !f.calls[line.ID] && f.filter.Call(c) {
			line.Live = !line.Done && c.Run == f.gateway.Recorder().Run()
			f.add(line, recordPlace(c.ID))
			n++
		}
		if n == enough || over(c.ID) {
			break
		}
	}
	return f.ctx.Err()
}

// handshakes takes the recorded handshakes that came to nothing and belong to no call.
func (f *flowSearch) handshakes() error {
	want := f.filter.NarrowHandshakes(callflow.HandshakeFilter{Failed: true})
	if f.before != nil { // it begins before its record has an id
		if at := time.Unix(0, f.before.nanos+1); want.Until.IsZero() || at.Before(want.Until) {
			want.Until = at
		}
	}
	for some := 2*f.limit + len(f.conns) + 1; ; some *= 4 {
		want.Limit = some
		all, err := f.gateway.Handshakes(want)
		if err != nil {
			return err
		}
		n, base := 0, len(f.found)
		for _, h := range all {
			if h.Run == "" || h.Run == f.gateway.Recorder().Run() && f.conns[h.Connection] {
				continue
			}
			flow := h.Flow("gateway")
			flow.ID = fmt.Sprintf("%s-conn-%d", h.Run, h.Connection)
			if !f.filter.Flow(flow) || f.ofCall(h) {
				continue
			}
			f.add(callflow.Summarize(flow), recordPlace(h.ID))
			n = len(f.found) - base
		}
		if len(all) < some || n > f.limit || f.ctx.Err() != nil {
			return f.ctx.Err()
		}
		f.found = f.found[:base]
	}
}

// ofCall reports whether a handshake was made for a call, whose flow tells it.
func (f *flowSearch) ofCall(h *callflow.Handshake) bool {
	if h.Role != callflow.RoleClient || h.Peer == "" || h.Code == "" {
		return false
	}
	const longest = time.Minute // that a target is tried
	calls := f.gateway.Records(store.Filter{Peer: h.Peer, Reason: h.Code, Since: h.At.Add(-longest), Until: h.At.Add(time.Millisecond)})
	for c, err := range calls {
		if err != nil {
			return false
		}
		if slices.ContainsFunc(c.Out, func(l store.Leg) bool { return l.Reason == h.Code && l.Remote == h.Remote.String() }) {
			return true
		}
	}
	return false
}

// callLine is the line of a call by its record.
func callLine(c *store.CDR) callflow.Summary {
	s := callflow.Summary{
		ID: cmp.Or(c.Flow(), c.ID), Number: c.Call, State: filter.StateOf(c), From: c.Caller, To: c.Called, Start: c.Began.UTC(), Done: c.State.Over(),
		Peers: []string{}, Legs: 1 + len(c.Out), Security: c.Verdict, Hops: []string{}, Findings: []string{},
	}
	if !c.Answered.IsZero() {
		s.SetupMicros = c.Answered.Sub(c.Began).Microseconds()
		if !c.Ended.IsZero() {
			s.DurationMicros = c.Ended.Sub(c.Answered).Microseconds()
		}
	}
	leg := func(l *store.Leg) {
		if l.Peer != "" && !slices.Contains(s.Peers, l.Peer) {
			s.Peers = append(s.Peers, l.Peer)
		}
		s.Hops = append(s.Hops, hopWord(l))
		s.Reason = cmp.Or(s.Reason, l.Reason)
	}
	leg(&c.In)
	for i := range c.Out {
		leg(&c.Out[i])
	}
	s.Sentence = callSentence(c)
	return s
}

// hopWord is callflow's Hop.Word of a leg of a record.
func hopWord(l *store.Leg) string {
	h := callflow.Hop{Refused: l.Reason != ""}
	if l.Transport != "" {
		h.Link = &callflow.Link{Transport: l.Transport}
	}
	if t := l.TLS; t != nil {
		h.Link.TLS = &callflow.TLS{Version: t.Version, Mutual: t.Mutual}
	}
	if h.Link == nil && h.Refused {
		h.Link = &callflow.Link{Transport: "tls"}
	}
	return h.Word()
}

// callSentence is how a recorded call came out, in words.
func callSentence(c *store.CDR) string {
	why := ""
	if c.Cause.Text != "" {
		why = ": " + c.Cause.Text
	}
	switch c.State {
	case store.Opened:
		return "No answer yet"
	case store.Answered:
		return "Answered"
	case store.Ended:
		return "Ended by the " + cmp.Or(c.EndedBy, "gateway") + why
	case store.Cancelled:
		return "Cancelled by the caller"
	case store.Interrupted:
		return "Interrupted" + why
	}
	return fmt.Sprintf("Refused with %d", c.Cause.SIP) + why
}
