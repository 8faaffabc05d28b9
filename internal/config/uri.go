package config

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"github.com/sallyport-sip/sallyport/sip"
)

// URI is where a peer is reached: the parts of a SIP URI (RFC 3261 §19.1) that
// make sense for that.
type URI struct {
	Scheme    string // "sip" or "sips"
	User      string // as written, escapes kept; empty: none
	Host      string // without brackets, in lower case
	Port      uint16 // 0: none written, so SRV records may choose (RFC 3263 §4.2)
	Transport Transport
	Open      bool   // neither port nor transport is written, and the host is a name: the DNS may choose (RFC 3263 §4.1)
	Text      string // as written
}

// TLS says whether the peer is reached over TLS.
func (u URI) TLS() bool { return u.Transport.Secure() }

// Unreachable says whether nobody can connect to the host: a browser has no name
// that others could look up, so it makes one up under .invalid (RFC 7118 §B.1).
// It is reached only by a connection that it has opened.
func (u URI) Unreachable() bool {
	return u.Transport.isWebSocket() && (u.Host == "invalid" || strings.HasSuffix(u.Host, ".invalid"))
}

// HostPort returns host and port; the port is 0 when none is written.
func (u URI) HostPort() HostPort { return HostPort{u.Host, u.Port} }

// String returns the URI as written.
func (u URI) String() string { return u.Text }

func (u *URI) set(text string) *fault {
	const example = `for instance "sip:192.0.2.1:5061;transport=tls"`
	lower := strings.ToLower(text)
	if !strings.HasPrefix(lower, "sip:") && !strings.HasPrefix(lower, "sips:") {
		return &fault{why: "it does not begin with sip: or sips:", remedy: example}
	}
	parsed, err := sip.ParseURI([]byte(text))
	if err != nil {
		why := err.Error()
		if broken, ok := errors.AsType[*sip.ParseError](err); ok {
			why = broken.Rule
		}
		return &fault{why: why, remedy: example, secret: strings.Contains(text, "@")}
	}
	if len(parsed.Password) > 0 {
		return &fault{why: "a password has no place in it", remedy: "remove it", secret: true}
	}
	if len(parsed.Headers) > 0 {
		return &fault{why: "headers have no place in it", remedy: "remove what follows the question mark"}
	}
	out := URI{
		Scheme: strings.ToLower(string(parsed.Scheme)),
		User:   string(parsed.User),
		Host:   strings.ToLower(strings.Trim(string(parsed.Host), "[]")),
		Port:   parsed.Port,
		Text:   text,
	}
	if f := checkHost(out.Host); f != nil {
		f.remedy = example
		return f
	}
	if f := out.setTransport(parsed); f != nil {
		return f
	}
	*u = out
	return nil
}

// setTransport follows RFC 3263 §4.1 for what is not written, without DNS: what an
// open URI has when no record says otherwise.
func (u *URI) setTransport(parsed sip.URI) *fault {
	if f := checkURIParams(parsed.Params); f != nil {
		return f
	}
	u.Transport = UDP
	if u.Scheme == "sips" {
		u.Transport = TLS
	}
	text, ok := parsed.Params.Get("transport")
	if !ok {
		_, err := netip.ParseAddr(u.Host)
		u.Open = u.Port == 0 && err != nil
		return nil
	}
	var t Transport
	if f := t.set(string(text)); f != nil {
		return f
	}
	if u.Scheme == "sips" {
		if t == UDP {
			return &fault{why: "sips: cannot go over udp", remedy: "leave the transport out"}
		}
		// "sips:…;transport=tcp" is TLS over TCP (RFC 3261 §26.2.2), and ws is WSS
		// there (RFC 7118 §5.2).
		if t.isWebSocket() {
			t = WSS
		} else {
			t = TLS
		}
	}
	u.Transport = t
	return nil
}

func checkURIParams(params sip.Params) *fault {
	for part := range strings.SplitSeq(strings.TrimPrefix(string(params), ";"), ";") {
		name, _, _ := strings.Cut(part, "=")
		switch {
		case part == "", strings.EqualFold(name, "transport"), strings.EqualFold(name, "lr"):
		default:
			return &fault{why: fmt.Sprintf("parameter %q has no meaning here", name), remedy: "remove it"}
		}
	}
	return nil
}
