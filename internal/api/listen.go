package api

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"sync"

	"github.com/sallyport-sip/sallyport/internal/config"
	"github.com/sallyport-sip/sallyport/internal/gateway"
)

// listener is one open address with its server.
type listener struct {
	net.Listener
	want  netip.AddrPort // what was asked for; not valid on the local socket
	http  *http.Server   // nil until serve
	done  chan error
	after func() // when it is closed
	// ending is closed when it is being closed: streams would last for ever.
	ending chan struct{}
}

// listen opens the address of the admin section.
func (s *Server) listen(at netip.AddrPort) (*listener, error) {
	network := "tcp"
	if at.Addr().Is4() {
		network = "tcp4" // with "tcp", 0.0.0.0 would take IPv6 too
	}
	l, err := net.Listen(network, at.String())
	if err != nil {
		return nil, fmt.Errorf("admin: %w", err)
	}
	return &listener{Listener: &secured{l, s.gateway, make(chan struct{}, maxConns)}, want: at}, nil
}

// serve begins to answer.
func (s *Server) serve(l *listener, h http.Handler) {
	l.http = &http.Server{
		Handler: h, ReadHeaderTimeout: readWithin, ReadTimeout: readWithin, WriteTimeout: writeWithin, IdleTimeout: idleWithin,
		MaxHeaderBytes: maxHeader, ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
	l.ending = make(chan struct{})
	l.http.BaseContext = func(net.Listener) context.Context {
		return context.WithValue(context.Background(), endingKey{}, l.ending)
	}
	l.http.RegisterOnShutdown(func() { close(l.ending) })
	l.done = make(chan error, 1)
	go func() { l.done <- l.http.Serve(l.Listener) }()
}

// close ends it after the requests under way, at the latest when ctx ends.
func (l *listener) close(ctx context.Context) error {
	if l == nil {
		return nil
	}
	if l.http == nil {
		return l.Listener.Close()
	}
	err := l.http.Shutdown(ctx)
	if err != nil {
		l.http.Close() // who still reads has had its time
	}
	if serving := <-l.done; !errors.Is(serving, http.ErrServerClosed) {
		err = errors.Join(err, serving)
	}
	if l.after != nil {
		l.after()
	}
	return err
}

// follow moves the API with the configuration. The new address is opened before
// the configuration comes into force.
func (s *Server) follow(cfg *config.Config, _ gateway.Admin) (func(bool), []config.Problem) {
	at := cfg.Admin.Listen.AddrPort
	if now := s.open(); now != nil && now.want == at || now == nil && !at.IsValid() {
		return func(bool) {}, nil
	}
	var next *listener
	if at.IsValid() {
		var err error
		if next, err = s.listen(at); err != nil {
			return nil, []config.Problem{cfg.Problem(cfg.Admin.At("listen"), "the API cannot be opened", err.Error(), "choose another address, or free this one")}
		}
	}
	return func(inForce bool) {
		if !inForce {
			s.letGo(next)
			return
		}
		if next != nil {
			s.serve(next, s.Handler(false))
		}
		s.letGo(s.move(next))
	}, nil
}

// letGo closes an address. The request that asked for the reload may be one of
// those under way, so it is not waited for here, but by Close.
func (s *Server) letGo(l *listener) {
	if l == nil {
		return
	}
	s.leaving.Go(func() {
		ctx, cancel := context.WithTimeout(context.Background(), readWithin)
		defer cancel()
		l.close(ctx)
	})
}

// maxConns is how many connections to the API there may be at once.
const maxConns = 256

// secured speaks TLS on connections that it accepts while the configuration has
// a certificate for the API, and bounds how many there are.
type secured struct {
	net.Listener
	gateway *gateway.Gateway
	slots   chan struct{}
}

func (l *secured) Accept() (net.Conn, error) {
	for {
		nc, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		select {
		case l.slots <- struct{}{}:
		default:
			nc.Close()
			continue
		}
		nc = &counted{Conn: nc, leave: func() { <-l.slots }}
		if a := l.gateway.Admin(); a.Certificate != nil {
			nc = tls.Server(nc, &tls.Config{
				MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{*a.Certificate}, NextProtos: []string{"http/1.1"},
			})
		}
		return nc, nil
	}
}

// counted gives its slot back when it is closed.
type counted struct {
	net.Conn
	once  sync.Once
	leave func()
}

func (c *counted) Close() error {
	c.once.Do(c.leave)
	return c.Conn.Close()
}
