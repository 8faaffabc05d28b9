package b2bua

import (
	"maps"
	"sync"

	"github.com/sallyport-sip/sallyport/internal/metrics"
	"github.com/sallyport-sip/sallyport/internal/peer"
)

// times is how long callers wait. All shards use it at once.
type times struct {
	answered, cancelled, failed metrics.Histogram // from the INVITE to the final response
	ringing                     metrics.Histogram // from the INVITE to the first response of a target that rings
}

// observe takes note of a call that is over.
func (t *times) observe(c *Call, answered bool, how peer.Class) {
	h := c.in.hop
	if h.to180 > 0 {
		t.ringing.Observe(h.to180)
	}
	switch waited := c.calls.shard.Now().Sub(h.sent); {
	case answered:
		t.answered.Observe(h.to200)
	case how == peer.Cancelled:
		t.cancelled.Observe(waited)
	default:
		t.failed.Observe(waited)
	}
}

// SetupTimes returns how long calls took from the INVITE to their final response, by what became of them.
func (e *Engine) SetupTimes() map[string]metrics.Times {
	return map[string]metrics.Times{
		"answered": e.times.answered.Times(), "cancelled": e.times.cancelled.Times(), "failed": e.times.failed.Times(),
	}
}

// RingingTimes returns how long it took from an INVITE until somebody's telephone rang.
func (e *Engine) RingingTimes() metrics.Times { return e.times.ringing.Times() }

// missing counts answers without ACK, which are rare. Safe for any goroutine.
type missing struct {
	mu     sync.Mutex
	counts map[metrics.Missing]uint64 // guarded by mu
}

func (m *missing) add(peer, code string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.counts == nil {
		m.counts = make(map[metrics.Missing]uint64)
	}
	m.counts[metrics.Missing{Peer: peer, Code: code}]++
}

// ACKsMissing returns how many answers had no ACK in time, by the peer that owed it and the code of the finding.
func (e *Engine) ACKsMissing() map[metrics.Missing]uint64 {
	e.missing.mu.Lock()
	defer e.missing.mu.Unlock()
	return maps.Clone(e.missing.counts)
}
