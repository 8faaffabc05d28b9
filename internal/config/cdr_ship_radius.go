package config

import (
	"fmt"
	"strings"
	"time"
)

// RADIUSServer is a server for RADIUS accounting.
type RADIUSServer struct {
	Transport Transport // UDP or TLS
	HostPort
}

// The ports of RADIUS accounting over UDP (RFC 2866), and of RADIUS over TLS (RFC 6614).
const (
	radiusPort    = 1813
	radiusTLSPort = 2083
)

func (s *RADIUSServer) set(text string) *fault {
	const remedy = `write it as "udp:192.0.2.7:1813" or "tls:radius.example.com:2083"`
	word, rest, _ := strings.Cut(text, ":")
	var t Transport
	if f := t.set(word); f != nil || t != UDP && t != TLS {
		return &fault{why: "it does not begin with udp: or tls:", remedy: remedy}
	}
	if f := s.HostPort.set(rest); f != nil {
		return &fault{why: f.why, remedy: remedy}
	}
	if s.Transport = t; s.Port == 0 {
		s.Port = radiusPort
		if t == TLS {
			s.Port = radiusTLSPort
		}
	}
	return nil
}

// String renders it as it may be written.
func (s RADIUSServer) String() string { return string(s.Transport) + ":" + s.HostPort.String() }

const (
	maxRADIUSServers  = 4
	maxRADIUSTries    = 10
	longestRADIUS     = 30 * time.Second
	shortestRADIUS    = 10 * time.Millisecond
	shortestInterim   = time.Minute
	longestIdentifier = 253 // RFC 2865, section 5
)

func (s *Shipment) completeRADIUS(d Defaults) {
	if len(s.RADIUS) == 0 {
		return
	}
	if s.NASIdentifier == "" {
		s.NASIdentifier = "sallyport"
	}
	if !s.Has("interval") && s.Interval.Duration == 0 {
		s.Interval.Duration = 3 * time.Second
	}
	if s.Tries == 0 && !s.Has("tries") {
		s.Tries = 3
	}
	if s.over(TLS) && s.Identity == "" && !s.Has("identity") {
		s.Identity = d.ClientIdentity
		if s.Identity == "" {
			s.Identity = d.Identity
		}
	}
}

// over says whether any of the servers is reached so.
func (s *Shipment) over(t Transport) bool {
	for _, server := range s.RADIUS {
		if server.Transport == t {
			return true
		}
	}
	return false
}

// checkRADIUS judges a shipment by RADIUS.
func checkRADIUS(c *Config, r *report, s *Shipment, label string) {
	checkRADIUSServers(r, s, label)
	if s.over(UDP) && s.SecretFile == "" && s.missing("secret_file") {
		r.add(s.Pos, label+`: "secret_file" is missing`, "no server over UDP answers to who does not share a secret with it", "write a secret into a file: openssl rand -hex 32")
	}
	if !s.over(UDP) && s.Has("secret_file") {
		r.add(s.At("secret_file"), label+`: "secret_file" is only for servers over UDP`, "certificates are what counts over TLS", "remove it")
	}
	if s.over(TLS) {
		if s.Identity == "" && s.missing("identity") {
			r.add(s.Pos, label+": it has no identity", "a RADIUS server over TLS wants a certificate of who comes", `name one in "identity", here or in "defaults"`)
		}
		checkIdentityName(c, r, label, s.Place, s.Identity)
		for i, name := range s.Trust {
			checkName(r, label, "trust", s.AtItem("trust", i), name, c.Trust)
		}
	}
	for _, key := range []string{"identity", "trust"} {
		if !s.over(TLS) && s.Has(key) {
			r.add(s.At(key), fmt.Sprintf("%s: %q is only for servers over TLS", label, key), "there is none", "remove it")
		}
	}
	if s.Has("nas_identifier") && !s.Broken("nas_identifier") && (s.NASIdentifier == "" || len(s.NASIdentifier) > longestIdentifier) {
		r.add(s.At("nas_identifier"), fmt.Sprintf("%s: nas_identifier has %d bytes", label, len(s.NASIdentifier)), "", fmt.Sprintf("write a name of at most %d", longestIdentifier))
	}
	if s.Has("interval") && !s.Broken("interval") && (s.Interval.Duration < shortestRADIUS || s.Interval.Duration > longestRADIUS) {
		r.add(s.At("interval"), fmt.Sprintf("%s: interval is %s", label, s.Interval), "a server needs some time, and the next request of the call waits for it", "write a time up to "+Duration{longestRADIUS}.String())
	}
	if s.Has("tries") && !s.Broken("tries") && s.Tries > maxRADIUSTries {
		r.add(s.At("tries"), fmt.Sprintf("%s: tries is %d", label, s.Tries), "the next server is not asked before", fmt.Sprintf("write a number up to %d", maxRADIUSTries))
	}
	if s.Interim.Duration != 0 && s.Interim.Duration < shortestInterim {
		r.add(s.At("interim"), fmt.Sprintf("%s: interim is %s", label, s.Interim), "it would be a flood", "write a time of at least "+Duration{shortestInterim}.String()+", or 0 for none")
	}
}

func checkRADIUSServers(r *report, s *Shipment, label string) {
	if n := len(s.RADIUS); n > maxRADIUSServers {
		r.add(s.AtItem("radius", maxRADIUSServers), fmt.Sprintf("%s: %d servers", label, n), "a call would wait for each of them", fmt.Sprintf("name at most %d", maxRADIUSServers))
	}
	seen := make(map[RADIUSServer]bool)
	for i, server := range s.RADIUS {
		if seen[server] {
			r.add(s.AtItem("radius", i), fmt.Sprintf("%s: %s is there twice", label, server), "it would be asked twice while it does not answer", "remove one of them")
		}
		seen[server] = true
	}
}
