package cross

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/sallyport-sip/sallyport/internal/config"
	"github.com/sallyport-sip/sallyport/internal/peer"
	"github.com/sallyport-sip/sallyport/sip"
	"github.com/sallyport-sip/sallyport/sip/transport"
)

// Above is the refusal of what is above a limit of a peer. The sender hears in a
// Warning what is the matter (RFC 3261 §20.43), and no name or number.
func Above(p *peer.Peer, place peer.Place, warning string, why error) *sip.StatusError {
	code := int(p.Limits.RefuseWith)
	if code == 0 {
		code = int(config.RefuseUnavailable)
	}
	return &sip.StatusError{Code: code, Header: fmt.Sprintf("Warning: 399 %s %q", place.HostPort, warning), Err: why}
}

// Later is the refusal of what may be tried again in a moment: "... a Retry-After
// header field with a randomly chosen value of between 0 and 10 seconds" (RFC 3261
// §14.2).
func Later() *sip.StatusError {
	return &sip.StatusError{Code: 500, Header: fmt.Sprintf("Retry-After: %d", rand.IntN(11))}
}

// Ours says whether an error of the transport says nothing about the target.
func Ours(err error) bool {
	return errors.Is(err, peer.ErrBusy) || errors.Is(err, transport.ErrTooLarge) || errors.Is(err, ErrPlain) || errors.Is(err, transport.ErrShutdown)
}

// MaxRetryAfter is how long a target may have us wait.
const MaxRetryAfter = 10 * time.Minute

// RetryAfter reads a Retry-After: seconds, then perhaps a comment and parameters
// (RFC 3261 §20.33).
func RetryAfter(m *sip.Message) (time.Duration, bool) {
	value := bytes.TrimSpace(m.First(sip.HdrRetryAfter))
	if i := bytes.IndexAny(value, " \t(;"); i >= 0 {
		value = value[:i]
	}
	n, err := strconv.ParseUint(string(value), 10, 32)
	return time.Duration(n) * time.Second, err == nil
}
