package b2bua

import (
	"errors"
	"fmt"

	"github.com/sallyport-sip/sallyport/sip"
	"github.com/sallyport-sip/sallyport/sip/transaction"
	"github.com/sallyport-sip/sallyport/sip/ua"
)

// attempt is the INVITE to one target. Owned by the shard.
type attempt struct {
	setup  *setup
	leg    *Leg
	branch []byte
	tx     *ua.ClientTx // nil when the transaction is over
	rang   bool         // a provisional response came, so a CANCEL may go (RFC 3261 §9.1)
	cancel string       // the Reason of a CANCEL that is due or sent; see cancel.go
	quit   bool         // nobody waits for this attempt any more
	sent   bool         // the CANCEL went out
}

// Response makes the attempt a ua.ClientUser.
func (a *attempt) Response(s *ua.Shard, _ *ua.ClientTx, m *sip.Message) {
	code := m.StatusCode()
	a.leg.hop.response(s.Now(), code)
	switch {
	case code < 200:
		a.rang = true
		if a.quit {
			a.sendCancel(s)
		} else if code > 100 {
			a.setup.progress(s, a, m)
		}
	case code < 300:
		a.answered(s, m)
	case !a.quit:
		a.refused(s, m)
	}
}

// ClientDone makes the attempt a ua.ClientUser.
func (a *attempt) ClientDone(s *ua.Shard, _ *ua.ClientTx, err error) {
	a.tx = nil
	c := a.setup.call
	defer c.finish()
	if w := a.leg.winner; w != nil {
		c.dropAnswer(w, inviteCSeq)
	}
	if err == nil || a.quit || a.setup.final {
		return
	}
	cause := &sip.StatusError{Code: 503, Err: err}
	if errors.Is(err, transaction.ErrTimeout) {
		cause.Code = 408
		a.quit = true
		a.sendCancel(s) // timer C: a target that rang and rang may still be ringing
	}
	a.setup.lost(s, a.leg, cause)
}

// refused deals with a final response other than a 2xx.
func (a *attempt) refused(s *ua.Shard, m *sip.Message) {
	code := m.StatusCode()
	cause := &sip.StatusError{Code: code, Reason: string(m.Reason())}
	switch {
	case code < 400:
		cause = &sip.StatusError{Code: 480, Err: fmt.Errorf("redirected with %d, which is not followed", code)}
	case (code == 503 || code == 408) && a.setup.next < len(a.setup.targets):
		cause.Err = fmt.Errorf("answered %d %s", code, m.Reason())
	default:
		a.setup.reject(s, a, m)
		return
	}
	a.setup.lost(s, a.leg, cause)
}
