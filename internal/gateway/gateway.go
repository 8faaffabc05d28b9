// Package gateway puts the parts together: it is the composition root.
//
// Its main type is Gateway. Reading starts at New, which compiles a
// configuration into one immutable snapshot (build.go); run.go opens, drains and
// closes it, reload.go puts another snapshot in its place, renew.go takes changed
// certificate files, serve.go has the one
// switch over requests, and ways.go reaches peers. Most goroutines of the gateway
// are those of its ua.Server; Close waits for all.
package gateway

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sallyport-sip/sallyport/internal/acme"
	"github.com/sallyport-sip/sallyport/internal/b2bua"
	"github.com/sallyport-sip/sallyport/internal/callflow"
	"github.com/sallyport-sip/sallyport/internal/config"
	"github.com/sallyport-sip/sallyport/internal/events"
	"github.com/sallyport-sip/sallyport/internal/guard"
	"github.com/sallyport-sip/sallyport/internal/history"
	"github.com/sallyport-sip/sallyport/internal/peer"
	"github.com/sallyport-sip/sallyport/internal/recorder"
	"github.com/sallyport-sip/sallyport/internal/relay"
	"github.com/sallyport-sip/sallyport/internal/revocation"
	"github.com/sallyport-sip/sallyport/internal/ship"
	"github.com/sallyport-sip/sallyport/internal/store"
	"github.com/sallyport-sip/sallyport/internal/trust"
	"github.com/sallyport-sip/sallyport/internal/watch"
	"github.com/sallyport-sip/sallyport/sip"
	"github.com/sallyport-sip/sallyport/sip/resolve"
	"github.com/sallyport-sip/sallyport/sip/transaction"
	"github.com/sallyport-sip/sallyport/sip/transport"
	"github.com/sallyport-sip/sallyport/sip/ua"
)

// Options are what a Gateway takes besides its configuration. The zero value is
// right for serve.
type Options struct {
	Log      *slog.Logger // nil: nothing is logged
	TLS      trust.Options
	Recorder recorder.Config
	Events   int    // how many are kept in memory, 0: events.Kept
	Version  string // of the program, as endpoints are told it
	// DialHTTP connects to endpoints that are told of events; nil: the system's network.
	DialHTTP func(ctx context.Context, network, address string) (net.Conn, error)
	Shards   int                // 0: GOMAXPROCS
	Network  transport.Network  // nil: the system's
	Timers   transaction.Config // zero fields: RFC 3261
	Limits   transport.Limits   // in place of the configuration's, where they are not zero
	Watch    *watch.Config      // how certificate files are watched; nil: they are not
	// ACMERetry is how long to wait for a CA after so many failures; nil:
	// acme.Backoff.
	ACMERetry func(failures int) time.Duration
	// DialDNS connects to name servers as resolve.Resolver.Dial does; nil: the
	// system's network.
	DialDNS func(ctx context.Context, network, address string) (net.Conn, error)
	// DialCollector connects to HEP collectors as net.Dialer does; nil: the system's network.
	DialCollector func(ctx context.Context, network, address string) (net.Conn, error)
	// Revocation says how OCSP responders are reached; its Changed is the gateway's.
	Revocation revocation.Options
}

// Gateway is a running gateway.
type Gateway struct {
	log       *slog.Logger
	options   Options
	first     *config.Config // that the gateway started with
	snapshot  atomic.Pointer[snapshot]
	server    *ua.Server
	engine    *b2bua.Engine
	relay     *relay.Engine
	recorder  *recorder.Recorder
	strangers *guard.Strangers
	answerers answerers
	lookups   resolve.Counts
	alarms    *alarms
	events    *events.Hub
	webhooks  *events.Webhooks // nil before Start
	shipping  *ship.Shipping   // likewise
	unknown   guard.Bucket     // refused handshakes of strangers of which applications are told
	upkeeps   upkeeps
	checker   *revocation.Checker
	staples   staples
	renewed   chan struct{}                      // a configuration has come into force: the calendar is looked at
	earlier   []callflow.Seen                    // the chains that peers showed before this start; set by Start
	deaths    map[transport.Death]*atomic.Uint64 // by sign; never changed
	limited   *excesses
	strange   strangeLines
	opening   chan struct{} // closed when every listener is open
	closing   atomic.Bool   // new calls are refused
	store     *store.Store  // nil: calls are not recorded
	records   records       // the store; nil likewise
	nameless  atomic.Uint64 // IDs of calls that are not recorded
	audit     audit
	history   *history.History // nil: none is kept; set by Start

	judged atomic.Pointer[failures] // what the last review found

	shakes shakeTimes

	opens sync.Map // by peer, *atomic.Uint64: connections that came up

	stopping context.Context // ends when calls have had their time
	stop     context.CancelFunc
	work     sync.WaitGroup // goroutines beside the server's

	reloading  sync.Mutex // held for the whole of a reload: they are made one after the other
	sockets    []socket   // open listeners; guarded by reloading, as what follows
	leaving    []socket   // on UDP: gone, and still open for the calls that live on them
	followers  []Follower
	files      files
	collectors collectors
	keys       keptKeys

	retirees retirees
	acme     *acme.Keeper

	telling  sync.Mutex // held only for a moment
	started  time.Time  // guarded by telling, as what follows
	reloads  reloads
	mirrored []collector // for Collectors
}

