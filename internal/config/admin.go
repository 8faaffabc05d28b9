package config

import (
	"fmt"
	"net/netip"
)

// Admin is where the gateway itself is looked at.
type Admin struct {
	Place

	// The address and port of the API. On a loopback address it may be clear
	// HTTP without a token, and whoever is on the machine sees every call. Any
	// other address needs `identity` and `token_file`.
	Listen AdminAddress `yaml:"listen" form:"\"address:port\""`

	// The certificate that the API shows: it is HTTPS then.
	Identity string `yaml:"identity" form:"name of an identity"`

	// The file with the token that each request must bring ("Authorization:
	// Bearer TOKEN"), relative to the file. Only with `identity`: a token is not
	// sent over clear HTTP.
	TokenFile string `yaml:"token_file" form:"file name"`
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
