package callflow

import (
	"slices"
	"strings"
)

func challenge(m *heard) bool { return !m.request && (m.code == 401 || m.code == 407) }

// wantsCredentials is a challenge that was not met with any.
func wantsCredentials(s *study, l *half) []found {
	m := l.first(challenge)
	if m == nil || m.out && len(s.legs) > 1 {
		return nil
	}
	again := l.first(func(r *heard) bool { return r.request && r.Seq > m.Seq && r.method == m.method && r.detail.credential })
	if again != nil {
		return nil
	}
	return one(rowsOf(l.request(m), m), "%s asked for credentials on %s with %d, and %s sent none", s.sender(m), l.on(), m.code, s.receiver(m))
}

// refusedCredentials are challenges that go on although credentials were sent.
func refusedCredentials(s *study, l *half) []found {
	var no []*heard
	stale := 0
	asked := map[string]bool{} // realms that were asked for before: each proxy on the way may want its own
	for _, m := range l.of(challenge) {
		again := asked[m.detail.realm]
		asked[m.detail.realm] = true
		if req := l.request(m); req != nil && req.detail.credential && again {
			no = append(no, m)
			if m.detail.stale {
				stale++
			}
		}
	}
	if len(no) == 0 || stale == len(no) && len(no) < 2 {
		return nil // one new nonce is how digest works
	}
	if stale >= 2 {
		return nil // that is another finding
	}
	rows := rowsOf(no...)
	for _, m := range no {
		rows = append(rows, rowsOf(l.request(m))...)
	}
	return one(rows, "%s refused the credentials of %s on %s %s, the last time with %d", s.sender(no[0]), s.receiver(no[0]), l.on(), times(len(no)), no[len(no)-1].code)
}

// staleForEver are nonces that are too old each time.
func staleForEver(s *study, l *half) []found {
	stale := l.of(func(m *heard) bool { return challenge(m) && m.detail.stale })
	if len(stale) < 2 {
		return nil
	}
	return one(rowsOf(stale...), "%s called the nonce of %s stale on %s %s in a row: no answer comes in time, or each comes to another of its servers",
		s.sender(stale[0]), s.receiver(stale[0]), l.on(), times(len(stale)))
}

// plainCredentials are credentials that crossed without TLS.
func plainCredentials(s *study, l *half) []found {
	m := l.first(func(m *heard) bool { return m.request && m.detail.credential && m.plain() })
	if m == nil {
		return nil
	}
	return one(rowsOf(m), "%s sent credentials to %s on %s over %s: who reads them can try passwords at leisure", s.sender(m), s.receiver(m), l.on(), l.transport())
}

// claimed is who a call is from, when nothing backs it: neither asserts nor the address or a certificate of who calls.
func claimed(s *study) []found {
	if s.Security == nil || len(s.legs) == 0 {
		return nil
	}
	invite := s.legs[0].initialInvite()
	if invite == nil || s.legs[0].vouches(invite) {
		return nil
	}
	if slices.Contains(s.Security.Claims, notBacked) {
		return one(rowsOf(invite), "the call is from %s by the word of %s alone: neither asserts nor its address or certificate back it", invite.detail.fromURI, s.legs[0].name)
	}
	return nil
}

// vouches reports whether the host of From is the peer's own, by its address or by its certificate.
func (l *half) vouches(invite *heard) bool {
	from := placeOf([]byte(invite.detail.fromURI))
	if from.addr.IsValid() && from.addr == l.source().addr {
		return true
	}
	return l.conn != nil && l.conn.link.TLS != nil && slices.ContainsFunc(l.conn.link.TLS.PeerNames, func(n string) bool {
		return strings.EqualFold(strings.TrimPrefix(n, "sip:"), from.host)
	})
}

// lowered is a call that was sips: somewhere and came without.
func lowered(s *study) []found {
	if s.Security == nil || s.Security.Word != Downgraded || len(s.legs) == 0 {
		return nil
	}
	return one(rowsOf(s.legs[0].initialInvite()), "somebody asked for sips: and did not have it: %s", s.Security.Why)
}

// halfSecure is a call with one hop over TLS and another not.
func halfSecure(s *study) []found {
	var secure, plain *heard
	for _, l := range s.legs {
		m := l.first(func(m *heard) bool { return m.Link != nil })
		switch {
		case m == nil || l.answerOf() == nil:
		case m.plain():
			plain = m
		default:
			secure = m
		}
	}
	if secure == nil || plain == nil {
		return nil
	}
	return one(rowsOf(secure, plain), "the call is over TLS on %s, and over %s on %s with %s: what the one hides the other shows",
		secure.side.on(), plain.side.transport(), plain.side.on(), plain.side.name)
}

// byAddress is a hop over TLS whose other side showed no certificate.
func byAddress(_ *study, l *half) []found {
	c := l.conn
	if c == nil || c.link.TLS == nil || c.refused != nil || len(c.link.TLS.PeerNames) > 0 || l.Hop.Refused || l.Peer == "" {
		return nil
	}
	m := l.first(func(m *heard) bool { return m.Link == c.link })
	if m == nil {
		return nil
	}
	return one(rowsOf(m), "%s is known on %s by its address alone: over TLS %s, where no certificate of its own counts", l.name, l.on(), c.link.TLS.Version)
}

// cancelLate is a CANCEL that crossed the answer.
func cancelLate(s *study, l *half) []found {
	cancel := l.first(func(m *heard) bool { return m.request && m.method == "CANCEL" })
	if cancel == nil {
		return nil
	}
	ok := l.first(func(m *heard) bool {
		return !m.request && m.method == "INVITE" && m.cseq == cancel.cseq && m.code/100 == 2 && m.out != cancel.out
	})
	if ok == nil {
		return nil
	}
	return one(rowsOf(cancel, ok), "%s gave up on %s and %s answered %d all the same, %s apart: the call was up for a moment",
		s.sender(cancel), l.on(), s.sender(ok), ok.code, Span(ok.At.Sub(cancel.At).Abs()))
}
