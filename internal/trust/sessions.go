package trust

import (
	"crypto/tls"
	"slices"
	"strings"

	"github.com/sallyport-sip/sallyport/internal/config"
)

// kept is how many sessions of one peer a client keeps: one for each address that its name may have.
const kept = 16

// sessions are what lets a connection take up the session of an earlier one (RFC 8446 §2.2, RFC 5077): the keys of the
// tickets that a listener gives out, or the tickets that a peer gave us.
//
// Each listener and each peer has its own, so a ticket is of no use anywhere else. They live for one generation of trust:
// a Set takes them over from the one before it only when nothing has changed by which a connection there is judged, and a
// listener's only when that holds for all peers, because whom a ticket admits is a peer's policy to say. So who is
// not trusted any more has no ticket that could be opened. VerifyConnection judges a resumed session all the same, by the certificates
// that came with the first, because what they are worth changes without a reload too: they expire, or are revoked.
//
// A session is of one name too: that for which the client asked a listener stands in the ticket, and crypto/tls keeps a client's
// sessions by it.
type sessions struct {
	generation string
	tickets    *tls.Config            // of a listener: only its keys are used, which crypto/tls makes and renews daily
	cache      tls.ClientSessionCache // of a peer
}

// resume gives a new Set its sessions: those of the Set before where nothing has changed, new ones elsewhere.
func (l *loader) resume() {
	before := l.Before
	if before == nil {
		before = &Set{}
	}
	for name, s := range l.set.peers {
		s.take(before.peers[name], s.fingerprint())
	}
	all := l.set.generation()
	for name, s := range l.set.listeners {
		s.take(before.listeners[name], fingerprint(s.fingerprint(), all))
	}
}

// generation changes with the policy of any peer.
func (s *Set) generation() string {
	var prints []string
	for name, p := range s.peers {
		prints = append(prints, name+" "+p.fingerprint())
	}
	slices.Sort(prints)
	return fingerprint(prints...)
}

// take sets the sessions of a side, and what uses them.
func (s *side) take(before *side, generation string) {
	if s.config == nil { // a peer that only calls us
		return
	}
	if s.policy.Rules.Resumption == config.ResumptionOff {
		s.config.SessionTicketsDisabled = true
		return
	}
	s.sessions = &sessions{generation: generation, tickets: &tls.Config{}, cache: tls.NewLRUClientSessionCache(kept)}
	if before != nil && before.sessions != nil && before.sessions.generation == generation {
		s.sessions = before.sessions
	}
	if s.shown == nil {
		s.config.ClientSessionCache = s.sessions.cache
		return
	}
	s.config.WrapSession = s.sessions.wrap
	s.config.UnwrapSession = s.sessions.unwrap
}

// wrap makes a ticket with the name in it for which the session was opened, empty for none.
func (s *sessions) wrap(st tls.ConnectionState, session *tls.SessionState) ([]byte, error) {
	session.Extra = [][]byte{[]byte(strings.ToLower(st.ServerName))}
	return s.tickets.EncryptTicket(st, session)
}

// unwrap opens a ticket, and makes nothing of one under another name than its own: a whole handshake follows then, in which
// the listener chooses its identity, or refuses the name (RFC 6066 §3).
func (s *sessions) unwrap(ticket []byte, st tls.ConnectionState) (*tls.SessionState, error) {
	session, err := s.tickets.DecryptTicket(ticket, st)
	if err != nil || session == nil || len(session.Extra) != 1 || string(session.Extra[0]) != strings.ToLower(st.ServerName) {
		return nil, err
	}
	return session, nil
}
