package gateway

import (
	"slices"
	"strconv"
	"sync"
	"testing"

	"github.com/sallyport-sip/sallyport/internal/peer"
	"github.com/sallyport-sip/sallyport/internal/store"
)

// keeper keeps the records of a test's calls.
type keeper struct {
	mu      sync.Mutex
	ids     int
	rows    []store.CDR // by the order of their first
	puts    map[string][]store.State
	slow    bool // durable records wait for release
	waiting []func(error)
}

func (k *keeper) NewID() string {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.ids++
	return strconv.Itoa(k.ids)
}

func (k *keeper) Put(c *store.CDR) {
	k.mu.Lock()
	defer k.mu.Unlock()
	row := *c
	row.Out = slices.Clone(c.Out)
	if k.puts == nil {
		k.puts = map[string][]store.State{}
	}
	k.puts[c.ID] = append(k.puts[c.ID], c.State)
	if i := slices.IndexFunc(k.rows, func(r store.CDR) bool { return r.ID == c.ID }); i >= 0 {
		k.rows[i] = row
		return
	}
	k.rows = append(k.rows, row)
}

func (k *keeper) PutDurable(c *store.CDR, done func(error)) {
	k.Put(c)
	k.mu.Lock()
	slow := k.slow
	if slow {
		k.waiting = append(k.waiting, done)
	}
	k.mu.Unlock()
	if !slow {
		done(nil)
	}
}

// release lets the durable records that wait be on the disk.
func (k *keeper) release() {
	k.mu.Lock()
	all := k.waiting
	k.waiting = nil
	k.mu.Unlock()
	for _, done := range all {
		done(nil)
	}
}

// all returns the records as they are now.
func (k *keeper) all() []store.CDR {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.Clone(k.rows)
}

// closed checks that each record was opened, if it was, and closed once.
func (k *keeper) closed(t *testing.T) {
	t.Helper()
	k.mu.Lock()
	defer k.mu.Unlock()
	for id, states := range k.puts {
		over := 0
		for _, s := range states {
			if s.Over() {
				over++
			}
		}
		if last := states[len(states)-1]; over != 1 || !last.Over() {
			t.Errorf("record %s went through the states %v", id, states)
		}
	}
}

// unloaded checks that no call is counted on any peer.
func (r *rig) unloaded() {
	r.Helper()
	for _, p := range r.snapshot.Load().peers.All() {
		for way, l := range map[string]*peer.Load{"from": &p.State.In, "to": &p.State.Out} {
			if n := l.Calls(); n != 0 {
				r.Errorf("%d calls %s %s are counted", n, way, p.Name)
			}
		}
	}
}

// last returns the newest record.
func (r *rig) last() store.CDR {
	r.Helper()
	all := r.cdrs.all()
	if len(all) == 0 {
		r.Fatal("no call was recorded")
	}
	return all[len(all)-1]
}
