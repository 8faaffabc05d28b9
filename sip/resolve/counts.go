package resolve

import "sync/atomic"

// Outcome is what became of a look-up of one type of record of one name.
type Outcome uint8

const (
	Cached   Outcome = iota // the cache knew it, that there is none and that nobody answers included
	Shared                  // another look-up was asking already
	Answered                // a name server has such records
	Empty                   // it says that there are none
	Stale                   // no name server answered, and an answer that is out of date served
	Failed                  // no name server answered
	outcomes
)

// String is the outcome in a word, as metrics have it.
func (o Outcome) String() string {
	return [...]string{"cached", "shared", "answered", "empty", "stale", "failed"}[o]
}

// Counts are numbers of look-ups by outcome. Several Resolvers may have the same.
// The zero value has counted none.
type Counts struct{ of [outcomes]atomic.Uint64 }

// All returns how many there have been.
func (c *Counts) All() map[Outcome]uint64 {
	all := make(map[Outcome]uint64, outcomes)
	for o := range outcomes {
		all[o] = c.of[o].Load()
	}
	return all
}

func (r *Resolver) count(o Outcome) {
	if r.Counts != nil {
		r.Counts.of[o].Add(1)
	}
}
