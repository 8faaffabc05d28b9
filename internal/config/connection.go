package config

import (
	"fmt"
	"time"
)

// Connection is how connections with a peer are made and kept.
type Connection struct {
	Place

	// When we connect to the peer over TCP or TLS. `when_needed`: for a request.
	// `always`: one connection is kept up, and dialled again when it is lost;
	// an alarm tells, in status and metrics, when it cannot be had for three minutes.
	// Default: `when_needed`.
	Connect Connect `yaml:"connect" form:"one of when_needed, always"`

	// How soon a connection that is kept up is dialled again: half to all of this
	// time after it was lost, and twice as long after each failure (RFC 5626 §4.5).
	// Default: 2s.
	RetryFirst Duration `yaml:"retry_first" form:"duration"`

	// The longest that becomes. Default: 5m.
	RetryLongest Duration `yaml:"retry_longest" form:"duration"`

	// Whether we ask, with a double CRLF on connections that we made, whether the
	// peer is still there (RFC 5626 §4.4.1). `learn`: a missing answer counts once
	// the peer has answered one on that connection, or has promised to by `keep`
	// (RFC 6223). `required`: it counts from the first on. `off`: we do not ask, for
	// a peer that takes CRLFs amiss. Such questions of the peer are always
	// answered. Default: `learn`.
	Ping Ping `yaml:"ping" form:"one of learn, required, off"`

	// After how long without a byte from the peer we ask; each time 80 to 100 % of
	// it. Default: 50s, so that a NAT that forgets after a minute does not.
	PingEvery Duration `yaml:"ping_every" form:"duration"`

	// How often a peer on UDP gets a datagram of two CRLFs, to keep open the way
	// through a NAT; each time 80 to 100 % of it. 0: never. Default: 0.
	UDPKeepAlive Duration `yaml:"udp_keep_alive" form:"duration"`

	// Whether one TLS connection serves requests in both directions (RFC 5923),
	// when both sides have proved who they are with certificates. `offer`: our
	// requests say that the peer may use our connection. `accept`: we use the peer's
	// when it says so, and comes from the address and names the port that we would
	// connect to. `both`, or `off`. Default: `both`.
	Alias Alias `yaml:"alias" form:"one of both, offer, accept, off"`

	// How a request leaves that is larger than 1300 bytes when the peer's uri is a
	// UDP one. `tcp`: over TCP to the same place, and over UDP when the peer does not
	// take that within two seconds, which is remembered for ten minutes (RFC 3261
	// §18.1.1). `udp`: always over UDP, in fragments. Default: `tcp`.
	LargeRequests LargeRequests `yaml:"large_requests" form:"one of tcp, udp"`

	// How long nothing may pass on a connection before TCP itself asks whether the
	// other side is there. 0: never. Default: 30s.
	TCPKeepAlive Duration `yaml:"tcp_keep_alive" form:"duration"`

	// How long what we sent may go unacknowledged by the other side's TCP before
	// the connection is given up; its calls go on by a new one. On Linux. 0: as long
	// as the system likes, about a quarter of an hour. Default: 30s.
	TCPUnacknowledged Duration `yaml:"tcp_unacknowledged" form:"duration"`
}

// Connect says when a peer is connected to.
type Connect string

// The values of connect.
const (
	ConnectWhenNeeded Connect = "when_needed"
	ConnectAlways     Connect = "always"
)

func (c *Connect) set(text string) *fault {
	return setWord(c, text, ConnectWhenNeeded, ConnectAlways)
}

// Ping says whether a peer is asked with CRLFs whether it is there.
type Ping string

// The values of ping.
const (
	PingLearn    Ping = "learn"
	PingRequired Ping = "required"
	PingOff      Ping = "off"
)

func (p *Ping) set(text string) *fault { return setWord(p, text, PingLearn, PingRequired, PingOff) }

// Alias says in which directions a connection may be used.
type Alias string

// The values of alias.
const (
	AliasBoth   Alias = "both"
	AliasOffer  Alias = "offer"
	AliasAccept Alias = "accept"
	AliasOff    Alias = "off"
)

