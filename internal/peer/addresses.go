package peer

import (
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// addresses remembers which addresses of a peer have failed, where its name has
// several. The zero value knows of none. All shards use it at once.
type addresses struct {
	some atomic.Bool // there may be entries: so that nearly always no lock is taken

	mu   sync.Mutex // guards down
	down map[netip.AddrPort]time.Time
}

// maxAddresses is how many a peer's are remembered; what fails beyond that is
// tried by each call.
const maxAddresses = 64

// AskAt says whether a call that has other addresses may ask the peer at this
// one. As with [State.Ask] one call gets leave to try it when its time is over, and
// the next one after again, unless the first was answered.
func (s *State) AskAt(addr netip.AddrPort, now time.Time, again time.Duration) bool {
	a := &s.addresses
	if !a.some.Load() {
		return true
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	until, down := a.down[addr]
	switch {
	case !down:
		return true
	case now.Before(until):
		return false
	}
	a.down[addr] = now.Add(again)
	return true
}

// FailedAt notes that an address of the peer need not be asked before until. It
// returns whether that was not known.
func (s *State) FailedAt(addr netip.AddrPort, now, until time.Time) (news bool) {
	if !until.After(now) || !addr.IsValid() {
		return false
	}
	a := &s.addresses
	a.mu.Lock()
	defer a.mu.Unlock()
	before, down := a.down[addr]
	if !down && len(a.down) >= maxAddresses {
		a.forget(now)
		if len(a.down) >= maxAddresses {
			return false
		}
	}
	if a.down == nil {
		a.down = make(map[netip.AddrPort]time.Time)
	}
	if until.After(before) {
		a.down[addr] = until
	}
	a.some.Store(true)
	return !down
}

// forget drops those whose time is over. The caller holds mu.
func (a *addresses) forget(now time.Time) {
	for addr, until := range a.down {
		if !now.Before(until) {
			delete(a.down, addr)
		}
	}
}

// AnsweredAt notes that the peer has answered at an address. It returns whether
// that was down.
func (s *State) AnsweredAt(addr netip.AddrPort) (news bool) {
	a := &s.addresses
	if !a.some.Load() {
		return false
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	_, news = a.down[addr]
	delete(a.down, addr)
	a.some.Store(len(a.down) > 0)
	return news
}
