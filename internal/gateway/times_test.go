package gateway

import (
	"maps"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sallyport-sip/sallyport/internal/metrics"
	"github.com/sallyport-sip/sallyport/sip"
	"github.com/sallyport-sip/sallyport/sip/siptest"
	"github.com/sallyport-sip/sallyport/sip/transport"
)

// classes checks how the calls of a peer have failed.
func (r *rig) classes(what string, got map[string]uint64, want map[string]uint64) {
	r.Helper()
	maps.DeleteFunc(got, func(_ string, n uint64) bool { return n == 0 })
	if !maps.Equal(got, want) {
		r.Errorf("%s: got %v, want %v", what, got, want)
	}
}

// How a call failed is counted on both sides, each target by what it said itself.
func TestFailuresByClass(t *testing.T) {
	run(t, setting{targets: transport.TCP}, func(r *rig) {
		peers := r.snapshot.Load().peers
		office, acme, backup := peers.Lookup("office").State, peers.Lookup("acme").State, peers.Lookup("backup").State
		r.invite()
		r.refuse(r.acme, r.acme.WantRequest(sip.INVITE), 486)
		r.refused(486)
		r.invite()
		invite := r.acme.WantRequest(sip.INVITE)
		r.acme.Reply(invite, 180)
		r.office.Want(180)
		r.cancel()
		r.acme.Reply(r.acme.WantRequest(sip.CANCEL), 200)
		r.refuse(r.acme, invite, 487)
		r.none()
		r.classes("to acme", acme.Out.FailedBy(), map[string]uint64{"busy": 1, "cancelled": 1})
		r.acme.Close()
		r.invite()
		r.refuse(r.backup, r.backup.WantRequest(sip.INVITE), 404)
		r.refused(404)
		r.none()
		r.classes("from office", office.In.FailedBy(), map[string]uint64{"busy": 1, "cancelled": 1, "4xx": 1})
		r.classes("to acme", acme.Out.FailedBy(), map[string]uint64{"busy": 1, "cancelled": 1, "unreachable": 1})
		r.classes("to backup", backup.Out.FailedBy(), map[string]uint64{"4xx": 1})
		if n := office.In.Totals().Failed; n != 3 {
			r.Errorf("%d calls of the office have failed, want 3", n)
		}
		r.office.Send(r.office.Request(sip.INVITE, number, siptest.Set("Max-Forwards", "0")))
		r.refused(483)
		r.none()
		r.classes("refused to office", office.In.RefusedBy(), map[string]uint64{"4xx": 1})
	})
}

// took wants one time of that length.
func (r *rig) took(what string, got metrics.Times, count uint64, sum time.Duration) {
	r.Helper()
	if got.Count != count || got.Sum != sum {
		r.Errorf("%s: %d times, together %v; want %d, %v", what, got.Count, got.Sum, count, sum)
	}
}

func TestSetupAndHandshakeTimes(t *testing.T) {
	run(t, setting{targets: transport.TLS}, func(r *rig) {
		r.invite()
		invite := r.acme.WantRequest(sip.INVITE)
		time.Sleep(2 * time.Second)
		r.acme.Reply(invite, 180)
		r.office.Want(180)
		time.Sleep(3 * time.Second)
		r.acme.Reply(invite, 200, siptest.Body("application/sdp", answer))
		r.office.Send(r.office.Ack(r.office.Want(200)))
		r.acme.WantRequest(sip.ACK)
		r.hangUp(r.office, r.acme)
		r.invite()
		invite = r.acme.WantRequest(sip.INVITE)
		time.Sleep(4 * time.Second)
		r.refuse(r.acme, invite, 486)
		r.refused(486)
		r.none()
		synctest.Wait()
		all := r.SetupTimes()
		for outcome, want := range map[string]time.Duration{"answered": 5 * time.Second, "failed": 4 * time.Second} {
			r.took(outcome, all[outcome], 1, want)
		}
		r.took("cancelled", all["cancelled"], 0, 0)
		r.took("ringing", r.RingingTimes(), 1, 2*time.Second)
		if n := r.HandshakeTimes()[metrics.Handshake{Role: "client", Outcome: "accepted"}].Count; n != 1 {
			r.Errorf("%d handshakes with acme count, want 1", n)
		}
	})
}
