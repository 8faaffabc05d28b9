package cli

import (
	"cmp"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sallyport-sip/sallyport/internal/config"
	"github.com/sallyport-sip/sallyport/internal/trust"
)

// The usual ports (RFC 3261 §19.1.2).
const (
	portPlain = 5060
	portTLS   = 5061
)

// initFlags are the words of the command line.
type initFlags struct {
	name      string
	advertise string
	listen    string
	lan       string
	key       string
	pbx       []string
	carriers  []string
	trust     []string
	names     []string
	sources   []string
}

func (f *initFlags) add(c *cobra.Command) {
	fl := c.Flags()
	fl.StringVar(&f.name, "name", "", "`DOMAIN`: our SIP domain, for which our certificate will be")
	fl.StringVar(&f.advertise, "advertise", "", "`HOST`: host or host:port by which others reach us (default: the --name)")
	fl.StringVar(&f.listen, "listen", "", "`ADDRESS`: address or address:port for TLS (default 0.0.0.0:5061)")
	fl.StringVar(&f.lan, "lan", "", "`ADDRESS`: address or address:port for peers over UDP and TCP (default: this machine's address towards them, port 5060)")
	fl.StringArrayVar(&f.pbx, "pbx", nil, "`URI`: SIP URI of the PBX, or NAME=URI; over UDP if it names no transport")
	fl.StringArrayVar(&f.carriers, "carrier", nil, "`NAME=URI`: name and SIP URI of a carrier; over TLS if it names no transport. Several are tried in this order")
	fl.StringArrayVar(&f.trust, "trust", nil, "`NAME=FILE`: a file with the CA of a peer or its self-signed certificate, or NAME=system (default: for carriers the system's CAs, for the PBX the authority made here)")
	fl.StringArrayVar(&f.names, "certificate-name", nil, "`NAME=HOST`: the name that a peer's certificate is for (default: the host of its URI)")
	fl.StringArrayVar(&f.sources, "accept-from", nil, "`NAME=FROM`: an address or network that a peer calls from (default: over TLS any, else that of its URI)")
	fl.StringVar(&f.key, "key", string(trust.P256), "`KIND`: kind of our key: p256, rsa2048 or rsa3072")
}

// initPlan is what init is to make of them.
type initPlan struct {
	dir       string
	name      string          // our domain
	advertise config.HostPort // where TLS reaches us; the port is never 0
	listen    netip.AddrPort  // of TLS
	lan       netip.AddrPort  // of UDP and TCP; not valid when no peer needs it
	lanFound  bool            // it was not given, but found out
	lanNamed  bool            // it stands for every address, so it advertises our host
	key       trust.KeyKind
	peers     []initPeer // the PBX is the first
}

// initPeer is one of those whom the gateway will speak with.
type initPeer struct {
	name    string
	uri     config.URI
	names   []string        // for its certificate
	sources []config.Source // empty: the default
	trust   initTrust
}

// carriers are all peers but the PBX.
func (p *initPlan) carriers() []initPeer { return p.peers[1:] }

// plan reads the flags. Its errors are usage errors, except for those about files.
func (f *initFlags) plan(dir string) (*initPlan, error) {
	if dir == "" {
		return nil, usagef("the name of the directory is empty")
	}
	p := &initPlan{dir: dir, key: trust.KeyKind(f.key)}
	switch p.key {
	case trust.P256, trust.RSA2048, trust.RSA3072:
	default:
		return nil, usagef("--key %q is not p256, rsa2048 or rsa3072", f.key)
	}
	for _, step := range []func(*initPlan) error{f.ourName, f.ourAddress, f.allPeers, f.peerNames, f.peerSources, f.peerTrust, f.ourPorts} {
		if err := step(p); err != nil {
			return nil, err
		}
	}
	return p, p.contradictions()
}

