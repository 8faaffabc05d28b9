package config

import (
	"fmt"
	"net/netip"
	"strings"
)

// Peer is a gateway, PBX, carrier, cloud or domain that we speak with.
type Peer struct {
	Name string
	Place

	// Where our requests to it go: `sip:` or `sips:`, a host, a port if it is
	// not the usual one, and `;transport=tls`, `tcp`, `udp`, `wss` or `ws`; with
	// `sips:`, `ws` is WSS. A host under `.invalid` with `ws` or `wss` is a browser,
	// which is called by the connection that it has opened, and by no other. A host that is a name
	// without a port is looked up as RFC 3263 has it: SRV records give hosts and
	// ports, in the order of priority and weight, and each has its addresses. What
	// the name server says never lowers what is written here: `sips:`,
	// `;transport=tls` and certificate names lead to TLS only, and the certificate
	// must be for a name written here, not for one from the DNS. With neither port
	// nor transport the peer's NAPTR records may choose: for `sips:` or with
	// certificate names TLS alone; otherwise, and only for a name, UDP or TCP,
	// as far as there are listeners. Where nothing chooses, `sip:` goes over UDP
	// and `sips:` over TLS. A call goes to the next address when one cannot be
	// reached, is silent, or answers 503, 408 or 504; that address is asked last
	// for the profile's `down_for`.
	URI URI `yaml:"uri" need:"required" form:"SIP URI"`

	// The names by which we know the peer's certificate, on connections both
	// ways: one of them must be in it, and it must lead to the peer's trust.
	// A peer with certificate names is known over TLS alone. Default: the host
	// of `uri` when that is a TLS one, otherwise none.
	CertificateNames []string `yaml:"certificate_names" form:"list of domain names"`

	// From where the peer calls us: `address`, `address:port` or a network such
	// as `192.0.2.0/24`. An entry counts on UDP and on TCP unless `udp:` or
	// `tcp:` stands before it. The port is compared on UDP only, because the
	// source port of a stream is an arbitrary one. A peer with both this and
	// certificate names must satisfy both; TLS and WebSocket count as TCP. A
	// peer without certificate names is known on a TLS connection only when that
	// brought no certificate. With an empty list the peer never calls us.
	// Default: any address when `uri` is a TLS one, otherwise the address in
	// `uri`, with its port if it has one.
	AcceptFrom []Source `yaml:"accept_from" form:"list of \"address\", \"address:port\" or \"network\""`

	// How we speak SIP with it. Default: a profile of defaults.
	Profile string `yaml:"profile" form:"name of a profile"`

	// The listener whose address our requests to it carry, and the only one on
	// which the peer is recognised. Default: the first one of the transport for
	// the former, any for the latter.
	Listener string `yaml:"listener" form:"name of a listener"`

	// The certificate that we show to it when we call it and it asks for one.
	// Default: `client_identity` of `defaults`, then `identity` there, then that
	// of the listener.
	Identity string `yaml:"identity" form:"name of an identity"`

	// Whose word we take for its certificate. Default: that of `defaults`.
	Trust []string `yaml:"trust" form:"list of names of trust sets"`

	// How TLS is spoken with it, and what is asked of its certificate. Default:
	// that of `defaults`.
	Policy string `yaml:"policy" form:"name of a policy"`

	// The path of the WebSocket's URL that we ask for. Only for a uri over WS or
	// WSS. Default: `/`.
	Path string `yaml:"path" form:"path of a URL"`

	// Keys or certificates of which the peer must show one, besides all else that
	// is asked of its certificate: the chain to its trust and the name. A pin is
	// the SHA-256 sum of a key in base64, `sha256/…` as browsers and curl write it,
	// or of a whole certificate in hexadecimal digits, with colons or without, as
	// openssl prints its fingerprint; `key:` or `certificate:` before it says
	// otherwise. A key stays pinned when its certificate is renewed. Name the next
	// one too before the peer changes. Default: none.
	Pins []Pin `yaml:"pins" form:"list of SHA-256 pins"`

	// For how long the secrets of the peer's TLS connections are kept in memory, with the records that crossed the network, so
	// that `sallyport flow export --format pcapng --with-secrets` writes a file in which Wireshark decrypts them: a duration
	// from when this was loaded, or a time such as `2026-03-01T18:00:00Z`; 24 hours at most. Whoever has that file, or reads the
	// gateway's memory, reads every call on those connections: RFC 9850 has such logs only for "systems where TLS only protects
	// test data". While it is on an alarm says so; start, end and each export are in the audit. Only connections that begin
	// meanwhile count. Default: none, nothing is kept.
	KeepKeys KeepKeys `yaml:"keep_keys" form:"duration or time"`

	// Who the peer may say that its requests are from. Default: whoever it likes; what
	// it says passes, with a note in each call's flow that nothing backs it.
	Asserts Asserts `yaml:"asserts" form:"group of keys"`

	// Which claims of others about who they are, or were, the peer is told, and no other:
	// it is trusted with them then, also where the caller wants privacy (RFC 3325 §5).
	// P-Preferred-Identity is told to nobody. Default: all but P-Asserted-Identity, as
	// long as the message asks for no privacy.
	Hears []Claim `yaml:"hears" form:"list of p-asserted-identity, remote-party-id, diversion, history-info, p-dcs"`

	// How much it may do. Default: as much as it likes.
	Limits Limits `yaml:"limits" form:"group of keys"`
}

