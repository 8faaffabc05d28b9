package transport

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"
)

func listenTLS(e *Endpoint, cfg ListenConfig) (*Listener, error) {
	if cfg.TLS == nil {
		return nil, errors.New("a TLS listener needs a TLS configuration")
	}
	return e.listenStream(cfg, func(l *Listener, nc net.Conn, info ConnInfo) {
		if err := e.takeSlot(l, info); err != nil {
			e.hooks.refusing(info, err)
			e.turnAway(nc, info, err)
			return
		}
		e.wg.Go(func() { e.serveTLS(nc, info, l.tls.Load()) })
	})
}

// takeSlot waits its turn for a handshake, in the accept goroutine.
func (e *Endpoint) takeSlot(l *Listener, info ConnInfo) error {
	err := e.trySlot(l, info)
	if err == nil || errors.Is(err, errSourceHasItsShare) {
		return err
	}
	t := time.NewTimer(l.limits.Load().HandshakeWait)
	defer t.Stop()
	for {
		freed := e.slotFreed.wait()
		if err = e.trySlot(l, info); err == nil {
			return nil
		}
		select {
		case <-freed:
		case <-t.C:
			return err
		case <-e.ctx.Done():
			return ErrShutdown
		}
	}
}

var errSourceHasItsShare = fmt.Errorf("%w from one source", ErrTooManyHandshakes)

// trySlot counts a handshake, or says which limit it would pass.
func (e *Endpoint) trySlot(l *Listener, info ConnInfo) error {
	source, own, all := sourceOf(info.Remote.Addr()), l.limits.Load(), e.limits.Load()
	_, passed := l.handshakes.enter(own.Handshakes, own.HandshakesPerSource, source)
	if passed == within {
		if _, passed = e.handshakes.enter(all.Handshakes, all.HandshakesPerSource, source); passed != within {
			l.handshakes.leave(source)
		}
	}
	switch passed {
	case ofSource:
		return passedLimit(LimitHandshakesPerSource, errSourceHasItsShare)
	case inAll:
		return passedLimit(LimitHandshakes, ErrTooManyHandshakes)
	}
	return nil
}

func (e *Endpoint) freeSlot(info ConnInfo) {
	source := sourceOf(info.Remote.Addr())
	info.on.handshakes.leave(source)
	e.handshakes.leave(source)
	e.slotFreed.fire()
}

// signal wakes all who wait.
type signal struct {
	mu sync.Mutex
	ch chan struct{} // closed by the next fire; nil while nobody waits
}

func (s *signal) wait() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ch == nil {
		s.ch = make(chan struct{})
	}
	return s.ch
}

func (s *signal) fire() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ch != nil {
		close(s.ch)
		s.ch = nil
	}
}

// serveTLS is the handshake of an accepted connection, and its reader.
func (e *Endpoint) serveTLS(nc net.Conn, info ConnInfo, cfg *tls.Config) {
	h := e.newHandshake(nc, info)
	err := h.run(e.ctx, tls.Server(h.below, cfg))
	e.freeSlot(info)
	var s *stream
	if err == nil {
		s, err = e.openStream(nc, h, nil, info, Key{})
	}
	if err != nil {
		e.hooks.refusing(info, err)
		h.goodbye()
		e.turnAway(nc, info, err)
		return
	}
	// The reader goes on in this goroutine: its stack has grown already, which costs more than a connection that ends
	// soon, and the collector shrinks that of one that stays.
	s.read()
}

func dialTLS(ctx context.Context, e *Endpoint, cfg DialConfig) (*Conn, error) {
	if cfg.TLS == nil {
		return nil, errors.New("a TLS connection needs a TLS configuration")
	}
	nc, info, err := e.connect(ctx, cfg)
	if err != nil {
		return nil, err
	}
	h := e.newHandshake(nc, info)
	var c *Conn
	if err = h.run(ctx, tls.Client(h.below, cfg.TLS)); err == nil {
		c, err = e.newStream(nc, h, nil, info, cfg.Key)
	}
	if err != nil {
		e.hooks.refusing(info, err)
		e.wg.Go(func() {
			h.goodbye()
			e.turnAway(nc, info, err)
		})
		return nil, err
	}
	return c, nil
}

// handshake is a TLS connection in the making.
type handshake struct {
	e     *Endpoint
	info  ConnInfo
	nc    net.Conn
	wire  *wire
	below net.Conn // what TLS reads and writes: the wire, perhaps wrapped
	tls   *tls.Conn
	start time.Time
}

func (e *Endpoint) newHandshake(nc net.Conn, info ConnInfo) *handshake {
	h := &handshake{e: e, info: info, nc: nc, wire: newWire(nc, &e.stats), start: time.Now()}
	h.below = h.wire
	if e.hooks.WrapConn != nil {
		h.below = e.hooks.WrapConn(h.wire, info)
	}
	return h
}

func (h *handshake) limits() *Limits { return h.e.limitsOn(h.info.on) }

func (h *handshake) run(ctx context.Context, tc *tls.Conn) error {
	h.tls = tc
	ctx, cancel := context.WithTimeout(ctx, h.limits().HandshakeTimeout)
	defer cancel()
	if err := tc.HandshakeContext(ctx); err != nil {
		return handshakeError(h.wire.alert.meaning(err), h.info.Inbound, h.limits())
	}
	return nil
}

// goodbye ends a connection that is not to be, so that the alert reaches the
// other side: ours is on its way, and what the other side has sent in the
// meantime is read and thrown away.
func (h *handshake) goodbye() {
	if h.tls.ConnectionState().HandshakeComplete && !h.wire.polled.Load() {
		_ = h.nc.SetWriteDeadline(time.Now().Add(h.limits().Linger))
		_ = h.tls.CloseWrite()
	}
	if half, ok := h.nc.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite()
	}
	_ = h.nc.SetReadDeadline(time.Now().Add(h.limits().Linger))
	if !h.wire.polled.Load() {
		h.wire.discard(h.below, drainLimit)
	}
	h.wire.reset()
}
