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
		a := s.gateway.Admin()
		switch {
		case r.URL.Path == "/healthz":
			h.ServeHTTP(w, r)
		case a.Certificate != nil && r.TLS == nil:
			w.Header().Set("Connection", "close") // opened before a reload brought the certificate
			http.Error(w, "the API is only to be had over HTTPS", http.StatusForbidden)
		case !isUs(r.Host, a):
			http.Error(w, "this is not the host that the request is for", http.StatusMisdirectedRequest)
		case a.NeedsToken && !a.Token.Matches(bearer(r)):
			w.Header().Set("WWW-Authenticate", `Bearer realm="sallyport"`)
			http.Error(w, "the request brings no valid token", http.StatusUnauthorized)
		default:
			sameSite.ServeHTTP(w, r)
		}
	})
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

// asker says in the audit who has sent a request.
func asker(r *http.Request) string {
	if isLocal(r) {
		return "the local socket"
	}
	return r.RemoteAddr
}