func (a *Alias) set(text string) *fault {
	return setWord(a, text, AliasBoth, AliasOffer, AliasAccept, AliasOff)
}

// Offers says whether our own connections are offered, Accepts whether the
// peer's are taken.
func (a Alias) Offers() bool { return a == AliasBoth || a == AliasOffer }

// Accepts says whether connections of the peer's are used when it offers them.
func (a Alias) Accepts() bool { return a == AliasBoth || a == AliasAccept }

// LargeRequests says how requests leave that are too large for UDP.
type LargeRequests string

// The values of large_requests.
const (
	LargeOverTCP LargeRequests = "tcp"
	LargeOverUDP LargeRequests = "udp"
)

func (l *LargeRequests) set(text string) *fault {
	return setWord(l, text, LargeOverTCP, LargeOverUDP)
}

func (c *Connection) complete() {
	fill(&c.Connect, ConnectWhenNeeded)
	fill(&c.Ping, PingLearn)
	fill(&c.Alias, AliasBoth)
	fill(&c.LargeRequests, LargeOverTCP)
	for _, d := range []struct {
		key    string
		value  *Duration
		normal time.Duration
	}{
		{"retry_first", &c.RetryFirst, 2 * time.Second},
		{"retry_longest", &c.RetryLongest, 5 * time.Minute},
		{"ping_every", &c.PingEvery, 50 * time.Second},
		{"tcp_keep_alive", &c.TCPKeepAlive, 30 * time.Second},
		{"tcp_unacknowledged", &c.TCPUnacknowledged, 30 * time.Second},
	} {
		if !c.Has(d.key) && d.value.Duration == 0 {
			d.value.Duration = d.normal
		}
	}
}

func fill[W ~string](word *W, normal W) {
	if *word == "" {
		*word = normal
	}
}

// shortest is the least time that makes sense between two pings or two dials.
const shortest = time.Second

func checkConnection(r *report, p *Profile) {
	c := &p.Connection
	for _, d := range []struct {
		key, why string
		value    Duration
		zero     bool // it may be 0
	}{
		{"retry_first", "a peer that is down would be dialled without end", c.RetryFirst, false},
		{"retry_longest", "a peer that is down would be dialled without end", c.RetryLongest, false},
		{"ping_every", "the peer would be asked without end", c.PingEvery, false},
		{"udp_keep_alive", "the peer would get datagrams without end", c.UDPKeepAlive, true},
		{"tcp_keep_alive", "TCP counts this in seconds", c.TCPKeepAlive, true},
		{"tcp_unacknowledged", "a single lost packet would end the connection", c.TCPUnacknowledged, true},
	} {
		if d.value.Duration < shortest && !c.Broken(d.key) && !(d.zero && d.value.Duration == 0) {
			r.add(c.At(d.key), fmt.Sprintf("profile %q: connection: %q is %v", p.Name, d.key, d.value), d.why, "write 1s or more, or leave the key out")
		}
	}
	if c.RetryLongest.Duration < c.RetryFirst.Duration && c.RetryLongest.Duration >= shortest && !c.Broken("retry_first") && !c.Broken("retry_longest") {
		r.add(c.At("retry_longest"), fmt.Sprintf("profile %q: connection: \"retry_longest\" is %v", p.Name, c.RetryLongest),
			fmt.Sprintf("it is less than retry_first, %v", c.RetryFirst), "make it as long or longer")
	}
}

// checkPeerConnection finds a peer that is to be kept connected and has no
// connections.
func checkPeerConnection(c *Config, r *report, p *Peer, label string) {
	if c.ProfileOf(p).Connection.Connect == ConnectAlways && p.URI.Transport == UDP {
		r.add(p.At("profile"), fmt.Sprintf("%s: profile %q has connect: always, but the uri is a UDP one", label, p.Profile),
			"on UDP there is no connection to keep up", "add ;transport=tls or ;transport=tcp to the uri, or choose another profile")
	}
}
