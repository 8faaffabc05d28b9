package callflow

import (
	"fmt"
	"hash/fnv"
	"net/netip"
	"slices"
	"strconv"
	"time"
)

// A Builder makes flows of events. Its zero value is ready.
type Builder struct {
	Gateway string // what the gateway's lifeline is called; empty means "gateway"
}

// Build makes the flows that a sequence of events tells, in the order of their first events. Events must be ordered by
// Seq. The beginning may be missing, as in a ring that dropped its oldest: what is left is told as far as it goes.
//
// The work is done in three walks. The first finds the legs that the gateway's records name. The second gives each
// message to its leg and each connection to the call that first used it or that had it dialled. The third draws the rows.
func (b Builder) Build(events []Event) []*Flow { return b.build(events, false) }

// build is Build; some says that the events are only those of some flows, so that the calls on a connection cannot be counted.
func (b Builder) build(events []Event, some bool) []*Flow {
	w := walk{
		gateway: b.Gateway,
		some:    some,
		conns:   map[uint64]*conn{},
		legs:    map[string][]*leg{},
		numbers: map[uint64]*call{},
	}
	if w.gateway == "" {
		w.gateway = "gateway"
	}
	for i := range events {
		if e := &events[i]; e.Kind == LegCreated && e.Call != nil {
			l := w.addLeg(w.numbered(e), e)
			if e.Call.Nth > l.nth {
				l.nth, l.nthOn = e.Call.Nth, e.Call.Connection
			}
		}
	}
	for i := range events {
		w.step(&events[i])
	}
	w.ownRefused()
	var flows []*Flow
	for _, c := range w.calls {
		if f := w.draw(c); f != nil {
			flows = append(flows, f)
		}
	}
	w.relate()
	slices.SortStableFunc(flows, func(a, b *Flow) int { return a.Start.Compare(b.Start) })
	return flows
}

// walk is the state of one Build.
type walk struct {
	gateway string
	some    bool
	calls   []*call
	numbers map[uint64]*call
	legs    map[string][]*leg // by Call-ID
	conns   map[uint64]*conn
	order   []*conn // as they appeared
}

// A call under construction.
type call struct {
	flow    *Flow
	legs    []*leg
	rows    []draft
	joined  bool
	used    map[uint64]bool // connections it has a reuse row for, or opened
	from    string
	to      string
	last    time.Time
	gateway int // index of the gateway's lifeline
	names   []naming
}

// A draft is a row that still names its leg and not its lifelines.
type draft struct {
	Row
	leg  *leg
	conn *conn // of a message
	sip  *message
	out  bool // an arrow from the gateway to the leg's peer; else from the peer
	note bool // words, not an arrow
	weak bool // a failed target: not drawn when a refused hop or an answer tells more
}

// A leg under construction.
type leg struct {
	*Leg
	call    *call
	conn    *conn
	created uint64 // Seq of its record, 0 when there is none
	nth     int    // which call on its connection this is, as its record says; 0 when it does not
	nthOn   uint64 // that connection
	seen    map[string]int
	invite  invite
	ask     ask            // of what is no call
	remote  netip.AddrPort // of its first message, for UDP
	session string         // the UUID of who called, as its requests have it
	why     string         // what its record says
	failure string         // why its target failed, when no message tells
	code    int            // the status that the failure means
}

// A conn is a connection with all its events.
type conn struct {
	link    *Link
	events  []*Event
	owner   *call
	leg     *leg
	used    bool // a SIP message crossed it
	calls   int
	opened  *Event
	ready   *Event
	refused *Event
	closed  *Event
	judged  []*Verdict
}

func (w *walk) newCall(id string) *call {
	c := &call{flow: &Flow{ID: id}, used: map[uint64]bool{}}
	w.calls = append(w.calls, c)
	return c
}

