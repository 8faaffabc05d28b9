package e2e

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// TestKilledTwentyTimes runs a gateway under 200 calls a second, kills it at a random moment, and starts it again, twenty
// times on one data directory. Each time, every call that the caller saw answered longer ago than the interval is in the
// records exactly once: as ended when it saw that, too, longer ago than the interval, else as interrupted.
func TestKilledTwentyTimes(t *testing.T) {
	t.Parallel()
	killed(t, false, 20)
}

// TestKilledStrict does the same with cdr: strict, where the caller sees no answer that is not in the records; ends are
// recorded as they are without it.
func TestKilledStrict(t *testing.T) {
	t.Parallel()
	killed(t, true, 5)
}

func killed(t *testing.T, strict bool, times int) {
	if testing.Short() {
		t.Skip("takes a minute")
	}
	dir, mode := t.TempDir(), "cdr: interval"
	if strict {
		mode = "cdr: strict"
	}
	addr := someAddresses(t, "127.0.0.1", 4)
	want := map[string][]string{} // states that the record of a call may have, of all runs
	younger, calls, lost := 0, 0, time.Duration(0)
	for round := range times {
		p := newPhones(t, addr[1], addr[2], addr[0], fmt.Sprintf("run%d", round))
		gateway := startServe(t, dir, phonesConfig(addr, mode))
		wantRecords(t, dir, fmt.Sprintf("start %d", round+1), want, false) // what the last kill left is in order now
		life := 500*time.Millisecond + rand.N(700*time.Millisecond)
		if round%7 == 3 {
			life = 5*time.Second + rand.N(200*time.Millisecond) // while the journal is moved into the table
		}
		disk := startSyncs(t, dir)
		ring(p, life)
		gateway.cmd.Process.Kill()
		at := time.Now() // later than the moment of death by less than what the caller needs to see an answer
		<-gateway.ended
		// 10 ms, and what the disk needs for the batch before: until then the next one is not written. On top of it what a
		// busy machine needs until it runs the process that has something to do.
		late := at.Add(-10*time.Millisecond - 2*disk.slowest() - 50*time.Millisecond)
		p.close()
		recorded := cdrs(t, dir)
		for id, c := range p.seen() {
			calls++
			if _, ok := recorded[id]; !ok && !c.answered.IsZero() {
				lost = max(lost, at.Sub(c.answered))
			}
			switch {
			case c.status != 0 && c.status != 200:
				t.Errorf("%s was answered with %d", id, c.status)
			case !c.ended.IsZero() && c.ended.Before(late):
				want[id] = []string{"ended"}
			case !c.answered.IsZero() && (c.answered.Before(late) || strict):
				want[id] = []string{"interrupted"}
				if c.hold > 0 { // perhaps it ended at the last moment
					want[id] = append(want[id], "ended")
				}
			case !c.answered.IsZero():
				younger++
			}
		}
		wantRecords(t, dir, fmt.Sprintf("kill %d", round+1), want, true)
		if t.Failed() {
			return
		}
	}
	gateway := startServe(t, dir, phonesConfig(addr, mode))
	wantRecords(t, dir, "the end", want, false)
	gateway.terminate(t)
	wantRecords(t, dir, "a stop", want, false)
	t.Logf("%d calls in %d runs: %d had to be recorded, %d had been answered too shortly before the end; the oldest answered call that is not there was %v old", calls, times, len(want), younger, lost)
	if len(want) < times*20 {
		t.Errorf("only %d calls say anything", len(want))
	}
}

// ring places 200 calls a second for so long. One in four stays up, the others last up to 300 ms.
func ring(p *phones, life time.Duration) {
	began := time.Now()
	for n := 0; ; n++ {
		hold := time.Duration(0)
		if n%4 != 0 {
			hold = time.Millisecond + rand.N(300*time.Millisecond)
		}
		time.Sleep(time.Until(began.Add(time.Duration(n) * 5 * time.Millisecond)))
		if time.Since(began) > life {
			return
		}
		p.place(n, hold)
	}
}

// wantRecords compares the records with what must be there. After a kill, before the next start, what will be
// interrupted still has the state that it had.
func wantRecords(t *testing.T, dir, after string, want map[string][]string, dead bool) {
	t.Helper()
	got := cdrs(t, dir)
	for id, states := range want {
		c, ok := got[id]
		if !ok {
			t.Errorf("after %s: %s is missing", after, id)
			continue
		}
		is := c.State
		if is == "answered" && dead {
			is = "interrupted"
		}
		if is != states[0] && (len(states) < 2 || is != states[1]) {
			t.Errorf("after %s: %s is %s, want %v", after, id, c.State, states)
		}
	}
	for id, c := range got {
		if !dead && (c.State == "open" || c.State == "answered") {
			t.Errorf("after %s: %s is still %s", after, id, c.State)
		}
	}
}

// syncs measures how long a process needs meanwhile for a sync, and until it runs
// again after a wait.
type syncs struct {
	stop chan struct{}
	most chan time.Duration
}

func startSyncs(t *testing.T, dir string) *syncs {
	t.Helper()
	f, err := os.Create(filepath.Join(dir, "sync"))
	if err != nil {
		t.Fatal(err)
	}
	s := &syncs{stop: make(chan struct{}), most: make(chan time.Duration, 1)}
	const pause = 20 * time.Millisecond
	go func() {
		defer f.Close()
		var most time.Duration
		for {
			began := time.Now()
			f.WriteAt(make([]byte, 4096), 0)
			f.Sync()
			most = max(most, time.Since(began))
			rest := time.Now()
			select {
			case <-s.stop:
				s.most <- most
				return
			case <-time.After(pause):
			}
			most = max(most, rest.Sub(began)+time.Since(rest)-pause)
		}
	}()
	return s
}

// slowest ends the measurement.
func (s *syncs) slowest() time.Duration {
	close(s.stop)
	return <-s.most
}
