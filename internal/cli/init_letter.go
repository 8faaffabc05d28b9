package cli

import (
	"crypto/x509"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/sallyport-sip/sallyport/internal/config"
	"github.com/sallyport-sip/sallyport/internal/trust"
)

// letter is what another side's engineer is told: plain text, complete, with nothing secret in it.
type letter struct {
	plan  *initPlan
	own   *x509.Certificate
	ca    *x509.Certificate
	caPEM []byte
	now   time.Time
}

// letterWidth is how many columns a letter has.
const letterWidth = 78

// to writes the letter to one peer.
func (l *letter) to(peer *initPeer) string {
	t := &letterText{}
	t.line("SIP between %s and %s", l.plan.name, peer.name)
	t.line("Written on %s. Nothing in this text is secret.", isoDay(l.now))
	l.whereWeAre(t, peer)
	l.whatWeSend(t, peer)
	if peer.uri.TLS() {
		l.ourCertificate(t)
		l.yourCertificate(t, peer)
	} else {
		l.yourAddress(t, peer)
	}
	l.allow(t, peer)
	if peer.uri.TLS() && peer.name != l.plan.peers[0].name {
		l.publicCA(t)
	}
	l.failures(t, peer)
	if peer.uri.TLS() {
		t.heading("Our authority's certificate")
		t.line("%s", strings.TrimSpace(string(l.caPEM)))
	}
	return t.String()
}

// us is the place at which the peer reaches the gateway.
func (l *letter) us(peer *initPeer) config.HostPort {
	p := l.plan
	if peer.uri.TLS() {
		return p.advertise
	}
	if p.lanNamed {
		return config.HostPort{Host: p.advertise.Host, Port: p.lan.Port()}
	}
	return config.HostPort{Host: p.lan.Addr().String(), Port: p.lan.Port()}
}

// ofHost is a host with what is known of its addresses.
func ofHost(host string) string {
	if _, err := netip.ParseAddr(host); err == nil {
		return host
	}
	return "the addresses that DNS has for " + host
}

func (l *letter) whereWeAre(t *letterText, peer *initPeer) {
	us := l.us(peer)
	t.heading("Where to reach us")
	t.row("Host", us.Host)
	t.row("Port", fmt.Sprintf("%d, %s", us.Port, map[bool]string{true: "UDP", false: "TCP"}[peer.uri.Transport == config.UDP]))
	switch peer.uri.Transport {
	case config.TLS:
		t.row("Transport", "SIP over TLS, versions 1.2 and 1.3, both sides with a certificate")
	default:
		t.row("Transport", "SIP over "+strings.ToUpper(string(peer.uri.Transport))+", in clear")
	}
	t.row("As a URI", fmt.Sprintf("sip:%s;transport=%s", us, peer.uri.Transport))
	t.row("Call us at", fmt.Sprintf("sip:NUMBER@%s;transport=%s", us, peer.uri.Transport))
	t.row("OPTIONS", "is answered with 200, as a sign of life")
	t.row("REGISTER", "is not taken, nor is there a user name or password: we know you by "+peer.proof())
}

// proof is by what a peer is known, in one word.
func (p *initPeer) proof() string {
	if p.uri.TLS() {
		return "your certificate"
	}
	return "your address"
}

func (l *letter) whatWeSend(t *letterText, peer *initPeer) {
	us := l.us(peer)
	scheme, transport := "sip:", ";transport="+string(peer.uri.Transport)
	switch {
	case peer.uri.Scheme == "sips":
		scheme, transport = "sips:", ""
	case peer.uri.Transport == config.UDP:
		transport = ""
	}
	t.heading("What you will see from us")
	t.row("To", fmt.Sprintf("%s, %s", peer.dialled(), strings.ToUpper(string(peer.uri.Transport))))
	from := ofHost(us.Host)
	if peer.uri.Transport == config.UDP {
		from += ", port " + strconv.Itoa(int(us.Port))
	} else {
		from += ", from any port"
	}
	t.row("From", from)
	t.row("Request-URI", fmt.Sprintf("%sNUMBER@%s%s", scheme, peer.uri.HostPort(), transport))
	t.row("From header", fmt.Sprintf("%sCALLER@%s", scheme, us.Host))
	switch peer.profile() {
	case profileSIPS:
		t.row("Scheme", "sips:, in your requests too; a sip: request is refused with 480")
	case profileTLS:
		t.row("Scheme", "sip: over TLS. A sips: request of yours is taken when the call can stay on TLS to its end, else it is refused with 480")
	case profileClear:
		t.row("Scheme", "sip:. A sips: request is refused with 480")
	}
	t.row("Media", "RTP does not pass through us. The session descriptions (SDP) cross unchanged, so audio flows between you and the far end directly, to the addresses and ports in them; SRTP likewise is between you two")
}

