package ua_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/sallyport-sip/sallyport/internal/memnet"
	"github.com/sallyport-sip/sallyport/sip"
	"github.com/sallyport-sip/sallyport/sip/transaction"
	"github.com/sallyport-sip/sallyport/sip/transport"
	"github.com/sallyport-sip/sallyport/sip/ua"
)

// ending says what becomes of a call of the model.
type ending int

const (
	callerHangsUp ending = iota
	calleeHangsUp
	bothHangUp
	refused
	cancelled
	endings // how many there are
)

// plan is one run: a network, and calls between two servers.
type plan struct {
	network memnet.Options
	calls   []planned
}

type planned struct {
	ending   ending
	requests int           // INFO within the call, from both sides
	rings    time.Duration // until it is answered or refused
	patience time.Duration // of a caller who cancels
	talk     time.Duration
}

func drawPlan(t *rapid.T) plan {
	share := func(name string) float64 { return float64(rapid.IntRange(0, 20).Draw(t, name)) / 100 }
	span := func(name string, most int) time.Duration {
		return time.Duration(rapid.IntRange(0, most).Draw(t, name)) * time.Millisecond
	}
	p := plan{network: memnet.Options{
		Seed: rapid.Uint64().Draw(t, "seed"), Delay: span("delay", 200), Loss: share("loss"), Duplicate: share("duplicate"),
		Reorder: share("reorder"), ReorderBy: span("reorder by", 1500),
	}}
	for range rapid.IntRange(1, 8).Draw(t, "calls") {
		p.calls = append(p.calls, planned{
			ending:   ending(rapid.IntRange(0, int(endings)-1).Draw(t, "ending")),
			requests: rapid.IntRange(0, 3).Draw(t, "requests"),
			rings:    span("rings", 3000), patience: span("patience", 4000), talk: span("talk", 3000),
		})
	}
	return p
}

// TestRandomCallsEndInAgreement has two servers call each other over a network that loses, doubles, delays and
// reorders. Whatever happens: a handler sees each request once, both ends of a call are the same dialog, what was
// answered was done exactly once, and every call is over at both ends.
func TestRandomCallsEndInAgreement(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		p := drawPlan(rt)
		var problems []string
		synctest.Test(t, func(t *testing.T) { problems = p.play(t) })
		if len(problems) > 0 {
			rt.Fatalf("%s", strings.Join(problems, "\n"))
		}
	})
}

// world is a run of a plan.
type world struct {
	plan
	mu       sync.Mutex
	problems []string
	seen     map[string]int // how often a handler got a request
	sides    map[string][2]*ua.Call
	byes     map[string]int // of the program's own, by Call-ID
	ends     sync.WaitGroup
}

func (p plan) play(t *testing.T) []string {
	w := &world{plan: p, seen: map[string]int{}, sides: map[string][2]*ua.Call{}, byes: map[string]int{}}
	network := memnet.New(p.network)
	var servers [2]*ua.Server
	for i := range servers {
		servers[i] = &ua.Server{Network: network, Shards: 2, Handler: ua.Methods{sip.INVITE: w.answer, sip.INFO: w.info}}
		if err := servers[i].Start(); err != nil {
			t.Fatal(err)
		}
		if _, err := servers[i].Listen(transport.ListenConfig{Transport: transport.UDP, Addr: home(i)}); err != nil {
			t.Fatal(err)
		}
	}
	for n := range p.calls {
		w.ends.Go(func() { w.place(t.Context(), servers[n%2], home(1-n%2), n) })
	}
	w.ends.Wait()
	// A call that one side has given up ends at the other after at most 64*T1 for its ACK and as long for a BYE.
	time.Sleep(3 * time.Minute)
	w.check()
	for _, srv := range servers {
		if err := srv.Close(t.Context()); err != nil {
			w.problem("close: %v", err)
		}
	}
	return w.problems
}

func home(i int) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(1 + i)}), 5060)
}

func (w *world) problem(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.problems = append(w.problems, fmt.Sprintf(format, args...))
}

// note counts a request that a handler got.
func (w *world) note(m *sip.Message) {
	cseq, _ := m.CSeq()
	to, _ := m.To()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.seen[fmt.Sprintf("%s %d %s to %q", m.CallID(), cseq.Seq, cseq.Method, to.Tag())]++
}

// up notes one end of a call: 0 for who placed it, 1 for who accepted it.
func (w *world) up(side int, c *ua.Call) {
	w.mu.Lock()
	defer w.mu.Unlock()
	both := w.sides[c.CallID()]
	if both[side] != nil {
		w.problems = append(w.problems, "one INVITE made two calls at one side")
	}
	both[side] = c
	w.sides[c.CallID()] = both
}