// numbered is the call that an event of the gateway is about.
func (w *walk) numbered(e *Event) *call {
	c := w.numbers[e.Call.Number]
	if c == nil {
		c = w.newCall(strconv.FormatUint(e.Call.Number, 10))
		c.joined = true
		w.numbers[e.Call.Number] = c
	}
	return c
}

func (w *walk) addLeg(c *call, e *Event) *leg {
	for _, l := range w.legs[e.Call.CallID] {
		if l.call == c && l.Direction == e.Call.Direction && l.Peer == e.Call.Peer && l.CallID == e.Call.CallID {
			return l
		}
	}
	return w.newLeg(c, e.Call.Direction, e.Call.Peer, e.Call.CallID, e.Seq)
}

func (w *walk) newLeg(c *call, d Direction, peer, callID string, seq uint64) *leg {
	l := &leg{
		Leg:  &Leg{Name: legName(len(c.legs)), Direction: d, Peer: peer, CallID: callID},
		call: c, created: seq, seen: map[string]int{},
	}
	c.legs = append(c.legs, l)
	if callID != "" {
		w.legs[callID] = append(w.legs[callID], l)
	}
	return l
}

// legName is A to Z, then A2 and so on.
func legName(i int) string {
	s := string(rune('A' + i%26))
	if i >= 26 {
		s += strconv.Itoa(i/26 + 1)
	}
	return s
}

// step gives one event to whom it concerns.
func (w *walk) step(e *Event) {
	switch e.Kind {
	case Message:
		w.message(e)
	case LegCreated, RouteDecided, TargetFailed, TimedOut, Noted, Assessed:
		if e.Call != nil {
			w.record(e)
		}
	default:
		if e.Link != nil {
			w.connection(e)
		}
	}
}

func (w *walk) connOf(l *Link) *conn {
	c := w.conns[l.ID]
	if c == nil {
		c = &conn{link: l}
		w.conns[l.ID] = c
		w.order = append(w.order, c)
	}
	c.link = l
	return c
}

func (w *walk) connection(e *Event) {
	c := w.connOf(e.Link)
	c.events = append(c.events, e)
	switch e.Kind {
	case Opened:
		c.opened = e
		w.dialled(c)
	case Ready:
		c.ready = e
	case Refused:
		c.refused = e
		if c.opened == nil {
			w.dialled(c)
		}
	case Closed:
		c.closed = e
	case Judged:
		c.judged = append(c.judged, e.Verdict)
	}
}

// dialled gives a connection that the gateway began to the call that has waited longest for one to that peer.
func (w *walk) dialled(c *conn) {
	if c.link.Inbound || c.link.Peer == "" || c.owner != nil {
		return
	}
	for _, k := range w.calls {
		for _, l := range k.legs {
			if l.conn == nil && l.Direction == Out && l.Peer == c.link.Peer && l.begun() && l.failure == "" {
				w.own(c, l)
				return
			}
		}
	}
}

// begun reports whether the walk has passed the leg's record.
func (l *leg) begun() bool { return l.invite.recorded }

func (w *walk) own(c *conn, l *leg) {
	c.owner, c.leg = l.call, l
	l.call.used[c.link.ID] = true
	c.calls = max(c.calls, 1)
	if l.conn == nil {
		l.conn = c
	}
}

// ownRefused makes a flow of each refused connection that belongs to no call. It is the end of the second walk.
func (w *walk) ownRefused() {
	for _, c := range w.order {
		c.settleOrder()
		if c.refused == nil || c.owner != nil || c.used {
			continue
		}
		k := w.newCall("conn-" + strconv.FormatUint(c.link.ID, 10))
		d := Out
		if c.link.Inbound {
			d = In
		}
		w.own(c, w.newLeg(k, d, c.link.Peer, "", 0))
	}
}

// Unjoined names the flow of a Call-ID that no record of the gateway knows to be of a call. The name is the same however often it is built.
func Unjoined(callID string) string {
	h := fnv.New32a()
	h.Write([]byte(callID))
	return fmt.Sprintf("leg-%08x", h.Sum32())
}
