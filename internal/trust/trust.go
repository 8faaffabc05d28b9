// Package trust knows who we are and whom we believe: it reads identities and trust anchors from files (whose forms
// certfile knows), makes the TLS configurations of both roles, verifies peers, and puts into words why a handshake was
// refused.
//
// Reading starts at Load, which makes a Set of a configuration; ServerConfig and ClientConfig are what transport uses.
// Every identity check is in Policy.Verify, which VerifyConnection calls in both roles and on resumed sessions too;
// verify.go has the table of checks. refusal.go has the table of reasons; explain.go turns what crypto/tls returned into
// the verdicts of both sides. For "sallyport cert" and the demo,
// mint.go and mint_request.go make CAs, certificates and requests, bundle.go puts chains in order, verify_all.go says all
// that is wrong at once, and write.go writes files.
//
// A Set and all that it holds are immutable and safe for concurrent use; a reload loads a new one. No tls.Config is
// shared by two policies, nor cloned: each has its own ticket keys and session cache, so that a session of one policy
// means nothing to another. Nothing here starts a goroutine.
//
// RFC 5280 (paths and usages), RFC 5922 and 5924 (SIP domains), RFC 8446 and 5246 (TLS), RFC 9325 (its use).
package trust

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/sallyport-sip/sallyport/internal/config"
	"github.com/sallyport-sip/sallyport/internal/revocation"
)

// Options are what Load takes besides the configuration. The zero value is right for the gateway.
type Options struct {
	// KeyLog returns where the secrets of one policy's handshakes go, in NSS key log format, or nil for nowhere. It is
	// called once for each listener and each peer, with its Who, for example `peer "acme"`. The writer must not block:
	// crypto/tls holds a lock of the whole process while it writes.
	KeyLog func(who string) io.Writer
	// MinVersion and MaxVersion are TLS versions as in tls.Config. They narrow what the policies have, and never widen it.
	MinVersion, MaxVersion uint16
	// Revocation keeps the answers of OCSP responders; nil: only those count that come with a handshake.
	Revocation *revocation.Checker
	// Getenv returns the value of an environment variable, for password_env. Nil: there are none.
	Getenv func(string) string
	// Challenge returns the certificate with which a CA's question about a domain is answered (RFC 8737), an error when
	// none was asked. Nil: none is.
	Challenge func(*tls.ClientHelloInfo) (*tls.Certificate, error)
	// Before is the Set that is in force, nil for the first. Sessions are taken over from it where nothing has changed.
	Before *Set
	// Aged says of a file with certificates that it is as it runs already: that their time has passed meanwhile is then no
	// reason to refuse what is new in others. nil: of none.
	Aged func(file string) bool
}

func (o Options) aged(file string) bool { return o.Aged != nil && o.Aged(file) }

// Set is what one configuration says about TLS.
type Set struct {
	identities map[string]*Identity
	trusts     map[string]*Anchors
	listeners  map[string]*side
	peers      map[string]*side
	listed     []Listed // what is in the files
}

// side is one listener, or one peer as we call it and as it calls us.
type side struct {
	policy   *Policy
	identity *Identity                 // as client; nil: we show no certificate
	waits    string                    // as client; the identity that has no certificate yet, empty for none
	shown    *shown                    // as server; nil for a peer
	ask      config.ClientCertificates // as server
	config   *tls.Config
	sessions *sessions // nil: none
	pins     string    // the version pins, for the fingerprint

	once  sync.Once
	print string // the fingerprint, made when it is first asked for
}

// Load reads the files that cfg names with the default Options.
func Load(cfg *config.Config) (*Set, []config.Problem) { return Options{}.Load(cfg) }

// Check returns what is wrong with the files that cfg names: the problems of Load.
func Check(cfg *config.Config) []config.Problem {
	_, problems := Load(cfg)
	return problems
}

// Load reads the files that cfg names and makes the TLS configurations. cfg must be complete and without problems of its
// own; names that it does not define are passed over here. With problems the Set is nil.
func (o Options) Load(cfg *config.Config) (*Set, []config.Problem) {
	anchors := map[string]*Anchors{}
	l := &loader{Options: o, cfg: cfg, anchors: anchors, pending: map[string][]string{}, set: &Set{
		identities: map[string]*Identity{}, trusts: anchors, listeners: map[string]*side{}, peers: map[string]*side{},
	}}
	l.loadFiles()
	if len(l.problems) > 0 {
		config.SortProblems(l.problems)
		return nil, l.problems
	}
	l.known = l.intermediates()
	l.findIssuers()
	for i := range cfg.Peers {
		l.peer(&cfg.Peers[i])
	}
	for i := range cfg.Listeners {
		l.listener(&cfg.Listeners[i])
	}
	if len(l.problems) > 0 {
		return nil, l.problems
	}
	l.resume()
	return l.set, nil
}

