package ua

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/sallyport-sip/sallyport/sip/transport"
)

// ListenAndServe starts the server on one address, such as "192.0.2.1:5060" or
// ":5060", over "udp" or "tcp", serves until ctx ends, and then calls Shutdown,
// which may take ten seconds. It returns nil after that. A server with several
// addresses is started with Start and Listen.
func (srv *Server) ListenAndServe(ctx context.Context, network, addr string) error {
	t, ok := transport.ParseTransport(network)
	if !ok || t.Secure() {
		return fmt.Errorf(`ua: listen over %q: want "udp" or "tcp"; ListenAndServeTLS is for TLS`, network)
	}
	return srv.serve(ctx, transport.ListenConfig{Transport: t}, addr)
}

// ListenAndServeTLS is ListenAndServe over TLS, with the configuration of
// [ServerTLS] or one of the caller's.
func (srv *Server) ListenAndServeTLS(ctx context.Context, addr string, cfg *tls.Config) error {
	return srv.serve(ctx, transport.ListenConfig{Transport: transport.TLS, TLS: cfg}, addr)
}

// goodbye is how long a server that was told to end takes for its calls.
const goodbye = 10 * time.Second

func (srv *Server) serve(ctx context.Context, cfg transport.ListenConfig, addr string) (err error) {
	if cfg.Addr, err = listenAddr(ctx, addr, cfg.Transport); err != nil {
		return err
	}
	if err := srv.Start(); err != nil {
		return err
	}
	_, err = srv.Listen(cfg)
	if err == nil {
		<-ctx.Done()
	}
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), goodbye)
	defer cancel()
	return errors.Join(err, srv.Shutdown(end))
}

// listenAddr reads an address to listen on. Without a host it means all of the
// machine's, without a port the transport's own.
func listenAddr(ctx context.Context, addr string, t transport.Transport) (netip.AddrPort, error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("ua: listen on %q: want host:port: %w", addr, err)
	}
	number := int(t.DefaultPort())
	if port != "" {
		if number, err = net.DefaultResolver.LookupPort(ctx, "tcp", port); err != nil {
			return netip.AddrPort{}, fmt.Errorf("ua: listen on %q: %w", addr, err)
		}
	}
	if host == "" {
		return netip.AddrPortFrom(netip.IPv6Unspecified(), uint16(number)), nil
	}
	found, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("ua: listen on %q: %w", addr, err)
	}
	return netip.AddrPortFrom(found[0].Unmap(), uint16(number)), nil
}

// Shutdown ends the server without leaving anybody on the line: new requests and
// INVITEs that have no answer yet get a 503, calls are hung up, and when they are over
// the server is closed. When ctx ends first it is closed at once, and the error is
// that of ctx. It takes the place of Close.
//
// Calls that Invite is still placing are ended by their own contexts.
func (srv *Server) Shutdown(ctx context.Context) error {
	if srv.sessions == nil {
		return srv.Close(ctx)
	}
	srv.sessions.draining.Store(true)
	err := srv.sessions.drain(ctx)
	// When ctx has ended there is no time left, and what is closed now is cut off.
	if closing := srv.Close(ctx); err == nil {
		err = closing
	}
	return err
}

// drain hangs up all calls, and waits until they are over and the handlers have
// returned.
func (ss *sessions) drain(ctx context.Context) error {
	for {
		var left []<-chan struct{}
		for i := range ss.homes {
			ss.srv.Do(i, func(s *Shard) { left = append(left, ss.dismiss(s)...) })
		}
		if len(left) == 0 {
			return nil
		}
		for _, over := range left {
			select {
			case <-over:
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
	}
}

// dismiss refuses the INVITEs of a shard that have no answer yet, and hangs up its
// calls. It returns what there is to wait for.
func (ss *sessions) dismiss(s *Shard) (left []<-chan struct{}) {
	h := ss.home(s)
	for _, c := range h.calls {
		if c.state != early {
			c.hangUp(s, &extras{}, ErrServerClosed)
			left = append(left, c.Done())
			continue
		}
		c.cancel(ErrServerClosed)
		for r := range c.pending {
			r.refuse(s, unavailable)
		}
	}
	if len(h.lines) > 0 {
		if h.idle == nil {
			h.idle = make(chan struct{})
		}
		left = append(left, h.idle)
	}
	return left
}
