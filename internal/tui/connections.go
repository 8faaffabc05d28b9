package tui

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sallyport-sip/sallyport/internal/api"
	"github.com/sallyport-sip/sallyport/internal/callflow"
)

// The parts of the view of connections, in the order in which left and right go through them.
type part int

const (
	partConnections part = iota
	partHandshakes
	partCertificates
	parts
)

var partNames = [parts]string{"connections", "handshakes", "certificates"}

// connections is the view of connections, handshakes and certificates.
type connections struct {
	part   part
	tables [parts]table
	rows   [parts][]tableRow
	came   bool
	err    error
}

func (v *connections) take(msg connectionsMsg) {
	v.came, v.err = true, msg.err
	if msg.err != nil {
		return
	}
	v.rows = [parts][]tableRow{}
	for i := range msg.connections {
		v.rows[partConnections] = append(v.rows[partConnections], connectionRow(&msg.connections[i], msg))
	}
	for _, h := range msg.handshakes {
		v.rows[partHandshakes] = append(v.rows[partHandshakes], handshakeRow(h))
	}
	for i := range msg.certificates {
		v.rows[partCertificates] = append(v.rows[partCertificates], certificateRow(&msg.certificates[i]))
	}
}

func (v *connections) key(m *model, a action) bool {
	switch a {
	case actLeft:
		v.part = max(0, v.part-1)
		return true
	case actRight:
		v.part = min(parts-1, v.part+1)
		return true
	case actConnections:
		v.part = (v.part + 1) % parts
		m.source.ask(askConnections{})
		return true
	}
	return v.tables[v.part].key(m, a, v.rows[v.part])
}

func (v *connections) search(_ *model, text string) bool {
	return v.tables[v.part].search(text, v.rows[v.part])
}

func (v *connections) hints() string {
	return "Esc back  left right other part  Enter open  n ask again  ! problem  ? help"
}

func (v *connections) draw(m *model, s *screen) {
	m.heading(s, bold, "connections, handshakes and certificates")
	x := 1
	for i, name := range partNames {
		text := fmt.Sprintf(" %s %d ", name, len(v.rows[i]))
		if part(i) == v.part {
			text = "[" + strings.TrimSpace(text) + "]"
		}
		next := s.put(x, 1, plain, text)
		if part(i) == v.part {
			s.choose(x, 1, next)
		}
		x = next + 1
	}
	empty := "There is none."
	switch {
	case !m.live:
		empty = "A file of flows has no live connections. The hops of a call are in its ladder."
	case v.err != nil:
		empty = fmt.Sprintf("They cannot be had: %v", v.err)
	case !v.came:
		empty = "Asking the gateway."
	}
	if v.err != nil && len(v.rows[v.part]) > 0 {
		s.putCut(1, 2, s.width-2, bad, fmt.Sprintf("They cannot be had now, and these are older: %v", v.err))
	}
	heads := [parts][]string{
		{"#", "peer", "TLS", "age", "calls", "cert. ends", "remote"},
		{"time", "who", "version", "outcome", "reason"},
		{"ends in", "of", "name", "subject"},
	}
	widths := [parts][]int{{6, 18, 8, 9, 7, 12}, {16, 24, 9, 10}, {10, 8, 20}}
	v.tables[v.part].draw(m, s, 3, heads[v.part], widths[v.part], v.rows[v.part], empty)
}

func connectionRow(c *api.Connection, msg connectionsMsg) tableRow {
	tls, more := c.Transport, []styled{}
	add := func(l look, format string, args ...any) { more = append(more, styled{l, fmt.Sprintf(format, args...)}) }
	way := "we opened it"
	if c.Inbound {
		way = "opened by the peer, listener " + c.Listener
	}
	add(bold, "connection #%d %s, %s, since %s UTC", c.ID, c.Transport, way, c.Opened.UTC().Format("2006-01-02 15:04:05"))
	l := plain
	if c.Failing != "" {
		l = bad
		add(bad, "The configuration in force refuses it: %s. sallyport reload --evict closes it.", c.Failing)
	}
	if c.TLS != nil {
		tls = strings.ReplaceAll(c.TLS.Version, ".", "")
		if c.TLS.Mutual {
			tls += "m"
		}
		add(plain, "agreed   TLS %s, %s, %s, in %s", c.TLS.Version, c.TLS.Suite, orDash(c.TLS.Group), callflow.Span(time.Duration(c.TLS.HandshakeMicros)*time.Microsecond))
	}
	if len(c.Names) > 0 {
		add(plain, "proved   %s", strings.Join(c.Names, ", "))
	}
	for _, note := range c.Notes {
		add(plain, "note     %s", note)
	}
	ends := "-"
	if i := slices.IndexFunc(msg.certificates, func(e api.Ending) bool { return e.Kind == "peer" && e.Name == c.Peer && c.TLS != nil }); i >= 0 {
		e := &msg.certificates[i]
		ends = fmt.Sprintf("%d d", e.Days)
		add(plain, "cert.    %s, ends %s", e.Subject, e.Ends.UTC().Format(time.DateOnly))
		l = max(l, endLook(e.Days))
	}
	if len(c.Calls) > 0 {
		add(plain, "calls    %s", strings.Trim(fmt.Sprint(c.Calls), "[]"))
	}
	add(plain, "ours     %s, remote %s", c.Local, c.Remote)
	return tableRow{look: l, cells: []string{fmt.Sprint(c.ID), cmp.Or(c.Peer, "nobody we know"), tls, age(msg.at.Sub(c.Opened)), fmt.Sprint(len(c.Calls)), ends, c.Remote}, more: more,
		open: func(m *model) { m.setFilter("connection:" + fmt.Sprint(c.ID)); m.open = m.open[:1] }}
}

