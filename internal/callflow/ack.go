package callflow

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/sallyport-sip/sallyport/sip"
)

// Why no ACK comes to a 2xx of the gateway's is judged by what the caller was given to find the way: the Contact and the
// Record-Routes of the 2xx (RFC 3261 §12.1.2, §13.2.2.4), and by what became of its connection and of ACKs that did come.
// The gateway says it while the call is up, and the finding in its flow says the same.

// The codes of what may keep an ACK away. Each is a row of the table of checks.
const (
	AckRefused    = "ack-refused"    // one came, and could not be taken
	AckConnection = "ack-connection" // the connection of the INVITE is gone
	AckScheme     = "ack-scheme"     // the Contact given has a scheme that the caller did not use
	AckTransport  = "ack-transport"  // the Contact given is for another transport
	AckContact    = "ack-contact"    // the Contact given leads nowhere from the caller
	AckRoute      = "ack-route"      // a Record-Route leads nowhere, or not to where the INVITE came from
	AckMissing    = "ack-missing"    // none of these
)

// Unacknowledged is what is known of a 2xx without ACK.
type Unacknowledged struct {
	Peer      string         // who did not send it
	Remote    netip.AddrPort // where its INVITE came from
	Local     netip.AddrPort // and came to; not valid where that is a connection of ours
	Transport string         // by
	Gone      string         // why the connection has gone; empty: it has not
	Refused   string         // why an ACK that came was refused; empty: none came

	contact place
	to      string // scheme of To
	routes  []place
}

// Read takes what the 2xx gave the caller. It keeps nothing of m.
func (u *Unacknowledged) Read(m *sip.Message) {
	if c, err := m.Contact(); err == nil {
		u.contact = placeOf(c.RawURI)
	}
	if to, err := m.To(); err == nil {
		u.to = schemeOf(to.RawURI)
	}
	u.routes = nil
	for v := range m.Values(sip.HdrRecordRoute) {
		if a, err := sip.ParseAddress(v); err == nil {
			u.routes = append(u.routes, placeOf(a.RawURI))
		}
	}
}

// A Cause is what probably lies behind something, and what to do.
type Cause struct {
	Code   string // of the finding
	Why    string // a clause
	Remedy string
}

// Judge finds the likeliest cause. What was seen counts before what is concluded.
func (u *Unacknowledged) Judge() Cause {
	switch {
	case u.Refused != "":
		return Cause{AckRefused, "an ACK came and was refused: " + u.Refused,
			"look at the ACK in the call's ladder: " + u.Peer + " has to send it in the dialog of the 2xx, by a connection that proves who it is"}
	case u.Gone != "":
		return Cause{AckConnection, "the connection that its INVITE came by has gone (" + u.Gone + ")",
			"find out who closes connections between " + u.Peer + " and the gateway: an idle timeout there, a NAT or firewall; let it keep them alive"}
	}
	if c, ok := u.contactCause(); ok {
		return c
	}
	if c, ok := u.routeCause(); ok {
		return c
	}
	why := "nothing in what it was given explains it: Contact " + u.contact.uri + " over " + u.Transport
	if len(u.routes) > 0 {
		why += ", Record-Route " + u.routes[0].uri
	}
	return Cause{AckMissing, why,
		"see in the log of " + u.Peer + " whether the 2xx arrives and where its ACK goes; a firewall or an ALG between may drop either"}
}

const advertise = "set `advertise` of the listener to the address and port by which "

func (u *Unacknowledged) contactCause() (Cause, bool) {
	c := &u.contact
	cause := func(code, why, remedy string) (Cause, bool) {
		return Cause{code, "the Contact that it was given, " + c.uri + ", " + why, remedy}, true
	}
	switch {
	case c.scheme == "":
		return Cause{}, false
	case len(u.routes) > 0 && u.routes[0].lr && !c.addr.IsValid():
		return Cause{}, false // the ACK goes to a route first, and a name may be known there
	case c.scheme == "sips" && u.to == "sip":
		return cause(AckScheme, "is sips:, and the call was to sip:",
			"let "+u.Peer+" send ACK over TLS to sips: targets, or make its profile `sips: never`")
	case !c.leadsBy(u.Transport):
		return cause(AckTransport, "means "+c.over()+", and its INVITE came over "+u.Transport,
			"give "+u.Peer+" a listener of the transport that it uses, or let it use "+c.over())
	case hiddenFrom(c.addr, u.Remote.Addr()):
		return cause(AckContact, "has a private address, and "+u.Peer+" calls from "+u.Remote.Addr().Unmap().String(),
			advertise+u.Peer+" reaches it")
	case c.local():
		return cause(AckContact, "has a name that is known here only", advertise+u.Peer+" reaches it")
	case c.addr.IsValid() && u.Local.IsValid() && u.seesUs() && c.addr != u.Local.Addr().Unmap():
		return cause(AckContact, "is not the address that its INVITE came to, "+u.Local.String(), advertise+u.Peer+" reaches it")
	case c.addr.IsValid() && u.Local.IsValid() && c.addr == u.Local.Addr().Unmap() && c.effectivePort() != u.Local.Port():
		return cause(AckContact, "is not the port that its INVITE came to, "+u.Local.String(), advertise+u.Peer+" reaches it")
	}
	return Cause{}, false
}

// seesUs reports whether the caller knows us by the address that its INVITE came to: it does unless there is a NAT before us, that
// is, unless we are at a private address and it is not.
func (u *Unacknowledged) seesUs() bool { return !hiddenFrom(u.Local.Addr(), u.Remote.Addr()) }

// leadsBy reports whether the URI means a transport that a message came by. On a WebSocket a sips URI names none.
func (p *place) leadsBy(transport string) bool {
	if strings.HasPrefix(transport, "ws") {
		return p.over() != "udp"
	}
	return transport == "" || p.over() == transport
}

// effectivePort is the port that the URI means.
func (p *place) effectivePort() uint16 {
	switch {
	case p.port != 0:
		return p.port
	case p.over() == "tls" || p.over() == "wss":
		return 5061
	}
	return 5060
}

// routeCause looks at the Record-Routes: the first is of the proxy that sent us the INVITE (RFC 3261 §16.6 step 4).
func (u *Unacknowledged) routeCause() (Cause, bool) {
	remedy := "correct the Record-Route of the proxy before the gateway: each entry has to lead to that proxy from both sides"
	for i := range u.routes {
		r := &u.routes[i]
		why := ""
		switch {
		case !r.lr && r.scheme != "":
			why = "has no lr, so that the ACK is routed strictly"
		case hiddenFrom(r.addr, u.Remote.Addr()):
			why = "has a private address, and its INVITE came from " + u.Remote.Addr().Unmap().String()
		case r.local():
			why = "has a name that means nothing elsewhere"
		case i == 0 && r.addr.IsValid() && u.Remote.IsValid() && r.addr != u.Remote.Addr().Unmap():
			why = fmt.Sprintf("is %v, and its INVITE came from %v", r.addr, u.Remote)
		default:
			continue
		}
		return Cause{AckRoute, "the ACK has to go by the Record-Route " + r.uri + ", which " + why, remedy}, true
	}
	return Cause{}, false
}

// Sentence says it for a person.
func (c *Cause) Sentence(peer string) string {
	return strings.TrimSpace("no ACK from " + peer + " to the 2xx: " + c.Why)
}
