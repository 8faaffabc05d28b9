package b2bua

import (
	"github.com/sallyport-sip/sallyport/sip/transport"
	"github.com/sallyport-sip/sallyport/sip/ua"
)

// Evict ends calls of one shard that have a leg on one of the connections, most at
// a time: those without an answer with 503 and CANCEL, the others with BYE, whose
// Reason is 403. It says whether there are more.
func (e *Engine) Evict(s *ua.Shard, conns map[*transport.Conn]bool, most int) (more bool) {
	for c := range e.shards[s.Index()].all {
		if c.state == over || !c.on(conns) {
			continue
		}
		if most == 0 {
			return true
		}
		most--
		c.endFor(s, nil, 403, "an operator has evicted a connection of it, which the configuration refuses")
	}
	return false
}

// Parting says whether a call of the shard waits for the answer to its BYE or
// CANCEL on one of the connections.
func (e *Engine) Parting(s *ua.Shard, conns map[*transport.Conn]bool) bool {
	for c := range e.shards[s.Index()].all {
		if !c.gone && c.on(conns) {
			return true
		}
	}
	return false
}

// on says whether a leg lives on one of the connections.
func (c *Call) on(conns map[*transport.Conn]bool) bool {
	return c.in != nil && conns[c.in.Flow.Conn] || c.out != nil && conns[c.out.Flow.Conn]
}

// End ends one call of a shard because a person wants it: with 503 and CANCEL when it has no answer yet, with BYE when it has. It says
// whether the call is the shard's and was not over.
func (e *Engine) End(s *ua.Shard, number uint64) bool {
	for c := range e.shards[s.Index()].all {
		if c.Number == number && c.state != over {
			c.end(s, nil, "an operator has ended the call")
			return true
		}
	}
	return false
}
