package transport

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"time"
)

// A WebSocket is TCP, or TCP and TLS, an HTTP request that asks to go on as a
// WebSocket, and frames. The HTTP part has a goroutine, a slot and a time limit
// as a TLS handshake has, and shares them with it; then it is a stream like others.

// WebSocket is what a listener asks of the HTTP request.
type WebSocket struct {
	// Path is where the listener is; empty takes any path.
	Path string
	// Origins are the pages whose scripts may connect, as the browser names them:
	// "https://phone.example". "*" stands for all. A request with another Origin is
	// refused, one without is from no browser and passes.
	Origins []string
}

// Upgrade is what an HTTP request wanted that asked for a WebSocket, and what it
// got. Strings are as the other side sent them.
type Upgrade struct {
	At       time.Time // of the request
	Host     string
	Path     string // with the query
	Origin   string // empty: none named
	Agent    string // User-Agent, as a client says it
	Protocol string // the subprotocols asked for
	Status   int    // of the answer, 101 when it succeeded; 0: none
	Answered time.Time
	Problem  string // why it was refused, empty when it was not
}

func listenWS(e *Endpoint, cfg ListenConfig) (*Listener, error) {
	return e.listenWeb(cfg)
}

func listenWSS(e *Endpoint, cfg ListenConfig) (*Listener, error) {
	if cfg.TLS == nil {
		return nil, errors.New("a listener for secure WebSocket needs a TLS configuration")
	}
	return e.listenWeb(cfg)
}

func (e *Endpoint) listenWeb(cfg ListenConfig) (*Listener, error) {
	return e.listenStream(cfg, func(l *Listener, nc net.Conn, info ConnInfo) {
		if err := e.takeSlot(l, info); err != nil {
			e.hooks.refusing(info, err)
			e.turnAway(nc, info, err)
			return
		}
		e.wg.Go(func() {
			u := e.newUpgrade(nc, info)
			err := u.serve(l)
			e.freeSlot(info)
			if err == nil {
				_, err = e.newStream(nc, u.tls, &webSocket{early: u.early}, info, Key{})
			}
			if err != nil {
				u.giveUp(err)
			}
		})
	})
}

func dialWS(ctx context.Context, e *Endpoint, cfg DialConfig) (*Conn, error) {
	nc, info, err := e.connect(ctx, cfg)
	if err != nil {
		return nil, err
	}
	u := e.newUpgrade(nc, info)
	var c *Conn
	if err = u.ask(ctx, cfg); err == nil {
		c, err = e.newStream(nc, u.tls, &webSocket{client: true, early: u.early}, info, cfg.Key)
	}
	if err != nil {
		e.wg.Go(func() { u.giveUp(err) })
		return nil, err
	}
	return c, nil
}

func dialWSS(ctx context.Context, e *Endpoint, cfg DialConfig) (*Conn, error) {
	if cfg.TLS == nil {
		return nil, errors.New("a secure WebSocket needs a TLS configuration")
	}
	return dialWS(ctx, e, cfg)
}

// upgrade is a WebSocket in the making.
type upgrade struct {
	e     *Endpoint
	info  ConnInfo
	nc    net.Conn
	tls   *handshake // nil without TLS
	rw    io.ReadWriter
	note  Upgrade
	early []byte // what came behind the HTTP head
}

func (e *Endpoint) newUpgrade(nc net.Conn, info ConnInfo) *upgrade {
	return &upgrade{e: e, info: info, nc: nc, rw: nc}
}

func (u *upgrade) limits() *Limits { return u.e.limitsOn(u.info.on) }

// secure is the TLS handshake, if there is one.
func (u *upgrade) secure(ctx context.Context, open func(below net.Conn) *tls.Conn) error {
	if !u.info.Transport.Secure() {
		return nil
	}
	u.tls = u.e.newHandshake(u.nc, u.info)
	tc := open(u.tls.below)
	if err := u.tls.run(ctx, tc); err != nil {
		return err
	}
	u.rw = tc
	return nil
}

// within runs the HTTP part, which ends with ctx or with the time for
// handshakes.
func (u *upgrade) within(ctx context.Context, f func() error) error {
	u.note.At = time.Now()
	ctx, cancel := context.WithTimeout(ctx, u.limits().HandshakeTimeout)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { _ = u.nc.SetDeadline(time.Unix(1, 0)) })
	err := f()
	if !stop() {
		err = errors.Join(context.Cause(ctx), err)
	}
	_ = u.nc.SetDeadline(time.Time{})
	if err != nil {
		err = u.explain(err)
	}
	u.e.hooks.upgraded(u.info, u.note, err)
	return err
}

// serve takes a client's request and answers it.
func (u *upgrade) serve(l *Listener) error {
	err := u.secure(u.e.ctx, func(below net.Conn) *tls.Conn { return tls.Server(below, l.tls.Load()) })
	if err != nil {
		return err
	}
	return u.within(u.e.ctx, func() error { return u.answer(l.web.Load()) })
}

// ask sends our request and judges the answer.
func (u *upgrade) ask(ctx context.Context, cfg DialConfig) error {
	err := u.secure(ctx, func(below net.Conn) *tls.Conn { return tls.Client(below, cfg.TLS) })
	if err != nil {
		return err
	}
	return u.within(ctx, func() error { return u.request(cfg) })
}

// giveUp ends a connection that is not to be: what was sent last has its time to
// arrive.
func (u *upgrade) giveUp(err error) {
	u.e.hooks.refusing(u.info, err)
	if u.tls != nil {
		u.tls.goodbye()
	} else {
		if half, ok := u.nc.(interface{ CloseWrite() error }); ok {
			_ = half.CloseWrite()
		}
		_ = u.nc.SetReadDeadline(time.Now().Add(u.limits().Linger))
		_, _ = io.CopyN(io.Discard, u.nc, drainLimit)
	}
	u.e.turnAway(u.nc, u.info, err)
}
