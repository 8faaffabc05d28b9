package config

import (
	"fmt"
	"net/netip"
	"strings"
)

// Listener is an address on which we accept SIP, and which our own requests
// name as the place to answer to.
type Listener struct {
	Name string
	Place

	// The transport and the address: `tls`, `tcp`, `udp`, `wss` (secure
	// WebSocket, for browsers) or `ws`, a colon, an IP address, a colon, a port. IPv6 addresses stand in brackets; `0.0.0.0` and
	// `[::]` mean every address of the host and need `advertise`. Port 0 lets
	// the system choose one.
	Listen Address `yaml:"listen" need:"required" form:"\"transport:address:port\""`

	// What a TLS listener asks of who connects. `required`: a certificate that
	// the listener's trust leads to, or the handshake fails. `optional`: one is
	// asked for, and judged when it comes. `none`: none is asked for, as suits
	// most browsers. Only for TLS and WSS. Default: `required`.
	ClientCertificates ClientCertificates `yaml:"client_certificates" form:"one of required, optional, none"`

	// The host, and the port if it differs, that Via, Contact and Record-Route
	// carry, because others reach us there. Default: the address listened on.
	Advertise HostPort `yaml:"advertise" need:"required for an unspecified address" form:"\"host\" or \"host:port\""`

	// The identity shown to who connects. Only for TLS and WSS. Default: that of
	// `defaults`.
	Identity string `yaml:"identity" form:"name of an identity"`

	// Further identities, each shown to who asks for one of its names
	// (`server_name`, RFC 6066 §3): first the one whose certificate has that very
	// name, then one with a wildcard that covers it. The names are the DNS names
	// and the hosts of `sip:` URIs in the certificate. Who asks for nothing gets
	// `identity`. Only for TLS and WSS. Default: none.
	Identities []string `yaml:"identities" form:"list of names of identities"`

	// What becomes of who asks for a name that none of our identities here has.
	// `any`: it gets `identity`, and judges for itself. `strict`: it is refused
	// with alert unrecognized_name. Only for TLS and WSS. Default: `any`.
	SNI SNI `yaml:"sni" form:"one of any, strict"`

	// Whose certificates let a handshake finish. Which peer it is, is judged
	// by the peer's own trust. Only for TLS and WSS. Default: that of `defaults`.
	Trust []string `yaml:"trust" form:"list of names of trust sets"`

	// How TLS is spoken here. Only for TLS and WSS. Default: that of `defaults`.
	Policy string `yaml:"policy" form:"name of a policy"`

	// The web pages whose scripts may connect, as the browser names their
	// origin: `https://phone.example`; `"*"` stands for all. The browser says
	// which page it is, and no page can lie about it; a page that is not listed
	// gets 403, so that it cannot use the address or the certificate of whoever
	// looks at it to call in their name. Programs that are no browsers name no
	// origin and are not asked. Only for WS and WSS. Default: none.
	Origins []string `yaml:"origins" form:"list of origins"`

	// The path of the WebSocket's URL; another gets 404. Only for WS and WSS.
	// Default: any.
	Path string `yaml:"path" form:"path of a URL"`

	// `true` says that a proxy in front takes what comes from other hosts and
	// has ended TLS there, so that there is no alarm about WebSocket without it.
	// Peers are then known by the proxy's address. Only for WS. Default: `false`.
	BehindProxy bool `yaml:"behind_proxy"`

	// What may be sent to us here, and how fast.
	Limits ListenerLimits `yaml:"limits" form:"keys with values"`
}

// Advertised returns what Via, Contact and Record-Route carry. Its port is 0
// when the system chooses the port.
func (l *Listener) Advertised() HostPort {
	hp := l.Advertise
	if hp.Host == "" {
		hp.Host = l.Listen.AddrPort.Addr().String()
	}
	if hp.Port == 0 {
		hp.Port = l.Listen.AddrPort.Port()
	}
	return hp
}

// ClientCertificates says what a TLS listener asks of who connects.
type ClientCertificates string

// The values of client_certificates.
const (
	CertificateRequired ClientCertificates = "required"
	CertificateOptional ClientCertificates = "optional"
	CertificateNone     ClientCertificates = "none"
)

func (c *ClientCertificates) set(text string) *fault {
	return setWord(c, text, CertificateRequired, CertificateOptional, CertificateNone)
}

func checkListeners(c *Config, r *report) {
	if len(c.Listeners) == 0 && c.Broken("listeners") {
		return
	}
	if len(c.Listeners) == 0 && !c.Has("listeners") {
		r.add(Pos{1, 1}, "there are no listeners", "the gateway would accept nothing", `add a section "listeners"`)
	} else if len(c.Listeners) == 0 {
		r.add(c.At("listeners"), `"listeners" is empty`, "the gateway would accept nothing", "add a listener")
	}
	for i := range c.Listeners {
		l := &c.Listeners[i]
		checkListener(c, r, l)
		for j := range c.Listeners[:i] {
			if first := &c.Listeners[j]; first.Listen.Collides(l.Listen) {
				r.add(l.At("listen"), fmt.Sprintf("listener %q: %s is already taken", l.Name, l.Listen),
					fmt.Sprintf("listener %q listens on %s", first.Name, first.Listen), "give it another port or address")
				break
			}
		}
	}
}

