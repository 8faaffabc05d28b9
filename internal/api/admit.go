package api

import (
	"net"
	"net/http"
	"net/netip"
	"strings"

	"github.com/sallyport-sip/sallyport/internal/gateway"
)

// admit decides who may ask: over HTTPS and with the token when the
// configuration says so. What a browser might be made to send is refused in any
// case: requests under a name that somebody has pointed at us, and those that
// change something and come from a page of another site. Only /healthz is
// answered before that; it says nothing but that the gateway runs.
func (s *Server) admit(h http.Handler) http.Handler {
	sameSite := http.NewCrossOriginProtection().Handler(h)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/healthz" {
			h.ServeHTTP(w, r)
			return
		}
		if no := s.refusal(r); no != nil {
			if no.header != "" {
				w.Header().Set(no.header, no.value)
			}
			http.Error(w, no.text, no.status)
			return
		}
		sameSite.ServeHTTP(w, r)
	})
}

// A refusal is the answer to who may not ask.
type refusal struct {
	status        int
	text          string
	header, value string // one more header, if any
}

// refusal says why the configuration in force does not let somebody ask; nil: it does. A stream asks again while it lasts.
func (s *Server) refusal(r *http.Request) *refusal {
	a := s.gateway.Admin()
	switch {
	case a.Certificate != nil && r.TLS == nil: // opened before a reload brought the certificate
		return &refusal{http.StatusForbidden, "the API is only to be had over HTTPS", "Connection", "close"}
	case !isUs(r.Host, a):
		return &refusal{http.StatusMisdirectedRequest, "this is not the host that the request is for", "", ""}
	case !s.isPage(r) && r.URL.Path != sessionPath && s.roleOf(r) == roleNone:
		return &refusal{http.StatusUnauthorized, "the request brings no valid token", "WWW-Authenticate", `Bearer realm="sallyport"`}
	}
	return nil
}

// bearer returns the token of a request (RFC 6750 §2.1), empty when it has none.
func bearer(r *http.Request) string {
	scheme, token, ok := strings.Cut(r.Header.Get("Authorization"), " ")
	if !ok || !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return strings.TrimLeft(token, " ")
}

// isUs says whether a Host header names this machine as a reader of ours would:
// by a loopback name or address, or by a name of the API's certificate. Any
// other name may be one that somebody else has made lead here.
func isUs(host string, a gateway.Admin) bool {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	if addr, err := netip.ParseAddr(host); err == nil && addr.Unmap().IsLoopback() {
		return true
	}
	return strings.EqualFold(host, "localhost") || a.Names(host)
}
