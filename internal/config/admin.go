package config

import (
	"fmt"
	"net/netip"
)

// Admin is where the gateway itself is looked at.
type Admin struct {
	Place

	// The address and port of the API. Whoever reaches it sees every call, so
	// keep it on a loopback address.
	Listen AdminAddress `yaml:"listen" form:"\"address:port\""`
}

// AdminAddress is an address and a port for HTTP; the zero value is none.
type AdminAddress struct {
	netip.AddrPort
}

func (a *AdminAddress) set(text string) *fault {
	ap, f := parseAddrPort(text)
	if f == nil {
		a.AddrPort = ap
	}
	return f
}

func checkAdmin(c *Config, r *report) {
	at := c.Admin.Listen.AddrPort
	if !at.IsValid() {
		return
	}
	for i := range c.Listeners {
		l := &c.Listeners[i]
		if l.Listen.collides(Address{TCP, at}) {
			r.add(c.Admin.At("listen"), fmt.Sprintf("admin: %s is already taken", at),
				fmt.Sprintf("listener %q listens on %s", l.Name, l.Listen), "give it another port or address")
		}
	}
}