// ServerConfig returns the configuration of a TLS listener, nil for a listener that is none. It must be used as it is,
// not cloned.
func (s *Set) ServerConfig(listener string) *tls.Config { return s.listeners[listener].tls() }

// ClientConfig returns the configuration with which a peer is called, nil for a peer whose uri is not a TLS one. It must
// be used as it is, not cloned.
func (s *Set) ClientConfig(peer string) *tls.Config { return s.peers[peer].tls() }

func (s *side) tls() *tls.Config {
	if s == nil {
		return nil
	}
	return s.config
}

// VerifyPeer judges a chain, leaf first, by a peer's own policy: its trust and its names. The role is that in which the
// peer showed it: Client on a connection that it made to a listener, Server on one that we made. The error is a
// *Refusal, except for a name that is no peer with TLS.
func (s *Set) VerifyPeer(peer string, certs []*x509.Certificate, as Role) (Verified, error) {
	p, ok := s.peers[peer]
	if !ok {
		return Verified{}, fmt.Errorf("peer %q is not known by a certificate", peer)
	}
	return p.policy.Verify(certs, as)
}

// VerifyConn judges a new connection by a peer's own policy: what its handshake settled, and then its chain as
// VerifyPeer does.
func (s *Set) VerifyConn(peer string, st *tls.ConnectionState, as Role) (Verified, error) {
	p, ok := s.peers[peer]
	if !ok {
		return Verified{}, fmt.Errorf("peer %q is not known by a certificate", peer)
	}
	return p.policy.VerifyConn(*st, as)
}

// ReviewConn is VerifyConn for a live connection, see [Policy.ReviewConn].
func (s *Set) ReviewConn(peer string, st *tls.ConnectionState, as Role) (Verified, error) {
	p, ok := s.peers[peer]
	if !ok {
		return Verified{}, fmt.Errorf("peer %q is not known by a certificate", peer)
	}
	return p.policy.ReviewConn(*st, as)
}

// Admits says why a listener would not let a live connection come up, nil when it would. The error is a *Refusal, except for
// a name that is no listener with TLS.
func (s *Set) Admits(listener string, st *tls.ConnectionState) error {
	l, ok := s.listeners[listener]
	if !ok {
		return fmt.Errorf("listener %q does not speak TLS", listener)
	}
	return l.admits(*st, l.policy.ReviewConn)
}

// VerifyListener judges a chain by a listener's policy, which knows anchors but no names. It tells who is there although
// no peer matches. The error is as for VerifyPeer.
func (s *Set) VerifyListener(listener string, certs []*x509.Certificate) (Verified, error) {
	l, ok := s.listeners[listener]
	if !ok {
		return Verified{}, fmt.Errorf("listener %q does not speak TLS", listener)
	}
	return l.policy.Verify(certs, Client)
}

// Foreseeing is the set for whoever wants to know what it would say of what was seen before: it has no responder asked,
// and holds against nobody what only a responder, or an answer stapled to the next handshake, could say.
func (s *Set) Foreseeing() *Set {
	if s == nil {
		return nil
	}
	return &Set{identities: s.identities, trusts: s.trusts, listed: s.listed, listeners: foreseeing(s.listeners), peers: foreseeing(s.peers)}
}

func foreseeing(sides map[string]*side) map[string]*side {
	all := make(map[string]*side, len(sides))
	for name, s := range sides {
		p := *s.policy
		p.foresee = true
		all[name] = &side{policy: &p, identity: s.identity, waits: s.waits, shown: s.shown, ask: s.ask, config: s.config, sessions: s.sessions, pins: s.pins}
	}
	return all
}

// Fingerprint belongs into the key of a pooled connection: it changes whenever a connection to the peer, verified
// before, might be judged or made differently now (our certificate, the anchors, the names, the versions). It is empty
// for a peer without TLS.
func (s *Set) Fingerprint(peer string) string { return s.peers[peer].fingerprint() }

// ListenerFingerprint is the same for a TLS listener.
func (s *Set) ListenerFingerprint(listener string) string { return s.listeners[listener].fingerprint() }