func age(d time.Duration) string { return callflow.Span(max(d, 0)) }

// endLook is how a certificate looks that has so many days.
func endLook(days int) look {
	switch {
	case days < 0:
		return bad
	case days < 30:
		return warning
	}
	return plain
}

func handshakeRow(h *callflow.Handshake) tableRow {
	who := cmp.Or(h.Peer, h.Address, h.Remote.String())
	arrow := "from "
	if h.Role == callflow.RoleClient {
		arrow = "to "
	}
	l, reason := plain, h.Code
	if h.Code != "" {
		l = bad
	}
	more := []styled{{l, h.Sentence}}
	if h.Remedy != "" {
		more = append(more, styled{bold, "fix      " + h.Remedy})
	}
	if h.Repeats > 0 {
		more = append(more, styled{plain, fmt.Sprintf("%d more of the same, until %s UTC", h.Repeats, h.Until.UTC().Format("15:04:05"))})
	}
	more = append(more, styled{faint, fmt.Sprintf("record %s, connection #%d", h.ID, h.Connection)})
	return tableRow{look: l, cells: []string{h.At.UTC().Format("02 Jan 15:04:05"), arrow + who, orDash(h.Chosen.Version), h.Outcome, reason}, more: more,
		open: func(m *model) { m.pages.show(m, "handshake "+h.ID, handshakeLines(h)) }}
}

// handshakeLines are a handshake whole.
func handshakeLines(h *callflow.Handshake) []styled {
	lines := []styled{{bold, h.Sentence}}
	if h.Remedy != "" {
		lines = append(lines, styled{bold, "fix      " + h.Remedy})
	}
	add := func(format string, args ...any) { lines = append(lines, styled{plain, fmt.Sprintf(format, args...)}) }
	add("conn     #%d %s, ours %s, remote %s", h.Connection, h.Transport, h.Local, h.Remote)
	add("time     %s UTC, took %s", h.At.UTC().Format("2006-01-02 15:04:05.000"), callflow.Span(h.Took))
	if len(h.NamesWanted) > 0 {
		add("wanted   %s", strings.Join(h.NamesWanted, ", "))
	}
	if len(h.NamesFound) > 0 {
		add("found    %s", strings.Join(h.NamesFound, ", "))
	}
	add("")
	for _, s := range h.Steps {
		who := "peer"
		if s.ByGateway {
			who = "gateway"
		}
		l := plain
		if s.Name == callflow.NameAlert && s.Alert.Fatal {
			l = bad
		}
		name := s.Name
		if s.Alert.Name != "" {
			name = fmt.Sprintf("%s %d %s", s.Name, s.Alert.Code, s.Alert.Name)
		}
		lines = append(lines, styled{l, fmt.Sprintf("%8s  %-8s %s", callflow.Span(s.Since), who, name)})
	}
	add("")
	for i := range h.Verdicts {
		lines = append(lines, verdictLines(&h.Verdicts[i])...)
	}
	return lines
}

func certificateRow(e *api.Ending) tableRow {
	left := fmt.Sprintf("%d days", e.Days)
	if e.Days < 0 {
		left = "ended"
	}
	l := endLook(e.Days)
	more := []styled{{l, fmt.Sprintf("%s, ends %s UTC", e.Subject, e.Ends.UTC().Format("2006-01-02 15:04"))},
		{plain, "issuer   " + orDash(e.Issuer)}, {plain, "used by  " + orDash(strings.Join(e.Used, ", "))}, {plain, "file     " + orDash(e.File)}}
	if e.SHA256 != "" {
		more = append(more, styled{faint, "sha256   " + e.SHA256})
	}
	return tableRow{look: l, cells: []string{left, e.Kind, e.Name, e.Subject}, more: more}
}
