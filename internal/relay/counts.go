package relay

import (
	"sync/atomic"

	"github.com/sallyport-sip/sallyport/sip"
)

// Outcome is what became of a request.
type Outcome uint8

// The outcomes. Those below Delivered are the gateway's own refusals.
const (
	Delivered   Outcome = iota // a target answered with a 2xx
	Rejected                   // a target answered with anything else, and that crossed
	Unreachable                // no target could be reached, or each was busy
	Unanswered                 // nobody answered in 64*T1, and so nor did we
	NotAllowed                 // the sender's profile does not let it cross
	NoRoute                    // no route matches
	SIPS                       // the rules for sips: leave no way (RFC 5630)
	Limited                    // above a limit of the sender
	Hopless                    // Max-Forwards was used up, or it was one of ours that came back
	Draining                   // the gateway stops
	Malformed                  // no dialog can be made of it
	Unbacked                   // it says to be from somebody whom the sender may not claim to be
	NoDialog                   // inside a dialog that does not exist, or out of its order
	outcomes
)

// String is the outcome as metrics have it.
func (o Outcome) String() string {
	names := [outcomes]string{
		"delivered", "rejected", "unreachable", "unanswered", "not_allowed", "no_route", "sips", "limited", "hopless", "draining", "malformed", "not_backed", "no_dialog",
	}
	return names[o]
}

// methods are those that are counted by name.
var methods = [...]sip.Method{
	sip.MESSAGE, sip.OPTIONS, sip.PUBLISH, sip.SUBSCRIBE, sip.NOTIFY, sip.REFER, sip.INFO,
}

// counts count requests by method and outcome. All shards use them at once.
type counts [len(methods) + 1][outcomes]atomic.Uint64

func (c *counts) add(m sip.Method, o Outcome) {
	i := 0
	for i < len(methods) && methods[i] != m {
		i++
	}
	c[i][o].Add(1)
}

// Count is how many requests of a method had an outcome since the start.
type Count struct {
	Method  string // "other" for those that are not listed
	Outcome string
	N       uint64
}

// Counts returns what was counted, without what never happened.
func (e *Engine) Counts() []Count {
	var all []Count
	for i := range e.counts {
		name := "other"
		if i < len(methods) {
			name = string(methods[i])
		}
		for o := range outcomes {
			if n := e.counts[i][o].Load(); n > 0 {
				all = append(all, Count{Method: name, Outcome: o.String(), N: n})
			}
		}
	}
	return all
}
