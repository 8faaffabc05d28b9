package transaction

import "time"

// nonInviteClient is the client transaction of every other request: RFC 3261
// §17.1.2.
//
//	                  | request from TU: send
//	                  v
//	  timer E    +---------+   timer F: timeout
//	  send  .----|         |   transport error: tell
//	        '--->| Trying  |------------------------.
//	             |         |                        |
//	             +---------+                        |
//	               |     | 1xx: to TU               |
//	.--------------'     v                          |
//	|  200-699     +------------+  timer F: timeout |
//	|  to TU  .----|            |  transport error: tell
//	| timer E '--->| Proceeding |------------------>|
//	| send    .----|            |                   |
//	|     1xx '--->+------------+                   |
//	|     to TU          | 200-699                  |
//	|                    v to TU                    |
//	|              +-----------+                    |
//	'------------->| Completed |                    |
//	               +-----------+                    |
//	                     | timer K                  |
//	                     v                          |
//	               +------------+                   |
//	               | Terminated |<------------------'
//	               +------------+
type nonInviteClient struct{ machine }

func (m *nonInviteClient) start(now time.Duration) action {
	// "... SHOULD set timer F to fire in 64*T1 seconds ... If an unreliable
	// transport is in use, the client transaction MUST set timer E to fire in
	// T1 seconds."
	m.interval = m.cfg.T1
	m.enter(Trying, m.unreliably(now+m.interval), now+m.cfg.lifetime())
	return actSend
}

func (m *nonInviteClient) response(now time.Duration, code int) action {
	if m.state != Trying && m.state != Proceeding {
		return 0
	}
	if code < 200 {
		m.enter(Proceeding, m.resend, m.deadline) // timers E and F run on
		return actPass
	}
	return m.linger(Completed, now, m.cfg.T4, actPass) // timer K
}

func (m *nonInviteClient) expire(now time.Duration) action {
	switch {
	case now >= m.deadline:
		if m.state == Completed {
			return m.over(0) // timer K
		}
		return m.over(actTimeout) // timer F
	case now >= m.resend:
		// Timer E: MIN(2*T1, T2), MIN(4*T1, T2) … in Trying, "reset with a
		// value of T2 seconds" in Proceeding.
		m.interval = min(2*m.interval, m.cfg.T2)
		if m.state == Proceeding {
			m.interval = m.cfg.T2
		}
		m.resend = now + m.interval
		return actSend
	}
	return 0
}

func (m *nonInviteClient) fail() action {
	if m.state == Completed || m.state == Terminated {
		return 0
	}
	return m.over(actError)
}

// cancel has no meaning here: only an INVITE is cancelled (RFC 3261 §9.1).
func (m *nonInviteClient) cancel(time.Duration) {}
