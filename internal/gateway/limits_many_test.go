package gateway

import (
	"context"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sallyport-sip/sallyport/internal/store"
	"github.com/sallyport-sip/sallyport/sip"
	"github.com/sallyport-sip/sallyport/sip/ua"
)

// Ten thousand calls begin and end in every way, many of them above a limit.
// Then nothing is counted any more, no limit was ever exceeded, and there is one
// record of each.
func TestCountersAfterManyCalls(t *testing.T) {
	const calls, inOffice, outAcme = 10_000, 60, 25
	set := setting{
		shards: 3,
		extra: map[string]string{
			"office": "limits: {calls_in: 60, rate_in: 200}",
			"acme":   "limits: {calls_out: 25}, profile: tuned",
			"backup": "limits: {rate_out: 60, refuse_with: 486, longest_call: 4s}",
		},
		tuned: "down_for: 2s, response_timeout: 1s, answer_timeout: 10s",
	}
	synctest.Test(t, func(t *testing.T) {
		r := start(t, set)
		r.office.Close()
		r.acme.Close()
		r.backup.Close()
		answers := r.random()
		caller := r.agent(officeAddr, func(q *ua.Request) { q.Reply(200) })
		servers := []*ua.Server{caller, r.agent(acmeAddr, answers), r.agent(backupAddr, answers)}

		var placed sync.WaitGroup
		var answered atomic.Int64
		var highest [2]int64
		peers := r.snapshot.Load().peers
		for i := range calls {
			placed.Go(func() {
				ctx, cancel := context.WithTimeout(r.Context(), time.Duration(1+rand.IntN(6000))*time.Millisecond)
				defer cancel()
				call, err := r.dial(ctx, caller, number)
				if err != nil {
					return
				}
				answered.Add(1)
				time.Sleep(time.Duration(rand.IntN(6000)) * time.Millisecond)
				bye, cancel := context.WithTimeout(r.Context(), time.Minute)
				defer cancel()
				_ = call.Bye(bye) // the other side may have been first
			})
			if i%10 == 0 {
				time.Sleep(time.Duration(rand.IntN(80)) * time.Millisecond)
			}
			for i, n := range []int64{peers.Lookup("office").State.In.Calls(), peers.Lookup("acme").State.Out.Calls()} {
				highest[i] = max(highest[i], n)
			}
		}
		placed.Wait()
		time.Sleep(4 * time.Minute) // timer C of calls that nobody took
		r.empty()
		for _, srv := range servers {
			if err := srv.Close(r.Context()); err != nil {
				r.Error(err)
			}
		}

		if highest[0] > inOffice || highest[1] > outAcme || highest[0] < inOffice || highest[1] < outAcme {
			r.Errorf("the highest numbers of calls were %v, want %d and %d", highest, inOffice, outAcme)
		}
		states := map[store.State]int{}
		for _, c := range r.cdrs.all() {
			states[c.State]++
		}
		totals := peers.Lookup("office").State.In.Totals()
		if n := len(r.cdrs.all()); n != calls || int(totals.Began+totals.Limited) != calls {
			r.Errorf("%d records, %d calls begun and %d above a limit, want %d in all", n, totals.Began, totals.Limited, calls)
		}
		if int(totals.Answered) != states[store.Ended] || int(totals.Failed+totals.Limited) != states[store.Refused]+states[store.Cancelled] {
			r.Errorf("counted %+v, recorded %v", totals, states)
		}
		if states[store.Ended] < calls/100 || states[store.Refused] < calls/100 || states[store.Cancelled] < calls/100 || totals.Limited < calls/100 {
			r.Errorf("too few of a kind to test anything: %v, %+v", states, totals)
		}
		if int64(states[store.Ended]) < answered.Load() {
			r.Errorf("%d calls were answered, and %d are recorded so", answered.Load(), states[store.Ended])
		}
	})
}

// random answers calls in every way.
func (r *rig) random() ua.HandlerFunc {
	return func(q *ua.Request) {
		if q.Msg.Method() != sip.INVITE {
			q.Reply(200)
			return
		}
		wait := func() { time.Sleep(time.Duration(rand.IntN(3000)) * time.Millisecond) }
		switch rand.IntN(12) {
		case 0:
			q.Reply(503)
			return
		case 1:
			q.Reply(486)
			return
		case 2:
			q.Reply(180)
			<-q.Context().Done() // cancelled
			return
		case 3:
			q.Reply(183)
			wait()
			q.Reply(504)
			return
		case 4, 5, 6:
			q.Reply(180)
			wait()
		}
		call, err := q.Accept(ua.Body("application/sdp", []byte(answer)))
		if err != nil {
			return // cancelled meanwhile
		}
		if rand.IntN(2) == 0 {
			wait()
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
			defer cancel()
			_ = call.Bye(ctx)
		}
	}
}
