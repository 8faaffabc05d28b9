package peer

import (
	"sync/atomic"
	"time"

	"github.com/sallyport-sip/sallyport/sip/transport"
	"github.com/sallyport-sip/sallyport/sip/ua"
)

// largest is the largest request that goes by UDP as a matter of course, in bytes
// (RFC 3261 §18.1.1).
const largest = 1300

// TooLarge says whether a request should not leave by UDP.
func TooLarge(flow ua.Flow, b []byte) bool {
	return len(b) > largest && flow.Conn.Transport() == transport.UDP
}

// LargeOverTCP is what is known of a peer on UDP about large requests. All
// shards use it at once.
type LargeOverTCP struct {
	until atomic.Int64 // Unix nanoseconds: TCP is not tried before

	Taken   atomic.Uint64 // requests that left over TCP
	Refused atomic.Uint64 // that went by UDP after TCP was tried
	Spared  atomic.Uint64 // that went by UDP because TCP had failed before
}

// Worth says whether TCP may be tried.
func (l *LargeOverTCP) Worth(now time.Time) bool { return now.UnixNano() >= l.until.Load() }

// Fail notes that the peer took no TCP.
func (l *LargeOverTCP) Fail(now time.Time, memory time.Duration) {
	l.Refused.Add(1)
	l.until.Store(now.Add(memory).UnixNano())
}
