package peer

import (
	"github.com/sallyport-sip/sallyport/sip"
	"github.com/sallyport-sip/sallyport/sip/transport"
)

// Place is how a leg's peer reaches us: the listener's advertised address,
// never an ephemeral port.
type Place struct {
	HostPort  string // "gw.example.com:5061"
	Host      string // without the port, as in From
	Transport transport.Transport
	Alias     bool // our connection is offered for requests of the peer's (RFC 5923 §8.1)
	Keep      bool // the peer is asked whether it answers keep-alives (RFC 6223 §4.2)
}

// Via writes our Via with a branch; on UDP we ask for the response to come back
// to the port that we send from (RFC 3581 §3).
func (p Place) Via(b *sip.Builder, branch []byte) {
	asks := ""
	switch {
	case p.Transport == transport.UDP:
		asks = ";rport"
	case p.Alias && p.Keep:
		asks = ";alias;keep"
	case p.Alias:
		asks = ";alias"
	case p.Keep:
		asks = ";keep"
	}
	b.Header("Via", "SIP/2.0/", p.Transport.Via(), " ", p.HostPort, asks, ";branch=", string(branch))
}

// Contact writes our Contact. It has the scheme of the dialog (RFC 3261
// §12.1.1); over TCP and TLS a sip URI names the transport, because without it
// the URI would mean UDP.
func (p Place) Contact(b *sip.Builder, secure bool) {
	switch {
	case secure:
		b.Header("Contact", "<sips:", p.HostPort, ">")
	case p.Transport == transport.UDP:
		b.Header("Contact", "<sip:", p.HostPort, ">")
	default:
		b.Header("Contact", "<sip:", p.HostPort, ";transport=", p.Transport.URIParam(), ">")
	}
}
