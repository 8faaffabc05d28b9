package recorder

import (
	"maps"
	"slices"
	"time"

	"github.com/sallyport-sip/sallyport/internal/trust"
)

const (
	// many is from how many peers on, in one atOnce, certificates out of their time make our own clock suspect.
	many   = 3
	atOnce = 10 * time.Minute
)

// outOfTime remembers which peers' certificates were out of their time a short while ago, by the code. Who is no peer counts by its
// address. It is owned by shakes.mu.
type outOfTime map[trust.Code]map[string]time.Time

// note enters a failed handshake.
func (o outOfTime) note(code trust.Code, who string, now time.Time) {
	if code != trust.Expired && code != trust.NotYetValid {
		return
	}
	if o[code] == nil {
		o[code] = make(map[string]time.Time)
	}
	if len(o[code]) < mostSource {
		o[code][who] = now
	}
}

// doubt returns the evidence, empty when there is none.
func (o outOfTime) doubt(now time.Time) string {
	for _, code := range []trust.Code{trust.NotYetValid, trust.Expired} {
		maps.DeleteFunc(o[code], func(_ string, at time.Time) bool { return now.Sub(at) > atOnce })
		if len(o[code]) >= many {
			return trust.AtOnce(slices.Sorted(maps.Keys(o[code])), code)
		}
	}
	return ""
}

// misdated enters a refusal.
func (a *shakes) misdated(code trust.Code, who string, now time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.outOfTime.note(code, who, now)
}

// clockDoubt says why our clock may be wrong, by what the gateway knows of it, or because the certificates of several peers are out of
// their time at once.
func (r *Recorder) clockDoubt(now time.Time) string {
	if r.clock != nil {
		if doubt := r.clock(now); doubt != "" {
			return doubt
		}
	}
	r.shakes.mu.Lock()
	defer r.shakes.mu.Unlock()
	return r.shakes.outOfTime.doubt(now)
}
