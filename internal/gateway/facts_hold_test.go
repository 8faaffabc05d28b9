package gateway

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/sallyport-sip/sallyport/internal/store"
	"github.com/sallyport-sip/sallyport/sip"
	"github.com/sallyport-sip/sallyport/sip/siptest"
	"github.com/sallyport-sip/sallyport/sip/transport"
	"github.com/sallyport-sip/sallyport/sip/ua"
)

// holding runs a test with cdr: strict on a disk that is slow, after acme has
// answered with a 200 that is held.
func holding(t *testing.T, f func(r *rig, invite *siptest.Message)) {
	for _, tr := range []transport.Transport{transport.UDP, transport.TLS} {
		run(t, setting{office: tr, targets: tr, keys: "cdr: strict\n"}, func(r *rig) {
			r.cdrs.slow = true
			r.invite()
			invite := r.acme.WantRequest(sip.INVITE)
			r.acme.Reply(invite, 180)
			r.office.Want(180)
			r.acme.Reply(invite, 200, siptest.Body("application/sdp", answer))
			synctest.Wait()
			if got := r.last(); got.State != store.Answered || got.Answered.IsZero() {
				r.Errorf("what waits to be written is %+v", got)
			}
			f(r, invite)
		})
	}
}

// With cdr: strict the caller hears of the answer when the record is on the
// disk. Until then a 200 that comes again gets no ACK, and is not passed on.
func TestAnswerWaitsForItsRecord(t *testing.T) {
	holding(t, func(r *rig, invite *siptest.Message) {
		r.office.WantSilence(300 * time.Millisecond)
		r.acme.Reply(invite, 200, siptest.Body("application/sdp", answer))
		r.acme.WantSilence(300 * time.Millisecond)
		r.cdrs.release()
		ok := r.office.Want(200)
		r.office.Send(r.office.Ack(ok))
		r.acme.WantRequest(sip.ACK)
		r.hangUp(r.office, r.acme)
		if got := r.last(); got.State != store.Ended || got.Cause.SIP != 200 {
			r.Errorf("the record says %+v", got)
		}
	})
}

// In the other modes it does not wait, however slow the disk is.
func TestAnswerWaitsForNoRecordElse(t *testing.T) {
	for _, mode := range []string{"", "cdr: interval\n"} {
		run(t, setting{keys: mode}, func(r *rig) {
			r.cdrs.slow = true
			r.answered()
			r.hangUp(r.office, r.acme)
		})
	}
}

// gone checks that acme, whose answer nobody wants any more, gets its ACK and a
// BYE, and that it does not matter that the record is written later.
func (r *rig) gone(reason string) {
	r.Helper()
	r.acme.WantRequest(sip.ACK)
	bye := r.acme.WantRequest(sip.BYE)
	r.header(bye, sip.HdrReason, reason)
	r.acme.Reply(bye, 200)
	r.cdrs.release()
	r.office.WantSilence(time.Second)
	r.acme.WantSilence(time.Second)
}

func TestCallerGivesUpWhileTheAnswerWaits(t *testing.T) {
	holding(t, func(r *rig, _ *siptest.Message) {
		r.cancel(siptest.Set("Reason", "Q.850;cause=16"))
		r.gone("Q.850;cause=16")
		if got := r.last(); got.State != store.Cancelled || !got.Answered.IsZero() || got.EndedBy != "caller" || got.Cause.SIP != 487 || got.Cause.Q850 != 16 || got.In.Code != 487 || got.In.To200 != 0 {
			r.Errorf("the record says %+v", got)
		}
	})
	holding(t, func(r *rig, _ *siptest.Message) {
		r.office.Send(r.office.InDialog(sip.BYE))
		r.office.Want(200)
		r.refused(487)
		r.gone("")
		if got := r.last(); got.State != store.Cancelled || got.EndedBy != "caller" {
			r.Errorf("the record says %+v", got)
		}
	})
}

func TestCalleeHangsUpWhileTheAnswerWaits(t *testing.T) {
	holding(t, func(r *rig, invite *siptest.Message) {
		r.acme.Send(r.acme.InDialog(sip.BYE, siptest.Set("Reason", "Q.850;cause=19")))
		r.acme.Want(200)
		r.acme.WantRequest(sip.ACK)
		r.refused(480)
		r.acme.Reply(invite, 200) // crossed our ACK
		r.acme.WantRequest(sip.ACK)
		r.cdrs.release()
		r.office.WantSilence(time.Second)
		r.acme.WantSilence(time.Second)
		if got := r.last(); got.State != store.Refused || got.EndedBy != "callee" || got.Cause.Q850 != 19 || got.Out[0].Code != 200 {
			r.Errorf("the record says %+v", got)
		}
	})
}

// Another fork that answers meanwhile is one too many.
func TestOtherForkAnswersWhileTheAnswerWaits(t *testing.T) {
	holding(t, func(r *rig, invite *siptest.Message) {
		r.acme.Reply(invite, 200, siptest.Set("To", string(invite.First(sip.HdrTo))+";tag=other"))
		r.acme.WantRequest(sip.ACK)
		bye := r.acme.WantRequest(sip.BYE)
		r.header(bye, sip.HdrTo, string(invite.First(sip.HdrTo))+";tag=other")
		r.acme.Reply(bye, 200)
		r.cdrs.release()
		r.office.Send(r.office.Ack(r.office.Want(200)))
		r.acme.WantRequest(sip.ACK)
		r.office.Send(r.office.InDialog(sip.BYE))
		r.office.Want(200)
		r.acme.Reply(r.acme.WantRequest(sip.BYE), 200)
	})
}

// The gateway may stop meanwhile.
func TestGatewayStopsWhileTheAnswerWaits(t *testing.T) {
	holding(t, func(r *rig, _ *siptest.Message) {
		for i := range r.server.NumShards() {
			r.server.Do(i, func(s *ua.Shard) { r.engine.Shutdown(s, 1000) })
		}
		r.refused(503)
		r.gone(`SIP;cause=503;text="Service Unavailable", Q.850;cause=41`)
	})
}
