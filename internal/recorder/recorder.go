// Package recorder taps a running gateway: it keeps, in memory and within a bound, what happened on its connections and
// in its calls, and makes flows of it when somebody asks.
//
// Its main type is Recorder. Its methods WrapConn, Opened, Confirmed, Refused, Closed and Message are the hooks of
// sip/transport with the same meaning; KeyLog goes to trust.Options; Record takes what the b2bua says about a call.
// Readers use Flows, Flow, Wait and Subscribe.
//
// Nothing here makes a call wait: an event goes into a ring under one short lock, and when the ring is full the oldest
// go and are counted. A message costs a search for secrets, a copy and no allocation; nothing is parsed before a reader
// asks. No goroutine is started. Passwords and keys are masked before they are stored, by package redact.
//
// Handshakes are read from the bytes below TLS until both sides have given their verdict; then the wrapper steps aside
// (conn.go). Reading starts at Recorder.Message and Recorder.WrapConn.
package recorder

import (
	"cmp"
	"context"
	"io"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sallyport-sip/sallyport/internal/callflow"
	"github.com/sallyport-sip/sallyport/internal/redact"
	"github.com/sallyport-sip/sallyport/internal/store"
	"github.com/sallyport-sip/sallyport/internal/tlswire"
	"github.com/sallyport-sip/sallyport/internal/trust"
	"github.com/sallyport-sip/sallyport/sip/transport"
)

// DefaultBytes is the memory that a Recorder takes when Config does not say.
const DefaultBytes = 8 << 20

// Config says how a Recorder works. The zero value is good.
type Config struct {
	Bytes   int    // bound of the ring, 0 for DefaultBytes; the least is 64 KiB
	Gateway string // name of the gateway's lifeline, empty for "gateway"

	// KeyLog gets the secrets of every TLS connection, as lines that Wireshark reads. With them the recorded traffic
	// can be decrypted, so it is for demonstrations and tests.
	KeyLog io.Writer

	// HandshakeBytes bounds the memory of handshakes beside the ring, 0 for DefaultHandshakeBytes; the least is 64 KiB.
	HandshakeBytes int
	// Names returns the names of which a peer's certificate must have one, for the records of handshakes; nil: they have none.
	// What it returns is not changed. It is called for each handshake with a peer.
	Names func(peer string) []string
	// Side returns how we speak TLS with who calls a listener, or with a peer that we call; nil: reasons do without. It is called for
	// handshakes that fail.
	Side func(listener, peer string) trust.OurSide
	// Clock says why the clock of this machine may be wrong, empty when nothing says so; nil: nobody knows. It is called for handshakes
	// that fail.
	Clock func(time.Time) string
}

// A Recorder keeps what happened. Its methods may be called by any goroutine.
type Recorder struct {
	builder callflow.Builder
	keyLog  io.Writer
	run     string

	mu    sync.Mutex // guards ring, conns and rings
	ring  ring
	conns map[uint64]*conn // live ones
	rings map[string]*tlswire.KeyRing

	refusals map[Refusal]uint64 // guarded by mu

	names  func(peer string) []string
	side   func(listener, peer string) trust.OurSide
	clock  func(time.Time) string
	keeper atomic.Pointer[store.Store] // where handshakes are kept besides; nil: nowhere
	shakes shakes
	leaves leaves

	retention retention

	watched  atomic.Int32 // len(watchers), to be read without the lock
	watchMu  sync.Mutex   // guards watchers
	watchers map[chan struct{}]struct{}

	buildMu sync.Mutex // guards what was built last
	built   []*callflow.Flow
	builtAt uint64 // the Seq after the last event in it
	fresh   bool   // something was built
	one     one
}

// New returns a Recorder with an empty ring.
func New(cfg Config) *Recorder {
	if cfg.Bytes == 0 {
		cfg.Bytes = DefaultBytes
	}
	r := &Recorder{
		builder:  callflow.Builder{Gateway: cfg.Gateway},
		keyLog:   cfg.KeyLog,
		run:      newRun(),
		conns:    make(map[uint64]*conn),
		rings:    make(map[string]*tlswire.KeyRing),
		refusals: make(map[Refusal]uint64),
		watchers: make(map[chan struct{}]struct{}),
	}
	r.names, r.side, r.clock = cfg.Names, cfg.Side, cfg.Clock
	r.shakes.init(max(cmp.Or(cfg.HandshakeBytes, DefaultHandshakeBytes), 64<<10))
	r.ring.init(max(cfg.Bytes, 64<<10))
	return r
}

