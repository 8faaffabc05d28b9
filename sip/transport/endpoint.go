package transport

import (
	"context"
	"crypto/tls"
	"fmt"
	"iter"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
)

// Config is what an endpoint is made of.
type Config struct {
	Hooks   Hooks
	Limits  Limits  // zero fields take their defaults
	Network Network // nil is the system's
	Manner  *Manner // of streams, until Conn.Keep says otherwise; nil is that of DefaultManner
}

// Endpoint is a set of listeners, the live connections and the pool.
type Endpoint struct {
	hooks   Hooks
	network Network
	manner  Manner
	stats   Stats

	ctx        context.Context // ends dials and handshakes
	cancel     context.CancelFunc
	wg         sync.WaitGroup // every goroutine of the endpoint
	lastID     atomic.Uint64
	limits     atomic.Pointer[Limits]
	conns      census // inbound ones
	unfinished budget
	backlog    budget
	handshakes census // inbound ones under way
	slotFreed  signal // when one is over

	pool pool

	mu        sync.Mutex
	closed    bool
	listeners []*Listener
	retired   []*Listener // on UDP: they only serve the dialogs they have
}

// New returns an endpoint without listeners. Deliver must be set.
func New(cfg Config) *Endpoint {
	if cfg.Hooks.Deliver == nil {
		panic("transport: Hooks.Deliver is not set")
	}
	if cfg.Network == nil {
		cfg.Network = system{}
	}
	e := &Endpoint{hooks: cfg.Hooks, network: cfg.Network}
	if e.manner = DefaultManner(); cfg.Manner != nil {
		e.manner = *cfg.Manner
	}
	e.ctx, e.cancel = context.WithCancel(context.Background())
	defaults := DefaultLimits()
	e.setLimits(cfg.Limits.or(&defaults))
	e.pool.init()
	return e
}

// ListenConfig is one address to accept on.
type ListenConfig struct {
	Name      string // for ConnInfo.Listener; unique
	Transport Transport
	Addr      netip.AddrPort // port 0 takes a free one
	TLS       *tls.Config    // for TLS and WSS; Listener.SetTLS changes it later
	WebSocket WebSocket      // for WS and WSS; Listener.SetWebSocket changes it later
	Limits    Limits         // zero fields are the endpoint's; Listener.SetLimits changes them later
}

// Listener is an open address.
type Listener struct {
	cfg  ListenConfig
	addr netip.AddrPort
	e    *Endpoint
	ln   net.Listener               // nil on UDP
	conn *Conn                      // the socket on UDP
	tls  atomic.Pointer[tls.Config] // for the next handshakes; nil without TLS
	web  atomic.Pointer[WebSocket]  // for the next requests
	// what it accepts has the endpoint's manner of TCP from it; see tuneListener
	tuned bool

	own        Limits                 // as they were given; guarded by Endpoint.mu
	limits     atomic.Pointer[Limits] // with the endpoint's where none was given
	conns      census                 // that came in here
	handshakes census
}

// Listen opens an address and begins to accept.
func (e *Endpoint) Listen(cfg ListenConfig) (*Listener, error) {
	if !cfg.Transport.valid() {
		return nil, fmt.Errorf("listen on %v: %v is not known", cfg.Addr, cfg.Transport)
	}
	l, err := protocols[cfg.Transport].listen(e, cfg)
	if err != nil {
		return nil, fmt.Errorf("listen on %v:%v: %w", cfg.Transport, cfg.Addr, err)
	}
	return l, nil
}

// add registers a listener, unless the endpoint has closed.
func (e *Endpoint) add(l *Listener, run func()) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return ErrShutdown
	}
	e.listeners = append(e.listeners, l)
	e.wg.Go(run)
	return nil
}

// Name is the configured name.
func (l *Listener) Name() string { return l.cfg.Name }

// Transport is what the listener accepts.
func (l *Listener) Transport() Transport { return l.cfg.Transport }

// Addr is the address in use, with its real port.
func (l *Listener) Addr() netip.AddrPort { return l.addr }

// Conn is the socket of a UDP listener, nil for streams.
func (l *Listener) Conn() *Conn { return l.conn }

// SetWebSocket changes what a listener asks of the requests for a WebSocket to
// come.
func (l *Listener) SetWebSocket(cfg WebSocket) { l.web.Store(&cfg) }

// SetTLS changes the TLS configuration of a TLS listener. Connections accepted
// from now on have it; those that are there keep theirs.
func (l *Listener) SetTLS(cfg *tls.Config) { l.tls.Store(cfg) }

// Retire stops accepting for good, and harms nothing that lives. A stream
// listener closes; the streams that it accepted live on. A UDP socket stays open
// for the dialogs on it, but Listeners and Dial do not know it any more and its
// Conn is Retired; its address is free again after Close.
func (l *Listener) Retire() {
	if l.conn == nil {
		l.Close()
		return
	}
	l.e.mu.Lock()
	defer l.e.mu.Unlock()
	if i := slices.Index(l.e.listeners, l); i >= 0 {
		l.e.listeners = slices.Concat(l.e.listeners[:i], l.e.listeners[i+1:])
		l.e.retired = append(l.e.retired, l)
		l.conn.standing.Store(&standing{retired: true})
	}
}

// Close stops accepting. Streams that were accepted live on, but a UDP socket is
// all that its dialogs have: they go on over another UDP listener, if there is
// one, and a response to what came in over this one is lost.
func (l *Listener) Close() {
	l.e.mu.Lock()
	// New slices: Listeners has given the old one away.
	if i := slices.Index(l.e.listeners, l); i >= 0 {
		l.e.listeners = slices.Concat(l.e.listeners[:i], l.e.listeners[i+1:])
	}
	if i := slices.Index(l.e.retired, l); i >= 0 {
		l.e.retired = slices.Delete(l.e.retired, i, i+1)
	}
	l.e.mu.Unlock()
	l.stop()
}

func (l *Listener) stop() {
	if l.conn != nil {
		l.conn.Close(ErrShutdown)
		return
	}
	l.ln.Close()
}

// Listeners are the open ones, in the order in which they were opened.
func (e *Endpoint) Listeners() []*Listener {
	e.mu.Lock()
	defer e.mu.Unlock()
	return append([]*Listener(nil), e.listeners...)
}

// Stats counts what passed.
func (e *Endpoint) Stats() *Stats { return &e.stats }

// Conns are the live streams, in no order.
func (e *Endpoint) Conns() iter.Seq[*Conn] {
	return func(yield func(*Conn) bool) {
		for _, c := range e.pool.all() {
			if !yield(c) {
				return
			}
		}
	}
}

// Conn finds a live stream by its ID, nil when it has ended.
func (e *Endpoint) Conn(id uint64) *Conn { return e.pool.byID(id) }

// Close stops listening, ends every connection with close_notify, and waits
// until all goroutines have ended. When ctx ends first the connections are cut
// off and the error is that of ctx. Deliver has to return for Close to succeed.
func (e *Endpoint) Close(ctx context.Context) error {
	e.mu.Lock()
	e.closed = true
	listeners := slices.Concat(e.listeners, e.retired)
	e.listeners, e.retired = nil, nil
	e.mu.Unlock()

	for _, l := range listeners {
		l.stop()
	}
	e.cancel()
	for _, c := range e.pool.close() {
		c.Close(ErrShutdown)
	}
	done := make(chan struct{})
	go func() {
		e.wg.Wait()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
	}
	for _, c := range e.pool.all() {
		if s, ok := c.link.(*stream); ok {
			s.abort(ErrShutdown)
		}
	}
	return ctx.Err()
}
