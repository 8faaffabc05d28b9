// Package relay passes requests from one peer to another that belong to no call:
// MESSAGE (RFC 3428), OPTIONS to somebody behind the gateway, PUBLISH (RFC 3903),
// and SUBSCRIBE with the NOTIFYs that follow it (RFC 6665); where a profile
// allows it, also REFER, NOTIFY and INFO outside of any dialog.
//
// Engine holds what all shards share and gives each shard its own requests.
// Reading starts at Engine.Start, which takes a request that has passed every
// check, and goes on in request.go (which target is asked), attempt.go (one target
// and its answer), subscription.go (the dialogs that a SUBSCRIBE makes), crossing.go
// (requests inside them) and ending.go. What crosses is decided in package cross.
//
// As in a call, each side has a Call-ID, tags and a Contact of its own: of one
// peer's side nothing shows on the other.
//
// No request but INVITE gets a 408 (RFC 4320 §4.2): when nobody has answered in
// 64*T1, neither does the gateway. A 100 is sent by the server transaction, when
// RFC 4320 §4.1 wants it.
//
// Everything belongs to one shard and runs in its goroutine: no locks, and nothing
// here blocks. The package starts no goroutine.
package relay

import (
	"errors"
	"log/slog"
	"sync/atomic"

	"github.com/sallyport-sip/sallyport/internal/callflow"
	"github.com/sallyport-sip/sallyport/internal/cross"
	"github.com/sallyport-sip/sallyport/internal/peer"
	"github.com/sallyport-sip/sallyport/sip"
	"github.com/sallyport-sip/sallyport/sip/dialog"
	"github.com/sallyport-sip/sallyport/sip/transport"
	"github.com/sallyport-sip/sallyport/sip/ua"
)

// Ways are what an Engine needs of its surroundings.
type Ways interface {
	cross.Ways
	// From says whether a packet came from a peer, as the peer was configured
	// when the subscription began.
	From(p *peer.Peer, packet *transport.Packet) bool
	// Record keeps an event for the flow of what is relayed.
	Record(kind callflow.Kind, call callflow.Call, reason string)
	// NextNumber numbers what is relayed, and calls, each differently.
	NextNumber() uint64
}

// Engine relays requests.
type Engine struct {
	ways   Ways
	log    *slog.Logger
	shards []*home
	open   atomic.Int64 // requests without a final response

	subscriptions atomic.Int64
	counts        counts
}

// home is what one shard holds.
type home struct {
	engine *Engine
	legs   map[string]*leg // by our tag: those towards targets, and those of subscriptions

	requests      map[*request]struct{} // outside of dialogs, without a final response
	subscriptions map[*subscription]struct{}
}

// leg is one side of what is relayed: the peer that a request came from, or one
// that it goes to. Owned by the shard.
type leg struct {
	cross.Hop
	number uint64
	out    bool // we asked the peer
	callID string
	tag    string // ours

	sub    *subscription  // whose leg it is; nil: no request inside a dialog is taken
	dialog *dialog.Dialog // with the peer; nil while there is none
	uac    *dialog.UAC    // of a leg out: the request that makes it
}

// across is for what crosses to the leg from another one.
func (l *leg) across(from *leg) cross.Sides {
	return cross.Sides{From: from.Peer, To: l.Peer, Place: l.Place, Near: &from.Session, Far: &l.Session}
}

// New returns an engine for a server with that many shards.
func New(ways Ways, log *slog.Logger, shards int) *Engine {
	e := &Engine{ways: ways, log: log, shards: make([]*home, shards)}
	for i := range e.shards {
		e.shards[i] = &home{engine: e, legs: make(map[string]*leg),
			requests: make(map[*request]struct{}), subscriptions: make(map[*subscription]struct{}),
		}
	}
	return e
}

// Open returns how many requests have no final response yet.
func (e *Engine) Open() int { return int(e.open.Load()) }

// Subscriptions returns how many subscriptions there are.
func (e *Engine) Subscriptions() int { return int(e.subscriptions.Load()) }

// AnyUpTo says whether a subscription of a shard began no later than what has a
// number.
func (e *Engine) AnyUpTo(s *ua.Shard, number uint64) bool {
	for b := range e.shards[s.Index()].subscriptions {
		if b.number <= number {
			return true
		}
	}
	return false
}

// Request is a request outside of any dialog that has passed every check.
type Request struct {
	Tx      *ua.ServerTx
	Packet  *transport.Packet
	From    *peer.Peer
	Targets []*peer.Peer
	Secure  bool   // the Request-URI is a sips: one
	SIPS    bool   // the sender's side of the dialog that it makes is sips:
	Hops    int    // Max-Forwards for the next hop
	Why     string // the route decision, for the flow
}

// Looped says whether a new request is one of our own that came back: its Call-ID
// and From tag are those of a leg towards a target (RFC 3261 §8.2.2.2, §16.3).
func (e *Engine) Looped(s *ua.Shard, m *sip.Message) bool {
	from, err := m.From()
	if err != nil {
		return false
	}
	l := e.shards[s.Index()].legs[string(from.Tag())]
	return l != nil && l.out && string(m.CallID()) == l.callID
}

// Refused records a request that is not relayed, and why.
func (e *Engine) Refused(p *transport.Packet, from *peer.Peer, why Outcome, err error) {
	e.counts.add(p.Msg.Method(), why)
	l := &leg{Hop: cross.Hop{Peer: from, Flow: ua.Flow{Conn: p.Conn}}, number: e.ways.NextNumber(), callID: string(p.Msg.CallID())}
	e.record(callflow.LegCreated, l, 0, string(p.Msg.Method())+" from "+from.Name)
	if status, ok := errors.AsType[*sip.StatusError](err); ok && status.Err != nil {
		err = status.Err
	}
	e.record(callflow.Noted, l, 0, err.Error())
}

// record keeps an event of a leg.
func (e *Engine) record(kind callflow.Kind, l *leg, code int, reason string) {
	ev := callflow.Call{Request: true, Number: l.number, Direction: callflow.In, CallID: l.callID, Peer: l.Peer.Name, Code: code}
	if l.out {
		ev.Direction = callflow.Out
	}
	if l.Flow.Conn != nil {
		ev.Connection = l.Flow.Conn.ID()
	}
	e.ways.Record(kind, ev, reason)
}

// Kept returns how many requests and subscriptions a shard holds, and by how many
// tags legs are found.
func (e *Engine) Kept(s *ua.Shard) (held, tags int) {
	h := e.shards[s.Index()]
	return len(h.requests) + len(h.subscriptions), len(h.legs)
}
