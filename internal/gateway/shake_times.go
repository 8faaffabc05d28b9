package gateway

import (
	"time"

	"github.com/sallyport-sip/sallyport/internal/metrics"
	"github.com/sallyport-sip/sallyport/internal/trust"
	"github.com/sallyport-sip/sallyport/sip/transport"
)

// shakeTimes is how long TLS handshakes took, by our role and their outcome. Safe for any goroutine.
type shakeTimes struct{ clientGood, clientBad, serverGood, serverBad metrics.Histogram }

// accepted takes note of a connection that came up.
func (t *shakeTimes) accepted(c *transport.Conn) {
	switch info := c.Info(); {
	case !info.Transport.Secure():
	case info.Inbound:
		t.serverGood.Observe(c.HandshakeTime())
	default:
		t.clientGood.Observe(c.HandshakeTime())
	}
}

// refused takes note of one that did not, unless there was no handshake.
func (t *shakeTimes) refused(info transport.ConnInfo, verdicts []trust.Verdict) {
	if !info.Transport.Secure() || info.Begun.IsZero() {
		return
	}
	for _, v := range verdicts {
		switch v.Code {
		case trust.ConnectionRefused, trust.NoAnswer, trust.Unreachable, trust.DomainValidated:
			return
		}
	}
	if took := time.Since(info.Begun); info.Inbound {
		t.serverBad.Observe(took)
	} else {
		t.clientBad.Observe(took)
	}
}

// HandshakeTimes returns how long TLS handshakes took, by our role and their outcome.
func (g *Gateway) HandshakeTimes() map[metrics.Handshake]metrics.Times {
	t := &g.shakes
	return map[metrics.Handshake]metrics.Times{
		{Role: "client", Outcome: "accepted"}: t.clientGood.Times(), {Role: "client", Outcome: "refused"}: t.clientBad.Times(),
		{Role: "server", Outcome: "accepted"}: t.serverGood.Times(), {Role: "server", Outcome: "refused"}: t.serverBad.Times(),
	}
}
