package guard

import (
	"hash/maphash"
	"net/netip"
	"sync/atomic"
	"time"
)

// Bucket lets a number of things through in each second, and some more at once
// when it was quiet before. The zero value is full. It is for several goroutines
// at once.
type Bucket struct {
	full atomic.Int64 // Unix nanoseconds at which it is full again
}

// Take takes one thing out of a bucket of that many, into which perSecond new
// ones flow. When it is empty nothing is taken, and wait says for how long.
func (b *Bucket) Take(now time.Time, perSecond, burst int) (wait time.Duration) {
	each := int64(time.Second) / int64(perSecond)
	at := now.UnixNano()
	for {
		old := b.full.Load()
		next := max(old, at) + each
		if over := next - at - int64(burst)*each; over > 0 {
			return time.Duration(over)
		}
		if b.full.CompareAndSwap(old, next) {
			return 0
		}
	}
}

// Sources are buckets for all addresses that there are, an IPv6 /64 being one.
// Memory does not grow with them: they share a fixed table by a hash that nobody
// outside knows.
type Sources struct {
	seed    maphash.Seed
	buckets [tableSize]Bucket
}

// NewSources returns a table in which every bucket is full.
func NewSources() *Sources { return &Sources{seed: maphash.MakeSeed()} }

// Of returns the bucket of an address.
func (s *Sources) Of(from netip.Addr) *Bucket {
	return &s.buckets[maphash.Comparable(s.seed, source(from))%tableSize]
}