// ourName reads --name, which becomes a name in a certificate.
func (f *initFlags) ourName(p *initPlan) error {
	if f.name == "" {
		return usagef("--name is missing: it is the SIP domain in our certificate, for instance --name sbc.example.com")
	}
	p.name = strings.ToLower(strings.TrimSuffix(f.name, "."))
	const remedy = "write a domain such as sbc.example.com"
	lower := strings.ToLower(f.name)
	switch {
	case strings.HasPrefix(lower, "sip:"), strings.HasPrefix(lower, "sips:"):
		return usagef("--name %q is a URI, and a domain is wanted: %s", f.name, remedy)
	case strings.Contains(f.name, "*"):
		return usagef("--name %q has a wildcard, which no certificate of a SIP domain may have (RFC 5922 section 7.2): %s", f.name, remedy)
	case strings.ContainsFunc(f.name, func(r rune) bool { return r > 0x7e }):
		return usagef("--name %q has letters beyond ASCII: write the name in its xn-- form", f.name)
	}
	if _, err := netip.ParseAddr(strings.Trim(f.name, "[]")); err == nil {
		return usagef("--name %q is an address, and others know us by a name: %s; the address belongs to --advertise", f.name, remedy)
	}
	if at, err := config.ParseHostPort(p.name); err != nil || at.Port != 0 {
		return usagef("--name %q is no domain: %s", f.name, remedy)
	}
	return nil
}

// ourAddress reads --advertise and --listen.
func (f *initFlags) ourAddress(p *initPlan) error {
	p.advertise = config.HostPort{Host: p.name}
	if f.advertise != "" {
		at, err := config.ParseHostPort(f.advertise)
		if err != nil {
			return usagef("--advertise %q: %v", f.advertise, err)
		}
		p.advertise = config.HostPort{Host: strings.ToLower(at.Host), Port: at.Port}
	}
	if f.listen != "" {
		at, err := addressToListen(f.listen, portTLS)
		if err != nil {
			return usagef("--listen %q: %v", f.listen, err)
		}
		p.listen = at
	}
	return nil
}

// addressToListen reads an address with or without a port.
func addressToListen(text string, port uint16) (netip.AddrPort, error) {
	if a, err := netip.ParseAddr(strings.Trim(text, "[]")); err == nil {
		return netip.AddrPortFrom(a.Unmap(), port), nil
	}
	at, err := config.ParseAddress("tls:" + text)
	if err == nil && at.AddrPort.Port() == 0 {
		err = fmt.Errorf("others must know the port: write one from 1 to 65535")
	}
	return at.AddrPort, err
}

// allPeers reads --pbx and --carrier.
func (f *initFlags) allPeers(p *initPlan) error {
	switch len(f.pbx) {
	case 0:
		return usagef("--pbx is missing: the SIP URI of your PBX, for instance --pbx sip:10.0.0.5")
	case 1:
	default:
		return usagef("--pbx names one PBX, and %d are named: further peers are for sallyport.yaml", len(f.pbx))
	}
	if len(f.carriers) == 0 {
		return usagef("--carrier is missing: a name and a SIP URI, for instance --carrier acme=sip:sip.acme.example:5061")
	}
	name, uri, named := cutName(f.pbx[0])
	if !named {
		name = "pbx"
	}
	if err := p.addPeer("--pbx", name, uri, config.UDP); err != nil {
		return err
	}
	for _, text := range f.carriers {
		name, uri, named := cutName(text)
		if !named {
			return usagef("--carrier needs a name before the URI, for instance --carrier acme=sip:sip.acme.example:5061")
		}
		if err := p.addPeer("--carrier", name, uri, config.TLS); err != nil {
			return err
		}
	}
	return nil
}

// cutName cuts "NAME=VALUE"; a URI without a name may have the sign too.
func cutName(text string) (name, value string, named bool) {
	name, value, named = strings.Cut(text, "=")
	if !named || strings.Contains(name, ":") {
		return "", text, false
	}
	return name, value, true
}

func (p *initPlan) addPeer(flag, name, text string, usual config.Transport) error {
	if err := config.CheckName(name); err != nil || strings.Trim(name, ".-") == "" {
		return usagef("%s: %q is no name for a peer: a name has 1 to 64 letters, digits, dots, hyphens and underscores", flag, name)
	}
	if strings.EqualFold(name, trustOurs) || strings.EqualFold(name, trustSystem) {
		return usagef("%s: the name %q is that of a trust in the configuration: choose another", flag, name)
	}
	if slices.ContainsFunc(p.peers, func(other initPeer) bool { return strings.EqualFold(other.name, name) }) {
		return usagef("%s: two peers have the name %q: choose another for one of them", flag, name)
	}
	uri, err := config.ParseURI(text)
	if err != nil {
		return usagef("%s %s: its URI is bad: %v", flag, name, err)
	}
	if !strings.Contains(strings.ToLower(text), ";transport=") && uri.Transport != usual {
		if usual == config.TLS && uri.Port == portPlain {
			return usagef("%s %s: port %d is usual without TLS, and the URI names no transport: add ;transport=tls, or ;transport=udp for calls in clear",
				flag, name, uri.Port)
		}
		if uri.Scheme == "sip" {
			uri, err = config.ParseURI(text + ";transport=" + string(usual))
		}
		if err != nil {
			return usagef("%s %s: its URI is bad: %v", flag, name, err)
		}
	}
	peer := initPeer{name: name, uri: uri}
	if uri.TLS() {
		peer.names = []string{uri.Host}
	}
	p.peers = append(p.peers, peer)
	return nil
}

