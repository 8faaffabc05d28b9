//go:build linux

package main

import (
	"math/bits"
	"time"
)

// histogram counts durations in buckets whose width grows with the value: 128 to each doubling, so a quantile is
// read with less than one per cent of error, and recording costs a few instructions and no memory.
type histogram struct {
	buckets [64 * sub]uint32
	count   uint64
	max     time.Duration
}

const (
	subBits = 7
	sub     = 1 << subBits
)

func (h *histogram) record(d time.Duration) {
	h.buckets[bucket(d)]++
	h.count++
	h.max = max(h.max, d)
}

// quantile returns the upper end of the bucket below or in which the share q (0 to 1) of the values lies, never
// more than the largest value; 0 when nothing was recorded.
func (h *histogram) quantile(q float64) time.Duration {
	want := uint64(q*float64(h.count) + 0.5)
	want = max(want, 1)
	var seen uint64
	for i, n := range h.buckets {
		seen += uint64(n)
		if seen >= want {
			return min(upper(i), h.max)
		}
	}
	return h.max
}

// bucket is the value itself below 256; above, the exponent and the seven bits after the leading one.
func bucket(d time.Duration) int {
	v := uint64(max(d, 0))
	if v < 2*sub {
		return int(v)
	}
	shift := bits.Len64(v) - subBits - 1
	return shift<<subBits + int(v>>shift)
}

// upper is the largest duration that falls into bucket i.
func upper(i int) time.Duration {
	if i < 2*sub {
		return time.Duration(i)
	}
	shift := i>>subBits - 1
	return time.Duration(uint64(i-shift<<subBits+1)<<shift - 1)
}
