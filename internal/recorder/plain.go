package recorder

import (
	"errors"
	"time"

	"github.com/sallyport-sip/sallyport/internal/callflow"
	"github.com/sallyport-sip/sallyport/internal/tlswire"
	"github.com/sallyport-sip/sallyport/internal/trust"
	"github.com/sallyport-sip/sallyport/sip/transport"
)

// onPlain returns the TLS that came on a connection without TLS, nil when that is not why it was closed.
func onPlain(why transport.CloseReason) []byte {
	if t, ok := errors.AsType[*transport.TLSError](why.Err); ok {
		return t.Head
	}
	return nil
}

// tlsOnPlain keeps a connection without TLS on which the other side began with TLS as the handshake that it was to be: what was offered
// is there as far as it had come.
func (k *conn) tlsOnPlain(head []byte) {
	k.shake = newShake(k)
	wire := tlswire.NewLive(nil, k.emit)
	wire.Feed(k.us().Other(), time.Now(), head)
	k.shake.state = wire.State()
	wire.Done()
	verdicts := trust.ExplainPlain(head, k.role())
	k.count(verdicts)
	for _, v := range verdicts {
		k.judged(v)
	}
	now := time.Now()
	k.keep(now)
	k.r.add(k, &callflow.Event{At: now, Kind: callflow.Refused, Reason: firstNo(verdicts)})
}

// firstNo is the reason of the first verdict that refuses.
func firstNo(verdicts []trust.Verdict) string {
	for _, v := range verdicts {
		if !v.Accepted && v.Code != trust.NotJudged {
			return v.Reason
		}
	}
	return ""
}
