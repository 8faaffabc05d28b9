// Package guard decides what gets in before any state exists for it. Its main
// type is Strangers, which bounds what we say to who is not a peer. It starts
// no goroutine and does no I/O.
package guard

import (
	"hash/maphash"
	"net/netip"
	"sync"
	"time"
)

// Strangers lets a few answers go to each unknown source, and then none until
// it has been quiet for a while: a scanner learns little, and a person who
// forgot to add a peer sees the 403. Memory does not grow with the number of
// sources: they share a fixed table of buckets, an IPv6 /64 being one source.
type Strangers struct {
	seed maphash.Seed

	mu      sync.Mutex
	buckets [tableSize]bucket // guarded by mu
}

const (
	tableSize = 4096
	burst     = 5                // answers to a source that was quiet
	refill    = 12 * time.Second // for each further one
)

// bucket counts backwards from the time at which it will be full again.
type bucket struct {
	full time.Time
}

// NewStrangers returns a table in which every source has its whole burst.
func NewStrangers() *Strangers { return &Strangers{seed: maphash.MakeSeed()} }

// Answer says whether a message from this source may be answered, and counts
// the answer.
func (g *Strangers) Answer(from netip.Addr, now time.Time) bool {
	i := maphash.Comparable(g.seed, source(from)) % tableSize
	g.mu.Lock()
	defer g.mu.Unlock()
	b := &g.buckets[i]
	if b.full.Before(now) {
		b.full = now
	}
	if b.full.Sub(now) > (burst-1)*refill {
		return false
	}
	b.full = b.full.Add(refill)
	return true
}

// source is the part of an address that one sender cannot change at will.
func source(a netip.Addr) netip.Prefix {
	a = a.Unmap()
	bits := 32
	if a.Is6() {
		bits = 64
	}
	p, err := a.WithZone("").Prefix(bits)
	if err != nil {
		return netip.Prefix{}
	}
	return p
}
