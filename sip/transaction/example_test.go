package transaction_test

import (
	"fmt"
	"time"

	"github.com/sallyport-sip/sallyport/sip/transaction"
)

// A goroutine that owns Timers asks for the next instant, waits for it or for
// something to happen, and advances them.
func ExampleTimers() {
	start := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
	timers := transaction.NewTimers(start)

	ring := func(owner any, now time.Time) { fmt.Println(now.Sub(start), owner) }
	early := &transaction.Timer{Fire: ring, Owner: "session refresh"}
	late := &transaction.Timer{Fire: ring, Owner: "session expiry"}
	timers.Schedule(late, start.Add(30*time.Minute))
	timers.Schedule(early, start.Add(15*time.Minute))

	for next, ok := timers.Next(); ok; next, ok = timers.Next() {
		timers.Advance(next)
	}
	// Output:
	// 15m0s session refresh
	// 30m0s session expiry
}