// dialled is where we call a peer.
func (p *initPeer) dialled() string {
	port := p.uri.Port
	if port == 0 && p.uri.TLS() {
		port = portTLS
	} else if port == 0 {
		port = portPlain
	}
	return net.JoinHostPort(p.uri.Host, strconv.Itoa(int(port)))
}

func (l *letter) ourCertificate(t *letterText) {
	t.heading("Our certificate")
	t.text("We show it in both directions: as server when you connect, as client when we do.")
	t.certificate(l.own)
	t.row("SHA-256", sha256Of(l.own))
	t.row("Key's pin", "sha256/"+pinOf(l.own))
	t.row("Signed by", trust.Subject(l.ca)+", our own authority")
	t.row("  valid", span(l.ca))
	t.row("  SHA-256", sha256Of(l.ca))
	t.text("Put the authority's certificate, at the end of this text, into your trust for this connection; then our next certificate will do as well. If you trust single certificates instead, ask us for " + certName + ", and again before it ends. Compare the fingerprints with us by another way than this text came.")
}

// span is how long a certificate is valid.
func span(c *x509.Certificate) string { return isoDay(c.NotBefore) + " to " + isoDay(c.NotAfter) }

func (l *letter) yourCertificate(t *letterText, peer *initPeer) {
	t.heading("What we want of your certificate")
	t.row("For", strings.Join(peer.names, " or "))
	t.row("Where", "as sip: URI or as DNS name in subjectAltName (RFC 5922); addresses as IP. A DNS name does not count beside a sip: URI; wildcards and the common name never do")
	switch peer.trust.kind {
	case trustOurs:
		t.row("Signed by", "our authority. We make the certificate and its key for you, in the directory of the gateway, with")
		t.line("\n  %s\n", strings.Join(peer.issue(), " "))
		t.text("and give you both files in a safe way, for the second is a secret. If you have a certificate already, send us its CA's certificate, or itself if it is self-signed; never its key.")
	case trustSystem:
		t.row("Signed by", "a public CA, with all intermediate certificates sent along. For another CA, or a self-signed certificate, send it to us")
	case trustFile:
		for i, c := range peer.trust.certs {
			t.row([]string{"Signed by", ""}[min(i, 1)], fmt.Sprintf("%s, valid until %s, SHA-256 %s", trust.Subject(c), isoDay(c.NotAfter), sha256Of(c)))
		}
		t.text("(or being that certificate itself), with all intermediate certificates sent along.")
	}
	t.row("Usage", "serverAuth when we connect to you, and clientAuth when you connect to us; or no extended key usage at all. Public CAs leave clientAuth out of new certificates: then calls from you need a certificate of another CA, as above")
	t.row("When", "in both directions: who shows none is refused in the handshake")
	if len(peer.sources) > 0 {
		t.row("From", inWords(peer.sources)+" only")
	}
}

// issue is the command that makes a peer's certificate with our authority.
func (p *initPeer) issue() []string {
	args := []string{"sallyport", "cert", "issue", "--ca", caName}
	for _, name := range p.names {
		if a, err := netip.ParseAddr(name); err == nil {
			args = append(args, "--ip", a.String())
		} else {
			args = append(args, "--sip", name, "--dns", name)
		}
	}
	return append(args, "--out", p.name+".pem")
}

