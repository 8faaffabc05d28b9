package peer

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/sallyport-sip/sallyport/internal/guard"
)

// State is what changes about a peer while the gateway runs. It survives
// reloads. The zero State is up and has no calls.
//
// A peer is down from a failure until somebody has heard from it again. Until
// Down.Until no call asks it that has another target; then one does, and the
// others follow when that one was answered.
type State struct {
	In  Load // calls from the peer
	Out Load // calls to it

	Subscriptions atomic.Int64 // that the peer has made, and that go on
	Notifying     atomic.Int64 // subscriptions of others that the peer serves
	Requests      guard.Bucket // that it may send and that begin something
	Within        guard.Bucket // that it may send within dialogs, ACK and CANCEL

	ClaimsRefused  atomic.Uint64 // requests, for who they said that they were from
	ClaimsStripped atomic.Uint64 // values of headers that were left out for it

	LargeOverTCP LargeOverTCP

	addresses addresses

	down atomic.Pointer[Down] // nil: up

	mu     sync.Mutex // guards changes of down, and turned
	turned time.Time  // when the peer last came up; older failures say nothing
}

// Down is why a peer is not asked. It does not change.
type Down struct {
	Since time.Time
	Until time.Time // when a call may try again
	Why   string    // in words for the operator
}

// Up says whether the peer is believed to answer.
func (s *State) Up() bool { return s.down.Load() == nil }

// Down returns why the peer is not asked, nil when it is up.
func (s *State) Down() *Down { return s.down.Load() }

// DownUntil is when a peer that is down is tried again, zero when it is up.
func (s *State) DownUntil() time.Time {
	if d := s.down.Load(); d != nil {
		return d.Until
	}
	return time.Time{}
}

// Ready says whether a call that has other targets may ask the peer.
func (s *State) Ready(now time.Time) bool {
	d := s.down.Load()
	return d == nil || !now.Before(d.Until)
}

// Ask is Ready for a call that will ask. When the peer was down for its time,
// one call gets leave to try it, and the next one after again, unless the first
// was answered.
func (s *State) Ask(now time.Time, again time.Duration) bool {
	d := s.down.Load()
	if d == nil {
		return true
	}
	if now.Before(d.Until) {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down.Load() != d {
		return s.down.Load() == nil
	}
	s.down.Store(&Down{Since: d.Since, Until: now.Add(again), Why: d.Why})
	return true
}

// Failed notes that a call which began to ask the peer at began was not
// answered, and that nobody needs to ask before until. It returns whether the
// peer was up. What was asked before the peer last came up says nothing.
func (s *State) Failed(began, now, until time.Time, why string) (news bool) {
	if !until.After(now) {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	d := s.down.Load()
	switch {
	case began.Before(s.turned):
		return false
	case d == nil:
		s.down.Store(&Down{Since: now, Until: until, Why: why})
		return true
	case until.After(d.Until):
		s.down.Store(&Down{Since: d.Since, Until: until, Why: why})
	}
	return false
}

// Answered notes that the peer has answered a call which began to ask it at
// began. It returns whether the peer was down. An answer to a call from before
// that says nothing.
func (s *State) Answered(began, now time.Time) (news bool) {
	if s.down.Load() == nil {
		return false // as it nearly always is
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if d := s.down.Load(); d == nil || began.Before(d.Since) {
		return false
	}
	s.down.Store(nil)
	s.turned = now
	return true
}

// Came notes that the peer has connected by itself, who cannot be reached
// otherwise. It returns whether the peer was down. What was asked of it before says
// nothing any more.
func (s *State) Came(now time.Time) (news bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	news = s.down.Load() != nil
	s.down.Store(nil)
	s.turned = now
	return news
}
