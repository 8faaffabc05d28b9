package callflow

import (
	"fmt"
	"strings"
)

// An exchange is an offer and its answer on one leg (RFC 3264), of the INVITE that began it.
type exchange struct {
	side          *half
	offered       *heard // the INVITE
	answered      *heard // the first response with a description, else the 2xx
	offer, answer *description
}

// exchanged is the leg's first offer and answer; nil unless both messages are there.
func (l *half) exchanged() *exchange {
	invite := l.initialInvite()
	ok := l.answer(invite)
	if invite == nil || ok == nil {
		return nil
	}
	x := &exchange{side: l, offered: invite, answered: ok, offer: invite.detail.sdp, answer: ok.detail.sdp}
	for _, m := range l.responses(invite) {
		if m.detail.sdp != nil && m.toTag == ok.toTag {
			x.answered, x.answer = m, m.detail.sdp
			break
		}
	}
	return x
}

// answers runs a check over the legs whose offer has an answer: where both come from other sides, the leg of who sent it
// alone counts, because descriptions cross.
func answers(check func(*study, *exchange, *media, *media) []found) func(*study) []found {
	return func(s *study) (all []found) {
		for _, l := range s.legs {
			x := l.exchanged()
			if x == nil || x.answered.out && len(s.legs) > 1 {
				continue
			}
			offer, answer := x.offer.audio(), x.answer.audio()
			if offer != nil && answer != nil {
				all = append(all, check(s, x, offer, answer)...)
			}
		}
		return all
	}
}

func (x *exchange) rows() []int { return rowsOf(x.offered, x.answered) }

var oneWay = map[string]string{
	"sendonly": "it sends and does not want to hear", "recvonly": "it hears and does not send", "inactive": "it neither sends nor hears",
}

func answerOneWay(s *study, x *exchange, offer, answer *media) []found {
	means := oneWay[answer.direction]
	if means == "" || offer.direction != "sendrecv" || answer.port == 0 {
		return nil
	}
	return one(x.rows(), "%s answered on %s with %s to an offer to talk both ways: %s", s.sender(x.answered), x.side.on(), answer.direction, means)
}

func mediaRefused(s *study, x *exchange, offer, answer *media) []found {
	if answer.port != 0 || offer.port == 0 {
		return nil
	}
	return one(x.rows(), "%s answered on %s with port 0 for audio, so there is none: %s were offered over %s",
		s.sender(x.answered), x.side.on(), strings.Join(offer.codecs, ", "), offer.profile)
}

func codecNotOffered(s *study, x *exchange, offer, answer *media) []found {
	if answer.port == 0 || offer.port == 0 || common(offer, answer) || len(answer.speech()) == 0 && len(offer.speech()) == 0 {
		return nil
	}
	return one(x.rows(), "%s answered on %s with %s, and %s were offered: no codec in common", s.sender(x.answered), x.side.on(),
		orNone(answer.codecs), orNone(offer.codecs))
}

func orNone(codecs []string) string {
	if len(codecs) == 0 {
		return "no codec"
	}
	return strings.Join(codecs, ", ")
}

func profileMismatch(s *study, x *exchange, offer, answer *media) []found {
	if answer.port == 0 || offer.profile == answer.profile || offer.profile == "" || answer.profile == "" {
		return nil
	}
	return one(x.rows(), "%s answered on %s with %s to an offer of %s", s.sender(x.answered), x.side.on(), answer.profile, offer.profile)
}

// zeroAddress is a description with the address 0.0.0.0, which means that nobody is to send there.
func zeroAddress(s *study) []found {
	return described(s, func(l *half, m *heard, a *media) string {
		if !a.addr.IsValid() || !a.addr.IsUnspecified() || a.port == 0 {
			return ""
		}
		return fmt.Sprintf("%s names %v in its SDP on %s as the address for %s: nothing can be sent there", l.name, a.addr, l.on(), a.kind)
	})
}

// privateMedia is a private address for media of who is seen at a public one.
func privateMedia(s *study) []found {
	return described(s, func(l *half, m *heard, a *media) string {
		at := l.source().addr
		if a.port == 0 || !hiddenFrom(a.addr, at) || a.addr.IsUnspecified() {
			return ""
		}
		return fmt.Sprintf("%s is at %v and names the private address %v in its SDP on %s for %s: media sent there does not arrive", l.name, at, a.addr, l.on(), a.kind)
	})
}

