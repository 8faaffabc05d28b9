// Package probe tries one hop to a SIP server and tells all that it learns: how the server's name was resolved, how the
// connection and its handshake went step by step, what of the certificates shown verifies and what does not, what each
// side decided about the other, and what the server answers to OPTIONS.
//
// The main type is Probe; reading starts at Run, then hop.go with one address. Every hop is made as the gateway makes
// its own: the same transport, the same policy and trust, recorded by the same recorder. Nothing of a gateway that runs
// is touched: the connection is the probe's own, it is closed at the end, and it is never offered for the peer's
// requests.
//
// Everything is bounded: the addresses that are tried, the time that each step may take, and by the limits of
// sip/transport the bytes. A Report holds text as it came from the network: who prints it cleans it. Goroutines belong
// to the transport's endpoint, which Close ends.
//
// RFC 3263 (servers), RFC 5922 (names), RFC 3261 §11 (OPTIONS), RFC 5626 §3.5.1 and RFC 6223 (keep-alives).
package probe

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/sallyport-sip/sallyport/internal/config"
	"github.com/sallyport-sip/sallyport/internal/gateway"
	"github.com/sallyport-sip/sallyport/internal/peer"
	"github.com/sallyport-sip/sallyport/internal/recorder"
	"github.com/sallyport-sip/sallyport/internal/trust"
	"github.com/sallyport-sip/sallyport/sip/resolve"
	"github.com/sallyport-sip/sallyport/sip/transport"
)

// Bounds of one run.
const (
	// maxHops is how many addresses are tried.
	maxHops = 16
	// linger is how long is waited for the other side's end of a connection.
	linger = 300 * time.Millisecond
	// firstRecord is how long a TLS 1.3 server may take to say, by its first record, that it accepts us, before
	// OPTIONS is sent all the same (RFC 8446 §4.6.1: most send tickets at once).
	firstRecord = 500 * time.Millisecond
	// pongWithin is how long is waited for the answer to a keep-alive.
	pongWithin = 2 * time.Second
)

// Options say how a probe works.
type Options struct {
	Timeout time.Duration       // for each step: looking up, connecting with the handshake, the answer; 0: 5 s
	Source  netip.Addr          // of ours to leave from; not valid: that of the peer's listener, or the system's choice
	Agent   string              // our User-Agent
	Network transport.Network   // nil: the system's
	Getenv  func(string) string // for passwords of keys, as in trust.Options
	DialDNS func(ctx context.Context, network, address string) (net.Conn, error)

	// Target is set for a configuration that Target.Config has made: nothing is asked of the server but what TLS asks.
	Target bool
	// Open is set when the target's URI leaves the transport open: its NAPTR and SRV records choose among TLS, TCP and
	// UDP.
	Open bool
}

// Probe tries the peers of one configuration.
type Probe struct {
	Options
	recorder *recorder.Recorder
	reach    *gateway.Reach
	endpoint *transport.Endpoint
	now      atomic.Pointer[watch] // the hop under way
	profiles func(name string) (config.Profile, bool)
}

