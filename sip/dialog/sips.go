package dialog

import (
	"slices"
	"strings"
)

// SIPS says whether requests inside the dialog may go over TLS only: it was set up
// by a SIPS URI, or what a request in it is sent to next is one, the topmost of the
// route set or else the remote target (RFC 5630 §5.1.1). Our Contact is a SIPS URI
// then (RFC 3261 §8.1.1.8).
func (d *Dialog) SIPS() bool {
	return d.Secure || sips(d.Target) || len(d.Routes) > 0 && sips(uriOf(d.Routes[0]))
}

// raised makes the SIP URIs of a route set SIPS ones, for a SIPS Request-URI; those
// that need it are in a copy:
// "if the route set included any SIP URI, the UAC MUST change the SIP URIs to SIPS
// URIs simply by changing the scheme" (RFC 5630 §5.1.1).
func raised(routes []string, secure bool) []string {
	if !secure {
		return routes
	}
	copied := false
	for i, r := range routes {
		if uri := uriOf(r); !sips(uri) {
			if !copied {
				routes, copied = slices.Clone(routes), true
			}
			at := strings.Index(r, uri)
			routes[i] = r[:at] + "sips:" + r[at+len("sip:"):]
		}
	}
	return routes
}
