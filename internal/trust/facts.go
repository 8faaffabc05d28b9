package trust

import (
	"context"
	"crypto/tls"
	"crypto/x509"
)

// Facts is what is known of one handshake besides its error. A *Facts put into the context of HandshakeContext is filled
// by our configurations while the handshake runs in that call; the caller adds State and PeerSpoke afterwards. It is not
// safe for use while the handshake runs.
type Facts struct {
	Presented     []*x509.Certificate // what we showed, leaf first; as client only once we were asked
	Asked         bool                // as client: the peer asked for our certificate, so it had passed our checks by then
	AcceptableCAs [][]byte            // as client: the subjects (DER) of the CAs that the peer named; none: any
	ServerName    string              // as server: the name that the client asked for

	Wire Wire // what else the wire showed; zero where nobody read it

	State     *tls.ConnectionState // once the handshake was complete on our side
	Notes     []string             // what is to be known about who the peer is, although it was accepted
	PeerSpoke bool                 // the peer has sent application data, and so has accepted us
}

type factsKey struct{}

// NewContext returns a context for HandshakeContext in which f is filled.
func NewContext(ctx context.Context, f *Facts) context.Context {
	return context.WithValue(ctx, factsKey{}, f)
}

// factsOf returns nil when nobody wants to know.
func factsOf(ctx context.Context) *Facts {
	if ctx == nil { // a hello that crypto/tls did not make
		return nil
	}
	f, _ := ctx.Value(factsKey{}).(*Facts)
	return f
}
