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

	// The file with the token of who may also act: end calls, reload, close
	// connections. Without it nobody may over the network, only the commands of
	// this program on the machine itself. Only with `identity`.
	OperatorTokenFile string `yaml:"operator_token_file" form:"file name"`
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
	a := &c.Admin
	if a.Identity != "" {
		checkName(r, "admin", "identity", a.At("identity"), a.Identity, c.Identities)
		if id := find(c.Identities, a.Identity); id != nil && id.Automatic() {
			r.add(a.At("identity"), fmt.Sprintf("admin: identity %q gets its certificate by acme", a.Identity), "until it has one the API could not be reached, not even to see why",
				"name an identity with certificate and key here")
		}
	}
	for _, key := range []string{"token_file", "operator_token_file"} {
		if a.Has(key) && a.missing("identity") {
			r.add(a.At(key), "admin: a token over clear HTTP", "whoever sees one request has it",
				fmt.Sprintf(`name the certificate for HTTPS in "identity", or remove %q`, key))
		}
	}
	at := a.Listen.AddrPort
	if !at.IsValid() {
		for _, key := range []string{"identity", "token_file", "operator_token_file"} {
			if a.Has(key) && a.missing("listen") {
				r.add(a.At(key), fmt.Sprintf("admin: %q without \"listen\"", key), "there is no API over the network then",
					`for instance listen: "127.0.0.1:8061"`)
			}
		}
		return
	}
	if !at.Addr().IsLoopback() {
		checkOpenAdmin(a, r)
	}
	for i := range c.Listeners {
		l := &c.Listeners[i]
		if l.Listen.Collides(Address{TCP, at}) {
			r.add(a.At("listen"), fmt.Sprintf("admin: %s is already taken", at),
				fmt.Sprintf("listener %q listens on %s", l.Name, l.Listen), "give it another port or address")
		}
	}
}

// checkOpenAdmin judges an API that others than this machine reach.
func checkOpenAdmin(a *Admin, r *report) {
	why := fmt.Sprintf("%s is no loopback address: whoever reaches it would see every call", a.Listen.AddrPort)
	if a.Identity == "" && a.missing("identity") {
		r.add(a.At("listen"), `admin: "identity" is missing`, why, "listen on 127.0.0.1, or name the certificate for HTTPS")
	}
	if a.TokenFile == "" && a.missing("token_file") {
		r.add(a.At("listen"), `admin: "token_file" is missing`, why, "listen on 127.0.0.1, or name a file with a token: openssl rand -hex 32")
	}
}
