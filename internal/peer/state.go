package peer

import "sync/atomic"

// State is what changes about a peer while the gateway runs. It survives
// reloads. The zero State is up and has no calls.
type State struct {
	down  atomic.Bool
	calls atomic.Int64
}

// Up says whether the peer is believed to answer.
func (s *State) Up() bool { return !s.down.Load() }

// SetUp says what was found out, and returns whether that is news.
func (s *State) SetUp(up bool) (changed bool) { return s.down.Swap(!up) == up }

// Calls returns the number of calls with a leg of the peer.
func (s *State) Calls() int64 { return s.calls.Load() }

// Began counts a leg, and returns how many there are with it.
func (s *State) Began() int64 { return s.calls.Add(1) }

// Ended uncounts a leg that Began counted.
func (s *State) Ended() int64 { return s.calls.Add(-1) }
