package gateway

import (
	"context"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sallyport-sip/sallyport/internal/memnet"
	"github.com/sallyport-sip/sallyport/sip"
	"github.com/sallyport-sip/sallyport/sip/siptest"
	"github.com/sallyport-sip/sallyport/sip/transport"
)

// The server of one side is down for a while when its calls end. They are over at
// once, and their BYEs arrive when it is back.
func TestByesAreOwedToAPeerThatIsDown(t *testing.T) {
	const calls = 50
	for _, shards := range []int{1, 3} {
		boxes(t, shards, func(r *rig, office, acme *box) {
			ours, theirs := talk(office, acme, calls)
			acme.deaf()
			acme.net.lose((*memnet.Conn).Reset)
			synctest.Wait()
			for _, call := range ours {
				if err := call.Bye(r.Context()); err != nil {
					t.Fatal(err)
				}
			}
			r.none()
			if left := r.Drain(r.Context()); left != 0 {
				t.Errorf("%d calls are left for a drain", left)
			}
			time.Sleep(10 * time.Second)
			if n := strings.Count(r.log.String(), "BYE not sent yet: it is tried again"); n != calls {
				t.Errorf("the log says %d times that a BYE is tried again, want %d", n, calls)
			}
			before := acme.net.opened()
			acme.listen(acme.conf)
			time.Sleep(t2)
			synctest.Wait()
			for i, call := range theirs {
				if call.Context().Err() == nil || call.Err() != nil {
					t.Errorf("call %d got no BYE: %v", i, context.Cause(call.Context()))
				}
			}
			if n := acme.net.opened() - before; n != 1 {
				t.Errorf("%d connections for all BYEs, want 1", n)
			}
			if strings.Contains(r.log.String(), "BYE not sent: ") {
				t.Error("the log says that a BYE was given up")
			}
		})
	}
}

