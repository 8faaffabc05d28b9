package gateway

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/sallyport-sip/sallyport/internal/config"
	"github.com/sallyport-sip/sallyport/sip/transport"
)

func TestBackOffStaysWithinItsBounds(t *testing.T) {
	c := &config.Connection{RetryFirst: config.Duration{Duration: 2 * time.Second}, RetryLongest: config.Duration{Duration: time.Minute}}
	for failures, most := range []time.Duration{2 * time.Second, 4 * time.Second, 8 * time.Second, 16 * time.Second, 32 * time.Second, time.Minute, time.Minute} {
		seen := map[time.Duration]bool{}
		for range 200 {
			got := backOff(c, failures)
			if got < most/2 || got > most {
				t.Fatalf("after %d failures: %v, want half to all of %v", failures, got, most)
			}
			seen[got] = true
		}
		if len(seen) < 100 {
			t.Errorf("after %d failures there are only %d different waits", failures, len(seen))
		}
	}
	if got := backOff(c, 10_000); got > time.Minute {
		t.Errorf("after 10,000 failures: %v", got)
	}
}

// A connection that is to be kept up is there before any call, and comes back; while
// it cannot, an alarm tells.
func TestKeptConnectionComesBack(t *testing.T) {
	for _, over := range []transport.Transport{transport.TCP, transport.TLS} {
		run(t, setting{office: over, targets: over, profiles: map[string]string{"acme": "tuned"}, tuned: "connection: {connect: always}"}, func(r *rig) {
			time.Sleep(10 * time.Second)
			synctest.Wait()
			if n := r.dialled("acme"); n != 1 {
				t.Fatalf("%d connections to acme before any call, want 1", n)
			}
			r.acme.Close()
			time.Sleep(10 * time.Minute)
			synctest.Wait()
			if as := r.Alarms(); len(as) != 1 || as[0].Name != "connection to acme" {
				t.Errorf("alarms: %v, want one about the connection", as)
			}
			r.acme = r.peer("acme", over, acmeAddr)
			time.Sleep(5*time.Minute + time.Second)
			synctest.Wait()
			if n := r.dialled("acme"); n != 1 {
				t.Errorf("%d connections to acme when it is back, want 1", n)
			}
			if as := r.Alarms(); len(as) != 0 {
				t.Errorf("alarms: %v, want none", as)
			}
		})
	}
}

// A peer on UDP gets its datagrams at jittered intervals.
func TestPeerOnUDPIsReminded(t *testing.T) {
	run(t, setting{profiles: map[string]string{"acme": "tuned"}, tuned: "connection: {udp_keep_alive: 30s}"}, func(r *rig) {
		pings := func() uint64 {
			synctest.Wait()
			return r.server.Endpoint().Stats().Pings.Load()
		}
		before := pings()
		time.Sleep(10 * time.Minute)
		got := pings() - before
		if got < 20 || got > 25 {
			t.Errorf("%d datagrams in 10 minutes, want one each 24 to 30 s", got)
		}
		for range got {
			if m := r.acme.Next(); m.Err == nil {
				t.Errorf("acme got %s", m.Bytes())
			}
		}
	})
}
