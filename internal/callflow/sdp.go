package callflow

import (
	"cmp"
	"net/netip"
	"strconv"
	"strings"
)

// A description is what the checks need to know of an SDP body (RFC 8866).
type description struct {
	origin netip.Addr // of o=; not valid for a name
	media  []media
}

// A media is one m= section.
type media struct {
	kind      string // audio, video …
	port      int
	profile   string // RTP/AVP, RTP/SAVP …
	codecs    []string
	addr      netip.Addr // of its c=, else of the session's
	direction string     // sendrecv, sendonly, recvonly or inactive
	crypto    bool       // an SDES key is in it (RFC 4568)
	dtls      bool       // a fingerprint is
}

// secure reports whether its media is to be encrypted.
func (m *media) secure() bool {
	return strings.Contains(m.profile, "SAVP") || strings.Contains(m.profile, "TLS")
}

const maxMedia = 16 // sections that are looked at

// readSDP reads as far as it goes.
func readSDP(body string) *description {
	d := &description{}
	var addr netip.Addr
	direction, dtls := "sendrecv", false
	var names map[string]string
	for line := range strings.Lines(body) {
		line = strings.TrimRight(line, "\r\n")
		if len(line) < 2 || line[1] != '=' {
			continue
		}
		var m *media
		if n := len(d.media); n > 0 {
			m = &d.media[n-1]
		}
		value := line[2:]
		switch line[0] {
		case 'o':
			d.origin = lastAddr(value)
		case 'c':
			if m == nil {
				addr = lastAddr(value)
			} else {
				m.addr = lastAddr(value)
			}
		case 'm':
			if len(d.media) == maxMedia {
				return d.named(names)
			}
			d.media = append(d.media, mediaOf(value, addr, direction, dtls))
		case 'a':
			key, rest, _ := strings.Cut(value, ":")
			switch key {
			case "sendrecv", "sendonly", "recvonly", "inactive":
				if m == nil {
					direction = key
				} else {
					m.direction = key
				}
			case "crypto":
				if m != nil {
					m.crypto = true
				}
			case "fingerprint":
				if m == nil {
					dtls = true
				} else {
					m.dtls = true
				}
			case "rtpmap":
				if number, name, ok := strings.Cut(rest, " "); ok {
					name, _, _ = strings.Cut(name, "/")
					if names == nil {
						names = map[string]string{}
					}
					names[strconv.Itoa(len(d.media))+" "+number] = name
				}
			}
		}
	}
	return d.named(names)
}

// named gives the formats their names: by rtpmap, else as RFC 3551 assigned them.
func (d *description) named(names map[string]string) *description {
	for i := range d.media {
		for j, format := range d.media[i].codecs {
			n := ""
			if names != nil {
				n = names[strconv.Itoa(i+1)+" "+format]
			}
			if n = cmp.Or(n, assigned[format]); n != "" {
				d.media[i].codecs[j] = n
			}
		}
	}
	return d
}

var assigned = map[string]string{"0": "PCMU", "3": "GSM", "4": "G723", "8": "PCMA", "9": "G722", "13": "CN", "15": "G728", "18": "G729"}

func mediaOf(value string, addr netip.Addr, direction string, dtls bool) media {
	m := media{addr: addr, direction: direction, dtls: dtls}
	f := strings.Fields(value)
	if len(f) < 3 {
		return m
	}
	m.kind, m.profile, m.codecs = f[0], strings.ToUpper(f[2]), f[3:]
	port, _, _ := strings.Cut(f[1], "/")
	m.port, _ = strconv.Atoi(port)
	return m
}

// lastAddr is the address at the end of an o= or c= line.
func lastAddr(value string) netip.Addr {
	f := strings.Fields(value)
	if len(f) == 0 {
		return netip.Addr{}
	}
	host, _, _ := strings.Cut(f[len(f)-1], "/") // a multicast address has a TTL
	return literal(host)
}

// audio is the first audio section; nil: there is none.
func (d *description) audio() *media {
	if d == nil {
		return nil
	}
	for i := range d.media {
		if d.media[i].kind == "audio" {
			return &d.media[i]
		}
	}
	return nil
}

// speech are the codecs without those that carry no speech of their own.
func (m *media) speech() (all []string) {
	for _, c := range m.codecs {
		if !strings.EqualFold(c, "telephone-event") && !strings.EqualFold(c, "CN") {
			all = append(all, c)
		}
	}
	return all
}

// common reports whether two sections share a codec that carries speech.
func common(a, b *media) bool {
	for _, c := range a.speech() {
		for _, d := range b.speech() {
			if strings.EqualFold(c, d) {
				return true
			}
		}
	}
	return false
}
