package config

import "fmt"

// Collector is where what the gateway sees of calls is sent as HEP, such as Homer.
type Collector struct {
	Name string
	Place

	// Its host, with a port when that is not 9060. A host that is a name is looked up by the system, anew for each connection.
	Address HostPort `yaml:"address" need:"required" form:"\"host\" or \"host:port\""`

	// How it is reached. What is sent are the SIP messages of every call in clear: `tls` keeps them from others, `tcp` and
	// `udp` are for a collector on the same machine or in a network that is trusted. On UDP packets may be lost, and what is
	// longer than 60000 bytes is not sent. Default: `tls`.
	Transport CollectorTransport `yaml:"transport" form:"one of tls, tcp, udp"`

	// Whose word we take for its certificate, which must be for the host of `address`. Only with `tls`. Default: that of
	// `defaults`.
	Trust []string `yaml:"trust" form:"list of names of trust sets"`

	// A number by which the collector tells its sources apart. Default: 1.
	CaptureID Count `yaml:"capture_id" form:"number"`

	// What the collector calls this gateway. Default: `sallyport`.
	Node string `yaml:"node" form:"name"`

	// A file whose first line is the password that the collector wants, relative to the file. It goes with every packet, so
	// send it over `tls`. Default: none.
	PasswordFile string `yaml:"password_file" form:"file name"`

	// What the messages of one call have in common for the collector. `session`: the UUID of the caller (Session-ID,
	// RFC 7989) where its INVITE has one, and otherwise as `call_id`. `call_id`: the Call-ID of the caller's leg, which Homer 7
	// looks for. Default: `session`.
	Correlation Correlation `yaml:"correlation" form:"one of session, call_id"`
}

// CollectorTransport is how a collector is reached.
type CollectorTransport string

func (t *CollectorTransport) set(text string) *fault {
	return setWord(t, text, CollectorTransport(TLS), CollectorTransport(TCP), CollectorTransport(UDP))
}

// Correlation is what the messages of one call have in common.
type Correlation string

// The values of correlation.
const (
	BySession Correlation = "session"
	ByCallID  Correlation = "call_id"
)

func (c *Correlation) set(text string) *fault { return setWord(c, text, BySession, ByCallID) }

const collectorPort = 9060

func (c *Collector) complete(d Defaults) {
	if c.Address.Host != "" && c.Address.Port == 0 {
		c.Address.Port = collectorPort
	}
	if c.Transport == "" {
		c.Transport = CollectorTransport(TLS)
	}
	if c.Transport == CollectorTransport(TLS) && c.Trust == nil && !c.Has("trust") {
		c.Trust = d.Trust
	}
	if c.CaptureID == 0 && !c.Has("capture_id") {
		c.CaptureID = 1
	}
	if c.Node == "" {
		c.Node = "sallyport"
	}
	if c.Correlation == "" {
		c.Correlation = BySession
	}
}

func checkCollectors(c *Config, r *report) {
	for i := range c.HEP {
		h := &c.HEP[i]
		label := fmt.Sprintf("hep collector %q", h.Name)
		if h.Address.Host == "" && h.missing("address") {
			r.add(h.Pos, label+`: "address" is missing`, "it says where packets go", `for instance address: "homer.example:9061"`)
		}
		if h.Transport != CollectorTransport(TLS) {
			if h.Has("trust") {
				r.add(h.At("trust"), label+`: "trust" is only for TLS`, fmt.Sprintf("the transport is %s", h.Transport), `remove the key, or write "transport: tls"`)
			}
			continue
		}
		if len(h.Trust) == 0 && h.missing("trust") && !h.Broken("transport") {
			r.add(h.Pos, label+": it has no trust", "its certificate could not be verified", `name a trust set in "trust", here or in "defaults"`)
		}
		checkTrustNames(c, r, label, h.Place, h.Trust)
	}
}
