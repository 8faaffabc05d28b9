package config

import (
	"fmt"
	"net/url"
	"strings"
)

// isWebSocket says whether it is ws or wss.
func (t Transport) isWebSocket() bool { return t == WS || t == WSS }

// NeedsProxy says whether the listener takes WebSocket without TLS from other
// hosts, and nothing says that a proxy in front has ended TLS.
func (l *Listener) NeedsProxy() bool {
	return l.Listen.Transport == WS && !l.Listen.AddrPort.Addr().IsLoopback() && !l.BehindProxy
}

func checkWebSocketListener(r *report, l *Listener, label string) {
	if !l.Listen.Transport.isWebSocket() {
		for _, key := range []string{"path", "origins"} {
			if l.Has(key) {
				r.add(l.At(key), fmt.Sprintf("%s: %q is only for WebSocket", label, key),
					fmt.Sprintf("the listener is %s", l.Listen.Transport), "remove the key or listen on wss")
			}
		}
	}
	if l.Has("behind_proxy") && l.Listen.Transport != WS && !l.Broken("behind_proxy") {
		r.add(l.At("behind_proxy"), label+`: "behind_proxy" is only for WebSocket without TLS`,
			fmt.Sprintf("the listener is %s", l.Listen.Transport), "remove the key or listen on ws")
	}
	checkWebPath(r, l.Place, label, l.Path)
	for i, origin := range l.Origins {
		if why := badOrigin(origin); why != "" {
			r.add(l.AtItem("origins", i), fmt.Sprintf("%s: bad origin %q", label, origin), why, `write it as the browser does, "https://phone.example", or "*" for all`)
		}
	}
	checkTwice(r, label, "origins", l.Place, l.Origins)
}

// badOrigin says what keeps a text from being an origin (RFC 6454 §6.2).
func badOrigin(text string) string {
	if text == "*" {
		return ""
	}
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Scheme == "" || u.Host == "":
		return "an origin is a scheme and a host"
	case u.Path != "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil:
		return "an origin has nothing but a scheme, a host and perhaps a port"
	case u.Scheme == "https" && u.Port() == "443", u.Scheme == "http" && u.Port() == "80":
		return "browsers leave the usual port out"
	}
	return ""
}

// checkWebPath judges the path of a WebSocket.
func checkWebPath(r *report, at Place, label, path string) {
	if path == "" {
		return
	}
	if !strings.HasPrefix(path, "/") || strings.ContainsAny(path, "?#% \t") {
		r.add(at.At("path"), fmt.Sprintf("%s: bad path %q", label, path), "it is the path of a URL, without escapes and without a query", `write it as "/sip"`)
	}
}
