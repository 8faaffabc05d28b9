package b2bua

import (
	"time"

	"github.com/sallyport-sip/sallyport/internal/callflow"
	"github.com/sallyport-sip/sallyport/sip/ua"
)

// CallInfo is what there is to see of a live call. It is a copy.
type CallInfo struct {
	Number uint64
	ID     string // as in its record
	State  string // "trying" until somebody answers, then "answered"
	Since  time.Time
	Caller string
	Called string
	From   string // the peer that calls
	To     string // the peer that is called; empty while none is
	Route  string // which decided

	Answered time.Time // zero until then
	In, Out  LegInfo   // Out is empty while no target is connected
	Security *callflow.Security
}

// LegInfo is the connection of one leg: the one that the next request in its
// dialogs leaves on, if that is still open.
type LegInfo struct {
	Connection uint64
	Transport  string
	Remote     string
	CallID     string
}

func (l *Leg) info() LegInfo {
	if l == nil || l.Flow.Conn == nil {
		return LegInfo{}
	}
	k := l.call.calls.link(l.Flow)
	return LegInfo{Connection: k.id, Transport: k.transport, Remote: k.remote, CallID: l.callID}
}

// LiveCalls returns the live calls of a shard, in no order. Of each only the
// Number may be read elsewhere.
func (e *Engine) LiveCalls(s *ua.Shard) []*Call {
	all := make([]*Call, 0, len(e.shards[s.Index()].all))
	for c := range e.shards[s.Index()].all {
		if c.live() {
			all = append(all, c)
		}
	}
	return all
}

func (c *Call) live() bool { return !c.gone && c.state != over && c.in != nil }

// Snapshot returns what there is to see of calls, in their shard. Those that have
// ended meanwhile are left out.
func Snapshot(calls []*Call) []CallInfo {
	all := make([]CallInfo, 0, len(calls))
	for _, c := range calls {
		if c.live() {
			all = append(all, c.info())
		}
	}
	return all
}

func (c *Call) info() CallInfo {
	info := CallInfo{
		Number: c.Number, ID: c.facts.id, State: "trying", Since: c.facts.began, Caller: c.facts.caller, Called: c.facts.called,
		From: c.in.Peer.Name, Route: c.facts.route, In: c.in.info(), Out: c.out.info(), Security: c.security(),
	}
	if c.state == answered {
		info.State, info.Answered = "answered", c.facts.answered
	}
	if c.out != nil {
		info.To = c.out.Peer.Name
	}
	return info
}