// New makes a probe of a configuration, of a file or made by Target.Config. Problems are those with which no gateway
// would start. Close ends it.
func New(cfg *config.Config, o Options) (*Probe, []config.Problem) {
	if o.Timeout <= 0 {
		o.Timeout = 5 * time.Second
	}
	p := &Probe{Options: o}
	p.recorder = recorder.New(recorder.Config{Gateway: "probe", Bytes: 1 << 20, Names: func(peer string) []string { return p.reach.Trust().Names(peer) }})
	reach, problems := gateway.NewReach(cfg, gateway.ReachOptions{TLS: trust.Options{KeyLog: p.recorder.KeyLog, Getenv: o.Getenv}, DialDNS: o.DialDNS})
	if len(problems) > 0 {
		return nil, problems
	}
	p.reach = reach
	p.profiles = func(name string) (config.Profile, bool) {
		for i := range cfg.Peers {
			if cfg.Peers[i].Name == name {
				return cfg.ProfileOf(&cfg.Peers[i]), true
			}
		}
		return config.Profile{}, false
	}
	p.endpoint = transport.New(transport.Config{
		Network: o.Network,
		Limits:  transport.Limits{HandshakeTimeout: o.Timeout, DialTimeout: o.Timeout, Linger: linger},
		Manner:  &transport.Manner{KeepAlive: transport.DefaultManner().KeepAlive}, // no pings but those of demand.go
		Hooks: transport.Hooks{
			Deliver:   p.deliver,
			WrapConn:  p.wrapConn,
			Identify:  p.identify,
			Tap:       p.recorder.Message,
			Upgraded:  p.recorder.Upgraded,
			Opened:    p.recorder.Opened,
			Confirmed: p.confirmed,
			Refusing:  p.refusing,
			Refused:   p.refused,
			Closed:    p.closed,
		},
	})
	return p, nil
}

// Close ends what is left of connections.
func (p *Probe) Close() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = p.endpoint.Close(ctx) // what is left is cut off
}

// Run probes one peer. The Report is never nil; the error is for a name that is no peer.
func (p *Probe) Run(ctx context.Context, name string) (*Report, error) {
	to := p.reach.Peer(name)
	if to == nil {
		return nil, errors.New("there is no such peer")
	}
	r := &Report{Target: to.URI.Text, Peer: name, Began: time.Now()}
	if p.Target {
		r.Peer = ""
	}
	if to.URI.Unreachable() {
		r.Unreachable = true
		return r.judge(), nil
	}
	p.observe(name)
	walk := p.reach.Walk(to, func(e resolve.Event) { r.Resolution = append(r.Resolution, e) }, func(q *resolve.Query) {
		if p.Open {
			q.Supported, q.Transport = nil, ""
		}
	})
	for len(r.Hops) < maxHops {
		looking, cancel := context.WithTimeout(ctx, p.Timeout)
		target, err := walk.Next(looking)
		cancel()
		if errors.Is(err, resolve.ErrEnd) {
			break
		}
		if err != nil {
			r.ResolveErr = err
			break
		}
		h := p.hop(ctx, to, target)
		r.Hops = append(r.Hops, h)
		if h.Works() || ctx.Err() != nil {
			break
		}
	}
	r.More = len(r.Hops) == maxHops && walk.More()
	p.demands(r, to)
	return r.judge(), nil
}

// observe has the state of each handshake with the peer seen before it is judged: that of one that fails is not to be
// had elsewhere.
func (p *Probe) observe(name string) {
	cfg := p.reach.Trust().ClientConfig(name)
	if cfg == nil || cfg.VerifyConnection == nil {
		return
	}
	verify := cfg.VerifyConnection
	cfg.VerifyConnection = func(st tls.ConnectionState) error {
		if w := p.now.Load(); w != nil {
			w.sawState(&st)
		}
		return verify(st)
	}
}

// transportOf reads the transport of a target.
func transportOf(to resolve.Target) transport.Transport {
	t, _ := transport.ParseTransport(to.Transport)
	return t
}

// listen opens the socket that requests over UDP leave from, of an address of the listener's and a port that is free.
func (p *Probe) listen(to *peer.Peer, remote netip.Addr) error {
	if len(p.endpoint.Listeners()) > 0 {
		p.endpoint.Listeners()[0].Close()
	}
	at := p.Source
	if !at.IsValid() {
		at = p.reach.ListenAddr(to, transport.UDP)
	}
	if !at.IsValid() || at.Is4() != remote.Is4() {
		at = netip.IPv6Unspecified()
		if remote.Is4() {
			at = netip.IPv4Unspecified()
		}
	}
	_, err := p.endpoint.Listen(transport.ListenConfig{Name: to.ListenerOn(transport.UDP), Transport: transport.UDP, Addr: netip.AddrPortFrom(at, 0)})
	return err
}
