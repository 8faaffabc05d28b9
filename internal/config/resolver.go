package config

import (
	"fmt"
	"net/netip"
	"time"
)

// Resolver says how the names of peers are looked up (RFC 3263).
type Resolver struct {
	Place

	// The name servers, in the order in which they are asked: each an address,
	// with a port when that is not 53. One that did not answer is asked last for
	// 30 seconds. They are believed about addresses; over TLS a peer proves its name
	// all the same. Default: those of the system's `resolv.conf`.
	Servers []NameServer `yaml:"servers" form:"list of \"address\" or \"address:port\""`

	// How long one name server may take to answer before the next one is asked.
	// Default: what `resolv.conf` says when the servers are from there, otherwise 2s.
	Timeout Duration `yaml:"timeout" form:"duration"`

	// How often each name server is asked. Default: what `resolv.conf` says when
	// the servers are from there, otherwise 2.
	Attempts Count `yaml:"attempts" form:"number"`

	// Which addresses of a name are used. `both`: in turns, beginning with the
	// family that this machine reaches best. `ipv4` or `ipv6`: those alone. Over UDP
	// only addresses of the listener's own family can be. Default: `both`.
	Family Family `yaml:"family" form:"one of both, ipv4, ipv6"`
}

// Family says which addresses of a name are used.
type Family string

// The values of family.
const (
	FamilyBoth Family = "both"
	FamilyIPv4 Family = "ipv4"
	FamilyIPv6 Family = "ipv6"
)

func (f *Family) set(text string) *fault { return setWord(f, text, FamilyBoth, FamilyIPv4, FamilyIPv6) }

// NameServer is the address of a name server.
type NameServer struct{ netip.AddrPort }

func (n *NameServer) set(text string) *fault {
	const forms = `write "192.0.2.53", "192.0.2.53:5353" or "[2001:db8::53]:53"`
	at, err := netip.ParseAddrPort(text)
	if err != nil {
		host, port, f := text, uint16(0), (*fault)(nil)
		if _, err := netip.ParseAddr(text); err != nil {
			if host, port, f = splitHostPort(text); f != nil {
				return f
			}
		}
		addr, err := netip.ParseAddr(host)
		if err != nil {
			if checkHost(host) == nil {
				return &fault{why: quote(host) + " is a name, and who would look that up?", remedy: "write its address"}
			}
			return &fault{why: quote(text) + " is not an address", remedy: forms}
		}
		if port == 0 {
			port = 53
		}
		at = netip.AddrPortFrom(addr, port)
	}
	if at.Addr().IsUnspecified() || at.Addr().IsMulticast() || at.Port() == 0 {
		return &fault{why: "no name server can be asked at " + quote(text), remedy: forms}
	}
	n.AddrPort = netip.AddrPortFrom(at.Addr().Unmap(), at.Port())
	return nil
}

// Bounds of what is worth asking.
const (
	maxNameServers   = 8
	maxNameAttempts  = 5
	longestNameQuery = 30 * time.Second
)

func checkResolver(c *Config, r *report) {
	d := &c.Resolver
	if d.Has("servers") && len(d.Servers) == 0 && !d.Broken("servers") {
		r.add(d.At("servers"), `resolver: "servers" is an empty list`, "no name could be looked up",
			"write the address of a name server, or leave the key out for those of the system")
	}
	if len(d.Servers) > maxNameServers {
		r.add(d.AtItem("servers", maxNameServers), fmt.Sprintf("resolver: more than %d servers", maxNameServers),
			"a call would not wait for so many", "name those that are nearest")
	}
	names := make([]string, len(d.Servers))
	for i, s := range d.Servers {
		names[i] = s.String()
	}
	checkTwice(r, "resolver", "servers", d.Place, names)
	if d.Has("timeout") && !d.Broken("timeout") && (d.Timeout.Duration <= 0 || d.Timeout.Duration > longestNameQuery) {
		r.add(d.At("timeout"), fmt.Sprintf("resolver: timeout is %s", d.Timeout), "a name server needs some time, and a call does not wait for long",
			fmt.Sprintf("write a time up to %s", Duration{longestNameQuery}))
	}
	if d.Attempts > maxNameAttempts {
		r.add(d.At("attempts"), fmt.Sprintf("resolver: attempts is %d", d.Attempts), "a server that did not answer five times will not answer the next time",
			fmt.Sprintf("write a number from 1 to %d", maxNameAttempts))
	}
}
