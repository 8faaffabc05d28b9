package ua

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"github.com/sallyport-sip/sallyport/sip/transport"
)

// Target is where a request goes first, and who is expected there.
// Connections are shared by requests whose targets are equal, and by no others.
//
// Without an Addr, Send and Invite find it by the request's URI, and go on to the
// domain's next server when one fails; see [Server.Resolve].
type Target struct {
	Transport transport.Transport
	Addr      netip.AddrPort
	// TLS says how to prove who is there and who we are; it is needed for TLS. Its
	// ServerName is the name that is verified.
	TLS *tls.Config
	// Peer is a name of the caller's for who is there. The connection has it as its
	// identity unless the server's Identify hook finds another.
	Peer string
	// Local is the address to leave from, on UDP that of a listener. The zero value
	// lets the system choose.
	Local netip.AddrPort
	// Listener is on UDP the name of the listener to send from; empty takes the
	// first that fits.
	Listener string
	// Policy stands for everything in TLS that makes a connection another one. When
	// it is empty the identity of the tls.Config stands for it, so that a config is
	// made once and not for each request.
	Policy string
}

// Connect returns the connection to a target, the live one if there is one. On
// UDP that is a listener's socket.
func (srv *Server) Connect(ctx context.Context, to Target) (*transport.Conn, error) {
	if srv.endpoint == nil {
		return nil, errNotStarted
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	cfg := transport.DialConfig{
		Key: transport.Key{
			Transport: to.Transport, Local: to.Local, Remote: to.Addr, Peer: to.Peer, Policy: to.Policy,
		},
		Listener: to.Listener,
	}
	if to.Transport.Secure() {
		if to.TLS == nil {
			return nil, errors.New("ua: a target over TLS needs a tls.Config that says whom to believe")
		}
		cfg.TLS = to.TLS
		if cfg.Policy == "" {
			cfg.Policy = fmt.Sprintf("%p", to.TLS)
		}
	}
	return srv.endpoint.Dial(ctx, cfg)
}

// fits refuses to send a sips: request over a hop without TLS (RFC 3261
// §26.2.2, RFC 5630 §3.1.3).
func (to Target) fits(uri string) error {
	if len(uri) > 5 && strings.EqualFold(uri[:5], "sips:") && !to.Transport.Secure() {
		return fmt.Errorf("ua: %s over %v: a sips: URI is only for TLS", uri, to.Transport)
	}
	return nil
}