// UsesTLS says whether the peer is reached or recognised by TLS.
func (p *Peer) UsesTLS() bool {
	return p.URI.TLS() && !p.URI.Unreachable() || len(p.CertificateNames) > 0
}

func checkPeers(c *Config, r *report) {
	for i := range c.Peers {
		p := &c.Peers[i]
		label := fmt.Sprintf("peer %q", p.Name)
		if p.URI.Host == "" && p.missing("uri") {
			r.add(p.Pos, label+`: "uri" is missing`, "it says where our requests to the peer go", `for instance uri: "sip:192.0.2.1:5061;transport=tls"`)
		}
		if p.Profile != "" {
			checkName(r, label, "profile", p.At("profile"), p.Profile, c.Profiles)
		}
		checkPeerNames(r, p, label)
		checkPeerPath(r, p, label)
		checkPins(r, p, label)
		checkPeerSource(r, p, label)
		checkPeerListener(c, r, p, label)
		checkPeerTLS(c, r, p, label)
		checkPeerConnection(c, r, p, label)
		checkPeerClaims(r, p, label)
	}
}

func checkPeerNames(r *report, p *Peer, label string) {
	if p.Has("certificate_names") && len(p.CertificateNames) == 0 && !p.Broken("certificate_names") {
		r.add(p.At("certificate_names"), label+`: "certificate_names" is an empty list`, "no certificate could be the peer's",
			"write the peer's names, or leave the key out if the host of uri is its name")
	}
	for i, name := range p.CertificateNames {
		if !p.Has("certificate_names") {
			break // the host of the uri, judged there
		}
		at, what := p.AtItem("certificate_names", i), fmt.Sprintf("%s: bad certificate name %q", label, name)
		switch scheme, rest, _ := strings.Cut(name, ":"); {
		case strings.EqualFold(scheme, "sip") || strings.EqualFold(scheme, "sips"):
			r.add(at, what, "names are domains, and are looked for in the certificate's SIP URIs too", "write "+quote(rest))
		case strings.Contains(name, "*"):
			r.add(at, what, "certificates of SIP domains have no wildcards (RFC 5922 §7.2)",
				"write each name in full; a policy with wildcards: true lets a wildcard in the certificate stand for it")
		default:
			if f := checkHost(name); f != nil {
				r.add(at, what, f.why, "write a domain name such as acme.example")
			}
		}
	}
	checkTwice(r, label, "certificate_names", p.Place, p.CertificateNames)
}

func checkPeerSource(r *report, p *Peer, label string) {
	if p.URI.Host == "" || p.URI.TLS() && !p.URI.Unreachable() || len(p.CertificateNames) > 0 && p.URI.Unreachable() || p.AcceptFrom != nil || !p.missing("accept_from") {
		return
	}
	r.add(p.Pos, label+`: "accept_from" is missing`,
		fmt.Sprintf("the host of its uri, %q, is a name, so its address is not known in advance", p.URI.Host),
		"list the addresses that it calls from, or write [] if it never calls")
}

func checkPeerListener(c *Config, r *report, p *Peer, label string) {
	if p.Listener == "" {
		return
	}
	if !checkName(r, label, "listener", p.At("listener"), p.Listener, c.Listeners) {
		return
	}
	l := find(c.Listeners, p.Listener)
	if l.Listen.Transport == "" || p.URI.Transport == "" {
		return
	}
	if l.Listen.Transport != p.URI.Transport {
		r.add(p.At("listener"), fmt.Sprintf("%s: listener %q does not fit its uri", label, l.Name),
			fmt.Sprintf("the listener is %s, the uri %s", l.Listen.Transport, p.URI.Transport),
			"name a listener of the same transport, or change the transport of the uri")
	}
}

