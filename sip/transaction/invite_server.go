package transaction

import "time"

// inviteServer is the INVITE server transaction: RFC 3261 §17.2.1 as replaced
// by RFC 6026 §8.6. The 100 goes out at once: nothing here knows how long the
// TU will take.
//
//	                       | INVITE: to TU, send 100
//	                       v
//	     INVITE      +------------+
//	     send   .----|            |----. 101-199 from TU
//	            '--->| Proceeding |<---' send
//	                 |            |----. transport error
//	                 +------------+<---' tell
//	                   |        |
//	  300-699 from TU  |        |  2xx from TU
//	  send   .---------'        '----------.  send
//	         v                             v
//	   +-----------+                 +-----------+
//	   |           |----. INVITE     |           |----. INVITE: -
//	   | Completed |<---' send       | Accepted  |<---'
//	   |           |----. timer G    |           |----. ACK: to TU
//	   |           |<---' send       |           |<---'
//	   |           |----. transport  |           |----. 2xx from TU
//	   +-----------+<---' error:     |           |<---' send
//	     |       |        tell       |           |----. transport
//	     |       | ACK: -            +-----------+<---' error: tell
//	     |       v                         |
//	     |  +-----------+                  |
//	     |  | Confirmed |                  |
//	     |  +-----------+                  |
//	     |       | timer I                 | timer L
//	     |       v                         |
//	     |  +------------+                 |
//	     '->| Terminated |<----------------'
//	timer H +------------+
//	timeout
type inviteServer struct{ machine }

func (m *inviteServer) start(time.Duration) action {
	m.enter(Proceeding, never, never) // it lasts until the TU answers
	return actPass | actSend
}

// request is a retransmission of the INVITE.
func (m *inviteServer) request() action {
	if m.state == Proceeding || m.state == Completed {
		return actSend
	}
	return 0
}

func (m *inviteServer) ack(now time.Duration) action {
	switch m.state {
	case Completed:
		return m.linger(Confirmed, now, m.cfg.T4, 0) // timer I
	case Accepted:
		return actPass
	}
	return 0
}

func (m *inviteServer) respond(now time.Duration, code int) action {
	switch {
	case m.state == Proceeding && code < 200:
		return actSend
	case m.state == Proceeding && code < 300:
		m.enter(Accepted, never, now+m.cfg.lifetime()) // timer L, on all transports
		return actSend
	case m.state == Proceeding:
		// "For unreliable transports, timer G is set to fire in T1 seconds ...
		// timer H MUST be set to fire in 64*T1 seconds for all transports."
		m.interval = m.cfg.T1
		m.enter(Completed, m.unreliably(now+m.interval), now+m.cfg.lifetime())
		return actSend
	case m.state == Accepted && code >= 200 && code < 300:
		return actSend // the TU repeats its 2xx
	}
	return 0
}

func (m *inviteServer) expire(now time.Duration) action {
	switch {
	case now >= m.deadline:
		if m.state == Completed {
			return m.over(actTimeout) // timer H
		}
		return m.over(0) // timer I, timer L
	case now >= m.resend: // timer G: MIN(2*T1, T2), then doubled up to T2
		m.interval = min(2*m.interval, m.cfg.T2)
		m.resend = now + m.interval
		return actSend
	}
	return 0
}

// fail: "the server transaction SHOULD inform the TU that a failure has
// occurred, and MUST remain in the current state" (RFC 6026 §8.8).
func (m *inviteServer) fail() action {
	if m.state == Terminated {
		return 0
	}
	return actError
}
