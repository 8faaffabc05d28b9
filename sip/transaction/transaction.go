package transaction

import (
	"cmp"
	"errors"
	"time"
)

// Config holds the times that the machines are built on (RFC 3261 §17.1.1.1,
// table 4 in appendix A). A zero field means its default.
type Config struct {
	T1     time.Duration // estimate of the round-trip time: 500 ms
	T2     time.Duration // longest interval of retransmissions other than of INVITE: 4 s
	T4     time.Duration // how long a message may stay in the network: 5 s
	TimerC time.Duration // how long an INVITE may go without a final or a new 1xx: 181 s
}

// DefaultConfig returns the values of RFC 3261.
func DefaultConfig() Config { return Config{}.WithDefaults() }

// WithDefaults returns c with its zero fields filled in.
func (c Config) WithDefaults() Config {
	return Config{
		T1: cmp.Or(c.T1, 500*time.Millisecond),
		T2: cmp.Or(c.T2, 4*time.Second),
		T4: cmp.Or(c.T4, 5*time.Second),
		// "The timer MUST be larger than 3 minutes." (RFC 3261 §16.6 step 11)
		TimerC: cmp.Or(c.TimerC, 181*time.Second),
	}
}

// lifetime is 64*T1, the value of timers B, F, H, J, L and M.
func (c *Config) lifetime() time.Duration { return 64 * c.T1 }

// timerD is how long an INVITE client absorbs retransmitted failures: 64*T1,
// but "a value of at least 32 seconds", because the server's T1 may be another
// (RFC 6026 §8.4).
func (c *Config) timerD() time.Duration { return max(32*time.Second, c.lifetime()) }

// trying is when a request other than INVITE gets its 100 if nothing else was
// sent: when the client's timer E has grown to T2 (RFC 4320 §4.1).
func (c *Config) trying() time.Duration {
	var sum time.Duration
	for e := c.T1; e < c.T2; e *= 2 {
		sum += e
	}
	return sum
}

// Why a transaction ended without having done its work.
var (
	// ErrTimeout: timer B, C or F fired at a client, which the TU treats as a
	// 408 (RFC 3261 §8.1.3.1). At a server: timer H fired, no ACK came; or the
	// TU gave no final response to a request other than INVITE in 64*T1.
	ErrTimeout = errors.New("transaction timed out")

	// ErrTransport: the message could not be sent, which the TU of a client
	// treats as a 503 (RFC 3261 §8.1.3.1). It is wrapped with the cause.
	ErrTransport = errors.New("transport failed")
)

// State is a state of one of the four machines, in the RFC's words.
type State uint8

// The states. Each machine has some of them; see their drawings.
const (
	Calling    State = iota + 1 // INVITE client: sent, nothing heard (RFC 3261 §17.1.1.2)
	Trying                      // others: nothing answered yet (RFC 3261 §17.1.2.2, §17.2.2)
	Proceeding                  // a 1xx went over, or the INVITE server has begun
	Completed                   // a final response went over; for INVITE one of 300-699
	Confirmed                   // INVITE server: the ACK to a 300-699 is here (RFC 3261 §17.2.1)
	Accepted                    // INVITE: a 2xx went over (RFC 6026 §7)
	Terminated                  // over; the transaction does not exist any more
)

// String returns the state's name in lower case.
func (s State) String() string {
	names := [...]string{
		"none", "calling", "trying", "proceeding", "completed", "confirmed", "accepted", "terminated",
	}
	if int(s) < len(names) {
		return names[s]
	}
	return "unknown"
}

// action is what a machine wants done after an event: a set of bits.
type action uint8

const (
	actSend    action = 1 << iota // a client its request, a server its last response
	actAck                        // INVITE client: the ACK to a 300-699
	actPass                       // the message goes to the TU
	actTimeout                    // the TU hears of a timeout
	actError                      // the TU hears of a transport error
	actDone                       // Terminated was entered
)

// machine is what the four have in common: the state, and two timers. Instants
// are durations since the base of the layer's Timers.
type machine struct {
	cfg      *Config
	state    State
	reliable bool          // the transport retransmits
	interval time.Duration // what resend was last set to
	resend   time.Duration // when timer A, E or G fires
	deadline time.Duration // when the one timer fires that bounds the state
}

// enter is the only way into a state. Each entry says which timers run there.
func (m *machine) enter(s State, resend, deadline time.Duration) {
	m.state, m.resend, m.deadline = s, resend, deadline
}

// next is when the machine wants expire to be called, never if not at all.
func (m *machine) next() time.Duration { return min(m.resend, m.deadline) }

func (m *machine) current() State { return m.state }

// over ends the transaction.
func (m *machine) over(a action) action {
	m.enter(Terminated, never, never)
	return a | actDone
}

// unreliably returns at for an unreliable transport, and never for one that
// retransmits by itself.
func (m *machine) unreliably(at time.Duration) time.Duration {
	if m.reliable {
		return never
	}
	return at
}

// linger enters a state that only absorbs retransmissions and lasts for d. "...
// and zero seconds for reliable transports": there it is over at once.
func (m *machine) linger(s State, now, d time.Duration, a action) action {
	if m.reliable {
		return m.over(a)
	}
	m.enter(s, never, now+d)
	return a
}
