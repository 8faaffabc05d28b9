package gateway

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/sallyport-sip/sallyport/internal/memnet"
	"github.com/sallyport-sip/sallyport/sip"
	"github.com/sallyport-sip/sallyport/sip/transport"
	"github.com/sallyport-sip/sallyport/sip/ua"
)

// Calls at random: two user agents that keep to the RFCs do what comes to their
// minds, at any moment, over a network that loses, doubles and overtakes. In the
// end the same holds as after each row of the table. A longer run is
//
//	go test ./internal/gateway -run TestRandomCalls -rapid.checks=10000

// plan is one such run.
type plan struct {
	a, b          transport.Transport
	loss, reorder float64
	twice         float64
	seed          uint64
	forks         int
	offers        bool
	steps         []step
}

type step struct {
	deed string
	wait time.Duration // before it
}

func (p plan) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%v to %v, loss %.2f, reorder %.2f, twice %.2f, seed %d, forks %d, offer %v", p.a, p.b, p.loss, p.reorder, p.twice, p.seed, p.forks, p.offers)
	for _, s := range p.steps {
		fmt.Fprintf(&b, "\n  +%v %s", s.wait, s.deed)
	}
	return b.String()
}

// deeds are what a person may do, at either phone. Those that the state of the
// call forbids do nothing.
var deeds = map[string]func(x *race){
	"ring":                 func(x *race) { x.forkOf(func(s *ua.Shard, l *line) { l.ring(s) }) },
	"progress":             func(x *race) { x.forkOf(func(s *ua.Shard, l *line) { l.progress(s) }) },
	"answer":               func(x *race) { x.forkOf(func(s *ua.Shard, l *line) { l.answer(s) }) },
	"refuse":               func(x *race) { x.forkOf(func(s *ua.Shard, l *line) { l.refuse(s, 486) }) },
	"cancel":               func(x *race) { x.caller(func(s *ua.Shard, l *line) { l.cancel(s) }) },
	"caller hangs up":      func(x *race) { x.caller(func(s *ua.Shard, l *line) { l.hangUp(s) }) },
	"callee hangs up":      func(x *race) { x.forkOf(func(s *ua.Shard, l *line) { l.polite(s) }) },
	"caller re-INVITEs":    func(x *race) { x.caller(func(s *ua.Shard, l *line) { l.change(s, sip.INVITE, true) }) },
	"caller asks an offer": func(x *race) { x.caller(func(s *ua.Shard, l *line) { l.change(s, sip.INVITE, false) }) },
	"callee re-INVITEs":    func(x *race) { x.forkOf(func(s *ua.Shard, l *line) { l.change(s, sip.INVITE, true) }) },
	"caller UPDATEs":       func(x *race) { x.caller(func(s *ua.Shard, l *line) { l.change(s, sip.UPDATE, true) }) },
	"caller refreshes":     func(x *race) { x.caller(func(s *ua.Shard, l *line) { l.change(s, sip.UPDATE, false) }) },
	"callee UPDATEs":       func(x *race) { x.forkOf(func(s *ua.Shard, l *line) { l.change(s, sip.UPDATE, true) }) },
	"caller INFOs":         func(x *race) { x.caller(func(s *ua.Shard, l *line) { l.info(s) }) },
	"callee INFOs":         func(x *race) { x.forkOf(func(s *ua.Shard, l *line) { l.info(s) }) },
	"leg A is lost": func(x *race) {
		if x.a.over.Reliable() {
			x.a.drop()
		}
	},
	"leg B is lost": func(x *race) {
		if x.b.over.Reliable() {
			x.b.drop()
		}
	},
	"gateway stops": func(x *race) { x.stop() },
}

// forkOf does something at one of those that ring for the INVITE.
func (x *race) forkOf(f func(s *ua.Shard, l *line)) {
	x.b.do(func(s *ua.Shard) {
		if n := len(x.b.lines); n > 0 {
			f(s, x.b.lines[x.b.rand.IntN(n)])
		}
	})
}

// polite hangs up as a callee does that keeps to RFC 3261 §15: not before the ACK.
func (l *line) polite(s *ua.Shard) {
	if l.up && len(l.oks) == 0 {
		l.hangUp(s)
	}
}

// plans draws a plan. What makes calls long stands first, for rapid to find short
// ones when it shrinks.
//
// Of a network that loses more than a tenth nothing can be asked: an INVITE whose
// every 1xx is lost cannot be cancelled (RFC 3261 §9.1), and rings.
func plans(t *rapid.T) plan {
	over := rapid.SampledFrom([]transport.Transport{transport.UDP, transport.UDP, transport.TCP})
	share := func(name string, most int) float64 { return float64(rapid.IntRange(0, most).Draw(t, name)) / 100 }
	p := plan{
		a: over.Draw(t, "a"), b: over.Draw(t, "b"),
		loss: share("loss", 10), reorder: share("reorder", 25), twice: share("twice", 25),
		seed:   rapid.Uint64().Draw(t, "seed"),
		forks:  rapid.SampledFrom([]int{0, 0, 0, 1, 2}).Draw(t, "forks"),
		offers: rapid.IntRange(0, 3).Draw(t, "offers") > 0,
	}
	names := []string{
		"ring", "progress", "answer", "answer", "caller INFOs", "callee INFOs", "caller UPDATEs", "callee UPDATEs", "caller refreshes",
		"caller re-INVITEs", "callee re-INVITEs", "caller asks an offer", "leg A is lost", "leg B is lost",
		"refuse", "cancel", "caller hangs up", "callee hangs up", "gateway stops",
	}
	waits := []int{0, 1, 5, 20, 21, 40, 60, 150, 500, 700, 2000, 5000, 33000}
	for range rapid.IntRange(1, 14).Draw(t, "length") {
		p.steps = append(p.steps, step{
			deed: rapid.SampledFrom(names).Draw(t, "deed"),
			wait: time.Duration(rapid.SampledFrom(waits).Draw(t, "wait")) * time.Millisecond,
		})
	}
	return p
}

func TestRandomCalls(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		p := plans(rt)
		if !p.run(t) {
			rt.Fatalf("a call did not end well:\n%v", p)
		}
	})
}

// run runs a plan in a bubble and says whether all ended well.
func (p plan) run(t *testing.T) (ok bool) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, setting{
			shards: 1, office: p.a, targets: p.b,
			network: memnet.Options{Seed: p.seed, Delay: delay, Loss: p.loss, Reorder: p.reorder, ReorderBy: 3 * delay},
			routes:  "{from: [office], to: [acme]}",
		})
		r.office.Close()
		r.acme.Close()
		r.backup.Close()
		source := rand.New(rand.NewPCG(p.seed, 1))
		twice := func() bool { return p.twice > 0 && source.Float64() < p.twice }
		x := &race{rig: r}
		x.a, x.b = r.phone("office", p.a, officeAddr, twice), r.phone("acme", p.b, acmeAddr, nil)
		x.b.forks = p.forks
		defer x.b.close()
		defer x.a.close()
		x.a.do(func(s *ua.Shard) { x.a.call(s, p.offers) })
		x.pause()
		for _, s := range p.steps {
			time.Sleep(s.wait)
			deeds[s.deed](x)
		}
		x.settle()
		ok = !t.Failed()
	})
	return ok
}
