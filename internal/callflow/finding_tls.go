package callflow

import (
	"fmt"
	"strings"
	"time"
)

// certificates are those that crossed the connection of a leg, with the rows that show them where this flow has them.
func (l *half) certificates(each func(c *Certificate, e *Event, rows []int)) {
	if l.conn == nil {
		return
	}
	for _, e := range l.conn.events {
		if e.Kind == HandshakeStep && e.Step.Certificate != nil {
			each(e.Step.Certificate, e, l.rowsFor(e))
		}
	}
}

// rowsFor is the row of an event, else the first row of the leg: the handshake is drawn in another flow.
func (l *half) rowsFor(e *Event) []int {
	for _, r := range l.rows {
		if r.Kind == RowTLS && r.Seq == e.Seq {
			return []int{r.Number}
		}
	}
	for _, r := range l.rows {
		if r.Kind == RowReused {
			return []int{r.Number}
		}
	}
	if len(l.msgs) > 0 {
		return rowsOf(l.msgs[0])
	}
	return nil
}

// soon is when the end of a certificate is near; of one that lasts only for days it is the last third.
const soon = 14 * 24 * time.Hour

// expiring is a certificate on a hop of this call that ends soon.
func expiring(s *study, l *half) (all []found) {
	if l.Hop.Refused {
		return nil
	}
	l.certificates(func(c *Certificate, e *Event, rows []int) {
		left := c.NotAfter.Sub(s.Start)
		if c.NotAfter.IsZero() || left < 0 || left > min(soon, c.NotAfter.Sub(c.NotBefore)/3) {
			return
		}
		all = append(all, found{rows: rows, sentence: fmt.Sprintf("the certificate %s that %s shows on %s ends on %s, %s after this call: then no new connection comes up",
			c.name(), s.shower(l, e), l.on(), c.NotAfter.UTC().Format("2006-01-02 15:04 UTC"), days(left))})
	})
	return all
}

func (s *study) shower(l *half, e *Event) string {
	if e.Step.ByGateway {
		return "the " + s.gateway
	}
	return l.name
}

func days(d time.Duration) string {
	if d < 48*time.Hour {
		return fmt.Sprintf("%d hours", d/time.Hour)
	}
	return fmt.Sprintf("%d days", d/(24*time.Hour))
}

// nearly is how far off the edge of a certificate's time a wrong clock may explain a refusal.
const nearly = 24 * time.Hour

// clockOrCertificate is a handshake that was refused for a certificate which has just ended, or is about to begin.
func clockOrCertificate(s *study, l *half) (all []found) {
	if l.conn == nil || l.conn.refused == nil {
		return nil
	}
	l.certificates(func(c *Certificate, e *Event, rows []int) {
		at := e.At
		switch {
		case !c.NotAfter.IsZero() && at.After(c.NotAfter) && at.Sub(c.NotAfter) < nearly:
			all = append(all, found{rows: rows, sentence: fmt.Sprintf("the certificate %s of %s ended only %s before the handshake on %s by our clock: it is to be renewed, or a clock is wrong",
				c.name(), s.shower(l, e), Span(at.Sub(c.NotAfter)), l.on())})
		case !c.NotBefore.IsZero() && at.Before(c.NotBefore) && c.NotBefore.Sub(at) < nearly:
			all = append(all, found{rows: rows, sentence: fmt.Sprintf("the certificate %s of %s begins only %s after the handshake on %s by our clock: one of the clocks is wrong",
				c.name(), s.shower(l, e), Span(c.NotBefore.Sub(at)), l.on())})
		}
	})
	return all
}

// looseName is a peer's certificate whose only names are wildcards, or which has no name but its subject.
func looseName(_ *study, l *half) (all []found) {
	if l.Hop.Refused {
		return nil
	}
	l.certificates(func(c *Certificate, e *Event, rows []int) {
		if e.Step.ByGateway {
			return
		}
		stars := 0
		for _, n := range c.Names {
			if strings.Contains(n, "*") {
				stars++
			}
		}
		switch {
		case len(c.Names) == 0:
			all = append(all, found{rows: rows, sentence: fmt.Sprintf("the certificate %s of %s on %s has no subjectAltName: it is known by its common name, which counts only because the policy lets it", c.name(), l.name, l.on())})
		case stars == len(c.Names):
			all = append(all, found{rows: rows, sentence: fmt.Sprintf("the certificate of %s on %s is for %s alone: whoever holds it is any host below, and it counts only because the policy lets it", l.name, l.on(), strings.Join(c.Names, ", "))})
		}
	})
	return all
}

// weakTLS is a connection by what is not to be used any more.
func weakTLS(_ *study, l *half) []found {
	if l.conn == nil || l.conn.link.TLS == nil || len(l.msgs) == 0 {
		return nil
	}
	t, why := l.conn.link.TLS, ""
	switch {
	case t.Version == "1.0" || t.Version == "1.1":
		why = "version " + t.Version
	case strings.HasPrefix(t.Suite, "TLS_RSA_WITH_"):
		why = t.Suite + ", which has no forward secrecy"
	case strings.Contains(t.Suite, "_CBC_") || strings.Contains(t.Suite, "_3DES_") || strings.Contains(t.Suite, "_RC4_"):
		why = t.Suite + ", which is not authenticated as AEAD suites are"
	default:
		return nil
	}
	return one(rowsOf(l.msgs[0]), "TLS with %s on %s is weak: %s", l.name, l.on(), why)
}

// slow is how long a handshake may take.
const slow = time.Second

// slowHandshake is a hop whose handshake held up the call that waited for it.
func slowHandshake(_ *study, l *half) []found {
	for _, r := range l.rows {
		if r.Kind == RowSummary && !r.Bad && r.Took > slow {
			return one([]int{r.Number}, "the connection and TLS handshake with %s on %s took %s, and the call waited for it", l.name, l.on(), Span(r.Took))
		}
	}
	return nil
}

// cutShort is a TLS connection that ended without close_notify, so that nobody knows whether all had arrived.
func cutShort(_ *study, l *half) []found {
	for _, r := range l.rows {
		if r.Kind == RowTLS && r.Bad && strings.Contains(r.Label, "close_notify missing") {
			return one([]int{r.Number}, "the TLS connection with %s on %s ended without close_notify: it was cut, or its program ends connections carelessly", l.name, l.on())
		}
	}
	return nil
}