// Message keeps a SIP message that crossed c in clear. It is the Tap hook: b is copied.
func (r *Recorder) Message(c *transport.Conn, out bool, remote netip.AddrPort, at time.Time, b []byte) {
	if off {
		return
	}
	secret := redact.Has(b)
	r.mu.Lock()
	k := r.conns[c.ID()]
	if k == nil {
		k = r.meet(c)
	}
	kept := r.ring.message(k, out, remote, at, b)
	if secret {
		redact.Mask(kept)
	}
	r.mu.Unlock()
	r.tell()
}

// meet makes the record of a connection that no hook announced: a UDP socket, or a stream that was just closed. The
// caller holds mu.
func (r *Recorder) meet(c *transport.Conn) *conn {
	info := c.Info()
	k := newConn(r, info)
	if info.Transport == transport.UDP {
		r.conns[info.ID] = k
	}
	return k
}

// Record keeps what the gateway says about a call. Kind is LegCreated, RouteDecided, TargetFailed, TimedOut or Noted.
func (r *Recorder) Record(kind callflow.Kind, call callflow.Call, reason string) {
	if off {
		return
	}
	e := &callflow.Event{At: time.Now(), Kind: kind, Call: &call, Reason: redact.Text(reason)}
	r.mu.Lock()
	if k := r.conns[call.Connection]; k != nil && kind == callflow.LegCreated {
		k.calls++
		call.Nth = k.calls
	}
	r.ring.event(nil, e)
	r.mu.Unlock()
	r.tell()
}

// KeepIn also keeps handshakes in a store from now on, until it is called with nil. The store must stay open until then.
func (r *Recorder) KeepIn(s *store.Store) { r.keeper.Store(s) }

// add keeps an event of a connection.
func (r *Recorder) add(k *conn, e *callflow.Event) {
	if off {
		return
	}
	r.mu.Lock()
	r.ring.event(k, e)
	r.mu.Unlock()
	r.tell()
}

// KeyLog returns the writer for the secrets of one TLS policy; who is a listener or a peer as trust.Options has it. It
// keeps nothing but the handshake secrets of connections that are just being read, and no longer than that.
func (r *Recorder) KeyLog(who string) io.Writer { return r.keyRing(who) }

func (r *Recorder) keyRing(who string) *tlswire.KeyRing {
	r.mu.Lock()
	defer r.mu.Unlock()
	k := r.rings[who]
	if k == nil {
		k = &tlswire.KeyRing{Tee: r.keyLog, Look: r.retention.line}
		r.rings[who] = k
	}
	return k
}

// Stats says how full the ring is.
type Stats struct {
	Events  int    // in the ring
	Bytes   int    // that they take
	Bound   int    // of Bytes
	Dropped uint64 // events that had to go, or were too long to come in
}

// Stats returns the state of the ring.
func (r *Recorder) Stats() Stats {
	r.mu.Lock()
	defer r.mu.Unlock()
	return Stats{Events: r.ring.count, Bytes: r.ring.bytes(), Bound: r.ring.bound(), Dropped: r.ring.dropped}
}

// Flows returns what the ring tells, oldest first. They are shared with other readers and must not be changed.
func (r *Recorder) Flows() []*callflow.Flow {
	r.buildMu.Lock()
	defer r.buildMu.Unlock()
	if next := r.next(); !r.fresh || next != r.builtAt {
		var events []callflow.Event
		events, r.builtAt = r.snapshot()
		r.built, r.fresh = r.builder.Build(events), true
	}
	return r.built
}

// patience is how long Wait lets events gather before it looks at the flows again.
const patience = 5 * time.Millisecond

// Wait returns nil as soon as done is true of the flows, and the error of ctx when that ends first.
func (r *Recorder) Wait(ctx context.Context, done func([]*callflow.Flow) bool) error {
	news, stop := r.Subscribe()
	defer stop()
	for !done(r.Flows()) {
		select {
		case <-news:
		case <-ctx.Done():
			return ctx.Err()
		}
		select {
		case <-time.After(patience):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// Subscribe returns a channel that receives when something new is in the ring: once for any number of events, until
// stop is called.
func (r *Recorder) Subscribe() (news <-chan struct{}, stop func()) {
	c := make(chan struct{}, 1)
	r.watchMu.Lock()
	r.watchers[c] = struct{}{}
	r.watched.Store(int32(len(r.watchers)))
	r.watchMu.Unlock()
	return c, func() {
		r.watchMu.Lock()
		delete(r.watchers, c)
		r.watched.Store(int32(len(r.watchers)))
		r.watchMu.Unlock()
	}
}

// tell wakes the subscribers. A full channel has its news already.
func (r *Recorder) tell() {
	if r.watched.Load() == 0 {
		return
	}
	r.watchMu.Lock()
	defer r.watchMu.Unlock()
	for c := range r.watchers {
		select {
		case c <- struct{}{}:
		default:
		}
	}
}
