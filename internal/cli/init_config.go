package cli

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/sallyport-sip/sallyport/internal/config"
)

// The names of the files that every gateway gets.
const (
	configName = "sallyport.yaml"
	certName   = "gateway.pem"
	keyFile    = "gateway-key.pem"
	caName     = "ca.pem"
	caKeyName  = "ca-key.pem"
)

// configText is the configuration with its comments. Settings that stand in comments can be taken out of them one by
// one; the tests do so.
func (p *initPlan) configText(now time.Time, until time.Time) string {
	var b strings.Builder
	for _, section := range []func(*strings.Builder){
		func(b *strings.Builder) { p.heading(b, now) },
		p.listeners,
		func(b *strings.Builder) { p.identities(b, until) },
		p.trusts,
		p.profiles,
		p.peerSection,
		p.routes,
		p.therest,
	} {
		if b.Len() > 0 {
			b.WriteByte('\n')
		}
		section(&b)
	}
	return b.String()
}

func (p *initPlan) heading(b *strings.Builder, now time.Time) {
	fmt.Fprintf(b, `# The gateway %s, between %s and %s.
# "sallyport init" wrote this file on %s; from now on it is yours. Its paths
# are relative to it. After each change: sallyport check FILE, and for a gateway
# that runs, sallyport reload --config FILE. All the keys that there are, and
# their defaults: docs/reference/config.md
`, p.name, p.peers[0].name, inWords(namesOfPeers(p.carriers())), isoDay(now))
}

func (p *initPlan) listeners(b *strings.Builder) {
	b.WriteString(`# Where we accept SIP. "advertise" is how others reach us: Via and Contact say
# it, so it must lead here from where they are.
listeners:
`)
	fmt.Fprintf(b, "  tls:\n    listen: %q\n    advertise: %q\n", "tls:"+p.listen.String(), p.advertisedTLS())
	b.WriteString(`    client_certificates: required   # who shows none does not get in
`)
	for _, t := range []config.Transport{config.UDP, config.TCP} {
		var users []string
		for _, peer := range p.peers {
			if peer.uri.Transport == t {
				users = append(users, peer.name)
			}
		}
		if len(users) == 0 {
			continue
		}
		fmt.Fprintf(b, "  %s:   # in clear, for %s\n    listen: %q\n", t, inWords(users), string(t)+":"+p.lan.String())
		if p.lanNamed {
			fmt.Fprintf(b, "    advertise: %q\n", p.advertise.Host)
		}
	}
}

// advertisedTLS leaves out the port that is the listener's own.
func (p *initPlan) advertisedTLS() string {
	at := p.advertise
	if at.Port == p.listen.Port() {
		at.Port = 0
	}
	return at.String()
}

func (p *initPlan) identities(b *strings.Builder, until time.Time) {
	fmt.Fprintf(b, `# Who we are. Init made this certificate, and %[1]s has signed it. Before
# %[2]s make the next one in this directory, then reload:
#   %[3]s
identities:
  gateway: {certificate: %[4]s, key: %[5]s}
  # For carriers that take public CAs only: a certificate of such a CA for
  # %[6]s, with its chain, and its key. Then "identity: public" belongs
  # into the listener above, which all peers see, and to those carriers below.
  # public: {certificate: public.pem, key: public-key.pem}
`, caName, isoDay(until), strings.Join(p.renewal(), " "), certName, keyFile, p.name)
}

// renewal is the command that makes our certificate anew.
func (p *initPlan) renewal() []string {
	words := []string{"sallyport", "cert", "issue", "--ca", caName}
	r := p.request()
	for _, name := range r.SIP {
		words = append(words, "--sip", name)
	}
	for _, name := range r.DNS {
		words = append(words, "--dns", name)
	}
	for _, a := range r.IP {
		words = append(words, "--ip", a.String())
	}
	if p.key != "p256" {
		words = append(words, "--key", string(p.key))
	}
	return append(words, "--out", certName, "--force")
}

func (p *initPlan) trusts(b *strings.Builder) {
	b.WriteString("# Whom we believe. Each peer below says which of these vouches for it.\ntrust:\n")
	fmt.Fprintf(b, "  ours: {files: [%s]}   # certificates that our own authority has signed\n", caName)
	if slices.ContainsFunc(p.peers, func(peer initPeer) bool { return peer.trust.kind == trustSystem }) {
		b.WriteString("  system: {system: true}   # the public CAs, as this system has them\n")
	}
	for _, peer := range p.peers {
		if peer.trust.kind == trustFile {
			fmt.Fprintf(b, "  %s: {files: [%q]}\n", yamlWord(peer.name), peer.trustFileName())
		}
	}
	b.WriteString("\n# What holds where nothing else is said.\ndefaults: {identity: gateway, trust: [ours]}\n")
}