// peerNames reads --certificate-name.
func (f *initFlags) peerNames(p *initPlan) error {
	seen := map[string]bool{}
	return f.each(p, "--certificate-name", f.names, func(peer *initPeer, domain string) error {
		if !peer.uri.TLS() {
			return usagef("--certificate-name %s: that peer is reached over %s and shows no certificate: add ;transport=tls to its URI", peer.name, peer.uri.Transport)
		}
		at, err := config.ParseHostPort(domain)
		if err != nil || at.Port != 0 {
			return usagef("--certificate-name %s: %q is no domain: write one such as acme.example", peer.name, domain)
		}
		if !seen[peer.name] {
			seen[peer.name], peer.names = true, nil
		}
		if !slices.Contains(peer.names, at.Host) {
			peer.names = append(peer.names, at.Host)
		}
		return nil
	})
}

// peerSources reads --accept-from.
func (f *initFlags) peerSources(p *initPlan) error {
	err := f.each(p, "--accept-from", f.sources, func(peer *initPeer, text string) error {
		s, err := config.ParseSource(text)
		if err != nil {
			return usagef("--accept-from %s: %v", peer.name, err)
		}
		peer.sources = append(peer.sources, s)
		return nil
	})
	if err != nil {
		return err
	}
	for i := range p.peers {
		peer := &p.peers[i]
		if peer.uri.TLS() || len(peer.sources) > 0 {
			continue
		}
		a, err := netip.ParseAddr(peer.uri.Host)
		if err != nil {
			return usagef("peer %s is reached over %s, where a peer is known by its address alone, and %q is a name: add ;transport=tls to its URI, or --accept-from %[1]s=ADDRESS",
				peer.name, peer.uri.Transport, peer.uri.Host)
		}
		a = a.WithZone("").Unmap()
		peer.sources = []config.Source{{Prefix: netip.PrefixFrom(a, a.BitLen()), Port: peer.uri.Port}}
	}
	return nil
}

// each calls set for each NAME=VALUE of a flag.
func (f *initFlags) each(p *initPlan, flag string, texts []string, set func(*initPeer, string) error) error {
	for _, text := range texts {
		name, value, ok := strings.Cut(text, "=")
		if !ok || value == "" {
			return usagef("%s %q is not of the form NAME=VALUE", flag, text)
		}
		i := slices.IndexFunc(p.peers, func(peer initPeer) bool { return peer.name == name })
		if i < 0 {
			return usagef("%s: there is no peer %q%s", flag, name, nearestPeer(name, p.peers))
		}
		if err := set(&p.peers[i], value); err != nil {
			return err
		}
	}
	return nil
}

// ourPorts chooses what was not given: every address for TLS, and for UDP and TCP the address that this machine has
// towards its peers there, so that the port in clear is not open to the whole network.
func (f *initFlags) ourPorts(p *initPlan) error {
	if !p.listen.IsValid() {
		any := netip.IPv4Unspecified()
		if p.wantsIPv6() {
			any = netip.IPv6Unspecified() // which takes IPv4 too
		}
		p.listen = netip.AddrPortFrom(any, portTLS)
	}
	p.advertise.Port = cmp.Or(p.advertise.Port, p.listen.Port())
	if len(p.plain()) == 0 {
		if f.lan != "" {
			return usagef("--lan %s: no peer is reached over UDP or TCP: leave it out", f.lan)
		}
		return nil
	}
	if f.lan != "" {
		at, err := addressToListen(f.lan, portPlain)
		if err != nil {
			return usagef("--lan %q: %v", f.lan, err)
		}
		p.lan = at
	} else if own, ok := p.ownAddress(); ok {
		p.lan, p.lanFound = netip.AddrPortFrom(own, portPlain), true
	} else {
		p.lan = netip.AddrPortFrom(p.listen.Addr(), portPlain)
	}
	p.lanNamed = p.lan.Addr().IsUnspecified()
	return nil
}

