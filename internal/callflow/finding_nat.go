package callflow

import (
	"fmt"
	"strings"
)

// privateContact is a Contact that leads nowhere from where its owner is seen.
func privateContact(_ *study, l *half) []found {
	at := l.source().addr
	m := l.first(func(m *heard) bool {
		return !m.out && m.method == "INVITE" && (m.request || m.code < 300) && hiddenFrom(m.detail.contact.addr, at)
	})
	if m == nil {
		return nil
	}
	return one(rowsOf(m), "%s is at %v on %s and gives the private Contact %s: what is sent there does not arrive; the gateway answers by the connection instead",
		l.name, at, l.on(), m.detail.contact.uri)
}

// seenElsewhere is a response that tells us another address of ours than the one that we give.
func seenElsewhere(_ *study, l *half) []found {
	m := l.first(func(m *heard) bool {
		v, ours := &m.detail.via, literal(m.detail.via.host)
		got := literal(v.received)
		return !m.request && !m.out && got.IsValid() && ours.IsValid() && got != ours
	})
	if m == nil {
		return nil
	}
	v := &m.detail.via
	return one(rowsOf(l.request(m), m), "%s sees us at %s on %s, and we say that we are %s: behind a NAT only what it sees leads back", l.name, v.received, l.on(), v.host)
}

// noRport is a request over UDP that came by a NAT and does not ask for its answer to go back there.
func noRport(_ *study, l *half) []found {
	m := l.first(func(m *heard) bool {
		if !m.request || m.out || m.method == "ACK" || m.Link == nil || m.Link.Transport != "udp" || !m.Remote.IsValid() || m.detail.via.asked {
			return false
		}
		a := literal(m.detail.via.host)
		return a.IsValid() && a != m.Remote.Addr().Unmap() && m.detail.via.answers() != m.Remote.Port()
	})
	if m == nil {
		return nil
	}
	return one(rowsOf(m), "%s sent %s from %v on %s, its Via says %s:%d and does not ask for rport: the answer goes to port %d, where a NAT lets nothing in",
		l.name, m.method, m.Remote, l.on(), m.detail.via.host, m.detail.via.answers(), m.detail.via.answers())
}

// answers is the port that answers go to over UDP without rport.
func (v *hopVia) answers() uint16 {
	if v.port == 0 {
		return 5060
	}
	return v.port
}

// changed compares what came back with what we sent.
func changed(what string, differ func(sent, back *detail) (was, is string)) func(*study, *half) []found {
	return func(_ *study, l *half) []found {
		for _, m := range l.msgs {
			if m.request || m.out || m.Repeat > 0 {
				continue
			}
			req := l.request(m)
			if req == nil {
				continue
			}
			if was, is := differ(req.detail, m.detail); was != is {
				return one(rowsOf(req, m), "we sent %s %s to %s on %s, and it came back as %s: something between rewrites SIP, as ALGs of routers do",
					what, was, l.name, l.on(), is)
			}
		}
		return nil
	}
}

func viaChanged(sent, back *detail) (was, is string) {
	if back.vias != sent.vias {
		return fmt.Sprint(sent.vias, " Via"), fmt.Sprint(back.vias, " Via")
	}
	a, b := &sent.via, &back.via
	return fmt.Sprintf("%s:%d branch %s", a.host, a.port, a.branch), fmt.Sprintf("%s:%d branch %s", b.host, b.port, b.branch)
}

func partiesChanged(sent, back *detail) (was, is string) {
	if sent.fromURI != back.fromURI {
		return "From " + sent.fromURI, "From " + back.fromURI
	}
	return "To " + sent.toURI, "To " + back.toURI
}

// contactChanged is a request in a dialog that is for another place than the Contact that we gave.
func contactChanged(s *study, l *half) []found {
	for _, m := range l.msgs {
		if !m.request || m.out || m.toTag == "" || m.Repeat > 0 || m.method == "CANCEL" || m.detail.uri.host == "" {
			continue
		}
		if m.method == "ACK" && !l.accepted(m) {
			continue // it belongs to the transaction, and is for where the INVITE was
		}
		given := l.given(m)
		if given == nil || given.detail.contact.host == "" || m.detail.uri.host == given.detail.contact.host || len(m.detail.routes) > 0 {
			continue
		}
		if !m.detail.uri.addr.IsValid() || s.ours[m.detail.uri.host] {
			continue // a name may be one of ours
		}
		return one(rowsOf(given, m), "we gave %s the Contact %s on %s, and its %s is for %s: something between has changed it",
			l.name, given.detail.contact.uri, l.on(), m.method, m.detail.uri.uri)
	}
	return nil
}

// accepted reports whether an ACK is that of a 2xx.
func (l *half) accepted(ack *heard) bool {
	return l.first(func(m *heard) bool {
		return !m.request && m.method == "INVITE" && m.cseq == ack.cseq && m.out != ack.out && m.code/100 == 2
	}) != nil
}

// given is the last message before m that gave the peer our Contact.
func (l *half) given(m *heard) (given *heard) {
	for _, g := range l.msgs {
		if g.out && g.Seq < m.Seq && g.detail.contact.host != "" {
			given = g
		}
	}
	return given
}

// wrongLength is a datagram that is longer or shorter than its Content-Length says.
func wrongLength(_ *study, l *half) []found {
	m := l.first(func(m *heard) bool {
		return !m.out && m.detail.excess != 0 && m.Link != nil && m.Link.Transport == "udp"
	})
	if m == nil {
		return nil
	}
	n, word := m.detail.excess, "more"
	if n < 0 {
		n, word = -n, "less"
	}
	return one(rowsOf(m), "the %s of %s on %s has %d bytes %s than its Content-Length says: it was cut or rewritten on its way",
		strings.TrimSuffix(m.label(), " (SDP)"), l.name, l.on(), n, word)
}
