package gateway

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sallyport-sip/sallyport/internal/memnet"
	"github.com/sallyport-sip/sallyport/sip"
	"github.com/sallyport-sip/sallyport/sip/transport"
	"github.com/sallyport-sip/sallyport/sip/ua"
)

// The table of races: every two events of a call that can be on their way at the
// same moment, in every phase of the call in which both can happen. Each pair is
// played over UDP and over TCP, five times: the second event before, with and
// after the first, so that they meet at the gateway in both orders, and so much
// before and after it that they pass each other on the wire between the gateway
// and either side.
//
// Of the 210 pairs of 21 events 174 can meet, in 446 phases of a call: 3,515 races.
// After each row both sides see their call ended, nobody is left ringing, and the
// gateway keeps nothing.

// A phase is how far a call is, in a letter of the table.
const (
	calling  = 'c' // the callee has the INVITE and has said nothing
	early    = 'e' // a reliable 183 is with the caller, who has sent no PRACK yet
	pracked  = 'p' // it has its PRACK
	answered = 'a' // the 200 is with the caller, who has sent no ACK yet
	up       = 'u' // the session is up
	changing = 'r' // a re-INVITE of the caller's rings at the callee
)

// event is something that can happen at a moment of its own.
type event struct {
	name   string
	phases string // in which it may happen
	do     func(x *race)
}

// stream says that it needs a connection: a datagram has none to lose.
func (e event) stream() bool { return strings.HasSuffix(e.name, "connection lost") }

func (x *race) caller(f func(s *ua.Shard, l *line)) { x.a.do(func(s *ua.Shard) { f(s, x.a.lines[0]) }) }

func (x *race) callee(f func(s *ua.Shard, l *line)) {
	x.b.do(func(s *ua.Shard) {
		if len(x.b.lines) > 0 {
			f(s, x.b.lines[0])
		}
	})
}

var raceEvents = []event{
	{"180", "cp", func(x *race) { x.callee(func(s *ua.Shard, l *line) { l.ring(s) }) }},
	{"183 reliable", "c", func(x *race) { x.callee(func(s *ua.Shard, l *line) { l.progress(s) }) }},
	{"200", "cepr", func(x *race) {
		x.callee(func(s *ua.Shard, l *line) {
			if x.phase == changing {
				l.agree(s)
				return
			}
			l.answer(s)
		})
	}},
	{"4xx", "cepr", func(x *race) {
		x.callee(func(s *ua.Shard, l *line) {
			if x.phase == changing {
				l.disagree(s, 488)
				return
			}
			l.refuse(s, 486)
		})
	}},
	{"CANCEL", "cepr", func(x *race) {
		x.caller(func(s *ua.Shard, l *line) {
			if x.phase == changing {
				if l.inviting != nil {
					l.inviting.giveUp(s)
				}
				return
			}
			l.cancel(s)
		})
	}},
	{"ACK", "a", func(x *race) {
		x.caller(func(_ *ua.Shard, l *line) {
			if l.unacked != nil {
				l.unacked()
			}
		})
	}},
	{"PRACK", "e", func(x *race) { x.caller(func(_ *ua.Shard, l *line) { l.prack() }) }},
	{"BYE of the caller", "epaur", func(x *race) { x.caller(func(s *ua.Shard, l *line) { l.hangUp(s) }) }},
	{"BYE of the callee", "epaur", func(x *race) { x.callee(func(s *ua.Shard, l *line) { l.rude(s) }) }},
	{"re-INVITE of the caller", "u", func(x *race) { x.caller(func(s *ua.Shard, l *line) { l.change(s, sip.INVITE, true) }) }},
	{"re-INVITE of the callee", "u", func(x *race) { x.callee(func(s *ua.Shard, l *line) { l.change(s, sip.INVITE, true) }) }},
	{"UPDATE of the caller", "pu", func(x *race) { x.caller(func(s *ua.Shard, l *line) { l.change(s, sip.UPDATE, true) }) }},
	{"UPDATE of the callee", "pu", func(x *race) { x.callee(func(s *ua.Shard, l *line) { l.change(s, sip.UPDATE, true) }) }},
	{"INFO of the caller", "pur", func(x *race) { x.caller(func(s *ua.Shard, l *line) { l.info(s) }) }},
	{"INFO of the callee", "pur", func(x *race) { x.callee(func(s *ua.Shard, l *line) { l.info(s) }) }},
	{"leg A's connection lost", "cepaur", func(x *race) { x.a.drop() }},
	{"leg B's connection lost", "cepaur", func(x *race) { x.b.drop() }},
	{"leg B's server down and connection lost", "cepaur", func(x *race) { x.b.goDown(10 * time.Second) }},
	{"caller vanishes", "cepaur", func(x *race) { x.a.air.mute.Store(true) }},
	{"callee vanishes", "cepaur", func(x *race) { x.b.air.mute.Store(true) }},
	{"gateway stops", "cepaur", func(x *race) { x.stop() }},
}

