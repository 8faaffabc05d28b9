package transaction

import "time"

// inviteClient is the INVITE client transaction: RFC 3261 §17.1.1 as replaced
// by RFC 6026 §8.4. Timer C and the wait after a CANCEL bound Proceeding, which
// the drawing of the RFC leaves to the TU (RFC 3261 §16.6 step 11, §9.1).
//
//	                  | INVITE from TU: send
//	                  v
//	  timer A    +---------+   timer B: timeout
//	  send  .----|         |   transport error: tell
//	        '--->| Calling |-------------------------------.
//	             |         |                               |
//	             +---------+                               |
//	               |  |  | 2xx: to TU                      |
//	   300-699     |  |  '---------------------.           |
//	   ACK, to TU  |  | 1xx: to TU             |           |
//	.--------------'  v                        |           |
//	|     1xx   +------------+ 2xx: to TU      |           |
//	|   to TU .-|            |---------------->|           |
//	|         '>| Proceeding |                 |           |
//	|           |            |-----------------)---------->|
//	|           +------------+                 | timer C: timeout
//	|  300-699        |                        | transport error: tell
//	|  ACK, to TU     v                        v           |
//	|           +-----------+            +----------+      |
//	'---------->|           |     2xx .--|          |      |
//	    300-699 | Completed |   to TU '->| Accepted |      |
//	    ACK .---|           |            |          |      |
//	        '-->+-----------+            +----------+      |
//	                  | timer D, or            | timer M   |
//	                  | transport error: tell  v           v
//	                  |                 +---------------------+
//	                  '---------------->|     Terminated      |
//	                                    +---------------------+
type inviteClient struct {
	machine
	cancelled bool // a CANCEL went out: no 1xx prolongs the wait any more
}

func (m *inviteClient) start(now time.Duration) action {
	// "If an unreliable transport is being used, the client transaction MUST
	// start timer A with a value of T1. If a reliable transport is being used,
	// [it] SHOULD NOT start timer A ... For any transport, the client
	// transaction MUST start timer B with a value of 64*T1 seconds."
	m.interval = m.cfg.T1
	m.enter(Calling, m.unreliably(now+m.interval), now+m.cfg.lifetime())
	return actSend
}

func (m *inviteClient) response(now time.Duration, code int) action {
	switch m.state {
	case Calling, Proceeding:
		switch {
		case code < 200:
			m.provisional(now, code)
			return actPass
		case code < 300:
			m.enter(Accepted, never, now+m.cfg.lifetime()) // timer M
			return actPass
		default:
			// "... MUST generate an ACK request, even if the transport is
			// reliable"
			return m.linger(Completed, now, m.cfg.timerD(), actAck|actPass)
		}
	case Completed:
		if code >= 300 {
			return actAck
		}
	case Accepted:
		if code >= 200 && code < 300 {
			return actPass
		}
	}
	return 0
}

func (m *inviteClient) provisional(now time.Duration, code int) {
	deadline := m.deadline
	// RFC 3261 §16.7 step 2: a 1xx other than 100 starts timer C afresh.
	if m.state == Calling || code > 100 && !m.cancelled {
		deadline = now + m.cfg.TimerC
	}
	m.enter(Proceeding, never, deadline)
}

// cancel tells the machine that a CANCEL went out: "If there is no final
// response for the original request in 64*T1 seconds ... the client SHOULD then
// consider the original transaction cancelled and SHOULD destroy the client
// transaction" (RFC 3261 §9.1).
func (m *inviteClient) cancel(now time.Duration) {
	if m.state == Proceeding && !m.cancelled {
		m.cancelled = true
		m.enter(Proceeding, never, now+m.cfg.lifetime())
	}
}

func (m *inviteClient) expire(now time.Duration) action {
	switch {
	case now >= m.deadline:
		if m.state == Calling || m.state == Proceeding {
			return m.over(actTimeout) // timer B, timer C
		}
		return m.over(0) // timer D, timer M
	case now >= m.resend: // timer A: T1, 2*T1, 4*T1 …
		m.interval *= 2
		m.resend = now + m.interval
		return actSend
	}
	return 0
}

func (m *inviteClient) fail() action {
	if m.state == Accepted || m.state == Terminated {
		return 0
	}
	return m.over(actError)
}
