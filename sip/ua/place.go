package ua

import (
	"net"
	"net/netip"

	"github.com/sallyport-sip/sallyport/sip"
	"github.com/sallyport-sip/sallyport/sip/transport"
)

// place is the host and port that our Via and Contact show towards a flow: what
// Advertise says, or the address of the listener that the other side can reach,
// never the ephemeral port of a connection that we dialled if there is such a
// listener (RFC 3261 §18.1.1).
func (srv *Server) place(f Flow) string {
	if srv.Advertise != nil {
		if p := srv.Advertise(f.Conn); p != "" {
			return p
		}
	}
	info := f.Conn.Info()
	at := info.Local
	if !info.Inbound {
		at = srv.listening(info.Transport, at)
	}
	if at.Addr().IsUnspecified() {
		at = netip.AddrPortFrom(localTowards(f.Addr, at.Addr()), at.Port())
	}
	return at.String()
}

// listening is the address of a listener where the other side of a connection
// from local can reach us too, local itself when there is none.
func (srv *Server) listening(t transport.Transport, local netip.AddrPort) netip.AddrPort {
	for _, l := range srv.endpoint.Listeners() {
		if l.Transport() == t && (l.Addr().Addr() == local.Addr() || l.Addr().Addr().IsUnspecified()) {
			return netip.AddrPortFrom(local.Addr(), l.Addr().Port())
		}
	}
	return local
}

// localTowards is the machine's own address on the way to another, for a socket
// that is bound to all. Connecting a datagram socket sends nothing.
func localTowards(to netip.AddrPort, otherwise netip.Addr) netip.Addr {
	if !to.IsValid() {
		return otherwise
	}
	c, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(to))
	if err != nil {
		return otherwise
	}
	defer c.Close()
	local, ok := c.LocalAddr().(*net.UDPAddr)
	if !ok {
		return otherwise
	}
	return local.AddrPort().Addr().Unmap()
}

// contact is the value of our Contact towards a flow.
func (srv *Server) contact(f Flow, user string, sips bool) string {
	if user != "" {
		user += "@"
	}
	if sips {
		return "<sips:" + user + srv.place(f) + ">"
	}
	return "<sip:" + user + srv.place(f) + ";transport=" + f.Conn.Transport().URIParam() + ">"
}

// via writes the Via of a request.
func (srv *Server) via(b *sip.Builder, f Flow, branch []byte) {
	b.Header("Via", "SIP/2.0/", f.Conn.Transport().Via(), " ", srv.place(f), ";rport;branch=", string(branch))
}

// nextHop is where a request of a dialog goes: on a stream to the connection's
// other end; on UDP to the address of the next hop's URI. A name there is not
// looked up: then it goes where the other side's messages came from.
func (srv *Server) nextHop(f Flow, uri string) Flow {
	if f.reliable() {
		return f
	}
	u, err := sip.ParseURI([]byte(uri))
	if err != nil {
		return f
	}
	addr, err := netip.ParseAddr(string(u.HostName()))
	if err != nil {
		return f
	}
	port := u.Port
	if port == 0 {
		port = transport.UDP.DefaultPort()
	}
	f.Addr = netip.AddrPortFrom(addr.Unmap(), port)
	return f
}
