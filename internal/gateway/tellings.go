package gateway

import (
	"maps"
	"sync/atomic"

	"github.com/sallyport-sip/sallyport/internal/cross"
	"github.com/sallyport-sip/sallyport/internal/peer"
	"github.com/sallyport-sip/sallyport/internal/route"
)

// tellings remembers, for one snapshot, why a decision was made together with what
// becomes of the claims of such a request: the same words for each call of a peer by a
// route, which would else be put together anew each time. Safe for every shard; a read
// takes no lock.
type tellings struct {
	words atomic.Pointer[map[telling]string] // replaced as a whole
}

type telling struct {
	from *peer.Peer
	why  string // of the decision
	made cross.Made
}

// mostTellings bounds them, and the copying in a shard when one is new: a configuration
// with more of them in use pays for the rest.
const mostTellings = 1024

// with returns the words of a decision about a request that makes these claims.
func (t *tellings) with(d route.Decision, from *peer.Peer, made cross.Made) string {
	if made == 0 {
		return d.Why
	}
	key := telling{from, d.Why, made}
	old := t.words.Load()
	if old != nil {
		if words, ok := (*old)[key]; ok {
			return words
		}
	}
	words := d.Why + made.Words(from, d.Targets)
	next := map[telling]string{key: words}
	if old != nil && len(*old) < mostTellings {
		maps.Copy(next, *old)
	} else if old != nil {
		return words
	}
	t.words.CompareAndSwap(old, &next) // whoever was faster has its own there; ours comes with the next call
	return words
}