// answer is the callee.
func (w *world) answer(r *ua.Request) {
	w.note(r.Msg)
	u, _ := sip.ParseURI(r.Msg.RequestURI())
	n, _ := strconv.Atoi(string(u.User))
	p := w.calls[n]
	_ = r.Reply(180) // the caller may have given up by now
	time.Sleep(p.rings)
	if p.ending == refused {
		_ = r.Reply(486)
		return
	}
	call, err := r.Accept()
	if err != nil {
		if !errors.Is(err, ua.ErrCancelled) {
			w.problem("call %d: accept: %v", n, err)
		}
		return
	}
	w.up(1, call)
	select {
	case <-call.Confirmed():
	case <-call.Done():
		return
	}
	w.ask(call, p.requests)
	if p.ending == calleeHangsUp || p.ending == bothHangUp {
		time.Sleep(p.talk)
		w.hangUp(n, call)
	}
}

func (w *world) info(r *ua.Request) {
	w.note(r.Msg)
	if r.Reply(200) != nil {
		return // the call is over
	}
}

// ask sends requests in a call. What has a 200 was seen once, at the other side, by the sum of all.
func (w *world) ask(call *ua.Call, n int) {
	for range n {
		m, err := call.Do(call.Context(), sip.INFO)
		if err != nil {
			continue
		}
		cseq, _ := m.CSeq()
		key := fmt.Sprintf("%s %d INFO to %q", call.CallID(), cseq.Seq, call.RemoteTag())
		w.mu.Lock()
		if m.StatusCode() == 200 && w.seen[key] != 1 {
			w.problems = append(w.problems, fmt.Sprintf("%s: answered with 200, seen %d times", key, w.seen[key]))
		}
		w.mu.Unlock()
	}
}

func (w *world) hangUp(n int, call *ua.Call) {
	w.mu.Lock()
	w.byes[call.CallID()]++
	w.mu.Unlock()
	err := call.Bye(context.Background())
	if err != nil && !errors.Is(err, transaction.ErrTimeout) && !errors.Is(err, ua.ErrNoAck) {
		w.problem("call %d: BYE: %v", n, err)
	}
}

// place is the caller.
func (w *world) place(ctx context.Context, srv *ua.Server, to netip.AddrPort, n int) {
	p := w.calls[n]
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if p.ending == cancelled {
		defer time.AfterFunc(p.patience, cancel).Stop()
	}
	call, err := srv.Invite(ctx, ua.Target{Transport: transport.UDP, Addr: to}, ua.InviteOptions{To: fmt.Sprintf("sip:%d@%v", n, to)})
	if err != nil {
		var no *ua.ResponseError
		switch {
		case errors.Is(err, transaction.ErrTimeout): // all of it was lost
		case p.ending == cancelled && errors.Is(err, context.Canceled):
		case p.ending == refused && errors.As(err, &no) && no.Code == 486:
		default:
			w.problem("call %d, %+v: %v", n, p, err)
		}
		return
	}
	if p.ending == refused {
		w.problem("call %d was refused and is up", n)
	}
	w.up(0, call)
	w.ask(call, p.requests)
	if p.ending != calleeHangsUp {
		time.Sleep(p.talk)
		w.hangUp(n, call)
	}
}

// check looks at what all of it came to.
func (w *world) check() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for request, times := range w.seen {
		if times != 1 {
			w.problems = append(w.problems, fmt.Sprintf("%s: the handler saw it %d times", request, times))
		}
	}
	for id, both := range w.sides {
		a, b := both[0], both[1]
		if a != nil && b == nil {
			w.problems = append(w.problems, id+": up at the caller's side alone")
		}
		if a != nil && b != nil && (a.LocalTag() != b.RemoteTag() || a.RemoteTag() != b.LocalTag()) {
			w.problems = append(w.problems, id+": two dialogs")
		}
		for side, c := range both {
			if c != nil && c.Context().Err() == nil {
				w.problems = append(w.problems, fmt.Sprintf("%s: not over at side %d", id, side))
			}
		}
		// Two BYEs may cross; one is not the other side's at both sides.
		if a != nil && b != nil && w.byes[id] < 2 && errors.Is(context.Cause(a.Context()), ua.ErrPeerHungUp) && errors.Is(context.Cause(b.Context()), ua.ErrPeerHungUp) {
			w.problems = append(w.problems, id+": each side says that the other hung up")
		}
	}
}
