package relay

import (
	"fmt"

	"github.com/sallyport-sip/sallyport/sip"
	"github.com/sallyport-sip/sallyport/sip/dialog"
	"github.com/sallyport-sip/sallyport/sip/ua"
)

// Shutdown ends what is relayed in one shard, most subscriptions at a time, and
// says whether there are more. Requests without an answer get 503. Subscribers hear
// that they may subscribe again later, and notifiers that nobody listens any more.
func (e *Engine) Shutdown(s *ua.Shard, most int) (more bool) {
	h := e.shards[s.Index()]
	for r := range h.requests {
		r.refuse(s, &sip.StatusError{Code: 503, Header: "Retry-After: 10"}, Draining)
	}
	for b := range h.subscriptions {
		if most == 0 {
			return true
		}
		most--
		b.tell(s, "probation;retry-after=10")
		b.unsubscribe(s)
		b.over(s, "the gateway stops")
	}
	return false
}

// tell ends the subscription at the subscriber, with a NOTIFY that gives a reason
// (RFC 6665 §4.1.3).
func (b *subscription) tell(s *ua.Shard, reason string) {
	if b.near.dialog.State == dialog.Confirmed {
		b.part(s, b.near, sip.NOTIFY, fmt.Sprintf("Event: %s\r\nSubscription-State: terminated;reason=%s\r\n", b.named, reason))
	}
}

// unsubscribe ends the subscription at the notifier.
func (b *subscription) unsubscribe(s *ua.Shard) {
	if b.far != nil && b.far.dialog != nil && !b.refer {
		b.part(s, b.far, sip.SUBSCRIBE, fmt.Sprintf("Event: %s\r\nExpires: 0\r\n", b.named))
	}
}

// part sends a last request of ours in a dialog. Its answer changes nothing.
func (b *subscription) part(s *ua.Shard, l *leg, method sip.Method, fields string) {
	ways := b.engine.ways
	l.Settle(ways)
	var w sip.Builder
	w.Reset(make([]byte, 0, 768))
	l.dialog.Start(&w, method)
	branch := s.NewBranch()
	l.Place.Via(&w, branch)
	w.Header("Max-Forwards", "70")
	l.dialog.Headers(&w, method, l.dialog.NextSeq())
	l.Place.Contact(&w, l.Secure || l.dialog.SIPS())
	w.Raw([]byte(fields))
	text := w.Finish(nil)
	f := &farewell{b.engine}
	b.engine.open.Add(1)
	l.Reach(s, ways, l.dialog, func(s *ua.Shard, flow ua.Flow, err error) {
		if err != nil {
			f.done()
			return
		}
		s.Request(flow, method, branch, text, f)
	})
}

// farewell is a last request of ours, while it has no answer.
type farewell struct{ engine *Engine }

func (f *farewell) done() {
	if f.engine != nil {
		f.engine.open.Add(-1)
		f.engine = nil
	}
}

// Response makes the farewell a ua.ClientUser.
func (f *farewell) Response(_ *ua.Shard, _ *ua.ClientTx, m *sip.Message) {
	if m.StatusCode() >= 200 {
		f.done()
	}
}

// ClientDone makes the farewell a ua.ClientUser.
func (f *farewell) ClientDone(*ua.Shard, *ua.ClientTx, error) { f.done() }
