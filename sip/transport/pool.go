package transport

import (
	"context"
	"crypto/tls"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// Key says which connections are the same: equal in every field or not at all.
// A connection verified for one name is never used for another name or under
// another policy.
type Key struct {
	Transport Transport
	Local     netip.AddrPort // where to leave from, the port on UDP only; the zero value lets the system choose
	Remote    netip.AddrPort
	Peer      string // whom we mean to reach
	Identity  string // which certificate of ours we show
	Policy    string // fingerprint of the peer's TLS policy and trust
}

// DialConfig is a connection to be had.
type DialConfig struct {
	Key
	Listener string        // on UDP, the listener whose socket to use; empty: by Local, or the first that fits
	TLS      *tls.Config   // for TLS and WSS
	Host     string        // on WS and WSS, whom the HTTP request names; empty: the address
	Path     string        // on WS and WSS, what it asks for; empty: /
	Timeout  time.Duration // for connecting and handshake; Limits.DialTimeout when zero
}

// pool finds connections. A connection that ends leaves it at once, a retired
// one has only its place in conns.
type pool struct {
	mu         sync.RWMutex
	conns      map[uint64]*Conn
	byKey      map[Key]*Conn
	byAlias    map[Key]*Conn      // inbound ones, see Endpoint.Alias
	byPeer     map[string][]*Conn // in the order in which they opened
	dialing    map[Key]*attempt
	closed     bool
	generation int // of what Identify goes by, see Endpoint.Review
}

// attempt is a dial under way. Its result is read when done is closed.
type attempt struct {
	done chan struct{}
	conn *Conn
	err  error
}

func (p *pool) init() {
	p.conns = map[uint64]*Conn{}
	p.byKey = map[Key]*Conn{}
	p.byAlias = map[Key]*Conn{}
	p.byPeer = map[string][]*Conn{}
	p.dialing = map[Key]*attempt{}
}

// current is the generation that an identification has to belong to.
func (p *pool) current() int {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return p.generation
}

// add makes a connection known, unless the endpoint has closed. again says that
// it has to be identified once more first.
func (p *pool) add(c *Conn, generation int) (again bool, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.closed:
		return false, ErrShutdown
	case generation != p.generation:
		return true, nil
	}
	p.conns[c.info.ID] = c
	p.list(c)
	return false, nil
}

// retire makes sure that nobody new finds the connection.
func (p *pool) retire(c *Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.unlist(c)
}

// remove forgets a connection that is over.
func (p *pool) remove(c *Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.unlist(c)
	delete(p.conns, c.info.ID)
}

func (p *pool) all() []*Conn {
	p.mu.RLock()
	defer p.mu.RUnlock()
	all := make([]*Conn, 0, len(p.conns))
	for _, c := range p.conns {
		all = append(all, c)
	}
	return all
}

func (p *pool) byID(id uint64) *Conn {
	p.mu.RLock()
	defer p.mu.RUnlock()
	if c := p.conns[id]; c != nil && c.Alive() {
		return c
	}
	return nil
}

// close lets nothing new in and returns what is there.
func (p *pool) close() []*Conn {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	return p.all()
}

// Lookup returns the live connection that was dialled with an equal key, or an
// inbound one that stands for it; nil when there is none. On UDP use Dial, which
// never waits there.
func (e *Endpoint) Lookup(k Key) *Conn {
	e.pool.mu.RLock()
	defer e.pool.mu.RUnlock()
	return e.pool.lookup(k)
}

// lookup is Lookup for who holds mu.
func (p *pool) lookup(k Key) *Conn {
	if c := p.byKey[k]; c != nil && c.Alive() {
		return c
	}
	if c := p.byAlias[k]; c != nil && c.Alive() {
		return c
	}
	return nil
}

// PeerConn returns the newest live stream of an identified peer, whoever opened
// it, for a response whose own connection is gone; nil when there is none.
func (e *Endpoint) PeerConn(peer string) *Conn {
	if conns := e.PeerConns(peer); len(conns) > 0 {
		return conns[0]
	}
	return nil
}

// PeerConns returns all live streams of an identified peer, the newest first.
func (e *Endpoint) PeerConns(peer string) []*Conn {
	e.pool.mu.RLock()
	defer e.pool.mu.RUnlock()
	var live []*Conn
	for _, c := range slices.Backward(e.pool.byPeer[peer]) {
		if c.Alive() {
			live = append(live, c)
		}
	}
	return live
}

// Dial returns the live connection with an equal key, or makes one. Several
// callers with one key wait for the same attempt, which goes on when one of
// them gives up. On UDP it returns a listener's socket at once.
func (e *Endpoint) Dial(ctx context.Context, cfg DialConfig) (*Conn, error) {
	cfg.Remote = unmap(cfg.Remote)
	if !cfg.Transport.valid() {
		return nil, fmt.Errorf("dial %v: %v is not known", cfg.Remote, cfg.Transport)
	}
	dial := protocols[cfg.Transport].dial
	if !cfg.Transport.Reliable() {
		return dial(ctx, e, cfg)
	}
	if c := e.Lookup(cfg.Key); c != nil {
		return c, nil
	}
	a, begin := e.pool.join(cfg.Key)
	if begin {
		if err := e.start(func() { e.run(a, cfg) }); err != nil {
			e.pool.finish(cfg.Key, a, nil, err)
		}
	}
	select {
	case <-a.done:
		return a.conn, a.err
	case <-ctx.Done():
		return nil, fmt.Errorf("dial %v %v: %w", cfg.Transport, cfg.Remote, ctx.Err())
	}
}

// run makes one attempt.
func (e *Endpoint) run(a *attempt, cfg DialConfig) {
	timeout := cfg.Timeout
	if timeout <= 0 {
		timeout = e.limits.Load().DialTimeout
	}
	ctx, cancel := context.WithTimeout(e.ctx, timeout)
	defer cancel()
	c, err := protocols[cfg.Transport].dial(ctx, e, cfg)
	if err != nil {
		err = fmt.Errorf("dial %v %v: %w", cfg.Transport, cfg.Remote, err)
	}
	e.pool.finish(cfg.Key, a, c, err)
}

// start runs a goroutine that Close waits for.
func (e *Endpoint) start(f func()) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return ErrShutdown
	}
	e.wg.Go(f)
	return nil
}

// join returns the attempt under way for a key, or a new one that the caller
// has to begin. A connection that opened meanwhile is an attempt already done.
func (p *pool) join(k Key) (a *attempt, begin bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if c := p.lookup(k); c != nil {
		a = &attempt{done: make(chan struct{}), conn: c}
		close(a.done)
		return a, false
	}
	if a = p.dialing[k]; a != nil {
		return a, false
	}
	a = &attempt{done: make(chan struct{})}
	p.dialing[k] = a
	return a, true
}

func (p *pool) finish(k Key, a *attempt, c *Conn, err error) {
	p.mu.Lock()
	delete(p.dialing, k)
	p.mu.Unlock()
	a.conn, a.err = c, err
	close(a.done)
}
