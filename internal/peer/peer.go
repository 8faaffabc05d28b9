package peer

import (
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/sallyport-sip/sallyport/internal/config"
	"github.com/sallyport-sip/sallyport/sip"
	"github.com/sallyport-sip/sallyport/sip/transport"
)

// Peer is one peer of a configuration. All but State is immutable.
type Peer struct {
	Name      string
	URI       config.URI          // where our requests go
	Transport transport.Transport // that of URI
	Path      string              // of the WebSocket that we open
	Named     bool                // the host of URI is a name, which may have several addresses
	SIPS      config.SIPS         // from its profile

	CertNames  []string        // empty: known by its address alone
	AcceptFrom []config.Source // nil with CertNames: any address; else none

	// Choices are the transports among which the DNS may choose, the most wanted
	// first, each with the listener whose address our requests carry then. The first
	// is Transport with Listener; others are there when the URI leaves that open.
	Choices []Choice

	Listener string // whose address our requests carry; empty when none fits
	Pinned   bool   // recognised on Listener only

	Identity string   // our certificate on the way to it; empty: none
	Trust    []string // whose word we take for its certificate

	// From its profile.
	ResponseTimeout time.Duration // how long it may be silent while there is another target
	AnswerTimeout   time.Duration // how long it may ring
	DownFor         time.Duration // how long it is not asked after a failure
	KeepAlive       time.Duration // how often its calls are asked for; 0: never
	Relay           []sip.Method  // its requests that may cross outside of calls
	SessionID       bool          // Session-ID is spoken with it (RFC 7989)
	CallIDHeader    string        // in which it is told the Call-ID of the caller's leg; empty: in none

	Asserts *Asserts       // who its requests may say that they are from; nil: anybody
	Heard   []config.Claim // what others claim to be that it is told; nil: nothing says

	Limits config.Limits

	Connection config.Connection // from its profile

	State *State

	place int // in the file
}

// Choice is a transport by which a peer may be reached.
type Choice struct {
	Transport transport.Transport
	Listener  string
}

// ListenerOn returns the listener whose address our requests to the peer carry on
// a transport.
func (p *Peer) ListenerOn(t transport.Transport) string {
	for _, c := range p.Choices {
		if c.Transport == t {
			return c.Listener
		}
	}
	return p.Listener
}

// Secure says whether our requests reach the peer over TLS.
func (p *Peer) Secure() bool { return p.Transport.Secure() }

// CanSIPS says whether a sips: request may be sent to the peer.
func (p *Peer) CanSIPS() bool { return p.Secure() && p.SIPS != config.SIPSNever }

// CanSIP says whether a call that is not sips: may be sent to the peer: with
// the rule required it becomes sips:, which needs TLS.
func (p *Peer) CanSIP() bool { return p.Secure() || p.SIPS != config.SIPSRequired }

// Relays says whether a request of the peer may cross outside of calls.
func (p *Peer) Relays(m sip.Method) bool { return slices.Contains(p.Relay, m) }

// Scheme is the scheme of what we send to the peer, given whether the caller's
// request is sips:.
func (p *Peer) Scheme(sips bool) string {
	if p.SIPS == config.SIPSRequired || sips && p.SIPS == config.SIPSAllowed {
		return "sips"
	}
	return "sip"
}

// Table is the peers of one configuration.
type Table struct {
	peers  []*Peer
	named  map[string]*Peer
	byCert byName // those with certificate names
	bySource
}

// Compile returns the table of a configuration without problems. Peers that
// before has too keep their State; before may be nil.
func Compile(cfg *config.Config, before *Table) *Table {
	t := &Table{named: make(map[string]*Peer, len(cfg.Peers))}
	for i := range cfg.Peers {
		p := compile(cfg, &cfg.Peers[i])
		p.place = i
		p.State = new(State)
		if old := before.Lookup(p.Name); old != nil {
			p.State = old.State
		}
		t.peers = append(t.peers, p)
		t.named[p.Name] = p
		if len(p.CertNames) > 0 {
			t.byCert.add(p)
		} else {
			t.add(p)
		}
	}
	return t
}

func compile(cfg *config.Config, from *config.Peer) *Peer {
	profile := cfg.ProfileOf(from)
	p := &Peer{
		Name:       from.Name,
		URI:        from.URI,
		SIPS:       profile.SIPS,
		CertNames:  slices.Clone(from.CertificateNames),
		AcceptFrom: slices.Clone(from.AcceptFrom),
		Pinned:     from.Listener != "",
		Identity:   from.Identity,
		Trust:      slices.Clone(from.Trust),

		ResponseTimeout: profile.ResponseTimeout.Duration,
		AnswerTimeout:   profile.AnswerTimeout.Duration,
		DownFor:         profile.DownFor.Duration,
		KeepAlive:       profile.KeepAlive.Duration,
		Limits:          from.Limits,
		Asserts:         compileAsserts(from),
		Heard:           compileHears(from),
		Connection:      profile.Connection,
		SessionID:       profile.SessionID == config.On,
		CallIDHeader:    string(profile.CallIDHeader),
	}
	for _, m := range profile.Relay {
		p.Relay = append(p.Relay, sip.Method(strings.ToUpper(string(m))))
	}
	p.Transport, _ = transport.ParseTransport(string(from.URI.Transport))
	p.Path = from.Path
	_, err := netip.ParseAddr(from.URI.Host)
	p.Named = err != nil
	if l := cfg.ListenerFor(from); l != nil {
		p.Listener = l.Name
	}
	p.Choices = []Choice{{p.Transport, p.Listener}}
	if from.URI.Open && p.Transport == transport.UDP && from.Listener == "" {
		over := *from
		over.URI.Transport = config.TCP
		if l := cfg.ListenerFor(&over); l != nil {
			p.Choices = append(p.Choices, Choice{transport.TCP, l.Name})
		}
	}
	return p
}

// Lookup returns the peer called name, nil when there is none. It serves a nil
// Table.
func (t *Table) Lookup(name string) *Peer {
	if t == nil {
		return nil
	}
	return t.named[name]
}

// All returns the peers in the order of the file. The slice must not be changed.
func (t *Table) All() []*Peer { return t.peers }