// New compiles a configuration. Problems mean that there is no gateway; they
// are those of Check. Start opens it.
func New(cfg *config.Config, o Options) (*Gateway, []config.Problem) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	var g *Gateway
	o.Recorder.Names = func(peer string) []string { return g.wanted(peer) }
	o.Recorder.Side = func(listener, peer string) trust.OurSide { return g.ourSide(listener, peer) }
	if o.Recorder.Clock == nil {
		o.Recorder.Clock = func(now time.Time) string { return g.clockDoubt(now) }
	}
	rec := recorder.New(o.Recorder)
	o.TLS.KeyLog = rec.KeyLog
	hub := events.NewHub(rec.Run(), o.Events)
	keeper := newACME(cfg, o, func() *Gateway { return g })
	o.TLS.Challenge = keeper.Challenge
	g = &Gateway{
		acme: keeper,
		log:  o.Log, options: o, recorder: rec, strangers: guard.NewStrangers(), alarms: newAlarms(o.Log, hub.Emit), events: hub, limited: newExcesses(o.Log),
		opening: make(chan struct{}),
	}
	g.deaths = map[transport.Death]*atomic.Uint64{
		transport.DeathNoPong: new(atomic.Uint64), transport.DeathUnacknowledged: new(atomic.Uint64), transport.DeathSilent: new(atomic.Uint64),
	}
	g.upkeeps.all, g.upkeeps.slots = make(map[string]*upkeep), make(chan struct{}, dialsAtOnce)
	g.stopping, g.stop = context.WithCancel(context.Background())
	g.files.taken = g.look(cfg)
	o.Revocation.Changed = g.reviewRevoked
	g.checker = revocation.New(o.Revocation)
	g.renewed = make(chan struct{}, 1)
	g.keys.wake = make(chan struct{}, 1)
	g.staples.all, g.staples.wake = make(map[string]*staple), make(chan struct{}, 1)
	o.TLS.Revocation = g.checker
	g.options = o
	snap, problems := build(cfg, o.TLS, nil)
	if len(problems) > 0 {
		return nil, problems
	}
	snap.resolver = g.resolverOf(cfg, nil)
	g.first = cfg
	g.snapshot.Store(snap)
	g.server = &ua.Server{
		ShardHandler: g,
		Shards:       o.Shards,
		Timers:       o.Timers,
		Limits:       limitsInAll(&cfg.Limits, o.Limits),
		Queues:       queuesOf(&cfg.Limits),
		Network:      o.Network,
		Hooks: transport.Hooks{
			WrapConn:  g.recorder.WrapConn,
			Identify:  g.identify,
			Tap:       g.recorder.Message,
			Upgraded:  g.recorder.Upgraded,
			Opened:    g.opened,
			Confirmed: g.recorder.Confirmed,
			Refusing:  g.refusing,
			Refused:   g.recorder.Refused,
			Closed:    g.closed,
			Excess:    g.exceeded,
		},
		AdmitMessage: g.admit,
		Stray:        func(s *ua.Shard, p *transport.Packet) bool { return g.engine.Stray(s, p) },
		Reconnect:    g.reconnect,
	}
	return g, nil
}

// wanted returns the names of which a peer's certificate must have one.
func (g *Gateway) wanted(peer string) []string {
	if snap := g.snapshot.Load(); snap != nil {
		return snap.trustOf(peer).Names(peer)
	}
	return nil
}

// ourSide returns how we speak TLS with who calls a listener, or with a peer.
func (g *Gateway) ourSide(listener, peer string) trust.OurSide {
	if snap := g.snapshot.Load(); snap != nil {
		return snap.trustOf(peer).OurSide(listener, peer)
	}
	return trust.OurSide{}
}

// clockDoubt says why the clock here may be wrong, empty when nothing says so.
func (g *Gateway) clockDoubt(now time.Time) string {
	var own []*x509.Certificate
	if snap := g.snapshot.Load(); snap != nil {
		own = snap.trust.Own()
	}
	return trust.ClockDoubt(now, trust.Built(), own)
}

// Recorder returns what happened, as flows and as handshakes.
func (g *Gateway) Recorder() *recorder.Recorder { return g.recorder }

// Calls returns how many calls there are.
func (g *Gateway) Calls() int { return g.engine.Live() }

// Listeners returns the open listeners with their real addresses.
func (g *Gateway) Listeners() []*transport.Listener { return g.server.Endpoint().Listeners() }

