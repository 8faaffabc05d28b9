package transaction

import "time"

// nonInviteServer is the server transaction of every other request: RFC 3261
// §17.2.2 with RFC 4320 §4, which adds the two timers of Trying: a 100 when the
// client's timer E has reached T2, and the end when its timer F has fired. A
// transport error leaves the state as it is, because RFC 6026 §8.8 changed RFC
// 3261 §17.2.4 for all server transactions; that RFC's drawing is older.
//
//	               | request: to TU
//	               v
//	         +-----------+   no answer in 64*T1: timeout
//	         |  Trying   |-----------------------------------.
//	         +-----------+                                   |
//	           |     | 100 from TU, or E has reached T2      |
//	           |     | send 100                              |
//	200-699    |     v                                       |
//	from TU    |  +------------+----. request: send          |
//	send       |  |            |<---'                        |
//	           |  | Proceeding |----. 100 from TU: send      |
//	           |  |            |<---'                        |
//	           |  |            |---------------------------->|
//	           |  +------------+   no answer in 64*T1: timeout
//	           |     | 200-699 from TU: send                 |
//	           v     v                                       |
//	         +-----------+----. request: send                |
//	         | Completed |<---'                              |
//	         +-----------+                                   |
//	               | timer J                                 |
//	               v                                         |
//	         +------------+                                  |
//	         | Terminated |<---------------------------------'
//	         +------------+
type nonInviteServer struct{ machine }

func (m *nonInviteServer) start(now time.Duration) action {
	m.enter(Trying, now+m.cfg.trying(), now+m.cfg.lifetime())
	return actPass
}

// request is a retransmission of the request.
func (m *nonInviteServer) request() action {
	if m.state == Proceeding || m.state == Completed {
		return actSend
	}
	return 0
}

// ack never matches: only an INVITE is acknowledged.
func (m *nonInviteServer) ack(time.Duration) action { return 0 }

func (m *nonInviteServer) respond(now time.Duration, code int) action {
	if m.state != Trying && m.state != Proceeding {
		return 0
	}
	switch {
	case code == 100:
		// RFC 4320 §4.1: on an unreliable transport no 100 before the client's
		// timer E has grown to T2; on a reliable one at any time.
		if m.state == Trying && !m.reliable && now < m.resend {
			return 0
		}
		m.enter(Proceeding, never, m.deadline)
		return actSend
	case code < 200:
		// RFC 4320 §4.1: 100 is the only 1xx for requests other than INVITE.
		return 0
	case code == 408:
		// RFC 4320 §4.2: a 408 to such a request helps nobody and is not sent;
		// the transaction lives on to absorb retransmissions.
		return 0
	}
	return m.linger(Completed, now, m.cfg.lifetime(), actSend) // timer J
}

func (m *nonInviteServer) expire(now time.Duration) action {
	switch {
	case now >= m.deadline:
		if m.state == Completed {
			return m.over(0) // timer J
		}
		return m.over(actTimeout)
	case now >= m.resend:
		m.enter(Proceeding, never, m.deadline)
		return actSend
	}
	return 0
}

func (m *nonInviteServer) fail() action {
	if m.state == Terminated {
		return 0
	}
	return actError
}
