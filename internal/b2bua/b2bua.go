// Package b2bua joins two legs into a call (RFC 3261, RFC 7092: a signalling
// back-to-back user agent).
//
// Engine holds what all calls share and gives each shard its own calls; Call is
// one call, Leg one side of it. Reading starts at Engine.Start, which takes an
// INVITE, and goes on in setup.go (the caller's side), failover.go (which target
// is asked), attempt.go (one target and its answers), cancel.go, answer.go (the
// 2xx and its ACK), ackwatch.go (why none comes), crossing.go (requests inside the dialogs), teardown.go,
// farewell.go (BYE and CANCEL until they are answered) and stray.go (what comes too
// late). What crosses is decided in headers.go; limits.go has the limits of peers, and
// facts.go makes the record of a call.
//
// Everything of a call belongs to one shard and runs in its goroutine: no
// locks, and nothing here blocks. The package starts no goroutine.
package b2bua

import (
	"fmt"
	"log/slog"
	"sync/atomic"

	"github.com/sallyport-sip/sallyport/internal/callflow"
	"github.com/sallyport-sip/sallyport/internal/cross"
	"github.com/sallyport-sip/sallyport/internal/events"
	"github.com/sallyport-sip/sallyport/internal/peer"
	"github.com/sallyport-sip/sallyport/internal/store"
	"github.com/sallyport-sip/sallyport/sip"
	"github.com/sallyport-sip/sallyport/sip/transport"
	"github.com/sallyport-sip/sallyport/sip/ua"
)

// Ways are what an Engine needs of its surroundings.
type Ways interface {
	cross.Ways
	// From says whether a packet came from a peer, as the peer was configured
	// when the call began.
	From(p *peer.Peer, packet *transport.Packet) bool
	// Record keeps an event of a call for its flow.
	Record(kind callflow.Kind, call callflow.Call, reason string)

	// NewID names a call for its record.
	NewID() string
	// CDR keeps the record of a call, in place of an earlier one with its ID. It
	// copies what it needs.
	CDR(r *store.CDR)
	// CDRDurable does the same and calls done in the shard once the record would
	// survive a power cut, or cannot for now. Where nobody has asked for that,
	// done is called before CDRDurable returns.
	CDRDurable(s *ua.Shard, r *store.CDR, done func(*ua.Shard))
	// TLS describes the TLS of a connection, nil when it has none.
	TLS(c *transport.Conn) *callflow.TLS
}

// Engine makes and holds calls.
type Engine struct {
	ways    Ways
	log     *slog.Logger
	shards  []*calls
	numbers atomic.Uint64
	live    atomic.Int64

	verdicts verdicts
	times    times
	missing  missing
}

// calls are those of one shard.
type calls struct {
	tags map[string]*Leg // by each tag that we gave to a dialog of the leg
	all  map[*Call]struct{}

	astray map[string]*astray // by our tag; see stray.go
	unack  map[string]*answer // whose 2xx was sent again, by Call-ID; see ackwatch.go

	owing map[*peer.Peer]*owing // farewells to peers out of reach
	owed  int                   // how many they are together

	ways  Ways
	shard *ua.Shard         // set by its first call
	links map[linkKey]*link // see calls.link
	row   store.CDR         // see calls.blank
	event events.Event      // see Call.event
}

// New returns an engine for a server with that many shards.
func New(ways Ways, log *slog.Logger, shards int) *Engine {
	e := &Engine{ways: ways, log: log, shards: make([]*calls, shards)}
	for i := range e.shards {
		e.shards[i] = &calls{
			tags: make(map[string]*Leg), all: make(map[*Call]struct{}),
			astray: make(map[string]*astray), owing: make(map[*peer.Peer]*owing),
			ways: ways, links: make(map[linkKey]*link), unack: make(map[string]*answer),
		}
	}
	return e
}

// NextNumber numbers a call, or what is relayed beside calls.
func (e *Engine) NextNumber() uint64 { return e.numbers.Add(1) }

// LastNumber is the greatest number so far.
func (e *Engine) LastNumber() uint64 { return e.numbers.Load() }

// Live returns how many calls there are. One whose last BYE is answered does
// not count, though it is kept for messages that come late.
func (e *Engine) Live() int { return int(e.live.Load()) }

// find returns the dialog that an in-dialog request is for: its To tag is one
// of ours, Call-ID and From tag fit (RFC 3261 §12.2.2), and it came from the
// leg's peer. Anything else is as good as no dialog.
func (e *Engine) find(s *ua.Shard, p *transport.Packet) *fork {
	to, err := p.Msg.To()
	if err != nil {
		return nil
	}
	l := e.shards[s.Index()].tags[string(to.Tag())]
	if l == nil || string(p.Msg.CallID()) != l.callID {
		return nil
	}
	from, err := p.Msg.From()
	if err != nil {
		return nil
	}
	f := l.fork(to.Tag(), from.Tag())
	if f == nil {
		return nil
	}
	if !l.is(p) {
		e.log.Warn("request in a dialog of another peer refused", "call", l.call.Number, "peer", l.Peer.Name, "source", p.Source)
		return nil
	}
	return f
}

// Looped says whether a new INVITE is one of our own that came back: its
// Call-ID and From tag are those of a leg that we called out on.
func (e *Engine) Looped(s *ua.Shard, m *sip.Message) bool {
	from, err := m.From()
	if err != nil {
		return false
	}
	l := e.shards[s.Index()].tags[string(from.Tag())]
	return l != nil && l.out && string(m.CallID()) == l.callID
}

// InDialog deals with a request inside a dialog, that is with a To tag.
func (e *Engine) InDialog(s *ua.Shard, tx *ua.ServerTx, p *transport.Packet) {
	if f := e.find(s, p); f != nil {
		f.leg.call.request(s, f, tx, p)
		return
	}
	s.Reply(tx, &sip.StatusError{Code: 481})
}

// Ack deals with the ACK to a 2xx.
func (e *Engine) Ack(s *ua.Shard, p *transport.Packet) {
	f := e.find(s, p)
	switch {
	case f == nil:
		e.shards[s.Index()].stranger(p)
	case f.leg.Secure && !p.Conn.Transport().Secure():
		e.shards[s.Index()].refused(f.leg.callID, fmt.Sprintf("the call is sips:, and it came over %v", p.Conn.Transport()))
	default:
		f.leg.call.acknowledged(s, f, p.Msg)
	}
}

// Shutdown ends calls of one shard, most at a time: those without an answer with
// 503 and CANCEL, the others with BYE. It says whether there are more: to end
// thousands in one go would hold the shard, and ask a connection to hold more
// than it may.
func (e *Engine) Shutdown(s *ua.Shard, most int) (more bool) {
	for c := range e.shards[s.Index()].all {
		if c.state == over {
			continue
		}
		if most == 0 {
			return true
		}
		most--
		c.end(s, nil, "the gateway stops")
	}
	return false
}

// Kept returns how many calls of a shard are kept and by how many tags they are
// found, calls that are over and wait for late messages included, and how many
// INVITEs without a transaction may still be answered.
func (e *Engine) Kept(s *ua.Shard) (calls, tags, astray int) {
	c := e.shards[s.Index()]
	return len(c.all), len(c.tags), len(c.astray)
}