func checkPeerTLS(c *Config, r *report, p *Peer, label string) {
	if p.URI.Scheme == "sips" && c.ProfileOf(p).SIPS == SIPSNever {
		r.add(p.At("profile"), fmt.Sprintf("%s: profile %q has sips: never, but the uri is sips:", label, p.Profile),
			"the two contradict each other", `write the uri as "sip:…;transport=tls", or choose another profile`)
	}
	if !p.UsesTLS() {
		for _, key := range []string{"identity", "trust", "policy", "pins", "keep_keys"} {
			if p.Has(key) && p.URI.Host != "" && !p.Broken("certificate_names") {
				r.add(p.At(key), fmt.Sprintf("%s: %q is only for TLS", label, key),
					fmt.Sprintf("the uri is %s and there are no certificate_names", p.URI.Transport), "remove the key or add ;transport=tls to the uri")
			}
		}
		return
	}
	// Without its uri a peer has no defaults, and that is reported already.
	if p.URI.Host != "" && len(p.Trust) == 0 && p.missing("trust") {
		r.add(p.Pos, label+": it has no trust", "its certificate could not be verified", `name a trust set in "trust", here or in "defaults"`)
	}
	if l := c.ListenerFor(p); l == nil || p.Identity != l.Identity || p.Has("identity") { // else reported at the listener
		checkIdentityName(c, r, label, p.Place, p.Identity)
	}
	checkTrustNames(c, r, label, p.Place, p.Trust)
	checkPolicyName(c, r, label, p.Place, p.Policy)
}

func checkPeerPath(r *report, p *Peer, label string) {
	if p.Has("path") && p.URI.Host != "" && (!p.URI.Transport.isWebSocket() || p.URI.Unreachable()) {
		r.add(p.At("path"), label+`: "path" is only for WebSocket`, fmt.Sprintf("the uri is %q, and we open no WebSocket to it", p.URI),
			"remove the key or add ;transport=wss to the uri")
		return
	}
	checkWebPath(r, p.Place, label, p.Path)
}

// Source is an entry of accept_from.
type Source struct {
	Transport Transport // UDP or TCP; empty: both
	Prefix    netip.Prefix
	Port      uint16 // 0: any; compared on UDP only
}

// String renders it as the file has it.
func (s Source) String() string {
	text := s.Prefix.String()
	switch {
	case s.Port != 0:
		text = netip.AddrPortFrom(s.Prefix.Addr(), s.Port).String()
	case s.Prefix.IsSingleIP():
		text = s.Prefix.Addr().String()
	}
	if s.Transport != "" {
		text = string(s.Transport) + ":" + text
	}
	return text
}

func (s *Source) set(text string) *fault {
	out, rest := Source{}, text
	for _, t := range []Transport{UDP, TCP, TLS, WS, WSS} {
		if cut, ok := strings.CutPrefix(text, string(t)+":"); ok {
			out.Transport, rest = t, cut
		}
	}
	if out.Transport != "" && out.Transport != UDP && out.Transport != TCP {
		return &fault{why: "an entry is for udp: or tcp:, and " + strings.ToUpper(string(out.Transport)) + " counts as TCP", remedy: "write " + quote("tcp:"+rest)}
	}
	if f := out.setAddress(rest); f != nil {
		return f
	}
	*s = out
	return nil
}

func (s *Source) setAddress(text string) *fault {
	const forms = `write "192.0.2.1", "192.0.2.1:5060" or "192.0.2.0/24"`
	if strings.Contains(text, "%") {
		return &fault{why: "an address zone is not compared", remedy: "write the address without it"}
	}
	if strings.Contains(text, "/") {
		p, err := netip.ParsePrefix(text)
		if err != nil {
			return &fault{why: quote(text) + " is not a network", remedy: forms}
		}
		if p.Addr().Is4In6() {
			return &fault{why: "an IPv4 network in IPv6 form is not supported", remedy: "write it in IPv4 form"}
		}
		if p != p.Masked() {
			return &fault{why: "the address has bits beyond the prefix length", remedy: fmt.Sprintf("write %q or %q", p.Masked(), p.Addr())}
		}
		s.Prefix = p
		return nil
	}
	addr, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(text, "["), "]"))
	if err != nil {
		host, port, f := splitHostPort(text)
		if f != nil {
			return f
		}
		if addr, err = netip.ParseAddr(host); err != nil {
			if checkHost(host) == nil {
				return &fault{why: quote(host) + " is a name, and whoever answers for it in DNS would be believed", remedy: "write its address"}
			}
			return &fault{why: quote(text) + " is not an address", remedy: forms}
		}
		s.Port = port
	}
	addr = addr.Unmap()
	if addr.IsUnspecified() {
		return &fault{why: "nobody calls from an unspecified address", remedy: fmt.Sprintf("for any address write \"%s/0\"", addr)}
	}
	s.Prefix = netip.PrefixFrom(addr, addr.BitLen())
	return nil
}