func checkListener(c *Config, r *report, l *Listener) {
	label := fmt.Sprintf("listener %q", l.Name)
	l.Limits.check(r, label, l.Listen.Transport)
	if l.Listen.Transport == "" {
		if l.missing("listen") {
			r.add(l.Pos, label+`: "listen" is missing`, "it says transport and address", `for instance listen: "tls:192.0.2.1:5061"`)
		}
		return
	}
	if l.Listen.AddrPort.Addr().IsUnspecified() && l.Advertise.Host == "" && l.missing("advertise") {
		r.add(l.At("listen"), fmt.Sprintf("%s: %s needs \"advertise\"", label, l.Listen),
			"nobody can answer to an unspecified address", "set advertise to the host that others reach us by")
	}
	checkWebSocketListener(r, l, label)
	if !l.Listen.Transport.Secure() {
		checkPlainListener(r, l, label)
		return
	}
	if l.Identity == "" && l.missing("identity") {
		r.add(l.Pos, label+": it has no identity", "TLS needs a certificate to show", `name one in "identity", here or in "defaults"`)
	}
	if l.ClientCertificates != CertificateNone && l.ClientCertificates != "" && len(l.Trust) == 0 && l.missing("trust") {
		r.add(l.Pos, label+": it has no trust", fmt.Sprintf("with client_certificates: %s no certificate could be verified", l.ClientCertificates),
			`name a trust set in "trust", here or in "defaults"`)
	}
	checkIdentityName(c, r, label, l.Place, l.Identity)
	checkFurtherIdentities(c, r, label, l)
	checkTrustNames(c, r, label, l.Place, l.Trust)
	checkPolicyName(c, r, label, l.Place, l.Policy)
}

func checkPlainListener(r *report, l *Listener, label string) {
	for _, key := range []string{"client_certificates", "identity", "identities", "sni", "trust", "policy"} {
		if l.Has(key) {
			r.add(l.At(key), fmt.Sprintf("%s: %q is only for TLS", label, key),
				fmt.Sprintf("the listener is %s", l.Listen.Transport), "remove the key or listen on tls or wss")
		}
	}
}

// ListenerFor returns the listener that our requests to the peer name as the
// place to answer to: the one it names, else the first of its transport,
// preferring one of its address family. It is nil when there is none.
func (c *Config) ListenerFor(p *Peer) *Listener {
	if p.Listener != "" {
		return find(c.Listeners, p.Listener)
	}
	addr, err := netip.ParseAddr(p.URI.Host)
	var other *Listener
	for i := range c.Listeners {
		l := &c.Listeners[i]
		if l.Listen.Transport != p.URI.Transport || p.URI.Transport == "" {
			continue
		}
		if err != nil || l.Listen.reaches(addr) {
			return l
		}
		if other == nil {
			other = l
		}
	}
	return other
}

// Address is a transport with an address to listen on.
type Address struct {
	Transport Transport
	AddrPort  netip.AddrPort
}

// String renders it as the file has it.
func (a Address) String() string { return string(a.Transport) + ":" + a.AddrPort.String() }

func (a *Address) set(text string) *fault {
	name, rest, ok := strings.Cut(text, ":")
	if !ok || strings.ContainsAny(name, ".[") {
		return &fault{why: "it does not begin with a transport", remedy: `write it as "tls:192.0.2.1:5061"`}
	}
	var t Transport
	if f := t.set(name); f != nil {
		return f
	}
	ap, f := parseAddrPort(rest)
	if f != nil {
		return f
	}
	*a = Address{t, ap}
	return nil
}

// Collides says whether two sockets cannot be open at once. All but UDP
// share the ports of TCP.
func (a Address) Collides(b Address) bool {
	if a.Transport == "" || b.Transport == "" || (a.Transport == UDP) != (b.Transport == UDP) {
		return false
	}
	return samePort(a.AddrPort, b.AddrPort)
}

func samePort(a, b netip.AddrPort) bool {
	if a.Port() != b.Port() || a.Port() == 0 {
		return false
	}
	return a.Addr() == b.Addr() || covers(a.Addr(), b.Addr()) || covers(b.Addr(), a.Addr())
}

// covers says whether a socket on the unspecified address any takes a too:
// [::] takes IPv4 as well.
func covers(any, a netip.Addr) bool {
	return any.IsUnspecified() && (any.Is6() || a.Is4())
}

// reaches says whether the listener's family can speak with addr.
func (a Address) reaches(addr netip.Addr) bool {
	own := a.AddrPort.Addr()
	return own.Is4() == addr.Unmap().Is4() || own == netip.IPv6Unspecified()
}