func (s *side) fingerprint() string {
	if s == nil {
		return ""
	}
	s.once.Do(func() {
		s.print = fingerprint(s.sum(), s.policy.Fingerprint(), s.pins)
	})
	return s.print
}

// sum is equal for sides that show the same certificates to the same clients.
func (s *side) sum() string {
	if s.shown == nil {
		return s.identity.digest()
	}
	var sum strings.Builder
	sum.WriteString(strconv.FormatBool(s.shown.strict))
	for _, id := range s.shown.all {
		sum.WriteString(" " + id.digest())
	}
	return sum.String()
}

// Of returns what the set says about one peer, for whoever needs that longer
// than the rest.
func (s *Set) Of(peer string) *Set {
	only := &Set{peers: map[string]*side{}}
	if p := s.peers[peer]; p != nil {
		only.peers[peer] = p
	}
	return only
}

// Identities returns all identities, by their names.
func (s *Set) Identities() map[string]*Identity { return maps.Clone(s.identities) }

// Identity returns an identity by its name, nil when there is none.
func (s *Set) Identity(name string) *Identity { return s.identities[name] }

// PeerIdentity returns what we show to a peer that we call, nil for nothing.
func (s *Set) PeerIdentity(peer string) *Identity {
	if p := s.peers[peer]; p != nil {
		return p.identity
	}
	return nil
}

// Names returns the names of which a peer's certificate must have one. They must not be changed.
func (s *Set) Names(peer string) []string {
	if p := s.peers[peer]; p != nil {
		return p.policy.Names
	}
	return nil
}

// ListenerIdentity returns what a TLS listener shows to who asks for serverName, empty for nothing; nil when it shows
// nothing.
func (s *Set) ListenerIdentity(listener, serverName string) *Identity {
	if l := s.listeners[listener]; l != nil {
		return l.shown.choose(serverName)
	}
	return nil
}

// loader is one run of Load.
type loader struct {
	Options
	cfg      *config.Config
	set      *Set
	anchors  map[string]*Anchors
	pending  map[string][]string // identities that get a certificate by ACME and have none yet, with their domains
	known    []*x509.Certificate // see Policy
	problems []config.Problem
}

// loadTrust reads the files of one trust. An expired CA in a file does not matter as long as the file has another one:
// bundles live longer than what is in them.
func (l *loader) loadTrust(in *config.Trust) {
	var certs []*x509.Certificate
	for i, path := range in.Files {
		f, bad := readPEM(path, nil)
		if bad != nil && bad.remedy == namePassword {
			bad.remedy = "take the certificates out of it: sallyport cert convert " + path + " --only certificates --out NEW"
		}
		if bad == nil {
			bad = f.needAnchors()
		}
		if bad == nil {
			l.listTrust(in.Name, path, f.Certs)
		}
		if bad == nil && !l.aged(path) {
			bad = outOfTime(f.Certs)
		}
		if bad != nil {
			what := fmt.Sprintf("trust %q: file %q: %s", in.Name, path, bad.what)
			l.problems = append(l.problems, l.cfg.Problem(in.AtItem("files", i), what, bad.why, bad.remedy))
			continue
		}
		certs = append(certs, f.Certs...)
	}
	a, err := NewAnchors(fmt.Sprintf("%q", in.Name), certs, in.System)
	if err != nil {
		l.problems = append(l.problems, l.cfg.Problem(in.At("system"), fmt.Sprintf("trust %q: the system's CAs cannot be read", in.Name),
			err.Error(), "install the system's CA certificates, or name files instead"))
		return
	}
	a.list(l.loadCRLs(in, certs))
	l.anchors[in.Name] = a
}

// outOfTime returns what is wrong with the last of certs when none of them is within its time.
func outOfTime(certs []*x509.Certificate) *fault {
	var f *fault
	for _, c := range certs {
		if f = lifetimeFault(c, time.Now()); f == nil {
			return nil
		}
	}
	return f
}

// trusts joins the named sets into one.
func (l *loader) trusts(names []string) *Anchors {
	var all []*Anchors
	for _, name := range names {
		if a := l.anchors[name]; a != nil {
			all = append(all, a)
		}
	}
	if len(all) == 1 {
		return all[0]
	}
	a, err := join(all)
	if err != nil { // the system's CAs could be read a moment ago
		l.problems = append(l.problems, l.cfg.Problem(config.Pos{}, "the system's CAs cannot be read", err.Error(), "install the system's CA certificates"))
		a = &Anchors{pool: x509.NewCertPool()}
	}
	return a
}