// Record makes the gateway a b2bua.Ways.
func (g *Gateway) Record(kind callflow.Kind, call callflow.Call, reason string) {
	g.recorder.Record(kind, call, reason)
}

// NextNumber makes the gateway a relay.Ways.
func (g *Gateway) NextNumber() uint64 { return g.engine.NextNumber() }

// identify says who is at the other end of a stream. Who is nobody we know may
// stay connected, and gets a 403 for what it sends.
func (g *Gateway) identify(info transport.ConnInfo, st *tls.ConnectionState) (transport.Identity, error) {
	snap := g.snapshot.Load()
	if info.Inbound && st != nil {
		if err := validates(st); err != nil {
			return transport.Identity{}, err
		}
	}
	if !info.Inbound {
		if st == nil {
			return transport.Identity{Peer: info.Peer}, nil
		}
		verified, err := snap.trustOf(info.Peer).VerifyConn(info.Peer, st, trust.Server)
		return provenBy(info.Peer, verified), err
	}
	_, id, err := snap.recognise(info, st, snap.trust.VerifyConn)
	if unknown, ok := errors.AsType[*peer.UnknownError](err); ok {
		if g.strange.write(g.log) {
			g.log.Warn("connection of a stranger", append([]any{"connection", info.ID, "source", info.Remote, "listener", info.Listener, "cause", err}, remedyOf(err)...)...)
		}
		id.Notes = []string{"it is no peer here: " + unknown.Cause()}
	}
	return id, nil
}

// remedyOf is what a log says besides of a certificate or a connection that was
// not accepted.
func remedyOf(err error) []any {
	if r, ok := errors.AsType[*trust.Refusal](err); ok {
		return []any{"remedy", r.Remedy, "code", r.Code}
	}
	return nil
}

// provenBy is who a peer is by its certificate.
func provenBy(name string, v trust.Verified) transport.Identity {
	id := transport.Identity{Peer: name, Names: make([]string, len(v.Names)), Notes: v.Notes}
	for i, n := range v.Names {
		id.Names[i] = n.Value
	}
	return id
}

var (
	errStranger = errors.New("from nobody we know, who has had answers enough")
	errNoPeer   = errors.New("the source is no peer")
)

// admit lets messages of peers in. A stranger's request gets a few answers, and
// then silence: 403, or what the grammar says when it is malformed.
func (g *Gateway) admit(p *transport.Packet) error {
	select {
	case <-g.opening: // without a lock, as it nearly always is
	default:
		<-g.opening
	}
	from := g.peerOf(p)
	if l := sip.LimitOf(p.Err); l != "" {
		g.limited.count(passed{p.Conn.Info().Listener, l}, "source", p.Source, "cause", p.Err)
	}
	if from != nil {
		g.alias(p, from)
		return g.pace(from, p)
	}
	if was := g.snapshot.Load().wasPeer(p); was != nil {
		return g.pace(was, p)
	}
	if g.answerers.answers(p) {
		return nil
	}
	if g.flood(p) {
		return errStranger
	}
	g.limited.count(passed{p.Conn.Info().Listener, limitStranger}, "source", p.Source)
	if !p.Msg.IsRequest() || p.Msg.Method() == sip.ACK || !g.strangers.Answer(p.Source.Addr(), p.At) {
		return errStranger
	}
	if p.Err != nil {
		return nil // answered as malformed
	}
	if g.strange.write(g.log) {
		g.log.Warn("request of a stranger refused", "source", p.Source, "transport", p.Conn.Transport(), "method", p.Msg.Method())
	}
	g.remark(p, errNoPeer)
	return &sip.StatusError{Code: 403}
}

// peerOf says whose packet it is, nil for a stranger.
func (g *Gateway) peerOf(p *transport.Packet) *peer.Peer {
	snap := g.snapshot.Load()
	if p.Conn.Transport() != transport.UDP {
		return snap.peers.Lookup(p.Conn.Identity().Peer)
	}
	return snap.peers.BySource(peer.Origin{Transport: transport.UDP, Source: p.Source, Listener: p.Conn.Info().Listener})
}

// Owns makes the gateway a b2bua.Ways.
func (g *Gateway) Owns(p *peer.Peer, addr netip.AddrPort, listener string) bool {
	return p.At(peer.Origin{Transport: transport.UDP, Source: addr, Listener: listener})
}

// From makes the gateway a b2bua.Ways. The configuration of now does not
// matter: a call goes on under what it began with.
func (g *Gateway) From(p *peer.Peer, packet *transport.Packet) bool {
	if packet.Conn.Transport() != transport.UDP {
		return packet.Conn.Identity().Peer == p.Name
	}
	return p.At(peer.Origin{Transport: transport.UDP, Source: packet.Source, Listener: packet.Conn.Info().Listener})
}
