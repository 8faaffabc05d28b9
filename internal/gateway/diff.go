package gateway

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"slices"
	"time"

	"github.com/sallyport-sip/sallyport/internal/callflow"
	"github.com/sallyport-sip/sallyport/internal/config"
	"github.com/sallyport-sip/sallyport/internal/store"
	"github.com/sallyport-sip/sallyport/internal/trust"
	"github.com/sallyport-sip/sallyport/sip/transport"
)

// Diff is whom a configuration, with the files that it names, would affect: by the
// certificates that the peers showed last.
type Diff struct {
	Changes []trust.Change // nil when what ran before is not known
	Peers   []PeerDiff     // that prove who they are by a certificate, in the order of the new configuration
	Gone    []string       // such peers that it does not have any more
}

// Breaks says whether a peer would stop verifying.
func (d *Diff) Breaks() bool {
	return slices.ContainsFunc(d.Peers, func(p PeerDiff) bool { return p.State == DiffStops })
}

// What would become of a peer.
const (
	DiffStops      = "stops"      // it is accepted now and would be refused
	DiffFails      = "fails"      // it is refused now, and would be
	DiffUnknown    = "unknown"    // it has never shown a certificate
	DiffMends      = "mends"      // it is refused now and would be accepted
	DiffUnaffected = "unaffected" // it is accepted, and would be
)

// PeerDiff is what would become of one peer.
type PeerDiff struct {
	Peer  string
	State string
	Seen  []Judged
	Shown []Shown
	Live  []Failing // its connections that would only serve the calls they have
}

// Judged is a certificate that a peer has shown, judged by what runs and by what
// would.
type Judged struct {
	Role     trust.Role // the peer's: Client when it calls us
	Listener string     // that judges it too; empty when we call
	At       time.Time  // when it was seen; of a live connection, when that opened
	Live     bool
	Subject  string
	State    string // as of a peer; never DiffUnknown
	Why      error  // why it would be refused; nil: it would not
}

// Shown is a certificate of ours that a peer would see in place of another.
type Shown struct {
	Listener string              // where it calls us; empty when we call
	Old, New []*x509.Certificate // as we show it, leaf first; empty: none
	MustKnow string              // what the peer has to trust that signed nothing of ours before; empty: nothing new
}

// Side is a configuration with its certificates, on one side of a Diff.
type Side struct {
	Config *config.Config
	Trust  *trust.Set
}

// LoadSide reads the files that a configuration names. It must have no problems of
// its own.
func LoadSide(cfg *config.Config, o trust.Options) (Side, []config.Problem) {
	o.KeyLog = nil
	set, problems := o.Load(cfg)
	return Side{cfg, set}, problems
}

// DiffFrom compares by what is in a data directory, whether a gateway runs there
// or not. Without a Config in before, what was accepted and shown last counts as
// what ran.
func DiffFrom(dir string, before, after Side) (Diff, error) {
	chains, err := store.LastChains(dir)
	d := differ{before: before, after: after, past: func(f callflow.HandshakeFilter) []*callflow.Handshake {
		found, _ := store.Handshakes(dir, f)
		return found
	}}
	if err != nil {
		return Diff{}, err
	}
	d.remember(chains)
	return d.diff(), nil
}

// Diff compares what runs with what a reload would take of cfg, which has no
// problems of its own.
func (g *Gateway) Diff(cfg *config.Config) (Diff, []config.Problem) {
	o := g.options.TLS
	o.KeyLog = nil
	next, problems := build(cfg, o, nil)
	if len(problems) > 0 {
		return Diff{}, problems
	}
	snap := g.snapshot.Load()
	d := differ{before: Side{snap.config, snap.trust}, after: Side{cfg, next.trust}, past: g.pastHandshakes}
	for c := range g.Conns() {
		if st := c.TLS(); st != nil && !c.Retired() {
			d.live(c, st)
		}
	}
	d.remember(g.recorder.LastChains())
	if g.store != nil {
		if chains, err := store.LastChains(g.first.Data); err == nil {
			d.remember(chains)
		}
	}
	diff := d.diff()
	g.countCalls(&diff)
	return diff, nil
}