func (p *initPlan) wantsIPv6() bool {
	return slices.ContainsFunc(p.peers, func(peer initPeer) bool { return peer.uri.TLS() && strings.Contains(peer.uri.Host, ":") }) ||
		strings.Contains(p.advertise.Host, ":")
}

// plain are the peers without TLS.
func (p *initPlan) plain() []initPeer {
	return slices.DeleteFunc(slices.Clone(p.peers), func(peer initPeer) bool { return peer.uri.TLS() })
}

// ownAddress is the address of this machine towards all peers without TLS, when there is one, and when they are so near
// that they reach it as it is.
func (p *initPlan) ownAddress() (own netip.Addr, ok bool) {
	for _, peer := range p.plain() {
		to := peer.sources[0].Prefix.Addr()
		near := to.IsPrivate() || to.IsLoopback() || to.IsLinkLocalUnicast()
		from, found := towards(to)
		if !near || !found || from.IsLinkLocalUnicast() || own.IsValid() && own != from {
			return netip.Addr{}, false
		}
		own = from
	}
	return own, true
}

// towards asks the system from which address it would send to another one. Nothing is sent.
func towards(to netip.Addr) (netip.Addr, bool) {
	c, err := net.Dial("udp", netip.AddrPortFrom(to, portPlain).String())
	if err != nil {
		return netip.Addr{}, false
	}
	defer c.Close()
	at, err := netip.ParseAddrPort(c.LocalAddr().String())
	return at.Addr().Unmap().WithZone(""), err == nil && !at.Addr().IsUnspecified()
}

// contradictions finds what each flag alone does not show, and what check would say about the file otherwise.
func (p *initPlan) contradictions() error {
	pbx := p.peers[0]
	for i, peer := range p.peers {
		if peer.uri.Scheme == "sips" && i > 0 && !pbx.uri.TLS() {
			return usagef("--carrier %s has a sips: URI, and the PBX is reached over %s: its calls would demand TLS on every hop (RFC 5630) and never reach the PBX; write sip:...;transport=tls, or give the PBX a URI with ;transport=tls",
				peer.name, pbx.uri.Transport)
		}
		if pbx.uri.Scheme == "sips" && !peer.uri.TLS() {
			return usagef("the PBX has a sips: URI, and --carrier %s is reached over %s: the PBX's calls demand TLS on every hop (RFC 5630) and could never go there; write the PBX's as sip:...;transport=tls, or give the carrier a URI with ;transport=tls",
				peer.name, peer.uri.Transport)
		}
		for _, other := range p.peers[:i] {
			if name := commonName(other.names, peer.names); name != "" {
				return usagef("peers %s and %s would both be known by a certificate for %q: write their own names with --certificate-name", other.name, peer.name, name)
			}
			if at, same := p.commonSource(other, peer); same {
				return usagef("peers %s and %s would both be known by the address %s: give each its own with --accept-from", other.name, peer.name, at)
			}
		}
	}
	if p.lan.Port() == p.listen.Port() && p.uses(config.TCP) {
		return usagef("--lan and --listen both have port %d, which TCP and TLS cannot share: choose another for one of them", p.lan.Port())
	}
	return nil
}

func commonName(a, b []string) string {
	for _, name := range a {
		if slices.ContainsFunc(b, func(other string) bool { return strings.EqualFold(name, other) }) {
			return name
		}
	}
	return ""
}

// commonSource finds an address at which both peers, without TLS, could be. The port counts on UDP only.
func (p *initPlan) commonSource(a, b initPeer) (config.Source, bool) {
	if a.uri.TLS() || b.uri.TLS() {
		return config.Source{}, false
	}
	for _, x := range a.sources {
		for _, y := range b.sources {
			if x.Prefix.Overlaps(y.Prefix) && (p.uses(config.TCP) || x.Port == y.Port || x.Port == 0 || y.Port == 0) {
				return y, true
			}
		}
	}
	return config.Source{}, false
}

// uses says whether a peer is reached over this transport.
func (p *initPlan) uses(t config.Transport) bool {
	return slices.ContainsFunc(p.peers, func(peer initPeer) bool { return peer.uri.Transport == t })
}
