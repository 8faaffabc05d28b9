//go:build linux

package main

import (
	"strconv"
	"time"
)

// caller begins calls at their intended times, whatever became of earlier ones (an open loop), and ends each as
// soon as it is answered: ACK and BYE leave together.
type caller struct {
	loop    *loop
	links   []callerLink
	target  string // Request-URI
	to      string // To value
	run     string // what makes this run's Call-IDs and branches its own
	timeout time.Duration

	calls  []call // a ring: call n lives at n modulo its length, a power of two
	next   uint64 // the next call to begin
	oldest uint64 // the first call that may still be open
	turn   int    // the link of the next call

	counts callerCounts
	setup  histogram // INVITE due to 200 received, of measured calls
	late   histogram // INVITE due to INVITE written, of measured calls

	holding bool // measured calls are not ended when they are answered
	held    []heldCall
}

// callerLink is one connection with the texts that name it.
type callerLink struct {
	link
	text text
	from string
}

// call is one call in the caller's ring.
type call struct {
	due      time.Duration // when it was to begin
	began    time.Duration
	state    state
	measured bool // begun in the measured window
	rang     bool
}

type state uint8

const (
	idle state = iota
	inviting
	ending // answered: ACK and BYE sent
	held   // answered: ACK sent
	over
)

// callerCounts are sums since the start.
type callerCounts struct {
	begun    uint64
	finished uint64 // ended as a call should, of all
	sent     uint64
	received uint64
	repeated uint64 // responses that had come before: the element's retransmissions
	foreign  uint64 // responses that belong to no call of this run
	measured struct {
		begun, finished uint64
		failed          map[string]uint64
		late            uint64
	}
	warmUpFailed map[string]uint64
}

const lateness = time.Millisecond // later than this a start counts as late

func newCaller(l *loop, target, to, run string, rate int, timeout time.Duration) *caller {
	size := 1024
	for size < 2*rate*int(timeout/time.Second+1) {
		size *= 2
	}
	c := &caller{loop: l, target: target, to: to, run: run, timeout: timeout, calls: make([]call, size)}
	c.counts.measured.failed = make(map[string]uint64)
	c.counts.warmUpFailed = make(map[string]uint64)
	return c
}

// addLink gives the caller a connection; host is how Via and Contact name this end, ip the address in the session
// description.
func (c *caller) addLink(k link, transport, host, ip string) {
	c.links = append(c.links, callerLink{
		link: k,
		text: newText(transport, "caller", host, ip),
		from: `"Fixed Caller" <sip:caller@` + host + ">",
	})
}

// begin starts the next call, which was due at that time.
func (c *caller) begin(due time.Duration, measured bool) {
	n := c.next
	c.next++
	if c.next-c.oldest > uint64(len(c.calls)) {
		c.expire(c.oldest, "no room for more open calls")
		c.oldest++
	}
	k := &c.links[c.turn]
	c.turn = (c.turn + 1) % len(c.links)
	now := c.loop.now()
	cl := c.at(n)
	*cl = call{due: due, began: now, state: inviting, measured: measured}
	c.counts.begun++
	if measured {
		c.counts.measured.begun++
		c.late.record(now - due)
		if now-due > lateness {
			c.counts.measured.late++
		}
	}
	if !c.loop.alive(k.link) {
		c.fail(cl, "no connection to the element")
		return
	}
	k.done(k.text.invite(k.open(), n, c.target, c.run, k.from, c.to))
	c.sent(k.link)
}

func (c *caller) at(n uint64) *call { return &c.calls[n&uint64(len(c.calls)-1)] }

func (c *caller) sent(k link) {
	c.counts.sent++
	c.loop.touch(k)
}

// expireOld fails the calls that have waited too long.
func (c *caller) expireOld() {
	now := c.loop.now()
	for c.oldest < c.next {
		cl := c.at(c.oldest)
		if cl.state != over {
			if cl.state == held || now-cl.began < c.timeout {
				return
			}
			why := "no answer to INVITE in " + c.timeout.String()
			if cl.state == ending {
				why = "no answer to BYE in " + c.timeout.String()
			}
			c.expire(c.oldest, why)
		}
		c.oldest++
	}
}

func (c *caller) expire(n uint64, why string) {
	if cl := c.at(n); cl.state != over {
		c.fail(cl, why)
	}
}

func (c *caller) fail(cl *call, why string) {
	cl.state = over
	if cl.measured {
		c.counts.measured.failed[why]++
	} else {
		c.counts.warmUpFailed[why]++
	}
}

// open says how many calls are neither ended nor failed.
func (c *caller) open() int {
	n := 0
	for i := c.oldest; i < c.next; i++ {
		if c.at(i).state != over {
			n++
		}
	}
	return n
}

func (c *caller) handle(k link, m *message) {
	c.counts.received++
	n, known := c.number(m)
	if m.kind != kindResponse {
		c.request(k, m, n, known)
		return
	}
	if !known {
		c.counts.foreign++
		return
	}
	cl := c.at(n)
	switch {
	case m.cseq == kindInvite && cl.state == inviting:
		c.inviteResponse(k, m, n, cl)
	case m.cseq == kindBye && cl.state == ending && m.status >= 200:
		c.byeResponse(m, cl)
	default:
		c.counts.repeated++
	}
}

func (c *caller) inviteResponse(k link, m *message, n uint64, cl *call) {
	t := c.textOf(k)
	switch {
	case m.status < 200:
		cl.rang = cl.rang || m.status == 180
	case m.status < 300:
		if cl.measured {
			c.setup.record(c.loop.now() - cl.due)
		}
		k.done(t.inDialog(k.open(), m, n, c.run, "ACK", "1", 'a'))
		c.sent(k)
		if c.holding && cl.measured {
			c.hold(k, m, n, cl)
			return
		}
		cl.state = ending
		k.done(t.inDialog(k.open(), m, n, c.run, "BYE", "2", 'b'))
		c.sent(k)
	default:
		k.done(t.refusalAck(k.open(), m, n, c.target, c.run))
		c.sent(k)
		c.fail(cl, "INVITE answered "+strconv.Itoa(m.status))
	}
}

func (c *caller) byeResponse(m *message, cl *call) {
	switch {
	case m.status >= 300:
		c.fail(cl, "BYE answered "+strconv.Itoa(m.status))
	case !cl.rang:
		c.fail(cl, "answered without 180")
	default:
		cl.state = over
		c.counts.finished++
		if cl.measured {
			c.counts.measured.finished++
		}
	}
}

// request answers what the element asks of its own accord. A BYE from it ends the call as a failure.
func (c *caller) request(k link, m *message, n uint64, known bool) {
	if m.kind == kindAck {
		return
	}
	if cl := c.at(n); m.kind == kindBye && known && cl.state != over {
		c.fail(cl, "ended by the element")
	}
	k.done(c.textOf(k).response(k.open(), m, "200 OK", 0, false, false))
	c.sent(k)
}

// number reads the call's number from its Call-ID.
func (c *caller) number(m *message) (n uint64, ok bool) {
	id := m.at(m.callID)
	n, ok = parseHex(id)
	return n, ok && n >= c.oldest && n < c.next && string(id[16:]) == c.run
}

func (c *caller) textOf(k link) *text {
	for i := range c.links {
		if c.links[i].link == k {
			return &c.links[i].text
		}
	}
	return &c.links[0].text
}