func (l *loader) peer(in *config.Peer) {
	if !in.UsesTLS() {
		return
	}
	s := &side{identity: l.set.identities[in.Identity], waits: l.waiting(in.Identity), pins: l.pins(), policy: &Policy{
		Who:     fmt.Sprintf("peer %q", in.Name),
		Anchors: l.trusts(in.Trust),
		Names:   slices.Clone(in.CertificateNames),
		Pins:    slices.Clone(in.Pins),
		Rules:   l.cfg.PolicyOf(in.Policy),
		known:   l.known,
		checker: l.Revocation,
	}}
	if in.URI.TLS() {
		s.config = l.clientConfig(s, in.URI.Host)
		if in.URI.Transport == config.WSS {
			s.config.NextProtos = []string{"http/1.1"} // or a server of HTTP may choose its second version
		}
	}
	l.set.peers[in.Name] = s
}

// waiting returns the name of an identity that has no certificate yet, empty for one that has.
func (l *loader) waiting(identity string) string {
	if l.pending[identity] == nil {
		return ""
	}
	return identity
}

// listener makes the policy that lets a handshake finish. Which peer it is, is decided afterwards by that peer's own
// policy; so a listener that names no trust of its own takes the trust of the peers who may call on it besides the
// default, or a peer with its own CA could never get so far; and likewise of certificates for servers alone.
func (l *loader) listener(in *config.Listener) {
	if !in.Listen.Transport.Secure() {
		return
	}
	names, rules := slices.Clone(in.Trust), l.cfg.PolicyOf(in.Policy)
	for _, p := range l.callers(in) {
		if !in.Has("trust") {
			names = append(names, p.Trust...)
		}
		if !rules.Has("server_usage") && l.cfg.PolicyOf(p.Policy).ServerUsage {
			rules.ServerUsage = true
		}
	}
	slices.Sort(names)
	s := &side{shown: l.shown(in), ask: in.ClientCertificates, pins: l.pins() + string(in.ClientCertificates), policy: &Policy{
		Who:     fmt.Sprintf("listener %q", in.Name),
		Anchors: l.trusts(slices.Compact(names)),
		AnyName: true,
		Rules:   rules,
		known:   l.known,
		checker: l.Revocation,
	}}
	s.config = l.serverConfig(s)
	if in.Listen.Transport == config.WSS {
		s.config.NextProtos = []string{"http/1.1"} // what a WebSocket begins with; who offers only others is refused (RFC 7301 §3.2)
	}
	l.set.listeners[in.Name] = s
}

// callers returns the peers that may show a certificate to a listener.
func (l *loader) callers(in *config.Listener) []*config.Peer {
	var callers []*config.Peer
	for i := range l.cfg.Peers {
		p := &l.cfg.Peers[i]
		never := p.AcceptFrom != nil && len(p.AcceptFrom) == 0
		if p.UsesTLS() && !never && (p.Listener == "" || p.Listener == in.Name) && in.ClientCertificates != config.CertificateNone {
			callers = append(callers, p)
		}
	}
	return callers
}

func (l *loader) pins() string { return fmt.Sprintf("%x-%x ", l.MinVersion, l.MaxVersion) }

// findIssuers looks among the anchors for the issuers of identities whose own files do not have them.
func (l *loader) findIssuers() {
	for _, id := range l.set.identities {
		for _, a := range l.anchors {
			if id != nil && id.Issuer == nil && !selfSigned(id.Chain[0]) {
				id.Issuer = signerOf(id.Chain[0], a.certs)
			}
		}
	}
}

// intermediates gathers those in our own files, by which a missing one is recognised.
func (l *loader) intermediates() []*x509.Certificate {
	var certs []*x509.Certificate
	for _, id := range l.set.identities {
		if id != nil {
			certs = append(certs, id.Chain[1:]...)
		}
	}
	for _, a := range l.anchors {
		certs = append(certs, a.certs...)
	}
	return slices.DeleteFunc(certs, func(c *x509.Certificate) bool { return !c.IsCA || selfSigned(c) })
}

// serverName returns the name for the server_name extension: a host name without its trailing dot, never an address
// (RFC 6066 §3).
func serverName(host string) string {
	if _, err := netip.ParseAddr(host); err == nil {
		return ""
	}
	if n := len(host); n > 0 && host[n-1] == '.' {
		host = host[:n-1]
	}
	return host
}
