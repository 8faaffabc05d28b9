package cross

import (
	"net/netip"

	"github.com/sallyport-sip/sallyport/internal/peer"
	"github.com/sallyport-sip/sallyport/sip"
	"github.com/sallyport-sip/sallyport/sip/dialog"
	"github.com/sallyport-sip/sallyport/sip/transport"
)

// Target is the Request-URI towards a peer: the user of the sender's, at the
// peer's configured address. secure makes it a SIPS URI.
func Target(p *peer.Peer, secure bool, user []byte) string {
	uri := URI(secure, user, p.URI.HostPort().String())
	if p.Transport != transport.UDP && !secure {
		uri += ";transport=" + p.Transport.String()
	}
	return uri
}

// From is our From towards a peer for a request that crosses: the user and the
// display name of the sender's, at our host. An anonymous sender stays anonymous
// (RFC 3323 §4.1.1.3).
func From(m *sip.Message, place peer.Place, secure bool) dialog.Party {
	from, _ := m.From()
	uri, _ := from.URI()
	at := place.Host
	if string(uri.Host) == "anonymous.invalid" {
		at = "anonymous.invalid"
	}
	user := uri.User
	if !uri.SIP() && !uri.Is("tel") {
		user = nil
	}
	return dialog.Party{Display: string(from.Display), URI: URI(secure, user, at)}
}

// URI writes a SIP or SIPS URI.
func URI(secure bool, user []byte, hostPort string) string {
	scheme, at := "sip:", ""
	if secure {
		scheme = "sips:"
	}
	if len(user) > 0 {
		at = "@"
	}
	return scheme + string(user) + at + hostPort
}

// Host puts an IPv6 address into brackets, as a URI has it.
func Host(h string) string {
	if a, err := netip.ParseAddr(h); err == nil && a.Is6() {
		return "[" + h + "]"
	}
	return h
}
