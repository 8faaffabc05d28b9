package recorder

import (
	"net/http"
	"strconv"

	"github.com/sallyport-sip/sallyport/internal/callflow"
	"github.com/sallyport-sip/sallyport/internal/tlswire"
	"github.com/sallyport-sip/sallyport/sip/transport"
)

// Upgraded is the hook of the same name: it adds the HTTP request for a WebSocket and its answer to the steps of the handshake. Without
// TLS there are no steps, and only a refusal is told, by the Refused hook.
func (r *Recorder) Upgraded(info transport.ConnInfo, u transport.Upgrade, _ error) {
	k := r.conn(info)
	if k.live == nil {
		return
	}
	asks, answers := k.us().Other() == tlswire.Server, k.us() == tlswire.Server
	if u.Path != "" {
		note := "subprotocol " + strconv.Quote(u.Protocol)
		if u.Origin != "" {
			note += ", origin " + strconv.Quote(u.Origin)
		}
		k.tell(u.At, &callflow.Step{ByGateway: asks, Name: "HTTP GET, WebSocket", Encrypted: true, Note: note})
	}
	if u.Status != 0 {
		answer := http.StatusText(u.Status)
		if u.Status == http.StatusSwitchingProtocols {
			answer = "WebSocket"
		}
		k.tell(u.Answered, &callflow.Step{
			ByGateway: answers, Name: "HTTP " + strconv.Itoa(u.Status) + " " + answer, Encrypted: true, Note: u.Problem,
		})
	}
}

// withoutHTTP leaves out of what was held the records of HTTP: all that came since the other side's first one.
// Before it the gateway has sent nothing but tickets.
func (k *conn) withoutHTTP(held []tlswire.Step) []tlswire.Step {
	if !k.info.Transport.WebSocket() {
		return held
	}
	for i, s := range held {
		if s.From != k.us() && s.Name == tlswire.NameApplicationData {
			return held[:i]
		}
	}
	return held
}