// pastHandshakes asks memory first, and then the disk.
func (g *Gateway) pastHandshakes(f callflow.HandshakeFilter) []*callflow.Handshake {
	if found := g.recorder.Handshakes(f); len(found) > 0 || g.store == nil {
		return found
	}
	found, _ := store.Handshakes(g.first.Data, f)
	return found
}

// countCalls finds the calls on the connections that would fail.
func (g *Gateway) countCalls(d *Diff) {
	if !d.Breaks() {
		return
	}
	calls := g.CallInfo()
	for i := range d.Peers {
		for j := range d.Peers[i].Live {
			f := &d.Peers[i].Live[j]
			for _, call := range calls {
				if id := f.Conn.ID(); id == call.In.Connection || id == call.Out.Connection {
					f.Calls = append(f.Calls, call.Number)
				}
			}
			slices.Sort(f.Calls)
		}
	}
}

// differ makes one Diff.
type differ struct {
	before, after Side
	past          func(callflow.HandshakeFilter) []*callflow.Handshake
	sightings     []*sighting
}

// sighting is a certificate that a peer has shown in one role.
type sighting struct {
	peer     string
	role     trust.Role
	listener string // empty: it is not known which
	at       time.Time
	accepted bool
	state    tls.ConnectionState // of what is not live only the chain, and the version if that is known
	conns    []*transport.Conn   // live ones on which it was shown
}

// live adds what a live connection shows. Many with the same certificate count as
// one.
func (d *differ) live(c *transport.Conn, st *tls.ConnectionState) {
	peer, info := c.Identity().Peer, c.Info()
	if peer == "" || len(st.PeerCertificates) == 0 {
		return
	}
	s := &sighting{peer: peer, role: trust.Server, listener: info.Listener, at: c.Opened(), accepted: true, state: *st, conns: []*transport.Conn{c}}
	if info.Inbound {
		s.role = trust.Client
	} else {
		s.listener = ""
	}
	for _, other := range d.sightings {
		if other.peer == s.peer && other.role == s.role && other.listener == s.listener && other.state.Version == st.Version &&
			other.state.CipherSuite == st.CipherSuite && slices.EqualFunc(other.state.PeerCertificates, st.PeerCertificates, (*x509.Certificate).Equal) {
			other.conns = append(other.conns, c)
			return
		}
	}
	d.sightings = append(d.sightings, s)
}

// remember adds what peers have shown that have no live connection in that role:
// the last that was accepted, or else the last.
func (d *differ) remember(chains []callflow.Seen) {
	slices.SortStableFunc(chains, func(a, b callflow.Seen) int {
		if a.Accepted != b.Accepted {
			return map[bool]int{true: -1, false: 1}[a.Accepted]
		}
		return b.At.Compare(a.At)
	})
	for _, seen := range chains {
		role := trust.Server
		if seen.Role == callflow.RoleClient {
			role = trust.Client
		}
		if slices.ContainsFunc(d.sightings, func(s *sighting) bool {
			return s.peer == seen.Peer && s.role == role && (len(s.conns) > 0 || s.accepted || !seen.Accepted)
		}) {
			continue
		}
		s := &sighting{peer: seen.Peer, role: role, at: seen.At, accepted: seen.Accepted}
		for _, der := range seen.Chain {
			if c, err := x509.ParseCertificate(der); err == nil {
				s.state.PeerCertificates = append(s.state.PeerCertificates, c)
			}
		}
		if len(s.state.PeerCertificates) == 0 {
			continue
		}
		if h := d.last(seen.Peer, role); h != nil {
			s.listener, s.state.Version = h.Listener, versions[h.Chosen.Version]
		}
		d.sightings = append(d.sightings, s)
	}
}

var versions = map[string]uint16{"1.0": tls.VersionTLS10, "1.1": tls.VersionTLS11, "1.2": tls.VersionTLS12, "1.3": tls.VersionTLS13}

// last is the last good handshake with a peer in a role of its, nil when none is
// kept.
func (d *differ) last(peer string, role trust.Role) *callflow.Handshake {
	ours := callflow.RoleServer
	if role == trust.Server {
		ours = callflow.RoleClient
	}
	found := d.past(callflow.HandshakeFilter{Peer: peer, Role: ours, Outcome: callflow.OutcomeGood, Limit: 1})
	if len(found) == 0 {
		return nil
	}
	return found[0]
}