// pairs is the table itself. Its columns are the events in the order of the rows;
// a cell has the letters of the phases in which the two can meet, and a point
// where they cannot.
const pairs = `
180
c      183 reliable
cp     c      200
cp     c      cepr   4xx
cp     c      cepr   cepr   CANCEL
.      .      .      .      .      ACK
.      .      e      e      e      .      PRACK
p      .      epr    epr    epr    a      e      BYE of the caller
p      .      epr    epr    epr    a      e      epaur  BYE of the callee
.      .      .      .      .      .      .      u      u      re-INVITE of the caller
.      .      .      .      .      .      .      u      u      u      re-INVITE of the callee
p      .      p      p      p      .      .      pu     pu     u      u      UPDATE of the caller
p      .      p      p      p      .      .      pu     pu     u      u      pu     UPDATE of the callee
p      .      pr     pr     pr     .      .      pur    pur    u      u      pu     pu     INFO of the caller
p      .      pr     pr     pr     .      .      pur    pur    u      u      pu     pu     pur    INFO of the callee
cp     c      cepr   cepr   cepr   a      e      epaur  epaur  u      u      pu     pu     pur    pur    leg A's connection lost
cp     c      cepr   cepr   cepr   a      e      epaur  epaur  u      u      pu     pu     pur    pur    cepaur leg B's connection lost
cp     c      cepr   cepr   cepr   a      e      epaur  epaur  u      u      pu     pu     pur    pur    cepaur cepaur leg B's server down and connection lost
cp     c      cepr   cepr   cepr   a      e      epaur  epaur  u      u      pu     pu     pur    pur    cepaur cepaur cepaur caller vanishes
cp     c      cepr   cepr   cepr   a      e      epaur  epaur  u      u      pu     pu     pur    pur    cepaur cepaur cepaur cepaur callee vanishes
cp     c      cepr   cepr   cepr   a      e      epaur  epaur  u      u      pu     pu     pur    pur    cepaur cepaur cepaur cepaur cepaur gateway stops
`

// race is one row as it is played.
type race struct {
	*rig
	a, b    *phone
	phase   rune
	stopped bool
}

// delay is how long a message takes from one side to the gateway.
const delay = 20 * time.Millisecond

// offsets are when the second event comes, counted from the first. Under the race
// detector, where it takes ten times as long, the outer ones are left out.
var offsets = []time.Duration{-delay - 5*time.Millisecond, -time.Millisecond, 0, time.Millisecond, delay + 5*time.Millisecond}[leftOut : 5-leftOut]

func TestRaces(t *testing.T) {
	cells := table(t)
	rows, played := 0, 0
	for i, first := range raceEvents {
		for j := range i {
			second := raceEvents[j]
			for _, phase := range cells[i][j] {
				rows++
				t.Run(fmt.Sprintf("%s and %s in phase %c", first.name, second.name, phase), func(t *testing.T) {
					for _, over := range []transport.Transport{transport.UDP, transport.TCP} {
						if !over.Reliable() && (first.stream() || second.stream()) {
							continue
						}
						played += len(offsets)
						play(t, over, phase, first, second)
					}
				})
			}
		}
	}
	t.Logf("%d pairs in their phases, %d races", rows, played)
}

// table reads the table, and checks that no pair that can meet is missing from it.
func table(t *testing.T) (cells [][]string) {
	var want strings.Builder
	for i, row := range raceEvents {
		for j := range i {
			both := strings.Map(func(r rune) rune {
				if strings.ContainsRune(raceEvents[j].phases, r) {
					return r
				}
				return -1
			}, row.phases)
			if both == "" {
				both = "."
			}
			fmt.Fprintf(&want, "%-7s", both)
		}
		want.WriteString(row.name + "\n")
	}
	if got := strings.TrimPrefix(pairs, "\n"); got != want.String() {
		t.Fatalf("the table is not that of the events, which is\n%s", want.String())
	}
	for row := range strings.SplitSeq(strings.TrimSpace(want.String()), "\n") {
		cells = append(cells, strings.Fields(strings.ReplaceAll(row, ".", "-"))[:len(cells)])
	}
	for _, row := range cells {
		for j := range row {
			row[j] = strings.Trim(row[j], "-")
		}
	}
	return cells
}