// The profiles that a peer may have.
const (
	profileTLS   = "tls"
	profileSIPS  = "sips"
	profileClear = "clear"
)

func (p *initPeer) profile() string {
	switch {
	case p.uri.Scheme == "sips":
		return profileSIPS
	case p.uri.TLS():
		return profileTLS
	}
	return profileClear
}

func (p *initPlan) profiles(b *strings.Builder) {
	b.WriteString(`# How we speak SIP. A sips: call demands TLS on every hop and is refused where it
# would have to leave it; a sip: call goes over TLS just as well.
profiles:
`)
	for _, profile := range []struct{ name, sips, about string }{
		{profileTLS, "allowed", "sip: stays sip:, sips: stays sips:"},
		{profileSIPS, "required", "both ways, as the uri has it"},
		{profileClear, "never", "no sips: over UDP and TCP"},
	} {
		if !slices.ContainsFunc(p.peers, func(peer initPeer) bool { return peer.profile() == profile.name }) {
			continue
		}
		fmt.Fprintf(b, "  %s:\n    sips: %s   # %s\n", profile.name, profile.sips, profile.about)
		b.WriteString(`    # response_timeout: 4s   # silent for so long: the next target is tried
    # answer_timeout: 90s    # rings for so long: the same
    # down_for: 1m           # not asked again for so long after it failed
`)
	}
}

func (p *initPlan) peerSection(b *strings.Builder) {
	b.WriteString(`# Whom we speak with. Over TLS a peer is known by its certificate: one of these
# names must be in it, in calls both ways, and a CA of its trust behind it.
# Without TLS it is known by the address that it calls from.
peers:
`)
	for i, peer := range p.peers {
		fmt.Fprintf(b, "  %s:\n    uri: %q\n", yamlWord(peer.name), peer.uri.Text)
		if peer.uri.TLS() {
			fmt.Fprintf(b, "    certificate_names: %s\n    trust: [%s]\n", yamlList(peer.names), yamlWord(peer.trustSet()))
		}
		if len(peer.sources) > 0 {
			fmt.Fprintf(b, "    accept_from: %s\n", yamlList(peer.sources))
		}
		fmt.Fprintf(b, "    profile: %s\n", peer.profile())
		if i == 0 {
			continue
		}
		if peer.uri.TLS() {
			b.WriteString("    # identity: public\n")
		}
		b.WriteString("    # limits: {calls_out: 30, rate_out: 5, longest_call: 4h}   # what the contract says\n")
	}
}

func (p *initPlan) routes(b *strings.Builder) {
	pbx, carriers := yamlWord(p.peers[0].name), yamlNames(p.carriers())
	first := yamlNames(p.carriers()[:1])
	fmt.Fprintf(b, `# Where calls go: the first route that matches decides, and its targets are tried
# in order. A plan by number, if you have one, stands before the general routes.
routes:
  # - {from: [%s], number: "+49*", to: %s}
  - {from: [%s], to: %s}
  - {from: %s, to: [%s]}
`, pbx, first, pbx, carriers, carriers, pbx)
}

func (p *initPlan) therest(b *strings.Builder) {
	b.WriteString(`# What the gateway keeps.
data: ./data
# cdr: strict     # answer a call only once its record is on the disk
# cdr_keep: 90d   # then records of calls are deleted; for ever if nothing is said
# drain: 5m       # how long calls may go on when the gateway is told to stop

# Health, metrics and calls over HTTP, for whoever is on this machine.
# admin: {listen: "127.0.0.1:8061"}
`)
}

// plainWord is text that YAML takes for nothing but text; a few words are numbers or truths to it.
var plainWord = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_-]*$`)

func yamlWord(text string) string {
	switch strings.ToLower(text) {
	case "true", "false", "null", "yes", "no", "on", "off", "y", "n":
	default:
		if plainWord.MatchString(text) {
			return text
		}
	}
	return fmt.Sprintf("%q", text)
}

// yamlList quotes everything, for addresses and domains.
func yamlList[T any](all []T) string {
	var texts []string
	for _, one := range all {
		texts = append(texts, fmt.Sprintf("%q", fmt.Sprint(one)))
	}
	return "[" + strings.Join(texts, ", ") + "]"
}

func yamlNames(peers []initPeer) string {
	var names []string
	for _, peer := range peers {
		names = append(names, yamlWord(peer.name))
	}
	return "[" + strings.Join(names, ", ") + "]"
}

func namesOfPeers(peers []initPeer) []string {
	var names []string
	for _, peer := range peers {
		names = append(names, peer.name)
	}
	return names
}