// described looks at the descriptions that peers gave while a call was set up, each side once.
func described(s *study, check func(*half, *heard, *media) string) (all []found) {
	for _, l := range s.legs {
		for _, m := range l.of(func(m *heard) bool { return !m.out && m.method == "INVITE" && m.detail.sdp != nil }) {
			if m.request && m.toTag != "" {
				continue // hold and the like, in a call that is up
			}
			if sentence := firstOf(m.detail.sdp.media, func(a *media) string { return check(l, m, a) }); sentence != "" {
				all = append(all, found{sentence: sentence, rows: rowsOf(m)})
				break
			}
		}
	}
	return all
}

func firstOf(all []media, check func(*media) string) string {
	for i := range all {
		if s := check(&all[i]); s != "" {
			return s
		}
	}
	return ""
}

// noDescription is a 2xx without SDP: to an offer, or where it had to make the offer itself.
func noDescription(offered bool) func(*study, *half) []found {
	return func(s *study, l *half) []found {
		x := l.exchanged()
		if x == nil || x.answer != nil || (x.offer != nil) != offered || x.offered.detail.typ != "" && x.offer == nil {
			return nil
		}
		if x.answered.out && len(s.legs) > 1 {
			return nil
		}
		if offered {
			return one(x.rows(), "%s answered %d on %s without SDP, so the offer of %s has no answer and no media can flow",
				s.sender(x.answered), x.answered.code, l.on(), s.sender(x.offered))
		}
		return one(x.rows(), "%s answered %d on %s without SDP to an INVITE without one: it had to make the offer", s.sender(x.answered), x.answered.code, l.on())
	}
}

// notAcceptable is 488 or 606, to plain media or to SRTP.
func notAcceptable(srtp bool) func(*study, *half) []found {
	return func(s *study, l *half) []found {
		no := l.first(func(m *heard) bool { return !m.request && m.method == "INVITE" && (m.code == 488 || m.code == 606) })
		if no == nil || no.out && len(s.legs) > 1 {
			return nil
		}
		req := l.request(no)
		var a *media
		if req != nil {
			a = req.detail.sdp.audio()
		}
		if (a != nil && a.secure()) != srtp {
			return nil
		}
		said := ""
		if no.detail.warning != "" {
			said = "; it says: " + no.detail.warning
		}
		if a == nil {
			return one(rowsOf(req, no), "%s refused the call on %s with %d%s", s.sender(no), l.on(), no.code, said)
		}
		return one(rowsOf(req, no), "%s refused the offer on %s with %d: %s over %s%s", s.sender(no), l.on(), no.code, orNone(a.codecs), a.profile, said)
	}
}

// readableKeys are SRTP keys in an SDP that crossed without TLS.
func readableKeys(s *study, l *half) []found {
	m := l.first(func(m *heard) bool {
		if m.detail.sdp == nil || !m.plain() {
			return false
		}
		for i := range m.detail.sdp.media {
			if m.detail.sdp.media[i].crypto {
				return true
			}
		}
		return false
	})
	if m == nil {
		return nil
	}
	return one(rowsOf(m), "%s sent SRTP keys to %s on %s over %s: whoever sees that hop can read the media", s.sender(m), s.receiver(m), l.on(), l.transport())
}

// keysWithoutProfile is an offer of SRTP under the profile of plain RTP.
func keysWithoutProfile(s *study, l *half) []found {
	m := l.first(func(m *heard) bool {
		a := m.detail.sdp.audio()
		return !m.out && a != nil && a.crypto && a.profile == "RTP/AVP"
	})
	if m == nil {
		return nil
	}
	return one(rowsOf(m), "%s gives SRTP keys on %s under RTP/AVP, the profile of plain RTP: who goes by the profile sends in clear", l.name, l.on())
}

// halfRewritten is an SDP in which something on the way has changed one address and not the other.
func halfRewritten(_ *study, l *half) []found {
	at := l.source().addr
	m := l.first(func(m *heard) bool {
		d := m.detail.sdp
		a := d.audio()
		return !m.out && a != nil && a.addr.IsValid() && a.addr == at && hiddenFrom(d.origin, at) && hiddenFrom(m.detail.contact.addr, at)
	})
	if m == nil {
		return nil
	}
	return one(rowsOf(m), "the SDP of %s on %s has %v in c= and the private %v in o=, and its Contact %s is private too: something between has rewritten the one and not the others",
		l.name, l.on(), at, m.detail.sdp.origin, m.detail.contact.uri)
}
