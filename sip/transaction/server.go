package transaction

import (
	"bytes"
	"time"

	"github.com/sallyport-sip/sallyport/sip"
)

// Server is a server transaction (RFC 3261 §17.2). It belongs to its Layer,
// which uses it again after User.ServerDone. Owned by the shard.
type Server struct {
	Owner  any        // the TU's, as given to Layer.Request
	Method sip.Method // of the request

	layer   *Layer
	machine serverMachine // &invite or &other
	invite  inviteServer
	other   nonInviteServer
	timer   Timer
	place   link[Server]
	merge   link[Server]
	key     []byte // identity.key, from split on identity.merge
	split   int
	last    []byte // the response to send again
	trying  []byte // the 100 of our own making; last may be the same
	failure error  // what the transport last said

	old     bool   // see identity
	toTag   []byte // of the request, kept when old
	sentTag []byte // of the final response, kept when old
}

type serverMachine interface {
	start(now time.Duration) action
	request() action
	ack(now time.Duration) action
	respond(now time.Duration, code int) action
	expire(now time.Duration) action
	fail() action
	next() time.Duration
	current() State
}

// Origin is where a request came from.
type Origin struct {
	Reliable bool       // over TCP, TLS or the like
	Source   sip.Source // shown in the Via of the layer's own 100
	Owner    any        // becomes Server.Owner
	Full     bool       // no new transaction may be made
}

// Verdict says what a request is to the TU.
type Verdict uint8

// The verdicts of Layer.Request.
const (
	// Absorbed: a retransmission or an ACK that the transaction has dealt with.
	Absorbed Verdict = iota
	// New: Server is its transaction, which the TU answers with Server.Respond.
	New
	// AckForTU: an ACK to a 2xx, which belongs to a dialog and has no
	// transaction. Invite is the INVITE's transaction if the ACK repeats its
	// branch (RFC 6026 §7.1), otherwise nil.
	AckForTU
	// CancelFor: a CANCEL. Server is its own transaction, Invite the one that it
	// is about, nil when there is none: then it gets a 481 (RFC 3261 §9.2).
	CancelFor
	// Merged: a copy of an ongoing request that came another way. Server is its
	// transaction, which gets a 482 (RFC 3261 §8.2.2.2).
	Merged
	// Refused: it would need a transaction, and Origin.Full allows none. It may be
	// answered without one.
	Refused
)

// Arrival is what Layer.Request found out about a request.
type Arrival struct {
	Verdict Verdict
	Server  *Server // the request's own transaction if it is a new one
	Invite  *Server // see AckForTU and CancelFor
}

// State returns where the transaction is.
func (s *Server) State() State { return s.machine.current() }

// Request gives a request to its transaction, or starts one for it. A new
// INVITE is answered with a 100 before this returns. m has passed Check and
// stays the caller's.
func (l *Layer) Request(now time.Time, m *sip.Message, from Origin) Arrival {
	id, ok := l.identify(m)
	if !ok {
		return Arrival{Verdict: Absorbed}
	}
	at := l.instant(now)
	s := l.find(&id)
	switch {
	case id.method == sip.ACK:
		if s == nil {
			return Arrival{Verdict: AckForTU}
		}
		a := s.machine.ack(at)
		l.runServer(s, a)
		if a&actPass != 0 {
			return Arrival{Verdict: AckForTU, Invite: s}
		}
		return Arrival{Verdict: Absorbed}
	case s != nil:
		l.runServer(s, s.machine.request())
		return Arrival{Verdict: Absorbed}
	case from.Full:
		return Arrival{Verdict: Refused}
	case id.method == sip.CANCEL:
		invite := l.cancelled(&id)
		return Arrival{Verdict: CancelFor, Server: l.newServer(at, m, &id, from, CancelFor), Invite: invite}
	}
	verdict := New
	var merge uint64
	if id.merge != nil {
		var found bool
		if merge, found = l.ongoing(id.merge); found {
			verdict = Merged
		}
	}
	s = l.newServer(at, m, &id, from, verdict)
	if id.merge != nil && verdict == New {
		l.merges.insert(merge, &s.merge, s)
	}
	return Arrival{Verdict: verdict, Server: s}
}