// play plays a row over one transport, one race after the other.
func play(t *testing.T, over transport.Transport, phase rune, first, second event) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, setting{
			shards: 1, office: over, targets: over, network: memnet.Options{Delay: delay},
			routes:   "{from: [office], to: [acme]}",
			profiles: map[string]string{"office": "tuned", "acme": "tuned"}, tuned: "keep_alive: 2m",
		})
		r.office.Close() // phones stand in their places
		r.acme.Close()
		r.backup.Close()
		x := &race{rig: r, phase: phase}
		x.a, x.b = r.phone("office", over, officeAddr, nil), r.phone("acme", over, acmeAddr, nil)
		defer x.b.close()
		defer x.a.close()
		for _, at := range offsets {
			x.reach()
			one, two, after := first, second, at
			if at < 0 {
				one, two, after = second, first, -at
			}
			one.do(x)
			time.Sleep(after)
			two.do(x)
			x.settle()
			if t.Failed() {
				t.Fatalf("over %v, the second event %v from the first", over, at)
			}
		}
	})
}

// reach brings the call into its phase.
func (x *race) reach() {
	x.a.air.mute.Store(false)
	x.b.air.mute.Store(false)
	x.a.lines, x.b.lines, x.stopped = nil, nil, false
	x.b.do(func(*ua.Shard) { x.b.holdReinvite = x.phase == changing })
	x.a.do(func(s *ua.Shard) {
		x.a.holdAck, x.a.holdPrack = x.phase == answered, x.phase == early
		x.a.call(s, true)
	})
	x.pause()
	switch x.phase {
	case early, pracked:
		x.callee(func(s *ua.Shard, l *line) { l.progress(s) })
		x.pause()
	case answered, up, changing:
		x.callee(func(s *ua.Shard, l *line) { l.answer(s) })
		x.pause()
	}
	if x.phase == changing {
		x.caller(func(s *ua.Shard, l *line) { l.change(s, sip.INVITE, true) })
		x.pause()
	}
	x.a.do(func(*ua.Shard) { x.a.holdAck, x.a.holdPrack = false, false })
}

// pause lets what is on its way arrive, and what that causes.
func (x *race) pause() { time.Sleep(8 * delay) }

// stop stops the gateway as a person would who has no patience.
func (x *race) stop() {
	if !x.stopped {
		x.stopped = true
		for i := range x.server.NumShards() {
			x.server.Do(i, func(s *ua.Shard) {
				for x.engine.Shutdown(s, 1) {
				}
			})
		}
	}
}

// settle waits until all that the two events caused must have happened, has the
// caller end what is left, and then checks that nothing is.
func (x *race) settle() {
	time.Sleep(5 * time.Second)
	// What a user agent held until now it sends when somebody touches the phone.
	x.caller(func(_ *ua.Shard, l *line) {
		if l.unacked != nil {
			l.unacked()
		}
		l.prack()
	})
	x.callee(func(s *ua.Shard, l *line) { l.agree(s) })
	time.Sleep(2*lifetime + 10*time.Second)
	whole := !x.a.air.mute.Load() && !x.b.air.mute.Load()
	if a, b := x.a.talking(), x.b.talking(); whole && a != b {
		x.Errorf("the caller has %d sessions and the callee %d", a, b)
	}
	if n := x.a.unchanged() + x.b.unchanged(); whole && n > 0 {
		x.Errorf("%d changes of the session were wanted and never made", n)
	}
	// The callee gives up what rings, if its caller cannot; the rest is the
	// caller's, or of whoever is left.
	if x.a.air.mute.Load() {
		x.callee(func(s *ua.Shard, l *line) { l.answer(s) })
		time.Sleep(2*lifetime + 10*time.Second)
		x.callee(func(s *ua.Shard, l *line) { l.hangUp(s) })
	} else {
		x.caller(func(s *ua.Shard, l *line) {
			if l.final == 0 {
				l.cancel(s)
			}
			if l.up {
				l.hangUp(s)
			}
		})
	}
	time.Sleep(3*time.Minute + 4*lifetime) // until a target's answer_timeout is over
	for _, p := range []*phone{x.a, x.b} {
		if !p.air.mute.Load() {
			for _, what := range p.unfinished() {
				x.Error(what)
			}
		}
	}
	x.empty()
	if x.Failed() {
		for _, p := range []*phone{x.a, x.b} {
			p.do(func(*ua.Shard) {
				for _, l := range p.lines {
					x.Logf("%s:\n%s", p.name, l.story())
				}
			})
		}
	}
}

// rude hangs up as the callee, who must not in an early dialog and before an ACK
// (RFC 3261 §15), and at times does.
func (l *line) rude(s *ua.Shard) {
	if l.over {
		return
	}
	if l.final == 0 {
		l.final = 487 // it takes itself for gone
	}
	l.hangUp(s)
}
