package gateway

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sallyport-sip/sallyport/sip/transport"
)

// keptUp is acme on TCP, to be connected always.
var keptUp = setting{targets: transport.TCP, profiles: map[string]string{"acme": "tuned"}, tuned: "connection: {connect: always}"}

func (r *rig) upkeepIs(state KeptState) Kept {
	r.Helper()
	synctest.Wait()
	k := r.Kept()["acme"]
	if k.State != state {
		r.Errorf("the connection is %+v, want %s", k, state)
	}
	return k
}

// What is told of a kept connection: since when it is up, why it went, when it is
// dialled again.
func TestKeptConnectionIsTold(t *testing.T) {
	run(t, keptUp, func(r *rig) {
		time.Sleep(10 * time.Second) // acme may have been opened after the gateway
		up := r.upkeepIs(KeptUp)
		if !up.Next.IsZero() || time.Since(up.Since) < 5*time.Second {
			t.Errorf("when it is up: %+v", up)
		}
		if all := r.Kept(); len(all) != 1 {
			t.Errorf("kept: %v, want only acme's", all)
		}
		time.Sleep(time.Hour)
		gone := time.Now()
		r.acme.Close()
		away := r.upkeepIs(KeptWaiting)
		if !away.Since.Equal(gone) || !away.Next.After(gone) || away.Next.After(gone.Add(2*time.Second)) || away.Failures != 1 ||
			!strings.Contains(away.Cause, "the other side closed the connection") {
			t.Errorf("after its end at %v: %+v", gone, away)
		}
		time.Sleep(10 * time.Minute)
		away = r.upkeepIs(KeptWaiting)
		if !away.Since.Equal(gone) || away.Failures < 5 || !strings.Contains(away.Cause, "refused") {
			t.Errorf("ten minutes later: %+v", away)
		}
		time.Sleep(time.Until(away.Next) - time.Nanosecond)
		if again := r.upkeepIs(KeptWaiting); again.Failures != away.Failures {
			t.Errorf("it was dialled before its time: %+v", again)
		}
		r.acme = r.peer("acme", transport.TCP, acmeAddr)
		time.Sleep(time.Nanosecond)
		r.upkeepIs(KeptUp)
	})
}

// A reload that repairs the address need not wait for the back-off, which goes on
// when only some other connection ends.
func TestReloadWakesAKeptConnection(t *testing.T) {
	const moved = "192.0.2.20:5085"
	run(t, keptUp, func(r *rig) {
		time.Sleep(10 * time.Second)
		r.upkeepIs(KeptUp)
		r.acme.Close()
		time.Sleep(time.Hour)
		before := r.upkeepIs(KeptWaiting)
		for time.Until(before.Next) < 30*time.Second {
			time.Sleep(30 * time.Second)
			before = r.upkeepIs(KeptWaiting)
		}
		r.upkeeps.mu.Lock()
		r.upkeeps.all["acme"].nudge()
		r.upkeeps.mu.Unlock()
		if k := r.upkeepIs(KeptWaiting); k.Failures != before.Failures || !k.Next.Equal(before.Next) {
			t.Errorf("it was dialled because another connection ended: %+v, before %+v", k, before)
		}
		r.peer("acme", transport.TCP, moved)
		r.rewrite(acmeAddr, moved)
		r.takes()
		r.upkeepIs(KeptUp)
	})
}

// A connection that was found dead is counted by its sign.
func TestDeathsAreCounted(t *testing.T) {
	run(t, plain, func(r *rig) {
		r.dead("")
		r.dead(transport.DeathSilent)
		if got := r.Deaths(); len(got) != 3 || got[transport.DeathSilent] != 1 || got[transport.DeathNoPong] != 0 {
			t.Errorf("counted %v", got)
		}
	})
}