// What is owed leaves a few at a time when the peer is back.
func TestWhatIsOwedLeavesInTurns(t *testing.T) {
	const calls = 250
	boxes(t, 1, func(r *rig, office, acme *box) {
		ours, theirs := talk(office, acme, calls)
		acme.deaf()
		acme.net.lose((*memnet.Conn).Reset)
		synctest.Wait()
		for _, call := range ours {
			if err := call.Bye(r.Context()); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(10 * time.Second)
		acme.listen(acme.conf)
		var steps []int
		for range 1000 {
			ended := 0
			for _, call := range theirs {
				if call.Context().Err() != nil {
					ended++
				}
			}
			if len(steps) == 0 || ended != steps[len(steps)-1] {
				steps = append(steps, ended)
			}
			time.Sleep(5 * time.Millisecond)
			synctest.Wait()
		}
		if !slices.Equal(steps, []int{0, 100, 200, 250}) {
			t.Errorf("the numbers of BYEs that arrived are %v", steps)
		}
	})
}

// What cannot be sent within 64*T1 is given up, and the flow says why.
func TestByesAreNotOwedForEver(t *testing.T) {
	boxes(t, 1, func(r *rig, office, acme *box) {
		const calls = 5
		ours, _ := talk(office, acme, calls)
		acme.deaf()
		acme.net.lose((*memnet.Conn).Reset)
		synctest.Wait()
		for _, call := range ours {
			if err := call.Bye(r.Context()); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(lifetime - time.Millisecond)
		synctest.Wait()
		const given = "BYE not sent: the call ends at our side only"
		if n := strings.Count(r.log.String(), given); n != 0 {
			t.Errorf("%d BYEs are given up too early", n)
		}
		time.Sleep(2 * time.Millisecond)
		synctest.Wait()
		if n := strings.Count(r.log.String(), given); n != calls {
			t.Errorf("%d BYEs are given up, want %d", n, calls)
		}
		for _, f := range r.recorder.Flows() {
			if strings.HasPrefix(f.ID, "conn-") {
				continue
			}
			found := false
			for _, row := range f.Rows {
				found = found || strings.Contains(row.Label+row.Note, "BYE not sent: ")
			}
			if !found {
				t.Errorf("the flow of call %s does not say that its BYE was given up", f.ID)
			}
		}
		if calls, tags := r.kept(); calls != 0 || tags != 0 {
			t.Errorf("%d calls and %d tags are kept", calls, tags)
		}
	})
}

// The tries grow apart up to T2, one for all calls.
func TestTriesForWhatIsOwed(t *testing.T) {
	run(t, setting{targets: transport.TCP}, func(r *rig) {
		for range 3 {
			r.answered()
			r.office.Send(r.office.InDialog(sip.BYE))
			r.office.Want(200)
			r.acme.Reply(r.acme.WantRequest(sip.BYE), 200)
		}
		r.answered()
		r.acme.Close()
		synctest.Wait()
		r.office.Send(r.office.InDialog(sip.BYE))
		r.office.Want(200)
		at := time.Now()
		// After 0.5, 1.5, 3.5, 7.5, 11.5 … s.
		time.Sleep(8 * time.Second)
		r.acme = r.peer("acme", transport.TCP, acmeAddr)
		bye := r.acme.WantRequest(sip.BYE)
		if took := time.Since(at); took != 11500*time.Millisecond {
			r.Errorf("the BYE came after %v, want 11.5 s", took)
		}
		r.acme.Reply(bye, 200)
	})
}

// Several requests are lost with one connection: each is sent again on the next one,
// in the order of their CSeq numbers, or the other side would refuse them.
func TestRequestsAreSentAgainInOrder(t *testing.T) {
	streams(t, func(r *rig) {
		r.answered()
		for range 3 {
			r.office.Send(r.office.InDialog(sip.INFO))
			r.acme.WantRequest(sip.INFO)
		}
		r.acme.HangUp()
		for want := range 3 {
			m := r.acme.WantRequest(sip.INFO)
			if cseq, _ := m.CSeq(); cseq.Seq != uint32(want+2) {
				r.Fatalf("got CSeq %d, want %d", cseq.Seq, want+2)
			}
			r.acme.Reply(m, 200)
			r.office.Want(200)
		}
		r.hangUp(r.office, r.acme)
	})
}

// The same when the other side is already back on another connection: that the first
// of them has moved the leg there leaves none of the others behind.
func TestRequestsFollowTheFirst(t *testing.T) {
	streams(t, func(r *rig) {
		r.answered()
		for range 3 {
			r.acme.Send(r.acme.InDialog(sip.INFO))
			r.office.WantRequest(sip.INFO)
		}
		before := r.office
		r.office = r.peer("office", r.set.office, "192.0.2.10:6000")
		r.office.Dial(r.listener(r.set.office))
		synctest.Wait()
		before.Close()
		for want := range 3 {
			m := r.office.WantRequest(sip.INFO)
			if cseq, _ := m.CSeq(); cseq.Seq != uint32(want+1) {
				r.Fatalf("got CSeq %d, want %d", cseq.Seq, want+1)
			}
			r.office.Reply(m, 200)
			r.acme.Want(200)
		}
		r.hangUp(r.acme, r.office)
	})
}

// A request waits for a connection to the other side, which comes back by one of its
// own meanwhile: it goes there at once, and before those that come after it.
func TestRequestsThatWaitGoFirst(t *testing.T) {
	set := setting{office: transport.TCP, targets: transport.TCP}
	set.options = func(o *Options) { o.Network = slow{o.Network} }
	run(t, set, func(r *rig) {
		r.answered()
		r.acme.HangUp()
		synctest.Wait()
		r.office.Send(r.office.InDialog(sip.INFO))
		synctest.Wait()
		r.acme.Dial(r.listener(transport.TCP))
		r.acme.Send(r.acme.InDialog(sip.OPTIONS))
		options := r.office.WantRequest(sip.OPTIONS)
		r.office.Send(r.office.InDialog(sip.INFO))
		for want := range 2 {
			m := r.acme.WantRequest(sip.INFO)
			if cseq, _ := m.CSeq(); cseq.Seq != uint32(want+2) {
				r.Fatalf("got CSeq %d, want %d", cseq.Seq, want+2)
			}
			r.acme.Reply(m, 200)
			r.office.Want(200)
		}
		r.office.Reply(options, 200)
		r.acme.Want(200)
		time.Sleep(5 * time.Second) // the connection that was being made comes up
		r.hangUp(r.office, r.acme)
	})
}

// A call keeps so many requests that cross and so many answered INVITEs, and no
// more.
func TestRequestsOfACallHaveAnEnd(t *testing.T) {
	run(t, setting{office: transport.TCP, targets: transport.TCP}, func(r *rig) {
		r.answered()
		for range 64 {
			r.office.Send(r.office.InDialog(sip.INFO))
			r.acme.WantRequest(sip.INFO)
		}
		r.office.Send(r.office.InDialog(sip.INFO))
		if m := r.office.Want(500); m.First(sip.HdrRetryAfter) == nil {
			r.Error("the 500 has no Retry-After")
		}
		r.office.Send(r.office.InDialog(sip.BYE))
		for range 64 {
			r.office.Next() // 487 and 200
		}
		r.office.Next()
		r.acme.Reply(r.acme.WantRequest(sip.BYE), 200)

		r.answered()
		for range 31 { // with the first one 32
			r.office.Send(r.office.InDialog(sip.INVITE, siptest.Body("application/sdp", offer)))
			r.acme.Reply(r.acme.WantRequest(sip.INVITE), 200, siptest.Body("application/sdp", answer))
			r.office.Send(r.office.Ack(r.office.Want(200)))
			r.acme.WantRequest(sip.ACK)
		}
		r.office.Send(r.office.InDialog(sip.INVITE, siptest.Body("application/sdp", offer)))
		r.refused(500)
		time.Sleep(lifetime + time.Second)
		r.office.Send(r.office.InDialog(sip.INVITE, siptest.Body("application/sdp", offer)))
		r.acme.Reply(r.acme.WantRequest(sip.INVITE), 200, siptest.Body("application/sdp", answer))
		r.office.Send(r.office.Ack(r.office.Want(200)))
		r.acme.WantRequest(sip.ACK)
		r.hangUp(r.office, r.acme)
	})
}