func (l *Layer) newServer(at time.Duration, m *sip.Message, id *identity, from Origin, v Verdict) *Server {
	s := pop(&l.freeServers)
	s.Owner, s.Method = from.Owner, id.method
	s.layer = l
	s.timer.Owner, s.timer.Fire = s, expireServer
	s.key = append(append(s.key[:0], id.key...), id.merge...)
	s.split = len(id.key)
	if s.old = id.old; s.old {
		s.toTag = bytes.Clone(id.toTag)
	}
	core := machine{cfg: &l.cfg, reliable: from.Reliable}
	if s.Method == sip.INVITE {
		s.invite = inviteServer{core}
		s.machine = &s.invite
	} else {
		s.other = nonInviteServer{core}
		s.machine = &s.other
	}
	l.servers.insert(id.hash, &s.place, s)
	l.count++
	a := s.machine.start(at)
	if v == New {
		// "... except that the insertion of tags in the To header field of the
		// response ... is downgraded from MAY to SHOULD NOT" (RFC 3261 §17.2.1).
		s.trying = sip.AppendResponse(l.buffer(), m, 100, "", nil, from.Source)
		s.last = s.trying
	}
	l.runServer(s, a)
	return s
}

// Respond sends a response of the TU's and keeps b, which must not change until
// the next Respond or ServerDone, for retransmissions. It returns false when
// the state, RFC 4320 or the class of the response forbid it to be sent: a
// second final response, a 408 or a late 100 to a request other than INVITE.
//
// After a 2xx to an INVITE the TU sends it again until the ACK comes, by
// calling Respond again (RFC 6026 §7.1). ServerDone may be called before this
// returns.
func (s *Server) Respond(now time.Time, code int, b []byte) bool {
	l := s.layer
	a := s.machine.respond(l.instant(now), code)
	if a == 0 {
		return false
	}
	s.last = b
	if s.old && code >= 200 {
		s.sentTag = tagOf(b)
	}
	l.runServer(s, a)
	return true
}

// tagOf returns a copy of the To tag of an encoded response.
func tagOf(response []byte) []byte {
	m, err := sip.Parse(response)
	defer m.Release()
	if err != nil {
		return nil
	}
	to, err := m.To()
	if err != nil {
		return nil
	}
	return bytes.Clone(to.Tag())
}

// ServerFailed says that a response of s could not be transmitted. The
// transaction stays and absorbs retransmissions (RFC 6026 §8.8); if it ends by
// a timeout, ServerDone gets ErrTransport with this cause.
func (l *Layer) ServerFailed(s *Server, cause error) {
	if s.machine.fail()&actError != 0 {
		s.failure = failed(cause)
	}
}

func expireServer(owner any, now time.Time) {
	s := owner.(*Server)
	s.layer.runServer(s, s.machine.expire(s.layer.instant(now)))
}

// runServer does what the machine asked for; passing a request to the TU is the
// business of Request's result.
func (l *Layer) runServer(s *Server, a action) {
	if a&actSend != 0 && s.last != nil { // nil: a CANCEL or a merged request, which the TU answers at once
		l.user.SendServer(s, s.last)
	}
	switch s.State() {
	case Terminated:
		l.endServer(s, a)
		return
	case Accepted, Confirmed:
		s.last = nil // nothing is sent again from here
	}
	if s.trying != nil && s.answered() {
		l.recycle(s.trying)
		s.trying = nil
	}
	l.timers.set(&s.timer, s.machine.next())
}

// answered says that the 100 of our own will not be sent any more.
func (s *Server) answered() bool {
	return len(s.last) == 0 || &s.last[0] != &s.trying[0]
}

func (l *Layer) endServer(s *Server, a action) {
	l.timers.Stop(&s.timer)
	l.servers.remove(&s.place)
	l.merges.remove(&s.merge)
	l.count--
	var err error
	if a&actTimeout != 0 {
		if err = s.failure; err == nil {
			err = ErrTimeout
		}
	}
	l.user.ServerDone(s, err)
	l.recycle(s.trying)
	s.Owner, s.last, s.trying, s.failure, s.toTag, s.sentTag = nil, nil, nil, nil, nil, nil
	push(&l.freeServers, s)
}

// matches compares all but method and To tag.
func (s *Server) matches(id *identity) bool {
	return s.old == id.old && bytes.Equal(s.key[:s.split], id.key)
}