func (d *differ) diff() Diff {
	var diff Diff
	d.before.Trust, d.after.Trust = d.before.Trust.Foreseeing(), d.after.Trust.Foreseeing()
	if d.before.Trust != nil {
		diff.Changes = d.before.Trust.Changes(d.after.Trust)
	}
	for i := range d.after.Config.Peers {
		if p := &d.after.Config.Peers[i]; p.UsesTLS() {
			diff.Peers = append(diff.Peers, d.peer(p))
		}
	}
	if d.before.Config != nil {
		for i := range d.before.Config.Peers {
			p := &d.before.Config.Peers[i]
			if p.UsesTLS() && !slices.ContainsFunc(diff.Peers, func(other PeerDiff) bool { return other.Peer == p.Name }) {
				diff.Gone = append(diff.Gone, p.Name)
			}
		}
	}
	return diff
}

// worst first: what a peer would be is the worst of its roles.
var severity = []string{DiffStops, DiffFails, DiffUnknown, DiffMends, DiffUnaffected}

func (d *differ) peer(p *config.Peer) PeerDiff {
	diff := PeerDiff{Peer: p.Name, State: DiffUnknown}
	roles := map[trust.Role]string{}
	for _, s := range d.sightings {
		if s.peer != p.Name {
			continue
		}
		judged := d.judge(p, s)
		diff.Seen = append(diff.Seen, judged...)
		for _, j := range judged {
			roles[s.role] = atOnce(roles[s.role], j.State)
		}
		if i := slices.IndexFunc(judged, func(j Judged) bool { return j.State == DiffStops }); i >= 0 {
			for _, c := range s.conns {
				diff.Live = append(diff.Live, failing(c, judged[i].Why))
			}
		}
	}
	for _, state := range roles {
		if diff.State == DiffUnknown || slices.Index(severity, state) < slices.Index(severity, diff.State) {
			diff.State = state
		}
	}
	slices.SortStableFunc(diff.Seen, func(a, b Judged) int {
		return cmp.Or(cmp.Compare(a.Role, b.Role), cmp.Compare(a.Listener, b.Listener), b.At.Compare(a.At))
	})
	slices.SortFunc(diff.Live, func(a, b Failing) int { return cmp.Compare(a.Conn.ID(), b.Conn.ID()) })
	diff.Shown = d.shown(p, roles)
	return diff
}

// atOnce joins what becomes of two certificates, or at two listeners, in one role:
// where one would stop the role stops; else what works at one place works.
func atOnce(a, b string) string {
	for _, state := range []string{DiffStops, DiffUnaffected, DiffMends} {
		if a == state || b == state {
			return state
		}
	}
	return cmp.Or(a, b)
}

// judge judges a sighting by both sides, in the role of a client at each listener
// that the peer may come to.
func (d *differ) judge(p *config.Peer, s *sighting) []Judged {
	places := []string{""}
	if s.role == trust.Client {
		if places = listenersOf(d.after.Config, p); slices.Contains(places, s.listener) {
			places = []string{s.listener}
		}
	} else if d.after.Trust.ClientConfig(p.Name) == nil {
		return nil // not called over TLS any more, so nobody minds
	}
	var all []Judged
	for _, listener := range places {
		j := Judged{Role: s.role, Listener: listener, At: s.at, Live: len(s.conns) > 0, Subject: trust.Subject(s.state.PeerCertificates[0])}
		before := d.before.accepts(p.Name, listener, s)
		j.Why = d.after.accepts(p.Name, listener, s)
		switch {
		case before == nil && j.Why != nil:
			j.State = DiffStops
		case before != nil && j.Why != nil:
			j.State = DiffFails
		case before != nil:
			j.State = DiffMends
		default:
			j.State = DiffUnaffected
		}
		all = append(all, j)
	}
	return all
}

// listenersOf are those that a peer may come to over TLS.
func listenersOf(cfg *config.Config, p *config.Peer) (names []string) {
	if p.AcceptFrom != nil && len(p.AcceptFrom) == 0 {
		return nil
	}
	for i := range cfg.Listeners {
		l := &cfg.Listeners[i]
		if l.Listen.Transport.Secure() && (p.Listener == "" || p.Listener == l.Name) {
			names = append(names, l.Name)
		}
	}
	return names
}

