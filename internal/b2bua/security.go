package b2bua

import (
	"slices"
	"sync/atomic"

	"github.com/sallyport-sip/sallyport/internal/callflow"
	"github.com/sallyport-sip/sallyport/sip/ua"
)

// How secure a call's signalling was is known from its connections, which are described
// once each (calls.link), and from what its INVITE claims. A leg keeps the worst of all
// connections that its messages went by.

// Moved makes the leg a cross.Watcher.
func (l *Leg) Moved(to ua.Flow) {
	if l.hop != nil {
		l.hop.seen |= l.call.calls.link(to).seen
	}
}

// judge finds the word for the call as it stands, and says why.
func (c *Call) judge() (word, why string) {
	var room [8]callflow.Protection
	legs := append(room[:0], c.in.hop.seen)
	sips := true
	for i := range c.facts.given {
		legs = append(legs, c.facts.given[i].seen)
		sips = sips && (c.facts.given[i].sips || c.facts.given[i].seen == 0)
	}
	if c.out != nil && c.out.hop != nil {
		legs, sips = append(legs, c.out.hop.seen), sips && c.out.hop.sips
	}
	return callflow.Judge(legs, sips, c.facts.claims)
}

// security is the verdict with all that it stands on.
func (c *Call) security() *callflow.Security {
	v := &callflow.Security{Hops: make([]callflow.HopSecurity, 0, 2), Claims: c.facts.claims.Lines()}
	v.Word, v.Why = c.judge()
	v.Hops = append(v.Hops, c.in.hop.security(callflow.In))
	for i := range c.facts.given {
		v.Hops = append(v.Hops, c.facts.given[i].security(callflow.Out))
	}
	if c.out != nil && c.out.hop != nil && !c.out.hop.given(c.facts.given) {
		v.Hops = append(v.Hops, c.out.hop.security(callflow.Out))
	}
	return v
}

func (h *hop) security(d callflow.Direction) callflow.HopSecurity {
	s := callflow.HopSecurity{Direction: d, Peer: h.peer, SIPS: h.sips, Seen: h.seen}
	if h.link != nil {
		s.Transport, s.TLS = h.link.transport, h.link.agreed
	}
	return s
}

// assess tells the call's flow the verdict, when it is answered and when it has
// changed since.
func (c *Call) assess() {
	if word, _ := c.judge(); word == c.facts.told {
		return
	}
	v := c.security()
	c.facts.told = v.Word
	ev := callflow.Call{Number: c.Number, Direction: callflow.In, CallID: c.in.callID, Peer: c.in.Peer.Name, Security: v}
	c.engine.ways.Record(callflow.Assessed, ev, "")
}

// verdicts counts calls by the word for their security.
type verdicts [6]atomic.Uint64

func (v *verdicts) add(word string) {
	if i := slices.Index(callflow.SecurityWords, word); i >= 0 {
		v[i].Add(1)
	}
}

// Verdicts returns how many INVITEs had their last response or their call its end, by
// the word for their security.
func (e *Engine) Verdicts() map[string]uint64 {
	all := make(map[string]uint64, len(callflow.SecurityWords))
	for i, word := range callflow.SecurityWords {
		all[word] = e.verdicts[i].Load()
	}
	return all
}
