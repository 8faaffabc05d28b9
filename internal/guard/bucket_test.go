package guard

import (
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func TestBucket(t *testing.T) {
	var b Bucket
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	take := func(at time.Time) (n int) {
		for range 1000 {
			if b.Take(at, 10, 50) == 0 {
				n++
			}
		}
		return n
	}
	if n := take(now); n != 50 {
		t.Errorf("at once: %d, want 50", n)
	}
	if wait := b.Take(now, 10, 50); wait != 100*time.Millisecond {
		t.Errorf("the next one in %v, want 100ms", wait)
	}
	if n := take(now.Add(time.Second)); n != 10 {
		t.Errorf("a second later: %d, want 10", n)
	}
	if n := take(now.Add(time.Hour)); n != 50 {
		t.Errorf("an hour later: %d, want 50", n)
	}
}

func TestBucketOfManyTakers(t *testing.T) {
	var b Bucket
	var got atomic.Int64
	var takers sync.WaitGroup
	now := time.Now()
	for range 8 {
		takers.Go(func() {
			for range 100 {
				if b.Take(now, 1, 200) == 0 {
					got.Add(1)
				}
			}
		})
	}
	takers.Wait()
	if got.Load() != 200 {
		t.Errorf("%d were taken, want 200", got.Load())
	}
}

func TestSourcesAreNetworks(t *testing.T) {
	s := NewSources()
	of := func(a string) *Bucket { return s.Of(netip.MustParseAddr(a)) }
	if of("2001:db8::1") != of("2001:db8::ffff:1") || of("192.0.2.1") != of("::ffff:192.0.2.1") {
		t.Error("one source has two buckets")
	}
	if of("192.0.2.1") == of("192.0.2.2") && of("192.0.2.1") == of("192.0.2.3") {
		t.Error("all sources have one bucket")
	}
}
