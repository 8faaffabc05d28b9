package config

import (
	"fmt"
	"path/filepath"
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

	// Where batches of such lines are posted instead: `https`, or `http` on a loopback address.
	URL string `yaml:"url" form:"URL"`

	// The file with the secret by which each request is signed, as those of webhooks are. Only with `url`,
	// and needed there.
	SecretFile string `yaml:"secret_file" form:"file name"`

	// By whom the certificate of the endpoint may be signed. Default: the system's CAs.
	Trust []string `yaml:"trust" form:"list of names of trust sets"`

	// How long one request may take. Default: 30s.
	Timeout Duration `yaml:"timeout" form:"duration"`
}

func (s *Shipment) complete() {
	if s.RotateMB == 0 {
		s.RotateMB = 100
	}
	if !s.Has("timeout") && s.Timeout.Duration == 0 {
		s.Timeout.Duration = 30 * time.Second
	}
}

func checkShipments(c *Config, r *report) {
	paths := make(map[string]string)
	for i := range c.CDRShip {
		s := &c.CDRShip[i]
		label := fmt.Sprintf("shipment %q", s.Name)
		if c.CDR == CDROff {
			r.add(s.Pos, label+`: cdr is off`, "there are no records that could be sent", "set cdr: interval, or remove cdr_ship")
		}
		switch {
		case s.Broken("path") || s.Broken("url"):
		case s.Path == "" && s.URL == "":
			r.add(s.Pos, label+`: it has neither "path" nor "url"`, "the records would go nowhere", `for instance path: calls.jsonl`)
		case s.Path != "" && s.URL != "":
			r.add(s.At("url"), label+`: it has both "path" and "url"`, "each shipment has a place of its own to go on from", "make two shipments of it")
		case s.Path != "":
			path := filepath.Clean(s.Path)
			if other := paths[path]; other != "" {
				r.add(s.At("path"), fmt.Sprintf("%s: shipment %q writes that file already", label, other), "", "name another one")
			}
			paths[path] = s.Name
			for _, key := range []string{"secret_file", "trust", "timeout"} {
				if s.Has(key) {
					r.add(s.At(key), fmt.Sprintf("%s: %q is only for url", label, key), "nothing is sent over HTTP", "remove it")
				}
			}
		default:
			checkPosted(c, r, s, label)
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
	if s.Has("rotate_mb") {
		r.add(s.At("rotate_mb"), label+`: "rotate_mb" is only for path`, "no file is written", "remove it")
	}
	for i, name := range s.Trust {
		checkName(r, label, "trust", s.AtItem("trust", i), name, c.Trust)
	}
	if s.Has("timeout") && !s.Broken("timeout") && (s.Timeout.Duration <= 0 || s.Timeout.Duration > longestWebhook) {
		r.add(s.At("timeout"), fmt.Sprintf("%s: timeout is %s", label, s.Timeout), "a request needs some time", "write a time up to "+Duration{longestWebhook}.String())
	}
}