// accepts says why a side refuses what a peer has shown, nil when it does not.
func (side *Side) accepts(peer, listener string, s *sighting) error {
	if side.Trust == nil {
		if s.accepted {
			return nil
		}
		return fmt.Errorf("it was refused when it was seen")
	}
	set, st := side.Trust, &s.state
	if len(s.conns) > 0 {
		if _, err := set.ReviewConn(peer, st, s.role); err != nil {
			return err
		}
		if listener != "" && set.ServerConfig(listener) != nil {
			return set.Admits(listener, st)
		}
		return nil
	}
	if _, err := set.VerifyPeer(peer, st.PeerCertificates, s.role); err != nil {
		return err
	}
	if listener != "" && set.ServerConfig(listener) != nil {
		if _, err := set.VerifyListener(listener, st.PeerCertificates); err != nil {
			return err
		}
	}
	return side.speaks(peer, listener, st.Version)
}

// speaks says why a side would not speak the version of TLS that was spoken last.
// Which higher one the peer can, nobody knows who has not offered it.
func (side *Side) speaks(peer, listener string, version uint16) error {
	conf := side.Trust.ClientConfig(peer)
	if listener != "" {
		conf = side.Trust.ServerConfig(listener)
	}
	if conf == nil || version == 0 || version >= conf.MinVersion {
		return nil
	}
	return trust.Refuse(trust.NoCommonVersion, fmt.Sprintf(": %s was spoken last, and the least is %s", tls.VersionName(version), tls.VersionName(conf.MinVersion)))
}

// shown returns what the peer would see of us in place of something else. roles
// are those in which it was seen.
func (d *differ) shown(p *config.Peer, roles map[trust.Role]string) []Shown {
	var all []Shown
	add := func(listener string, old, now []*x509.Certificate) {
		if len(old)+len(now) == 0 || slices.EqualFunc(old, now, (*x509.Certificate).Equal) {
			return
		}
		all = append(all, Shown{Listener: listener, Old: old, New: now, MustKnow: mustKnow(old, now)})
	}
	if d.after.Trust.ClientConfig(p.Name) != nil {
		old := d.oldChain(p.Name, trust.Server, func(set *trust.Set) *trust.Identity { return set.PeerIdentity(p.Name) })
		add("", old, chainOf(d.after.Trust.PeerIdentity(p.Name)))
	}
	if _, calls := roles[trust.Client]; !calls {
		return all
	}
	asked := ""
	h := d.last(p.Name, trust.Client)
	if h != nil {
		asked = h.Offered.ServerName
	}
	for _, l := range listenersOf(d.after.Config, p) {
		if h != nil && h.Listener != "" && h.Listener != l {
			continue
		}
		pick := func(set *trust.Set) *trust.Identity { return set.ListenerIdentity(l, asked) }
		add(l, d.oldChain(p.Name, trust.Client, pick), chainOf(pick(d.after.Trust)))
	}
	return all
}

// oldChain is what we have shown to a peer in a role of its: by what runs, or else
// as it was seen last.
func (d *differ) oldChain(peer string, role trust.Role, pick func(*trust.Set) *trust.Identity) []*x509.Certificate {
	if d.before.Trust != nil {
		return chainOf(pick(d.before.Trust))
	}
	var chain []*x509.Certificate
	if h := d.last(peer, role); h != nil {
		for _, der := range h.OurChain {
			if c, err := x509.ParseCertificate(der); err == nil {
				chain = append(chain, c)
			}
		}
	}
	return chain
}

func chainOf(id *trust.Identity) []*x509.Certificate {
	if id == nil {
		return nil
	}
	return id.Chain
}

// mustKnow says what has to be trusted for a chain of ours that was not for the
// old one.
func mustKnow(old, now []*x509.Certificate) string {
	if len(now) == 0 || len(old) == 0 {
		return ""
	}
	was, is := old[len(old)-1], now[len(now)-1]
	self := string(is.RawIssuer) == string(is.RawSubject)
	switch {
	case self:
		return fmt.Sprintf("this certificate itself, which is self-signed: %s, fingerprint %s", trust.Subject(is), trust.CertificateFingerprint(is))
	case string(was.RawIssuer) != string(is.RawIssuer):
		return trust.Issuer(is)
	case string(was.AuthorityKeyId) != string(is.AuthorityKeyId):
		return trust.Issuer(is) + ", which has another key than before"
	}
	return ""
}
