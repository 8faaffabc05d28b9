package config

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Shipment is where the records of calls are sent when the calls are over.
type Shipment struct {
	Name string
	Place

	// The file that gets a line of JSON for each call, relative to this file. It is opened anew for
	// each batch, so it may be moved away at any time, and it is synced before the batch counts as sent.
	Path string `yaml:"path" form:"path"`

	// How large the file gets, in megabytes, before it is renamed to its name and the time, and begun
	// anew. Default: 100.
	RotateMB Count `yaml:"rotate_mb" form:"number"`

	// Also begin the file anew with each such period of UTC, `1h` or `1d` for instance, when the next record comes.
	// Default: none.
	RotateEvery Duration `yaml:"rotate_every" form:"duration"`

	// Where batches of such lines are posted instead: `https`, or `http` on a loopback address.
	URL string `yaml:"url" form:"URL"`

	// Which servers are told of calls by RADIUS accounting (RFC 2866) instead: the first, and while it does not answer the next,
	// up to four. With `udp` the port is 1813 when it is not written, with `tls` (RADIUS over TLS, RFC 6614) it is 2083. UDP hides
	// nothing, and MD5 is all that keeps others from forging: use it only in a network that is trusted.
	RADIUS []RADIUSServer `yaml:"radius" form:"list of \"udp:host:port\" or \"tls:host:port\""`

	// The file with the secret by which each request is signed: over HTTP as those of webhooks are, by RADIUS over UDP the one
	// that is shared with the servers. Needed there. One line of at least 16 printable characters, which other users cannot read.
	SecretFile string `yaml:"secret_file" form:"file name"`

	// What the gateway calls itself in RADIUS (NAS-Identifier). Default: `sallyport`.
	NASIdentifier string `yaml:"nas_identifier" form:"name"`

	// How long a RADIUS server has to answer before the request is sent to it again. Default: 3s.
	Interval Duration `yaml:"interval" form:"duration"`

	// How many times a request is sent to a RADIUS server before the next one is asked. Over TLS it is sent once, and the answer
	// has as much time. Default: 3.
	Tries Count `yaml:"tries" form:"number"`

	// How often RADIUS servers are told that a call still goes on (Interim-Update). Default: 0, not at all.
	Interim Duration `yaml:"interim" form:"duration"`

	// The identity shown to RADIUS servers over TLS. Default: `client_identity` of `defaults`, then `identity` there.
	Identity string `yaml:"identity" form:"name of an identity"`

	// By whom the certificate of the endpoint or of a RADIUS server over TLS may be signed. Default: the system's CAs.
	Trust []string `yaml:"trust" form:"list of names of trust sets"`

	// How long one request may take. Default: 30s.
	Timeout Duration `yaml:"timeout" form:"duration"`
}

func (s *Shipment) complete(d Defaults) {
	if s.RotateMB == 0 {
		s.RotateMB = 100
	}
	if !s.Has("timeout") && s.Timeout.Duration == 0 {
		s.Timeout.Duration = 30 * time.Second
	}
	s.completeRADIUS(d)
}

func checkShipments(c *Config, r *report) {
	paths := make(map[string]string)
	for i := range c.CDRShip {
		s := &c.CDRShip[i]
		label := fmt.Sprintf("shipment %q", s.Name)
		if c.CDR == CDROff {
			r.add(s.Pos, label+`: cdr is off`, "there are no records that could be sent", "set cdr: interval, or remove cdr_ship")
		}
		checkShipment(c, r, s, label, paths)
	}
}

// checkShipment judges one. paths are the files of those before it.
func checkShipment(c *Config, r *report, s *Shipment, label string, paths map[string]string) {
	var kinds []string
	for _, key := range []string{"path", "url", "radius"} {
		if s.Broken(key) {
			return
		}
		if s.has(key) {
			kinds = append(kinds, key)
		}
	}
	if len(kinds) == 0 {
		r.add(s.Pos, label+`: it has neither "path" nor "url" nor "radius"`, "the records would go nowhere", `for instance path: calls.jsonl`)
		return
	}
	if len(kinds) > 1 {
		r.add(s.At(kinds[1]), fmt.Sprintf("%s: it has both %q and %q", label, kinds[0], kinds[1]), "each shipment has a place of its own to go on from", "make two shipments of it")
		return
	}
	checkForeign(r, s, label, kinds[0])
	switch kinds[0] {
	case "path":
		path := filepath.Clean(s.Path)
		if other := paths[path]; other != "" {
			r.add(s.At("path"), fmt.Sprintf("%s: shipment %q writes that file already", label, other), "", "name another one")
		}
		paths[path] = s.Name
		if s.Has("rotate_every") && !s.Broken("rotate_every") && s.RotateEvery.Duration < shortestPeriod {
			r.add(s.At("rotate_every"), fmt.Sprintf("%s: rotate_every is %s", label, s.RotateEvery), "there would be very many files", "write a time of at least "+Duration{shortestPeriod}.String()+", or remove it")
		}
	case "url":
		checkPosted(c, r, s, label)
	case "radius":
		checkRADIUS(c, r, s, label)
	}
}

// shortestPeriod is how often a file may be begun anew.
const shortestPeriod = time.Minute

func (s *Shipment) has(key string) bool {
	switch key {
	case "path":
		return s.Path != ""
	case "url":
		return s.URL != ""
	}
	return len(s.RADIUS) > 0
}

// only says with what each key has an effect, where that is not with everything.
var only = []struct {
	key   string
	kinds []string
	why   string
}{
	{"rotate_mb", []string{"path"}, "no file is written"},
	{"rotate_every", []string{"path"}, "no file is written"},
	{"secret_file", []string{"url", "radius"}, "nothing is sent over a network"},
	{"trust", []string{"url", "radius"}, "nothing is sent over a network"},
	{"timeout", []string{"url"}, "nothing is sent over HTTP"},
	{"nas_identifier", []string{"radius"}, "nothing is sent by RADIUS"},
	{"interval", []string{"radius"}, "nothing is sent by RADIUS"},
	{"tries", []string{"radius"}, "nothing is sent by RADIUS"},
	{"interim", []string{"radius"}, "nothing is sent by RADIUS"},
	{"identity", []string{"radius"}, "nothing is sent by RADIUS"},
}

// checkForeign finds keys that belong to another kind of shipment.
func checkForeign(r *report, s *Shipment, label, kind string) {
	for _, o := range only {
		if s.Has(o.key) && !slices.Contains(o.kinds, kind) {
			r.add(s.At(o.key), fmt.Sprintf("%s: %q is only for %s", label, o.key, strings.Join(o.kinds, " and ")), o.why, "remove it")
		}
	}
}

// checkPosted judges a shipment over HTTP.
func checkPosted(c *Config, r *report, s *Shipment, label string) {
	if why := BadEndpoint(s.URL); why != "" {
		r.add(s.At("url"), label+": bad url", why, `write it as "https://billing.example.com/cdr"`)
	}
	if s.SecretFile == "" && s.missing("secret_file") {
		r.add(s.Pos, label+`: "secret_file" is missing`, "the endpoint could not know who calls it", "write a secret into a file: openssl rand -hex 32")
	}
	for i, name := range s.Trust {
		checkName(r, label, "trust", s.AtItem("trust", i), name, c.Trust)
	}
	if s.Has("timeout") && !s.Broken("timeout") && (s.Timeout.Duration <= 0 || s.Timeout.Duration > longestWebhook) {
		r.add(s.At("timeout"), fmt.Sprintf("%s: timeout is %s", label, s.Timeout), "a request needs some time", "write a time up to "+Duration{longestWebhook}.String())
	}
}
