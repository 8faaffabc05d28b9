package gateway

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sallyport-sip/sallyport/sip"
	"github.com/sallyport-sip/sallyport/sip/siptest"
)

// drain drains until ctx ends, and tells when it is over how many calls are left.
func (r *rig) drain(ctx context.Context) <-chan int {
	over := make(chan int, 1)
	go func() { over <- r.Drain(ctx) }()
	synctest.Wait()
	return over
}

// still wants a drain that is not over.
func (r *rig) still(over <-chan int) {
	r.Helper()
	synctest.Wait()
	select {
	case n := <-over:
		r.Fatalf("the drain is over, with %d calls left", n)
	default:
	}
}

// While the gateway drains, calls go on as if nothing were, and nothing new
// begins: who asks is told so.
func TestDrainLetsCallsEnd(t *testing.T) {
	hops(t, func(r *rig) {
		r.answered()
		over := r.drain(r.Context())
		r.office.Send(r.office.Request(sip.OPTIONS, "sip:192.0.2.1"))
		if m := r.office.Want(503); m.First(sip.HdrRetryAfter) == nil {
			r.Error("the 503 to OPTIONS has no Retry-After")
		}
		time.Sleep(29 * time.Second)
		r.still(over)
		r.hangUp(r.acme, r.office)
		if left := <-over; left != 0 {
			r.Errorf("%d calls are left", left)
		}
		r.office.Send(r.office.Request(sip.INVITE, number, siptest.Body("application/sdp", offer)))
		r.office.Want(100)
		if m := r.refused(503); m.First(sip.HdrRetryAfter) == nil {
			r.Error("the 503 has no Retry-After")
		}
		at := time.Now()
		r.shut()
		if took := time.Since(at); took > farewell+2*time.Second {
			r.Errorf("closing took %v", took)
		}
	})
}

// A call that rings when the gateway is told to stop may still be answered.
func TestDrainLetsCallsBegin(t *testing.T) {
	run(t, mutual, func(r *rig) {
		r.invite()
		invite := r.acme.WantRequest(sip.INVITE)
		over := r.drain(r.Context())
		r.acme.Reply(invite, 200, siptest.Body("application/sdp", answer))
		r.office.Send(r.office.Ack(r.office.Want(200)))
		r.acme.WantRequest(sip.ACK)
		r.still(over)
		r.hangUp(r.office, r.acme)
		if left := <-over; left != 0 {
			r.Errorf("%d calls are left", left)
		}
	})
}

// Calls that do not end are ended after the time that the configuration says,
// with the reason in the BYE, and the log says now and then how many are left.
func TestDrainEndsCallsInTheEnd(t *testing.T) {
	run(t, mutual, func(r *rig) {
		r.answered()
		at := time.Now()
		over := r.drain(r.Context())
		time.Sleep(25 * time.Second)
		synctest.Wait()
		if n := strings.Count(r.log.String(), `msg=draining calls=1`); n != 2 {
			r.Errorf("the log said %d times how many calls are left, want 2", n)
		}
		if left := <-over; left != 1 || time.Since(at) != 30*time.Second {
			r.Errorf("after %v %d calls are left, want 1 after 30 s", time.Since(at), left)
		}
		closed := make(chan struct{})
		go func() {
			r.shut()
			close(closed)
		}()
		for _, p := range []*siptest.Peer{r.office, r.acme} {
			bye := p.WantRequest(sip.BYE)
			if reason := string(bye.First(sip.HdrReason)); reason == "" {
				r.Error("the BYE has no Reason")
			}
			p.Reply(bye, 200)
		}
		<-closed
	})
}

// Whoever ends the context, with a second signal, does not want to wait.
func TestDrainIsCutShort(t *testing.T) {
	run(t, plain, func(r *rig) {
		r.answered()
		ctx, cancel := context.WithCancel(r.Context())
		over := r.drain(ctx)
		time.Sleep(time.Second)
		r.still(over)
		cancel()
		if left := <-over; left != 1 {
			r.Errorf("%d calls are left, want 1", left)
		}
		r.hangUp(r.office, r.acme)
	})
}

func TestDrainOfNothing(t *testing.T) {
	run(t, plain, func(r *rig) {
		at := time.Now()
		if left := r.Drain(r.Context()); left != 0 || time.Since(at) != 0 {
			r.Errorf("it took %v, and %d calls are left", time.Since(at), left)
		}
	})
}
