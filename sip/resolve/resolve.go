package resolve

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/sallyport-sip/sallyport/sip"
)

// Resolver finds targets. The zero value asks the system's name servers: those
// of /etc/resolv.conf. Fields must not change once it is used, and a Resolver
// must not be copied.
type Resolver struct {
	// Servers are asked in order; one that did not answer is asked last for 30
	// seconds. nil: those of /etc/resolv.conf, at most three of them. Where there is
	// no such file, addresses come from the Go resolver, and there are neither NAPTR
	// nor SRV records.
	Servers []netip.AddrPort

	Timeout   time.Duration // how long one server may take; 0: that of resolv.conf, else 2 s
	Attempts  int           // how often each is asked; 0: that of resolv.conf, else 2
	Limit     time.Duration // how long all look-ups for one request may take together; 0: 15 s
	CacheSize int           // how many answers are kept; 0: 4096
	Family    Family        // for queries that do not say

	// Dial connects to a name server; network is "udp" or "tcp". A "udp"
	// connection must read nothing but what that server sends. nil: net.Dialer.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// IntN draws from [0,n) for the weights of SRV records. nil: math/rand/v2.
	IntN func(n int) int
	// Source tells which address of ours would send to one of theirs, and the
	// zero value when that cannot be reached from here (RFC 6724 §4). nil: the
	// system's routes.
	Source func(netip.Addr) netip.Addr

	// Counts is where look-ups are counted. nil: nowhere.
	Counts *Counts

	cache   cache
	flights flights
	health  health
	system  system
}

// Family says which addresses are used.
type Family uint8

const (
	Both Family = iota // in turns, the better family first (RFC 7984, RFC 8305 §4)
	IPv4
	IPv6
)

// Query is what a SIP URI says about its server.
type Query struct {
	Host      string   // a name, or an address without brackets
	Port      uint16   // 0: the URI has none
	Transport string   // as in the URI, in lower case; empty: the URI has none
	Secure    bool     // the scheme is sips:
	Supported []string // transports that may be used, the most wanted first; nil: tls, tcp, udp
	Family    Family   // Both: that of the Resolver
	Name      string   // what the server's certificate must be for; empty: Host

	// Trace is told of each question with its answer and of each choice, in the
	// goroutine that walks; nil: nobody is.
	Trace func(Event)
}

// ForURI returns the query for a URI: its maddr in place of its host, when it
// has one (RFC 3261 §19.1.1); its name is the host in any case.
func ForURI(u sip.URI) (Query, error) {
	if !u.SIP() {
		return Query{}, fmt.Errorf("resolve %s: it is no SIP URI", u.Scheme)
	}
	q := Query{
		Host:      host(u.Host),
		Port:      u.Port,
		Transport: strings.ToLower(string(u.Transport())),
		Secure:    u.Is("sips"),
	}
	q.Name = q.Host
	if maddr, ok := u.Params.Get("maddr"); ok {
		q.Host = host(maddr)
	}
	return q, nil
}

func host(b []byte) string { return strings.ToLower(strings.Trim(string(b), "[]")) }

// Target is where a request may be sent.
type Target struct {
	Transport string         // "udp", "tcp", "tls", "ws" or "wss"
	Addr      netip.AddrPort // IPv4 in four bytes
	Host      string         // whose address it is; empty: the address was in the URI
	Name      string         // the name that was asked for, and that a certificate must be for
}

// Literal returns the target of a host that is an address, without brackets.
func Literal(host string, port uint16) (netip.AddrPort, bool) {
	addr, err := netip.ParseAddr(host)
	if err != nil {
		return netip.AddrPort{}, false
	}
	return netip.AddrPortFrom(addr.Unmap(), port), true
}

// The errors that a look-up ends with, beside those of a name server.
var (
	// ErrEnd says that there is no target any more.
	ErrEnd = errors.New("no further address")
	// ErrNoName says that the name has no addresses.
	ErrNoName = errors.New("the name has no addresses")
	// ErrUnavailable says that the domain has no such service by its own word: an
	// SRV record with the target "." (RFC 2782).
	ErrUnavailable = errors.New("the domain says that it does not offer the service")
	// ErrUnsupported says that no transport is both in the query and supported.
	ErrUnsupported = errors.New("none of the supported transports will do")
)

// Targets yields the targets of a query in the order in which to try them,
// looking up what the next one needs when it is asked for. When there is no
// target at all it yields one error.
func (r *Resolver) Targets(ctx context.Context, q Query) iter.Seq2[Target, error] {
	return func(yield func(Target, error) bool) {
		for w := r.Walk(q); ; {
			to, err := w.Next(ctx)
			if errors.Is(err, ErrEnd) || !yield(to, err) || err != nil {
				return
			}
		}
	}
}

// protocol is a transport as the DNS has it.
type protocol struct {
	name    string
	secure  bool
	port    uint16
	service string // of NAPTR
	srv     string // what stands before the domain; empty: nothing is defined
}

// protocols are all transports: RFC 3263 §4.1 and §4.2, RFC 7118 §5.5.
var protocols = []protocol{
	{"tls", true, 5061, "sips+d2t", "_sips._tcp."},
	{"tcp", false, 5060, "sip+d2t", "_sip._tcp."},
	{"udp", false, 5060, "sip+d2u", "_sip._udp."},
	{"wss", true, 443, "sips+d2w", ""},
	{"ws", false, 80, "sip+d2w", ""},
}

// usual is what a query supports that does not say.
var usual = []string{"tls", "tcp", "udp"}

// accepted returns the transports that will do, the most wanted first.
func (q *Query) accepted() ([]protocol, error) {
	names := q.Supported
	if names == nil {
		names = usual
	}
	if q.Transport != "" {
		if q.Supported != nil && !slices.Contains(q.Supported, q.secured()) {
			return nil, fmt.Errorf("transport %s: %w", q.Transport, ErrUnsupported)
		}
		names = []string{q.secured()}
	}
	var out []protocol
	for _, name := range names {
		for _, p := range protocols {
			if p.name == name && (p.secure || !q.Secure) {
				out = append(out, p)
			}
		}
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("transport %q, sips: %v: %w", q.Transport, q.Secure, ErrUnsupported)
	}
	return out, nil
}

// secured is the transport of the URI. In a sips: URI it says what TLS runs over
// (RFC 3261 §26.2.2, RFC 7118 §5.5).
func (q *Query) secured() string {
	switch {
	case q.Secure && q.Transport == "tcp":
		return "tls"
	case q.Secure && q.Transport == "ws":
		return "wss"
	}
	return q.Transport
}

// fallback is the transport where nothing chooses one: UDP for sip: and TLS for
// sips: (RFC 3263 §4.1), or the most wanted one when that is not supported.
func (q *Query) fallback(accepted []protocol) protocol {
	want := "udp"
	if q.Secure {
		want = "tls"
	}
	for _, p := range accepted {
		if p.name == want {
			return p
		}
	}
	return accepted[0]
}

func (r *Resolver) intN(n int) int {
	if r.IntN != nil {
		return r.IntN(n)
	}
	return rand.IntN(n)
}

func (r *Resolver) limit() time.Duration {
	if r.Limit > 0 {
		return r.Limit
	}
	return 15 * time.Second
}