func (l *letter) yourAddress(t *letterText, peer *initPeer) {
	t.heading("How we know you")
	t.row("Address", inWords(peer.sources)+"; requests from any other are refused with 403, then not answered")
	if peer.uri.Transport == config.UDP && peer.sources[0].Port != 0 {
		t.row("Port", fmt.Sprintf("send from port %d: on UDP it is compared", peer.sources[0].Port))
	}
	t.row("Secrecy", "none: whoever is on the way can read and forge. Keep it to a network of your own, or speak TLS with us")
}

func (l *letter) allow(t *letterText, peer *initPeer) {
	us := l.us(peer)
	layer := "TCP"
	if peer.uri.Transport == config.UDP {
		layer = "UDP"
	}
	t.heading("What you must allow")
	t.row("In", fmt.Sprintf("%s to %s, from %s", layer, peer.dialled(), ofHost(us.Host)))
	t.row("Out", fmt.Sprintf("%s to %s", layer, us))
	t.row("Media", "UDP between your media addresses and those in our SDP")
	if _, err := netip.ParseAddr(us.Host); err != nil {
		t.row("DNS", us.Host+" must have its address for you too, on your side of the network: Via and Contact of our messages name it")
	}
	t.text("No SIP helper (ALG) of a firewall or router may change messages on the way.")
}

func (l *letter) publicCA(t *letterText) {
	t.heading("If you take certificates of public CAs only")
	t.text("Tell us, and which CAs. We then show a certificate for " + l.plan.name + " of such a CA. It will have no clientAuth, because public CAs issue that no more: where we connect to you, take it with serverAuth alone, or take our own authority for that direction.")
}

func (l *letter) failures(t *letterText, peer *initPeer) {
	t.heading("When something is refused")
	if peer.uri.TLS() {
		t.text("A handshake that we refuse ends with a TLS alert. It says little; our log has the reason in words. With TLS 1.3 you may see it only after your side took the connection for good.")
	}
	t.row("403", "we do not know you: see above how we do")
	t.row("404", "there is no route for the number called")
	t.row("480", "with Warning 380 or 381: sips: and the ways the call could take do not fit")
	t.row("503", "too many calls, no target could be reached, or we are stopping")
	t.text("Send us the time with its zone, your address and port, and the Call-ID if it came so far. We look it up and tell you what we saw of the connection and of the call, step by step.")
}

// letterText is a text with headings, rows of two columns, and paragraphs.
type letterText struct{ strings.Builder }

func (t *letterText) line(form string, args ...any) { fmt.Fprintf(t, form+"\n", args...) }

func (t *letterText) heading(text string) {
	t.line("\n%s\n%s", text, strings.Repeat("-", len(text)))
}

func (t *letterText) text(text string) {
	for _, line := range wrapWords(text, letterWidth) {
		t.line("%s", line)
	}
}

// row writes a name and beside it a value, which is never cut: a fingerprint must stay in one piece.
func (t *letterText) row(name, value string) {
	for _, line := range wrapWords(value, max(letterWidth-14, longest(value))) {
		t.line("  %-11s %s", name, line)
		name = ""
	}
}

func longest(text string) int {
	n := 0
	for word := range strings.FieldsSeq(text) {
		n = max(n, len([]rune(word)))
	}
	return n
}

// certificate writes the rows about one.
func (t *letterText) certificate(c *x509.Certificate) {
	t.row("Subject", trust.Subject(c))
	for i, name := range append(certNames(c), dnsNames(c)...) {
		t.row([]string{"For", ""}[min(i, 1)], name)
	}
	t.row("Usage", inWords(trust.UsageNames(c)))
	t.row("Valid", span(c))
	t.row("Key", keyName(c.PublicKey))
}

// dnsNames are those that certNames leaves out, because by RFC 5922 they do not count beside a sip: URI. Peers with the
// rules of HTTPS look at them.
func dnsNames(c *x509.Certificate) []string {
	var names []string
	for _, name := range c.DNSNames {
		names = append(names, "DNS:"+name)
	}
	return names
}
