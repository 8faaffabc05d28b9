package transport

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"
	"time"
)

func listenTCP(e *Endpoint, cfg ListenConfig) (*Listener, error) {
	return e.listenStream(cfg, func(_ *Listener, nc net.Conn, info ConnInfo) {
		if _, err := e.newStream(nc, nil, nil, info, Key{}); err != nil {
			e.hooks.refusing(info, err)
			e.turnAway(nc, info, err)
		}
	})
}

// listenStream accepts connections and hands each admitted one to begin, which
// must not wait.
func (e *Endpoint) listenStream(cfg ListenConfig, begin func(*Listener, net.Conn, ConnInfo)) (*Listener, error) {
	ln, err := e.network.Listen(e.ctx, cfg.Addr)
	if err != nil {
		return nil, err
	}
	l := &Listener{cfg: cfg, e: e, ln: ln, addr: addrPort(ln.Addr())}
	l.tuned = tuneListener(ln, e.manner.KeepAlive, e.manner.Unacknowledged)
	l.tls.Store(cfg.TLS)
	l.SetLimits(cfg.Limits)
	l.web.Store(&cfg.WebSocket)
	if err := e.add(l, func() { l.accept(begin) }); err != nil {
		ln.Close()
		return nil, err
	}
	return l, nil
}

// acceptPause is how long we wait when the system gives no more descriptors.
const acceptPause = 50 * time.Millisecond

func (l *Listener) accept(begin func(*Listener, net.Conn, ConnInfo)) {
	for {
		nc, err := l.ln.Accept()
		switch {
		case errors.Is(err, net.ErrClosed):
			return
		case err != nil:
			select {
			case <-time.After(acceptPause):
				continue
			case <-l.e.ctx.Done():
				return
			}
		}
		info := ConnInfo{
			ID:        l.e.lastID.Add(1),
			Transport: l.cfg.Transport,
			Local:     addrPort(nc.LocalAddr()),
			Remote:    addrPort(nc.RemoteAddr()),
			Inbound:   true,
			Listener:  l.cfg.Name,
			Begun:     time.Now(),
			on:        l,
		}
		if err := l.e.admit(info); err != nil {
			nc.Close()
			l.e.hooks.refusing(info, err)
			l.e.hooks.refused(info, err)
			continue
		}
		begin(l, nc, info)
	}
}

// admit counts an inbound connection and asks the hook. Whoever was admitted is
// counted until it ends.
func (e *Endpoint) admit(info ConnInfo) error {
	if err := e.enter(info.on, info.Remote.Addr()); err != nil {
		return err
	}
	if e.hooks.AdmitConn == nil {
		return nil
	}
	if err := e.hooks.AdmitConn(info.Transport, info.Local, info.Remote); err != nil {
		e.left(info)
		return fmt.Errorf("not admitted: %w", err)
	}
	return nil
}

// turnAway ends a connection that did not open, and of which refusing has told.
func (e *Endpoint) turnAway(nc net.Conn, info ConnInfo, err error) {
	nc.Close()
	e.left(info)
	e.hooks.refused(info, err)
}

func dialTCP(ctx context.Context, e *Endpoint, cfg DialConfig) (*Conn, error) {
	nc, info, err := e.connect(ctx, cfg)
	if err != nil {
		return nil, err
	}
	c, err := e.newStream(nc, nil, nil, info, cfg.Key)
	if err != nil {
		e.hooks.refusing(info, err)
		e.turnAway(nc, info, err)
		return nil, err
	}
	return c, nil
}

// connect opens a socket. The port of Key.Local is that of a listener and is not
// for us to use.
func (e *Endpoint) connect(ctx context.Context, cfg DialConfig) (net.Conn, ConnInfo, error) {
	info := ConnInfo{
		ID:        e.lastID.Add(1),
		Transport: cfg.Transport,
		Local:     cfg.Local,
		Remote:    cfg.Remote,
		Peer:      cfg.Peer,
		Begun:     time.Now(),
	}
	var local netip.AddrPort
	if a := cfg.Local.Addr(); a.IsValid() && !a.IsUnspecified() {
		local = netip.AddrPortFrom(a, 0)
	}
	nc, err := e.network.Dial(ctx, local, cfg.Remote)
	if err != nil {
		err = dialError(err)
		e.hooks.refusing(info, err)
		e.hooks.refused(info, err)
		return nil, info, err
	}
	info.Local = addrPort(nc.LocalAddr())
	return nc, info, nil
}

// dialError leaves out of an error of Network.Dial what whoever reads it knows
// already: the network and the two addresses, of which ours has no port yet. Only
// an address of ours that cannot be used is worth its place.
func dialError(err error) error {
	op, ok := errors.AsType[*net.OpError](err)
	switch {
	case !ok || op.Op != "dial":
		return err
	case op.Source != nil && errors.Is(err, syscall.EADDRNOTAVAIL):
		return fmt.Errorf("from %v: %w", addrPort(op.Source).Addr(), op.Err)
	}
	return op.Err
}
